/* Products of a recurrent layer with few samples; see recur_few.h.
 *
 *   acc[v, s] := fma(w[blocks of outputs, k], state[k, s], acc[v, s])      k ascending
 *
 * Backward, squares of 16 outputs x 16 samples are then turned, so that cells find samples in their
 * lanes. */
#include "kernel/recur_few.h"

enum { VECTORS_MOST = 8 };

bool recur_is_few(const Lower *l)
{
  int64_t batch = l->program->batch;
  return batch <= l->block / 2 && tile_fits(l, 1, (int)batch);
}

int64_t recur_few_vectors(const Lower *l, int64_t units)
{
  return l->program->batch * ceil_div(units, l->block);
}

static int64_t blocks_of(const RecurFew *f) { return ceil_div(f->outputs, f->l->block); }

/* Vector of w: block of its columns, lanes hold them, of a row. */
static LExpr *load_row(const RecurFew *f, LExpr *row, LExpr *block)
{
  Lower *l = f->l;
  Coord c;
  coord_clear(&c);
  coord_set(&c, 0, row, f->r->gates * f->r->units);
  coord_add(&c, 1, block, l->block, ceil_div(f->r->units, l->block));
  coord_add(&c, 1, NULL, 1, l->block);
  return lower_load(l, f->r->w, &c, l->block);
}

/* Forward: vector `block` of column k. */
static LExpr *column_index(const RecurFew *f, LExpr *k, LExpr *block)
{
  Build *b = f->l->b;
  return l_muli(b, l_add(b, l_muli(b, k, blocks_of(f)), block), f->l->block);
}

/* Rows past the last repeat it: nobody reads their products. A worker without samples, as all but
 * one are, needs no columns. */
static void fill_columns(const RecurFew *f)
{
  Lower *l = f->l;
  Build *b = l->b;
  int64_t input_blocks = ceil_div(f->inputs, l->block);
  LExpr **line = ARENA_ARRAY(l->arena, LExpr *, l->block);
  l_if(b, l_op(b, SC_lt, l_var(b, l->kernel->lo), l_var(b, l->kernel->hi), NULL));
  LExpr *ob = l_var(b, l_loop(b, "ob", l_int(b, 0), l_int(b, blocks_of(f)), 1, FOR_ROLLED));
  LExpr *kb = l_var(b, l_loop(b, "kb", l_int(b, 0), l_int(b, input_blocks), 1, FOR_ROLLED));
  for (int i = 0; i < l->block; i++) {
    LExpr *row = l_addi(b, l_muli(b, ob, l->block), i);
    if (f->outputs % l->block)
      row = l_min(b, row, l_int(b, f->outputs - 1));
    line[i] = l_let(b, "row", load_row(f, row, kb));
  }
  line = lower_turn(l, line);
  for (int j = 0; j < l->block; j++) {
    LExpr *k = l_addi(b, l_muli(b, kb, l->block), j);
    l_store(b, f->columns, column_index(f, k, ob), line[j]);
  }
  l_end(b);
  l_end(b);
  l_end(b);
}

/* Vectors of outputs: as many as registers hold, dividing all. */
static int choose_vectors(const RecurFew *f, int samples)
{
  int best = 1;
  for (int nv = 2; nv <= VECTORS_MOST; nv++)
    if (blocks_of(f) % nv == 0 && tile_fits(f->l, nv, samples))
      best = nv;
  return best;
}

/* Elements from one sample's products to the next one's: cells load whole blocks of a gate's. */
int64_t recur_few_line(const RecurFew *f) { return (blocks_of(f) + 1) * f->l->block; }

