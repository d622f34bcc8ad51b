/* Random nets through the whole compiler: lowered code, run by the loop interpreter, against the float64
 * reference (gradients, updates, evaluation, inference), and against itself in f32 bit for bit: fused or not, one
 * worker or three, narrow or wide registers, through LLVM, whatever the memory held before.
 *
 * GRADC_FUZZ_NETS=n runs more nets, GRADC_FUZZ_SEED=n starts at net n, GRADC_FUZZ_WORK=n lets each have n
 * multiply-adds a sample. A failure prints its number and spec. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "driver.h"
#include "ir/ref.h"
#include "unit/driver/by_llvm.h"
#include "unit/driver/netgen.h"
#include <stdlib.h>
#include <unistd.h>

enum { NETS = 300, WORK = 8000 };

static char spec_path[64];
static uint64_t running;        /* the net being checked; 0: none */
static int recomputed;          /* compilations that computed something again to save memory */

/* An internal error ends the process: say where it happened, and leave the spec. */
static void report_stop(void)
{
  if (running)
    print_message("stopped in net %d, whose spec is %s\n", (int)running, spec_path);
  else
    unlink(spec_path);
}

typedef struct {
  Gen gen;
  uint64_t seed;
  const char *what;             /* being checked, for messages */
  bool transforms;              /* tiles are transformed wherever that can be */
  bool tight;                   /* in the least memory that is enough */
  bool llvm;                    /* steps also run through LLVM, which gives the same bits */
  char diagnostics[4096];
} Fuzz;

/* One compiled net and a step's inputs. */
typedef struct {
  Fuzz *f;
  Compilation *c;
  Arena *arena;
  Program *program;
  const Decisions *d;
  DType real;
  int64_t n;
  uint32_t ids[LOWERED_IDS];
  double *field[8], **state, args[ARG_COUNT];
  void *rows[8];
} Step;

static void wrong(const Fuzz *f, const char *fmt, ...) __attribute__((format(printf, 2, 3), noreturn));
static void wrong(const Fuzz *f, const char *fmt, ...)
{
  char text[1024];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  print_message("%s", f->gen.text);
  fail_msg("net %d, %s: %s", (int)f->seed, f->what, text);
  abort();
}

static void collect(void *ctx, const char *text)
{
  Fuzz *f = ctx;
  size_t at = strlen(f->diagnostics);
  snprintf(f->diagnostics + at, sizeof f->diagnostics - at, "%s", text);
}

/* ---- inputs ---- */

static double noise(uint64_t *s)
{
  *s = *s * 6364136223846793005u + 1442695040888963407u;
  return ((double)(*s >> 40) / (double)(1 << 24) - 0.5) * 2;
}

static double field_value(const Field *f, uint64_t *seed, int64_t i)
{
  double v = noise(seed);
  if (f->type.dtype == DT_U8 && type_elems(&f->type) > 1)
    return floor((v + 1) * 127);
  if (!dtype_is_real(f->type.dtype))
    return (double)(i % 2);
  return strcmp(f->name, "p") ? v : (v + 1) / 2;
}

static void fill_fields(Step *k, uint64_t *seed)
{
  for (uint32_t f = 0; f < k->program->fields.n; f++) {
    const Field *field = &k->program->fields.at[f];
    int64_t elems = type_elems(&field->type);
    size_t bytes = (size_t)(elems * LOWERED_ROWS * dtype_bytes(field->type.dtype));
    k->field[f] = ARENA_ARRAY(k->arena, double, elems * k->n);
    k->rows[f] = arena_alloc(k->arena, bytes);
    if (dtype_is_real(field->type.dtype))
      lowered_poison(k->rows[f], field->type.dtype, bytes);
    for (int64_t i = 0; i < k->n; i++)
      for (int64_t j = 0; j < elems; j++) {
        double v = field_value(field, seed, i);
        v = field->type.dtype == DT_F32 ? (double)(float)v : v;
        k->field[f][i * elems + j] = v;
        lowered_put(k->rows[f], field->type.dtype, k->ids[i] * elems + j, v);
      }
  }
}

/* Weights of a trained net's size; variances and second moments are positive. */
static void fill_state(Step *k, uint64_t *seed)
{
  k->state = ARENA_ARRAY(k->arena, double *, k->program->state.n + 1);
  for (uint32_t i = 0; i < k->program->state.n; i++) {
    const StateVar *v = &k->program->state.at[i];
    int64_t elems = type_elems(&v->type);
    double size = v->fan_in > 0 ? 1.6 / sqrt((double)v->fan_in) : 0.4;
    k->state[i] = ARENA_ARRAY(k->arena, double, elems);
    for (int64_t j = 0; j < elems; j++) {
      double x = size * noise(seed);
      if (v->role == STATE_SLOT)
        x = 0.01 * fabs(x);
      if (v->role == STATE_STAT)
        x = strstr(v->name, "var") ? 0.7 + fabs(x) : x;
      k->state[i][j] = k->real == DT_F32 ? (double)(float)x : x;
    }
  }
}

