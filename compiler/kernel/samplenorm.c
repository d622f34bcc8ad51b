/* Normalisation of each sample by itself. A work item is a sample, or a group of samples in lanes,
 * and there one group of channels; it passes over its numbers again and again, while they are in
 * the nearest cache: for the mean, for the variance around it, and to write the result.
 *
 * Sums run channel by channel, over the image in four parts by the column's number mod 4 where four
 * divides its columns; then over the channels of the group, ascending, and over the lanes by
 * halving. Where groups of channels cut through lanes of channels, the sums of channels lie in
 * scratch before they are added, and what is made of them for each group is spread there again. */
#include "kernel/samplenorm.h"

enum { MEAN, ISTD, E_MEAN, DOT_MEAN, STATS };
enum { SUMS = 2, PARTS = 4 };

typedef enum { LANES_SAMPLES, LANES_CHANNELS, LANES_ROW, LANES_NONE } Lanes;

typedef struct {
  Lower *l;
  const Node *n;
  Value x, dy, w;
  const Type *t;                /* of x */
  Lanes hold;
  int lanes;                    /* of vectors of x; of one sum of a channel: sum_lanes */
  int sum_lanes;
  int64_t groups, width;        /* width: channels of a group */
  double eps;
  bool each;                    /* every number has its own weight */
  Coord sample;
  LExpr *group;
  LExpr *stat[STATS];           /* of the group, unless they are spread */
  Buffer *spread[STATS];        /* by channel; not NULL: groups cut through lanes */
  Buffer *part[SUMS];           /* sums of channels, with spread */
} Norm;

/* Sums at one place: sum[i] := sum[i] and what the place c adds. */
typedef void (*Terms)(const Norm *m, const Coord *c, LExpr **sum);
/* Statistic `which` of a group from its total. */
typedef LExpr *(*Finish)(const Norm *m, int which, LExpr *total);
/* What counts of the sums of the channel, or block of channels, at c. */
typedef void (*Counted)(const Norm *m, const Coord *c, LExpr **sum);

static Norm norm_of(Lower *l, const Node *n, Value x, int64_t groups)
{
  const Layout *lay = lower_layout(l, x);
  const Type *t = value_type(x);
  Norm m = { .l = l, .n = n, .x = x, .t = t, .groups = groups, .width = t->dim[0] / groups };
  if (l->d->family == FAMILY_LANES)
    m.hold = LANES_SAMPLES;
  else if (lay->digit[1].div == l->block)
    m.hold = LANES_CHANNELS;
  else
    m.hold = t->rank > 1 && t->dim[t->rank - 1] % l->block == 0 ? LANES_ROW : LANES_NONE;
  m.lanes = m.hold == LANES_NONE ? 1 : l->block;
  m.sum_lanes = m.hold == LANES_ROW ? 1 : m.lanes;
  return m;
}

/* ---- places ---- */
static bool is_spread(const Norm *m) { return m->hold == LANES_CHANNELS && m->groups > 1; }

static LExpr *real(const Norm *m, double v, int lanes)
{
  return l_splat(m->l->b, l_real(m->l->b, v), lanes);
}

static LExpr *load(const Norm *m, Value v, const Coord *c, int lanes)
{
  Coord at = broadcast_coord(c, value_type(v), m->t);
  LExpr *e = lanes > 1 ? lower_load(m->l, v, &at, lanes) : lower_load_scalar(m->l, v, &at);
  return l_splat(m->l->b, e, lanes);
}

/* The place of a statistic of group `group`. */
static Coord group_place(const Norm *m, LExpr *group)
{
  Coord c = m->sample;
  coord_set(&c, 0, group, m->groups);
  return c;
}

/* Opens the loop over the channels of the group, or over the sample's blocks of channels. */
static Coord channels_open(const Norm *m, ForKind how)
{
  Build *b = m->l->b;
  Coord c = m->sample;
  int64_t channels = m->t->dim[0], blocks = ceil_div(channels, m->l->block);
  if (m->hold == LANES_CHANNELS) {
    LExpr *cb = l_var(b, l_loop(b, "cb", l_int(b, 0), l_int(b, blocks), 1, how));
    coord_add(&c, 0, cb, m->l->block, blocks);
    coord_add(&c, 0, NULL, 1, m->l->block);
  } else {
    LExpr *k = l_var(b, l_loop(b, "k", l_int(b, 0), l_int(b, m->width), 1, how));
    coord_set(&c, 0, l_add(b, l_muli(b, m->group, m->width), k), channels);
  }
  return c;
}

