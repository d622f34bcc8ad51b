/* The header of a safetensors file: a strict parser of the JSON it may hold, on bytes nobody
 * trusts.
 *
 * The format needs objects of known shape only, so there is no recursion: {name: {"dtype", "shape",
 * "data_offsets"}, .., "__metadata__": {text: text}}. Strings are decoded where they stand; what
 * they decode to is never longer than what is written, and a NUL takes the place of the closing
 * quote. */
#include "checkpoint.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAFETENSORS_INTEGER_MAX (INT64_C(1) << 53)

typedef struct {
  char *text;
  int64_t at, n;
  gradrt_refusal *why;
} safetensors_scan;

bool gradrt_refuse(gradrt_refusal *r, int code, const char *fmt, ...)
{
  va_list ap;
  r->code = code;
  va_start(ap, fmt);
  vsnprintf(r->text, sizeof r->text, fmt, ap);
  va_end(ap);
  return false;
}

const char *gradrt_safetensors_dtype_name(gradrt_safetensors_dtype d)
{
  static const char *const names[] = {
#define X(name, bytes) #name,
    SAFETENSORS_DTYPES(X)
#undef X
  };
  return names[d];
}

int64_t gradrt_safetensors_dtype_size(gradrt_safetensors_dtype d)
{
  static const int64_t sizes[] = {
#define X(name, bytes) bytes,
    SAFETENSORS_DTYPES(X)
#undef X
  };
  return sizes[d];
}

/* ---- tokens ---- */

static bool safetensors_wrong(safetensors_scan *s, const char *what)
{
  return gradrt_refuse(s->why, GRADRT_CHECKPOINT, "its header is damaged at byte %" PRId64 ": %s",
                       s->at + 8, what);
}

static char safetensors_peek(safetensors_scan *s)
{
  while (s->at < s->n && (s->text[s->at] == ' ' || s->text[s->at] == '\n' ||
                          s->text[s->at] == '\t' || s->text[s->at] == '\r'))
    s->at++;
  return s->at < s->n ? s->text[s->at] : '\0';
}

static bool safetensors_accept(safetensors_scan *s, char c)
{
  if (safetensors_peek(s) != c)
    return false;
  s->at++;
  return true;
}

static bool safetensors_expect(safetensors_scan *s, char c)
{
  char text[] = "expected ' '";
  text[10] = c;
  return safetensors_accept(s, c) || safetensors_wrong(s, text);
}

/* After an element of a list: more is set when a comma follows, else the closing bracket is taken.
 */
static bool safetensors_more(safetensors_scan *s, char close, bool *more)
{
  *more = safetensors_accept(s, ',');
  return *more || safetensors_expect(s, close);
}

/* Four hex digits of an escape; -1: not four. */
static int64_t safetensors_hex4(safetensors_scan *s)
{
  int64_t v = 0;
  for (int i = 0; i < 4; i++, s->at++) {
    char c = s->at < s->n ? s->text[s->at] : '\0';
    if (c >= '0' && c <= '9')
      v = v * 16 + (c - '0');
    else if (c >= 'a' && c <= 'f')
      v = v * 16 + (c - 'a') + 10;
    else if (c >= 'A' && c <= 'F')
      v = v * 16 + (c - 'A') + 10;
    else
      return -1;
  }
  return v;
}

static int safetensors_encode(char *out, int64_t c)
{
  if (c < 0x80) {
    out[0] = (char)c;
    return 1;
  }
  int n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
  for (int i = n - 1; i > 0; i--, c >>= 6)
    out[i] = (char)(0x80 | (c & 0x3F));
  out[0] = (char)((n == 2 ? 0xC0 : n == 3 ? 0xE0 : 0xF0) | c);
  return n;
}

/* The escape after a backslash, into out (at most 4 bytes, fewer than it is written with); 0:
 * wrong. */
static int safetensors_escape(safetensors_scan *s, char *out)
{
  static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
  char c = s->at < s->n ? s->text[s->at++] : '\0';
  const char *simple = c ? strchr(from, c) : NULL;
  if (simple) {
    *out = to[simple - from];
    return 1;
  }
  int64_t v = c == 'u' ? safetensors_hex4(s) : -1;
  if (v >= 0xD800 && v < 0xDC00) {
    bool pair = s->n - s->at >= 6 && s->text[s->at] == '\\' && s->text[s->at + 1] == 'u';
    s->at += pair ? 2 : 0;
    int64_t low = pair ? safetensors_hex4(s) : -1;
    v = low >= 0xDC00 && low < 0xE000 ? 0x10000 + ((v - 0xD800) << 10) + (low - 0xDC00) : -1;
  } else if (v >= 0xDC00 && v < 0xE000) {
    v = -1;
  }
  return v > 0 ? safetensors_encode(out, v) : 0;
}

