/* Linear forms over loop variables whose bounds are constant. Each such variable takes its first
 * and last value independently of the others, so the bounds of a form are attained. */
#include "loop/range.h"

enum { TERMS_MAX = 12 };

typedef struct { uint32_t id; int64_t factor; } Term;
typedef struct { int n; Term term[TERMS_MAX]; int64_t constant; } Form;

typedef struct {
  bool bounded;                 /* a loop variable from first to last */
  int64_t first, last;
  const Form *form;             /* of a LET, or NULL */
} Known;

struct Range {
  Arena *arena;
  Known *known;                 /* by variable id */
};

enum { LIMIT = 1 << 28 }; /* factors and values beyond are not followed: sums stay inside int64_t */

Range *range_new(Arena *a, uint32_t next_id)
{
  Range *r = ARENA_NEW(a, Range);
  r->arena = a;
  r->known = ARENA_ARRAY(a, Known, next_id + 1);
  return r;
}

static bool small(int64_t k) { return k > -(int64_t)LIMIT && k < (int64_t)LIMIT; }

static bool add_term(Form *f, uint32_t id, int64_t factor)
{
  for (int i = 0; i < f->n; i++)
    if (f->term[i].id == id) {
      f->term[i].factor += factor;
      return small(f->term[i].factor);
    }
  if (f->n == TERMS_MAX)
    return false;
  f->term[f->n++] = (Term){ id, factor };
  return small(factor);
}

/* f += k * g */
static bool add_form(Form *f, const Form *g, int64_t k)
{
  for (int i = 0; i < g->n; i++)
    if (!add_term(f, g->term[i].id, k * g->term[i].factor))
      return false;
  if (g->constant <= -((int64_t)1 << 34) || g->constant >= (int64_t)1 << 34)
    return false;
  f->constant += k * g->constant;
  return true;
}

/* f += k * e; false when e is no such sum. */
static bool add_expr(Range *r, Form *f, const LExpr *e, int64_t k)
{
  int64_t i;
  if (!small(k))
    return false;
  if (lexpr_is_int(e, &i)) {
    if (!small(i))
      return false;
    f->constant += k * i;
    return true;
  }
  if (e->kind == LE_VAR) {
    const Known *v = &r->known[e->var->id];
    return v->form ? add_form(f, v->form, k) : v->bounded && add_term(f, e->var->id, k);
  }
  if (e->kind != LE_OP)
    return false;
  const LExpr *x = e->op.arg[0], *y = e->op.arg[1];
  if (e->op.op == SC_add)
    return add_expr(r, f, x, k) && add_expr(r, f, y, k);
  if (e->op.op == SC_sub)
    return add_expr(r, f, x, k) && add_expr(r, f, y, -k);
  if (e->op.op == SC_mul && lexpr_is_int(y, &i) && small(i))
    return add_expr(r, f, x, k * i);
  if (e->op.op == SC_mul && lexpr_is_int(x, &i) && small(i))
    return add_expr(r, f, y, k * i);
  return false;
}

bool range_loop(Range *r, const LVar *v, const LExpr *lo, const LExpr *hi, int64_t step)
{
  int64_t first, end;
  Known *k = &r->known[v->id];
  *k = (Known){ 0 };
  if (!lexpr_is_int(lo, &first) || !lexpr_is_int(hi, &end) || first >= end || !small(first) ||
      !small(end))
    return false;
  k->bounded = true;
  k->first = first;
  k->last = first + (end - 1 - first) / step * step;
  return true;
}

void range_let(Range *r, const LVar *v, const LExpr *value)
{
  Form f = { 0 };
  r->known[v->id] = (Known){ 0 };
  if (value->dtype == DT_I64 && value->lanes == 1 && add_expr(r, &f, value, 1))
    r->known[v->id].form = arena_copy(r->arena, &f, sizeof f);
}

bool range_of(Range *r, const LExpr *e, int64_t *low, int64_t *high)
{
  Form f = { 0 };
  if (!add_expr(r, &f, e, 1))
    return false;
  *low = *high = f.constant;
  for (int i = 0; i < f.n; i++) {
    const Known *v = &r->known[f.term[i].id];
    int64_t k = f.term[i].factor;
    *low += k * (k > 0 ? v->first : v->last);
    *high += k * (k > 0 ? v->last : v->first);
  }
  return true;
}