static int64_t columns(const Norm *m)
{
  int64_t last = m->t->rank > 1 ? m->t->dim[m->t->rank - 1] : 1;
  return m->hold == LANES_ROW ? last / m->l->block : last;
}

static void set_column(const Norm *m, Coord *c, LExpr *x)
{
  int axis = m->t->rank - 1;
  if (axis == 0)
    return;
  coord_drop(c, axis);
  if (m->hold != LANES_ROW) {
    coord_set(c, axis, x, m->t->dim[axis]);
    return;
  }
  coord_add(c, axis, x, m->l->block, columns(m));
  coord_add(c, axis, NULL, 1, m->l->block);
}

/* Opens loops over the rows of an image; returns how many. */
static int rows_open(const Norm *m, Coord *c, ForKind how)
{
  Build *b = m->l->b;
  int depth = 0;
  for (int a = 1; a < m->t->rank - 1; a++, depth++)
    coord_set(c, a, l_var(b, l_loop(b, "y", l_int(b, 0), l_int(b, m->t->dim[a]), 1, how)),
              m->t->dim[a]);
  return depth;
}

static void close_loops(const Norm *m, int depth)
{
  while (depth-- > 0)
    l_end(m->l->b);
}

/* v, or 0 in lanes behind the last channel. */
static LExpr *inside(const Norm *m, const Coord *c, LExpr *v)
{
  Build *b = m->l->b;
  if (m->hold != LANES_CHANNELS || m->t->dim[0] % m->l->block == 0)
    return v;
  LExpr *left = l_sub(b, l_int(b, m->t->dim[0]), coord_index(b, c, 0));
  LExpr *mask = l_op(b, SC_lt, l_iota(b, m->lanes), l_cast(b, left, m->l->program->real), NULL);
  return l_op(b, SC_select, mask, v, l_real(b, 0));
}

static LExpr *stat(const Norm *m, int which, const Coord *c)
{
  Build *b = m->l->b;
  if (m->spread[which])
    return l_load(b, m->spread[which], coord_index(b, c, 0), m->lanes);
  return l_splat(b, m->stat[which], m->lanes);
}

/* ---- sums ---- */
static void add_terms(const Norm *m, const Coord *c, Buffer *acc, int nsum, int stride, int part,
                      Terms terms)
{
  Build *b = m->l->b;
  LExpr *sum[SUMS];
  for (int i = 0; i < nsum; i++)
    sum[i] = l_load(b, acc, l_int(b, i * stride + part), m->lanes);
  terms(m, c, sum);
  for (int i = 0; i < nsum; i++)
    l_store(b, acc, l_int(b, i * stride + part), sum[i]);
}

/* sum[i] := over the image of the channel, or block of channels, at `at`. */
static void image_sums(const Norm *m, const Coord *at, int nsum, Terms terms, LExpr **sum)
{
  Build *b = m->l->b;
  int parts = columns(m) % PARTS ? 1 : PARTS;
  Buffer *acc = l_registers(b, "sum", (int)m->l->program->real, m->lanes, nsum * parts);
  Coord c = *at;
  for (int i = 0; i < nsum * parts; i++)
    l_store(b, acc, l_int(b, i), real(m, 0, m->lanes));
  int depth = rows_open(m, &c, FOR_ROLLED);
  LExpr *x = l_var(b, l_loop(b, "x", l_int(b, 0), l_int(b, columns(m)), parts, FOR_ROLLED));
  for (int k = 0; k < parts; k++) {
    set_column(m, &c, l_addi(b, x, k));
    add_terms(m, &c, acc, nsum, parts, k, terms);
  }
  close_loops(m, depth + 1);
  for (int i = 0; i < nsum; i++) {
    LExpr *part[PARTS];
    for (int k = 0; k < parts; k++)
      part[k] = l_load(b, acc, l_int(b, i * parts + k), m->lanes);
    LExpr *all = part[0];
    if (parts == PARTS)
      all = l_add(b, l_add(b, part[0], part[1]), l_add(b, part[2], part[3]));
    sum[i] = l_let(b, "image", m->hold == LANES_ROW ? l_reduce(b, SC_add, all) : all);
  }
}

static Buffer *scratch(Lower *l, const char *name, int64_t channels)
{
  Buffer *buf = l_buffer(l->b, name, BUF_WORKER, l->program->real, align_up(channels, l->block));
  buf->layer = l->anchor->name;
  return lower_formal(l, buf, true);
}