/* Bytes of the well-formed UTF-8 sequence at p, of at most n; 0: none. */
int gradrt_safetensors_utf8(const char *p, int64_t n)
{
  const unsigned char *u = (const unsigned char *)p;
  if (u[0] < 0x80)
    return 1;
  int bytes = u[0] >= 0xC2 && u[0] < 0xE0   ? 2
              : (u[0] & 0xF0) == 0xE0       ? 3
              : u[0] >= 0xF0 && u[0] < 0xF5 ? 4
                                            : 0;
  if (bytes == 0 || bytes > n)
    return 0;
  uint32_t c = bytes == 2 ? u[0] & 0x1Fu : bytes == 3 ? u[0] & 0x0Fu : u[0] & 0x07u;
  for (int i = 1; i < bytes; i++) {
    if ((u[i] & 0xC0) != 0x80)
      return 0;
    c = c << 6 | (u[i] & 0x3Fu);
  }
  bool wrong = (bytes == 3 && c < 0x800) || (bytes == 4 && (c < 0x10000 || c > 0x10FFFF)) ||
               (c >= 0xD800 && c < 0xE000);
  return wrong ? 0 : bytes;
}

static bool safetensors_string(safetensors_scan *s, const char **out)
{
  if (!safetensors_expect(s, '"'))
    return false;
  char *start = s->text + s->at, *end = start;
  while (s->at < s->n && s->text[s->at] != '"') {
    char c = s->text[s->at];
    int take = gradrt_safetensors_utf8(s->text + s->at, s->n - s->at);
    if ((unsigned char)c < 0x20 || take == 0)
      return safetensors_wrong(s, take ? "a control character in a string"
                                       : "a string that is not UTF-8");
    if (c != '\\') {
      memmove(end, s->text + s->at, (size_t)take);
      s->at += take;
      end += take;
      continue;
    }
    s->at++;
    char decoded[4];
    int n = safetensors_escape(s, decoded);
    if (n == 0)
      return safetensors_wrong(s, "a wrong escape in a string");
    memcpy(end, decoded, (size_t)n);
    end += n;
  }
  if (s->at == s->n)
    return safetensors_wrong(s, "a string without an end");
  s->at++;
  *end = '\0';
  *out = start;
  return true;
}

/* A key: short, and without characters that could hide it. */
static bool safetensors_name(safetensors_scan *s, const char **out)
{
  if (!safetensors_string(s, out))
    return false;
  if (strlen(*out) > SAFETENSORS_NAME_MAX)
    return safetensors_wrong(s, "a name of more than 256 bytes");
  for (const char *p = *out; *p; p++)
    if ((unsigned char)*p < 0x20 || *p == 0x7F)
      return safetensors_wrong(s, "a control character in a name");
  return safetensors_expect(s, ':');
}

static bool safetensors_integer(safetensors_scan *s, int64_t *out)
{
  char first = safetensors_peek(s);
  int64_t v = 0, digits = 0;
  for (; s->at < s->n && s->text[s->at] >= '0' && s->text[s->at] <= '9'; s->at++, digits++) {
    v = v * 10 + (s->text[s->at] - '0');
    if (v > SAFETENSORS_INTEGER_MAX)
      return safetensors_wrong(s, "a number that is too large");
  }
  if (digits == 0 || (first == '0' && digits > 1))
    return safetensors_wrong(s, "expected a whole number");
  *out = v;
  return true;
}

/* ---- members ---- */

static bool safetensors_grow(void **at, int64_t n, int64_t *cap, int64_t max, size_t size)
{
  if (n < *cap)
    return true;
  int64_t more = *cap ? *cap * 2 : 32;
  void *p = n < max ? realloc(*at, (size_t)more * size) : NULL;
  if (!p)
    return false;
  *at = p;
  *cap = more;
  return true;
}

static bool safetensors_metadata(safetensors_scan *s, gradrt_safetensors *h)
{
  bool more = false;
  if (!safetensors_expect(s, '{'))
    return false;
  if (safetensors_accept(s, '}'))
    return true;
  do {
    void *grown = h->pair;
    if (!safetensors_grow(&grown, h->npair, &h->pair_cap, SAFETENSORS_PAIRS_MAX, sizeof *h->pair))
      return gradrt_refuse(s->why, GRADRT_LIMIT, "its header has too many entries");
    h->pair = grown;
    gradrt_safetensors_pair *p = &h->pair[h->npair];
    if (!safetensors_name(s, &p->key) || !safetensors_string(s, &p->value) ||
        !safetensors_more(s, '}', &more))
      return false;
    h->npair++;
  } while (more);
  return true;
}

