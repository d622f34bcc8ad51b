/* What the tests of the C back end share: a module under construction, its emission, compilers,
 * runs. */
#ifndef GRADC_TESTS_UNIT_BACKEND_C_EMIT_TEST_H
#define GRADC_TESTS_UNIT_BACKEND_C_EMIT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "backend/backend.h"
#include "backend/c/c.h"
#include "backend/c/c_backend.h"
#include "base/str.h"
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern const Backend backend_c;

typedef struct {
  Arena *arena;
  Module *module;
  Build *b;
  gradrt_net net;
  SourceMap *sources;
  Diag *diag;
  char dir[64];                 /* made by test_dir; removed by test_end */
} Case;

static void case_sink(void *ctx, const char *text)
{
  (void)ctx;
  print_error("%s", text);
}

static Case case_begin(const char *name, DType real, size_t state_bytes)
{
  Case t = { .arena = arena_new("test") };
  t.module = ARENA_NEW(t.arena, Module);
  *t.module = (Module){ .arena = t.arena,
                        .name = name,
                        .real = real,
                        .block = real == DT_F32 ? 16 : 8,
                        .batch = 32,
                        .state_bytes = state_bytes };
  t.b = build_new(t.module);
  t.net = (gradrt_net){ .abi = GRADRT_ABI,
                        .name = name,
                        .file = "t.nn",
                        .version = "1",
                        .fingerprint = "0",
                        .cpu = "x",
                        .real = real == DT_F32 ? GRADRT_F32 : GRADRT_F64,
                        .batch = 32,
                        .state_bytes = state_bytes };
  t.sources = source_map_new(t.arena);
  t.diag = diag_new(t.arena, t.sources, case_sink, NULL);
  return t;
}

static inline void case_end(Case *t)
{
  if (t->dir[0]) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", t->dir);
    assert_int_equal(system(command), 0);
  }
  arena_free(&t->arena);
}

static inline const char *case_emit_for(Case *t, const Target *target, bool thin,
                                        const char *spec_file)
{
  EmitArgs args = { .module = t->module, .net = &t->net, .target = target, .spec_file = spec_file,
                    .version = "1.2.3", .sources = t->sources, .thin = thin, .arena = t->arena,
                    .diag = t->diag };
  Out *out = out_new(t->arena);
  assert_true(backend_c.emit(&args, out));
  return out_text(out);
}

static inline const char *case_emit(Case *t)
{
  return case_emit_for(t, target_host(), true, "t.nn");
}

/* ---- compilers ---- */

static const char *const compilers[] = { "gcc", "clang" };
#define WARNINGS "-Wall -Wextra -Wshadow -Wconversion -Werror"

static inline bool have(const char *program)
{
  char command[128];
  snprintf(command, sizeof command, "command -v %s >/dev/null 2>&1", program);
  return system(command) == 0;
}

static inline void case_write(Case *t, const char *file, const void *bytes, size_t n)
{
  if (!t->dir[0]) {
    strcpy(t->dir, "/tmp/gradc-emit-XXXXXX");
    assert_non_null(mkdtemp(t->dir));
  }
  const char *path = arena_printf(t->arena, "%s/%s", t->dir, file);
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(bytes, 1, n, f), n);
  assert_int_equal(fclose(f), 0);
}

static inline int case_shell(Case *t, const char *command)
{
  int status = system(command);
  int rc = WIFEXITED(status) ? WEXITSTATUS(status) : 255;
  if (rc != 0)
    print_error("%s: exit %d\n", command, rc);
  (void)t;
  return rc;
}

/* Compiles text with the driver and runs it over the state; returns state and outputs after the
 * step. */
static inline void *case_run(Case *t, const char *text, const char *compiler, const char *flags,
                             const void *state, int samples, int workers)
{
  case_write(t, "net.c", text, strlen(text));
  case_write(t, "in", state, t->net.state_bytes);
  const char *command = arena_printf(
      t->arena,
      "cd %s && %s %s " WARNINGS " -I%s/../runtime net.c -c -o net.o && %s -O1 -I%s/../runtime"
      " %s/unit/backend_c/driver.c net.o -o net -lm -lpthread && ./net in out %d %d",
      t->dir, compiler, flags, GRADC_TESTS_DIR, compiler, GRADC_TESTS_DIR, GRADC_TESTS_DIR, samples,
      workers);
  assert_int_equal(case_shell(t, command), 0);
  size_t bytes = t->net.state_bytes + 64 * (size_t)t->net.train.noutput;
  void *after = arena_alloc(t->arena, bytes);
  FILE *f = fopen(arena_printf(t->arena, "%s/out", t->dir), "rb");
  assert_non_null(f);
  assert_int_equal(fread(after, 1, bytes, f), bytes);
  fclose(f);
  return after;
}

/* A step function that calls each kernel once over [0, items); kernels take their own buffers. */
static inline void case_call(Case *t, const Kernel *k, Buffer *const *arg, int64_t items)
{
  l_call_kernel(t->b, k, arg, l_int(t->b, 0), l_int(t->b, items));
}

#endif