static void step_open(Step *k, Fuzz *f, Compilation *c, int64_t n)
{
  uint64_t seed = f->seed * 77 + 5;
  *k = (Step){ .f = f, .c = c, .arena = c->arena, .program = c->program, .d = c->decisions[HOST_TRAIN],
               .real = c->program->real, .n = n };
  lowered_ids(k->ids, n);
  fill_fields(k, &seed);
  fill_state(k, &seed);
  k->args[ARG_N] = (double)n;
  k->args[ARG_LR] = 0.05;
  k->args[ARG_STEP] = 3;
  k->args[ARG_BC1] = 0.3;
  k->args[ARG_BC2] = 0.004;
  k->args[ARG_SEED_LO] = 123456789;
  k->args[ARG_SEED_HI] = 4;
  k->args[ARG_EPOCH] = 2;
}

/* ---- running ---- */

typedef struct { char *state; void *out[GRADRT_OUTPUTS_MAX]; char *arena; } Result;

static Result execute(Step *k, HostKind host, const Graph *g, int workers, double before)
{
  Module *m = k->c->module;
  Result r = { .state = arena_alloc(k->arena, m->state_bytes + 64) };
  for (uint32_t i = 0; i < k->program->state.n; i++) {
    const Type *type = &k->program->state.at[i].type;
    const Buffer *buf = lowered_state(m, i);
    for (int64_t j = 0; buf && j < type_elems(type); j++)
      lowered_put(r.state + buf->offset, type->dtype, lowered_place(&k->d->state[i], type, j), k->state[i][j]);
  }
  size_t bytes = m->host[host]->arena_bytes;
  r.arena = arena_alloc(k->arena, bytes + 64);
  for (size_t i = 0; i < bytes / (size_t)dtype_bytes(k->real); i++)
    lowered_put(r.arena, k->real, (int64_t)i, before);
  size_t out_bytes[GRADRT_OUTPUTS_MAX];
  for (uint32_t i = 0; i < g->outputs.n; i++) {
    const Type *type = value_type(g->outputs.at[i].value);
    r.out[i] = arena_alloc(k->arena, (size_t)(type_elems(type) * LOWERED_IDS * 8));
    out_bytes[i] = (size_t)(type_elems(type) * (type->batched ? k->n : 1) * dtype_bytes(k->real));
  }
  LoopRun run = { .state = r.state, .arena = r.arena, .worker = arena_alloc(k->arena, 64 + (size_t)workers *
                                                                            m->host[host]->worker_bytes),
                  .rows = (const void *const *)k->rows, .ids = k->ids, .args = k->args, .out = r.out, .n = k->n,
                  .nworkers = workers, .last_first = workers % 2 == 0 };
  const void *start = arena_copy(k->arena, r.state, m->state_bytes);
  const char *fault = loop_run(m, host, &run, k->arena);
  if (!fault && k->f->llvm)
    fault = by_llvm_compare(m, host, &run, start, out_bytes, (int)g->outputs.n, k->arena);
  if (fault)
    wrong(k->f, "%s", fault);
  return r;
}

static void compare_numbers(Step *k, const char *name, const double *want, const double *got, int64_t count)
{
  double scale = 1e-3;
  for (int64_t i = 0; i < count; i++)
    scale = fabs(want[i]) > scale ? fabs(want[i]) : scale;
  for (int64_t i = 0; i < count; i++)
    if (!(fabs(want[i] - got[i]) <= 1e-8 * scale))
      wrong(k->f, "n %d, %s[%d of %d]: reference %.17g, code %.17g", (int)k->n, name, (int)i, (int)count, want[i], got[i]);
}

/* State padding is zero before a step and must be so after it. */
static void check_state_padding(Step *k, const Result *r)
{
  for (uint32_t i = 0; i < k->program->state.n; i++) {
    const Buffer *b = lowered_state(k->c->module, i);
    int64_t bad = b ? lowered_bad_padding(b, r->state, k->n) : -1;
    if (bad >= 0)
      wrong(k->f, "padding of '%s' %s holds %g at %d", b->name, layout_text(k->arena, b->layout),
            lowered_get(r->state + b->offset, b->dtype, bad), (int)bad);
  }
}

