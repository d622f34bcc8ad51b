/* What the golden programs share: running gradc and reading what a run left. Every function ends
 * the program with GOLDEN_BROKEN and one message when it cannot do its work. */
#ifndef GRADC_TESTS_GOLDEN_TOOL_H
#define GRADC_TESTS_GOLDEN_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Exit codes: numbers differ; the comparison could not be made. */
enum { GOLDEN_DIFFERS = 1, GOLDEN_BROKEN = 2 };
enum { GOLDEN_PATH = 4096 };

_Noreturn void golden_fail(const char *what, const char *which);
void golden_path(char out[GOLDEN_PATH], const char *dir, const char *name);
void golden_make_dir(const char *path);
/* Opens dir/name; mode as in fopen. */
FILE *golden_open(const char *dir, const char *name, const char *mode);
/* Runs words[0] with these words (NULL ends them), its cache below work; returns the exit code. */
int golden_run(const char *const *words, const char *work);

/* |ours - theirs| / |theirs|; INFINITY when ours is not finite. */
double golden_relative(double ours, double theirs);

/* Column `name` of a CSV file with a header line; returns how many rows were stored, at most
 * max. */
int golden_column(const char *dir, const char *file, const char *name, double *out, int max);

/* Sum and sum of magnitudes of one tensor of a safetensors file. */
void golden_tensor(const char *dir, const char *file, const char *tensor, double *sum,
                   double *size);

#endif
