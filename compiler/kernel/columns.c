/* Columns of a matrix by number; see columns.h.
 *
 *   read   square[s][o] = w[o, x[s]], turned: lanes hold samples      then + bias
 *   add    dy[o][s], turned: square[s][o]                             sum[x[s]][o] += square[s][o]
 *
 * for the 16 rows o of a block. Sums of a block lie in an array of the worker, with one line more
 * than the matrix has columns: it takes what has none. */
#include "kernel/columns.h"
#include "kernel/tile.h"

typedef struct {
  Lower *l;
  const Node *n;
  Value x, matrix;              /* column by column; read: operand, add: result */
  int64_t steps, rows, columns; /* T, rows and columns of the matrix */
  LExpr *group, *step, *block;  /* block: of rows */
} Columns;

static Columns columns_of(Lower *l, const Node *n, Value x, Value matrix)
{
  const Type *t = value_type(matrix);
  return (Columns){ .l = l, .n = n, .x = x, .matrix = matrix, .steps = value_type(x)->dim[0],
                    .rows = t->dim[0], .columns = t->dim[1] };
}

void columns_plans(Plans *ps, const Node *n, int w)
{
  int64_t batch = ps->program->batch;
  const Type *t = w < 0 ? &n->type[0] : value_type(n->in[w]);
  Layout by_column = { 3, { { 1, 1, t->dim[1] },
                            { 0, ps->block, ceil_div(t->dim[0], ps->block) },
                            { 0, 1, ps->block } } };
  Plan p = { .family = ps->family, .algorithm = "columns of a matrix", .sample_lanes = true };
  for (uint32_t i = 0; i < n->nin; i++)
    if (n->in[i].node && value_type(n->in[i])->batched)
      p.in[i] = family_layout(FAMILY_LANES, value_type(n->in[i]), ps->block, batch);
  if (w >= 0)
    p.in[w] = by_column;
  p.out[0] = w < 0 ? by_column : family_layout(FAMILY_LANES, &n->type[0], ps->block, batch);
  p.cost = (double)t->dim[0] * (double)ceil_div(batch, ps->block);
  plans_offer(ps, &p);
}

/* Samples of the group at the step; s: one of them, -1: lanes hold all. */
static Coord samples_at(const Columns *k, int s)
{
  Lower *l = k->l;
  Coord c;
  coord_clear(&c);
  coord_add(&c, AXIS_BATCH, k->group, l->block, ceil_div(l->program->batch, l->block));
  coord_add(&c, AXIS_BATCH, s < 0 ? NULL : l_int(l->b, s), 1, l->block);
  coord_set(&c, 0, k->step, k->steps);
  return c;
}

/* Row j of the block on an axis of rows; -1: lanes hold the block. */
static void row_at(const Columns *k, Coord *c, int axis, int j)
{
  coord_add(c, axis, k->block, k->l->block, ceil_div(k->rows, k->l->block));
  coord_add(c, axis, j < 0 ? NULL : l_int(k->l->b, j), 1, k->l->block);
}

static Coord column_at(const Columns *k, LExpr *column)
{
  Coord c;
  coord_clear(&c);
  row_at(k, &c, 0, -1);
  coord_set(&c, 1, column, k->columns);
  return c;
}

static LExpr *number_of(const Columns *k, int s)
{
  Coord c = samples_at(k, s);
  return l_cast(k->l->b, lower_load_scalar(k->l, k->x, &c), DT_I64);
}

typedef void (*BlockBody)(Columns *k, int rows, void *ctx);

/* Emits body for a block of rows, and for the shorter last one where there is one. */
static void with_last(Columns *k, BlockBody body, void *ctx)
{
  Build *b = k->l->b;
  int block = k->l->block, rest = (int)(k->rows % block);
  int64_t whole = k->rows / block;
  if (!rest || !whole) {
    body(k, rest ? rest : block, ctx);
    return;
  }
  l_if(b, l_op(b, SC_lt, k->block, l_int(b, whole), NULL));
  body(k, block, ctx);
  l_else(b);
  body(k, rest, ctx);
  l_end(b);
}

/* ---- reading ---- */

typedef struct {
  Value bias;
  LExpr **column;               /* of each sample, 0 where it has none */
  LExpr *has;                   /* samples that have a column */
} Read;

static void read_block(Columns *k, int rows, void *ctx)
{
  Lower *l = k->l;
  Build *b = l->b;
  Read *r = ctx;
  LExpr **line = ARENA_ARRAY(l->arena, LExpr *, l->block);
  for (int s = 0; s < l->block; s++) {
    Coord c = column_at(k, r->column[s]);
    line[s] = l_let(b, "column", lower_load(l, k->matrix, &c, l->block));
  }
  line = lower_turn(l, line);
  for (int j = 0; j < rows; j++) {
    Coord c = samples_at(k, -1), at;
    LExpr *e = l_op(b, SC_select, r->has, line[j], l_splat(b, l_real(b, 0), l->block));
    LExpr *first = l_real(b, 0);
    row_at(k, &c, 1, j);
    coord_clear(&at);
    row_at(k, &at, 0, j);
    if (r->bias.node)
      first = lower_load(l, r->bias, &at, l->block);
    e = l_add(b, l_splat(b, first, l->block), e);
    lower_finish(l, k->n, &c, &e, l->block);
  }
}

