/* Products of sequences of few samples: where samples would leave most lanes empty, lanes hold 16
 * steps of one of them.
 *
 *   x of 16 steps is turned                  rows of samples -> x[sample][r], lanes hold steps
 *   y[sample][o] := bias + sum_r w x[sample][r]      r ascending, a tile of samples x o at a time
 *   y is turned back                         -> rows of samples, stored with what is fused
 *
 * r and o are inputs and units forward, units and inputs in the gradient towards the input. The
 * same chains of sums as with samples in lanes, so the same bits. */
#include "kernel/matmul.h"
#include "kernel/tile.h"

enum { TURN_COST = 5 };         /* of a row of a square, in products */

typedef struct {
  Lower *l;
  const Node *n;
  Value x, w, bias;
  bool back;                    /* the gradient: w is read by columns */
  int64_t steps, inputs, outputs;       /* T, r, o */
  int samples, ns;              /* the tile: all samples x outputs */
  int now;                      /* outputs of the tile that is emitted */
  Buffer *acc, *in, *out;       /* in [sample][r], out [sample][o]: vectors of 16 steps */
  LExpr *group, *step;          /* step: the first of 16 */
  LExpr *r_block, *r;           /* r_block NULL: r is the whole index */
  LExpr *first;                 /* output of the tile */
} Few;

bool dense_is_few(const Lower *l, int64_t steps, int64_t inputs, int64_t outputs)
{
  int64_t batch = l->program->batch, block = l->block;
  int64_t saved = inputs * outputs * (block - batch) / block;
  return steps >= block / 2 && batch <= block / 2 && tile_fits(l, (int)batch, 1) &&
         saved > TURN_COST * (inputs + outputs);
}

/* Step i of the 16 and a feature, samples in the lanes; past the last step it is repeated. */
static Coord row_at(const Few *f, int i, LExpr *feature, int64_t features)
{
  Lower *l = f->l;
  Build *b = l->b;
  LExpr *step = l_addi(b, f->step, i);
  if (f->steps % l->block)
    step = l_min(b, step, l_int(b, f->steps - 1));
  Coord c;
  coord_clear(&c);
  coord_add(&c, AXIS_BATCH, f->group, l->block, ceil_div(l->program->batch, l->block));
  coord_add(&c, AXIS_BATCH, NULL, 1, l->block);
  coord_set(&c, 0, step, f->steps);
  coord_set(&c, 1, feature, features);
  return c;
}

/* Vector of 16 steps of a sample. */
static LExpr *vector_index(const Few *f, LExpr *feature, int sample, int64_t features)
{
  return l_muli(f->l->b, l_addi(f->l->b, feature, sample * features), f->l->block);
}

static void turn_in(const Few *f)
{
  Lower *l = f->l;
  Build *b = l->b;
  LExpr **row = ARENA_ARRAY(l->arena, LExpr *, l->block);
  LExpr *r = l_var(b, l_loop(b, "r", l_int(b, 0), l_int(b, f->inputs), 1, FOR_ROLLED));
  for (int i = 0; i < l->block; i++) {
    Coord c = row_at(f, i, r, f->inputs);
    row[i] = l_let(b, "row", lower_load(l, f->x, &c, l->block));
  }
  row = lower_turn(l, row);
  for (int s = 0; s < f->samples; s++)
    l_store(b, f->in, vector_index(f, r, s, f->inputs), row[s]);
  l_end(b);
}

static LExpr *load_vector(void *ctx, int s)
{
  const Few *f = ctx;
  Build *b = f->l->b;
  LExpr *r = f->r_block ? l_add(b, l_muli(b, f->r_block, f->l->block), f->r) : f->r;
  return l_load(b, f->in, vector_index(f, r, s, f->inputs), f->l->block);
}

static LExpr *load_weight(void *ctx, int i)
{
  const Few *f = ctx;
  Lower *l = f->l;
  LExpr *o = l_addi(l->b, f->first, i);
  Coord c;
  coord_clear(&c);
  if (f->back) {
    coord_set(&c, 0, f->r, f->inputs);
    coord_set(&c, 1, o, f->outputs);
  } else {
    coord_set(&c, 0, o, f->outputs);
    coord_add(&c, 1, f->r_block, l->block, ceil_div(f->inputs, l->block));
    coord_add(&c, 1, f->r, 1, l->block);
  }
  return lower_load_scalar(l, f->w, &c);
}

