/* Pictures: which decoder a file needs, planes, sides. */
#include "pictures.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- memory ---- */

bool gradrt_picture_alloc(gradrt_picture *m, int64_t width, int64_t height, int planes,
                        char reason[GRADRT_REASON])
{
  *m = (gradrt_picture){ .planes = planes };
  if (width < 1 || height < 1 || width > GRADRT_SIDE_MAX || height > GRADRT_SIDE_MAX) {
    snprintf(reason, GRADRT_REASON, "its sides, %lld x %lld, are not between 1 and %d",
             (long long)width, (long long)height, (int)GRADRT_SIDE_MAX);
    return false;
  }
  if (width * height > GRADRT_PIXEL_BYTES / 3) {
    snprintf(reason, GRADRT_REASON, "%lld x %lld pixels are more than the %d million that "
             "are read", (long long)width, (long long)height, GRADRT_PIXEL_BYTES / 3 / 1000000);
    return false;
  }
  m->width = (int)width;
  m->height = (int)height;
  m->pixel = gradrt_alloc((size_t)width * (size_t)height * (size_t)planes);
  if (!m->pixel)
    snprintf(reason, GRADRT_REASON, "out of memory");
  return m->pixel != NULL;
}

void gradrt_picture_free(gradrt_picture *m)
{
  gradrt_free(m->pixel);
  *m = (gradrt_picture){ 0 };
}

/* ---- planes ---- */

/* Weights of ITU-R BT.601, rounded to 16 bits; their sum is 1. */
static unsigned char picture_grey(const unsigned char *p)
{
  return (unsigned char)((19595u * p[0] + 38470u * p[1] + 7471u * p[2] + 32768u) >> 16);
}

/* Changes the number of planes. false: out of memory. */
static bool picture_convert(gradrt_picture *m, int planes)
{
  size_t pixels = (size_t)m->width * (size_t)m->height;
  unsigned char *to = m->planes == planes ? m->pixel : gradrt_alloc(pixels * (size_t)planes);
  if (m->planes == planes || !to)
    return to != NULL;
  for (size_t i = 0; i < pixels; i++) {
    if (planes == 1)
      to[i] = picture_grey(m->pixel + 3 * i);
    else
      memset(to + 3 * i, m->pixel[i], 3);
  }
  gradrt_free(m->pixel);
  m->pixel = to;
  m->planes = planes;
  return true;
}

/* ---- formats ---- */

static bool picture_begins(const unsigned char *b, size_t n, const char *with, size_t at)
{
  size_t length = strlen(with);
  return n >= at + length && memcmp(b + at, with, length) == 0;
}

static bool picture_is_png(const unsigned char *b, size_t n)
{
  return picture_begins(b, n, "\x89PNG\r\n\x1a\n", 0);
}

static bool picture_is_jpeg(const unsigned char *b, size_t n)
{
  return picture_begins(b, n, "\xFF\xD8\xFF", 0);
}

bool gradrt_picture_known(const unsigned char *bytes, size_t n)
{
  return picture_is_png(bytes, n) || picture_is_jpeg(bytes, n);
}

/* What else a file may be, for people. */
static const char *picture_other(const unsigned char *b, size_t n)
{
  static const struct { const char *with; size_t at; const char *name; } known[] = {
    { "GIF8", 0, "a GIF picture" },     { "BM", 0, "a BMP picture" },
    { "WEBP", 8, "a WebP picture" },    { "II*", 0, "a TIFF picture" },
    { "MM", 0, "a TIFF picture" },      { "ftyp", 4, "an AVIF or HEIC picture" },
    { "<", 0, "a web page or SVG" },    { "PK", 0, "a zip archive" },
    { "\x89PNG", 0, "a PNG picture whose first bytes were changed, as by a transfer as text" },
  };
  if (n == 0)
    return "an empty file";
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (picture_begins(b, n, known[i].with, known[i].at))
      return known[i].name;
  return NULL;
}

bool gradrt_picture_try(const unsigned char *bytes, size_t n, int planes, gradrt_picture *out,
                        char reason[GRADRT_REASON])
{
  *out = (gradrt_picture){ .planes = 0 };
  bool good = picture_is_png(bytes, n)    ? gradrt_png_decode(bytes, n, out, reason)
              : picture_is_jpeg(bytes, n) ? gradrt_jpeg_decode(bytes, n, out, reason)
                                          : false;
  if (good && !picture_convert(out, planes)) {
    snprintf(reason, GRADRT_REASON, "out of memory");
    good = false;
  }
  if (!good)
    gradrt_picture_free(out);
  return good;
}

int gradrt_picture_decode(const char *path, const unsigned char *bytes, size_t n, int planes,
                        gradrt_picture *out)
{
  char reason[GRADRT_REASON] = "";
  *out = (gradrt_picture){ .planes = 0 };
  if (!gradrt_picture_known(bytes, n)) {
    const char *other = picture_other(bytes, n);
    return gradrt_error(GRADRT_DATA, "%s: not a PNG or JPEG picture%s%s", path,
                        other ? ", but " : "", other ? other : "");
  }
  if (gradrt_picture_try(bytes, n, planes, out, reason))
    return GRADRT_OK;
  return gradrt_error(GRADRT_DATA, "%s: cannot decode this %s picture: %s", path,
                      picture_is_png(bytes, n) ? "PNG" : "JPEG", reason);
}

