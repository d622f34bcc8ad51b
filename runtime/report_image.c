/* Images of the report as PNG data addresses: no file beside the page, no zlib in the program (the
 * bytes are stored, not deflated). Knows nothing of nets. */
#include "run.h"

#include <string.h>

enum { IMAGE_BLOCK = 65535, IMAGE_SIDE_MAX = 4096 };

/* The growing bytes of one PNG file; the size is known before. */
typedef struct { unsigned char *at; } image_bytes;

static uint32_t image_crc(uint32_t crc, const unsigned char *p, size_t n)
{
  crc = ~crc;
  for (size_t i = 0; i < n; i++) {
    crc ^= p[i];
    for (int k = 0; k < 8; k++) {
      crc = crc >> 1 ^ (0xEDB88320u & (0u - (crc & 1)));
    }
  }
  return ~crc;
}

static void image_u32(image_bytes *b, uint32_t v)
{
  for (int i = 0; i < 4; i++) {
    *b->at++ = (unsigned char)(v >> (24 - 8 * i));
  }
}

static void image_copy(image_bytes *b, const void *bytes, size_t n)
{
  memcpy(b->at, bytes, n);
  b->at += n;
}

/* Starts a chunk of n bytes; image_end finishes it. */
static unsigned char *image_begin(image_bytes *b, const char *name, size_t n)
{
  image_u32(b, (uint32_t)n);
  unsigned char *start = b->at;
  image_copy(b, name, 4);
  return start;
}

static void image_end(image_bytes *b, const unsigned char *start)
{
  image_u32(b, image_crc(0, start, (size_t)(b->at - start)));
}

/* zlib's format with stored blocks of the n raw bytes. */
static void image_store(image_bytes *b, const unsigned char *raw, size_t n)
{
  uint32_t low = 1, high = 0;
  image_copy(b, "\x78\x01", 2);
  for (size_t done = 0; done < n;) {
    size_t part = n - done < IMAGE_BLOCK ? n - done : IMAGE_BLOCK;
    *b->at++ = done + part == n;
    for (int k = 0; k < 2; k++) {
      unsigned v = (unsigned)(k == 0 ? part : ~part & 0xFFFFu);
      *b->at++ = (unsigned char)(v & 0xFF);
      *b->at++ = (unsigned char)(v >> 8);
    }
    image_copy(b, raw + done, part);
    done += part;
  }
  for (size_t i = 0; i < n; i++) {
    low = (low + raw[i]) % 65521;
    high = (high + low) % 65521;
  }
  image_u32(b, high << 16 | low);
}

static void image_base64(gradrt_writer *w, const unsigned char *b, size_t n)
{
  static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  char text[4096];
  size_t at = 0;
  for (size_t i = 0; i < n; i += 3) {
    uint32_t v = (uint32_t)b[i] << 16 | (i + 1 < n ? (uint32_t)b[i + 1] << 8 : 0) |
                 (i + 2 < n ? b[i + 2] : 0);
    text[at++] = digit[v >> 18];
    text[at++] = digit[v >> 12 & 63];
    text[at++] = i + 1 < n ? digit[v >> 6 & 63] : '=';
    text[at++] = i + 2 < n ? digit[v & 63] : '=';
    if (at == sizeof text) {
      gradrt_writer_put(w, text, at);
      at = 0;
    }
  }
  gradrt_writer_put(w, text, at);
}

bool gradrt_image_new(gradrt_image *p, int width, int height, int planes)
{
  bool fits = width > 0 && height > 0 && width <= IMAGE_SIDE_MAX && height <= IMAGE_SIDE_MAX;
  *p = (gradrt_image){ width, height, planes, NULL };
  p->pixel = fits ? gradrt_alloc((size_t)width * (size_t)height * (size_t)planes) : NULL;
  return p->pixel != NULL;
}

void gradrt_image_free(gradrt_image *p)
{
  gradrt_free(p->pixel);
  p->pixel = NULL;
}

void gradrt_image_address(gradrt_writer *w, const gradrt_image *p)
{
  size_t row = (size_t)p->width * (size_t)p->planes, n = (row + 1) * (size_t)p->height;
  size_t stored = n + 5 * (n / IMAGE_BLOCK + 1) + 6;
  unsigned char *raw = gradrt_alloc(n), *png = gradrt_alloc(stored + 128);
  image_bytes b = { png };
  if (raw && png) {
    for (int y = 0; y < p->height; y++) {
      memcpy(raw + (size_t)y * (row + 1) + 1, p->pixel + (size_t)y * row, row);
    }
    image_copy(&b, "\x89PNG\r\n\x1a\n", 8);
    unsigned char *start = image_begin(&b, "IHDR", 13);
    image_u32(&b, (uint32_t)p->width);
    image_u32(&b, (uint32_t)p->height);
    image_copy(&b, p->planes == 3 ? "\x08\x02\0\0\0" : "\x08\0\0\0\0", 5);
    image_end(&b, start);
    size_t blocks = (n + IMAGE_BLOCK - 1) / IMAGE_BLOCK;
    start = image_begin(&b, "IDAT", n + 5 * blocks + 6);
    image_store(&b, raw, n);
    image_end(&b, start);
    start = image_begin(&b, "IEND", 0);
    image_end(&b, start);
  }
  gradrt_writer_printf(w, "data:image/png;base64,");
  image_base64(w, png, png ? (size_t)(b.at - png) : 0);
  gradrt_free(raw);
  gradrt_free(png);
}

void gradrt_report_image(gradrt_writer *w, const gradrt_image *p, int zoom, const char *alt)
{
  gradrt_writer_printf(w, "<img width=\"%d\" height=\"%d\" alt=\"", p->width * zoom,
                       p->height * zoom);
  gradrt_report_text(w, alt);
  gradrt_writer_printf(w, "\" src=\"");
  gradrt_image_address(w, p);
  gradrt_writer_printf(w, "\">");
}

/* ---- colours ---- */

void gradrt_color_scale(const unsigned char (*anchor)[3], int n, double t, unsigned char rgb[3])
{
  double at = (t > 0 ? t < 1 ? t : 1 : 0) * (n - 1);
  int i = at >= n - 1 ? n - 2 : (int)at;
  for (int k = 0; k < 3; k++) {
    rgb[k] = (unsigned char)(anchor[i][k] + (at - i) * (anchor[i + 1][k] - anchor[i][k]) + 0.5);
  }
}

void gradrt_color_viridis(double t, unsigned char rgb[3])
{
  static const unsigned char anchor[10][3] = {
    { 68, 1, 84 }, { 72, 40, 120 }, { 62, 74, 137 }, { 49, 104, 142 }, { 38, 130, 142 },
    { 31, 158, 137 }, { 53, 183, 121 }, { 110, 206, 88 }, { 181, 222, 43 }, { 253, 231, 37 }
  };
  gradrt_color_scale(anchor, 10, t, rgb);
}

void gradrt_color_signed(double v, unsigned char rgb[3])
{
  static const unsigned char anchor[5][3] = {
    { 5, 74, 145 }, { 115, 173, 209 }, { 247, 247, 247 }, { 239, 138, 98 }, { 165, 15, 38 }
  };
  gradrt_color_scale(anchor, 5, (v + 1) / 2, rgb);
}

const char *gradrt_class_color(int64_t cls)
{
  static const char *const color[] = { "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00",
                                       "#56b4e9", "#7f7f7f", "#b8a800" };
  return color[cls % 8];
}
