/* The weight gradient of a dense layer over sequences, whose steps are samples too:
 *
 *   dw[o, i] = sum over groups of samples, steps, samples of the group, each ascending, of
 *              dy[t, o] * x[t, i]
 *
 * Lanes of dw hold input features i, those of dy and x samples. Both are far larger than dw and
 * than caches, so that they are read once, some steps of a group at a time:
 *
 *   for some steps, for a panel of x (nv blocks of features), turned: lanes hold features
 *     for every tile of dw in the panel: load sums, add all these steps, store sums
 *
 * Sums in between lie in scratch of the worker. Each is one chain, whatever the tile. */
#include "kernel/matmul.h"
#include "kernel/tile.h"

enum {
  PANEL_BYTES = 1 << 14,        /* half of the nearest cache */
  SUM_BYTES = 1 << 18,          /* of the second */
  STEPS_MOST = 16               /* of a panel: dy of as many stays in the second cache */
};

typedef struct {
  Lower *l;
  const Node *n;
  Value dy, x;
  int64_t steps, outputs, inputs, blocks;       /* T, o, i and blocks of i */
  int nv, ns;                   /* the tile */
  int64_t tiles, at_once;       /* tiles of a panel; tiles whose sums have room */
  Buffer *acc, *sum, *panel;    /* sum [at_once][nv * ns] vectors, panel [step][sample][nv] */
  LExpr *group, *step, *sample;
  LExpr *first_step, *end_step;
  LExpr *first_tile, *tile;     /* of all tiles, panel by panel */
  LExpr *block, *output;        /* the first of the panel; of the tile */
} StepsGrad;

/* The step of the group; lanes: they hold its samples, else it is one of them. */
static Coord place(const StepsGrad *m, bool lanes)
{
  Lower *l = m->l;
  Coord c;
  coord_clear(&c);
  coord_add(&c, AXIS_BATCH, m->group, l->block, ceil_div(l->program->batch, l->block));
  coord_add(&c, AXIS_BATCH, lanes ? NULL : m->sample, 1, l->block);
  coord_set(&c, 0, m->step, m->steps);
  return c;
}

/* Vector v of a sample and step in the panel. */
static LExpr *panel_index(const StepsGrad *m, LExpr *sample, int v)
{
  Build *b = m->l->b;
  LExpr *step = l_sub(b, m->step, m->first_step);
  LExpr *row = l_add(b, l_muli(b, step, m->l->block), sample);
  return l_muli(b, l_addi(b, l_muli(b, row, m->nv), v), m->l->block);
}

/* Block v of the panel for one step, of which `inputs` features are inside. */
static void pack_block(StepsGrad *m, int v, int inputs)
{
  Lower *l = m->l;
  Build *b = l->b;
  LExpr **line = ARENA_ARRAY(l->arena, LExpr *, l->block);
  for (int j = 0; j < l->block; j++) {
    Coord c = place(m, true);
    coord_add(&c, 1, l_addi(b, m->block, v), l->block, m->blocks);
    coord_add(&c, 1, l_int(b, j), 1, l->block);
    line[j] = j < inputs ? lower_load(l, m->x, &c, l->block) : l_splat(b, l_real(b, 0), l->block);
    line[j] = l_let(b, "x", line[j]);
  }
  line = lower_turn(l, line);
  for (int s = 0; s < min_i64(l->block, l->program->batch); s++)
    l_store(b, m->panel, panel_index(m, l_int(b, s), v), line[s]);
}

static void pack_panel(StepsGrad *m)
{
  Build *b = m->l->b;
  int block = m->l->block, rest = (int)(m->inputs % block);
  m->step = l_var(b, l_loop(b, "t", m->first_step, m->end_step, 1, FOR_ROLLED));
  for (int v = 0; v < m->nv; v++) {
    bool ends = rest && v == m->nv - 1;         /* in the last panel with the axis */
    if (!ends || m->blocks == m->nv) {
      pack_block(m, v, ends ? rest : block);
      continue;
    }
    l_if(b, l_op(b, SC_lt, m->block, l_int(b, m->blocks - m->nv), NULL));
    pack_block(m, v, block);
    l_else(b);
    pack_block(m, v, rest);
    l_end(b);
  }
  l_end(b);
}

