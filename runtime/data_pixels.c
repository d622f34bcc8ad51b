/* Reading pictures of a data source: one by one with messages, or all of them on every CPU and
 * silently. The rows hold one byte or number for each sample, whatever thread decoded it. */
#include "data.h"
#include "pictures.h"
#include "run.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PICTURE_THREADS_MAX = 16 };

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

/* ---- all pictures ---- */

typedef struct {
  const gradrt_ask *ask;
  gradrt_rows *out;
  int field, planes;
  gradrt_picture_next next;
  void *ctx;
  pthread_mutex_t lock;         /* guards what follows, and `next` */
  int64_t claimed, bad;         /* rows given to threads; the first one that has no picture */
  gradrt_sides sides;
} pixels_crew;

/* The whole file; NULL: something is wrong with it. */
static unsigned char *pixels_bytes(const gradrt_ask *a, const char *name, size_t *size)
{
  char path[GRADRT_DATA_PATH];
  struct stat st;
  unsigned char *bytes = NULL;
  int fd = gradrt_file_find(a, name, path) ? open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC) : -1;
  *size = 0;
  if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
    bytes = gradrt_alloc((size_t)st.st_size + 1);
  ssize_t got = 1;
  while (bytes && got > 0 && (off_t)*size < st.st_size) {
    got = read(fd, bytes + *size, (size_t)st.st_size - *size);
    *size += got > 0 ? (size_t)got : 0;
  }
  if (fd >= 0)
    close(fd);
  if (got > 0)
    return bytes;
  gradrt_free(bytes);
  return NULL;
}

static void pixels_widen(gradrt_sides *s, const gradrt_sides *by)
{
  for (int k = 0; k < 2 && by->most[k] > 0; k++) {
    s->least[k] = s->most[k] > 0 && s->least[k] < by->least[k] ? s->least[k] : by->least[k];
    s->most[k] = s->most[k] > by->most[k] ? s->most[k] : by->most[k];
  }
}

static bool pixels_fill(const pixels_crew *c, const char *name, int64_t row, gradrt_sides *sides)
{
  char text[GRADRT_REASON] = "";
  const char *reason;
  size_t size;
  gradrt_picture m = { .planes = 0 };
  unsigned char *bytes = pixels_bytes(c->ask, name, &size);
  bool good = bytes && gradrt_picture_try(bytes, size, c->planes, &m, text);
  gradrt_free(bytes);
  gradrt_sides one = { { m.height, m.width }, { m.height, m.width } };
  good = good && pixels_place(c->ask, &m, c->field, c->out->rows[c->field], row, &reason);
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
  char name[GRADRT_DATA_PATH];
  gradrt_sides sides = { { 0, 0 }, { 0, 0 } };
  pthread_mutex_lock(&c->lock);
  while (c->claimed < c->bad) {
    int64_t row = c->claimed++;
    bool good = c->next(c->ctx, name);
    pthread_mutex_unlock(&c->lock);
    good = good && pixels_fill(c, name, row, &sides);
    pthread_mutex_lock(&c->lock);
    c->bad = !good && row < c->bad ? row : c->bad;
  }
  pixels_widen(&c->sides, &sides);
  pthread_mutex_unlock(&c->lock);
  return NULL;
}

int64_t gradrt_pictures_decode(const gradrt_ask *a, int field, gradrt_rows *out,
                               gradrt_picture_next next, void *ctx)
{
  gradrt_picture want;
  if (!pixels_shape(&a->net->field[field], &want))
    return 0;
  pixels_crew c = { .ask = a, .out = out, .field = field, .planes = want.planes, .next = next,
                     .ctx = ctx, .bad = out->n };
  pthread_t thread[PICTURE_THREADS_MAX];
  int wanted = gradrt_default_threads(), started = 0;
  pthread_mutex_init(&c.lock, NULL);
  while (started + 1 < wanted && started < PICTURE_THREADS_MAX && started + 1 < out->n &&
         pthread_create(&thread[started], NULL, pixels_work, &c) == 0)
    started++;
  pixels_work(&c);
  for (int i = 0; i < started; i++)
    pthread_join(thread[i], NULL);
  pthread_mutex_destroy(&c.lock);
  out->sides = c.sides;
  return c.bad;
}
