/* Small pictures: pixels to PNG, bytes to base64 for pages that hold their pictures. */
#ifndef GRADC_CMD_PICTURE_H
#define GRADC_CMD_PICTURE_H

#include "base/out.h"

typedef struct {
  int width, height, planes;    /* planes: 1 grey, 3 colours */
  unsigned char *pixel;         /* row-major, the planes of a pixel together */
} Picture;

Picture picture_new(Arena *a, int width, int height, int planes);        /* black */
/* Copies `from`, each pixel as zoom x zoom, to column x and row y of `to`, which has 3 planes. */
void picture_paste(Picture *to, const Picture *from, int x, int y, int zoom);
void picture_png(Out *o, Arena *a, const Picture *p);           /* a whole PNG file */
void picture_base64(Out *o, const char *bytes, size_t n);
/* <img> or, for svg, <image> at x, y whose sides are those of the picture times zoom. */
void picture_html(Out *o, Arena *a, const Picture *p, int zoom);
void picture_svg(Out *o, Arena *a, const Picture *p, int x, int y, int zoom);

#endif