/* Makes `v` the statistic `which` of the open group's channels. */
static void set_stat(Norm *m, int which, LExpr *v, LExpr *group)
{
  Build *b = m->l->b;
  if (!is_spread(m)) {
    m->stat[which] = l_let(b, "stat", v);
    return;
  }
  LExpr *e = l_let(b, "stat", v);
  LExpr *k = l_var(b, l_loop(b, "k", l_int(b, 0), l_int(b, m->width), 1, FOR_PLAIN));
  l_store(b, m->spread[which], l_add(b, l_muli(b, group, m->width), k), e);
  l_end(b);
}

/* Stores the mean or 1/deviation, if somebody reads it. */
static void keep_stat(const Norm *m, int which, LExpr *v, LExpr *group)
{
  Value result = { (Node *)(uintptr_t)m->n, which == MEAN ? 1 : 2 };
  Coord c = group_place(m, group);
  if (lower_is_stored(m->l, result))
    lower_store(m->l, result, &c, v);
}

/* The statistics first, first + 1, .. of the open group from totals in acc. */
static void finish_group(Norm *m, Buffer *acc, int first, int nsum, Finish finish, LExpr *group)
{
  Build *b = m->l->b;
  for (int i = 0; i < nsum; i++) {
    LExpr *total = l_load(b, acc, l_int(b, i), acc->lanes);
    if (m->hold == LANES_CHANNELS && !is_spread(m))
      total = l_reduce(b, SC_add, total);
    LExpr *v = l_let(b, "v", finish(m, first + i, total));
    if (first + i <= ISTD)
      keep_stat(m, first + i, v, group);
    set_stat(m, first + i, v, group);
  }
}

/* Groups that cut through lanes, from the sums of channels in scratch. */
static void finish_spread(Norm *m, int first, int nsum, Finish finish)
{
  Build *b = m->l->b;
  Buffer *acc = l_registers(b, "total", (int)m->l->program->real, 1, nsum);
  LExpr *group = l_var(b, l_loop(b, "group", l_int(b, 0), l_int(b, m->groups), 1, FOR_PLAIN));
  for (int i = 0; i < nsum; i++)
    l_store(b, acc, l_int(b, i), l_real(b, 0));
  LExpr *k = l_var(b, l_loop(b, "k", l_int(b, 0), l_int(b, m->width), 1, FOR_ROLLED));
  LExpr *at = l_add(b, l_muli(b, group, m->width), k);
  for (int i = 0; i < nsum; i++)
    l_store(b, acc, l_int(b, i),
            l_add(b, l_load(b, acc, l_int(b, i), 1), l_load(b, m->part[i], at, 1)));
  l_end(b);
  finish_group(m, acc, first, nsum, finish, group);
  l_end(b);
}

/* Statistics first, first + 1, .. of the item's group, or of all groups of its sample. */
static void make_stats(Norm *m, int first, int nsum, Terms terms, Counted counted, Finish finish)
{
  Build *b = m->l->b;
  Buffer *acc = NULL;
  LExpr *sum[SUMS];
  if (!is_spread(m)) {
    acc = l_registers(b, "total", (int)m->l->program->real, m->sum_lanes, nsum);
    for (int i = 0; i < nsum; i++)
      l_store(b, acc, l_int(b, i), real(m, 0, m->sum_lanes));
  }
  Coord c = channels_open(m, FOR_ROLLED);
  image_sums(m, &c, nsum, terms, sum);
  if (counted)
    counted(m, &c, sum);
  for (int i = 0; i < nsum; i++) {
    if (acc)
      l_store(b, acc, l_int(b, i),
              l_add(b, l_load(b, acc, l_int(b, i), m->sum_lanes), sum[i]));
    else
      l_store(b, m->part[i], coord_index(b, &c, 0), sum[i]);
  }
  l_end(b);
  if (acc)
    finish_group(m, acc, first, nsum, finish, m->group);
  else
    finish_spread(m, first, nsum, finish);
}

static LExpr *mean_of(const Norm *m, LExpr *total)
{
  double count = (double)(type_elems(m->t) / m->groups);
  return l_mul(m->l->b, total, real(m, 1 / count, total->lanes));
}

