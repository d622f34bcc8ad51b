/* Rows of a table by number. Numbers differ from sample to sample, so a work item takes its
 * samples one by one, also where lanes hold them. Sums are made in an array of the worker: a few
 * columns of the table, or of a part of its rows where the whole is too large, so that every
 * element has one owner and one order. */
#include "kernel/gather.h"

enum { COLUMNS_MAX = 16 };

typedef struct {
  Lower *l;
  const Type *t;                /* of x */
  Coord c;                      /* the element of x */
  int loops;
} Places;

void gather_plans(Plans *ps, const Node *n)
{
  Plan p = { .family = ps->family, .algorithm = "rows of a table", .cost = 0 };
  for (uint32_t i = 0; i < n->nin; i++)
    if (n->in[i].node && dtype_is_real(value_type(n->in[i])->dtype))
      p.in[i] = family_layout(ps->family, value_type(n->in[i]), ps->block, ps->program->batch);
  p.out[0] = family_layout(ps->family, &n->type[0], ps->block, ps->program->batch);
  if (layout_has_padding(&p.out[0], &n->type[0], align_up(ps->program->batch, ps->block))) {
    p.out[0] = layout_row_major(&n->type[0]);   /* nobody would clear what is beside the columns */
    if (n->type[0].batched)
      p.out[0].digit[0].extent = ps->program->batch;
  }
  plans_offer(ps, &p);
}

static LExpr *open_loop(Places *p, const char *name, LExpr *from, LExpr *to)
{
  p->loops++;
  return l_var(p->l->b, l_loop(p->l->b, name, from, to, 1, FOR_PLAIN));
}

/* Loops over the elements of a sample of x. */
static void each_place(Places *p)
{
  for (int a = 0; a < p->t->rank; a++)
    coord_set(&p->c, a, open_loop(p, "j", l_int(p->l->b, 0), l_int(p->l->b, p->t->dim[a])),
              p->t->dim[a]);
}

static void places_end(Places *p)
{
  while (p->loops-- > 0)
    l_end(p->l->b);
}

/* The number at the place. */
static LExpr *number_at(Places *p, Value x)
{
  Build *b = p->l->b;
  return l_let(b, "row", l_cast(b, lower_load_scalar(p->l, x, &p->c), DT_I64));
}

static LExpr *is_inside(Build *b, LExpr *row, int64_t rows)
{
  LExpr *from = l_op(b, SC_le, l_int(b, 0), row, NULL);
  return l_op(b, SC_and, from, l_op(b, SC_lt, row, l_int(b, rows), NULL), NULL);
}

/* ---- reading ---- */

/* Are the result's lanes samples? */
static bool has_sample_lanes(const Lower *l, const Layout *lay)
{
  const Digit *last = &lay->digit[lay->n - 1];
  return lay->n > 1 && last->axis == AXIS_BATCH && last->div == 1 && last->extent == l->block;
}

/* Loops over the samples of an item and their places: those of a group meet at each place, where
 * they share what lies beside them in the lanes. */
static void each_sample_place(Places *p, LExpr *item, bool lanes)
{
  Lower *l = p->l;
  Build *b = l->b;
  coord_clear(&p->c);
  if (lanes)
    coord_add(&p->c, AXIS_BATCH, item, l->block, ceil_div(l->program->batch, l->block));
  else
    coord_set(&p->c, AXIS_BATCH, item, l->program->batch);
  each_place(p);
  if (!lanes)
    return;
  LExpr *left = l_sub(b, l->n, l_muli(b, item, l->block));
  LExpr *s = open_loop(p, "s", l_int(b, 0), l_min(b, left, l_int(b, l->block)));
  coord_add(&p->c, AXIS_BATCH, s, 1, l->block);
}

void gather_rows(Lower *l, const Node *n, Value x, Value table)
{
  Build *b = l->b;
  const Type *w = value_type(table);
  Places p = { .l = l, .t = value_type(x) };
  bool lanes = has_sample_lanes(l, lower_layout(l, (Value){ (Node *)(uintptr_t)n, 0 }));
  lower_kernel(l, n, "", "gather", "sample by sample, a row of the table for each number");
  LVar *item = l_loop(b, lanes ? "g" : "i", l_var(b, l->kernel->lo), l_var(b, l->kernel->hi), 1,
                      FOR_PLAIN);
  each_sample_place(&p, l_var(b, item), lanes);
  LExpr *row = number_at(&p, x);
  row = l_let(b, "from", l_op(b, SC_select, is_inside(b, row, w->dim[0]), row, l_int(b, 0)));
  LExpr *d = open_loop(&p, "d", l_int(b, 0), l_int(b, w->dim[1]));
  Coord from, to = p.c;
  coord_clear(&from);
  coord_set(&from, 0, row, w->dim[0]);
  coord_set(&from, 1, d, w->dim[1]);
  coord_set(&to, p.t->rank, d, w->dim[1]);
  LExpr *e = lower_load_scalar(l, table, &from);
  lower_finish(l, n, &to, &e, 1);
  places_end(&p);
  l_end(b);
  lower_by_samples(l, lanes ? l->block : 1);
  lower_kernel_end(l, lanes ? lower_groups(l, lower_host_n(l)) : lower_host_n(l));
}

