/* Pictures as PNG (deflated by zlib, no filter) and as base64 text. Knows nothing of data. */
#include "cmd/picture.h"
#include "base/util.h"
#include <limits.h>
#include <string.h>
#include <zlib.h>

Picture picture_new(Arena *a, int width, int height, int planes)
{
  return (Picture){ width, height, planes,
                    ARENA_ARRAY(a, unsigned char,
                                (int64_t)width * (int64_t)height * (int64_t)planes) };
}

void picture_paste(Picture *to, const Picture *from, int x, int y, int zoom)
{
  for (int i = 0; i < from->height * zoom; i++)
    for (int k = 0; k < from->width * zoom; k++) {
      size_t at = (size_t)(i / zoom) * (size_t)from->width + (size_t)(k / zoom);
      const unsigned char *in = from->pixel + at * (size_t)from->planes;
      unsigned char *out =
          to->pixel + ((size_t)(y + i) * (size_t)to->width + (size_t)(x + k)) * 3;
      for (int c = 0; c < 3; c++)
        out[c] = in[from->planes == 3 ? c : 0];
    }
}

/* ---- PNG ---- */

static void put_u32(unsigned char *b, uint32_t v)
{
  for (int i = 0; i < 4; i++)
    b[i] = (unsigned char)(v >> (24 - 8 * i));
}

static void chunk(Out *o, const char *name, const unsigned char *bytes, size_t n)
{
  unsigned char head[8], tail[4];
  put_u32(head, (uint32_t)n);
  memcpy(head + 4, name, 4);
  uLong crc = crc32(crc32(0, NULL, 0), head + 4, 4);
  if (n)
    crc = crc32(crc, bytes, (uInt)n);
  put_u32(tail, (uint32_t)crc);
  out_bytes(o, (const char *)head, sizeof head);
  if (n)
    out_bytes(o, (const char *)bytes, n);
  out_bytes(o, (const char *)tail, sizeof tail);
}

void picture_png(Out *o, Arena *a, const Picture *p)
{
  size_t row = (size_t)p->width * (size_t)p->planes, n = (row + 1) * (size_t)p->height;
  unsigned char *raw = ARENA_ARRAY(a, unsigned char, n + 1);
  for (int y = 0; y < p->height; y++)
    memcpy(raw + (size_t)y * (row + 1) + 1, p->pixel + (size_t)y * row, row);
  uLongf packed = compressBound((uLong)n);
  unsigned char *bytes = ARENA_ARRAY(a, unsigned char, packed);
  if (compress2(bytes, &packed, raw, (uLong)n, 9) != Z_OK)
    ice("zlib cannot deflate %zu bytes", n);
  unsigned char head[13] = { 0 };
  put_u32(head, (uint32_t)p->width);
  put_u32(head + 4, (uint32_t)p->height);
  head[8] = 8;
  head[9] = p->planes == 3 ? 2 : 0;
  out_bytes(o, "\x89PNG\r\n\x1a\n", 8);
  chunk(o, "IHDR", head, sizeof head);
  chunk(o, "IDAT", bytes, (size_t)packed);
  chunk(o, "IEND", NULL, 0);
}

/* ---- text ---- */

void picture_base64(Out *o, const char *bytes, size_t n)
{
  static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const unsigned char *b = (const unsigned char *)bytes;
  for (size_t i = 0; i < n; i += 3) {
    uint32_t v = (uint32_t)b[i] << 16 | (i + 1 < n ? (uint32_t)b[i + 1] << 8 : 0) |
                 (i + 2 < n ? b[i + 2] : 0);
    char four[4] = { digit[v >> 18], digit[v >> 12 & 63], i + 1 < n ? digit[v >> 6 & 63] : '=',
                     i + 2 < n ? digit[v & 63] : '=' };
    out_bytes(o, four, 4);
  }
}

static void address(Out *o, Arena *a, const Picture *p)
{
  Out *png = out_new(a);
  picture_png(png, a, p);
  out_printf(o, "data:image/png;base64,");
  picture_base64(o, out_text(png), out_length(png));
}

void picture_html(Out *o, Arena *a, const Picture *p, int zoom)
{
  out_printf(o, "<img alt=\"\" width=\"%d\" height=\"%d\" src=\"", p->width * zoom,
             p->height * zoom);
  address(o, a, p);
  out_printf(o, "\">");
}

void picture_svg(Out *o, Arena *a, const Picture *p, int x, int y, int zoom)
{
  out_printf(o, "<image x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" href=\"", x, y,
             p->width * zoom, p->height * zoom);
  address(o, a, p);
  out_printf(o, "\"/>\n");
}
