/* gradc bench: what its parts share. A row of the table is one program run with one number of
 * threads. */
#ifndef GRADC_CMD_BENCH_H
#define GRADC_CMD_BENCH_H

#include "cmd/cmd.h"

enum { BENCH_ROUNDS_MAX = 99, BENCH_THREADS_MAX = 16 };

typedef enum { BENCH_MD, BENCH_CSV, BENCH_JSON } BenchFormat;

typedef struct {
  int thread[BENCH_THREADS_MAX], nthread;       /* ascending */
  int rounds;
  const char *seconds;          /* of timed steps in each run, as the program's option takes it */
  const char *variants;         /* words separated by blanks; NULL: all that are not very slow */
  BenchFormat format;
} BenchOptions;

/* How a program is made: what it is called in the table, and what differs. */
typedef struct {
  const char *name;
  const Target *target;
  const char *cc;               /* path of the C compiler */
  const char *compiler;         /* its name for people: "gcc-12" */
  const char *backend;          /* "c" or "llvm" */
  bool unfused, untiled;
} BenchVariant;

/* Medians over the rounds; seconds 0: the net has no such step. */
typedef struct {
  const BenchVariant *variant;
  const char *exe;
  int threads;
  double train[BENCH_ROUNDS_MAX], infer[BENCH_ROUNDS_MAX];      /* seconds, a round each */
  double train_flops, infer_flops;      /* of a step */
  double peak, memory;          /* FLOP/s of all threads; bytes at most */
  char weights[65];             /* hash after the check's steps; empty: no training */
} BenchRow;

typedef struct {
  const gradrt_net *net;
  BenchRow *row;
  int nrow;
  const BenchOptions *options;
  double peak;                  /* FLOP/s of one thread: the best that any program measured */
} BenchTable;

/* Reads the words of the command line that are not gradc's own; EXIT_USAGE after one message. When
 * it printed help, rounds is 0. */
int bench_options(const CmdOptions *o, Arena *a, BenchOptions *out);
/* The variants that this machine can build and run, the reference first. */
BenchVariant *bench_variants(Arena *a, const BenchOptions *b, double step_flops, int real_bytes,
                             int *n);
double bench_median(double *x, int n);                  /* sorts x */
/* Runs argv and takes what it prints, at most size - 1 bytes; its exit code. */
int bench_run(char *const *argv, char *text, size_t size);
/* The number after `"key":` behind the word `in` (NULL: anywhere); 0: it is not there. */
double bench_number(const char *json, const char *in, const char *key);
/* The hash of the weights that a program's bench printed; empty: it printed none. */
void bench_weights(const char *json, char out[65]);
void bench_print(const BenchTable *t);

#endif
