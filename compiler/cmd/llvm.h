/* What the commands share about the LLVM back end. Every function that returns an int returns an
 * exit code, after a message if it is not 0. */
#ifndef GRADC_CMD_LLVM_H
#define GRADC_CMD_LLVM_H

#include "backend/llvm/llvm_backend.h"
#include "cmd/cmd.h"

/* Runs go through LLVM unless --backend says c, $CC names a C compiler, or there is no LLVM. */
bool cmd_uses_llvm(const CmdOptions *o);
bool cmd_is_llvm_kind(const char *kind);        /* ll bc asm obj so exe */
/* build: out is the file's name, without a suffix unless -o gave it. */
int cmd_emit_llvm(const CmdOptions *o, Compilation *c, const char *kind, const char *out);
/* Chooses the instruction set that --target asks for; with --cpu, checks that both agree. */
int cmd_choose_target(CmdOptions *o);
/* Compiles a module's steps in memory, unless the cache has them: *net lies in c's arena and calls
 * code of *loaded, which the caller gives to llvm_unload. */
int cmd_load_llvm(const CmdOptions *o, Compilation *c, const gradrt_net **net, LlvmCode **loaded);
/* Does that and runs a program's command line
 * over them. */
int cmd_run_llvm(const CmdOptions *o, Compilation *c, int argc, char **argv);
/* Links an object with libgradrt, as a program or a shared library. */
int cmd_link_llvm(const CmdOptions *o, Compilation *c, Out *object, const char *out, bool shared);
/* As cmd_build_cached: path of a program made by LLVM and the system's linker. */
const char *cmd_build_cached_llvm(const CmdOptions *o, Compilation *c, int *code);

#endif
