/* Plain binary samples: raw files (the fields of a sample one after another, little-endian, no
 * header) and NumPy's .npy arrays whose first axis counts samples. */
#include "data.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RAW_CHUNK = 1 << 18, RAW_HEAD_MAX = 1 << 16, RAW_RANK_MAX = GRADRT_RANK_MAX + 1 };

static const char *raw_place(const gradrt_ask *a)
{
  return a->source->place ? a->source->place : a->net->file;
}

/* ---- raw ---- */

/* The type of a field inside the file: as in the rows, but real numbers as the option says. */
static gradrt_wire raw_wire(const gradrt_ask *a, const gradrt_field *f)
{
  bool wide = strcmp(gradrt_prop_text(a->source, "real", "f32"), "f64") == 0;
  switch (f->dtype) {
  case GRADRT_F32:
  case GRADRT_F64: return (gradrt_wire){ 'f', wide ? 8 : 4, false };
  case GRADRT_U8: return (gradrt_wire){ 'u', 1, false };
  case GRADRT_I32: return (gradrt_wire){ 'i', 4, false };
  case GRADRT_U32: return (gradrt_wire){ 'u', 4, false };
  case GRADRT_I64: return (gradrt_wire){ 'i', 8, false };
  }
  return (gradrt_wire){ 'u', 1, false };
}

/* Files for predict hold just the first field that is no label. */
static bool raw_is_there(const gradrt_ask *a, int field)
{
  int first = 0;
  while (first < a->net->nfield - 1 && a->net->field[first].is_label)
    first++;
  return !a->inputs || field == first;
}

/* Bytes of a sample in the file; false: none, or too many. */
static bool raw_record(const gradrt_ask *a, size_t *bytes)
{
  *bytes = 0;
  for (int i = 0; i < a->net->nfield; i++) {
    const gradrt_field *f = &a->net->field[i];
    size_t n = (size_t)raw_wire(a, f).size;
    for (int k = 0; k < f->rank; k++)
      if (!gradrt_mul_size(n, (size_t)f->dim[k], &n))
        return false;
    if (n > SIZE_MAX / 4 - *bytes)
      return false;
    *bytes += raw_is_there(a, i) ? n : 0;
  }
  return *bytes > 0;
}

/* Describes the record: "x 784 x u8, y 1 x i32". */
static void raw_describe(const gradrt_ask *a, char *text, size_t size)
{
  size_t at = 0;
  text[0] = 0;
  for (int i = 0; i < a->net->nfield && at < size; i++) {
    const gradrt_field *f = &a->net->field[i];
    gradrt_wire w = raw_wire(a, f);
    if (!raw_is_there(a, i))
      continue;
    int n = snprintf(text + at, size - at, "%s%s: %" PRId64 " x %c%d", at ? ", " : "", f->name,
                     gradrt_field_elems(f), w.kind, 8 * w.size);
    at += n > 0 ? (size_t)n : 0;
  }
}

/* One sample from the file's bytes into every field. */
static int raw_sample(const gradrt_ask *a, const char *path, const unsigned char *from, int64_t row,
                      gradrt_rows *out)
{
  for (int i = 0; i < a->net->nfield; i++) {
    const gradrt_field *f = &a->net->field[i];
    int64_t n = gradrt_field_elems(f);
    gradrt_wire w = raw_wire(a, f);
    if (!out->rows[i])
      continue;
    int64_t bad = gradrt_wire_copy(f->dtype, out->rows[i], row * n, w, from, n);
    if (bad >= 0)
      return gradrt_value_error(f, path, bad, gradrt_wire_get(w, from + (bad - row * n) * w.size));
    from += n * w.size;
  }
  return GRADRT_OK;
}

static int raw_fill(const gradrt_ask *a, gradrt_file *f, size_t record, gradrt_rows *out)
{
  int64_t some = (int64_t)(record < RAW_CHUNK ? RAW_CHUNK / record : 1);
  unsigned char *buffer = gradrt_alloc((size_t)some * record);
  int code = buffer ? GRADRT_OK
                    : gradrt_error(GRADRT_LIMIT, "out of memory for a sample of %zu bytes", record);
  for (int i = 0; i < a->net->nfield && code == GRADRT_OK; i++)
    if (raw_is_there(a, i))
      code = gradrt_rows_alloc(a, out, i);
  for (int64_t row = 0; row < out->n && code == GRADRT_OK;) {
    int64_t n = out->n - row < some ? out->n - row : some;
    code = gradrt_file_read(f, buffer, (size_t)n * record);
    for (int64_t k = 0; k < n && code == GRADRT_OK; k++)
      code = raw_sample(a, f->path, buffer + (size_t)k * record, row + k, out);
    row += n;
  }
  gradrt_free(buffer);
  for (int i = 0; i < a->net->nfield && code == GRADRT_OK; i++)
    if (a->net->field[i].is_label && out->rows[i])
      code = gradrt_labels_check(&a->net->field[i], f->path, "sample", out->rows[i], out->n);
  return code == GRADRT_OK ? gradrt_file_finish(f) : code;
}

