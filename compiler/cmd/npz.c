/* Reading .npz files: zip archives, stored or deflated, of .npy arrays. Nothing in the file is
 * trusted: what it says about places and sizes is held against its length, before memory is asked
 * for, and every array against its checksum. Sizes of 4 GB and more (zip64) are refused. */
#include "base/str.h"
#include "cmd/arrays.h"
#include "internal.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

enum {
  END = 22, ROW = 46, LOCAL = 30, COMMENT_MAX = 65535, MEMBERS_MAX = 65534, NAME_LENGTH_MAX = 250,
  HEAD_MAX = 4096, NPY_RANK_MAX = 8, CHUNK = 1 << 16
};

typedef struct {
  const char *name;             /* of the array: without .npy */
  int method;                   /* 0: stored, 8: deflated */
  uint32_t crc;
  int64_t packed, size, at;     /* bytes in the archive, bytes of the .npy, place of its header */
  const char *dtype;            /* as safetensors calls it */
  int rank;
  int64_t dim[NPY_RANK_MAX], bytes; /* of the values */
} Member;

typedef struct {
  Arena *arena;
  const char *path;
  FILE *file;
  int64_t length;
  Member *member;
  int nmember;
} Archive;

/* A member's bytes as they come. */
typedef struct {
  Archive *z;
  const Member *m;
  int64_t left;                 /* bytes of the archive that are not read yet */
  uLong crc;
  z_stream inflate;
  unsigned char *packed;        /* CHUNK bytes */
} Stream;

static int refuse(const Archive *z, const char *what)
{
  return gradrt_error(EXIT_CHECKPOINT, "cannot use the weights of '%s': %s", z->path, what);
}

static int refuse_member(const Archive *z, const Member *m, const char *what)
{
  return gradrt_error(EXIT_CHECKPOINT, "cannot use the weights of '%s': array '%s': %s", z->path,
                      str_escape(z->arena, m->name, NAME_LENGTH_MAX), what);
}

static uint32_t little(const unsigned char *p, int bytes)
{
  uint32_t v = 0;
  for (int i = bytes - 1; i >= 0; i--)
    v = v << 8 | p[i];
  return v;
}

static bool read_at(Archive *z, int64_t at, void *out, int64_t n)
{
  return at >= 0 && n >= 0 && at <= z->length - n && fseeko(z->file, (off_t)at, SEEK_SET) == 0 &&
         fread(out, 1, (size_t)n, z->file) == (size_t)n;
}

/* ---- the directory ---- */

/* One row; *at moves behind it. */
static int read_row(Archive *z, const unsigned char *list, int64_t n, int64_t *at)
{
  const unsigned char *row = list + *at;
  if (n - *at < ROW || memcmp(row, "PK\1\2", 4) != 0)
    return refuse(z, "its directory is damaged");
  int64_t name = little(row + 28, 2);
  int64_t all = ROW + name + little(row + 30, 2) + little(row + 32, 2);
  if (n - *at < all)
    return refuse(z, "its directory is cut short");
  *at += all;
  Member *m = &z->member[z->nmember];
  bool array = name > 4 && memcmp(row + ROW + name - 4, ".npy", 4) == 0;
  m->name = arena_strndup(z->arena, (const char *)row + ROW, (size_t)(array ? name - 4 : name));
  if (!array || strlen(m->name) != (size_t)name - 4 || name - 4 > NAME_LENGTH_MAX)
    return refuse_member(z, m, "its name is not that of a NumPy array");
  m->method = (int)little(row + 10, 2);
  m->crc = little(row + 16, 4);
  m->packed = little(row + 20, 4);
  m->size = little(row + 24, 4);
  m->at = little(row + 42, 4);
  z->nmember++;
  if ((m->method != 0 && m->method != 8) || (little(row + 8, 2) & 1))
    return refuse_member(z, m, "it is packed in a way that is not known here");
  if (m->packed > z->length || (m->method == 0 && m->packed != m->size))
    return refuse_member(z, m, "its size is damaged, or 4 GB and more");
  return EXIT_OK;
}

