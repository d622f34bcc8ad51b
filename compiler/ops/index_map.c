/* Index maps: reading and writing attributes, inverting places, text.
 *
 * A place p_a = (sum_t c_t * v_t + b) / d of axis a is inverted by solving for one index v_s, the
 * one with most values, which makes the gather as short as can be:
 *   v_s = (d * p_a - b - sum of the others) / c_s
 * What v_s was used for becomes such a quotient, and that it is whole and in range a condition. */
#include "ops/index_map.h"
#include <stdlib.h>
#include <string.h>

/* ---- attributes ---- */

enum { ROW_EXTRA = 3 };         /* offset, divisor, extent */

static bool whole_number(double v, int64_t low, int64_t *out)
{
  if (!(v >= (double)low && v <= 9007199254740992.0) || v != (double)(int64_t)v)
    return false;
  *out = (int64_t)v;
  return true;
}

static bool read_row(const double *v, int nindex, NestRow *row)
{
  const int64_t any = -INT32_MAX * (int64_t)INT32_MAX;
  *row = (NestRow){ .divisor = 1 };
  for (int t = 0; t < nindex; t++)
    if (!whole_number(v[t], any, &row->c[t]))
      return false;
  return whole_number(v[nindex], any, &row->offset) &&
         whole_number(v[nindex + 1], 1, &row->divisor) &&
         whole_number(v[nindex + 2], 1, &row->extent);
}

bool index_nest(const index_attrs *a, const Type *in, uint32_t nin, Nest *out)
{
  const Literal *extent = &a->extent, *rows = &a->rows;
  *out = (Nest){ .nindex = extent->value ? (int)extent->dim[0] : 0, .rank = (int)a->rank };
  if ((extent->value && (extent->rank != 1 || extent->dim[0] > NEST_INDICES)) || a->rank < 0 ||
      a->rank > RANK_MAX || out->nindex < out->rank || nin > NEST_FACTORS)
    return false;
  for (int t = 0; t < out->nindex; t++)
    if (!whole_number(extent->value[t], 1, &out->extent[t]) || out->extent[t] > INT32_MAX)
      return false;
  int width = out->nindex + ROW_EXTRA;
  out->nrow = rows->value ? (int)rows->dim[0] : 0;
  if (rows->value && (rows->rank != 2 || rows->dim[1] != width || rows->dim[0] > NEST_ROWS))
    return false;
  for (int r = 0; r < out->nrow; r++)
    if (!read_row(rows->value + r * width, out->nindex, &out->row[r]))
      return false;
  out->nfactor = (int)nin;
  for (uint32_t k = 0; k < nin; k++) {
    out->first[k + 1] = out->first[k] + in[k].rank;
    for (int i = 0; i < in[k].rank; i++)
      if (out->first[k] + i >= out->nrow || out->row[out->first[k] + i].extent != in[k].dim[i])
        return false;
  }
  return true;
}

index_attrs index_attrs_of(Arena *a, const Nest *nest, const char *names, bool total)
{
  int width = nest->nindex + ROW_EXTRA;
  double *extent = ARENA_ARRAY(a, double, nest->nindex + 1);
  double *rows = ARENA_ARRAY(a, double, nest->nrow * width + 1);
  for (int t = 0; t < nest->nindex; t++)
    extent[t] = (double)nest->extent[t];
  for (int r = 0; r < nest->nrow; r++) {
    double *v = rows + r * width;
    for (int t = 0; t < nest->nindex; t++)
      v[t] = (double)nest->row[r].c[t];
    v[nest->nindex] = (double)nest->row[r].offset;
    v[nest->nindex + 1] = (double)nest->row[r].divisor;
    v[nest->nindex + 2] = (double)nest->row[r].extent;
  }
  index_attrs out = { .rank = nest->rank, .names = names, .total = total };
  if (nest->nindex)
    out.extent = (Literal){ .rank = 1, .dim = { nest->nindex }, .value = extent };
  if (nest->nrow)
    out.rows = (Literal){ .rank = 2, .dim = { nest->nrow, width }, .value = rows };
  return out;
}

/* ---- rows ---- */

static int64_t common(int64_t x, int64_t y)
{
  x = llabs(x);
  y = llabs(y);
  while (y) {
    int64_t rest = x % y;
    x = y;
    y = rest;
  }
  return x;
}

static void reduce(NestRow *row)
{
  int64_t g = common(row->offset, row->divisor);
  for (int t = 0; t < NEST_INDICES; t++)
    g = common(g, row->c[t]);
  for (int t = 0; t < NEST_INDICES && g > 1; t++)
    row->c[t] /= g;
  row->offset /= g;
  row->divisor /= g;
}