void columns_read(Lower *l, const Node *n, Value x, Value w, Value bias)
{
  Build *b = l->b;
  Columns k = columns_of(l, n, x, w);
  Read r = { .bias = bias, .column = ARENA_ARRAY(l->arena, LExpr *, l->block) };
  lower_kernel(l, n, "", "columns",
               arena_printf(l->arena, "squares of %d samples x %d rows, turned in registers",
                            l->block, l->block));
  const char *names[] = { "g", "t" };
  LExpr *digit[2];
  items_begin(l, names, (int64_t[]){ 0, k.steps }, 2, digit);
  k.group = digit[0];
  k.step = digit[1];
  LExpr *last = l_int(b, k.columns - 1);
  for (int s = 0; s < l->block; s++)
    r.column[s] = l_let(b, "v", l_min(b, l_max(b, number_of(&k, s), l_int(b, 0)), last));
  Coord c = samples_at(&k, -1);
  LExpr *number = l_let(b, "number", l_cast(b, lower_load(l, x, &c, l->block), l->program->real));
  LExpr *top = l_min(b, number, l_splat(b, l_real(b, (double)(k.columns - 1)), l->block));
  LExpr *clamped = l_max(b, top, l_splat(b, l_real(b, 0), l->block));
  r.has = l_let(b, "has", l_op(b, SC_eq, number, clamped, NULL));
  int64_t blocks = ceil_div(k.rows, l->block);
  k.block = l_var(b, l_loop(b, "ob", l_int(b, 0), l_int(b, blocks), 1, FOR_ROLLED));
  with_last(&k, read_block, &r);
  l_end(b);
  l_end(b);
  lower_by_samples(l, l->block);
  lower_kernel_end(l, l_muli(b, lower_groups(l, lower_host_n(l)), k.steps));
}

/* ---- adding ---- */

typedef struct {
  Value dy;
  Buffer *sum;                  /* [columns + 1][block] */
  LExpr *first;                 /* column of the item */
  int64_t columns;              /* of an item */
} Add;

static LExpr *sum_index(const Columns *k, LExpr *column)
{
  return l_muli(k->l->b, column, k->l->block);
}

/* The line that sample s of the group adds to. */
static LExpr *line_of(const Columns *k, const Add *a, int s)
{
  Build *b = k->l->b;
  LExpr *v = l_let(b, "v", l_sub(b, number_of(k, s), a->first));
  LExpr *sample = l_addi(b, l_muli(b, k->group, k->l->block), s);
  LExpr *has = l_op(b, SC_and, l_op(b, SC_le, l_int(b, 0), v, NULL),
                    l_op(b, SC_lt, v, l_int(b, a->columns), NULL), NULL);
  has = l_op(b, SC_and, has, l_op(b, SC_lt, sample, k->l->n, NULL), NULL);
  LExpr *line = l_op(b, SC_select, has, v, l_int(b, a->columns));
  return l_let(b, "at", sum_index(k, line));
}

static void add_block(Columns *k, int rows, void *ctx)
{
  Lower *l = k->l;
  Build *b = l->b;
  const Add *a = ctx;
  LExpr **line = ARENA_ARRAY(l->arena, LExpr *, l->block);
  k->group = l_var(b, l_loop(b, "g", l_int(b, 0), lower_groups(l, l->n), 1, FOR_ROLLED));
  k->step = l_var(b, l_loop(b, "t", l_int(b, 0), l_int(b, k->steps), 1, FOR_ROLLED));
  for (int j = 0; j < l->block; j++) {
    Coord c = samples_at(k, -1);
    row_at(k, &c, 1, j);
    line[j] = j < rows ? lower_load(l, a->dy, &c, l->block) : l_splat(b, l_real(b, 0), l->block);
    line[j] = l_let(b, "dy", line[j]);
  }
  line = lower_turn(l, line);
  for (int s = 0; s < min_i64(l->block, l->program->batch); s++) {
    LExpr *at = line_of(k, a, s);
    l_store(b, a->sum, at, l_add(b, l_load(b, a->sum, at, l->block), line[s]));
  }
  l_end(b);
  l_end(b);
}

static LExpr *each_column(const Columns *k, LExpr *count)
{
  return l_var(k->l->b, l_loop(k->l->b, "c", l_int(k->l->b, 0), count, 1, FOR_PLAIN));
}

void columns_add(Lower *l, const Node *n, Value dy, Value x)
{
  Build *b = l->b;
  Columns k = columns_of(l, n, x, (Value){ (Node *)(uintptr_t)n, 0 });
  int64_t most = LOCAL_BYTES_MAX / 64 - 1, parts = ceil_div(k.columns, most);
  Add a = { .dy = dy, .columns = ceil_div(k.columns, parts) };
  lower_kernel(l, n, "dw", "columns",
               arena_printf(l->arena, "sums of %d rows at a time, in an array of the worker",
                            l->block));
  a.sum = l_local(b, "sum", (int)l->program->real, (a.columns + 1) * l->block);
  const char *names[] = { "ob", "part" };
  int64_t blocks = ceil_div(k.rows, l->block);
  LExpr *digit[2];
  items_begin(l, names, (int64_t[]){ blocks, parts }, 2, digit);
  k.block = digit[0];
  a.first = l_muli(b, digit[1], a.columns);
  LExpr *c = each_column(&k, l_int(b, a.columns + 1));
  l_store(b, a.sum, sum_index(&k, c), l_splat(b, l_real(b, 0), l->block));
  l_end(b);
  with_last(&k, add_block, &a);
  LExpr *left = l_sub(b, l_int(b, k.columns), a.first);
  c = each_column(&k, l_min(b, left, l_int(b, a.columns)));
  Coord at = column_at(&k, l_add(b, a.first, c));
  LExpr *e = l_load(b, a.sum, sum_index(&k, c), l->block);
  lower_finish(l, n, &at, &e, l->block);
  l_end(b);
  l_end(b);
  lower_kernel_end(l, l_int(b, blocks * parts));
}
