/* What the checkpoint's writer and reader share: the names of the metadata, how values are written,
 * and the checked header of a safetensors file. */
#ifndef GRADRT_CHECKPOINT_H
#define GRADRT_CHECKPOINT_H

#include "internal.h"

enum {
  CHECKPOINT_HEADER_MAX = 100000000, CHECKPOINT_DIGITS = 8, CHECKPOINT_CHUNK = 8192,
  CHECKPOINT_COUNTER_MAX = 64, CHECKPOINT_TORCH_WORDS = 624, CHECKPOINT_REAL_TEXT = 32
};

#define CHECKPOINT_FORMAT_TEXT "1" /* value of gradc.format that this program writes and reads */

/* Metadata of our files. A file that has one of them must have all of them, but for KEPT, which is
 * left out when all of it is 0. */
#define CHECKPOINT_KEYS(X)                                                                        \
  X(FORMAT, "gradc.format") X(VERSION, "gradc.version") X(NET, "gradc.net")                       \
  X(FINGERPRINT, "gradc.fingerprint") X(DATA, "gradc.data") X(EPOCH, "gradc.epoch")               \
  X(STEP, "gradc.step") X(BATCH, "gradc.batch") X(BEST, "gradc.best")                             \
  X(BEST_EPOCH, "gradc.best_epoch") X(STALLED, "gradc.stalled") X(SEED, "gradc.seed")             \
  X(LOSS_SUM, "gradc.loss_sum") X(SEEN, "gradc.seen") X(COUNTERS, "gradc.counters")               \
  X(TORCH, "gradc.torch") X(KEPT, "gradc.kept")                                                   \
  X(DATA_CRC, "gradc.data_crc") X(HEADER_CRC, "gradc.header_crc")
enum {
#define X(k, text) CHECKPOINT_##k,
  CHECKPOINT_KEYS(X)
#undef X
  CHECKPOINT_KEY_COUNT
};

size_t gradrt_checkpoint_real(const gradrt_net *net);   /* bytes of a real */
/* PyTorch keeps this counter of batch norm as an I64 scalar, the state as a real. */
bool gradrt_checkpoint_is_counter(const gradrt_tensor *t);

/* ---- safetensors.c: the header of a file, checked ---- */

enum { SAFETENSORS_RANK_MAX = 8, SAFETENSORS_NAME_MAX = 256 };
enum { SAFETENSORS_TENSORS_MAX = 200000, SAFETENSORS_PAIRS_MAX = 65536 };

#define SAFETENSORS_DTYPES(X)                                                                     \
  X(F64, 8) X(F32, 4) X(F16, 2) X(BF16, 2) X(I64, 8) X(I32, 4) X(I16, 2) X(I8, 1)                 \
  X(U64, 8) X(U32, 4) X(U16, 2) X(U8, 1) X(BOOL, 1) X(F8_E4M3, 1) X(F8_E5M2, 1)
typedef enum {
#define X(name, bytes) SAFETENSORS_##name,
  SAFETENSORS_DTYPES(X)
#undef X
  SAFETENSORS_DTYPE_COUNT
} gradrt_safetensors_dtype;

typedef struct {
  const char *name;
  gradrt_safetensors_dtype dtype;
  int rank;
  int64_t dim[SAFETENSORS_RANK_MAX];
  int64_t begin, end;           /* bytes after the header */
  int use;                      /* the reader's: index of the net's tensor, or -1 */
} gradrt_safetensor;

typedef struct { const char *key, *value; } gradrt_safetensors_pair;

typedef struct {
  char *bytes;                  /* the header's text; strings in it end in NUL after parsing */
  int64_t n;
  gradrt_safetensor *tensor;    /* in the order of the data */
  int64_t ntensor, tensor_cap;
  gradrt_safetensors_pair *pair;        /* __metadata__, by key */
  int64_t npair, pair_cap;
} gradrt_safetensors;

/* Why a file is refused: an exit code and text that says what is wrong, without the file's name. */
typedef struct { int code; char text[2048]; } gradrt_refusal;

/* Fills r and returns false. */
bool gradrt_refuse(gradrt_refusal *r, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Parses h->bytes, h->n bytes of a header whose data fill the data_bytes after it. Refuses whatever
 * is not strictly the format: duplicate keys, unknown members, holes, sizes that disagree. Frees
 * nothing: gradrt_safetensors_free does, after success and refusal alike. */
bool gradrt_safetensors_parse(gradrt_safetensors *h, int64_t data_bytes, gradrt_refusal *r);
void gradrt_safetensors_free(gradrt_safetensors *h);
/* Bytes of the well-formed UTF-8 sequence at p, of n bytes; 0: there is none. */
int gradrt_safetensors_utf8(const char *p, int64_t n);
/* Metadata by key; NULL: absent. */
const char *gradrt_safetensors_value(const gradrt_safetensors *h, const char *key);
const char *gradrt_safetensors_dtype_name(gradrt_safetensors_dtype d);
int64_t gradrt_safetensors_dtype_size(gradrt_safetensors_dtype d);

/* ---- checkpoint_position.c ---- */

const char *gradrt_checkpoint_key(int i);      /* of the metadata */
/* The whole text is eight hex digits in lower case. */
bool gradrt_checkpoint_digits(const char *text, uint32_t *out);
/* v as C's %a writes it, whatever the locale and library: "0x1.8p+0", "nan", "-inf". */
const char *gradrt_checkpoint_real_text(char text[CHECKPOINT_REAL_TEXT], double v);
/* The vocabulary of the net's tokens: how many and their CRC-32C, "65:1a2b3c4d"; false: none. */
enum { CHECKPOINT_VOCABULARY_TEXT = 32 };
#define CHECKPOINT_VOCABULARY_KEY "gradc.vocabulary"
bool gradrt_checkpoint_vocabulary(const gradrt_net *net, char text[CHECKPOINT_VOCABULARY_TEXT]);
/* Names of classes and tokens as a JSON object of lists by field, {"y":["cat","dog"]}. */
#define CHECKPOINT_CLASSES_KEY "gradc.classes"
/* From the metadata's values in the order of CHECKPOINT_KEYS; p is undefined after a refusal. */
bool gradrt_checkpoint_position(const char *const *value, gradrt_position *p, gradrt_refusal *why);

#endif
