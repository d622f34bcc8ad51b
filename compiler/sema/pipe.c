/* Pipelines of fields: -> div(255) -> standardize(mean=0.13, std=0.31). Stages with known numbers
 * fold into one scale and offset, computed in double; numbers per channel and fitted statistics
 * become a normalize. */
#include "sema/sema.h"

#include <math.h>

static const Row pipe_rows[] = {
#define PIPE(name, unnamed, doc) { ROW_HEAD, #name, "", unnamed, 0, doc },
#define OPTION(kind, name, dflt, low, high, doc) { ROW_##kind, #name, dflt, low, high, doc },
#include "sema/pipes.def"
#undef PIPE
#undef OPTION
};

typedef struct {
  Sema *s;
  Data *data;
  int field;                    /* index in data->field */
  Value v;
  double scale, offset;         /* collected, not yet in the graph */
  Span at;
} Pipe;

static const char *field_name(const Pipe *p) { return p->data->field[p->field].name; }

static void flush(Pipe *p)
{
  if (p->scale != 1 || p->offset != 0) {
    const OpDef *op = sema_known(p->s, "affine");
    void *attrs = sema_attrs_new(p->s, op);
    *(double *)sema_attr_at(op, attrs, "scale", ATTR_real) = p->scale;
    *(double *)sema_attr_at(op, attrs, "offset", ATTR_real) = p->offset;
    p->v = sema_node(p->s, op, attrs, &p->v, 1, field_name(p), p->at);
  }
  p->scale = 1;
  p->offset = 0;
}

/* Statistics are per channel of an image, per feature of a vector, per column of a window of rows,
 * else for all numbers together. A row behind a window is a vector. */
static Type statistics_type(const Pipe *p)
{
  const Type *t = value_type(p->v);
  bool behind = p->data->field[p->field].next_of && t->rank == 1;
  bool windowed = p->data->window && !behind;
  bool columns = windowed && t->rank == 2 && t->dim[1] > 1;
  int rank = columns || (!windowed && (t->rank == 1 || t->rank == 3));
  return type_make(t->dtype, false, rank, columns ? t->dim + 1 : t->dim);
}

static uint32_t add_statistic(Pipe *p, const char *suffix, double start)
{
  Type t = statistics_type(p);
  StateVar v = { .name = arena_printf(p->s->arena, "%s.%s", field_name(p), suffix),
                 .type = t,
                 .role = STATE_STAT,
                 .init = { INIT_CONSTANT, start, 0 },
                 .at = p->at };
  return program_add_state(p->s->program, v)->id;
}

bool sema_by_column(Value v, Value statistic)
{
  return value_type(v)->rank == 2 && value_type(statistic)->rank == 1;
}

Value sema_turned(Sema *s, Value v, const char *name, Span at)
{
  const OpDef *op = sema_known(s, "turn");
  return v.node ? sema_node(s, op, sema_attrs_new(s, op), &v, 1, name, at) : v;
}

/* A number for each column spreads over what has columns first. */
static void normalize(Pipe *p, Value mean, Value std)
{
  const OpDef *op = sema_known(p->s, "normalize");
  if (!mean.node || !std.node) {
    p->v.node = NULL;
    return;
  }
  bool turn = sema_by_column(p->v, mean) || sema_by_column(p->v, std);
  Value in[] = { turn ? sema_turned(p->s, p->v, field_name(p), p->at) : p->v, mean, std };
  p->v = sema_node(p->s, op, sema_attrs_new(p->s, op), in, 3, field_name(p), p->at);
  if (turn)
    p->v = sema_turned(p->s, p->v, field_name(p), p->at);
}

static void read_fit(Pipe *p, const FitSpec *f)
{
  Value mean = sema_read(p->s, f->mean, field_name(p), p->at);
  Value std = sema_read(p->s, f->std, field_name(p), p->at);
  normalize(p, mean, std);
}

static void fit(Pipe *p)
{
  Sema *s = p->s;
  int source = p->data->field[p->field].next_of - 1;
  for (int i = 0; i < p->data->nfit && source >= 0; i++)
    if (p->data->fit[i].field == source) {
      flush(p);
      read_fit(p, &p->data->fit[i]);
      return;
    }
  for (int i = 0; i < p->data->nfit; i++)
    if (p->data->fit[i].field == p->field) {
      diag_error(s->diag, p->at, "E0515", "field `%s` is fitted twice", field_name(p));
      return;
    }
  FitSpec f = { .field = p->field, .scale = p->scale, .offset = p->offset };
  flush(p);
  f.mean = add_statistic(p, "mean", 0);
  f.std = add_statistic(p, "std", 1);
  FitSpec *grown = ARENA_ARRAY(s->arena, FitSpec, p->data->nfit + 1);
  for (int i = 0; i < p->data->nfit; i++)
    grown[i] = p->data->fit[i];
  grown[p->data->nfit++] = f;
  p->data->fit = grown;
  read_fit(p, &f);
}