/* ---- items ---- */
/* Opens the kernel and its loop over samples and, unless lanes hold channels, over groups. */
static void items_open(Norm *m, const char *name)
{
  Lower *l = m->l;
  Build *b = l->b;
  static const char *const about[] = {
    [LANES_SAMPLES] = "lanes hold samples; some samples and one group of channels a work item",
    [LANES_CHANNELS] = "lanes hold one block of channels; one sample a work item",
    [LANES_ROW] = "lanes hold part of a row; one group of channels a work item",
    [LANES_NONE] = "number by number; one group of channels a work item"
  };
  lower_kernel(l, m->n, "", name, about[m->hold]);
  LExpr *item = l_var(b, l_loop(b, "item", l_var(b, l->kernel->lo), l_var(b, l->kernel->hi), 1,
                                FOR_PLAIN));
  LExpr *i = item;
  m->group = l_int(b, 0);
  if (m->hold != LANES_CHANNELS && m->groups > 1) {
    i = l_let(b, "i", l_div(b, item, l_int(b, m->groups)));
    m->group = l_let(b, "group", l_mod(b, item, l_int(b, m->groups)));
  }
  coord_clear(&m->sample);
  if (m->hold == LANES_SAMPLES) {
    coord_add(&m->sample, AXIS_BATCH, i, l->block, ceil_div(l->program->batch, l->block));
    coord_add(&m->sample, AXIS_BATCH, NULL, 1, l->block);
  } else
    coord_set(&m->sample, AXIS_BATCH, i, l->program->batch);
}

static void items_close(Norm *m)
{
  Lower *l = m->l;
  LExpr *n = lower_host_n(l);
  bool samples = m->hold == LANES_SAMPLES;
  l_end(l->b);
  lower_by_samples(l, samples ? l->block : 1);
  LExpr *items = samples ? lower_groups(l, n) : n;
  lower_kernel_end(l, l_muli(l->b, items, m->hold == LANES_CHANNELS ? 1 : m->groups));
}

static void make_scratch(Norm *m, int stats, int sums)
{
  static const char *const names[] = { "mean", "istd", "e_mean", "dot_mean" };
  static const char *const parts[] = { "part0", "part1" };
  for (int i = 0; i < stats && is_spread(m); i++)
    m->spread[i] = scratch(m->l, names[i], m->t->dim[0]);
  for (int i = 0; i < sums && is_spread(m); i++)
    m->part[i] = scratch(m->l, parts[i], m->t->dim[0]);
}

/* Writes result 0 of every number of the item. */
static void write_all(const Norm *m, LExpr *(*value)(const Norm *m, const Coord *c))
{
  Build *b = m->l->b;
  Coord c = channels_open(m, FOR_PLAIN);
  int depth = rows_open(m, &c, FOR_PLAIN);
  LExpr *x = l_var(b, l_loop(b, "x", l_int(b, 0), l_int(b, columns(m)), 1, FOR_PLAIN));
  set_column(m, &c, x);
  LExpr *result[3] = { inside(m, &c, value(m, &c)) };
  lower_finish(m->l, m->n, &c, result, m->lanes);
  close_loops(m, depth + 2);
}

/* ---- forward ---- */
static void sum_x(const Norm *m, const Coord *c, LExpr **sum)
{
  sum[0] = l_add(m->l->b, sum[0], load(m, m->x, c, m->lanes));
}

static void sum_squares(const Norm *m, const Coord *c, LExpr **sum)
{
  Build *b = m->l->b;
  LExpr *d = l_sub(b, load(m, m->x, c, m->lanes), stat(m, MEAN, c));
  d = l_let(b, "d", inside(m, c, d));
  sum[0] = l_fma(b, d, d, sum[0]);
}

static LExpr *mean_or_istd(const Norm *m, int which, LExpr *total)
{
  Build *b = m->l->b;
  if (which == MEAN)
    return mean_of(m, total);
  LExpr *var = l_add(b, mean_of(m, total), real(m, m->eps, total->lanes));
  return l_div(b, real(m, 1, total->lanes), l_op(b, SC_sqrt, var, NULL, NULL));
}

static LExpr *normal(const Norm *m, const Coord *c)
{
  Build *b = m->l->b;
  LExpr *d = l_sub(b, load(m, m->x, c, m->lanes), stat(m, MEAN, c));
  return l_mul(b, d, stat(m, ISTD, c));
}

static LExpr *scaled(const Norm *m, const Coord *c)
{
  return l_fma(m->l->b, normal(m, c), load(m, m->w, c, m->lanes),
               load(m, m->n->in[2], c, m->lanes));
}

