/* The matrix product template: rank-one updates of a register tile along the reduced axis.
 *
 *   acc[u, v] := fma(scalar[r, u], vector[r, v], acc[u, v])    for r in order
 *
 * Which side is the vector: batch in lanes: samples (forward, input gradient) or input features (weight
 * gradient); channel blocks: output features. The input gradient with channel blocks is a dot product over
 * the lanes instead. Every result is one chain in the order of r, whatever the tile. */
#include "kernel/matmul.h"
#include "kernel/tile.h"

typedef struct {
  Lower *l;
  const Node *n;
  Value vec, scal, bias;
  Buffer *acc;
  int nv, ns;                   /* the tile */
  Tile now;                     /* or the shorter last one, while it is emitted */
  void (*vec_coord)(void *, Coord *, int);
  void (*scal_coord)(void *, Coord *, int);
  LExpr *v0, *s0;               /* first vector unit and first scalar unit of the tile */
  LExpr *r_block, *r_in;        /* reduced index; r_block NULL: r_in is the whole of it */
  int64_t r_extent;
  int64_t v_extent, s_extent;   /* units in all */
  int64_t steps;                /* of a sequence [T, features], whose steps are samples; 0: [features] */
  LExpr *group;                 /* sequences: of samples */
} Matmul;

static void lanes_of_batch(Lower *l, Coord *c, LExpr *group)
{
  coord_add(c, AXIS_BATCH, group, l->block, ceil_div(l->program->batch, l->block));
  coord_add(c, AXIS_BATCH, NULL, 1, l->block);
}

/* The axis of features of x and y. */
static int feature_axis(const Matmul *m) { return m->steps ? 1 : 0; }

/* Samples of vector i of the tile; in a sequence neighbouring vectors are steps. */
static void vector_samples(const Matmul *m, Coord *c, int i)
{
  LExpr *at = l_addi(m->l->b, m->v0, i);
  lanes_of_batch(m->l, c, m->steps ? m->group : at);
  if (m->steps)
    coord_set(c, 0, at, m->steps);
}

static void reduced(const Matmul *m, Coord *c, int axis)
{
  coord_drop(c, axis);
  if (m->r_block) {
    coord_add(c, axis, m->r_block, m->l->block, ceil_div(m->r_extent, m->l->block));
    coord_add(c, axis, m->r_in, 1, m->l->block);
  } else
    coord_set(c, axis, m->r_in, m->r_extent);
}

static LExpr *load_vec(void *ctx, int i)
{
  Matmul *m = ctx;
  Coord c;
  coord_clear(&c);
  m->vec_coord(m, &c, i);
  return lower_load(m->l, m->vec, &c, m->l->block);
}

static LExpr *load_scal(void *ctx, int i)
{
  Matmul *m = ctx;
  Coord c;
  coord_clear(&c);
  m->scal_coord(m, &c, i);
  return lower_load_scalar(m->l, m->scal, &c);
}

static void start(Matmul *m, int nv, int ns, bool bias_on_vector)
{
  Lower *l = m->l;
  for (int v = 0; v < nv; v++)
    for (int s = 0; s < ns; s++) {
      LExpr *init = l_real(l->b, 0);
      if (m->bias.node) {
        Coord c;
        coord_clear(&c);
        if (bias_on_vector) {
          coord_add(&c, 0, l_addi(l->b, m->v0, v), l->block, m->v_extent);
          coord_add(&c, 0, NULL, 1, l->block);
        } else
          coord_set(&c, 0, l_addi(l->b, m->s0, s), m->s_extent);
        init = lower_load(l, m->bias, &c, l->block);
      }
      reg_set(l, m->acc, v * ns + s, init);
    }
}

static void multiply_at(void *ctx, LExpr *block, LExpr *in)
{
  Matmul *m = ctx;
  m->r_block = block;
  m->r_in = in;
  tile_multiply(m->l, m->acc, m->now, load_vec, load_scal, NULL, m);
}

/* All of the reduced axis in blocks of 16, the last one short. */
static void reduce_blocked(Matmul *m, int nv, int ns)
{
  m->now = (Tile){ nv, ns };
  tile_reduce(m->l, m->r_extent, multiply_at, m);
}

