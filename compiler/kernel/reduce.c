/* Reductions. Channel sums: a work item owns one channel (or one block of them); with samples in lanes the
 * 16 partial sums run over groups, rows and columns and are added by halving. Batch sums: the same order
 * over groups for every layout. Sums of all elements: canonical order. */
#include "kernel/reduce.h"

LExpr *batch_count(Lower *l, int64_t per_sample)
{
  return l_cast(l->b, l_muli(l->b, l->n, per_sample), l->program->real);
}

void channel_plans(Plans *ps, const Node *n)
{
  Plan p = { .family = ps->family, .algorithm = "channel sums", .cost = 0 };
  for (uint32_t i = 1; i < n->nin; i++)         /* values that are summed together lie alike */
    if (n->in[i].node && type_same_shape(value_type(n->in[i]), value_type(n->in[0])))
      p.in[i] = ps->in_layout[0];
  for (uint32_t r = 0; r < n->nout; r++)
    p.out[r] = layout_row_major(&n->type[r]);
  plans_offer(ps, &p);
}

void batch_plans(Plans *ps, const Node *n)
{
  Plan p = { .family = ps->family, .algorithm = "batch sums", .cost = 0 };
  p.in[0] = family_layout(FAMILY_LANES, value_type(n->in[0]), ps->block, ps->program->batch);
  p.out[0] = layout_row_major(&n->type[0]);
  plans_offer(ps, &p);
}

/* ---- channels ---- */

void channels_begin(Channels *ch, Lower *l, const Node *n, Value x, int nacc, const char *template_name)
{
  Build *b = l->b;
  const Layout *lay = lower_layout(l, x);
  const Digit *last = &lay->digit[lay->n - 1];
  bool lanes = lay->n > 1 && last->extent == l->block && last->div == 1;
  *ch = (Channels){ .l = l, .x = x, .lanes = lanes ? l->block : 1,
                    .lanes_hold_samples = lanes && last->axis == AXIS_BATCH };
  bool blocks = lanes && last->axis == 0;
  if (lanes && !blocks && !ch->lanes_hold_samples)
    ch->lanes = 1;
  int64_t channels = value_type(x)->dim[0], items = blocks ? ceil_div(channels, l->block) : channels;
  lower_kernel(l, n, "", template_name,
               blocks ? "lanes hold channels; one block of channels a work item"
                      : ch->lanes > 1 ? "lanes hold samples; one channel a work item" : "one channel a work item");
  ch->acc = l_registers(b, "sum", (int)l->program->real, ch->lanes, nacc);
  LExpr *c = l_var(b, l_loop(b, blocks ? "cb" : "c", l_var(b, l->kernel->lo), l_var(b, l->kernel->hi), 1, FOR_PLAIN));
  coord_clear(&ch->channel);
  coord_add(&ch->channel, 0, c, blocks ? l->block : 1, items);
  if (blocks)
    coord_add(&ch->channel, 0, NULL, 1, l->block);
}

static void element_loops(Channels *ch, Coord *c, int *loops, LExpr **mask)
{
  Lower *l = ch->l;
  Build *b = l->b;
  const Type *t = value_type(ch->x);
  static const char *const names[RANK_MAX] = { "", "y", "x", "z", "u", "v", "w", "t" };
  *mask = NULL;
  if (t->batched) {
    LExpr *n = ch->lanes_hold_samples ? lower_groups(l, l->n) : l->n;
    LExpr *i = l_var(b, l_loop(b, ch->lanes_hold_samples ? "g" : "i", l_int(b, 0), n, 1, FOR_ROLLED));
    (*loops)++;
    coord_add(c, AXIS_BATCH, i, ch->lanes_hold_samples ? l->block : 1, l->program->batch);
    if (ch->lanes_hold_samples) {
      coord_add(c, AXIS_BATCH, NULL, 1, l->block);
      *mask = l_let(b, "inside", lower_batch_mask(l, c, ch->lanes));
    }
  }
  for (int a = 1; a < t->rank; a++) {
    coord_set(c, a, l_var(b, l_loop(b, names[a], l_int(b, 0), l_int(b, t->dim[a]), 1, FOR_ROLLED)), t->dim[a]);
    (*loops)++;
  }
}