static int read_directory(Archive *z)
{
  int64_t span = min_i64(z->length, END + COMMENT_MAX), at = span - END;
  unsigned char *tail = arena_alloc(z->arena, (size_t)span + 1);
  if (span < END || !read_at(z, z->length - span, tail, span))
    return refuse(z, "it is too short for an .npz file");
  while (at >= 0 && memcmp(tail + at, "PK\5\6", 4) != 0)
    at--;
  if (at < 0)
    return refuse(z, "it is no .npz file, or its end is missing");
  int count = (int)little(tail + at + 10, 2);
  int64_t bytes = little(tail + at + 12, 4), start = little(tail + at + 16, 4);
  unsigned char *list = bytes <= z->length ? arena_alloc(z->arena, (size_t)bytes + 1) : NULL;
  if (!list || !read_at(z, start, list, bytes) || count > MEMBERS_MAX)
    return refuse(z, "its directory is damaged");
  z->member = ARENA_ARRAY(z->arena, Member, count + 1);
  int64_t row = 0;
  int code = EXIT_OK;
  while (!code && z->nmember < count)
    code = read_row(z, list, bytes, &row);
  return code;
}

/* ---- members ---- */

static int stream_open(Stream *s, Archive *z, const Member *m)
{
  unsigned char local[LOCAL];
  *s = (Stream){ .z = z, .m = m, .left = m->packed, .crc = crc32(0, NULL, 0) };
  s->packed = arena_alloc(z->arena, CHUNK);
  if (!read_at(z, m->at, local, LOCAL) || memcmp(local, "PK\3\4", 4) != 0)
    return refuse_member(z, m, "it is not where the directory says");
  int64_t start = m->at + LOCAL + little(local + 26, 2) + little(local + 28, 2);
  if (start > z->length - m->packed || fseeko(z->file, (off_t)start, SEEK_SET) != 0)
    return refuse_member(z, m, "it is cut short");
  if (m->method == 8 && inflateInit2(&s->inflate, -MAX_WBITS) != Z_OK)
    return gradrt_error(EXIT_LIMIT, "out of memory");
  return EXIT_OK;
}

static void stream_close(Stream *s)
{
  if (s->m->method == 8)
    inflateEnd(&s->inflate);
}

static int64_t take_packed(Stream *s, void *out, int64_t n)
{
  int64_t want = min_i64(n, s->left);
  int64_t got = (int64_t)fread(out, 1, (size_t)want, s->z->file);
  s->left -= got;
  return got;
}

/* The next n bytes of the .npy file; fewer are a mistake. */
static int stream_read(Stream *s, unsigned char *out, int64_t n)
{
  int64_t got = 0;
  if (s->m->method == 0)
    got = take_packed(s, out, n);
  s->inflate.next_out = out;
  s->inflate.avail_out = (uInt)n;
  while (s->m->method == 8 && s->inflate.avail_out > 0) {
    if (s->inflate.avail_in == 0) {
      s->inflate.next_in = s->packed;
      s->inflate.avail_in = (uInt)take_packed(s, s->packed, CHUNK);
    }
    int r = inflate(&s->inflate, Z_NO_FLUSH);
    if (r != Z_OK || (s->inflate.avail_in == 0 && s->left == 0))
      break;
  }
  if (s->m->method == 8)
    got = n - (int64_t)s->inflate.avail_out;
  s->crc = crc32(s->crc, out, (uInt)got);
  return got == n ? EXIT_OK : refuse_member(s->z, s->m, "its data are damaged or cut short");
}

/* ---- .npy headers ---- */

/* The text after 'key': in the header's dictionary, or "". */
static const char *value_of(const char *head, const char *key)
{
  const char *at = strstr(head, key);
  at = at ? at + strlen(key) : "";
  at += strspn(at, "'\" ");
  return *at == ':' ? at + 1 + strspn(at + 1, " ") : "";
}

static const char *dtype_of(const char *descr, int *size)
{
  static const struct { const char *numpy, *name; int size; } known[] = {
    { "'<f4'", "F32", 4 }, { "'<f8'", "F64", 8 }, { "'<f2'", "F16", 2 }, { "'<i8'", "I64", 8 },
    { "'<i4'", "I32", 4 }, { "'|u1'", "U8", 1 }, { "'|i1'", "I8", 1 }, { "'|b1'", "BOOL", 1 },
  };
  for (size_t i = 0; i < ARRAY_LEN(known); i++)
    if (!strncmp(descr, known[i].numpy, strlen(known[i].numpy))) {
      *size = known[i].size;
      return known[i].name;
    }
  return NULL;
}

static bool read_shape(Member *m, const char *s)
{
  if (*s++ != '(')
    return false;
  for (m->rank = 0; *s && *s != ')'; m->rank++) {
    char *end;
    if (m->rank == NPY_RANK_MAX || *s < '0' || *s > '9')
      return false;
    errno = 0;
    m->dim[m->rank] = (int64_t)strtoll(s, &end, 10);
    if (errno || !checked_mul(m->bytes, m->dim[m->rank], &m->bytes))
      return false;
    s = end + strspn(end, ", ");
  }
  return *s == ')';
}

