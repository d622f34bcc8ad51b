/* Meeting a memory budget. A plan is a set of saved values that are kept (pass/recompute.h); how
 * many bytes it needs is asked from lowering itself, in an arena of its own: the answer is exact.
 *
 * A small step trades memory for barriers, so first it is planned without that. Then values are
 * given up one after another, those that free most bytes for a FLOP first: what is elementwise,
 * normalised or pooled before any convolution. Eighths of that list are tried, then the least
 * number within the eighth that fits. When none does, the forward pass is cut into parts of equal
 * bytes, of which only the ends are kept; and at last both again with cheap functions computed for
 * each reader. All of it depends on the spec alone. */
#include "budget.h"
#include "base/str.h"
#include "ir/verify.h"
#include "ops/ops.h"

#include <stdlib.h>

enum { STRIDES = 8, PLAN_PARTS_MAX = 12, NAMED = 3, WHOLE_MB_ABOVE = 1 << 24 };

typedef struct {
  const BudgetArgs *a;
  Arena *arena;
  const Saved *saved;
  KernelOptions kernels;        /* with the family that was chosen */
  bool *keep;
  RecomputeHow how;
  bool compact;
  int64_t limit, others;        /* others: bytes of the functions beside the training step */
  int64_t least;                /* bytes of the best plan tried */
  char *largest;                /* its largest tensors, for the message */
} Search;

/* ---- asking lowering ---- */

static int64_t buffer_bytes(const Buffer *b) { return b->extent * dtype_bytes(b->dtype); }

static int by_bytes(const void *x, const void *y)
{
  const Buffer *a = *(Buffer *const *)x, *b = *(Buffer *const *)y;
  int64_t na = buffer_bytes(a), nb = buffer_bytes(b);
  return na != nb ? (na < nb ? 1 : -1) : a->id < b->id ? -1 : 1;
}

/* "`c1.relu` f32[n,8,28,28] 2.0 MiB, ..", in the memory of `to`. */
static char *name_largest(const Host *h, Arena *from, Arena *to)
{
  uint32_t n = 0, named = 0;
  Buffer **order = ARENA_ARRAY(from, Buffer *, h->buffers.n + 1);
  const char *text = "";
  for (uint32_t i = 0; i < h->buffers.n; i++)
    if (h->buffers.at[i]->role == BUF_ARENA)
      order[n++] = h->buffers.at[i];
  if (n)
    qsort(order, n, sizeof *order, by_bytes);
  for (; named < n && named < NAMED; named++) {
    const Buffer *b = order[named];
    char size[32];
    text = arena_printf(from, "%s%s`%s` %s%s%s", text, named ? ", " : "",
                        b->layer ? b->layer : b->name, b->type ? type_text(from, b->type) : "",
                        b->type ? " " : "", str_bytes(size, (double)buffer_bytes(b)));
  }
  return arena_strdup(to, text);
}

static Module *lower_with(const Search *s, Program *p, Decisions *const *d, Arena *tmp)
{
  LowerArgs args = *s->a->lower;
  args.program = p;
  args.arena = tmp;
  args.compact = s->compact;
  for (int h = 0; h < HOST_COUNT; h++)
    args.decisions[h] = d[h];
  Module *m = lower_program(&args);
  if (!m)
    ice("a program that was lowered once is refused");
  return m;
}

/* Bytes of the training step that keeps s->keep. */
static int64_t measure(Search *s)
{
  Arena *tmp = arena_new("memory plan");
  Program p = *s->a->graphs;
  Decisions *d[HOST_COUNT];
  p.arena = tmp;
  p.eval = p.infer = NULL;
  p.train = recompute_graph(s->saved, s->keep, s->how, &p, NULL);
  if (!decide_kernels(&p, &s->kernels, tmp, s->a->lower->diag, d))
    ice("recomputed nodes have no kernel");
  const Host *h = lower_with(s, &p, d, tmp)->host[HOST_TRAIN];
  int64_t bytes = (int64_t)h->arena_bytes;
  if (bytes < s->least) {
    s->least = bytes;
    s->largest = name_largest(h, tmp, s->arena);
  }
  arena_free(&tmp);
  return bytes;
}

/* Bytes of the step that keeps all, and of the other functions. */
static int64_t measure_all(Search *s)
{
  Arena *tmp = arena_new("memory plan");
  const LowerArgs *like = s->a->lower;
  Decisions *d[HOST_COUNT];
  for (int h = 0; h < HOST_COUNT; h++)
    d[h] = (Decisions *)(uintptr_t)like->decisions[h];
  s->others = 0;
  const Module *m = lower_with(s, like->program, d, tmp);
  for (int h = 0; h < HOST_COUNT; h++)
    if (h != HOST_TRAIN && m->host[h])
      s->others = max_i64(s->others, (int64_t)m->host[h]->arena_bytes);
  s->least = (int64_t)m->host[HOST_TRAIN]->arena_bytes;
  s->largest = name_largest(m->host[HOST_TRAIN], tmp, s->arena);
  arena_free(&tmp);
  return s->least;
}

