/* Writing checkpoints: one safetensors file with parameters, statistics and optimizer slots under
 * their names, row-major, and in its metadata the position of the run and two CRC-32C: of the data,
 * and of the header with the field of that CRC itself as zeros. Two complete files are kept: path
 * and path.prev. */
#include "checkpoint.h"
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

size_t gradrt_checkpoint_real(const gradrt_net *net)
{
  return net->real == GRADRT_F64 ? sizeof(double) : sizeof(float);
}

bool gradrt_checkpoint_is_counter(const gradrt_tensor *t)
{
  static const char tail[] = "num_batches_tracked";
  size_t n = strlen(t->name), m = sizeof tail - 1;
  return t->role == GRADRT_STAT && t->rank == 0 && n >= m && strcmp(t->name + n - m, tail) == 0 &&
         (n == m || t->name[n - m - 1] == '.');
}

/* ---- the header ---- */

typedef struct { char *at; size_t n, cap; bool failed; } checkpoint_text;

static void checkpoint_put(checkpoint_text *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void checkpoint_put(checkpoint_text *t, const char *fmt, ...)
{
  va_list ap;
  for (;;) {
    size_t room = t->cap - t->n;
    va_start(ap, fmt);
    int n = t->failed ? 0 : vsnprintf(t->at ? t->at + t->n : NULL, t->at ? room : 0, fmt, ap);
    va_end(ap);
    t->failed = t->failed || n < 0;
    if (t->failed)
      return;
    if (t->at && (size_t)n < room) {
      t->n += (size_t)n;
      return;
    }
    size_t cap = (t->cap + (size_t)n + 1) * 2;
    char *more = realloc(t->at, cap);
    if (!more) {
      t->failed = true;
      return;
    }
    t->at = more;
    t->cap = cap;
  }
}

/* Text as a JSON string; names and fingerprints hold nothing exotic, but nothing may break the
 * file. */
static void checkpoint_string(checkpoint_text *t, const char *s)
{
  checkpoint_put(t, "\"");
  for (; *s; s++) {
    unsigned char c = (unsigned char)*s;
    if (c == '"' || c == '\\')
      checkpoint_put(t, "\\%c", c);
    else if (c < 32)
      checkpoint_put(t, "\\u%04x", c);
    else
      checkpoint_put(t, "%c", c);
  }
  checkpoint_put(t, "\"");
}

static void checkpoint_meta(checkpoint_text *t, int key, const char *value)
{
  checkpoint_put(t, ",");
  checkpoint_string(t, gradrt_checkpoint_key(key));
  checkpoint_put(t, ":");
  checkpoint_string(t, value);
}

static void checkpoint_meta_int(checkpoint_text *t, int key, int64_t v)
{
  char text[32];
  snprintf(text, sizeof text, "%" PRId64, v);
  checkpoint_meta(t, key, text);
}

static void checkpoint_meta_real(checkpoint_text *t, int key, double v)
{
  char text[CHECKPOINT_REAL_TEXT];
  checkpoint_meta(t, key, gradrt_checkpoint_real_text(text, v));
}

static void checkpoint_reals(checkpoint_text *t, int key, const double *v, int n)
{
  char text[CHECKPOINT_REAL_TEXT];
  checkpoint_put(t, ",\"%s\":\"", gradrt_checkpoint_key(key));
  for (int i = 0; i < n; i++)
    checkpoint_put(t, "%s%s", i ? " " : "", gradrt_checkpoint_real_text(text, v[i]));
  checkpoint_put(t, "\"");
}

static bool checkpoint_keeps(const gradrt_position *p)
{
  for (int i = 0; i < GRADRT_KEPT; i++)
    if (p->kept[i] != 0)
      return true;
  return false;
}

/* mt19937: its words, then the position and the kept normal draw. */
static void checkpoint_torch(checkpoint_text *t, const gradrt_torch *r)
{
  char text[CHECKPOINT_REAL_TEXT];
  checkpoint_put(t, ",\"%s\":\"", gradrt_checkpoint_key(CHECKPOINT_TORCH));
  for (int i = 0; i < CHECKPOINT_TORCH_WORDS; i++)
    checkpoint_put(t, "%08" PRIx32, r->mt[i]);
  checkpoint_put(t, " %d %d %s\"", r->at, r->has_normal ? 1 : 0,
                 gradrt_checkpoint_real_text(text, r->next_normal));
}

/* Labels and vocabularies whose names are known and can be written. */
static bool checkpoint_names(const gradrt_field *f)
{
  bool good = f->class_name && f->classes > 0 && !f->next_of && (f->is_label || f->token);
  for (int64_t i = 0; good && i < f->classes; i++) {
    const char *p = f->class_name[i];
    int64_t left = (int64_t)strlen(p);
    for (int take = 1; left > 0 && take > 0; p += take, left -= take)
      take = gradrt_safetensors_utf8(p, left);
    good = left == 0;
  }
  return good;
}

/* Names of classes and tokens: a JSON object of lists by field, {"y":["cat","dog"]}, as text. */
static void checkpoint_classes(checkpoint_text *t, const gradrt_net *net)
{
  checkpoint_text names = { .n = 0 };
  for (int f = 0; f < net->nfield; f++) {
    const gradrt_field *field = &net->field[f];
    if (!checkpoint_names(field))
      continue;
    checkpoint_put(&names, names.n ? "," : "{");
    checkpoint_string(&names, field->name);
    for (int64_t i = 0; i < field->classes; i++) {
      checkpoint_put(&names, i ? "," : ":[");
      checkpoint_string(&names, field->class_name[i]);
    }
    checkpoint_put(&names, "]");
  }
  if (names.n) {
    checkpoint_put(&names, "}");
    checkpoint_put(t, ",\"" CHECKPOINT_CLASSES_KEY "\":");
    checkpoint_string(t, names.at);
  }
  t->failed = t->failed || names.failed;
  free(names.at);
}

static void checkpoint_metadata(checkpoint_text *t, const gradrt_net *net, const gradrt_position *p,
                                uint32_t data_crc)
{
  char text[32];
  checkpoint_put(t, "{\"__metadata__\":{\"format\":\"pt\"");
  checkpoint_meta(t, CHECKPOINT_FORMAT, CHECKPOINT_FORMAT_TEXT);
  checkpoint_meta(t, CHECKPOINT_VERSION, net->version ? net->version : "");
  checkpoint_meta(t, CHECKPOINT_NET, net->name ? net->name : "");
  checkpoint_meta(t, CHECKPOINT_FINGERPRINT, net->fingerprint ? net->fingerprint : "");
  checkpoint_meta(t, CHECKPOINT_DATA, p->data_fingerprint ? p->data_fingerprint : "");
  checkpoint_meta_int(t, CHECKPOINT_EPOCH, p->epoch);
  checkpoint_meta_int(t, CHECKPOINT_STEP, p->step);
  checkpoint_meta_int(t, CHECKPOINT_BATCH, p->batch_in_epoch);
  checkpoint_meta_real(t, CHECKPOINT_BEST, p->best);
  checkpoint_meta_int(t, CHECKPOINT_BEST_EPOCH, p->best_epoch);
  checkpoint_meta_int(t, CHECKPOINT_STALLED, p->stalled);
  snprintf(text, sizeof text, "%" PRIu64, p->seed);
  checkpoint_meta(t, CHECKPOINT_SEED, text);
  checkpoint_meta_real(t, CHECKPOINT_LOSS_SUM, p->loss_sum);
  checkpoint_meta_real(t, CHECKPOINT_SEEN, p->seen);
  checkpoint_reals(t, CHECKPOINT_COUNTERS, p->counters, CHECKPOINT_COUNTER_MAX);
  checkpoint_torch(t, &p->torch);
  if (checkpoint_keeps(p))
    checkpoint_reals(t, CHECKPOINT_KEPT, p->kept, GRADRT_KEPT);
  char vocabulary[CHECKPOINT_VOCABULARY_TEXT];
  if (gradrt_checkpoint_vocabulary(net, vocabulary))
    checkpoint_put(t, ",\"" CHECKPOINT_VOCABULARY_KEY "\":\"%s\"", vocabulary);
  checkpoint_classes(t, net);
  snprintf(text, sizeof text, "%08" PRIx32, data_crc);
  checkpoint_meta(t, CHECKPOINT_DATA_CRC, text);
  checkpoint_put(t, ",\"%s\":\"00000000\"}", gradrt_checkpoint_key(CHECKPOINT_HEADER_CRC));
}

/* Bytes of one element on disk. */
static size_t checkpoint_size(const gradrt_net *net, const gradrt_tensor *t)
{
  return gradrt_checkpoint_is_counter(t) ? sizeof(int64_t) : gradrt_checkpoint_real(net);
}

static const char *checkpoint_dtype(const gradrt_net *net, const gradrt_tensor *t)
{
  return gradrt_checkpoint_is_counter(t) ? "I64" : net->real == GRADRT_F64 ? "F64" : "F32";
}

/* The order on disk: elements of 8 bytes, then those of 4, so that all are aligned; else the net's.
 */
static const gradrt_tensor *checkpoint_nth(const gradrt_net *net, int n)
{
  for (size_t size = 8; size >= 4; size /= 2)
    for (int i = 0; i < net->ntensor; i++)
      if (checkpoint_size(net, &net->tensor[i]) == size && n-- == 0)
        return &net->tensor[i];
  return NULL;
}

static void checkpoint_tensors(checkpoint_text *t, const gradrt_net *net)
{
  size_t at = 0;
  for (int i = 0; i < net->ntensor; i++) {
    const gradrt_tensor *x = checkpoint_nth(net, i);
    size_t bytes = (size_t)gradrt_tensor_elems(x) * checkpoint_size(net, x);
    checkpoint_put(t, ",");
    checkpoint_string(t, x->name);
    checkpoint_put(t, ":{\"dtype\":\"%s\",\"shape\":[", checkpoint_dtype(net, x));
    for (int k = 0; k < x->rank; k++)
      checkpoint_put(t, "%s%" PRId64, k ? "," : "", x->dim[k]);
    checkpoint_put(t, "],\"data_offsets\":[%zu,%zu]}", at, at + bytes);
    at += bytes;
  }
  checkpoint_put(t, "}");
  while (!t->failed && t->n % 8)
    checkpoint_put(t, " ");
}

static void checkpoint_length(unsigned char out[8], uint64_t n)
{
  for (int i = 0; i < 8; i++)
    out[i] = (unsigned char)(n >> (8 * i));
}

/* Puts the header's CRC into its place. In a string of the file a quote has a backslash before it,
 * so the text that is looked for exists once. */
static void checkpoint_seal(checkpoint_text *t, const unsigned char length[8])
{
  char field[64], digits[CHECKPOINT_DIGITS + 1];
  uint32_t crc = gradrt_crc32c(gradrt_crc32c(0, length, 8), t->at, t->n);
  snprintf(field, sizeof field, ",\"%s\":\"00000000\"}",
           gradrt_checkpoint_key(CHECKPOINT_HEADER_CRC));
  snprintf(digits, sizeof digits, "%08" PRIx32, crc);
  char *place = strstr(t->at, field);
  if (place)
    memcpy(place + strlen(field) - 2 - CHECKPOINT_DIGITS, digits, CHECKPOINT_DIGITS);
}

/* ---- the data ---- */

typedef struct {
  double wide[CHECKPOINT_CHUNK];
  unsigned char bytes[CHECKPOINT_CHUNK * 8];
} checkpoint_chunk;

static void checkpoint_word(unsigned char *out, uint64_t v, size_t bytes)
{
  for (size_t i = 0; i < bytes; i++)
    out[i] = (unsigned char)(v >> (8 * i));
}

/* Elements first..first + n - 1 as they stand in the file: little endian. */
static void checkpoint_values(const gradrt_net *net, const gradrt_tensor *t, const void *state,
                              int64_t first, int64_t n, checkpoint_chunk *c)
{
  size_t size = checkpoint_size(net, t);
  bool counter = gradrt_checkpoint_is_counter(t);
  gradrt_tensor_get(net, t, state, first, n, c->wide);
  for (int64_t i = 0; i < n; i++) {
    uint64_t v = 0;
    float narrow = (float)c->wide[i];
    uint32_t bits = 0;
    if (counter) {
      v = c->wide[i] > -0x1p62 && c->wide[i] < 0x1p62 ? (uint64_t)(int64_t)c->wide[i] : 0;
    } else if (size == sizeof narrow) {
      memcpy(&bits, &narrow, sizeof bits);
      v = bits;
    } else {
      memcpy(&v, &c->wide[i], sizeof v);
    }
    checkpoint_word(c->bytes + (size_t)i * size, v, size);
  }
}

/* All data, in pieces: to w when there is one; returns their CRC. */
static uint32_t checkpoint_data(const gradrt_net *net, const void *state, checkpoint_chunk *c,
                                gradrt_writer *w)
{
  uint32_t crc = 0;
  for (int i = 0; i < net->ntensor; i++) {
    const gradrt_tensor *t = checkpoint_nth(net, i);
    int64_t total = gradrt_tensor_elems(t);
    for (int64_t at = 0; at < total; at += CHECKPOINT_CHUNK) {
      int64_t n = total - at < CHECKPOINT_CHUNK ? total - at : CHECKPOINT_CHUNK;
      size_t bytes = (size_t)n * checkpoint_size(net, t);
      checkpoint_values(net, t, state, at, n, c);
      if (w)
        gradrt_writer_put(w, c->bytes, bytes);
      else
        crc = gradrt_crc32c(crc, c->bytes, bytes);
    }
  }
  return crc;
}

/* ---- two files ---- */

static char *checkpoint_beside(const char *path, const char *suffix)
{
  size_t n = strlen(path), m = strlen(suffix);
  char *s = malloc(n + m + 1);
  if (s) {
    memcpy(s, path, n);
    memcpy(s + n, suffix, m + 1);
  }
  return s;
}

/* Before the new file, complete on disk, takes the place of path: the old one becomes path.prev.
 * With a hard link path never disappears; a file system without them gets a rename, and path.prev
 * is complete while path is away; that is what true means. */
static bool checkpoint_keep_previous(const char *path)
{
  char suffix[64];
  bool moved = false;
  snprintf(suffix, sizeof suffix, ".tmp.%ld.prev", (long)getpid());
  char *prev = checkpoint_beside(path, ".prev"), *link_name = checkpoint_beside(path, suffix);
  struct stat st;
  if (prev && link_name && lstat(path, &st) == 0 && S_ISREG(st.st_mode)) {
    unlink(link_name);
    if (link(path, link_name) == 0) {
      rename(link_name, prev);
      unlink(link_name);        /* rename leaves it when prev was the same file already */
    } else if (errno != ENOENT && errno != ENOSPC && errno != EDQUOT) {
      moved = rename(path, prev) == 0;
    }
  }
  free(prev);
  free(link_name);
  return moved;
}

/* The new file did not come: what was moved away comes back. */
static void checkpoint_bring_back(const char *path)
{
  char *prev = checkpoint_beside(path, ".prev");
  if (prev)
    rename(prev, path);
  free(prev);
}

static int checkpoint_file(const gradrt_net *net, const char *path, const void *state,
                           const checkpoint_text *t, checkpoint_chunk *c)
{
  unsigned char length[8];
  gradrt_writer *w = gradrt_writer_open(path);
  if (!w)
    return GRADRT_IO;
  checkpoint_length(length, t->n);
  gradrt_writer_put(w, length, sizeof length);
  gradrt_writer_put(w, t->at, t->n);
  checkpoint_data(net, state, c, w);
  bool moved = gradrt_writer_sync(w) == GRADRT_OK && checkpoint_keep_previous(path);
  int code = gradrt_writer_commit(w);
  if (moved && access(path, F_OK) != 0)
    checkpoint_bring_back(path);
  return code;
}

int gradrt_checkpoint_write(const gradrt_net *net, const char *path, const void *state,
                            const gradrt_position *p)
{
  checkpoint_text t = { 0 };
  checkpoint_chunk *c = malloc(sizeof *c);
  if (c) {
    checkpoint_metadata(&t, net, p, checkpoint_data(net, state, c, NULL));
    checkpoint_tensors(&t, net);
  }
  int code = GRADRT_OK;
  if (!c || !t.at || t.failed) {
    code = gradrt_error(GRADRT_LIMIT, "out of memory while saving '%s'", path);
  } else {
    unsigned char length[8];
    checkpoint_length(length, t.n);
    checkpoint_seal(&t, length);
    code = checkpoint_file(net, path, state, &t, c);
  }
  free(c);
  free(t.at);
  return code;
}