int gradrt_picture_write(const char *path, const gradrt_picture *m)
{
  char reason[GRADRT_REASON] = "";
  gradrt_writer *w = gradrt_writer_open(path);
  if (!w)
    return GRADRT_IO;
  if (gradrt_png_encode(m, w, reason))
    return gradrt_writer_commit(w);
  gradrt_writer_abort(w);
  return gradrt_error(GRADRT_IO, "%s: cannot write a PNG picture: %s", path, reason);
}

const char *gradrt_picture_libraries(void)
{
  return ""
#ifdef GRADRT_PNG
         " -lpng"
#endif
#ifdef GRADRT_JPEG
         " -ljpeg"
#endif
      ;
}

/* ---- sides ---- */

/* Old samples first .. first + n - 1 make a new one, with these weights. */
typedef struct { int first, n; } picture_taps;

/* Taps of all new samples of an axis; weight has room for `wide` of each. */
static void picture_weigh(int from, int to, int wide, picture_taps *taps, float *weight)
{
  double scale = (double)from / to, reach = scale > 1 ? scale : 1;
  for (int i = 0; i < to; i++) {
    double centre = (i + 0.5) * scale, sum = 0;
    int first = (int)floor(centre - reach), last = (int)ceil(centre + reach);
    first = first < 0 ? 0 : first;
    last = last > from ? from : last;
    taps[i] = (picture_taps){ first, last - first };
    for (int k = first; k < last; k++) {
      double w = 1 - fabs(k + 0.5 - centre) / reach;
      weight[i * wide + k - first] = (float)(w > 0 ? w : 0);
      sum += (double)weight[i * wide + k - first];
    }
    for (int k = 0; k < taps[i].n; k++)
      weight[i * wide + k] = (float)((double)weight[i * wide + k] / sum);
  }
}

/* Samples that one new sample can need. */
static int picture_wide(int from, int to)
{
  return from > to ? 2 * (int)ceil((double)from / to) + 2 : 4;
}

typedef struct {
  picture_taps *across, *down;
  float *wx, *wy;
  int widex, widey;
  float *strip;                 /* rows of the old height, new width */
} picture_scaler;

static void picture_scaler_free(picture_scaler *s)
{
  gradrt_free(s->across);
  gradrt_free(s->down);
  gradrt_free(s->wx);
  gradrt_free(s->wy);
  gradrt_free(s->strip);
}

static bool picture_scaler_open(picture_scaler *s, const gradrt_picture *from,
                                const gradrt_picture *to)
{
  *s = (picture_scaler){ .widex = picture_wide(from->width, to->width),
                       .widey = picture_wide(from->height, to->height) };
  s->across = gradrt_alloc((size_t)to->width * sizeof *s->across);
  s->down = gradrt_alloc((size_t)to->height * sizeof *s->down);
  s->wx = gradrt_alloc((size_t)to->width * (size_t)s->widex * sizeof *s->wx);
  s->wy = gradrt_alloc((size_t)to->height * (size_t)s->widey * sizeof *s->wy);
  s->strip = gradrt_alloc((size_t)from->height * (size_t)to->width * (size_t)to->planes *
                          sizeof *s->strip);
  if (!s->across || !s->down || !s->wx || !s->wy || !s->strip)
    return false;
  picture_weigh(from->width, to->width, s->widex, s->across, s->wx);
  picture_weigh(from->height, to->height, s->widey, s->down, s->wy);
  return true;
}

static void picture_scale_across(const picture_scaler *s, const gradrt_picture *from, int width)
{
  int planes = from->planes;
  for (int y = 0; y < from->height; y++)
    for (int x = 0; x < width; x++)
      for (int c = 0; c < planes; c++) {
        const unsigned char *in =
            from->pixel + ((size_t)y * (size_t)from->width + (size_t)s->across[x].first) *
                              (size_t)planes + (size_t)c;
        float sum = 0;
        for (int k = 0; k < s->across[x].n; k++)
          sum += s->wx[x * s->widex + k] * (float)in[k * planes];
        s->strip[((size_t)y * (size_t)width + (size_t)x) * (size_t)planes + (size_t)c] = sum;
      }
}

static void picture_scale_down(const picture_scaler *s, gradrt_picture *to)
{
  size_t row = (size_t)to->width * (size_t)to->planes;
  for (int y = 0; y < to->height; y++)
    for (size_t i = 0; i < row; i++) {
      const float *in = s->strip + (size_t)s->down[y].first * row + i;
      float sum = 0;
      for (int k = 0; k < s->down[y].n; k++)
        sum += s->wy[y * s->widey + k] * in[(size_t)k * row];
      float v = sum + 0.5f;
      to->pixel[(size_t)y * row + i] = (unsigned char)(v < 0 ? 0 : v > 255 ? 255 : v);
    }
}

bool gradrt_picture_resize(const gradrt_picture *from, gradrt_picture *to)
{
  char reason[GRADRT_REASON];
  picture_scaler s = { .across = NULL };
  bool good = gradrt_picture_alloc(to, to->width, to->height, from->planes, reason) &&
              picture_scaler_open(&s, from, to);
  if (good) {
    picture_scale_across(&s, from, to->width);
    picture_scale_down(&s, to);
  }
  picture_scaler_free(&s);
  if (!good)
    gradrt_picture_free(to);
  return good;
}