/* Runs body for every sample of the batch, group by group. */
static void reduce_samples(Matmul *m, int nv, int ns)
{
  Lower *l = m->l;
  Build *b = l->b;
  m->r_block = l_var(b, l_loop(b, "g", l_int(b, 0), lower_groups(l, l->n), 1, FOR_ROLLED));
  LExpr *left = l_sub(b, l->n, l_muli(b, m->r_block, l->block));
  m->r_in = l_var(b, l_loop(b, "s", l_int(b, 0), l_min(b, l_int(b, l->block), left), 1, FOR_ROLLED));
  tile_multiply(l, m->acc, (Tile){ nv, ns }, load_vec, load_scal, NULL, m);
  l_end(b);
  l_end(b);
}

static void reduce_plain(Matmul *m, const char *name, LExpr *count, int nv, int ns)
{
  Build *b = m->l->b;
  m->r_block = NULL;
  m->r_in = l_var(b, l_loop(b, name, l_int(b, 0), count, 1, FOR_ROLLED));
  tile_multiply(m->l, m->acc, (Tile){ nv, ns }, load_vec, load_scal, NULL, m);
  l_end(b);
}

typedef void (*TileBody)(Matmul *m, int nv, int ns);

/* Emits body for the tile, and for the shorter last tile of the scalar side when there is one. */
static void with_last(Matmul *m, LExpr *tile, TileBody body, int nv)
{
  Build *b = m->l->b;
  int64_t tiles = ceil_div(m->s_extent, m->ns);
  int rest = (int)(m->s_extent % m->ns);
  m->s0 = m->ns == 1 ? tile : l_muli(b, tile, m->ns);
  if (m->s0->kind == LE_OP)
    m->s0 = l_let(b, "o", m->s0);
  if (!rest || tiles == 1) {
    body(m, nv, rest ? rest : m->ns);
    return;
  }
  l_if(b, l_op(b, SC_lt, tile, l_int(b, tiles - 1), NULL));
  body(m, nv, m->ns);
  l_else(b);
  body(m, nv, rest);
  l_end(b);
}

/* ---- batch in lanes ---- */

static void x_lanes(void *ctx, Coord *c, int i)
{
  Matmul *m = ctx;
  vector_samples(m, c, i);
  reduced(m, c, feature_axis(m));
}

static void w_forward(void *ctx, Coord *c, int i)
{
  Matmul *m = ctx;
  coord_set(c, 0, l_addi(m->l->b, m->s0, i), m->s_extent);
  reduced(m, c, 1);
}

static void w_backward(void *ctx, Coord *c, int i)
{
  Matmul *m = ctx;
  reduced(m, c, 0);
  coord_set(c, 1, l_addi(m->l->b, m->s0, i), m->s_extent);
}

static void finish_lanes(Matmul *m, int nv, int ns)
{
  Lower *l = m->l;
  for (int v = 0; v < nv; v++)
    for (int s = 0; s < ns; s++) {
      Coord c;
      coord_clear(&c);
      vector_samples(m, &c, v);
      coord_set(&c, feature_axis(m), l_addi(l->b, m->s0, s), m->s_extent);
      LExpr *e = reg_get(l, m->acc, v * ns + s);
      lower_finish(l, m->n, &c, &e, l->block);
    }
}

static void forward_lanes(Matmul *m, int nv, int ns)
{
  start(m, nv, ns, false);
  reduce_blocked(m, nv, ns);
  finish_lanes(m, nv, ns);
}

static void input_grad_lanes(Matmul *m, int nv, int ns)
{
  start(m, nv, ns, false);
  reduce_plain(m, "o", l_int(m->l->b, m->r_extent), nv, ns);
  finish_lanes(m, nv, ns);
}

/* Weights that stay in the nearest cache. */
enum { WEIGHTS_SMALL = 1 << 14 };

/* The tile divides the groups of a full batch, so a last tile may compute groups behind a shorter batch: they
 * exist in every buffer and nothing reads them. */
