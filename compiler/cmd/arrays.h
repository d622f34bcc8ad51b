/* The weights of a net as files of arrays that other programs read and write: NumPy's .npz, and
 * safetensors without anything of a run. Every function that returns an int returns an exit code,
 * after a message if it is not 0. */
#ifndef GRADC_CMD_ARRAYS_H
#define GRADC_CMD_ARRAYS_H

#include "cmd/cmd.h"

typedef struct {
  const char *name;             /* "c1.weight" */
  const char *dtype;            /* "F32" "F64" "I64" */
  int rank;
  const int64_t *dim;
  int64_t bytes;
  int64_t at;                   /* of its first byte in the written file */
  const gradrt_tensor *tensor;  /* where its values are */
} Array;

/* Parameters and statistics of a net, row-major and little-endian in files, in the net's order. */
typedef struct {
  const gradrt_net *net;
  void *state;                  /* the net's state block */
  Array *array;
  int narray;
  Arena *arena;
} Arrays;

/* The arrays of a net and a state block with its initial values for the seed of the spec. NULL:
 * reported. */
Arrays *arrays_new(Arena *a, const gradrt_net *net);
/* Fills the state block with the weights that were asked for: of a run, of a file, initial ones. */
int arrays_load(Arrays *w, const CmdOptions *o);
/* Writes a file whole or not at all, and fills the `at` of each array. */
int arrays_write_npz(Arrays *w, const char *path);
int arrays_write_safetensors(Arrays *w, const char *path);
/* Writes a .npz file's arrays to a new safetensors file. Refuses what is damaged, and arrays of
 * other types than numbers. */
int arrays_npz_to_safetensors(Arena *a, const char *npz, const char *path);

#endif
