/* Writing checkpoints: one safetensors file with parameters, statistics and optimizer slots under their
 * names, row-major, and in its metadata the position of the run and two CRC-32C: of the data, and of the
 * header with the field of that CRC itself as zeros. Two complete files are kept: path and path.prev. */
#include "checkpoint.h"
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *gradrt_checkpoint_key(int i)
{
  static const char *const keys[] = {
#define X(k, text) text,
    CHECKPOINT_KEYS(X)
#undef X
  };
  return keys[i];
}

size_t gradrt_checkpoint_real(const gradrt_net *net) { return net->real == GRADRT_F64 ? sizeof(double) : sizeof(float); }

typedef struct { char *at; size_t n, cap; bool failed; } checkpoint_text;

static void checkpoint_put(checkpoint_text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void checkpoint_put(checkpoint_text *t, const char *fmt, ...)
{
  va_list ap;
  for (;;) {
    size_t room = t->cap - t->n;
    va_start(ap, fmt);
    int n = t->failed ? 0 : vsnprintf(t->at ? t->at + t->n : NULL, t->at ? room : 0, fmt, ap);
    va_end(ap);
    if (t->failed || n < 0)
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

/* Text as a JSON string; names and fingerprints hold nothing exotic, but nothing may break the file. */
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

/* mt19937: its words, then the position and the kept normal draw. */
static void checkpoint_torch(checkpoint_text *t, const gradrt_torch *r)
{
  checkpoint_put(t, ",\"%s\":\"", gradrt_checkpoint_key(CHECKPOINT_TORCH));
  for (int i = 0; i < 624; i++)
    checkpoint_put(t, "%08" PRIx32, r->mt[i]);
  checkpoint_put(t, " %d %d %a\"", r->at, r->has_normal ? 1 : 0, r->next_normal);
}

static void checkpoint_metadata(checkpoint_text *t, const gradrt_net *net, const gradrt_position *p, uint32_t data_crc)
{
  char crc[16];
  checkpoint_put(t, "{\"__metadata__\":{\"format\":\"pt\"");
  checkpoint_meta(t, CHECKPOINT_VERSION, net->version);
  checkpoint_meta(t, CHECKPOINT_NET, net->name);
  checkpoint_meta(t, CHECKPOINT_FINGERPRINT, net->fingerprint);
  checkpoint_meta(t, CHECKPOINT_DATA, p->data_fingerprint ? p->data_fingerprint : "");
  checkpoint_meta_int(t, CHECKPOINT_EPOCH, p->epoch);
  checkpoint_meta_int(t, CHECKPOINT_STEP, p->step);
  checkpoint_meta_int(t, CHECKPOINT_BATCH, p->batch_in_epoch);
  checkpoint_meta_real(t, CHECKPOINT_BEST, p->best);
  checkpoint_meta_int(t, CHECKPOINT_BEST_EPOCH, p->best_epoch);
  checkpoint_meta_int(t, CHECKPOINT_STALLED, p->stalled);
  checkpoint_meta_int(t, CHECKPOINT_SEED, (int64_t)p->seed);
  checkpoint_meta_real(t, CHECKPOINT_LOSS_SUM, p->loss_sum);
  checkpoint_meta_real(t, CHECKPOINT_SEEN, p->seen);
  checkpoint_put(t, ",\"%s\":\"", gradrt_checkpoint_key(CHECKPOINT_COUNTERS));
  for (int i = 0; i < 64; i++)
    checkpoint_put(t, "%s%a", i ? " " : "", p->counters[i]);
  checkpoint_put(t, "\"");
  checkpoint_torch(t, &p->torch);
  snprintf(crc, sizeof crc, "%08" PRIx32, data_crc);
  checkpoint_meta(t, CHECKPOINT_DATA_CRC, crc);
}

static const char *checkpoint_tensors(checkpoint_text *t, const gradrt_net *net)
{
  size_t at = 0, real = gradrt_checkpoint_real(net);
  for (int i = 0; i < net->ntensor; i++) {
    const gradrt_tensor *x = &net->tensor[i];
    size_t bytes = (size_t)gradrt_tensor_elems(x) * real;
    checkpoint_put(t, ",");
    checkpoint_string(t, x->name);
    checkpoint_put(t, ":{\"dtype\":\"%s\",\"shape\":[", real == 8 ? "F64" : "F32");
    for (int k = 0; k < x->rank; k++)
      checkpoint_put(t, "%s%" PRId64, k ? "," : "", x->dim[k]);
    checkpoint_put(t, "],\"data_offsets\":[%zu,%zu]}", at, at + bytes);
    at += bytes;
  }
  checkpoint_put(t, "}");
  return t->at;
}

/* One tensor, row-major, in the net's real type. */
static void checkpoint_values(const gradrt_net *net, const gradrt_tensor *x, const void *state, double *wide,
                              unsigned char *out)
{
  int64_t n = gradrt_tensor_elems(x);
  gradrt_tensor_load(net, x, state, wide);
  for (int64_t i = 0; i < n; i++) {
    float narrow = (float)wide[i];
    if (net->real == GRADRT_F64)
      memcpy(out + (size_t)i * sizeof(double), &wide[i], sizeof(double));
    else
      memcpy(out + (size_t)i * sizeof(float), &narrow, sizeof(float));
  }
}

static unsigned char *checkpoint_data(const gradrt_net *net, const void *state, size_t *bytes)
{
  size_t real = gradrt_checkpoint_real(net), largest = 1, at = 0;
  *bytes = 0;
  for (int i = 0; i < net->ntensor; i++) {
    size_t n = (size_t)gradrt_tensor_elems(&net->tensor[i]);
    *bytes += n * real;
    largest = n > largest ? n : largest;
  }
  unsigned char *data = malloc(*bytes + 1);
  double *wide = malloc(largest * sizeof *wide);
  for (int i = 0; data && wide && i < net->ntensor; i++) {
    checkpoint_values(net, &net->tensor[i], state, wide, data + at);
    at += (size_t)gradrt_tensor_elems(&net->tensor[i]) * real;
  }
  if (!wide) {
    free(data);
    data = NULL;
  }
  free(wide);
  return data;
}

static void checkpoint_length(unsigned char out[8], uint64_t n)
{
  for (int i = 0; i < 8; i++)
    out[i] = (unsigned char)(n >> (8 * i));
}

/* Keeps the file that is about to be replaced as path.prev: at every instant one of both is complete. */
static void checkpoint_keep_previous(const char *path)
{
  size_t n = strlen(path);
  char *prev = malloc(n + 6);
  struct stat st;
  if (prev && stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
    memcpy(prev, path, n);
    memcpy(prev + n, ".prev", 6);
    unlink(prev);
    if (link(path, prev) != 0)
      errno = 0;                /* a file system without links keeps one file only */
  }
  free(prev);
}

int gradrt_checkpoint_write(const gradrt_net *net, const char *path, const void *state, const gradrt_position *p)
{
  size_t bytes;
  unsigned char length[8], *data = checkpoint_data(net, state, &bytes);
  checkpoint_text t = { 0 };
  if (data) {
    checkpoint_metadata(&t, net, p, gradrt_crc32c(0, data, bytes));
    checkpoint_put(&t, ",\"%s\":\"00000000\"}", gradrt_checkpoint_key(CHECKPOINT_HEADER_CRC));
    checkpoint_tensors(&t, net);
    while (t.at && !t.failed && t.n % 8)
      checkpoint_put(&t, " ");
  }
  if (!data || !t.at || t.failed) {
    free(data);
    free(t.at);
    return gradrt_error(GRADRT_LIMIT, "out of memory while saving '%s'", path);
  }
  checkpoint_length(length, t.n);
  uint32_t crc = gradrt_crc32c(gradrt_crc32c(0, length, 8), t.at, t.n);
  char field[64], *place;
  snprintf(field, sizeof field, "\"%s\":\"00000000\"", gradrt_checkpoint_key(CHECKPOINT_HEADER_CRC));
  place = strstr(t.at, field);
  if (place) {
    char digits[CHECKPOINT_DIGITS + 1];
    snprintf(digits, sizeof digits, "%08" PRIx32, crc);
    memcpy(place + strlen(field) - 1 - CHECKPOINT_DIGITS, digits, CHECKPOINT_DIGITS);
  }
  gradrt_writer *w = gradrt_writer_open(path);
  int code = w ? GRADRT_OK : GRADRT_IO;
  if (w) {
    gradrt_writer_put(w, length, 8);
    gradrt_writer_put(w, t.at, t.n);
    gradrt_writer_put(w, data, bytes);
    checkpoint_keep_previous(path);
    code = gradrt_writer_commit(w);
  }
  free(data);
  free(t.at);
  return code;
}