static void emit_lanes(Matmul *m, TileBody body, int max_s)
{
  Lower *l = m->l;
  Build *b = l->b;
  int64_t groups = ceil_div(l->program->batch, l->block);
  /* few groups go one at a time, for a tile is dealt out as a whole */
  bool single = !m->steps && groups < 8 && m->s_extent * m->r_extent <= WEIGHTS_SMALL;
  int64_t vectors = m->steps ? m->steps : groups;
  Tile t = tile_choose(l, vectors, m->s_extent, single ? -1 : -4, max_s);
  m->nv = t.nv;
  m->ns = t.ns;
  m->v_extent = vectors;
  int64_t tiles = ceil_div(m->s_extent, m->ns);
  lower_kernel(l, m->n, "", "matmul.lanes",
               arena_printf(l->arena,
                            "matrix product; lanes hold %d samples; tile of %d %s x %d features",
                            l->block, m->nv, m->steps ? "steps" : "groups", m->ns));
  m->acc = l_registers(b, "acc", (int)l->program->real, l->block, (int64_t)m->nv * m->ns);
  const char *names[] = { "gt", "st", "tile" };
  LExpr *digit[3], *gt = lower_groups(l, lower_host_n(l));
  int64_t of_group = m->steps ? m->steps / m->nv : 1;
  items_begin(l, names, (int64_t[]){ 0, of_group, tiles }, 3, digit);
  LExpr *first = m->steps ? digit[1] : digit[0];
  m->group = digit[0];
  m->v0 = m->nv == 1 ? first : l_let(b, "g", l_muli(b, first, m->nv));
  with_last(m, digit[2], body, m->nv);
  l_end(b);
  if (m->nv > 1 && !m->steps)
    gt = l_div(b, l_addi(b, gt, m->nv - 1), l_int(b, m->nv));
  lower_by_samples(l, (m->steps ? 1 : (int64_t)m->nv) * l->block);
  lower_kernel_end(l, l_muli(b, gt, of_group * tiles));
}

/* ---- batch in lanes: weight gradient, lanes are input features ---- */

static void sample(const Matmul *m, Coord *c)
{
  coord_add(c, AXIS_BATCH, m->r_block, m->l->block, ceil_div(m->l->program->batch, m->l->block));
  coord_add(c, AXIS_BATCH, m->r_in, 1, m->l->block);
}

static void xt_lanes(void *ctx, Coord *c, int i)
{
  Matmul *m = ctx;
  sample(m, c);
  coord_add(c, 0, l_addi(m->l->b, m->v0, i), m->l->block, m->v_extent);
  coord_add(c, 0, NULL, 1, m->l->block);
}

static void dy_scalar(void *ctx, Coord *c, int i)
{
  Matmul *m = ctx;
  sample(m, c);
  coord_set(c, 0, l_addi(m->l->b, m->s0, i), m->s_extent);
}

static void weight_grad_lanes(Matmul *m, int nv, int ns)
{
  Lower *l = m->l;
  start(m, nv, ns, false);
  reduce_samples(m, nv, ns);
  for (int v = 0; v < nv; v++)
    for (int s = 0; s < ns; s++) {
      Coord c;
      coord_clear(&c);
      coord_set(&c, 0, l_addi(l->b, m->s0, s), m->s_extent);
      coord_add(&c, 1, l_addi(l->b, m->v0, v), l->block, m->v_extent);
      coord_add(&c, 1, NULL, 1, l->block);
      LExpr *e = reg_get(l, m->acc, v * ns + s);
      lower_finish(l, m->n, &c, &e, l->block);
    }
}

/* Static tiles on both sides. */
static void emit_static(Matmul *m, TileBody body, const char *about, const char *template_name)
{
  Lower *l = m->l;
  Build *b = l->b;
  int64_t vt = ceil_div(m->v_extent, m->nv), st = ceil_div(m->s_extent, m->ns);
  int vrest = (int)(m->v_extent % m->nv);
  lower_kernel(l, m->n, "", template_name, about);
  m->acc = l_registers(b, "acc", (int)l->program->real, l->block, (int64_t)m->nv * m->ns);
  const char *names[] = { "vt", "tile" };
  LExpr *digit[2];
  items_begin(l, names, (int64_t[]){ vt, st }, 2, digit);
  m->v0 = m->nv == 1 ? digit[0] : l_muli(b, digit[0], m->nv);
  if (m->v0->kind == LE_OP)
    m->v0 = l_let(b, "kb", m->v0);
  if (!vrest || vt == 1)
    with_last(m, digit[1], body, vrest ? vrest : m->nv);
  else {
    l_if(b, l_op(b, SC_lt, digit[0], l_int(b, vt - 1), NULL));
    with_last(m, digit[1], body, m->nv);
    l_else(b);
    with_last(m, digit[1], body, vrest);
    l_end(b);
  }
  l_end(b);
  lower_kernel_end(l, l_int(b, vt * st));
}

