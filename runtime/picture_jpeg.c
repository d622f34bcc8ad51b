/* JPEG by libjpeg, only with GRADRT_JPEG. Baseline and progressive, grey, colour and CMYK. Errors
 * come by longjmp, as in picture_png.c; warnings, with which libjpeg fills in what is missing,
 * count as errors too. */
#include "pictures.h"

#include <stdio.h>
#include <string.h>
#ifdef GRADRT_JPEG
#include <jpeglib.h>
#include <setjmp.h>

/* A progressive file may repeat the whole picture in each of its scans. */
enum { JPEG_SCANS_MAX = 200 };

typedef struct {
  struct jpeg_decompress_struct d;
  struct jpeg_error_mgr errors;
  struct jpeg_progress_mgr progress;
  jmp_buf out;
  gradrt_picture *image;
  unsigned char *inks;          /* a row of cyan, magenta, yellow, black */
  char *reason;
} jpeg_job;

static void jpeg_job_leave(jpeg_job *j, const char *reason)
{
  if (!*j->reason)
    snprintf(j->reason, GRADRT_REASON, "%s", reason);
  longjmp(j->out, 1);
}

static void jpeg_job_error(j_common_ptr d)
{
  char text[JMSG_LENGTH_MAX];
  d->err->format_message(d, text);
  jpeg_job_leave(d->client_data, text);
}

static void jpeg_job_message(j_common_ptr d, int level)
{
  if (level < 0)
    jpeg_job_error(d);
}

static void jpeg_job_progress(j_common_ptr d)
{
  if (((j_decompress_ptr)d)->input_scan_number > JPEG_SCANS_MAX)
    jpeg_job_leave(d->client_data, "it has more scans than a picture needs");
}

/* Ink to light. Adobe's files hold 255 - ink. */
static void jpeg_job_light(const jpeg_job *j, unsigned char *to)
{
  unsigned flip = j->d.saw_Adobe_marker ? 0 : 255;
  for (int x = 0; x < j->image->width; x++) {
    const unsigned char *ink = j->inks + 4 * (size_t)x;
    for (int c = 0; c < 3; c++)
      to[3 * (size_t)x + (size_t)c] =
          (unsigned char)(((ink[c] ^ flip) * (ink[3] ^ flip) + 127) / 255);
  }
}

static void jpeg_job_open(jpeg_job *j, const unsigned char *bytes, size_t n)
{
  j->d.err = jpeg_std_error(&j->errors);
  j->errors.error_exit = jpeg_job_error;
  j->errors.emit_message = jpeg_job_message;
  j->d.client_data = j;
  jpeg_create_decompress(&j->d);
  j->progress.progress_monitor = jpeg_job_progress;
  j->d.progress = &j->progress;
  j->d.client_data = j;
  jpeg_mem_src(&j->d, bytes, (unsigned long)n);
}

/* Everything that may jump. */
static void jpeg_job_decode(jpeg_job *j, const unsigned char *bytes, size_t n)
{
  jpeg_job_open(j, bytes, n);
  jpeg_read_header(&j->d, TRUE);
  bool inks = j->d.jpeg_color_space == JCS_CMYK || j->d.jpeg_color_space == JCS_YCCK;
  bool grey = j->d.jpeg_color_space == JCS_GRAYSCALE;
  j->d.out_color_space = inks ? JCS_CMYK : grey ? JCS_GRAYSCALE : JCS_RGB;
  j->d.dct_method = JDCT_ISLOW;
  if (!gradrt_picture_alloc(j->image, j->d.image_width, j->d.image_height, grey ? 1 : 3, j->reason))
    jpeg_job_leave(j, j->reason);
  j->inks = inks ? gradrt_alloc(4 * (size_t)j->image->width) : NULL;
  if (inks && !j->inks)
    jpeg_job_leave(j, "out of memory");
  jpeg_start_decompress(&j->d);
  size_t step = (size_t)j->image->width * (size_t)j->image->planes;
  while (j->d.output_scanline < j->d.output_height) {
    unsigned char *to = j->image->pixel + j->d.output_scanline * step;
    JSAMPROW row = inks ? j->inks : to;
    jpeg_read_scanlines(&j->d, &row, 1);
    if (inks)
      jpeg_job_light(j, to);
  }
  jpeg_finish_decompress(&j->d);
}

bool gradrt_jpeg_decode(const unsigned char *bytes, size_t n, gradrt_picture *out,
                        char reason[GRADRT_REASON])
{
  jpeg_job *volatile j = gradrt_alloc(sizeof *j);
  volatile bool good = false;
  if (!j) {
    snprintf(reason, GRADRT_REASON, "out of memory");
    return false;
  }
  j->image = out;
  j->reason = reason;
  if (setjmp(j->out) == 0) {
    jpeg_job_decode(j, bytes, n);
    good = true;
  }
  jpeg_destroy_decompress(&j->d);
  gradrt_free(j->inks);
  gradrt_free(j);
  if (!good)
    gradrt_picture_free(out);
  return good;
}

#else

bool gradrt_jpeg_decode(const unsigned char *bytes, size_t n, gradrt_picture *out,
                        char reason[GRADRT_REASON])
{
  (void)bytes;
  (void)n;
  (void)out;
  snprintf(reason, GRADRT_REASON, "this program was built without libjpeg; install "
           "libjpeg-dev and compile with -DGRADRT_JPEG and -ljpeg");
  return false;
}

#endif