int gradrt_read_raw(const gradrt_ask *a, gradrt_rows *out)
{
  const char *name = gradrt_prop_text(a->source, "path", NULL);
  char text[256];
  size_t record;
  gradrt_file f;
  if (!name)
    return gradrt_error(GRADRT_DATA, "%s: raw(..) needs the path of a file", raw_place(a));
  if (!raw_record(a, &record))
    return gradrt_error(GRADRT_LIMIT, "%s: the fields are too large for a file", raw_place(a));
  int code = gradrt_file_open(&f, a, name);
  if (code != GRADRT_OK)
    return code;
  raw_describe(a, text, sizeof text);
  if (f.size == 0 || (uint64_t)f.size % record != 0)
    code = gradrt_error(GRADRT_DATA,
                        "%s: %" PRId64 " bytes are not a whole number of samples of %zu bytes (%s)",
                        f.path, f.size, record, text);
  out->n = (int64_t)((uint64_t)f.size / record);
  if (code == GRADRT_OK)
    code = raw_fill(a, &f, record, out);
  gradrt_file_close(&f);
  return code;
}

/* ---- npy ---- */

typedef struct {
  gradrt_wire wire;
  int rank;
  int64_t dim[RAW_RANK_MAX];
} raw_npy;

static int raw_npy_error(const gradrt_file *f, const char *what)
{
  return gradrt_error(GRADRT_DATA, "%s: not a readable .npy file: %s", f->path, what);
}

/* The text after 'key': in the header's dictionary, or NULL. */
static const char *raw_npy_value(const char *head, const char *key)
{
  char quoted[32];
  for (int k = 0; k < 2; k++) {
    snprintf(quoted, sizeof quoted, k ? "\"%s\"" : "'%s'", key);
    const char *at = strstr(head, quoted);
    if (!at)
      continue;
    at += strlen(quoted);
    at += strspn(at, " ");
    if (*at++ == ':')
      return at + strspn(at, " ");
  }
  return NULL;
}

/* "'<f4'": byte order, kind, size. */
static bool raw_npy_type(const char *s, gradrt_wire *w)
{
  if (!s || (*s != '\'' && *s != '"'))
    return false;
  char order = *++s;
  if (strchr("<>|=", order) && order)
    s++;
  char kind = *s;
  int size = s[0] && s[1] >= '1' && s[1] <= '8' && (s[2] == '\'' || s[2] == '"') ? s[1] - '0' : 0;
  bool whole = (kind == 'u' || kind == 'i') && (size == 1 || size == 2 || size == 4 || size == 8);
  bool real = kind == 'f' && (size == 4 || size == 8);
  *w = (gradrt_wire){ kind == 'b' ? 'u' : kind, size, order == '>' };
  return whole || real || (kind == 'b' && size == 1);
}

/* "(60000, 28, 28)" */
static bool raw_npy_shape(const char *s, raw_npy *h)
{
  if (!s || *s++ != '(')
    return false;
  for (h->rank = 0; *s && *s != ')'; h->rank++) {
    char *end;
    if (h->rank == RAW_RANK_MAX || *s < '0' || *s > '9')
      return false;
    h->dim[h->rank] = (int64_t)strtoll(s, &end, 10);
    s = end + strspn(end, " ");
    if (*s == ',')
      s += 1 + strspn(s + 1, " ");
    else if (*s != ')')
      return false;
  }
  return *s == ')' && h->rank > 0;
}

static int raw_npy_parse(gradrt_file *f, char *text, raw_npy *h)
{
  const char *fortran = raw_npy_value(text, "fortran_order"), *type = raw_npy_value(text, "descr");
  if (!raw_npy_type(type, &h->wire))
    return gradrt_error(GRADRT_DATA, "%s: elements of type %.20s are not supported", f->path,
                        type ? type : "(none)");
  if (!raw_npy_shape(raw_npy_value(text, "shape"), h))
    return raw_npy_error(
        f, "its shape is not a list of at most 9 numbers, the first counting samples");
  if (!fortran || (strncmp(fortran, "False", 5) != 0 && h->rank > 1))
    return gradrt_error(GRADRT_DATA,
                        "%s: the array is stored by columns; save it with np.ascontiguousarray(a)",
                        f->path);
  size_t bytes = (size_t)h->wire.size;
  bool fits = true;
  for (int i = 0; i < h->rank; i++)
    fits = fits && gradrt_mul_size(bytes, (size_t)h->dim[i], &bytes) && bytes < SIZE_MAX / 2;
  if (fits && bytes == (size_t)(f->size - f->at))
    return GRADRT_OK;
  char shape[GRADRT_DATA_SHAPE];
  return gradrt_error(GRADRT_DATA,
                      "%s: %" PRId64
                      " bytes follow the header, which promises %s elements of %d byte%s",
                      f->path, f->size - f->at, gradrt_shape_text(shape, h->rank, h->dim),
                      h->wire.size, h->wire.size == 1 ? "" : "s");
}