/* ---- channel blocks ---- */

/* One part per feature digit of x, so that the weight's digits match. Opens loops for all of them; the lane
 * digit of padded channels stops at the last real channel. */
typedef struct { Coord c; int loops; } Features;

static Features features_begin(Lower *l, Value x)
{
  Build *b = l->b;
  const Layout *lay = lower_layout(l, x);
  int64_t k = value_type(x)->dim[0];
  Features f = { .loops = 0 };
  coord_clear(&f.c);
  LExpr *outer = NULL;
  int64_t outer_div = 0;
  for (int i = 0; i < lay->n; i++) {
    Digit d = lay->digit[i];
    if (d.axis == AXIS_BATCH)
      continue;
    LExpr *end = l_int(b, d.extent);
    if (outer && outer_div == d.div * d.extent && k % outer_div) {
      LExpr *left = l_sub(b, l_int(b, k / d.div), l_muli(b, outer, d.extent));
      end = l_min(b, end, left);
    }
    LExpr *v = l_var(b, l_loop(b, i == lay->n - 1 ? "k" : "kb", l_int(b, 0), end, 1, FOR_ROLLED));
    coord_add(&f.c, 0, v, d.div, d.extent);
    f.loops++;
    if (d.div * d.extent >= k) {
      outer = v;
      outer_div = d.div;
    }
  }
  return f;
}

typedef struct { Matmul m; Features f; } Blocks;

static void w_block(void *ctx, Coord *c, int i)
{
  Blocks *k = ctx;
  Lower *l = k->m.l;
  coord_add(c, 0, l_addi(l->b, k->m.v0, i), l->block, k->m.v_extent);
  coord_add(c, 0, NULL, 1, l->block);
  for (int p = 0; p < k->f.c.n[1]; p++)
    coord_add(c, 1, k->f.c.part[1][p].e, k->f.c.part[1][p].div, k->f.c.part[1][p].extent);
}

static void x_scalar(void *ctx, Coord *c, int i)
{
  Blocks *k = ctx;
  *c = k->f.c;
  coord_set(c, AXIS_BATCH, l_addi(k->m.l->b, k->m.s0, i), k->m.l->program->batch);
}

static void finish_block(Matmul *m, int nv, int ns)
{
  Lower *l = m->l;
  for (int v = 0; v < nv; v++)
    for (int s = 0; s < ns; s++) {
      Coord c;
      coord_clear(&c);
      coord_set(&c, AXIS_BATCH, l_addi(l->b, m->s0, s), l->program->batch);
      coord_add(&c, 0, l_addi(l->b, m->v0, v), l->block, m->v_extent);
      coord_add(&c, 0, NULL, 1, l->block);
      LExpr *e = reg_get(l, m->acc, v * ns + s);
      lower_finish(l, m->n, &c, &e, l->block);
    }
}

static void forward_block(Blocks *k, Value x, int nv, int ns)
{
  Matmul *m = &k->m;
  start(m, nv, ns, true);
  k->f = features_begin(m->l, x);
  tile_multiply(m->l, m->acc, (Tile){ nv, ns }, load_vec, load_scal, NULL, k);
  for (int i = 0; i < k->f.loops; i++)
    l_end(m->l->b);
  finish_block(m, nv, ns);
}

