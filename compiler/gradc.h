/* gradc as a library: a program of your own checks and compiles specs, without files and without
 * starting the command. `pkg-config --cflags --libs gradc` says how to build with it.
 *
 *   gradc_options o = { .file = "net.nn" };
 *   gradc *g = gradc_compile(&o, GRADC_C);
 *   fputs(gradc_messages(g), stderr);
 *   if (gradc_status(g) == 0)
 *     fputs(gradc_output(g, NULL), stdout);
 *   gradc_free(g);
 *
 * Compilations share nothing: several threads may run them at once, each one by itself. Where
 * memory is out, or a mistake in gradc is met, a report on stderr ends the process. */
#ifndef GRADC_GRADC_H
#define GRADC_GRADC_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gradc gradc;

/* All zero but `file`: as the command without options. Texts are read while gradc_compile runs. */
typedef struct {
  const char *file;             /* path of the spec, which messages name; files that it uses lie
                                   beside it */
  const char *text;             /* the spec itself; NULL: what the file holds */
  const char *const *set;       /* overrides, as those of --set: "lr=0.1", "batch=32" */
  int nset;
  const char *train;            /* which train block; NULL: the first */
  const char *cpu;              /* instruction set, as --cpu; NULL: the spec's, or this machine */
  const char *data;             /* folder of the data, as --data; NULL: the spec's */
} gradc_options;

typedef enum {
  GRADC_CHECK,                  /* no output, only messages */
  GRADC_AST,                    /* what was read */
  GRADC_GRAPH,                  /* the graphs of training, evaluation and inference */
  GRADC_GRAD,                   /* training as mathematics */
  GRADC_LOOP,                   /* kernels and steps as loops */
  GRADC_C,                      /* the standalone C file */
  GRADC_C_LIBRARY,              /* the same with functions in the place of main, as --library */
  GRADC_HEADER                  /* the declarations of these functions */
} gradc_form;

/* Compiles a spec into one form of it. Never NULL; free with gradc_free. */
gradc *gradc_compile(const gradc_options *o, gradc_form form);
/* The exit code of the command: 0, 1 mistakes in the spec, 2 options, 3 data, 5 reading files,
 * 6 limits. */
int gradc_status(const gradc *g);
/* Errors and warnings as the command prints them; "" where there are none. */
const char *gradc_messages(const gradc *g);
/* The output, ended by NUL, and its bytes if length is not NULL; "" unless the status is 0. Lives
 * until gradc_free. */
const char *gradc_output(const gradc *g, size_t *length);
void gradc_free(gradc *g);      /* NULL: fine */

#ifdef __cplusplus
}
#endif

#endif
