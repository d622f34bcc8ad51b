/* Reading pictures of a data source: one by one, with messages or silently, and a first look at the
 * files of all of them, on every CPU. A row holds the same bits whatever thread decoded it. */
#include "data.h"
#include "pictures.h"
#include "run.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIXELS_THREADS_MAX = 16, PIXELS_MARK = 128 };

/* ---- one picture ---- */

/* Planes and sides of a field that holds pictures. false: it holds none. */
static bool pixels_shape(const gradrt_field *f, gradrt_picture *m)
{
  bool planes = f->rank == 3 && (f->dim[0] == 1 || f->dim[0] == 3);
  if (f->rank != 2 && !planes)
    return false;
  *m = (gradrt_picture){ .planes = planes ? (int)f->dim[0] : 1 };
  if (f->dim[f->rank - 1] > GRADRT_SIDE_MAX || f->dim[f->rank - 2] > GRADRT_SIDE_MAX)
    return false;
  m->height = (int)f->dim[f->rank - 2];
  m->width = (int)f->dim[f->rank - 1];
  return true;
}

static bool pixels_resizes(const gradrt_net *net)
{
  for (int i = 0; i < net->nsource; i++)
    if (strcmp(net->source[i].kind, "images") == 0 &&
        gradrt_prop_number(&net->source[i], "size", 0) > 0)
      return true;
  return false;
}

static int pixels_misfit(const gradrt_ask *a, const char *path, const gradrt_picture *m,
                         const gradrt_field *f)
{
  char shape[GRADRT_DATA_SHAPE];
  int code = gradrt_error(GRADRT_DATA, "%s: a picture of %d x %d pixels does not fit field '%s' %s",
                          path, m->width, m->height, f->name,
                          gradrt_shape_text(shape, f->rank, f->dim));
  gradrt_note("images(.., size=[%" PRId64 ", %" PRId64 "]) %s", f->dim[f->rank - 2],
              f->dim[f->rank - 1],
              a->named ? "in the data block resizes pictures" : "resizes every picture");
  return code;
}

/* Pixels hold their colours together; rows hold one plane for each colour. */
static void pixels_store(const gradrt_picture *m, const gradrt_field *f, void *rows, int64_t row)
{
  const gradrt_wire byte = { 'u', 1, false };
  int64_t pixels = (int64_t)m->width * m->height, at = row * pixels * m->planes;
  if (m->planes == 1)
    gradrt_wire_copy(f->dtype, rows, at, byte, m->pixel, pixels);
  for (int c = 0; c < m->planes && m->planes > 1; c++)
    for (int64_t i = 0; i < pixels; i++)
      if (f->dtype == GRADRT_U8)
        ((uint8_t *)rows)[at + c * pixels + i] = m->pixel[i * m->planes + c];
      else
        gradrt_dtype_put(f->dtype, rows, at + c * pixels + i, m->pixel[i * m->planes + c]);
}

/* Puts a decoded picture into a row and frees it. false: *reason is why not; NULL: its sides, and
 * the picture is still there. */
static bool pixels_place(const gradrt_ask *a, gradrt_picture *m, int field, void *rows,
                          int64_t row, const char **reason)
{
  const gradrt_field *f = &a->net->field[field];
  gradrt_picture want = { .planes = 0 };
  pixels_shape(f, &want);
  bool fits = m->width == want.width && m->height == want.height, good = true;
  *reason = NULL;
  if (fits) {
    pixels_store(m, f, rows, row);
  } else if (!pixels_resizes(a->net)) {
    return false;
  } else {
    good = gradrt_picture_resize(m, &want);
    *reason = good ? NULL : "out of memory to resize it";
    if (good)
      pixels_store(&want, f, rows, row);
    gradrt_picture_free(&want);
  }
  gradrt_picture_free(m);
  return good;
}

int gradrt_picture_row(const gradrt_ask *a, const char *name, int field, void *rows, int64_t row)
{
  const gradrt_field *f = &a->net->field[field];
  char path[GRADRT_DATA_PATH], *text = NULL;
  const char *reason;
  size_t size = 0;
  gradrt_picture want, m = { .planes = 0 };
  if (!pixels_shape(f, &want))
    return gradrt_error(GRADRT_DATA, "%s: field '%s' holds no pictures: its shape is not "
                        "[3, height, width], [1, height, width] or [height, width]",
                        f->place ? f->place : a->net->file, f->name);
  int code = gradrt_file_slurp(a, name, &text, &size, path);
  if (code == GRADRT_OK)
    code = gradrt_picture_decode(path, (unsigned char *)text, size, want.planes, &m);
  gradrt_free(text);
  if (code == GRADRT_OK && !pixels_place(a, &m, field, rows, row, &reason))
    code = reason ? gradrt_error(GRADRT_LIMIT, "%s: %s", path, reason)
                  : pixels_misfit(a, path, &m, f);
  gradrt_picture_free(&m);
  return code;
}

/* ---- without messages ---- */

/* Opens a regular file; -1: it is none, or is not where pictures may lie. */
static int pixels_open(const gradrt_ask *a, const char *name, int64_t *size)
{
  char path[GRADRT_DATA_PATH];
  struct stat st;
  int fd = gradrt_file_find(a, name, path) ? open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC) : -1;
  bool good = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
  *size = good ? (int64_t)st.st_size : 0;
  if (fd >= 0 && !good)
    close(fd);
  return good ? fd : -1;
}