/* Puts what the equation sum c v + offset = 0 says about index s into the row. */
static void substitute(NestRow *row, const NestRow *equation, int s)
{
  int64_t q = row->c[s], p = equation->c[s];
  if (q == 0)
    return;                     /* so for a code that is not there */
  if (p < 0) {
    p = -p;
    q = -q;
  }
  for (int t = 0; t < NEST_INDICES; t++)
    row->c[t] = row->c[t] * p - q * equation->c[t];
  row->offset = row->offset * p - q * equation->offset;
  row->divisor *= p;
  reduce(row);
}

static bool same_row(const NestRow *x, const NestRow *y)
{
  return memcmp(x, y, sizeof *x) == 0;
}

static NestRow unit_row(int t, int64_t extent)
{
  NestRow row = { .divisor = 1, .extent = extent };
  row.c[t] = 1;
  return row;
}

/* ---- names ---- */

const char *index_name(Arena *a, const char *names, int t)
{
  static const char *const plain[NEST_INDICES] = { "i", "j", "k", "l", "m", "n", "p", "q",
                                                   "r", "s", "t", "u", "v", "w", "y", "z",
                                                   "a", "b", "c", "d" };
  const char *p = names ? names : "";
  for (int i = 0; i < t && *p; i++) {
    p += strcspn(p, " ");
    p += *p == ' ';
  }
  return *p ? arena_strndup(a, p, strcspn(p, " ")) : plain[t];
}

static bool is_taken(const char *const *taken, int n, const char *name)
{
  for (int i = 0; i < n; i++)
    if (taken[i] && str_eq(taken[i], name))
      return true;
  return false;
}

/* An axis keeps the name of the index that counts it; others get a fresh letter. */
static const char *axis_name(Arena *a, const Nest *nest, const char *names, const NestRow *row,
                             const char *const *taken, int ntaken)
{
  for (int t = 0; t < nest->nindex; t++) {
    NestRow alone = unit_row(t, row->extent);
    const char *name = index_name(a, names, t);
    if (same_row(&alone, row) && !is_taken(taken, ntaken, name))
      return name;
  }
  static const char *const fresh[] = { "m", "l", "p", "q", "r", "s", "t", "u", "v", "z" };
  for (size_t i = 0; i < ARRAY_LEN(fresh); i++) {
    bool used = is_taken(taken, ntaken, fresh[i]);
    for (int t = 0; t < nest->nindex; t++)
      used = used || str_eq(index_name(a, names, t), fresh[i]);
    if (!used)
      return fresh[i];
  }
  return arena_printf(a, "m%d", ntaken + 1);
}

/* ---- gradients ---- */

/* The work of inverting: rows over all indices, first the axes of x, then the old ones. */
typedef struct {
  Nest nest;
  int old;                      /* where the old indices start */
  bool solved[NEST_INDICES];
  NestRow equation[RANK_MAX];
  int nequation;
  NestRow code;                 /* becomes the last row; divisor 0: none */
} Inverse;

static NestRow shifted(const NestRow *row, int by)
{
  NestRow out = { .offset = row->offset, .divisor = row->divisor, .extent = row->extent };
  for (int t = 0; t + by < NEST_INDICES; t++)
    out.c[t + by] = row->c[t];
  return out;
}

static void add_row(Inverse *v, NestRow row)
{
  if (v->nest.nrow == NEST_ROWS)
    ice("an index map has more than %d rows", NEST_ROWS);
  v->nest.row[v->nest.nrow++] = row;
}

/* The operands and conditions of the gradient, still over the old indices. */
static void collect_rows(Inverse *v, const Nest *from, int k)
{
  int by = v->old;
  v->nest.nfactor = from->nfactor;
  for (int t = 0; t < from->rank; t++)
    add_row(v, unit_row(by + t, from->extent[t]));
  v->nest.first[1] = v->nest.nrow;
  for (int f = 0, to = 1; f < from->nfactor; f++) {
    if (f == k)
      continue;
    for (int r = from->first[f]; r < from->first[f + 1]; r++)
      add_row(v, shifted(&from->row[r], by));
    v->nest.first[++to] = v->nest.nrow;
  }
  for (int r = from->first[from->nfactor]; r < from->nrow; r++)
    add_row(v, shifted(&from->row[r], by));
  for (int t = 0; t < from->nindex; t++)
    add_row(v, unit_row(by + t, from->extent[t]));
}

static void solve(Inverse *v, int axis)
{
  NestRow *equation = &v->equation[axis];
  int s = -1;
  for (int t = v->old; t < v->nest.nindex; t++) {
    if (!equation->c[t] || v->solved[t])
      continue;
    int64_t size = s < 0 ? 0 : v->nest.extent[s];
    if (v->nest.extent[t] > size ||
        (v->nest.extent[t] == size && llabs(equation->c[t]) < llabs(equation->c[s])))
      s = t;
  }
  if (s < 0) {                  /* nothing is left to choose: the axis must agree */
    equation->extent = 1;
    add_row(v, *equation);
    return;
  }
  v->solved[s] = true;
  for (int r = 0; r < v->nest.nrow; r++)
    substitute(&v->nest.row[r], equation, s);
  substitute(&v->code, equation, s);
  for (int e = axis + 1; e < v->nequation; e++) {
    substitute(&v->equation[e], equation, s);
    v->equation[e].divisor = 1;
  }
}