/* Reads the header; the values come next. */
static int read_head(Stream *s, Member *m)
{
  unsigned char start[12];
  char text[HEAD_MAX + 1] = "";
  int code = stream_read(s, start, 10), size = 0;
  if (code)
    return code;
  int64_t n = little(start + 8, 2);
  if (memcmp(start, "\x93NUMPY", 6) != 0 || start[6] != 1 || n > HEAD_MAX)
    return refuse_member(s->z, m, "it is not a NumPy array of version 1");
  code = stream_read(s, (unsigned char *)text, n);
  if (code)
    return code;
  m->dtype = dtype_of(value_of(text, "descr"), &size);
  m->bytes = size;
  if (!m->dtype)
    return refuse_member(s->z, m, "its elements are not little-endian numbers of 4 or 8 bytes");
  if (!read_shape(m, value_of(text, "shape")) || m->bytes != m->size - 10 - n)
    return refuse_member(s->z, m, "its shape does not agree with its size");
  if (m->rank > 1 && strncmp(value_of(text, "fortran_order"), "False", 5) != 0)
    return refuse_member(s->z, m, "it is stored by columns; save np.ascontiguousarray(a)");
  return EXIT_OK;
}

/* ---- the other file ---- */

static bool is_plain(const char *name)
{
  for (const char *p = name; *p; p++)
    if (*p < ' ' || *p > '~' || *p == '"' || *p == '\\')
      return false;
  return true;
}

static int print_heads(Archive *z, Out *out)
{
  int64_t at = 0;
  out_printf(out, "{\"__metadata__\":{\"format\":\"pt\"}");
  for (int i = 0; i < z->nmember; i++) {
    Member *m = &z->member[i];
    Stream s;
    int code = is_plain(m->name) ? stream_open(&s, z, m)
                                 : refuse_member(z, m, "its name is not plain text");
    if (code)
      return code;
    code = read_head(&s, m);
    stream_close(&s);
    if (code)
      return code;
    out_printf(out, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", m->name, m->dtype);
    for (int k = 0; k < m->rank; k++)
      out_printf(out, "%s%" PRId64, k ? "," : "", m->dim[k]);
    out_printf(out, "],\"data_offsets\":[%" PRId64 ",%" PRId64 "]}", at, at + m->bytes);
    at += m->bytes;
  }
  out_printf(out, "}");
  return EXIT_OK;
}

static int copy_values(Archive *z, Member *m, gradrt_writer *file)
{
  Stream s;
  unsigned char *bytes = arena_alloc(z->arena, CHUNK);
  int code = stream_open(&s, z, m);
  if (code)
    return code;
  code = read_head(&s, m);
  for (int64_t left = m->bytes; !code && left > 0; left -= CHUNK) {
    int64_t n = min_i64(left, CHUNK);
    code = stream_read(&s, bytes, n);
    gradrt_writer_put(file, bytes, (size_t)n);
  }
  stream_close(&s);
  if (!code && s.crc != m->crc)
    code = refuse_member(z, m, "its checksum is wrong");
  return code;
}

static int convert(Archive *z, const char *path)
{
  Out *head = out_new(z->arena);
  int code = read_directory(z);
  code = code ? code : print_heads(z, head);
  gradrt_writer *file = code ? NULL : gradrt_writer_open(path);
  if (!file)
    return code ? code : EXIT_IO;
  unsigned char length[8];
  for (int i = 0; i < 8; i++)
    length[i] = (unsigned char)((uint64_t)out_length(head) >> (8 * i));
  gradrt_writer_put(file, length, sizeof length);
  gradrt_writer_put(file, out_text(head), out_length(head));
  for (int i = 0; !code && i < z->nmember; i++)
    code = copy_values(z, &z->member[i], file);
  if (code)
    gradrt_writer_abort(file);
  else if (gradrt_writer_commit(file))
    code = EXIT_IO;
  return code;
}

int arrays_npz_to_safetensors(Arena *a, const char *npz, const char *path)
{
  Archive z = { .arena = a, .path = npz };
  struct stat st;
  z.file = fopen(npz, "rb");
  if (!z.file)
    return gradrt_error(EXIT_IO, "cannot use the weights of '%s': %s", npz, strerror(errno));
  int code = EXIT_OK;
  if (fstat(fileno(z.file), &st) != 0 || !S_ISREG(st.st_mode))
    code = refuse(&z, "it is not a regular file");
  z.length = (int64_t)st.st_size;
  code = code ? code : convert(&z, path);
  fclose(z.file);
  return code;
}