/* The whole file; NULL: something is wrong with it. */
static unsigned char *pixels_bytes(int fd, int64_t size)
{
  unsigned char *bytes = gradrt_alloc((size_t)size + 1);
  int64_t at = 0;
  ssize_t got = 1;
  while (bytes && got > 0 && at < size) {
    got = pread(fd, bytes + at, (size_t)(size - at), (off_t)at);
    at += got > 0 ? got : 0;
  }
  if (got > 0)
    return bytes;
  gradrt_free(bytes);
  return NULL;
}

/* Decodes an open file; false: *m is empty. */
static bool pixels_decode(int fd, int64_t size, int planes, gradrt_picture *m)
{
  char reason[GRADRT_REASON] = "";
  unsigned char *bytes = pixels_bytes(fd, size);
  *m = (gradrt_picture){ .planes = 0 };
  bool good = bytes && gradrt_picture_try(bytes, (size_t)size, planes, m, reason);
  gradrt_free(bytes);
  return good;
}

/* CRC-32C of name, size, first and last bytes. */
static uint32_t pixels_mark(int fd, const char *name, int64_t size)
{
  unsigned char bytes[PIXELS_MARK];
  int64_t tail = size > PIXELS_MARK ? size - PIXELS_MARK : 0;
  uint32_t crc = gradrt_crc32c(0, name, strlen(name) + 1);
  crc = gradrt_crc32c(crc, &size, sizeof size);
  for (int end = 0; end < 2; end++) {
    ssize_t got = pread(fd, bytes, sizeof bytes, (off_t)(end ? tail : 0));
    crc = gradrt_crc32c(crc, bytes, got > 0 ? (size_t)got : 0);
  }
  return crc;
}

bool gradrt_picture_is(const gradrt_ask *a, const char *name, uint32_t mark)
{
  int64_t size;
  int fd = pixels_open(a, name, &size);
  bool same = fd >= 0 && pixels_mark(fd, name, size) == mark;
  if (fd >= 0)
    close(fd);
  return same;
}

bool gradrt_picture_fill(const gradrt_ask *a, const char *name, uint32_t mark, int field,
                         void *rows, int64_t row)
{
  const char *reason;
  int64_t size;
  gradrt_picture want, m;
  int fd = pixels_open(a, name, &size);
  bool good = fd >= 0 && pixels_mark(fd, name, size) == mark &&
              pixels_shape(&a->net->field[field], &want) &&
              pixels_decode(fd, size, want.planes, &m);
  if (fd >= 0)
    close(fd);
  if (!good)
    return false;
  good = pixels_place(a, &m, field, rows, row, &reason);
  gradrt_picture_free(&m);
  return good;
}

/* ---- a first look at all files ---- */

typedef struct {
  const gradrt_ask *ask;
  gradrt_store *store;
  gradrt_picture want;          /* its planes and sides */
  pthread_mutex_t lock;         /* guards what follows */
  int64_t claimed, bad;         /* rows given to threads; the first one that has no picture */
  gradrt_sides sides;
} pixels_crew;

static void pixels_widen(gradrt_sides *s, const gradrt_sides *by)
{
  for (int k = 0; k < 2 && by->most[k] > 0; k++) {
    s->least[k] = s->most[k] > 0 && s->least[k] < by->least[k] ? s->least[k] : by->least[k];
    s->most[k] = s->most[k] > by->most[k] ? s->most[k] : by->most[k];
  }
}

/* A file that looks unusual is decoded to know. */
static bool pixels_look(const pixels_crew *c, int64_t row, gradrt_sides *sides)
{
  const char *name = gradrt_store_name(c->store, row);
  gradrt_picture m = { .planes = 0 };
  int64_t size;
  int fd = pixels_open(c->ask, name, &size);
  if (fd < 0)
    return false;
  bool good = gradrt_picture_head(fd, size, &m.width, &m.height) ||
              pixels_decode(fd, size, c->want.planes, &m);
  gradrt_store_mark(c->store, row, pixels_mark(fd, name, size));
  close(fd);
  gradrt_sides one = { { m.height, m.width }, { m.height, m.width } };
  good = good && ((m.width == c->want.width && m.height == c->want.height) ||
                  pixels_resizes(c->ask->net));
  gradrt_picture_free(&m);
  if (good)
    pixels_widen(sides, &one);
  return good;
}

/* Rows are claimed in their order and never left half done, so that the first bad one is the same
 * for any number of threads. */
static void *pixels_work(void *crew)
{
  pixels_crew *c = crew;
  gradrt_sides sides = { { 0, 0 }, { 0, 0 } };
  pthread_mutex_lock(&c->lock);
  while (c->claimed < c->bad) {
    int64_t row = c->claimed++;
    pthread_mutex_unlock(&c->lock);
    bool good = pixels_look(c, row, &sides);
    pthread_mutex_lock(&c->lock);
    c->bad = !good && row < c->bad ? row : c->bad;
  }
  pixels_widen(&c->sides, &sides);
  pthread_mutex_unlock(&c->lock);
  return NULL;
}

int64_t gradrt_pictures_look(const gradrt_ask *a, int field, gradrt_store *s, int64_t n,
                             gradrt_sides *sides)
{
  pixels_crew c = { .ask = a, .store = s, .bad = n };
  pthread_t thread[PIXELS_THREADS_MAX];
  int wanted = gradrt_default_threads(), started = 0;
  if (!pixels_shape(&a->net->field[field], &c.want))
    return 0;
  pthread_mutex_init(&c.lock, NULL);
  while (started + 1 < wanted && started < PIXELS_THREADS_MAX && started + 1 < n &&
         pthread_create(&thread[started], NULL, pixels_work, &c) == 0)
    started++;
  pixels_work(&c);
  for (int i = 0; i < started; i++)
    pthread_join(thread[i], NULL);
  pthread_mutex_destroy(&c.lock);
  *sides = c.sides;
  return c.bad;
}
