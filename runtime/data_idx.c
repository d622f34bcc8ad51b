/* IDX files (the format of MNIST), plain or compressed by gzip: two zero bytes, a type, a rank,
 * big-endian dimensions, then the elements. The first dimension counts samples.
 *
 * The only file that needs zlib, and only with GRADRT_ZLIB. Nothing is allocated before the header
 * agrees with the size of the file; a compressed file may not claim more than deflate can pack into
 * it. */
#include "data.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#ifdef GRADRT_ZLIB
#include <zlib.h>
#endif

enum { IDX_RANK_MAX = GRADRT_RANK_MAX + 1, IDX_CHUNK = 1 << 18, IDX_RATIO_MAX = 1100 };

/* Bytes of a file after decompression. */
typedef struct {
  gradrt_file file;
  bool zipped;
#ifdef GRADRT_ZLIB
  z_stream z;
  bool open, ended;             /* z is initialised; the last member has ended */
  unsigned char *in;            /* IDX_CHUNK compressed bytes */
#endif
} idx_stream;

typedef struct {
  gradrt_wire wire;
  int rank;                     /* with the axis of samples */
  int64_t dim[IDX_RANK_MAX];
  int64_t elems;                /* per sample */
} idx_head;

/* ---- bytes ---- */

static void idx_close(idx_stream *s)
{
#ifdef GRADRT_ZLIB
  if (s->open)
    inflateEnd(&s->z);
  s->open = false;
  gradrt_free(s->in);
  s->in = NULL;
#endif
  gradrt_file_close(&s->file);
}

#ifdef GRADRT_ZLIB
static int idx_start_zip(idx_stream *s)
{
  s->in = gradrt_alloc(IDX_CHUNK);
  s->open = s->in && inflateInit2(&s->z, 16 + MAX_WBITS) == Z_OK;
  return s->open ? GRADRT_OK
                 : gradrt_error(GRADRT_LIMIT, "%s: out of memory to decompress it", s->file.path);
}

static int idx_zip_error(const idx_stream *s, const char *what)
{
  return gradrt_error(GRADRT_DATA, "%s: damaged gzip data near byte %" PRId64 ": %s", s->file.path,
                      s->file.at - (int64_t)s->z.avail_in, what);
}

/* Gives inflate more to eat. A file that ends here leaves it nothing. */
static int idx_feed(idx_stream *s)
{
  int64_t left = s->file.size - s->file.at;
  size_t n = left < IDX_CHUNK ? (size_t)left : IDX_CHUNK;
  s->z.next_in = s->in;
  s->z.avail_in = (uInt)n;
  return gradrt_file_read(&s->file, s->in, n);
}

/* Up to n decompressed bytes; *got < n only at the end of the file. */
static int idx_inflate(idx_stream *s, void *bytes, size_t n, size_t *got)
{
  *got = 0;
  while (*got < n && !(s->ended && s->z.avail_in == 0 && s->file.at == s->file.size)) {
    if (s->z.avail_in == 0) {
      int code = idx_feed(s);
      if (code != GRADRT_OK)
        return code;
      if (s->z.avail_in == 0)
        return idx_zip_error(s, "the file is cut short");
    }
    if (s->ended && inflateReset(&s->z) != Z_OK)
      return idx_zip_error(s, "inflate failed");
    s->ended = false;
    size_t part = n - *got < (size_t)1 << 30 ? n - *got : (size_t)1 << 30;
    s->z.next_out = (unsigned char *)bytes + *got;
    s->z.avail_out = (uInt)part;
    int r = inflate(&s->z, Z_NO_FLUSH);
    *got += part - s->z.avail_out;
    s->ended = r == Z_STREAM_END;
    if (r != Z_OK && r != Z_STREAM_END)
      return idx_zip_error(s, s->z.msg ? s->z.msg : "inflate failed");
  }
  return GRADRT_OK;
}
#endif

static int idx_open(idx_stream *s, const gradrt_ask *a, const char *name)
{
  unsigned char magic[2] = { 0 };
  int code = gradrt_file_open(&s->file, a, name);
  if (code == GRADRT_OK && s->file.size >= 2)
    code = gradrt_file_read(&s->file, magic, sizeof magic);
  s->file.at = 0;
  s->zipped = magic[0] == 0x1F && magic[1] == 0x8B;
  if (code != GRADRT_OK || !s->zipped)
    return code;
#ifdef GRADRT_ZLIB
  return idx_start_zip(s);
#else
  code = gradrt_error(GRADRT_DATA,
                      "%s: the file is compressed and this program was built without zlib",
                      s->file.path);
  gradrt_note(
      "unpack it with gunzip and name the unpacked file, or compile with -DGRADRT_ZLIB and "
      "link with -lz");
  return code;
#endif
}