static void check_reference(Step *k, HostKind host, const Graph *g, int workers)
{
  double **state = ARENA_ARRAY(k->arena, double *, k->program->state.n + 1);
  for (uint32_t i = 0; i < k->program->state.n; i++)
    state[i] = arena_copy(k->arena, k->state[i], (size_t)type_elems(&k->program->state.at[i].type) * sizeof(double));
  RefCtx ctx = { .arena = k->arena, .n = k->n, .args = k->args, .sample = k->ids, .state = state, .field = k->field };
  RefTensor **want = ARENA_ARRAY(k->arena, RefTensor *, g->outputs.n + 1);
  ref_run(&ctx, g, want);
  Result r = execute(k, host, g, workers, NAN);
  for (uint32_t i = 0; i < g->outputs.n; i++)
    compare_numbers(k, g->outputs.at[i].name, want[i]->v, r.out[i], ref_elems(want[i]));
  for (uint32_t i = 0; i < k->program->state.n; i++) {
    const Type *type = &k->program->state.at[i].type;
    int64_t elems = type_elems(type);
    const Buffer *buf = lowered_state(k->c->module, i);
    double *got = ARENA_ARRAY(k->arena, double, elems);
    for (int64_t j = 0; j < elems; j++)
      got[j] = lowered_get(r.state + buf->offset, type->dtype, lowered_place(&k->d->state[i], type, j));
    compare_numbers(k, k->program->state.at[i].name, state[i], got, elems);
  }
  check_state_padding(k, &r);
}

/* ---- compiling ---- */

/* The least budget of memory that gradc says is enough, in text; NULL: a single byte is. */
static const char *least_memory(Fuzz *f, const DriverOptions *like, char text[32])
{
  static const char before[] = "a budget of ";
  Compilation *c = compilation_new();
  DriverOptions o = *like;
  o.memory = "1";
  f->diagnostics[0] = 0;
  c->diag = diag_new(c->arena, c->sources, collect, f);
  int code = compile_module(c, &o);
  compilation_free(&c);
  const char *at = strstr(f->diagnostics, before);
  if (code == EXIT_OK)
    return NULL;
  if (code != EXIT_LIMIT || !at || sscanf(at + strlen(before), "%31[0-9KMB]", text) != 1)
    wrong(f, "has no least budget (exit %d): %s", code, f->diagnostics);
  return text;
}

static Compilation *compile(Fuzz *f, const char *family, const char *skip, const char *target, bool f64, bool gradients)
{
  char memory[32];
  Compilation *c = compilation_new();
  DriverOptions o = { .file = spec_path, .pass = { .skip = skip }, .family = family, .gradients = gradients, .f64 = f64, .transforms = f->transforms,
                      .target = target_find(target) };
  if (f->tight)
    o.memory = least_memory(f, &o, memory);
  f->diagnostics[0] = 0;
  c->diag = diag_new(c->arena, c->sources, collect, f);
  int code = compile_module(c, &o);
  recomputed += c->budget && c->budget->again.nodes.n > 0;
  if (code)
    wrong(f, "does not compile (exit %d): %s", code, f->diagnostics);
  return c;
}

static void check_values(Fuzz *f, const char *family, bool gradients)
{
  static char what[64];
  snprintf(what, sizeof what, "f64 %s %s", family ? family : "by cost", gradients ? "gradients" : "update, unfused");
  f->what = what;
  Compilation *c = compile(f, family, gradients ? NULL : "fuse", "x86-64-v4", true, gradients);
  for (int part = 0; part < 2; part++) {
    int64_t n = part && f->gen.batch > f->gen.least ? f->gen.batch - 1 : f->gen.batch;
    if (part && f->gen.least == 1 && f->seed % 3 == 0)
      n = 1;
    if (part && n == f->gen.batch)
      break;
    Step k;
    step_open(&k, f, c, n);
    check_reference(&k, HOST_TRAIN, c->program->train, 1 + (int)(f->seed % 4));
    if (gradients) {
      check_reference(&k, HOST_EVAL, c->program->eval, 1);
      check_reference(&k, HOST_INFER, c->program->infer, 2);
    }
  }
  compilation_free(&c);
}

