/* Element types and tensor types: tables, comparison and text. */
#include "ir/type.h"
#include "base/out.h"
#include "base/str.h"
#include "base/util.h"

#include <string.h>

static const struct {
  const char *text, *c;
  int bytes;
} dtypes[] = {
#define X(k, text, bytes, c) [DT_##k] = { text, c, bytes },
  DTYPES(X)
#undef X
};

static int row(DType t)
{
  if ((int)t < 0 || t >= DT_COUNT)
    ice("there is no element type number %d", (int)t);
  return (int)t;
}

const char *dtype_text(DType t) { return dtypes[row(t)].text; }
const char *dtype_c(DType t) { return dtypes[row(t)].c; }
int dtype_bytes(DType t) { return dtypes[row(t)].bytes; }
bool dtype_is_real(DType t) { return t == DT_F32 || t == DT_F64; }

bool dtype_parse(const char *text, DType *out)
{
  for (int i = 0; i < DT_COUNT; i++)
    if (str_eq(dtypes[i].text, text)) {
      *out = (DType)i;
      return true;
    }
  return false;
}

Type type_make(DType dtype, bool batched, int rank, const int64_t *dim)
{
  Type t = { .dtype = dtype, .batched = batched, .rank = rank };
  if (rank < 0 || rank > RANK_MAX)
    ice("a tensor of rank %d", rank);
  for (int i = 0; i < rank; i++)
    t.dim[i] = dim[i];
  return t;
}

Type type_scalar(DType dtype, bool batched) { return type_make(dtype, batched, 0, NULL); }

bool type_same_shape(const Type *a, const Type *b)
{
  if (a->batched != b->batched || a->rank != b->rank)
    return false;
  for (int i = 0; i < a->rank; i++)
    if (a->dim[i] != b->dim[i])
      return false;
  return true;
}

bool type_equal(const Type *a, const Type *b)
{
  return a->dtype == b->dtype && type_same_shape(a, b);
}

int64_t type_elems(const Type *t)
{
  int64_t n = 1;
  for (int i = 0; i < t->rank; i++)
    if (t->dim[i] < 0 || !checked_mul(n, t->dim[i], &n))
      return -1;
  return n;
}

static const char *text_of(Arena *a, const Type *t, bool batch, bool empty)
{
  Out *o = out_new(a);
  out_printf(o, "%s", dtype_text(t->dtype));
  if (batch || t->rank || empty) {
    const char *before = "[";
    if (batch) {
      out_printf(o, "[n");
      before = ",";
    }
    for (int i = 0; i < t->rank; i++, before = ",")
      out_printf(o, "%s%lld", before, (long long)t->dim[i]);
    out_printf(o, "%s]", batch || t->rank ? "" : "[");
  }
  return out_text(o);
}

const char *type_text(Arena *a, const Type *t) { return text_of(a, t, t->batched, true); }
const char *type_user(Arena *a, const Type *t) { return text_of(a, t, false, false); }

/* ---- reading ---- */

static bool element_type(const char *text, size_t n, size_t *at, DType *out)
{
  for (int i = 0; i < DT_COUNT; i++) {
    size_t length = strlen(dtypes[i].text);
    if (n > length && memcmp(text, dtypes[i].text, length) == 0) {
      *out = (DType)i;
      *at = length;
      return true;
    }
  }
  return false;
}

static bool dimension(const char *text, size_t n, size_t *at, int64_t *out)
{
  size_t start = *at;
  *out = 0;
  while (*at < n && text[*at] >= '0' && text[*at] <= '9')
    if (!checked_mul(*out, 10, out) || !checked_add(*out, text[(*at)++] - '0', out))
      return false;
  return *at > start;
}

size_t type_parse(const char *text, size_t n, Type *out)
{
  size_t at = 0;
  *out = (Type){ 0 };
  if (!element_type(text, n, &at, &out->dtype) || text[at] != '[')
    return 0;
  at++;
  bool first = true;
  while (at < n && text[at] != ']') {
    if (!first && text[at++] != ',')
      return 0;
    if (first && at < n && text[at] == 'n') {
      out->batched = true;
      at++;
    } else if (out->rank == RANK_MAX || !dimension(text, n, &at, &out->dim[out->rank++]))
      return 0;
    first = false;
  }
  return at < n ? at + 1 : 0;
}
