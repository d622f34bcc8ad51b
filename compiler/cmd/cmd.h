/* Commands of gradc: each takes the options and returns an exit code. */
#ifndef GRADC_CMD_CMD_H
#define GRADC_CMD_CMD_H

#include "driver.h"

typedef struct {
  DriverOptions driver;
  const char *out;              /* -o; NULL: chosen from the spec's name; "-": standard output */
  const char *emit;             /* --emit; NULL: c */
  const char *backend;          /* --backend: c or llvm; NULL: cmd_uses_llvm decides */
  const char *triple;           /* --target, for LLVM; NULL: by the instruction set */
  bool quiet, verbose, json, thin, library;
  bool bench, profile;          /* programs that time their steps, and their kernels */
  const char *cc;               /* C compiler; NULL: $CC, else cc */
  bool tuned, no_tune;          /* build: use measured tiles; the others: do not */
  bool check;                   /* fmt: only compare */
  const char *sample, *landscape, *threads;     /* report: numbers as given, or NULL */
  bool dot, html;               /* graph: instead of SVG */
  const char *template;         /* new: which spec; NULL: the first */
  const char *weights;          /* export: a run or a file; import: a file; or NULL */
  const char *rename;           /* import: "THEIRS=OURS,.."; or NULL */
  bool untrained;               /* export: initial values */
  const char *from;             /* data get: the address of the files; NULL: the published ones */
  char *const *rest;            /* arguments that are not gradc's own: for the trained program */
  int nrest;
} CmdOptions;

int cmd_check(const CmdOptions *o);
int cmd_summary(const CmdOptions *o);
int cmd_build(const CmdOptions *o);
int cmd_run(const CmdOptions *o, const char *verb);     /* train, eval, predict: build into the cache and run */
int cmd_gradcheck(const CmdOptions *o);
int cmd_fmt(const CmdOptions *o);
int cmd_export(const CmdOptions *o);    /* weights of a run for other programs */
int cmd_import(const CmdOptions *o);    /* weights of other programs as a run */
int cmd_new(const CmdOptions *o);       /* a spec to begin with, at the path in a spec's place */
int cmd_tune(const CmdOptions *o);      /* measures register tiles and keeps those that win */
int cmd_bench(const CmdOptions *o);     /* speed of variants of the net, beside each other */

int cmd_graph(const CmdOptions *o);     /* the network as a diagram */
int cmd_report(const CmdOptions *o);    /* a page about a trained net, or about several runs */
int cmd_explain(const CmdOptions *o);   /* of the code or word that stands in a spec's place */
int cmd_doctor(const CmdOptions *o);    /* EXIT_IO: nothing could be trained here */
int cmd_data(const CmdOptions *o);      /* rows, ranges, classes and pictures of the data */
int cmd_data_get(const CmdOptions *o);  /* brings the files of the data set that rest names */

/* ---- shared by commands ---- */
/* Bytes of a layer (NULL: of all) that the training step keeps from forward to backward, for a
 * full batch and with the padding of their layouts. */
int64_t cmd_saved_bytes(const Compilation *c, const char *layer);
/* The folder of the spec: where its data paths start. */
const char *cmd_spec_dir(Arena *a, const char *file);
/* Writes text to path whole or not at all ("-": standard output). */
int cmd_write(const char *path, const char *text, size_t length);
/* The C compiler to use. */
const char *cmd_compiler(const CmdOptions *o);
/* Path of the program of a compiled module, built unless the cache has it; NULL: *code says why. */
const char *cmd_build_cached(const CmdOptions *o, Compilation *c, int *code);
/* Compiles one C file with cmd_compiler. kind: "exe" or "so"; or "linked", a program that needs
 * cmd_runtime_library: then no message tells why it failed. Prints the command if verbose. */
int cmd_cc(const CmdOptions *o, const Compilation *c, const char *source, const char *target, const char *kind);
/* Runs argv[0] of PATH and waits: its exit status, 128 + a signal, or minus errno where it cannot
 * be run. Silent. */
int cmd_spawn(char *const *argv);
/* Runs argv[0] with these words (NULL ends them) and waits; EXIT_IO after one message when it fails. Prints the
 * command if verbose. */
int cmd_run_tool(const CmdOptions *o, Arena *a, const char *const *argv);
/* Makes a program: links the net's own code with cmd_runtime_library, in a third of the time that
 * the whole text in source takes; compiles that where there is no runtime to link with. */
int cmd_compile_program(const CmdOptions *o, Compilation *c, const char *source, const char *exe);
/* The path of the libgradrt.a that belongs to this gradc; NULL: there is none. */
const char *cmd_runtime_library(Arena *a);
/* Does the target have the architecture of this machine? */
bool cmd_same_machine(const Target *t);
/* What back ends are given for a compiled module. */
EmitArgs cmd_emit_args(const CmdOptions *o, Compilation *c);
/* 32 hexadecimal digits of the SHA-256 of a text. */
const char *cmd_hash(Arena *a, const char *text, size_t n);
/* Emits the C of a compiled module. NULL: reported. */
const char *cmd_emit_c(const CmdOptions *o, Compilation *c, size_t *length);
/* A folder for intermediate files, made on demand; NULL: reported. */
const char *cmd_cache_dir(Arena *a, const char *key);
/* The path of such a folder, which may not exist. */
const char *cmd_cache_path(Arena *a, const char *key);
/* Tiles that gradc tune kept for this machine, in a; NULL: --no-tune. Damage is a warning. */
Tiles *cmd_tiles(const CmdOptions *o, Arena *a);

#endif