/* Outputs and state of a training step in f32, canonical; copied out of the compilation. */
static float *train_bits(Fuzz *f, const char *family, const char *skip, const char *target, int64_t n, int workers,
                         double before, size_t *count)
{
  Compilation *c = compile(f, family, skip, target, false, false);
  Step k;
  step_open(&k, f, c, n);
  const Graph *g = c->program->train;
  Result r = execute(&k, HOST_TRAIN, g, workers, before);
  check_state_padding(&k, &r);
  size_t total = 0, at = 0;
  for (uint32_t i = 0; i < g->outputs.n; i++)
    total += (size_t)(type_elems(value_type(g->outputs.at[i].value)) * (value_type(g->outputs.at[i].value)->batched ? n : 1));
  for (uint32_t i = 0; i < k.program->state.n; i++)
    total += (size_t)type_elems(&k.program->state.at[i].type);
  float *all = calloc(total + 1, sizeof *all);
  assert_non_null(all);
  for (uint32_t i = 0; i < g->outputs.n; i++) {
    const Type *type = value_type(g->outputs.at[i].value);
    int64_t elems = type_elems(type) * (type->batched ? n : 1);
    memcpy(all + at, r.out[i], (size_t)elems * sizeof *all);
    at += (size_t)elems;
  }
  for (uint32_t i = 0; i < k.program->state.n; i++) {
    const Type *type = &k.program->state.at[i].type;
    const Buffer *buf = lowered_state(c->module, i);
    for (int64_t j = 0; j < type_elems(type); j++)
      all[at++] = (float)lowered_get(r.state + buf->offset, type->dtype, lowered_place(&k.d->state[i], type, j));
  }
  *count = total;
  compilation_free(&c);
  return all;
}

typedef struct { const char *what, *skip, *target; int workers; double before; bool tight; } Variant;

static void check_bits(Fuzz *f, const char *family)
{
  static const Variant variants[] = {
    { "f32 fused, 3 workers", NULL, "x86-64-v4", 3, 7, false },
    { "f32 unfused, 2 workers", "fuse", "x86-64-v4", 2, NAN, false },
    { "f32 in the least memory", NULL, "x86-64-v4", 2, NAN, true },
    { "f32 registers of 32 bytes", NULL, "x86-64-v3", 1, NAN, false },
    { "f32 registers of 16 bytes", NULL, "aarch64", 2, 0, false },
  };
  size_t count = 0, same = 0;
  int64_t n = f->gen.batch - (f->gen.batch > f->gen.least ? (int)(f->seed % 2) : 0);
  f->what = "f32";
  f->llvm = llvm_present() && f->seed % 4 == 0;     /* its compilations take long */
  float *want = train_bits(f, family, NULL, "x86-64-v4", n, 1, NAN, &count);
  f->llvm = false;
  for (size_t v = 0; v < ARRAY_LEN(variants); v++) {
    const Variant *x = &variants[v];
    if (v >= 3 && v != 3 + f->seed % 2)
      continue;
    f->what = x->what;
    f->tight = x->tight;
    float *got = train_bits(f, family, x->skip, x->target, n, x->workers, x->before, &same);
    if (same != count)
      wrong(f, "has other values: %zu and %zu", count, same);
    for (size_t i = 0; i < count; i++)
      if (memcmp(want + i, got + i, sizeof *got) && !(isnan(want[i]) && isnan(got[i])))
        wrong(f, "number %zu of %zu differs: %.9g and %.9g", i, count, (double)want[i], (double)got[i]);
    free(got);
  }
  f->tight = false;
  free(want);
}

static void check_net(uint64_t seed, int work)
{
  Fuzz f = { .seed = seed, .what = "compiling" };
  gen_net(&f.gen, seed, work);
  FILE *file = fopen(spec_path, "w");
  assert_non_null(file);
  fputs(f.gen.text, file);
  fclose(file);
  check_values(&f, "lanes", true);
  check_values(&f, "channels", true);
  check_values(&f, seed % 2 ? "lanes" : "channels", false);
  if (seed % 4 == 0)
    check_values(&f, NULL, false);
  check_bits(&f, seed % 2 ? "channels" : "lanes");
  f.transforms = strstr(f.gen.text, "conv(") != NULL;
  if (f.transforms) {
    check_values(&f, "channels", seed % 3 != 0);
    check_bits(&f, "channels");
  }
}

static uint64_t number_from(const char *variable, uint64_t otherwise)
{
  const char *text = getenv(variable);
  return text ? strtoull(text, NULL, 10) : otherwise;
}

static void test_random_nets_compute_what_the_reference_does(void **unused)
{
  uint64_t nets = number_from("GRADC_FUZZ_NETS", NETS), first = number_from("GRADC_FUZZ_SEED", 1);
  int work = (int)number_from("GRADC_FUZZ_WORK", WORK);
  (void)unused;
  for (uint64_t i = 0; i < nets; i++)
    check_net(running = first + i, work);
  running = 0;
  if (nets >= NETS)
    assert_true(recomputed > 0);
}

int main(void)
{
  snprintf(spec_path, sizeof spec_path, "/tmp/gradc-test-netfuzz-%ld.nn", (long)getpid());
  const struct CMUnitTest tests[] = { cmocka_unit_test(test_random_nets_compute_what_the_reference_does) };
  atexit(report_stop);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
