/* Reading checkpoints and weights: nothing in the file is trusted, nothing of the program changes
 * before the whole file has proved itself.
 *
 * Order: a regular file of a possible size, its header (safetensors.c), both checksums' presence
 * and the header's checksum, the spec, names with shapes and types, the position; only then the
 * data, into a copy of the state, with their checksum; last that every value is finite. Memory: the
 * header and one copy of the state, whatever the file claims. */
#include "checkpoint.h"
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is asked of a file: all of a run's state, only its weights, or those that a glob names. */
typedef enum { CKREAD_RUN, CKREAD_WEIGHTS, CKREAD_PART } ckread_purpose;

enum { CKREAD_LISTED = 12 };    /* tensors named in one message */

typedef struct {
  const gradrt_net *net;
  const char *path;
  ckread_purpose purpose;
  const char *glob;             /* PART */
  int taken;                    /* tensors of the net that the file gives */
  int fd;
  int64_t size, data_at;        /* of the file; where the data begin in it */
  gradrt_safetensors head;
  bool ours;                    /* it has gradc's metadata, complete and intact */
  const char *value[CHECKPOINT_KEY_COUNT];
  uint32_t header_crc;          /* as computed */
  int64_t header_digits;        /* where in the header its CRC seems to stand; -1: nowhere */
  uint32_t data_crc;            /* as the file says */
  gradrt_refusal why;
} ckread;

/* ---- bytes ---- */