/* Work items: (sample tile, output block tile). Tiles of samples divide a full batch; see emit_lanes. */
static void emit_forward_block(Blocks *k, Value x)
{
  Matmul *m = &k->m;
  Lower *l = m->l;
  Build *b = l->b;
  m->v_extent = ceil_div(m->n->type[0].dim[0], l->block);
  Tile t = tile_choose(l, m->v_extent, l->program->batch, 4, -32);
  m->nv = t.nv;
  m->ns = t.ns;
  int64_t vt = ceil_div(m->v_extent, m->nv);
  int vrest = (int)(m->v_extent % m->nv);
  lower_kernel(l, m->n, "", "matmul.channels",
               arena_printf(l->arena, "matrix product; lanes hold %d features; tile of %d feature blocks x %d samples",
                            l->block, m->nv, m->ns));
  m->acc = l_registers(b, "acc", (int)l->program->real, l->block, (int64_t)m->nv * m->ns);
  const char *names[] = { "it", "vt" };
  LExpr *digit[2];
  items_begin(l, names, (int64_t[]){ 0, vt }, 2, digit);
  m->v0 = m->nv == 1 ? digit[1] : l_muli(b, digit[1], m->nv);
  LExpr *first = l_muli(b, digit[0], m->ns);
  for (int part = 0; part < (vrest && vt > 1 ? 2 : 1); part++) {
    int nv = vrest && (vt == 1 || part) ? vrest : m->nv;
    if (vrest && vt > 1)
      part ? l_else(b) : l_if(b, l_op(b, SC_lt, digit[1], l_int(b, vt - 1), NULL));
    m->s0 = first;
    forward_block(k, x, nv, m->ns);
  }
  if (vrest && vt > 1)
    l_end(b);
  l_end(b);
  LExpr *it = l_div(b, l_addi(b, lower_host_n(l), m->ns - 1), l_int(b, m->ns));
  lower_by_samples(l, m->ns);
  lower_kernel_end(l, l_muli(b, it, vt));
}

/* dx[k] = sum_o w[o, k] dy[o]: lanes multiply 16 outputs at a time, then are added by halving. */
static void emit_input_grad_block(Lower *l, const Node *n, Value dy, Value w)
{
  Build *b = l->b;
  int64_t blocks = ceil_div(value_type(dy)->dim[0], l->block);
  const Layout *lay = lower_layout(l, (Value){ (Node *)(uintptr_t)n, 0 });
  lower_kernel(l, n, "", "matmul.dot", arena_printf(l->arena, "dot products over lanes of %d features", l->block));
  Buffer *acc = l_registers(b, "acc", (int)l->program->real, l->block, 1);
  Points p;
  points_begin(l, &p, &n->type[0], lay, true);
  LExpr *inside = points_inside(l, &p, &n->type[0], lay);
  if (inside)
    l_if(b, inside);
  reg_set(l, acc, 0, l_real(b, 0));
  LExpr *ob = l_var(b, l_loop(b, "ob", l_int(b, 0), l_int(b, blocks), 1, FOR_ROLLED));
  Coord cy, cw;
  coord_clear(&cy);
  coord_clear(&cw);
  coord_set(&cy, AXIS_BATCH, coord_index(b, &p.c, AXIS_BATCH), l->program->batch);
  coord_add(&cy, 0, ob, l->block, blocks);
  coord_add(&cy, 0, NULL, 1, l->block);
  coord_add(&cw, 0, ob, l->block, blocks);
  coord_add(&cw, 0, NULL, 1, l->block);
  for (int i = 0; i < p.c.n[1]; i++)
    coord_add(&cw, 1, p.c.part[1][i].e, p.c.part[1][i].div, p.c.part[1][i].extent);
  LExpr *product = l_fma(b, lower_load(l, w, &cw, l->block), lower_load(l, dy, &cy, l->block), reg_get(l, acc, 0));
  reg_set(l, acc, 0, product);
  l_end(b);
  LExpr *sum = l_reduce(b, SC_add, reg_get(l, acc, 0));
  lower_finish(l, n, &p.c, &sum, 1);
  if (inside) {
    l_else(b);
    lower_finish_zero(l, n, &p.c);
    l_end(b);
  }
  points_end(l, &p);
  lower_kernel_end(l, p.items);
}