static void start(const Few *f)
{
  Lower *l = f->l;
  for (int o = 0; o < f->now; o++) {
    LExpr *init = l_real(l->b, 0);
    if (f->bias.node) {
      Coord c;
      coord_clear(&c);
      coord_set(&c, 0, l_addi(l->b, f->first, o), f->outputs);
      init = l_let(l->b, "bias", lower_load(l, f->bias, &c, l->block));
    }
    for (int s = 0; s < f->samples; s++)
      reg_set(l, f->acc, s * f->now + o, init);
  }
}

static void multiply_at(void *ctx, LExpr *block, LExpr *in)
{
  Few *f = ctx;
  f->r_block = block;
  f->r = in;
  tile_multiply(f->l, f->acc, (Tile){ f->samples, f->now }, load_vector, load_weight, NULL, f);
}

static void reduce(Few *f)
{
  Build *b = f->l->b;
  if (!f->back) {
    tile_reduce(f->l, f->inputs, multiply_at, f);
    return;
  }
  LExpr *end = l_int(b, f->inputs);
  multiply_at(f, NULL, l_var(b, l_loop(b, "k", l_int(b, 0), end, 1, FOR_ROLLED)));
  l_end(b);
}

static void multiply_tile(Few *f, LExpr *first, int ns)
{
  Build *b = f->l->b;
  f->first = first;
  f->now = ns;
  start(f);
  reduce(f);
  for (int s = 0; s < f->samples; s++)
    for (int o = 0; o < ns; o++)
      l_store(b, f->out, vector_index(f, l_addi(b, first, o), s, f->outputs),
              reg_get(f->l, f->acc, s * ns + o));
}

static void multiply(Few *f)
{
  Build *b = f->l->b;
  int64_t tiles = f->outputs / f->ns;
  int rest = (int)(f->outputs % f->ns);
  if (tiles) {
    LExpr *tile = l_var(b, l_loop(b, "tile", l_int(b, 0), l_int(b, tiles), 1, FOR_ROLLED));
    multiply_tile(f, f->ns == 1 ? tile : l_let(b, "o", l_muli(b, tile, f->ns)), f->ns);
    l_end(b);
  }
  if (rest)
    multiply_tile(f, l_int(b, tiles * f->ns), rest);
}

static void turn_out(const Few *f)
{
  Lower *l = f->l;
  Build *b = l->b;
  bool partial = f->steps % l->block;
  LExpr **line = ARENA_ARRAY(l->arena, LExpr *, l->block);
  LExpr *o = l_var(b, l_loop(b, "o", l_int(b, 0), l_int(b, f->outputs), 1, FOR_ROLLED));
  for (int s = 0; s < l->block; s++) {
    line[s] = l_splat(b, l_real(b, 0), l->block);
    if (s < f->samples)
      line[s] = l_let(b, "line", l_load(b, f->out, vector_index(f, o, s, f->outputs), l->block));
  }
  line = lower_turn(l, line);
  for (int i = 0; i < l->block; i++) {
    if (partial)
      l_if(b, l_op(b, SC_lt, l_addi(b, f->step, i), l_int(b, f->steps), NULL));
    Coord c = row_at(f, i, o, f->outputs);
    lower_finish(l, f->n, &c, &line[i], l->block);
    if (partial)
      l_end(b);
  }
  l_end(b);
}

void dense_few(Lower *l, const Node *n, Value x, Value w, Value bias, bool back)
{
  Build *b = l->b;
  const Type *from = value_type(x), *to = &n->type[0];
  Few f = { .l = l, .n = n, .x = x, .w = w, .bias = bias, .back = back, .steps = to->dim[0],
            .inputs = from->dim[1], .outputs = to->dim[1], .samples = (int)l->program->batch };
  int64_t parts = ceil_div(f.steps, l->block);
  while (f.ns < f.outputs && f.ns < 2 * l->block && tile_fits(l, f.samples, f.ns + 1))
    f.ns++;
  lower_kernel(l, n, "", "matmul.few",
               arena_printf(l->arena, "matrix product; lanes hold %d steps of a sample; tile of %d "
                                      "samples x %d features",
                            l->block, f.samples, f.ns));
  f.acc = l_registers(b, "acc", (int)l->program->real, l->block, (int64_t)f.samples * f.ns);
  f.in = tile_scratch(l, "in", f.samples * f.inputs);
  f.out = tile_scratch(l, "out", f.samples * f.outputs);
  const char *names[] = { "g", "part" };
  LExpr *digit[2];
  items_begin(l, names, (int64_t[]){ 0, parts }, 2, digit);
  f.group = digit[0];
  f.step = l_let(b, "t", l_muli(b, digit[1], l->block));
  turn_in(&f);
  multiply(&f);
  turn_out(&f);
  l_end(b);
  lower_by_samples(l, l->block);
  lower_kernel_end(l, l_muli(b, lower_groups(l, lower_host_n(l)), parts));
}
