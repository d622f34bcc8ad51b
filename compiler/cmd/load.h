/* A compiled net in this process, whichever back end made its steps. */
#ifndef GRADC_CMD_LOAD_H
#define GRADC_CMD_LOAD_H

#include "cmd/llvm.h"

typedef struct {
  const gradrt_net *net;        /* with its step functions */
  LlvmCode *code;               /* NULL: the steps are in the library */
  void *library;
} LoadedNet;

/* Loads the steps of a compiled module. Returns an exit code, after a message if it is not 0; the
 * caller ends in load_free before the compilation does. */
int load_net(const CmdOptions *o, Compilation *c, LoadedNet *out);
void load_free(LoadedNet *n);

#endif