/* dw[o, k] = sum_i dy[i, o] x[i, k]: lanes are outputs, one input feature at a time per block of outputs. */
static void emit_weight_grad_block(Lower *l, const Node *n, Value dy, Value x)
{
  Build *b = l->b;
  const Layout *lay = lower_layout(l, (Value){ (Node *)(uintptr_t)n, 0 });
  lower_kernel(l, n, "", "outer.features", arena_printf(l->arena, "outer product; lanes hold %d outputs", l->block));
  Buffer *acc = l_registers(b, "acc", (int)l->program->real, l->block, 1);
  Points p;
  points_begin(l, &p, &n->type[0], lay, false);
  reg_set(l, acc, 0, l_real(b, 0));
  LExpr *i = l_var(b, l_loop(b, "i", l_int(b, 0), l->n, 1, FOR_ROLLED));
  Coord cy, cx;
  coord_clear(&cy);
  coord_clear(&cx);
  coord_set(&cy, AXIS_BATCH, i, l->program->batch);
  coord_set(&cx, AXIS_BATCH, i, l->program->batch);
  for (int k = 0; k < p.c.n[1]; k++)
    coord_add(&cy, 0, p.c.part[1][k].e, p.c.part[1][k].div, p.c.part[1][k].extent);
  for (int k = 0; k < p.c.n[2]; k++)
    coord_add(&cx, 0, p.c.part[2][k].e, p.c.part[2][k].div, p.c.part[2][k].extent);
  LExpr *s = l_splat(b, lower_load_scalar(l, x, &cx), l->block);
  reg_set(l, acc, 0, l_fma(b, s, lower_load(l, dy, &cy, l->block), reg_get(l, acc, 0)));
  l_end(b);
  LExpr *e = reg_get(l, acc, 0);
  lower_finish(l, n, &p.c, &e, l->block);
  points_end(l, &p);
  lower_kernel_end(l, p.items);
}

/* ---- the three passes ---- */

static int64_t features(Value v) { return value_type(v)->dim[value_type(v)->rank - 1]; }
static int64_t steps(Value v) { return value_type(v)->rank > 1 ? value_type(v)->dim[0] : 0; }

static bool is_few(const Lower *l, const Node *n, Value x)
{
  Value y = { (Node *)(uintptr_t)n, 0 };
  return steps(x) && dense_is_few(l, steps(x), features(x), features(y));
}

void dense_forward(Lower *l, const Node *n, const Plan *p, Value x, Value w, Value bias)
{
  if (p->sample_lanes && is_few(l, n, x)) {
    dense_few(l, n, x, w, bias, false);
    return;
  }
  if (p->sample_lanes) {
    Matmul m = { .l = l, .n = n, .vec = x, .scal = w, .bias = bias, .vec_coord = x_lanes, .scal_coord = w_forward,
                 .r_extent = features(x), .s_extent = features((Value){ (Node *)(uintptr_t)n, 0 }),
                 .steps = steps(x) };
    emit_lanes(&m, forward_lanes, 0);
    return;
  }
  Blocks k = { .m = { .l = l, .n = n, .vec = w, .scal = x, .bias = bias, .vec_coord = w_block, .scal_coord = x_scalar } };
  emit_forward_block(&k, x);
}

void dense_input_grad(Lower *l, const Node *n, const Plan *p, Value dy, Value w)
{
  if (!p->sample_lanes) {
    emit_input_grad_block(l, n, dy, w);
    return;
  }
  if (is_few(l, n, dy)) {
    dense_few(l, n, dy, w, (Value){ NULL, 0 }, true);
    return;
  }
  Matmul m = { .l = l, .n = n, .vec = dy, .scal = w, .vec_coord = x_lanes, .scal_coord = w_backward,
               .r_extent = features(dy), .s_extent = features((Value){ (Node *)(uintptr_t)n, 0 }),
               .steps = steps(dy) };
  emit_lanes(&m, input_grad_lanes, 16);
}

void dense_weight_grad(Lower *l, const Node *n, const Plan *p, Value dy, Value x)
{
  if (!p->sample_lanes) {
    emit_weight_grad_block(l, n, dy, x);
    return;
  }
  if (steps(x)) {
    dense_weight_grad_steps(l, n, dy, x);
    return;
  }
  Matmul m = { .l = l, .n = n, .vec = x, .scal = dy, .vec_coord = xt_lanes, .scal_coord = dy_scalar,
               .r_extent = l->program->batch, .s_extent = n->type[0].dim[0],
               .v_extent = ceil_div(n->type[0].dim[1], l->block) };
  Tile t = tile_choose(l, m.v_extent, m.s_extent, 6, 0);
  m.nv = t.nv;
  m.ns = t.ns;
  emit_static(&m, weight_grad_lanes,
              arena_printf(l->arena, "outer product; lanes hold %d input features; tile of %d blocks x %d outputs",
                           l->block, t.nv, t.ns), "outer.features");
}
