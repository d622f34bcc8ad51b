/* Commands of gradc: each takes the options and returns an exit code. */
#ifndef GRADC_CMD_CMD_H
#define GRADC_CMD_CMD_H

#include "driver.h"

typedef struct {
  DriverOptions driver;
  const char *out;              /* -o; NULL: chosen from the spec's name; "-": standard output */
  const char *emit;             /* --emit; NULL: c */
  const char *backend;
  bool quiet, verbose, json, thin;
  bool check;                   /* fmt: only compare */
  const char *format;           /* summary: text or json */
  char *const *rest;            /* arguments that are not gradc's own: for the trained program */
  int nrest;
  const char *param;            /* gradcheck: only this parameter; NULL: all */
} CmdOptions;

int cmd_check(const CmdOptions *o);
int cmd_summary(const CmdOptions *o);
int cmd_build(const CmdOptions *o);
int cmd_run(const CmdOptions *o, const char *verb);     /* train, eval, predict: build into the cache and run */
int cmd_gradcheck(const CmdOptions *o);
int cmd_fmt(const CmdOptions *o);

/* ---- shared by commands ---- */
/* Writes text to path whole or not at all ("-": standard output). */
int cmd_write(const char *path, const char *text, size_t length);
/* Compiles one C file with the C compiler of $CC (else cc). kind: "exe" or "so". Prints the command if verbose. */
int cmd_cc(const CmdOptions *o, const Compilation *c, const char *source, const char *target, const char *kind);
/* Emits the C of a compiled module. NULL: reported. */
const char *cmd_emit_c(const CmdOptions *o, Compilation *c, size_t *length);
/* A folder for intermediate files, made on demand; NULL: reported. */
const char *cmd_cache_dir(Arena *a, const char *key);
bool cmd_needs_zlib(const gradrt_net *net);

#endif