static bool ckread_open(ckread *c)
{
  struct stat st;
  c->fd = open(c->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  if (c->fd < 0)
    return gradrt_refuse(&c->why, GRADRT_IO, "%s", strerror(errno));
  if (fstat(c->fd, &st) != 0)
    return gradrt_refuse(&c->why, GRADRT_IO, "%s", strerror(errno));
  if (!S_ISREG(st.st_mode))
    return gradrt_refuse(&c->why, GRADRT_CHECKPOINT, "%s", S_ISDIR(st.st_mode)
                         ? "it is a folder" : "it is not a regular file");
  c->size = (int64_t)st.st_size;
  return true;
}

static bool ckread_bytes(ckread *c, int64_t at, void *out, int64_t n)
{
  unsigned char *to = out;
  while (n > 0) {
    ssize_t got = pread(c->fd, to, (size_t)n, (off_t)at);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return gradrt_refuse(&c->why, GRADRT_IO, "reading failed at byte %" PRId64 ": %s", at,
                           strerror(errno));
    if (got == 0)
      return gradrt_refuse(&c->why, GRADRT_IO,
                           "it became shorter while it was read (byte %" PRId64 ")", at);
    to += got;
    at += got;
    n -= got;
  }
  return true;
}

static uint64_t ckread_word(const unsigned char *p, int bytes)
{
  uint64_t v = 0;
  for (int i = bytes - 1; i >= 0; i--)
    v = v << 8 | p[i];
  return v;
}

/* ---- the header ---- */

/* Says what the file seems to be instead, from its first bytes. */
static bool ckread_foreign_format(ckread *c, const unsigned char first[8])
{
  if (memcmp(first, "PK\3\4", 4) == 0 || (first[0] == 0x80 && first[1] >= 2 && first[1] <= 5))
    return gradrt_refuse(
        &c->why, GRADRT_CHECKPOINT,
        "it looks like a PyTorch pickle (.pt, .pth), which is not opened because it can run "
        "code: save the weights with safetensors.torch.save_file; 'gradc import' takes a .npz");
  return gradrt_refuse(
      &c->why, GRADRT_CHECKPOINT,
      "it is not a safetensors file, or its first 8 bytes are damaged (header length %" PRIu64
      ", file of %" PRId64 " bytes)",
      ckread_word(first, 8), c->size);
}

/* Computes the header's CRC with its own eight digits as zeros. Where they stand is found by the
 * key's text; that it is the member which the parser reads is verified later. */
static void ckread_header_crc(ckread *c, const unsigned char length[8])
{
  char key[64];
  int n = snprintf(key, sizeof key, "\"%s\":\"", gradrt_checkpoint_key(CHECKPOINT_HEADER_CRC));
  const char *text = c->head.bytes;
  uint32_t crc = gradrt_crc32c(0, length, 8);
  c->header_digits = -1;
  for (int64_t i = 0; i + n + CHECKPOINT_DIGITS <= c->head.n; i++) {
    if (text[i] == '"' && memcmp(text + i, key, (size_t)n) == 0) {
      c->header_digits = i + n;
      break;
    }
  }
  int64_t split = c->header_digits < 0 ? c->head.n : c->header_digits;
  crc = gradrt_crc32c(crc, text, (size_t)split);
  if (c->header_digits >= 0) {
    int64_t rest = split + CHECKPOINT_DIGITS;
    crc = gradrt_crc32c(crc, "00000000", CHECKPOINT_DIGITS);
    crc = gradrt_crc32c(crc, text + rest, (size_t)(c->head.n - rest));
  }
  c->header_crc = crc;
}

static bool ckread_header(ckread *c)
{
  unsigned char length[8];
  if (c->size < 8)
    return gradrt_refuse(&c->why, GRADRT_CHECKPOINT, "it has only %" PRId64 " bytes", c->size);
  if (!ckread_bytes(c, 0, length, 8))
    return false;
  uint64_t n = ckread_word(length, 8);
  if (n > CHECKPOINT_HEADER_MAX || (int64_t)n > c->size - 8)
    return ckread_foreign_format(c, length);
  c->head.n = (int64_t)n;
  c->data_at = 8 + c->head.n;
  c->head.bytes = malloc((size_t)n + 1);
  if (!c->head.bytes)
    return gradrt_refuse(&c->why, GRADRT_LIMIT, "not enough memory for its header");
  c->head.bytes[n] = '\0';
  if (!ckread_bytes(c, 8, c->head.bytes, c->head.n))
    return false;
  ckread_header_crc(c, length);
  return gradrt_safetensors_parse(&c->head, c->size - c->data_at, &c->why);
}

/* Our metadata: none of it, or all of it in this format with a checksum that fits. */
static bool ckread_integrity(ckread *c)
{
  int64_t have = 0;
  const char *lacks = NULL;
  for (int64_t i = 0; i < c->head.npair; i++)
    have += strncmp(c->head.pair[i].key, "gradc.", 6) == 0;
  if (have == 0)
    return true;
  for (int k = 0; k < CHECKPOINT_KEY_COUNT; k++) {
    c->value[k] = gradrt_safetensors_value(&c->head, gradrt_checkpoint_key(k));
    if (!c->value[k] && !lacks && k != CHECKPOINT_KEPT)
      lacks = gradrt_checkpoint_key(k);
  }
  const char *format = c->value[CHECKPOINT_FORMAT], *crc = c->value[CHECKPOINT_HEADER_CRC];
  uint32_t said;
  if (format && strcmp(format, CHECKPOINT_FORMAT_TEXT) != 0)
    return gradrt_refuse(
        &c->why, GRADRT_CHECKPOINT,
        "its header is damaged or of another version: gradc.format is '%.20s', this program "
        "reads " CHECKPOINT_FORMAT_TEXT,
        format);
  if (lacks)
    return gradrt_refuse(&c->why, GRADRT_CHECKPOINT, "its header is damaged: it lacks '%s'", lacks);
  if (!gradrt_checkpoint_digits(crc, &said) || crc - c->head.bytes != c->header_digits ||
      said != c->header_crc)
    return gradrt_refuse(&c->why, GRADRT_CHECKPOINT, "its header is damaged: the checksum differs");
  if (!gradrt_checkpoint_digits(c->value[CHECKPOINT_DATA_CRC], &c->data_crc))
    return gradrt_refuse(&c->why, GRADRT_CHECKPOINT, "its header is damaged: gradc.data_crc");
  c->ours = true;
  return true;
}

/* ---- the spec, names and shapes ---- */

static bool ckread_spec(ckread *c)
{
  const char *want = c->net->fingerprint;
  if (!c->ours)
    return gradrt_refuse(
        &c->why, GRADRT_CHECKPOINT,
        "it is a safetensors file without a run's position; its weights can start a new run "
        "with --weights");
  const char *theirs = c->value[CHECKPOINT_FINGERPRINT];
  if (!want || !*want || strcmp(want, theirs) == 0)
    return true;
  return gradrt_refuse(
      &c->why, GRADRT_CHECKPOINT,
      "it was made from another spec (net '%.64s', gradc %.20s, fingerprint %.12s.., here '%s', "
      "%.12s..); continue with the program that wrote it, or start a new run from its weights "
      "with --weights",
      c->value[CHECKPOINT_NET], c->value[CHECKPOINT_VERSION], theirs, c->net->name, want);
}

/* Collects what does not fit, for one message. */
typedef struct { char text[1700]; size_t n; int64_t count; } ckread_list;

static void ckread_listed(ckread_list *l, const char *item)
{
  size_t n = strlen(item);
  l->count++;
  if (l->count > CKREAD_LISTED || l->n + n + 3 > sizeof l->text)
    return;
  l->n += (size_t)snprintf(l->text + l->n, sizeof l->text - l->n, "%s%s", l->n ? "; " : "", item);
}

static const char *ckread_shape(char text[200], const int64_t *dim, int rank)
{
  size_t n = (size_t)snprintf(text, 200, "[");
  for (int i = 0; i < rank; i++)
    n += (size_t)snprintf(text + n, 200 - n, "%s%" PRId64, i ? "," : "", dim[i]);
  snprintf(text + n, 200 - n, "]");
  return text;
}

static gradrt_safetensor *ckread_find(ckread *c, const char *name)
{
  for (int64_t i = 0; i < c->head.ntensor; i++)
    if (strcmp(c->head.tensor[i].name, name) == 0)
      return &c->head.tensor[i];
  return NULL;
}

/* Types that are read for a tensor: exactly what is written when a run goes on, else any real; and
 * whole numbers for scalars. */
static bool ckread_type_fits(const ckread *c, const gradrt_tensor *t, gradrt_safetensors_dtype d)
{
  bool counter = gradrt_checkpoint_is_counter(t);
  gradrt_safetensors_dtype real = c->net->real == GRADRT_F64 ? SAFETENSORS_F64 : SAFETENSORS_F32;
  if (c->purpose == CKREAD_RUN)
    return d == (counter ? SAFETENSORS_I64 : real);
  bool reals =
      d == SAFETENSORS_F64 || d == SAFETENSORS_F32 || d == SAFETENSORS_F16 || d == SAFETENSORS_BF16;
  return reals || (d == SAFETENSORS_I64 && t->rank == 0);
}

static void ckread_compare(ckread *c, int i, ckread_list *wrong)
{
  const gradrt_tensor *t = &c->net->tensor[i];
  gradrt_safetensor *x = ckread_find(c, t->name);
  char line[1024], have[200], want[200];
  if (!x) {
    if (c->purpose == CKREAD_PART)
      return;
    /* PyTorch before 0.4.1 kept no counter of batches. */
    if (c->purpose == CKREAD_WEIGHTS && !c->ours && gradrt_checkpoint_is_counter(t))
      return;
    snprintf(line, sizeof line, "no '%.256s' of shape %s", t->name,
             ckread_shape(want, t->dim, t->rank));
    ckread_listed(wrong, line);
    return;
  }
  x->use = i;
  c->taken++;
  bool same = x->rank == t->rank;
  for (int k = 0; same && k < t->rank; k++)
    same = x->dim[k] == t->dim[k];
  if (!same) {
    bool turned = x->rank == 2 && t->rank == 2 && x->dim[0] == t->dim[1] && x->dim[1] == t->dim[0];
    snprintf(line, sizeof line, "'%.256s' is %s, here %s%s", t->name,
             ckread_shape(have, x->dim, x->rank), ckread_shape(want, t->dim, t->rank),
             turned ? " (transposed: PyTorch's order is [out,in])" : "");
    ckread_listed(wrong, line);
  } else if (!ckread_type_fits(c, t, x->dtype)) {
    snprintf(line, sizeof line, "'%.256s' has type %s", t->name,
             gradrt_safetensors_dtype_name(x->dtype));
    ckread_listed(wrong, line);
  }
}

static bool ckread_wanted(const ckread *c, const gradrt_tensor *t)
{
  bool named = c->purpose != CKREAD_PART || fnmatch(c->glob, t->name, 0) == 0;
  return c->purpose == CKREAD_RUN || (gradrt_tensor_is_weight(t) && named);
}

/* Tensors of the file that this net does not have. */
static void ckread_unused(ckread *c, ckread_list *unused)
{
  for (int64_t i = 0; i < c->head.ntensor; i++) {
    const gradrt_safetensor *x = &c->head.tensor[i];
    char line[SAFETENSORS_NAME_MAX + 240], shape[200];
    bool known = x->use >= 0;
    for (int k = 0; !known && k < c->net->ntensor; k++)
      known = strcmp(c->net->tensor[k].name, x->name) == 0;
    if (known)
      continue;
    snprintf(line, sizeof line, "'%.256s' %s", x->name, ckread_shape(shape, x->dim, x->rank));
    ckread_listed(unused, line);
  }
}

static bool ckread_match(ckread *c)
{
  ckread_list wrong = { .n = 0 }, unused = { .n = 0 };
  for (int i = 0; i < c->net->ntensor; i++)
    if (ckread_wanted(c, &c->net->tensor[i]))
      ckread_compare(c, i, &wrong);
  ckread_unused(c, &unused);
  if (wrong.count == 0 && c->purpose == CKREAD_PART && c->taken == 0)
    return gradrt_refuse(&c->why, GRADRT_CHECKPOINT,
                         "it has no tensor of this net that '%.100s' names", c->glob);
  if (wrong.count == 0 && (unused.count == 0 || c->purpose != CKREAD_RUN))
    return true;
  char more[64] = "";
  if (wrong.count > CKREAD_LISTED)
    snprintf(more, sizeof more, "; and %" PRId64 " more", wrong.count - CKREAD_LISTED);
  return gradrt_refuse(&c->why, GRADRT_CHECKPOINT, "it does not fit this net: %.1100s%s%s%.500s",
                       wrong.text, more,
                       unused.count == 0 ? ""
                       : wrong.count     ? "; not used: "
                                         : "not used: ",
                       unused.text);
}

/* ---- the data ---- */

typedef struct {
  unsigned char bytes[CHECKPOINT_CHUNK * 8];
  double wide[CHECKPOINT_CHUNK];
  uint32_t crc;
  const gradrt_safetensor *bad; /* the first tensor with a value that is not finite, or NULL */
  int64_t bad_at;
  double bad_value;             /* as the file has it */
} ckread_pass;

static double ckread_half(uint32_t h)
{
  uint32_t power = h >> 10 & 31, digits = h & 1023;
  double v = power == 31
                 ? (digits ? NAN : HUGE_VAL)
                 : ldexp((double)(power ? digits | 1024 : digits), (int)(power ? power : 1) - 25);
  return h >> 15 ? -v : v;
}

static double ckread_single(uint32_t bits)
{
  float v;
  memcpy(&v, &bits, sizeof v);
  return (double)v;
}

static double ckread_double(uint64_t bits)
{
  double v;
  memcpy(&v, &bits, sizeof v);
  return v;
}

static void ckread_widen(gradrt_safetensors_dtype d, const unsigned char *p, int64_t n, double *out)
{
  for (int64_t i = 0; i < n; i++) {
    if (d == SAFETENSORS_F32)
      out[i] = ckread_single((uint32_t)ckread_word(p + 4 * i, 4));
    else if (d == SAFETENSORS_F64)
      out[i] = ckread_double(ckread_word(p + 8 * i, 8));
    else if (d == SAFETENSORS_F16)
      out[i] = ckread_half((uint32_t)ckread_word(p + 2 * i, 2));
    else if (d == SAFETENSORS_BF16)
      out[i] = ckread_single((uint32_t)ckread_word(p + 2 * i, 2) << 16);
    else
      out[i] = (double)(int64_t)ckread_word(p + 8 * i, 8);
  }
}

/* Whether v is finite as the net's real, by the bits of its exponent. */
static bool ckread_finite(const gradrt_net *net, double v)
{
  uint64_t bits;
  double kept = net->real == GRADRT_F64 ? v : (double)(float)v;
  memcpy(&bits, &kept, sizeof bits);
  return (bits >> 52 & 0x7FF) != 0x7FF;
}

/* Elements at..at + n - 1 of x lie in p->bytes. state NULL: they are only looked at. */
static void ckread_take(const ckread *c, ckread_pass *p, const gradrt_safetensor *x, int64_t at,
                        int64_t n, void *state)
{
  ckread_widen(x->dtype, p->bytes, n, p->wide);
  for (int64_t i = 0; !p->bad && i < n; i++)
    if (!ckread_finite(c->net, p->wide[i])) {
      p->bad = x;
      p->bad_at = at + i;
      p->bad_value = p->wide[i];
    }
  if (state)
    gradrt_tensor_put(c->net, &c->net->tensor[x->use], state, at, n, p->wide);
}

static bool ckread_tensor(ckread *c, ckread_pass *p, const gradrt_safetensor *x, void *state)
{
  int64_t size = gradrt_safetensors_dtype_size(x->dtype), count = (x->end - x->begin) / size;
  bool used = x->use >= 0;
  if (!used && !c->ours)
    return true;
  if (used && state) {
    const gradrt_tensor *t = &c->net->tensor[x->use];
    memset((char *)state + t->offset, 0, t->stored * gradrt_checkpoint_real(c->net));
  }
  for (int64_t at = 0; at < count; at += CHECKPOINT_CHUNK) {
    int64_t n = count - at < CHECKPOINT_CHUNK ? count - at : CHECKPOINT_CHUNK;
    if (!ckread_bytes(c, c->data_at + x->begin + at * size, p->bytes, n * size))
      return false;
    if (c->ours)
      p->crc = gradrt_crc32c(p->crc, p->bytes, (size_t)(n * size));
    if (used)
      ckread_take(c, p, x, at, n, state);
  }
  return true;
}

static bool ckread_nonfinite(ckread *c, const ckread_pass *p)
{
  int64_t index[SAFETENSORS_RANK_MAX], rest = p->bad_at;
  char where[200];
  for (int a = p->bad->rank - 1; a >= 0; a--) {
    index[a] = rest % p->bad->dim[a];
    rest /= p->bad->dim[a];
  }
  return gradrt_refuse(&c->why, GRADRT_CHECKPOINT,
                       "tensor '%s' holds %g at %s (byte %" PRId64 "), which is not a "
                       "finite %s",
                       p->bad->name, p->bad_value, ckread_shape(where, index, p->bad->rank),
                       c->data_at + p->bad->begin +
                           p->bad_at * gradrt_safetensors_dtype_size(p->bad->dtype),
                       c->net->real == GRADRT_F64 ? "f64" : "f32");
}

/* Reads every tensor that is used, and for our files all bytes. state NULL: only verifies. */
static bool ckread_data(ckread *c, void *state)
{
  ckread_pass *p = malloc(sizeof *p);
  if (!p)
    return gradrt_refuse(&c->why, GRADRT_LIMIT, "not enough memory to read it");
  p->crc = 0;
  p->bad = NULL;
  bool good = true;
  for (int64_t i = 0; good && i < c->head.ntensor; i++)
    good = ckread_tensor(c, p, &c->head.tensor[i], state);
  if (good && c->ours && p->crc != c->data_crc)
    good = gradrt_refuse(&c->why, GRADRT_CHECKPOINT,
                         "its data are damaged: the checksum of bytes %" PRId64 " to %" PRId64
                         " is %08" PRIx32 ", expected %08" PRIx32,
                         c->data_at, c->size, p->crc, c->data_crc);
  else if (good && p->bad)
    good = ckread_nonfinite(c, p);
  free(p);
  return good;
}

/* ---- whole files ---- */

/* Everything but the data; p may be NULL for weights. */
/* Weights that were learnt with other tokens mean nothing here. */
static bool ckread_vocabulary(ckread *c)
{
  char here[CHECKPOINT_VOCABULARY_TEXT];
  const char *theirs = gradrt_safetensors_value(&c->head, CHECKPOINT_VOCABULARY_KEY);
  if (!c->ours || !theirs || !gradrt_checkpoint_vocabulary(c->net, here) ||
      strcmp(theirs, here) == 0)
    return true;
  return gradrt_refuse(&c->why, GRADRT_CHECKPOINT,
                       "it was made with another vocabulary (%.31s tokens and their checksum, here "
                       "%s): the text that the spec names has changed", theirs, here);
}

static bool ckread_verify(ckread *c, gradrt_position *p)
{
  if (!ckread_open(c) || !ckread_header(c) || !ckread_integrity(c) || !ckread_vocabulary(c))
    return false;
  if (c->purpose == CKREAD_RUN && !ckread_spec(c))
    return false;
  return ckread_match(c) &&
         (c->purpose != CKREAD_RUN || gradrt_checkpoint_position(c->value, p, &c->why));
}

static void ckread_close(ckread *c)
{
  if (c->fd >= 0)
    close(c->fd);
  gradrt_safetensors_free(&c->head);
}

/* Reads into a copy of the state, which replaces it when all is well. */
static bool ckread_state(ckread *c, void *state)
{
  void *copy = malloc(c->net->state_bytes + 1);
  if (!copy)
    return gradrt_refuse(&c->why, GRADRT_LIMIT, "not enough memory to read it");
  memcpy(copy, state, c->net->state_bytes);
  bool good = ckread_data(c, copy);
  if (good)
    memcpy(state, copy, c->net->state_bytes);
  free(copy);
  return good;
}

/* After a refusal: whether the checkpoint kept before this one could be used instead. */
static void ckread_note_previous(const gradrt_net *net, const char *path)
{
  static const char suffix[] = ".prev";
  size_t n = strlen(path), tail = sizeof suffix - 1;
  if (n >= tail && strcmp(path + n - tail, suffix) == 0)
    return;
  char *prev = malloc(n + sizeof suffix);
  gradrt_position *p = calloc(1, sizeof *p);
  ckread c = { .net = net, .path = prev, .purpose = CKREAD_RUN, .fd = -1 };
  if (prev && p) {
    memcpy(prev, path, n);
    memcpy(prev + n, suffix, sizeof suffix);
    if (ckread_verify(&c, p) && ckread_data(&c, NULL))
      gradrt_note("the checkpoint before it is intact: '%s' (epoch %" PRId64 ", step %" PRId64 ")",
                  prev, p->epoch, p->step);
    else if (c.fd < 0)
      gradrt_note("there is no intact checkpoint '%s' beside it", prev);
    else
      gradrt_note("the checkpoint before it, '%s', cannot be used either: %s", prev, c.why.text);
  }
  ckread_close(&c);
  free(prev);
  free(p);
}

int gradrt_checkpoint_read(const gradrt_net *net, const char *path, void *state, gradrt_position *p)
{
  ckread c = { .net = net, .path = path, .purpose = CKREAD_RUN, .fd = -1 };
  gradrt_position *at = calloc(1, sizeof *at);
  bool good = at ? ckread_verify(&c, at) && ckread_state(&c, state)
                 : gradrt_refuse(&c.why, GRADRT_LIMIT, "not enough memory to read it");
  if (good) {
    *p = *at;
    p->data_fingerprint = p->data_text;
  }
  ckread_close(&c);
  free(at);
  if (good)
    return GRADRT_OK;
  gradrt_error(c.why.code, "cannot resume from '%s': %s", path, c.why.text);
  if (c.why.code == GRADRT_CHECKPOINT)
    ckread_note_previous(net, path);
  return c.why.code;
}

/* One remark about a file that others wrote: what was converted, what was left out. */
static void ckread_note_foreign(ckread *c, const char *called)
{
  ckread_list unused = { .n = 0 };
  gradrt_safetensors_dtype real = c->net->real == GRADRT_F64 ? SAFETENSORS_F64 : SAFETENSORS_F32;
  int64_t converted = 0;
  for (int64_t i = 0; i < c->head.ntensor; i++) {
    const gradrt_safetensor *x = &c->head.tensor[i];
    converted += x->use >= 0 && x->dtype != real && x->dtype != SAFETENSORS_I64;
  }
  if (!c->ours)
    ckread_unused(c, &unused);
  char changed[100] = "";
  if (converted)
    snprintf(changed, sizeof changed, ": %" PRId64 " tensor%s converted to %s", converted,
             converted == 1 ? "" : "s", gradrt_safetensors_dtype_name(real));
  if (unused.count || converted)
    gradrt_note("weights from '%s'%s%s%s%s", called, changed,
                !unused.count ? "" : converted ? "; not used: " : ": not used: ", unused.text,
                unused.count > CKREAD_LISTED ? "; .." : "");
}

int gradrt_weights_read_as(const gradrt_net *net, const char *path, const char *called,
                           void *state)
{
  ckread c = { .net = net, .path = path, .purpose = CKREAD_WEIGHTS, .fd = -1 };
  bool good = ckread_verify(&c, NULL) && ckread_state(&c, state);
  if (good)
    ckread_note_foreign(&c, called);
  else
    gradrt_error(c.why.code, "cannot use the weights of '%s': %s", called, c.why.text);
  ckread_close(&c);
  if (!good && c.why.code == GRADRT_CHECKPOINT && c.ours)
    ckread_note_previous(net, path);
  return good ? GRADRT_OK : c.why.code;
}

int gradrt_weights_read_part(const gradrt_net *net, const char *path, const char *glob,
                             void *state, int *taken)
{
  ckread c = { .net = net, .path = path, .purpose = CKREAD_PART, .glob = glob, .fd = -1 };
  bool good = ckread_verify(&c, NULL) && ckread_state(&c, state);
  if (!good)
    gradrt_error(c.why.code, "cannot start from '%s': %s", path, c.why.text);
  ckread_close(&c);
  *taken = c.taken;
  return good ? GRADRT_OK : c.why.code;
}

char *gradrt_weights_note(const char *path, const char *key)
{
  ckread c = { .path = path, .fd = -1 };
  const char *found =
      ckread_open(&c) && ckread_header(&c) ? gradrt_safetensors_value(&c.head, key) : NULL;
  char *note = found ? malloc(strlen(found) + 1) : NULL;
  if (note)
    strcpy(note, found);
  ckread_close(&c);
  return note;
}

int gradrt_weights_read(const gradrt_net *net, const char *path, void *state)
{
  return gradrt_weights_read_as(net, path, path, state);
}