static LExpr *load_features(void *ctx, int v)
{
  const StepsGrad *m = ctx;
  return l_load(m->l->b, m->panel, panel_index(m, m->sample, v), m->l->block);
}

static LExpr *load_gradient(void *ctx, int i)
{
  const StepsGrad *m = ctx;
  Coord c = place(m, false);
  coord_set(&c, 1, l_addi(m->l->b, m->output, i), m->outputs);
  return lower_load_scalar(m->l, m->dy, &c);
}

/* Sum i of the tile. */
static LExpr *sum_index(const StepsGrad *m, int i)
{
  Build *b = m->l->b;
  LExpr *first = l_muli(b, l_sub(b, m->tile, m->first_tile), (int64_t)m->nv * m->ns);
  return l_muli(b, l_addi(b, first, i), m->l->block);
}

static void add_steps(StepsGrad *m, int ns)
{
  Lower *l = m->l;
  Build *b = l->b;
  for (int i = 0; i < m->nv * ns; i++)
    reg_set(l, m->acc, i, l_load(b, m->sum, sum_index(m, i), l->block));
  m->step = l_var(b, l_loop(b, "t", m->first_step, m->end_step, 1, FOR_ROLLED));
  LExpr *left = l_sub(b, l->n, l_muli(b, m->group, l->block));
  LExpr *end = l_min(b, l_int(b, l->block), left);
  m->sample = l_var(b, l_loop(b, "s", l_int(b, 0), end, 1, FOR_ROLLED));
  tile_multiply(l, m->acc, (Tile){ m->nv, ns }, load_features, load_gradient, NULL, m);
  l_end(b);
  l_end(b);
  for (int i = 0; i < m->nv * ns; i++)
    l_store(b, m->sum, sum_index(m, i), reg_get(l, m->acc, i));
}

static void finish_tile(StepsGrad *m, int ns)
{
  Lower *l = m->l;
  for (int v = 0; v < m->nv; v++)
    for (int s = 0; s < ns; s++) {
      Coord c;
      coord_clear(&c);
      coord_set(&c, 0, l_addi(l->b, m->output, s), m->outputs);
      coord_add(&c, 1, l_addi(l->b, m->block, v), l->block, m->blocks);
      coord_add(&c, 1, NULL, 1, l->block);
      LExpr *e = l_load(l->b, m->sum, sum_index(m, v * ns + s), l->block);
      lower_finish(l, m->n, &c, &e, l->block);
    }
}

/* Emits body for a tile of the panel, and for the shorter last one where there is one. */
static void with_last(StepsGrad *m, LExpr *tile, void (*body)(StepsGrad *, int))
{
  Build *b = m->l->b;
  int rest = (int)(m->outputs % m->ns);
  m->output = l_let(b, "o", l_muli(b, tile, m->ns));
  if (!rest || m->tiles == 1) {
    body(m, rest ? rest : m->ns);
    return;
  }
  l_if(b, l_op(b, SC_lt, tile, l_int(b, m->tiles - 1), NULL));
  body(m, m->ns);
  l_else(b);
  body(m, rest);
  l_end(b);
}

/* All panels that tiles first_tile .. end belong to, for some steps of a group. */
static void each_panel(StepsGrad *m, LExpr *end)
{
  Build *b = m->l->b;
  LExpr *tiles = l_int(b, m->tiles), *from = l_div(b, m->first_tile, tiles);
  LExpr *to = l_div(b, l_addi(b, end, m->tiles - 1), tiles);
  LExpr *p = l_var(b, l_loop(b, "panel", from, to, 1, FOR_ROLLED));
  LExpr *before = l_let(b, "before", l_muli(b, p, m->tiles));
  m->block = m->nv == 1 ? p : l_let(b, "kb", l_muli(b, p, m->nv));
  pack_panel(m);
  from = l_max(b, m->first_tile, before);
  to = l_min(b, end, l_addi(b, before, m->tiles));
  m->tile = l_var(b, l_loop(b, "tile", from, to, 1, FOR_ROLLED));
  with_last(m, l_sub(b, m->tile, before), add_steps);
  l_end(b);
  l_end(b);
}