void samplenorm(Lower *l, const Node *n, int64_t groups, double eps)
{
  Norm m = norm_of(l, n, n->in[0], groups);
  m.w = n->in[1];
  m.eps = eps;
  items_open(&m, "sample_norm");
  make_scratch(&m, 2, 1);
  make_stats(&m, MEAN, 1, sum_x, NULL, mean_or_istd);
  make_stats(&m, ISTD, 1, sum_squares, NULL, mean_or_istd);
  write_all(&m, scaled);
  items_close(&m);
}

/* ---- backward ---- */
static LExpr *error(const Norm *m, const Coord *c)
{
  LExpr *dy = load(m, m->dy, c, m->lanes);
  return m->each ? l_mul(m->l->b, dy, load(m, m->w, c, m->lanes)) : dy;
}

static void sum_errors(const Norm *m, const Coord *c, LExpr **sum)
{
  Build *b = m->l->b;
  LExpr *e = l_let(b, "e", error(m, c));
  sum[0] = l_add(b, sum[0], e);
  sum[1] = l_fma(b, e, inside(m, c, normal(m, c)), sum[1]);
}

/* Keeps the sums of the channel at c, then counts them times its weight. */
static void weigh(const Norm *m, const Coord *c, LExpr **sum)
{
  for (uint32_t i = 0; i < 2; i++) {
    Value result = { (Node *)(uintptr_t)m->n, 1 + i };
    if (lower_is_stored(m->l, result))
      lower_store(m->l, result, c, sum[i]);
    if (!m->each)
      sum[i] = l_mul(m->l->b, sum[i], load(m, m->w, c, m->sum_lanes));
  }
}

static LExpr *mean_of_errors(const Norm *m, int which, LExpr *total)
{
  (void)which;
  return mean_of(m, total);
}

static LExpr *dx_of(const Norm *m, const Coord *c)
{
  Build *b = m->l->b;
  LExpr *e = m->each ? error(m, c)
                     : l_mul(b, load(m, m->dy, c, m->lanes), load(m, m->w, c, m->lanes));
  LExpr *rest = l_sub(b, e, stat(m, E_MEAN, c));
  rest = l_sub(b, rest, l_mul(b, normal(m, c), stat(m, DOT_MEAN, c)));
  return l_mul(b, rest, stat(m, ISTD, c));
}

/* Makes the mean and 1/deviation of the forward pass those of the item. */
static void read_stats(Norm *m, Value mean, Value istd)
{
  Build *b = m->l->b;
  Value in[] = { mean, istd };
  LExpr *group = m->group;
  if (is_spread(m))
    group = l_var(b, l_loop(b, "group", l_int(b, 0), l_int(b, m->groups), 1, FOR_PLAIN));
  Coord c = group_place(m, group);
  for (int i = MEAN; i <= ISTD; i++) {
    LExpr *v = m->hold == LANES_SAMPLES ? lower_load(m->l, in[i], &c, m->lanes)
                                        : lower_load_scalar(m->l, in[i], &c);
    set_stat(m, i, v, group);
  }
  if (is_spread(m))
    l_end(b);
}

void samplenorm_dx(Lower *l, const Node *n, int64_t groups)
{
  Norm m = norm_of(l, n, n->in[1], groups);
  m.dy = n->in[0];
  m.w = n->in[4];
  m.each = samplenorm_has_each(value_type(m.w), m.t, groups);
  items_open(&m, "sample_norm_dx");
  make_scratch(&m, STATS, 2);
  read_stats(&m, n->in[2], n->in[3]);
  make_stats(&m, E_MEAN, 2, sum_errors, weigh, mean_of_errors);
  write_all(&m, dx_of);
  items_close(&m);
}

/* ---- gradients of weights that every number has its own of ---- */
/* Opens the loop over rows of numbers, or of blocks of them; over these themselves in a vector. */
static Coord numbers_open(const Norm *m, LExpr **items)
{
  Build *b = m->l->b;
  const Type *t = m->t;
  int block = m->l->block;
  bool blocks = m->hold == LANES_CHANNELS;
  int64_t extent = blocks ? ceil_div(t->dim[0], block) : t->dim[0], left = 1;
  for (int a = 1; a < t->rank - 1; a++)
    left *= t->dim[a];
  *items = l_int(b, extent * left);
  LExpr *item = l_var(b, l_loop(b, "item", l_var(b, m->l->kernel->lo),
                                l_var(b, m->l->kernel->hi), 1, FOR_PLAIN));
  Coord c;
  coord_clear(&c);
  LExpr *channel = left > 1 ? l_let(b, "c", l_div(b, item, l_int(b, left))) : item;
  coord_add(&c, 0, channel, blocks ? block : 1, extent);
  if (blocks)
    coord_add(&c, 0, NULL, 1, block);
  for (int a = 1; a < t->rank - 1; a++) {
    LExpr *e = left > 1 ? l_mod(b, item, l_int(b, left)) : l_int(b, 0);
    left /= t->dim[a];
    coord_set(&c, a, l_let(b, "y", left > 1 ? l_div(b, e, l_int(b, left)) : e), t->dim[a]);
  }
  return c;
}

