/* Winograd transforms: one-dimensional ones, and boxes of tiles through two of them.
 *
 * A strip is a row of tiles of one sample and one channel block. Its columns are transformed from
 * top to bottom into an array in the nearest cache, where neighbouring patches share theirs, and
 * then from left to right, tile by tile. Rows of the image that a tile row misses are known when
 * compiling, so that each kind of tile row has code of its own. */
#include "kernel/winograd.h"

/* Points of interpolation. What the matrices hold then stays near 1: half the error of the usual
 * 1 and 2. */
static const double POINT_A = 0.75, POINT_B = 1.5;

static LExpr *times(Build *b, double k, LExpr *x) { return l_op(b, SC_mul, l_real(b, k), x, NULL); }

static LExpr *plus(Build *b, double k, LExpr *x, LExpr *y) { return l_fma(b, l_real(b, k), x, y); }

static LExpr *sum(Build *b, LExpr *x, LExpr *y) { return l_op(b, SC_add, x, y, NULL); }

static LExpr *difference(Build *b, LExpr *x, LExpr *y) { return l_op(b, SC_sub, x, y, NULL); }

/* even + p * odd and even - p * odd: the values at p and -p. */
static void both_signs(Build *b, double p, LExpr *even, LExpr *odd, LExpr **out)
{
  even = l_let(b, "e", even);
  odd = l_let(b, "o", odd);
  out[0] = l_let(b, "t", plus(b, p, odd, even));
  out[1] = l_let(b, "t", plus(b, -p, odd, even));
}

void points_of_input(Build *b, LExpr *const d[6], LExpr *out[6])
{
  const double p2 = POINT_A * POINT_A, q2 = POINT_B * POINT_B;
  out[0] = l_let(b, "t", plus(b, p2 * q2, d[0], plus(b, -(p2 + q2), d[2], d[4])));
  both_signs(b, POINT_A, plus(b, -q2, d[2], d[4]), plus(b, -q2, d[1], d[3]), out + 1);
  both_signs(b, POINT_B, plus(b, -p2, d[2], d[4]), plus(b, -p2, d[1], d[3]), out + 3);
  out[5] = l_let(b, "t", plus(b, p2 * q2, d[1], plus(b, -(p2 + q2), d[3], d[5])));
}

void points_of_gradient(Build *b, LExpr *const y[4], LExpr *out[6])
{
  const double p2 = POINT_A * POINT_A, q2 = POINT_B * POINT_B;
  out[0] = y[0];
  both_signs(b, POINT_A, plus(b, p2, y[2], y[0]), plus(b, p2, y[3], y[1]), out + 1);
  both_signs(b, POINT_B, plus(b, q2, y[2], y[0]), plus(b, q2, y[3], y[1]), out + 3);
  out[5] = y[3];
}

/* 1 over the product of the distances from a point to the others. */
typedef struct { double zero, a, b; } Norms;

static Norms norms(void)
{
  const double p2 = POINT_A * POINT_A, q2 = POINT_B * POINT_B;
  return (Norms){ 1 / (p2 * q2), 1 / (2 * p2 * (p2 - q2)), 1 / (2 * q2 * (q2 - p2)) };
}

void points_of_weight(Build *b, LExpr *const g[3], LExpr *out[6])
{
  const double point[2] = { POINT_A, POINT_B }, norm[2] = { norms().a, norms().b };
  out[0] = l_let(b, "t", times(b, norms().zero, g[0]));
  for (int i = 0; i < 2; i++) {
    LExpr *even = plus(b, norm[i] * point[i] * point[i], g[2], times(b, norm[i], g[0]));
    both_signs(b, norm[i] * point[i], even, g[1], out + 1 + 2 * i);
  }
  out[5] = g[2];
}

/* Sums and differences of the values at p and -p. */
typedef struct { LExpr *plus[2], *minus[2]; } Pairs;

static Pairs pairs_of(Build *b, LExpr *const m[6])
{
  Pairs p;
  for (int i = 0; i < 2; i++) {
    p.plus[i] = l_let(b, "e", sum(b, m[1 + 2 * i], m[2 + 2 * i]));
    p.minus[i] = l_let(b, "o", difference(b, m[1 + 2 * i], m[2 + 2 * i]));
  }
  return p;
}

void output_of_points(Build *b, LExpr *const m[6], LExpr *out[4])
{
  const double p = POINT_A, q = POINT_B;
  Pairs at = pairs_of(b, m);
  out[0] = sum(b, sum(b, m[0], at.plus[0]), at.plus[1]);
  out[1] = plus(b, p, at.minus[0], times(b, q, at.minus[1]));
  out[2] = plus(b, p * p, at.plus[0], times(b, q * q, at.plus[1]));
  out[3] = plus(b, p * p * p, at.minus[0], plus(b, q * q * q, at.minus[1], m[5]));
  for (int i = 0; i < 4; i++)
    out[i] = l_let(b, "y", out[i]);
}