static void sum_tiles(StepsGrad *m, LExpr *end, int64_t chunk)
{
  Lower *l = m->l;
  Build *b = l->b;
  int64_t of_tile = (int64_t)m->nv * m->ns;
  LExpr *vectors = l_muli(b, l_sub(b, end, m->first_tile), of_tile);
  LExpr *i = l_var(b, l_loop(b, "i", l_int(b, 0), vectors, 1, FOR_PLAIN));
  l_store(b, m->sum, l_muli(b, i, l->block), l_splat(b, l_real(b, 0), l->block));
  l_end(b);
  m->group = l_var(b, l_loop(b, "g", l_int(b, 0), lower_groups(l, l->n), 1, FOR_ROLLED));
  m->first_step = l_var(b, l_loop(b, "t0", l_int(b, 0), l_int(b, m->steps), chunk, FOR_ROLLED));
  LExpr *next = l_addi(b, m->first_step, chunk);
  m->end_step = l_let(b, "t1", l_min(b, l_int(b, m->steps), next));
  each_panel(m, end);
  l_end(b);
  l_end(b);
  m->tile = l_var(b, l_loop(b, "tile", m->first_tile, end, 1, FOR_PLAIN));
  LExpr *panel = l_div(b, m->tile, l_int(b, m->tiles));
  m->block = l_let(b, "kb", l_muli(b, panel, m->nv));
  with_last(m, l_let(b, "in", l_mod(b, m->tile, l_int(b, m->tiles))), finish_tile);
  l_end(b);
}

void dense_weight_grad_steps(Lower *l, const Node *n, Value dy, Value x)
{
  Build *b = l->b;
  const Type *t = &n->type[0];
  StepsGrad m = { .l = l, .n = n, .dy = dy, .x = x, .steps = value_type(x)->dim[0],
                  .outputs = t->dim[0], .inputs = t->dim[1],
                  .blocks = ceil_div(t->dim[1], l->block) };
  Tile tile = tile_choose(l, m.blocks, m.outputs, -6, 0);
  m.nv = tile.nv;
  m.ns = tile.ns;
  m.tiles = ceil_div(m.outputs, m.ns);
  int64_t all = m.blocks / m.nv * m.tiles, sums = (int64_t)m.nv * m.ns;
  m.at_once = min_i64(all, max_i64(1, SUM_BYTES / 64 / sums));
  int64_t chunk = max_i64(1, PANEL_BYTES / 64 / (m.nv * l->block));
  chunk = min_i64(m.steps, min_i64(chunk, STEPS_MOST));
  lower_kernel(l, n, "", "outer.steps",
               arena_printf(l->arena, "outer product; lanes hold %d input features; tile of %d "
                            "blocks x %d outputs; %lld steps at a time", l->block, m.nv, m.ns,
                            (long long)chunk));
  m.acc = l_registers(b, "acc", (int)l->program->real, l->block, sums);
  m.panel = tile_scratch(l, "panel", chunk * l->block * m.nv);
  m.sum = tile_scratch(l, "sum", m.at_once * sums);
  LExpr *lo = l_var(b, l->kernel->lo), *hi = l_var(b, l->kernel->hi);
  m.first_tile = l_var(b, l_loop(b, "tile0", lo, hi, m.at_once, FOR_PLAIN));
  LExpr *end = l_let(b, "tile1", l_min(b, hi, l_addi(b, m.first_tile, m.at_once)));
  sum_tiles(&m, end, chunk);
  l_end(b);
  lower_kernel_end(l, l_int(b, all));
}