void channels_sum(Channels *ch, int first, int nterm, const Term *term, void *ctx, LExpr **sum)
{
  Lower *l = ch->l;
  Build *b = l->b;
  for (int i = 0; i < nterm; i++)
    l_store(b, ch->acc, l_int(b, first + i), l_splat(b, l_real(b, 0), ch->lanes));
  Coord c = ch->channel;
  LExpr *mask;
  int loops = 0;
  element_loops(ch, &c, &loops, &mask);
  for (int i = 0; i < nterm; i++) {
    LExpr *e = l_splat(b, term[i](ctx, &c, ch->lanes), ch->lanes);
    if (mask)
      e = l_op(b, SC_select, mask, e, l_real(b, 0));
    LExpr *acc = l_load(b, ch->acc, l_int(b, first + i), ch->lanes);
    l_store(b, ch->acc, l_int(b, first + i), l_add(b, acc, e));
  }
  while (loops-- > 0)
    l_end(b);
  for (int i = 0; i < nterm; i++) {
    LExpr *acc = l_load(b, ch->acc, l_int(b, first + i), ch->lanes);
    sum[i] = ch->lanes_hold_samples ? l_let(b, "total", l_reduce(b, SC_add, acc)) : acc;
  }
}

void channels_end(Channels *ch)
{
  Lower *l = ch->l;
  l_end(l->b);
  lower_kernel_end(l, l_int(l->b, ch->channel.part[1][0].extent));
}

typedef struct { Lower *l; Value x; } Summand;

static LExpr *summand(void *ctx, const Coord *c, int lanes)
{
  const Summand *s = ctx;
  return lanes > 1 ? lower_load(s->l, s->x, c, lanes) : lower_load_scalar(s->l, s->x, c);
}

void reduce_channels(Lower *l, const Node *n, Value x)
{
  Channels ch;
  channels_begin(&ch, l, n, x, 1, "channel_sum");
  Summand s = { l, x };
  Term term = summand;
  LExpr *sum;
  channels_sum(&ch, 0, 1, &term, &s, &sum);
  lower_finish(l, n, &ch.channel, &sum, ch.lanes_hold_samples ? 1 : ch.lanes);
  channels_end(&ch);
}

/* ---- rows ---- */

/* The block lanes of a layout whose value of type t is summed along its last axis; 1: they lie
 * along that axis. */
static int row_lanes(const Layout *lay, const Type *t, int block)
{
  const Digit *last = &lay->digit[lay->n - 1];
  bool lanes = lay->n > 1 && last->extent == block && last->div == 1;
  return lanes && last->axis != t->rank - 1 ? block : 1;
}

void row_sum_plans(Plans *ps, const Node *n)
{
  const Type *t = value_type(n->in[0]);
  Plan p = { .family = ps->family, .algorithm = "row sums", .cost = 0 };
  for (uint32_t i = 1; i < n->nin; i++)
    if (type_same_shape(value_type(n->in[i]), t))
      p.in[i] = ps->in_layout[0];
  for (int d = 0; d < ps->in_layout[0].n; d++)
    if (ps->in_layout[0].digit[d].axis != t->rank - 1)
      p.out[0].digit[p.out[0].n++] = ps->in_layout[0].digit[d];
  for (uint32_t r = 1; r < n->nout; r++)
    p.out[r] = p.out[0];
  plans_offer(ps, &p);
}

enum { ROW_PARTS = 4 };         /* sums of a row that do not wait for each other */

static void add_column(Lower *l, Buffer *acc, Coord *c, const Type *t, LExpr *x, int part, int nsum,
                       const Fold *fold, void *ctx)
{
  coord_set(c, t->rank - 1, x, t->dim[t->rank - 1]);
  for (int i = 0; i < nsum; i++) {
    LExpr *at = l_int(l->b, i * ROW_PARTS + part);
    LExpr *old = l_load(l->b, acc, at, acc->lanes);
    l_store(l->b, acc, at, fold[i](ctx, c, old));
  }
}

void row_sums(Lower *l, const Coord *c, const Type *t, int nsum, const Fold *fold, void *ctx,
              LExpr **sum)
{
  Build *b = l->b;
  int lanes = coord_lane_axis(c) == RANK_MAX ? 1 : l->block;
  int64_t width = t->dim[t->rank - 1], whole = width - width % ROW_PARTS;
  Buffer *acc = l_registers(b, "sum", (int)l->program->real, lanes, nsum * ROW_PARTS);
  Coord at = *c;
  for (int i = 0; i < nsum * ROW_PARTS; i++)
    l_store(b, acc, l_int(b, i), l_splat(b, l_real(b, 0), lanes));
  if (whole > 0) {
    LExpr *x = l_var(b, l_loop(b, "x", l_int(b, 0), l_int(b, whole), ROW_PARTS, FOR_ROLLED));
    for (int k = 0; k < ROW_PARTS; k++)
      add_column(l, acc, &at, t, l_addi(b, x, k), k, nsum, fold, ctx);
    l_end(b);
  }
  for (int64_t x = whole; x < width; x++)
    add_column(l, acc, &at, t, l_int(b, x), (int)(x - whole), nsum, fold, ctx);
  for (int i = 0; i < nsum; i++) {
    LExpr *part[ROW_PARTS];
    for (int k = 0; k < ROW_PARTS; k++)
      part[k] = l_load(b, acc, l_int(b, i * ROW_PARTS + k), lanes);
    sum[i] = l_let(b, "row", l_add(b, l_add(b, part[0], part[1]), l_add(b, part[2], part[3])));
  }
}