/* ---- adding ---- */

typedef struct {
  int64_t width;                /* columns of an item: a divisor of those of the table */
  int64_t rows;                 /* rows of an item */
  int64_t parts;                /* of the rows */
  Buffer *sum;                  /* [rows][width] */
  LExpr *first_row, *first_column;
} Share;

static Share share_of(const Lower *l, const Type *t)
{
  int64_t most = LOCAL_BYTES_MAX / dtype_bytes(l->program->real);
  Share s = { .width = COLUMNS_MAX };
  while (t->dim[1] % s.width != 0 || (s.width > 1 && t->dim[0] * s.width > most))
    s.width /= 2;
  s.rows = min_i64(t->dim[0], most / s.width);
  s.parts = ceil_div(t->dim[0], s.rows);
  return s;
}

static LExpr *sum_index(Build *b, const Share *s, LExpr *row, LExpr *column)
{
  return l_add(b, l_muli(b, row, s->width), column);
}

static void clear_sums(Lower *l, const Share *s)
{
  Build *b = l->b;
  LExpr *k = l_var(b, l_loop(b, "k", l_int(b, 0), l_int(b, s->rows * s->width), 1, FOR_PLAIN));
  l_store(b, s->sum, k, l_real(b, 0));
  l_end(b);
}

static void add_rows(Lower *l, const Share *s, const Type *t, Value dy, Value x)
{
  Build *b = l->b;
  Places p = { .l = l, .t = value_type(x) };
  coord_clear(&p.c);
  coord_set(&p.c, AXIS_BATCH, open_loop(&p, "i", l_int(b, 0), l->n), l->program->batch);
  each_place(&p);
  LExpr *row = l_let(b, "mine", l_sub(b, number_at(&p, x), s->first_row));
  l_if(b, is_inside(b, row, s->rows));
  LExpr *k = l_var(b, l_loop(b, "k", l_int(b, 0), l_int(b, s->width), 1, FOR_PLAIN));
  Coord c = p.c;
  coord_set(&c, p.t->rank, l_add(b, s->first_column, k), t->dim[1]);
  LExpr *at = sum_index(b, s, row, k);
  l_store(b, s->sum, at, l_add(b, l_load(b, s->sum, at, 1), lower_load_scalar(l, dy, &c)));
  l_end(b);
  l_end(b);
  places_end(&p);
}

static void store_sums(Lower *l, const Node *n, const Share *s, const Type *t)
{
  Build *b = l->b;
  LExpr *left = l_sub(b, l_int(b, t->dim[0]), s->first_row);
  LExpr *r = l_var(b, l_loop(b, "r", l_int(b, 0), l_min(b, left, l_int(b, s->rows)), 1, FOR_PLAIN));
  LExpr *k = l_var(b, l_loop(b, "k", l_int(b, 0), l_int(b, s->width), 1, FOR_PLAIN));
  Coord c;
  coord_clear(&c);
  coord_set(&c, 0, l_add(b, s->first_row, r), t->dim[0]);
  coord_set(&c, 1, l_add(b, s->first_column, k), t->dim[1]);
  LExpr *e = l_load(b, s->sum, sum_index(b, s, r, k), 1);
  lower_finish(l, n, &c, &e, 1);
  l_end(b);
  l_end(b);
}

void scatter_rows(Lower *l, const Node *n, Value dy, Value x)
{
  Build *b = l->b;
  const Type *t = &n->type[0];
  Share s = share_of(l, t);
  int64_t columns = t->dim[1] / s.width;
  lower_kernel(l, n, "dw", "scatter", "a work item owns some columns of the table");
  s.sum = l_local(b, "sum", (int)l->program->real, s.rows * s.width);
  LExpr *item = l_var(b, l_loop(b, "item", l_var(b, l->kernel->lo), l_var(b, l->kernel->hi), 1,
                                FOR_PLAIN));
  LExpr *part = l_div(b, item, l_int(b, columns)), *column = l_mod(b, item, l_int(b, columns));
  s.first_row = s.parts > 1 ? l_let(b, "row0", l_muli(b, part, s.rows)) : l_int(b, 0);
  s.first_column =
      l_let(b, "d0", l_muli(b, s.parts > 1 ? column : item, s.width));
  clear_sums(l, &s);
  add_rows(l, &s, t, dy, x);
  store_sums(l, n, &s, t);
  l_end(b);
  lower_kernel_end(l, l_int(b, s.parts * columns));
}