/* Up to n bytes; *got < n only at the end of the file. */
static int idx_read(idx_stream *s, void *bytes, size_t n, size_t *got)
{
#ifdef GRADRT_ZLIB
  if (s->zipped)
    return idx_inflate(s, bytes, n, got);
#endif
  int64_t left = s->file.size - s->file.at;
  *got = (uint64_t)left < n ? (size_t)left : n;
  return gradrt_file_read(&s->file, bytes, *got);
}

/* ---- header ---- */

static bool idx_wire(int code, gradrt_wire *w)
{
  switch (code) {
  case 0x08: *w = (gradrt_wire){ 'u', 1, true }; return true;
  case 0x09: *w = (gradrt_wire){ 'i', 1, true }; return true;
  case 0x0B: *w = (gradrt_wire){ 'i', 2, true }; return true;
  case 0x0C: *w = (gradrt_wire){ 'i', 4, true }; return true;
  case 0x0D: *w = (gradrt_wire){ 'f', 4, true }; return true;
  case 0x0E: *w = (gradrt_wire){ 'f', 8, true }; return true;
  default: return false;
  }
}

/* What a file is that begins with something else, for people. */
static const char *idx_other_format(const unsigned char *b)
{
  if (memcmp(b, "\x89PNG", 4) == 0)
    return "a PNG image";
  if (b[0] == 0xFF && b[1] == 0xD8)
    return "a JPEG image";
  if (memcmp(b, "\x93NUM", 4) == 0)
    return "a NumPy file (use npy(..))";
  if (memcmp(b, "PK\3\4", 4) == 0)
    return "a zip archive";
  if (b[0] == '<')
    return "a web page or XML";
  return NULL;
}

static int idx_magic_error(const idx_stream *s, const unsigned char *b)
{
  int code = gradrt_error(
      GRADRT_DATA,
      "%s: not an IDX file: it begins with %02x %02x %02x %02x, not with 00 00, a type "
      "and a number of dimensions",
      s->file.path, b[0], b[1], b[2], b[3]);
  if (idx_other_format(b))
    gradrt_note("it looks like %s", idx_other_format(b));
  return code;
}

/* Number of payload bytes; false: overflow. */
static bool idx_payload(const idx_head *h, size_t *bytes)
{
  bool fits = gradrt_mul_size((size_t)h->wire.size, (size_t)h->dim[0], bytes);
  for (int i = 1; i < h->rank; i++)
    fits = fits && gradrt_mul_size(*bytes, (size_t)h->dim[i], bytes) && *bytes < SIZE_MAX / 2;
  return fits;
}

/* The header must agree with the size of the file. */
static int idx_size_check(const idx_stream *s, const idx_head *h)
{
  char shape[GRADRT_DATA_SHAPE];
  size_t payload, head = 4 + 4 * (size_t)h->rank, size = (size_t)s->file.size;
  if (!idx_payload(h, &payload))
    return gradrt_error(GRADRT_DATA,
                        "%s: the header promises %s elements, more than any file holds",
                        s->file.path, gradrt_shape_text(shape, h->rank, h->dim));
  if (s->zipped && payload / IDX_RATIO_MAX > size)
    return gradrt_error(
        GRADRT_DATA,
        "%s: the header promises %zu bytes, which cannot come from %zu compressed bytes",
        s->file.path, payload, size);
  if (s->zipped || size == head + payload)
    return GRADRT_OK;
  return gradrt_error(
      GRADRT_DATA,
      "%s: the file has %zu bytes, but its header promises %s elements of %d byte%s, which "
      "makes %zu (the file is %s)",
      s->file.path, size, gradrt_shape_text(shape, h->rank, h->dim), h->wire.size,
      h->wire.size == 1 ? "" : "s", head + payload,
      size < head + payload ? "cut short" : "too long");
}

static int idx_read_header(idx_stream *s, idx_head *h)
{
  unsigned char b[4 + 4 * IDX_RANK_MAX] = { 0 };
  size_t got;
  int code = idx_read(s, b, 4, &got);
  if (code != GRADRT_OK)
    return code;
  if (got < 4)
    return gradrt_error(GRADRT_DATA, "%s: not an IDX file: it has only %zu bytes", s->file.path,
                        got);
  if (b[0] || b[1] || !idx_wire(b[2], &h->wire) || b[3] < 1 || b[3] > IDX_RANK_MAX)
    return idx_magic_error(s, b);
  h->rank = b[3];
  code = idx_read(s, b + 4, 4 * (size_t)h->rank, &got);
  if (code != GRADRT_OK)
    return code;
  if (got < 4 * (size_t)h->rank)
    return gradrt_error(GRADRT_DATA, "%s: the file ends inside its header of %d dimensions",
                        s->file.path, h->rank);
  h->elems = 1;
  for (int i = 0; i < h->rank; i++)
    h->dim[i] = (int64_t)gradrt_wire_get((gradrt_wire){ 'u', 4, true }, b + 4 + 4 * i);
  code = idx_size_check(s, h);
  if (code != GRADRT_OK)
    return code;
  if (h->dim[0] == 0)
    return gradrt_error(GRADRT_DATA, "%s: the file holds no samples", s->file.path);
  for (int i = 1; i < h->rank; i++)
    h->elems *= h->dim[i];
  return GRADRT_OK;
}