static LExpr *fold_sum(void *ctx, const Coord *c, LExpr *sum)
{
  return l_add(((Summand *)ctx)->l->b, sum, summand(ctx, c, sum->lanes));
}

void reduce_row(Lower *l, const Node *n, const Coord *c)
{
  Summand s = { l, n->in[0] };
  Fold fold = fold_sum;
  LExpr *sum;
  row_sums(l, c, value_type(s.x), 1, &fold, &s, &sum);
  lower_finish(l, n, c, &sum, sum->lanes);
}

void reduce_rows(Lower *l, const Node *n)
{
  const Layout *in = lower_layout(l, n->in[0]);
  bool scalar = row_lanes(in, value_type(n->in[0]), l->block) == 1;
  lower_kernel(l, n, "", "row_sums", scalar ? "row by row" : "lanes hold one block of rows");
  Points p;
  const Layout *out = lower_layout(l, (Value){ (Node *)(uintptr_t)n, 0 });
  points_begin(l, &p, &n->type[0], out, scalar);
  LExpr *inside = points_inside(l, &p, &n->type[0], out);
  if (inside)
    l_if(l->b, inside);
  n->op->row(l, n, &p.c);
  if (inside) {
    l_else(l->b);
    lower_finish_zero(l, n, &p.c);
    l_end(l->b);
  }
  points_end(l, &p);
  lower_kernel_end(l, p.items);
}

/* ---- samples ---- */

void reduce_batch(Lower *l, const Node *n, Value x, bool mean)
{
  Build *b = l->b;
  Layout lay = layout_row_major(&n->type[0]);
  lower_kernel(l, n, "", "batch_sum", "lanes hold samples; groups ascending, then lanes by halving");
  Buffer *acc = l_registers(b, "sum", (int)l->program->real, l->block, 1);
  Points p;
  points_begin(l, &p, &n->type[0], &lay, true);
  l_store(b, acc, l_int(b, 0), l_splat(b, l_real(b, 0), l->block));
  Coord c = p.c;
  LExpr *g = l_var(b, l_loop(b, "g", l_int(b, 0), lower_groups(l, l->n), 1, FOR_ROLLED));
  coord_add(&c, AXIS_BATCH, g, l->block, ceil_div(l->program->batch, l->block));
  coord_add(&c, AXIS_BATCH, NULL, 1, l->block);
  LExpr *e = l_op(b, SC_select, lower_batch_mask(l, &c, l->block), lower_load(l, x, &c, l->block), l_real(b, 0));
  l_store(b, acc, l_int(b, 0), l_add(b, l_load(b, acc, l_int(b, 0), l->block), e));
  l_end(b);
  LExpr *sum = l_reduce(b, SC_add, l_load(b, acc, l_int(b, 0), l->block));
  if (mean)
    sum = l_div(b, sum, batch_count(l, 1));
  lower_finish(l, n, &p.c, &sum, 1);
  points_end(l, &p);
  lower_kernel_end(l, p.items);
}

/* ---- elements ---- */

void reduce_elements(Lower *l, const Node *n, Value x, bool squares)
{
  Build *b = l->b;
  const Type *t = value_type(x);
  const Layout *lay = lower_layout(l, (Value){ (Node *)(uintptr_t)n, 0 });
  lower_kernel(l, n, "", "element_sum", "elements in canonical order");
  Points p;
  bool lanes = t->batched && lay->n > 1;
  points_begin(l, &p, &n->type[0], lay, !lanes);
  Buffer *acc = l_registers(b, "sum", (int)l->program->real, p.lanes, 1);
  l_store(b, acc, l_int(b, 0), l_splat(b, l_real(b, 0), p.lanes));
  Coord c = p.c;
  for (int a = 0; a < t->rank; a++)
    coord_set(&c, a, l_var(b, l_loop(b, "j", l_int(b, 0), l_int(b, t->dim[a]), 1, FOR_ROLLED)), t->dim[a]);
  LExpr *e = p.lanes > 1 ? lower_load(l, x, &c, p.lanes) : lower_load_scalar(l, x, &c);
  LExpr *old = l_load(b, acc, l_int(b, 0), p.lanes);
  if (squares)
    e = l_let(b, "e", e);
  l_store(b, acc, l_int(b, 0), squares ? l_fma(b, e, e, old) : l_add(b, old, e));
  for (int a = 0; a < t->rank; a++)
    l_end(b);
  LExpr *sum = l_load(b, acc, l_int(b, 0), p.lanes);
  lower_finish(l, n, &p.c, &sum, p.lanes);
  points_end(l, &p);
  lower_kernel_end(l, n->type[0].batched ? p.items : l_int(b, 1));
}