void weight_of_points(Build *b, LExpr *const m[6], LExpr *out[3])
{
  const double p = POINT_A, q = POINT_B, np = norms().a, nq = norms().b;
  Pairs at = pairs_of(b, m);
  out[0] = plus(b, norms().zero, m[0], plus(b, np, at.plus[0], times(b, nq, at.plus[1])));
  out[1] = plus(b, np * p, at.minus[0], times(b, nq * q, at.minus[1]));
  out[2] = plus(b, np * p * p, at.plus[0], plus(b, nq * q * q, at.plus[1], m[5]));
  for (int i = 0; i < 3; i++)
    out[i] = l_let(b, "g", out[i]);
}

/* ---- boxes ---- */

int64_t point_stride(const Lower *l, int64_t blocks, int64_t tiles)
{
  return (blocks * tiles + 1) * l->block;
}

static int64_t strip_width(const TileGrid *g) { return g->cols * WINO_OUT + WINO_IN - WINO_OUT; }

int64_t transform_scratch(const Lower *l, const TileGrid *g)
{
  return WINO_IN * strip_width(g) * l->block;
}

LExpr *count_begins(Build *b, const char *name, int64_t end, ForKind how, int *loops)
{
  if (end == 1)
    return l_int(b, 0);
  ++*loops;
  return l_var(b, l_loop(b, name, l_int(b, 0), l_int(b, end), 1, how));
}

bool box_row_begins(Lower *l, const TileGrid *g, LExpr *sample, LExpr *ty)
{
  Build *b = l->b;
  LExpr *inside = NULL;
  if (g->samples > 1)
    inside = l_op(b, SC_lt, sample, l->n, NULL);
  if (g->boxes[1] * g->rows > g->tiles[0]) {
    LExpr *row = l_op(b, SC_lt, ty, l_int(b, g->tiles[0]), NULL);
    inside = inside ? l_op(b, SC_and, inside, row, NULL) : row;
  }
  if (inside)
    l_if(b, inside);
  return inside != NULL;
}

typedef struct {
  const Transform *t;
  LExpr *sample, *ty, *tx0, *unit, *strip; /* strip: number of its first tile in the box */
  int64_t width;                /* columns of the strip */
} Strip;

static int strip_rows(const Transform *t) { return t->gradient ? WINO_OUT : WINO_IN; }

static LExpr *column_at(const Strip *s, LExpr *i, LExpr *c)
{
  Build *b = s->t->l->b;
  return l_muli(b, l_add(b, l_muli(b, i, s->width), c), s->t->l->block);
}

static LExpr *zero(const Strip *s)
{
  return l_splat(s->t->l->b, l_real(s->t->l->b, 0), s->t->l->block);
}

static LExpr *load_pixel(const Strip *s, int row, LExpr *c)
{
  const Transform *t = s->t;
  Build *b = t->l->b;
  const Type *type = value_type(t->image);
  int64_t block = t->l->block;
  Coord at;
  coord_clear(&at);
  coord_set(&at, AXIS_BATCH, s->sample, t->l->program->batch);
  coord_add(&at, 0, s->unit, block, ceil_div(type->dim[0], block));
  coord_add(&at, 0, NULL, 1, block);
  coord_set(&at, 1, l_addi(b, l_muli(b, s->ty, WINO_OUT), t->first[0] + row), type->dim[1]);
  LExpr *col = l_add(b, l_addi(b, l_muli(b, s->tx0, WINO_OUT), t->first[1]), c);
  coord_set(&at, 2, col, type->dim[2]);
  return l_splat(b, lower_load(t->l, t->image, &at, t->l->block), t->l->block);
}

/* Columns lo to hi - 1 of a strip become zero. */
static void clear_columns(const Strip *s, LExpr *lo, LExpr *hi)
{
  Build *b = s->t->l->b;
  if (lo->kind == LE_INT && hi->kind == LE_INT && lo->i >= hi->i)
    return;
  LExpr *c = l_var(b, l_loop(b, "c", lo, hi, 1, FOR_PLAIN));
  for (int i = 0; i < WINO_IN; i++)
    l_store(b, s->t->columns, column_at(s, l_int(b, i), c), zero(s));
  l_end(b);
}