/* Adds one sample, or those of one vector, to the sums of the columns x, x + 1, .. */
static void add_sample(Norm *m, Coord c, LExpr *x, int parts, Buffer *acc)
{
  Build *b = m->l->b;
  read_stats(m, m->n->in[2], m->n->in[3]);
  for (int a = 0; a < m->sample.n[0]; a++)
    coord_add(&c, AXIS_BATCH, m->sample.part[0][a].e, m->sample.part[0][a].div,
              m->sample.part[0][a].extent);
  LExpr *mask = lower_batch_mask(m->l, &m->sample, m->lanes);
  if (mask)
    mask = l_let(b, "inside", mask);
  for (int k = 0; k < parts; k++) {
    set_column(m, &c, l_addi(b, x, k));
    LExpr *dy = load(m, m->dy, &c, m->lanes);
    dy = l_let(b, "dy", mask ? l_op(b, SC_select, mask, dy, l_real(b, 0)) : dy);
    LExpr *dot = l_load(b, acc, l_int(b, 2 * k), m->lanes);
    LExpr *sum = l_load(b, acc, l_int(b, 2 * k + 1), m->lanes);
    LExpr *xhat = normal(m, &c);
    xhat = mask ? l_op(b, SC_select, mask, xhat, l_real(b, 0)) : xhat;
    l_store(b, acc, l_int(b, 2 * k), l_fma(b, dy, inside(m, &c, xhat), dot));
    l_store(b, acc, l_int(b, 2 * k + 1), l_add(b, sum, dy));
  }
}

static void samples_open(Norm *m)
{
  Lower *l = m->l;
  Build *b = l->b;
  bool lanes = m->hold == LANES_SAMPLES;
  coord_clear(&m->sample);
  LExpr *n = lanes ? lower_groups(l, l->n) : l->n;
  LExpr *i = l_var(b, l_loop(b, lanes ? "g" : "i", l_int(b, 0), n, 1, FOR_ROLLED));
  if (lanes) {
    coord_add(&m->sample, AXIS_BATCH, i, l->block, ceil_div(l->program->batch, l->block));
    coord_add(&m->sample, AXIS_BATCH, NULL, 1, l->block);
  } else
    coord_set(&m->sample, AXIS_BATCH, i, l->program->batch);
}

void samplenorm_dw(Lower *l, const Node *n)
{
  Build *b = l->b;
  Norm m = norm_of(l, n, n->in[1], 1);
  m.dy = n->in[0];
  m.group = l_int(b, 0);
  int parts = columns(&m) % PARTS ? 1 : PARTS;
  lower_kernel(l, n, "", "sample_norm_dw", "a row of weights a work item; samples ascending");
  Buffer *acc = l_registers(b, "sum", (int)l->program->real, m.lanes, 2 * parts);
  LExpr *items;
  Coord c = numbers_open(&m, &items);
  LExpr *x = l_var(b, l_loop(b, "x", l_int(b, 0), l_int(b, columns(&m)), parts, FOR_PLAIN));
  for (int i = 0; i < 2 * parts; i++)
    l_store(b, acc, l_int(b, i), real(&m, 0, m.lanes));
  samples_open(&m);
  add_sample(&m, c, x, parts, acc);
  l_end(b);
  for (int k = 0; k < parts; k++) {
    LExpr *result[2];
    for (int i = 0; i < 2; i++) {
      result[i] = l_load(b, acc, l_int(b, 2 * k + i), m.lanes);
      if (m.hold == LANES_SAMPLES)
        result[i] = l_reduce(b, SC_add, result[i]);
    }
    set_column(&m, &c, l_addi(b, x, k));
    lower_finish(l, n, &c, result, m.hold == LANES_SAMPLES ? 1 : m.lanes);
  }
  close_loops(&m, 2);
  lower_kernel_end(l, items);
}
