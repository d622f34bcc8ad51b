/* Pictures in memory: decoding PNG and JPEG, resizing, writing PNG. Knows nothing of nets.
 *
 * The decoders need libpng (GRADRT_PNG) and libjpeg (GRADRT_JPEG); without them every function is
 * there and says what is missing. Files are never trusted: sides, memory and the number of scans
 * are bounded before anything is decoded, and a damaged file is refused as a whole. */
#ifndef GRADRT_PICTURES_H
#define GRADRT_PICTURES_H

#include "internal.h"

enum { GRADRT_SIDE_MAX = 32768, GRADRT_PIXEL_BYTES = 1 << 28, GRADRT_REASON = 200 };

typedef struct {
  int width, height, planes;    /* planes: 1 grey, 3 red, green, blue */
  unsigned char *pixel;         /* row-major, the planes of a pixel together; by gradrt_alloc */
} gradrt_picture;

/* Allocates pixels for these sides; false: reason says why not. */
bool gradrt_picture_alloc(gradrt_picture *m, int64_t width, int64_t height, int planes,
                        char reason[GRADRT_REASON]);
void gradrt_picture_free(gradrt_picture *m);        /* also one that holds nothing */

/* Whether the first bytes of a file are those of a PNG or JPEG picture. */
bool gradrt_picture_known(const unsigned char *bytes, size_t n);
/* Decodes a whole file into 8 bits a sample and the wanted planes. Colours become grey by
 * 0.299 red + 0.587 green + 0.114 blue, grey becomes three equal planes, 16 bits are rounded to 8,
 * transparency is left out, CMYK is converted. path: for messages. GRADRT_DATA names path and
 * reason. */
int gradrt_picture_decode(const char *path, const unsigned char *bytes, size_t n, int planes,
                        gradrt_picture *out);
/* The same without a message: false: reason says why, in words about "this picture". */
bool gradrt_picture_try(const unsigned char *bytes, size_t n, int planes, gradrt_picture *out,
                        char reason[GRADRT_REASON]);
/* Bilinear: each new pixel is the mean of old ones, weighted by a triangle as wide as two pixels of
 * the coarser grid; where a side grows that is interpolation between two neighbours. false: out of
 * memory; to's sides and planes are set by the caller, its pixels allocated here. */
bool gradrt_picture_resize(const gradrt_picture *from, gradrt_picture *to);
/* Writes a PNG file whole or not at all. */
int gradrt_picture_write(const char *path, const gradrt_picture *m);
/* What a program that links this library needs for its pictures: "-lpng -ljpeg", or "". */
const char *gradrt_picture_libraries(void);

/* ---- picture_head.c ---- */
/* The sides of the picture in a file of `size` bytes, without decoding it. false: the file looks
 * unusual or cut off, or cannot be decoded here, and only decoding can tell. */
bool gradrt_picture_head(int fd, int64_t size, int *width, int *height);

/* ---- picture_png.c, picture_jpeg.c: false: reason says what is wrong with the file ---- */
bool gradrt_png_decode(const unsigned char *bytes, size_t n, gradrt_picture *out,
                       char reason[GRADRT_REASON]);
bool gradrt_jpeg_decode(const unsigned char *bytes, size_t n, gradrt_picture *out,
                        char reason[GRADRT_REASON]);
/* Encodes into w; false: reason says why not. */
bool gradrt_png_encode(const gradrt_picture *m, gradrt_writer *w, char reason[GRADRT_REASON]);

#endif