static int raw_npy_head(gradrt_file *f, raw_npy *h)
{
  unsigned char b[12];
  if (f->size < 12)
    return raw_npy_error(f, "it is too short");
  int code = gradrt_file_read(f, b, 10);
  if (code == GRADRT_OK && memcmp(b, "\x93NUMPY", 6) != 0)
    return raw_npy_error(f, "it does not begin with \\x93NUMPY");
  size_t n = (size_t)b[8] | (size_t)b[9] << 8;
  if (code == GRADRT_OK && b[6] > 1) {
    code = gradrt_file_read(f, b + 10, 2);
    n |= (size_t)b[10] << 16 | (size_t)b[11] << 24;
  }
  if (code != GRADRT_OK)
    return code;
  if (n > RAW_HEAD_MAX || (uint64_t)n > (uint64_t)(f->size - f->at))
    return raw_npy_error(f, "its header is longer than the file or than 64 KiB");
  char *text = gradrt_alloc(n + 1);
  if (!text)
    return gradrt_error(GRADRT_LIMIT, "out of memory");
  code = gradrt_file_read(f, text, n);
  code = code == GRADRT_OK ? raw_npy_parse(f, text, h) : code;
  gradrt_free(text);
  return code;
}

/* Reads one array into the field's rows. */
static int raw_npy_fill(const gradrt_ask *a, gradrt_file *f, const raw_npy *h, int field,
                        gradrt_rows *out)
{
  const gradrt_field *to = &a->net->field[field];
  int64_t total = h->dim[0] * gradrt_field_elems(to), chunk = RAW_CHUNK / h->wire.size;
  int code = gradrt_rows_alloc(a, out, field);
  unsigned char *buffer = gradrt_alloc(RAW_CHUNK);
  if (code == GRADRT_OK && !buffer)
    code = gradrt_error(GRADRT_LIMIT, "out of memory");
  for (int64_t at = 0; at < total && code == GRADRT_OK; at += chunk) {
    int64_t n = total - at < chunk ? total - at : chunk;
    code = gradrt_file_read(f, buffer, (size_t)(n * h->wire.size));
    int64_t bad = code == GRADRT_OK
                      ? gradrt_wire_copy(to->dtype, out->rows[field], at, h->wire, buffer, n)
                      : -1;
    if (bad >= 0)
      code = gradrt_value_error(to, f->path, bad,
                                gradrt_wire_get(h->wire, buffer + (bad - at) * h->wire.size));
  }
  gradrt_free(buffer);
  if (code == GRADRT_OK && to->is_label)
    code = gradrt_labels_check(to, f->path, "sample", out->rows[field], out->n);
  return code == GRADRT_OK ? gradrt_file_finish(f) : code;
}

static int raw_npy_begin(const gradrt_ask *a, const char *name, int field, gradrt_file *f,
                         raw_npy *h)
{
  const gradrt_field *to = &a->net->field[field];
  int code = gradrt_file_open(f, a, name);
  code = code == GRADRT_OK ? raw_npy_head(f, h) : code;
  if (code != GRADRT_OK)
    return code;
  if (h->dim[0] == 0)
    return gradrt_error(GRADRT_DATA, "%s: the file holds no samples", f->path);
  return gradrt_shape_check(to, f->path, h->rank - 1, h->dim + 1);
}

int gradrt_read_npy(const gradrt_ask *a, gradrt_rows *out)
{
  static const char *const names[2] = { "images", "labels" };
  gradrt_file f[2] = { { .fd = -1 }, { .fd = -1 } };
  raw_npy h[2] = { { .rank = 0 }, { .rank = 0 } };
  int field[2], code = gradrt_fields_pair(a, &field[0], &field[1]);
  for (int k = 0; k < 2 && code == GRADRT_OK; k++) {
    const char *name = gradrt_prop_text(a->source, names[k], NULL);
    if (field[k] < 0)
      continue;
    if (!name)
      code =
          gradrt_error(GRADRT_DATA, "%s: field '%s' has no file: npy(..) needs the path of the %s",
                       raw_place(a), a->net->field[field[k]].name, names[k]);
    else
      code = raw_npy_begin(a, name, field[k], &f[k], &h[k]);
  }
  if (code == GRADRT_OK && field[0] >= 0 && field[1] >= 0 && h[0].dim[0] != h[1].dim[0])
    code = gradrt_error(GRADRT_DATA, "%s has %" PRId64 " samples, but %s has %" PRId64 " labels",
                        f[0].path, h[0].dim[0], f[1].path, h[1].dim[0]);
  out->n = field[0] >= 0 ? h[0].dim[0] : h[1].dim[0];
  for (int k = 0; k < 2 && code == GRADRT_OK; k++)
    if (field[k] >= 0)
      code = raw_npy_fill(a, &f[k], &h[k], field[k], out);
  gradrt_file_close(&f[0]);
  gradrt_file_close(&f[1]);
  return code;
}