/* ---- elements ---- */

/* Reads the payload in pieces straight into the rows' type. */
static int idx_read_rows(idx_stream *s, const idx_head *h, const gradrt_field *f, void *rows)
{
  int64_t total = h->dim[0] * h->elems;
  bool straight = h->wire.kind == 'u' && f->dtype == GRADRT_U8;
  size_t chunk = (size_t)(IDX_CHUNK / h->wire.size), got;
  unsigned char *buffer = straight ? NULL : gradrt_alloc(IDX_CHUNK);
  int code = straight || buffer ? GRADRT_OK : gradrt_error(GRADRT_LIMIT, "out of memory");
  for (int64_t at = 0; at < total && code == GRADRT_OK;) {
    size_t n = straight || (uint64_t)(total - at) < chunk ? (size_t)(total - at) : chunk;
    unsigned char *to = straight ? rows : buffer;
    code = idx_read(s, to, n * (size_t)h->wire.size, &got);
    if (code == GRADRT_OK && got < n * (size_t)h->wire.size)
      code = gradrt_error(GRADRT_DATA,
                          "%s: the data ends in sample %" PRId64 " of %" PRId64
                          " (the file is cut short)",
                          s->file.path, (at + (int64_t)got / h->wire.size) / h->elems, h->dim[0]);
    int64_t bad = straight || code != GRADRT_OK
                      ? -1
                      : gradrt_wire_copy(f->dtype, rows, at, h->wire, buffer, (int64_t)n);
    if (bad >= 0)
      code = gradrt_value_error(f, s->file.path, bad,
                                gradrt_wire_get(h->wire, buffer + (bad - at) * h->wire.size));
    at += (int64_t)n;
  }
  gradrt_free(buffer);
  unsigned char more;
  if (code == GRADRT_OK)
    code = idx_read(s, &more, 1, &got);
  if (code == GRADRT_OK && got)
    code = gradrt_error(GRADRT_DATA,
                        "%s: the file holds more than the %" PRId64 " elements its header promises",
                        s->file.path, total);
  return code == GRADRT_OK ? gradrt_file_finish(&s->file) : code;
}

/* Opens file `name` for field f of the ask and checks its header. */
static int idx_begin(const gradrt_ask *a, const char *name, int field, idx_stream *s, idx_head *h)
{
  int code = idx_open(s, a, name);
  if (code == GRADRT_OK)
    code = idx_read_header(s, h);
  return code == GRADRT_OK
             ? gradrt_shape_check(&a->net->field[field], s->file.path, h->rank - 1, h->dim + 1)
             : code;
}

static int idx_fill(const gradrt_ask *a, idx_stream *s, const idx_head *h, int field,
                    gradrt_rows *out)
{
  const gradrt_field *f = &a->net->field[field];
  int code = gradrt_rows_alloc(a, out, field);
  if (code == GRADRT_OK)
    code = idx_read_rows(s, h, f, out->rows[field]);
  if (code == GRADRT_OK && f->is_label)
    code = gradrt_labels_check(f, s->file.path, "sample", out->rows[field], out->n);
  return code;
}

int gradrt_read_idx(const gradrt_ask *a, gradrt_rows *out)
{
  static const char *const names[2] = { "images", "labels" };
  int field[2], code = gradrt_fields_pair(a, &field[0], &field[1]);
  idx_stream s[2] = { { .file = { .fd = -1 } }, { .file = { .fd = -1 } } };
  idx_head h[2] = { { .rank = 0 }, { .rank = 0 } };
  for (int k = 0; k < 2 && code == GRADRT_OK; k++) {
    const char *name = gradrt_prop_text(a->source, names[k], NULL);
    if (field[k] < 0)
      continue;
    if (!name)
      code =
          gradrt_error(GRADRT_DATA, "%s: field '%s' has no file: idx(..) needs the path of the %s",
                       a->source->place ? a->source->place : a->net->file,
                       a->net->field[field[k]].name, names[k]);
    else
      code = idx_begin(a, name, field[k], &s[k], &h[k]);
  }
  if (code == GRADRT_OK && field[0] >= 0 && field[1] >= 0 && h[0].dim[0] != h[1].dim[0])
    code = gradrt_error(GRADRT_DATA, "%s has %" PRId64 " samples, but %s has %" PRId64 " labels",
                        s[0].file.path, h[0].dim[0], s[1].file.path, h[1].dim[0]);
  out->n = field[0] >= 0 ? h[0].dim[0] : h[1].dim[0];
  for (int k = 0; k < 2 && code == GRADRT_OK; k++)
    if (field[k] >= 0)
      code = idx_fill(a, &s[k], &h[k], field[k], out);
  idx_close(&s[0]);
  idx_close(&s[1]);
  return code;
}