static bool safetensors_shape(safetensors_scan *s, gradrt_safetensor *t)
{
  bool more = false;
  if (!safetensors_expect(s, '['))
    return false;
  if (safetensors_accept(s, ']'))
    return true;
  do {
    if (t->rank == SAFETENSORS_RANK_MAX)
      return safetensors_wrong(s, "a tensor of more than 8 dimensions");
    if (!safetensors_integer(s, &t->dim[t->rank++]) || !safetensors_more(s, ']', &more))
      return false;
  } while (more);
  return true;
}

static bool safetensors_dtype(safetensors_scan *s, gradrt_safetensor *t)
{
  const char *word;
  if (!safetensors_string(s, &word))
    return false;
  for (int d = 0; d < SAFETENSORS_DTYPE_COUNT; d++)
    if (strcmp(word, gradrt_safetensors_dtype_name((gradrt_safetensors_dtype)d)) == 0) {
      t->dtype = (gradrt_safetensors_dtype)d;
      return true;
    }
  return gradrt_refuse(s->why, GRADRT_CHECKPOINT, "tensor '%s' has the unknown type '%.40s'",
                       t->name, word);
}

static bool safetensors_offsets(safetensors_scan *s, gradrt_safetensor *t)
{
  return safetensors_expect(s, '[') && safetensors_integer(s, &t->begin) &&
         safetensors_expect(s, ',') && safetensors_integer(s, &t->end) &&
         safetensors_expect(s, ']');
}

/* The three members of a tensor, each once, in any order. */
static bool safetensors_tensor(safetensors_scan *s, gradrt_safetensor *t)
{
  enum { DTYPE = 1, SHAPE = 2, OFFSETS = 4 };
  int seen = 0;
  bool more = false;
  if (!safetensors_expect(s, '{'))
    return false;
  do {
    const char *key;
    if (!safetensors_name(s, &key))
      return false;
    int member = strcmp(key, "dtype") == 0 ? DTYPE
                 : strcmp(key, "shape") == 0 ? SHAPE
                 : strcmp(key, "data_offsets") == 0 ? OFFSETS : 0;
    if (member == 0 || seen & member)
      return safetensors_wrong(s,
                               member ? "a member given twice" : "an unknown member of a tensor");
    seen |= member;
    bool good = member == DTYPE ? safetensors_dtype(s, t)
                : member == SHAPE ? safetensors_shape(s, t) : safetensors_offsets(s, t);
    if (!good || !safetensors_more(s, '}', &more))
      return false;
  } while (more);
  return seen == (DTYPE | SHAPE | OFFSETS) ||
         gradrt_refuse(s->why, GRADRT_CHECKPOINT, "tensor '%s' lacks its type, shape or place",
                       t->name);
}

static bool safetensors_object(safetensors_scan *s, gradrt_safetensors *h)
{
  bool more = false, metadata = false;
  if (s->n == 0 || s->text[0] != '{')
    return safetensors_wrong(s, "expected '{'");
  s->at = 1;
  if (safetensors_accept(s, '}'))
    return true;
  do {
    const char *name;
    if (!safetensors_name(s, &name))
      return false;
    if (strcmp(name, "__metadata__") == 0) {
      if (metadata)
        return safetensors_wrong(s, "__metadata__ given twice");
      metadata = true;
      if (!safetensors_metadata(s, h))
        return false;
    } else {
      void *grown = h->tensor;
      if (!safetensors_grow(&grown, h->ntensor, &h->tensor_cap, SAFETENSORS_TENSORS_MAX,
                            sizeof *h->tensor))
        return gradrt_refuse(s->why, GRADRT_LIMIT, "its header has too many tensors");
      h->tensor = grown;
      h->tensor[h->ntensor] = (gradrt_safetensor){ .name = name, .use = -1 };
      if (!safetensors_tensor(s, &h->tensor[h->ntensor]))
        return false;
      h->ntensor++;
    }
    if (!safetensors_more(s, '}', &more))
      return false;
  } while (more);
  return true;
}

/* ---- what the members say together ---- */

static int safetensors_by_name(const void *a, const void *b)
{
  return strcmp(((const gradrt_safetensor *)a)->name, ((const gradrt_safetensor *)b)->name);
}

