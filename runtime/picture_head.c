/* What the first and the last bytes of a picture's file tell without decoding it: its sides, and
 * that nothing is cut off. Files that look unusual, and those of a kind that this program cannot
 * decode, are left to the decoders, whose word is final. */
#include "pictures.h"

#include <string.h>
#include <unistd.h>

/* Packed: no kind of file makes more of a byte than so many, here with 8 bytes a pixel. */
enum { HEAD_SEGMENTS_MAX = 400, HEAD_PACKED_MAX = 1100 };

#if defined GRADRT_PNG || defined GRADRT_JPEG
static bool head_read(int fd, int64_t at, unsigned char *bytes, size_t n)
{
  return at >= 0 && pread(fd, bytes, n, (off_t)at) == (ssize_t)n;
}
#endif

#ifdef GRADRT_PNG
static int64_t head_number(const unsigned char *b)
{
  return (int64_t)b[0] << 24 | b[1] << 16 | b[2] << 8 | b[3];
}

/* The first chunk holds the sides, the last one is empty and called IEND. */
static bool head_png(int fd, int64_t size, int64_t *width, int64_t *height)
{
  static const unsigned char first[] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
  static const unsigned char last[] = "\0\0\0\0IEND\xAE\x42\x60\x82";
  unsigned char b[24], end[12];
  if (!head_read(fd, 0, b, sizeof b) || memcmp(b, first, 16) != 0 ||
      !head_read(fd, size - 12, end, sizeof end) || memcmp(end, last, sizeof end) != 0)
    return false;
  *width = head_number(b + 16);
  *height = head_number(b + 20);
  return true;
}
#endif

#ifdef GRADRT_JPEG
/* Segments up to the one that begins the frame, which holds the sides: 8 bits, Huffman codes. */
static bool head_jpeg(int fd, int64_t size, int64_t *width, int64_t *height)
{
  unsigned char b[9], end[2];
  if (!head_read(fd, 0, b, 3) || memcmp(b, "\xFF\xD8\xFF", 3) != 0 ||
      !head_read(fd, size - 2, end, 2) || memcmp(end, "\xFF\xD9", 2) != 0)
    return false;
  int64_t at = 2;
  for (int i = 0; i < HEAD_SEGMENTS_MAX; i++) {
    if (!head_read(fd, at, b, sizeof b) || b[0] != 0xFF || b[1] < 0xC0 || b[1] == 0xDA)
      return false;
    if (b[1] <= 0xC2) {
      *height = b[5] << 8 | b[6];
      *width = b[7] << 8 | b[8];
      return b[4] == 8;
    }
    at += 2 + (b[2] << 8 | b[3]);
  }
  return false;
}
#endif

bool gradrt_picture_head(int fd, int64_t size, int *width, int *height)
{
  int64_t w = 0, h = 0;
  bool good = false;
#ifdef GRADRT_PNG
  good = head_png(fd, size, &w, &h);
#endif
#ifdef GRADRT_JPEG
  good = good || head_jpeg(fd, size, &w, &h);
#endif
  (void)fd;
  *width = good && w <= GRADRT_SIDE_MAX ? (int)w : 0;
  *height = good && h <= GRADRT_SIDE_MAX ? (int)h : 0;
  return *width > 0 && *height > 0 && w * h <= GRADRT_PIXEL_BYTES / 3 &&
         w * h / HEAD_PACKED_MAX * 8 <= size;
}