static Value list_constant(Pipe *p, const Option *o, int n)
{
  Type t = statistics_type(p);
  double *v = ARENA_ARRAY(p->s->arena, double, n);
  for (int i = 0; i < n; i++)
    v[i] = o->list[o->nlist == 1 ? 0 : i];
  Literal l = { .rank = t.rank, .value = v };
  for (int i = 0; i < t.rank; i++)
    l.dim[i] = t.dim[i];
  return sema_constant(p->s, l, p->at);
}

static bool list_fits(Pipe *p, const Option *o, int64_t n)
{
  if (o->nlist == 1 || o->nlist == n)
    return true;
  diag_error(p->s->diag, o->prop.at, "E0514", "field `%s`: %d numbers for %s, which has %lld %s",
             field_name(p), o->nlist, type_user(p->s->arena, value_type(p->v)), (long long)n,
             value_type(p->v)->rank == 3 ? "channels" : "features");
  return false;
}

static void standardize(Pipe *p, const Options *o)
{
  const Option *mean = sema_option(o, "mean"), *std = sema_option(o, "std"),
               *fitted = sema_option(o, "fit");
  if (fitted ? mean || std : !mean || !std) {
    diag_error(p->s->diag, p->at, "E0514",
               fitted ? "standardize takes either fit=train or mean and std"
                      : "standardize needs mean and std, or fit=train");
    diag_help(p->s->diag, "write standardize(mean=0.5, std=0.25) or standardize(fit=train)");
    p->v.node = NULL;
    return;
  }
  if (fitted) {
    fit(p);
    return;
  }
  Type t = statistics_type(p);
  int64_t n = type_elems(&t);
  if (!list_fits(p, mean, n) || !list_fits(p, std, n)) {
    p->v.node = NULL;
  } else if (mean->nlist == 1 && std->nlist == 1) {
    p->scale /= std->list[0];
    p->offset = (p->offset - mean->list[0]) / std->list[0];
  } else {
    flush(p);
    Value first = list_constant(p, mean, (int)n), second = list_constant(p, std, (int)n);
    normalize(p, first, second);
  }
}

static void stage(Pipe *p, const Row *row, const Options *o)
{
  const Option *by = sema_option(o, "by");
  double k = by ? by->prop.number : 0;
  if (str_eq(row->name, "standardize")) {
    standardize(p, o);
  } else if (str_eq(row->name, "div") && k == 0) {
    diag_error(p->s->diag, p->at, "E0514", "field `%s` is divided by zero", field_name(p));
    p->v.node = NULL;
  } else if (str_eq(row->name, "div")) {
    p->scale /= k;
    p->offset /= k;
  } else if (str_eq(row->name, "mul")) {
    p->scale *= k;
    p->offset *= k;
  } else {
    p->offset += str_eq(row->name, "add") ? k : -k;
  }
}

Value sema_pipe(Sema *s, const Ast *stages, int field, Value v, Data *data)
{
  Pipe p = { .s = s, .data = data, .field = field, .v = v, .scale = 1, .offset = 0 };
  bool ok = v.node != NULL;
  for (const Ast *st = stages; st; st = st->next) {
    Options o = { 0 };
    if (st->kind != AST_STAGE) {
      ok = false;
      continue;
    }
    const Row *row = sema_row(pipe_rows, (int)ARRAY_LEN(pipe_rows), st->stage.callee);
    p.at = st->at;
    if (!row) {
      sema_unknown_row(s, pipe_rows, (int)ARRAY_LEN(pipe_rows), st->stage.callee,
                       st->stage.callee_at, "conversion of fields", "E0514");
      ok = false;
    } else if (!sema_options(s, row, pipe_rows + ARRAY_LEN(pipe_rows), st->stage.args, st->at,
                             &o)) {
      ok = false;
    } else if (ok && p.v.node) {
      stage(&p, row, &o);
    }
  }
  if (!ok || !p.v.node)
    return (Value){ NULL, 0 };
  if (!isfinite(p.scale) || !isfinite(p.offset)) {
    diag_error(s->diag, p.at, "E0514", "field `%s`: scale %g and offset %g are not finite",
               field_name(&p), p.scale, p.offset);
    return (Value){ NULL, 0 };
  }
  flush(&p);
  return p.v;
}