static int safetensors_by_place(const void *a, const void *b)
{
  const gradrt_safetensor *x = a, *y = b;
  if (x->begin != y->begin)
    return x->begin < y->begin ? -1 : 1;
  if (x->end != y->end)
    return x->end < y->end ? -1 : 1;
  return strcmp(x->name, y->name);
}

static int safetensors_by_key(const void *a, const void *b)
{
  return strcmp(((const gradrt_safetensors_pair *)a)->key,
                ((const gradrt_safetensors_pair *)b)->key);
}

/* Bytes of a tensor, or -1 when they are more than a file can have. Zero first: no product before
 * it. */
static int64_t safetensors_bytes(const gradrt_safetensor *t)
{
  int64_t n = gradrt_safetensors_dtype_size(t->dtype);
  for (int i = 0; i < t->rank; i++)
    if (t->dim[i] == 0)
      return 0;
  for (int i = 0; i < t->rank; i++) {
    if (n > SAFETENSORS_INTEGER_MAX / t->dim[i])
      return -1;
    n *= t->dim[i];
  }
  return n;
}

static bool safetensors_unique(gradrt_safetensors *h, gradrt_refusal *why)
{
  if (h->ntensor > 1)
    qsort(h->tensor, (size_t)h->ntensor, sizeof *h->tensor, safetensors_by_name);
  for (int64_t i = 1; i < h->ntensor; i++)
    if (strcmp(h->tensor[i - 1].name, h->tensor[i].name) == 0)
      return gradrt_refuse(why, GRADRT_CHECKPOINT, "tensor '%s' is listed twice",
                           h->tensor[i].name);
  if (h->npair > 1)
    qsort(h->pair, (size_t)h->npair, sizeof *h->pair, safetensors_by_key);
  for (int64_t i = 1; i < h->npair; i++)
    if (strcmp(h->pair[i - 1].key, h->pair[i].key) == 0)
      return gradrt_refuse(why, GRADRT_CHECKPOINT, "the metadata '%s' is listed twice",
                           h->pair[i].key);
  return true;
}

/* The tensors fill the data from 0 to its end, without holes. */
static bool safetensors_places(gradrt_safetensors *h, int64_t data_bytes, gradrt_refusal *why)
{
  int64_t at = 0;
  if (h->ntensor > 1)
    qsort(h->tensor, (size_t)h->ntensor, sizeof *h->tensor, safetensors_by_place);
  for (int64_t i = 0; i < h->ntensor; i++) {
    const gradrt_safetensor *t = &h->tensor[i];
    int64_t bytes = safetensors_bytes(t);
    if (t->begin != at || t->end < t->begin)
      return gradrt_refuse(why, GRADRT_CHECKPOINT,
                           "tensor '%s' lies at bytes %" PRId64 " to %" PRId64
                           " of the data; expected it at %" PRId64,
                           t->name, t->begin, t->end, at);
    if (t->end - t->begin != bytes)
      return gradrt_refuse(why, GRADRT_CHECKPOINT,
                           "tensor '%s' has %" PRId64
                           " bytes, which its shape and type do not need",
                           t->name, t->end - t->begin);
    at = t->end;
  }
  if (at != data_bytes)
    return gradrt_refuse(why, GRADRT_CHECKPOINT,
                         "its tensors need %" PRId64 " bytes of data, but it has %" PRId64
                         " (a file cut short, or with something after its end)", at, data_bytes);
  return true;
}

bool gradrt_safetensors_parse(gradrt_safetensors *h, int64_t data_bytes, gradrt_refusal *why)
{
  safetensors_scan s = { h->bytes, 0, h->n, why };
  if (!safetensors_object(&s, h))
    return false;
  for (; s.at < s.n; s.at++)
    if (s.text[s.at] != ' ')
      return safetensors_wrong(&s, "something after its end");
  return safetensors_unique(h, why) && safetensors_places(h, data_bytes, why);
}

void gradrt_safetensors_free(gradrt_safetensors *h)
{
  free(h->bytes);
  free(h->tensor);
  free(h->pair);
  *h = (gradrt_safetensors){ 0 };
}

const char *gradrt_safetensors_value(const gradrt_safetensors *h, const char *key)
{
  gradrt_safetensors_pair want = { key, NULL };
  const gradrt_safetensors_pair *p =
      h->npair ? bsearch(&want, h->pair, (size_t)h->npair, sizeof want, safetensors_by_key) : NULL;
  return p ? p->value : NULL;
}
