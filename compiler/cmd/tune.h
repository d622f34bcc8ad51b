/* gradc tune: what its parts share. */
#ifndef GRADC_CMD_TUNE_H
#define GRADC_CMD_TUNE_H

#include "cmd/cmd.h"

/* The second pass takes twice as many rounds as the first. */
enum { TUNE_ROUNDS_MAX = 99, TUNE_PROGRAMS_MAX = TILE_OTHERS_MAX + 1 };

typedef struct {
  int rounds, threads;
  const char *seconds;          /* of timed steps in each run, as the program's option takes it */
  const char *batch;            /* "batch=N"; NULL: the spec's */
  bool help;                    /* was printed: nothing else to do */
} TuneOptions;

/* Kernels that are the same operation on the same shapes. Times are seconds a step. */
typedef struct {
  const char *group;
  int candidates;               /* programs 1 .. candidates have other tiles */
  double time[TUNE_PROGRAMS_MAX][2 * TUNE_ROUNDS_MAX];  /* by program and round */
  int best;                     /* program with the best tiles; 0: the standard ones */
  double gain;                  /* percent of the standard time; 0 for the standard tiles */
} TuneGroup;

/* Reads the words of the command line that are not gradc's own; EXIT_USAGE after one message. */
int tune_options(const CmdOptions *o, Arena *a, TuneOptions *out);
/* Writes the tiles t wants into the cache, whole or not at all; those with nv 0 are left out.
 * *path: of the file. */
int tune_write(const Tiles *t, const char **path);
/* How much faster program k is than program 0, percent, by the median of the rounds' ratios; 0
 * unless it is more than 2 and k was faster in all rounds but one in ten. */
double tune_gain(const TuneGroup *g, int k, int rounds);
/* A table of kernels, tiles and gains. */
void tune_print(const TuneGroup *group, int n, const Tiles *standard);

#endif