/* ---- searching ---- */

static bool fits_without(Search *s, uint32_t n)
{
  recompute_keep_but(s->saved, n, s->keep);
  return measure(s) <= s->limit;
}

/* Gives up as few choices as it takes, up to the stride in which it first fits. */
static bool give_up_choices(Search *s)
{
  uint32_t all = s->saved->nchoice, stride = (all + STRIDES - 1) / STRIDES, low = 0, high = 0;
  for (bool fits = false; !fits;) {
    if (high == all)
      return false;
    low = high;
    high = high + stride < all ? high + stride : all;
    fits = fits_without(s, high);
  }
  while (high - low > 1) {
    uint32_t middle = low + (high - low) / 2;
    if (fits_without(s, middle))
      high = middle;
    else
      low = middle;
  }
  recompute_keep_but(s->saved, high, s->keep);
  return true;
}

static bool cut_into_parts(Search *s)
{
  int64_t before = 1;
  for (int64_t parts = 2; parts <= PLAN_PARTS_MAX; parts++) {
    int64_t made = recompute_keep_cuts(s->saved, parts, s->keep);
    if (made > before && measure(s) <= s->limit)
      return true;
    before = made;
  }
  return false;
}

static bool find_plan(Search *s)
{
  for (int how = RECOMPUTE_ONCE; how <= RECOMPUTE_CHEAP_OFTEN; how++) {
    s->how = (RecomputeHow)how;
    if (give_up_choices(s) || cut_into_parts(s))
      return true;
  }
  return false;
}

/* ---- results ---- */

static void report(const Search *s, const Budget *b)
{
  char have[32], need[32];
  Diag *d = s->a->lower->diag;
  int64_t least = max_i64(s->least, s->others);
  int64_t unit = least > WHOLE_MB_ABOVE ? 1 << 20 : 1 << 10;
  diag_error(d, b->at, "E0605", "a training step does not fit into %s, the memory budget: it needs "
             "%s even with everything recomputed that helps", str_bytes(have, (double)b->limit),
             str_bytes(need, (double)least));
  diag_note(d, (Span){ 0, 0 }, "the largest tensors: %s", s->largest);
  diag_help(d, "a smaller `batch`, fewer channels, or a budget of %lld%s",
            (long long)((least + unit - 1) / unit), unit > 1 << 10 ? "MB" : "KB");
}

static void apply(Search *s, Budget *b, Decisions *decisions[HOST_COUNT])
{
  Program *p = s->a->lower->program;
  p->train = recompute_graph(s->saved, s->keep, s->how, p, &b->again);
  p->eval = s->a->graphs->eval;
  p->infer = s->a->graphs->infer;
  const char *fault = program_verify(p, s->arena);
  if (fault)
    ice("recomputation made an invalid program: %s", fault);
  if (!decide_kernels(p, &s->kernels, s->arena, s->a->lower->diag, decisions))
    ice("recomputed nodes have no kernel");
}

bool budget_meet(const BudgetArgs *a, Budget *b, Decisions *decisions[HOST_COUNT])
{
  Arena *arena = a->lower->arena;
  Search s = { .a = a, .arena = arena, .kernels = *a->kernels, .limit = b->limit };
  b->before = b->after = measure_all(&s);
  if (max_i64(b->before, s.others) <= b->limit)
    return true;
  b->compact = s.compact = true;
  b->after = measure_all(&s);
  if (max_i64(b->after, s.others) <= b->limit)
    return true;
  s.kernels.family = family_name(a->lower->decisions[HOST_TRAIN]->family);
  s.saved = recompute_find(a->graphs->train, arena);
  s.keep = ARENA_ARRAY(arena, bool, s.saved->nforward + 1);
  if (!find_plan(&s) || s.others > b->limit) {
    report(&s, b);
    return false;
  }
  apply(&s, b, decisions);
  Arena *tmp = arena_new("memory plan");
  const Module *m = lower_with(&s, a->lower->program, decisions, tmp);
  b->after = (int64_t)m->host[HOST_TRAIN]->arena_bytes;
  arena_free(&tmp);
  if (b->after > b->limit)
    ice("a plan of %lld bytes became one of %lld", (long long)s.least, (long long)b->after);
  return true;
}