/* Takes solved indices out, and conditions that hold anyway or that an operand's place implies. */
static void compress(Inverse *v)
{
  Nest *nest = &v->nest;
  bool code = v->code.divisor > 0;
  int to = 0, keep = nest->first[nest->nfactor];
  for (int t = 0; t < nest->nindex; t++) {
    if (v->solved[t])
      continue;
    nest->extent[to] = nest->extent[t];
    for (int r = 0; r < nest->nrow; r++)
      nest->row[r].c[to] = nest->row[r].c[t];
    to++;
  }
  for (int r = 0; r < nest->nrow; r++)
    memset(&nest->row[r].c[to], 0, (size_t)(NEST_INDICES - to) * sizeof nest->row[r].c[0]);
  nest->nindex = to;
  for (int r = keep, n = nest->nrow; r < n; r++) {
    bool drop = nest_row_holds(nest, &nest->row[r]) && !(code && r == n - 1);
    for (int i = 0; i < keep && !(code && r == n - 1); i++)
      drop = drop || same_row(&nest->row[i], &nest->row[r]);
    if (!drop)
      nest->row[keep++] = nest->row[r];
  }
  nest->nrow = keep;
}

void index_inverse(Arena *a, const Nest *nest, const char *names, int k, const NestRow *code,
                   Nest *out, const char **out_names)
{
  int axes = nest->first[k + 1] - nest->first[k];
  Inverse v = { .old = axes, .nequation = axes };
  const char *taken[NEST_INDICES] = { NULL };
  v.nest.nindex = axes + nest->nindex;
  v.nest.rank = axes;
  if (v.nest.nindex > NEST_INDICES)
    ice("the gradient of an index map has %d indices", v.nest.nindex);
  for (int t = 0; t < nest->nindex; t++) {
    v.nest.extent[axes + t] = nest->extent[t];
    taken[axes + t] = index_name(a, names, t);
  }
  for (int i = 0; i < axes; i++) {
    const NestRow *row = &nest->row[nest->first[k] + i];
    v.nest.extent[i] = row->extent;
    v.equation[i] = shifted(row, axes);
    v.equation[i].c[i] = -row->divisor;
    v.equation[i].divisor = 1;
    taken[i] = axis_name(a, nest, names, row, taken, i);
  }
  collect_rows(&v, nest, k);
  v.code = code ? shifted(code, axes) : (NestRow){ .divisor = 0 };
  for (int i = 0; i < axes; i++)
    solve(&v, i);
  if (code)
    add_row(&v, v.code);
  const char *text = "";
  for (int t = 0; t < v.nest.nindex; t++)
    if (!v.solved[t])
      text = arena_printf(a, "%s%s%s", text, *text ? " " : "", taken[t]);
  compress(&v);
  *out = v.nest;
  *out_names = text;
}

/* ---- text ---- */

static const char *place_text(Arena *a, const Nest *nest, const char *names, const NestRow *row)
{
  const char *s = "";
  int terms = 0;
  for (int positive = 1; positive >= 0; positive--)
    for (int t = 0; t < nest->nindex; t++) {
      int64_t c = row->c[t];
      if (c == 0 || (c > 0) != positive)
        continue;
      const char *sign = c < 0 ? "-" : terms ? "+" : "";
      const char *name = index_name(a, names, t);
      s = llabs(c) == 1 ? arena_printf(a, "%s%s%s", s, sign, name)
                        : arena_printf(a, "%s%s%lld*%s", s, sign, llabs(c), name);
      terms++;
    }
  if (row->offset || !terms) {
    s = arena_printf(a, terms ? "%s%+lld" : "%s%lld", s, (long long)row->offset);
    terms++;
  }
  if (row->divisor == 1)
    return s;
  return arena_printf(a, terms > 1 ? "(%s)/%lld" : "%s/%lld", s, (long long)row->divisor);
}

const char *index_places(Arena *a, const Nest *nest, const char *names, int from, int to)
{
  const char *s = "";
  for (int r = from; r < to; r++)
    s = arena_printf(a, "%s%s%s", s, r > from ? "," : "",
                     place_text(a, nest, names, &nest->row[r]));
  return s;
}

const char *index_conditions(Arena *a, const Nest *nest, const char *names, int to)
{
  const char *s = "";
  for (int r = nest->first[nest->nfactor]; r < to; r++) {
    const NestRow *row = &nest->row[r];
    s = arena_printf(a, "%s%s0 <= %s <= %lld%s", s, *s ? " and " : " where ",
                     place_text(a, nest, names, row), (long long)row->extent - 1,
                     row->divisor > 1 ? ", whole" : "");
  }
  return s;
}
