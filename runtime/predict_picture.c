/* The command `predict` with pictures: a folder of them stands for its files, and an output that
 * has the shape of a picture is written as PNG. */
#include "data.h"
#include "pictures.h"
#include "run.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* ---- in ---- */

/* Calls `each` for the pictures of one folder, in byte order; *n counts them. */
static int folder_files(const char *folder, int (*each)(void *ctx, const char *path), void *ctx,
                        int64_t *n)
{
  char path[GRADRT_PATH_MAX];
  gradrt_names names;
  if (!gradrt_folder_names(folder, GRADRT_PICTURES, &names))
    return gradrt_error(GRADRT_DATA, "cannot read the folder %s: %s", folder, strerror(errno));
  int code = GRADRT_OK;
  for (int64_t i = 0; i < names.n && code == GRADRT_OK; i++) {
    code = gradrt_path_join(path, folder, names.name[i]);
    code = code == GRADRT_OK ? each(ctx, path) : code;
  }
  *n += names.n;
  gradrt_names_free(&names);
  return code;
}

int gradrt_predict_folder(const char *folder, int (*each)(void *ctx, const char *path), void *ctx)
{
  char path[GRADRT_PATH_MAX];
  gradrt_names inside = { .n = 0 };
  int64_t n = 0;
  int code = folder_files(folder, each, ctx, &n);
  if (code == GRADRT_OK)
    gradrt_folder_names(folder, GRADRT_FOLDERS, &inside);
  for (int64_t i = 0; i < inside.n && code == GRADRT_OK; i++) {
    code = gradrt_path_join(path, folder, inside.name[i]);
    code = code == GRADRT_OK ? folder_files(path, each, ctx, &n) : code;
  }
  gradrt_names_free(&inside);
  if (code == GRADRT_OK && n == 0)
    code = gradrt_error(GRADRT_DATA, "%s: no .png, .jpg or .jpeg files, nor in its folders",
                        folder);
  return code;
}

/* ---- out ---- */

bool gradrt_predict_wants_picture(const char *out)
{
  size_t n = out ? strlen(out) : 0;
  return n > 4 && strcmp(out + n - 4, ".png") == 0;
}

/* Planes and sides of an output [h, w], [1, h, w] or [3, h, w]. */
static bool output_sides(const gradrt_output *o, int64_t *planes, int64_t *height, int64_t *width)
{
  *planes = o->rank == 3 ? o->dim[0] : 1;
  if (!o->batched || (o->rank != 2 && o->rank != 3) || (*planes != 1 && *planes != 3))
    return false;
  *height = o->dim[o->rank - 2];
  *width = o->dim[o->rank - 1];
  return true;
}

int gradrt_predict_picture_output(const gradrt_net *net)
{
  int64_t planes, height, width;
  for (int o = 0; o < net->infer.noutput; o++)
    if (output_sides(&net->infer.output[o], &planes, &height, &width))
      return o;
  return -1;
}

int gradrt_predict_write_picture(const gradrt_output *o, const double *value, const char *path)
{
  char reason[GRADRT_REASON] = "";
  int64_t planes = 1, height = 0, width = 0;
  gradrt_picture m;
  output_sides(o, &planes, &height, &width);
  if (!gradrt_picture_alloc(&m, width, height, (int)planes, reason))
    return gradrt_error(GRADRT_LIMIT, "%s: %s", path, reason);
  for (int64_t i = 0; i < width * height; i++)
    for (int64_t c = 0; c < planes; c++) {
      double v = value[c * width * height + i] + 0.5;
      m.pixel[i * planes + c] = (unsigned char)(v >= 255 ? 255 : v > 0 ? v : 0);
    }
  int code = gradrt_picture_write(path, &m);
  gradrt_picture_free(&m);
  return code;
}