RecurFew recur_few_begin(Lower *l, const Recur *r, bool back, Buffer *turn)
{
  int64_t rows = r->gates * r->units;
  RecurFew f = { .l = l, .r = r, .back = back, .outputs = back ? r->units : rows,
                 .inputs = back ? rows : r->units, .turn = turn };
  int samples = (int)l->program->batch;
  f.tile = (Tile){ choose_vectors(&f, samples), samples };
  f.acc = l_registers(l->b, "part", (int)l->program->real, l->block,
                      (int64_t)f.tile.nv * f.tile.ns);
  f.sums = tile_scratch(l, "sums", back ? blocks_of(&f) * l->block
                                        : samples * recur_few_line(&f) / l->block);
  if (!back) {
    f.columns = tile_scratch(l, "columns", align_up(f.inputs, l->block) * blocks_of(&f));
    fill_columns(&f);
  }
  return f;
}

static LExpr *load_weight(void *ctx, int v)
{
  const RecurFew *f = ctx;
  LExpr *block = l_addi(f->l->b, f->first, v);
  if (f->back)
    return load_row(f, f->k, block);
  return l_load(f->l->b, f->columns, column_index(f, f->k, block), f->l->block);
}

static LExpr *load_state(void *ctx, int s)
{
  const RecurFew *f = ctx;
  Build *b = f->l->b;
  int64_t block = f->l->block, width = align_up(f->inputs, block);
  LExpr *at = f->back ? l_addi(b, l_muli(b, f->k, block), s) : l_addi(b, f->k, s * width);
  return l_load(b, f->turn, l_add(b, f->from, at), 1);
}

static void start(const RecurFew *f)
{
  Lower *l = f->l;
  for (int v = 0; v < f->tile.nv; v++)
    for (int s = 0; s < f->tile.ns; s++) {
      LExpr *init = l_real(l->b, 0);
      if (f->r->bias.node) {
        Coord c;
        coord_clear(&c);
        coord_add(&c, 0, l_addi(l->b, f->first, v), l->block, blocks_of(f));
        coord_add(&c, 0, NULL, 1, l->block);
        init = lower_load(l, f->r->bias, &c, l->block);
      }
      reg_set(l, f->acc, v * f->tile.ns + s, init);
    }
}

static void store_turned(const RecurFew *f, int v)
{
  Lower *l = f->l;
  Build *b = l->b;
  LExpr **line = ARENA_ARRAY(l->arena, LExpr *, l->block);
  for (int s = 0; s < l->block; s++)
    line[s] = s < f->tile.ns ? reg_get(l, f->acc, v * f->tile.ns + s)
                             : l_splat(b, l_real(b, 0), l->block);
  line = lower_turn(l, line);
  for (int j = 0; j < l->block; j++) {
    LExpr *output = l_addi(b, l_muli(b, l_addi(b, f->first, v), l->block), j);
    l_store(b, f->sums, l_muli(b, output, l->block), line[j]);
  }
}

static void store_lines(const RecurFew *f, int v)
{
  Build *b = f->l->b;
  LExpr *at = l_muli(b, l_addi(b, f->first, v), f->l->block);
  for (int s = 0; s < f->tile.ns; s++)
    l_store(b, f->sums, l_addi(b, at, s * recur_few_line(f)),
            reg_get(f->l, f->acc, v * f->tile.ns + s));
}

void recur_few_multiply(RecurFew *f)
{
  Lower *l = f->l;
  Build *b = l->b;
  LExpr *tiles = l_int(b, blocks_of(f) / f->tile.nv);
  LExpr *tile = l_var(b, l_loop(b, "part", l_int(b, 0), tiles, 1, FOR_ROLLED));
  f->first = f->tile.nv > 1 ? l_let(b, "ob", l_muli(b, tile, f->tile.nv)) : tile;
  start(f);
  f->k = l_var(b, l_loop(b, "k", l_int(b, 0), l_int(b, f->inputs), 1, FOR_ROLLED));
  tile_multiply(l, f->acc, f->tile, load_weight, load_state, NULL, f);
  l_end(b);
  for (int v = 0; v < f->tile.nv; v++)
    (f->back ? store_turned : store_lines)(f, v);
  l_end(b);
}

LExpr *recur_few_sum(const RecurFew *f, LExpr *output)
{
  Build *b = f->l->b;
  return l_let(b, "sum", l_load(b, f->sums, l_muli(b, output, f->l->block), f->l->block));
}
