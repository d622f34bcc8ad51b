/* PNG by libpng, only with GRADRT_PNG. libpng reports by longjmp: every function that it may leave
 * so keeps what must be freed in a png_job, which the jump does not touch. */
#include "pictures.h"

#include <stdio.h>
#include <string.h>
#ifdef GRADRT_PNG
#include <png.h>
#include <setjmp.h>

/* deflate packs at most 1032 bytes into one. */
enum { PNG_RATIO_MAX = 1100, PNG_CHUNK_MAX = 1 << 24 };

typedef struct {
  const unsigned char *bytes;
  size_t n, at;
  gradrt_picture *image;
  const gradrt_picture *shown;    /* when writing */
  gradrt_writer *writer;
  png_structp png;
  png_infop info;
  png_bytep *row;               /* one for each row of the picture */
  char *reason;
} png_job;

static void png_job_error(png_structp png, png_const_charp what)
{
  png_job *j = png_get_error_ptr(png);
  if (!*j->reason)
    snprintf(j->reason, GRADRT_REASON, "%s", what);
  png_longjmp(png, 1);
}

static void png_job_warning(png_structp png, png_const_charp what)
{
  (void)png;
  (void)what;
}

static void png_job_read(png_structp png, png_bytep to, png_size_t n)
{
  png_job *j = png_get_io_ptr(png);
  if (n > j->n - j->at)
    png_error(png, "the file is cut short");
  memcpy(to, j->bytes + j->at, n);
  j->at += n;
}

static void png_job_write(png_structp png, png_bytep from, png_size_t n)
{
  png_job *j = png_get_io_ptr(png);
  gradrt_writer_put(j->writer, from, n);        /* a failure is reported when it commits */
}

static void png_job_flush(png_structp png)
{
  (void)png;
}

static bool png_job_rows(png_job *j, const gradrt_picture *m)
{
  size_t step = (size_t)m->width * (size_t)m->planes;
  j->row = gradrt_alloc((size_t)m->height * sizeof *j->row);
  for (int y = 0; j->row && y < m->height; y++)
    j->row[y] = m->pixel + (size_t)y * step;
  return j->row != NULL;
}

/* 8 bits, one or three planes, no transparency, whatever the file has. */
static void png_job_plain(png_job *j)
{
  png_set_expand(j->png);
  png_set_scale_16(j->png);
  png_set_strip_alpha(j->png);
  png_set_interlace_handling(j->png);
  png_read_update_info(j->png, j->info);
}

/* Everything that may jump. */
static void png_job_decode(png_job *j)
{
  png_set_read_fn(j->png, j, png_job_read);
  png_set_user_limits(j->png, GRADRT_SIDE_MAX, GRADRT_SIDE_MAX);
  png_set_chunk_malloc_max(j->png, PNG_CHUNK_MAX);
  png_read_info(j->png, j->info);
  int64_t width = png_get_image_width(j->png, j->info);
  int64_t height = png_get_image_height(j->png, j->info);
  if ((int64_t)png_get_rowbytes(j->png, j->info) * height / PNG_RATIO_MAX > (int64_t)j->n)
    png_error(j->png, "its header promises more pixels than so few bytes can hold");
  png_job_plain(j);
  int planes = png_get_channels(j->png, j->info);
  if ((planes != 1 && planes != 3) || png_get_bit_depth(j->png, j->info) != 8)
    png_error(j->png, "its pixels are of an unknown kind");
  if (!gradrt_picture_alloc(j->image, width, height, planes, j->reason))
    png_error(j->png, j->reason);
  if (!png_job_rows(j, j->image))
    png_error(j->png, "out of memory");
  png_read_image(j->png, j->row);
  png_read_end(j->png, NULL);
}

bool gradrt_png_decode(const unsigned char *bytes, size_t n, gradrt_picture *out,
                       char reason[GRADRT_REASON])
{
  png_job job = { .bytes = bytes, .n = n, .image = out, .reason = reason }, *volatile j = &job;
  volatile bool good = false;
  job.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &job, png_job_error, png_job_warning);
  job.info = job.png ? png_create_info_struct(job.png) : NULL;
  if (!job.info) {
    snprintf(reason, GRADRT_REASON, "libpng does not start");
  } else if (setjmp(png_jmpbuf(job.png)) == 0) {
    png_job_decode(j);
    good = true;
  }
  png_destroy_read_struct(&j->png, &j->info, NULL);
  gradrt_free(j->row);
  if (!good)
    gradrt_picture_free(out);
  return good;
}

static void png_job_encode(png_job *j)
{
  const gradrt_picture *m = j->shown;
  if (!png_job_rows(j, m))
    png_error(j->png, "out of memory");
  png_set_write_fn(j->png, j, png_job_write, png_job_flush);
  png_set_IHDR(j->png, j->info, (png_uint_32)m->width, (png_uint_32)m->height, 8,
               m->planes == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(j->png, j->info);
  png_write_image(j->png, j->row);
  png_write_end(j->png, NULL);
}

bool gradrt_png_encode(const gradrt_picture *m, gradrt_writer *w, char reason[GRADRT_REASON])
{
  png_job job = { .shown = m, .writer = w, .reason = reason }, *volatile j = &job;
  volatile bool good = false;
  job.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &job, png_job_error, png_job_warning);
  job.info = job.png ? png_create_info_struct(job.png) : NULL;
  if (!job.info) {
    snprintf(reason, GRADRT_REASON, "libpng does not start");
  } else if (setjmp(png_jmpbuf(job.png)) == 0) {
    png_job_encode(j);
    good = true;
  }
  png_destroy_write_struct(&j->png, &j->info);
  gradrt_free(j->row);
  return good;
}

#else

static bool png_is_missing(char reason[GRADRT_REASON])
{
  snprintf(reason, GRADRT_REASON, "this program was built without libpng; install "
           "libpng-dev and compile with -DGRADRT_PNG and -lpng");
  return false;
}

bool gradrt_png_decode(const unsigned char *bytes, size_t n, gradrt_picture *out,
                       char reason[GRADRT_REASON])
{
  (void)bytes;
  (void)n;
  (void)out;
  return png_is_missing(reason);
}

bool gradrt_png_encode(const gradrt_picture *m, gradrt_writer *w, char reason[GRADRT_REASON])
{
  (void)m;
  (void)w;
  return png_is_missing(reason);
}

#endif