/* Columns of the strip that lie in the image, from top to bottom; rows lo to hi - 1 of it do. */
static void transform_columns(const Strip *s, int64_t lo, int64_t hi)
{
  const Transform *t = s->t;
  Build *b = t->l->b;
  LExpr *at = l_addi(b, l_muli(b, s->tx0, WINO_OUT), t->first[1]);
  LExpr *begin = l_max(b, l_int(b, 0), l_sub(b, l_int(b, 0), at));
  LExpr *end = l_min(b, l_int(b, s->width), l_sub(b, l_int(b, value_type(t->image)->dim[2]), at));
  if (begin->kind != LE_INT)
    begin = l_let(b, "c0", begin);
  if (end->kind != LE_INT)
    end = l_let(b, "c1", end);
  clear_columns(s, l_int(b, 0), begin);
  LExpr *c = l_var(b, l_loop(b, "c", begin, end, 1, FOR_PLAIN));
  LExpr *in[WINO_IN], *out[WINO_IN];
  for (int i = 0; i < strip_rows(t); i++)
    in[i] = i >= lo && i < hi ? l_let(b, "d", load_pixel(s, i, c)) : zero(s);
  if (t->gradient)
    points_of_gradient(b, in, out);
  else
    points_of_input(b, in, out);
  for (int i = 0; i < WINO_IN; i++)
    l_store(b, t->columns, column_at(s, l_int(b, i), c), out[i]);
  l_end(b);
  clear_columns(s, end, l_int(b, s->width));
}

/* Rows of a strip of tile row ty that lie in the image. */
static void rows_inside(const Transform *t, int64_t ty, int64_t *lo, int64_t *hi)
{
  int64_t first = ty * WINO_OUT + t->first[0];
  *lo = max_i64(0, -first);
  *hi = min_i64(strip_rows(t), value_type(t->image)->dim[1] - first);
}

/* Code for each run of tile rows that miss the same rows of the image. */
static void transform_kinds(const Strip *s)
{
  Build *b = s->t->l->b;
  int64_t rows = s->t->grid->tiles[0], ty = 0;
  int open = 0;
  while (ty < rows) {
    int64_t lo, hi, end = ty + 1, lo2, hi2;
    rows_inside(s->t, ty, &lo, &hi);
    for (; end < rows; end++) {
      rows_inside(s->t, end, &lo2, &hi2);
      if (lo2 != lo || hi2 != hi)
        break;
    }
    if (end < rows) {
      l_if(b, l_op(b, SC_lt, s->ty, l_int(b, end), NULL));
      open++;
    }
    transform_columns(s, lo, hi);
    if (end < rows)
      l_else(b);
    ty = end;
  }
  while (open-- > 0)
    l_end(b);
}

/* From left to right, tile by tile, into the points. */
static void transform_tiles(const Strip *s)
{
  const Transform *t = s->t;
  Build *b = t->l->b;
  int64_t block = t->l->block, stride = point_stride(t->l, t->blocks, grid_box(t->grid));
  int loops = 0;
  LExpr *i = count_begins(b, "p", WINO_IN, FOR_ROLLED, &loops);
  LExpr *k = count_begins(b, "t", t->grid->cols, FOR_PLAIN, &loops);
  LExpr *in[WINO_IN], *out[WINO_IN];
  for (int j = 0; j < strip_rows(t); j++) {
    LExpr *c = l_addi(b, l_muli(b, k, WINO_OUT), j);
    in[j] = l_let(b, "d", l_load(b, t->columns, column_at(s, i, c), t->l->block));
  }
  if (t->gradient)
    points_of_gradient(b, in, out);
  else
    points_of_input(b, in, out);
  LExpr *at = l_add(b, l_muli(b, i, WINO_IN * stride), l_muli(b, l_add(b, s->strip, k), block));
  for (int j = 0; j < WINO_IN; j++)
    l_store(b, t->to, l_addi(b, at, j * stride), out[j]);
  while (loops-- > 0)
    l_end(b);
}

void transform_box(const Transform *t, LExpr *n0, LExpr *ty0, LExpr *tx0)
{
  Build *b = t->l->b;
  const TileGrid *g = t->grid;
  Strip s = { .t = t, .tx0 = tx0, .width = strip_width(g) };
  if (t->gradient)
    s.width = g->cols * WINO_OUT;
  int loops = 0;
  LExpr *i = count_begins(b, "s", g->samples, FOR_PLAIN, &loops);
  LExpr *r = count_begins(b, "row", g->rows, FOR_PLAIN, &loops);
  LExpr *k = count_begins(b, "cb", t->blocks, FOR_PLAIN, &loops);
  s.sample = l_add(b, n0, i);
  s.ty = l_let(b, "ty", l_add(b, ty0, r));
  s.unit = l_add(b, t->block0, k);
  LExpr *strip = l_muli(b, l_add(b, l_muli(b, i, g->rows), r), g->cols);
  s.strip = l_let(b, "at", l_add(b, l_muli(b, k, grid_box(g)), strip));
  bool cut = box_row_begins(t->l, g, s.sample, s.ty);
  transform_kinds(&s);
  if (cut) {
    l_else(b);
    clear_columns(&s, l_int(b, 0), l_int(b, s.width));
    l_end(b);
  }
  transform_tiles(&s);
  while (loops-- > 0)
    l_end(b);
}
