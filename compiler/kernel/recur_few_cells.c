/* Cells of a recurrent layer with few samples, forward: a vector holds 16 units of one sample. For
 * each block of units
 *
 *   x of its gates is turned           16 rows of 16 samples -> a vector for each sample
 *   the cell runs for each sample
 *   what it has made is turned back    -> 16 rows, stored as all others are, with what is fused
 *
 * so that a batch of one costs one cell where it would cost 16. */
#include "kernel/recur_few.h"

/* The square whose lines s < batch are given, else zero, turned: a row for each unit. */
static LExpr **turn_back(const RecurFew *f, LExpr *const *vector)
{
  Lower *l = f->l;
  LExpr **line = ARENA_ARRAY(l->arena, LExpr *, l->block);
  for (int s = 0; s < l->block; s++)
    line[s] = s < l->program->batch ? vector[s] : l_splat(l->b, l_real(l->b, 0), l->block);
  return lower_turn(l, line);
}

/* Runs `each` for all blocks of units; the last one may hold fewer. */
static void all_blocks(const RecurFew *f, void (*each)(void *ctx, LExpr *unit, int count),
                       void *ctx)
{
  Build *b = f->l->b;
  int block = f->l->block, rest = (int)(f->r->units % block);
  int64_t whole = f->r->units / block;
  if (whole) {
    LExpr *u = l_var(b, l_loop(b, "ub", l_int(b, 0), l_int(b, whole), 1, FOR_ROLLED));
    each(ctx, l_let(b, "u", l_muli(b, u, block)), block);
    l_end(b);
  }
  if (rest)
    each(ctx, l_int(b, whole * block), rest);
}

/* Where a sample's 16 units lie in a state that begins at `from`. */
static LExpr *state_index(const RecurFew *f, LExpr *from, LExpr *unit, int sample)
{
  Build *b = f->l->b;
  int64_t width = align_up(f->r->units, f->l->block);
  return l_add(b, from, l_addi(b, unit, sample * width));
}

/* ---- before the first step, and after the last ---- */

typedef struct {
  const RecurFew *f;
  Buffer *state;
  int64_t at;
  Value value;
} Edge;

static void start_block(void *ctx, LExpr *unit, int count)
{
  const Edge *e = ctx;
  const RecurFew *f = e->f;
  Lower *l = f->l;
  Build *b = l->b;
  LExpr **line = ARENA_ARRAY(l->arena, LExpr *, l->block);
  for (int i = 0; i < l->block; i++) {
    line[i] = l_splat(b, l_real(b, 0), l->block);
    if (!e->value.node || i >= count)
      continue;
    Coord c;
    coord_clear(&c);
    coord_add(&c, 0, f->group, l->block, ceil_div(l->program->batch, l->block));
    coord_add(&c, 0, NULL, 1, l->block);
    coord_set(&c, 1, l_addi(b, unit, i), f->r->units);
    line[i] = l_splat(b, lower_load(l, e->value, &c, l->block), l->block);
  }
  line = e->value.node ? lower_turn(l, line) : line;
  for (int s = 0; s < l->program->batch; s++)
    l_store(b, e->state, state_index(f, l_int(b, 0), unit, s), line[s]);
}

void recur_few_start(const RecurFew *f, Buffer *to, Value rows)
{
  all_blocks(f, start_block, &(Edge){ .f = f, .state = to, .value = rows });
}

static void end_block(void *ctx, LExpr *unit, int count)
{
  const Edge *e = ctx;
  const RecurFew *f = e->f;
  Lower *l = f->l;
  Build *b = l->b;
  LExpr *vector[LANES_MAX];
  for (int s = 0; s < l->program->batch; s++) {
    LExpr *at = state_index(f, l_int(b, e->at), unit, s);
    vector[s] = l_let(b, "end", l_load(b, e->state, at, l->block));
  }
  LExpr **row = turn_back(f, vector);
  for (int i = 0; i < count; i++) {
    Coord c = recur_samples(l, f->group);
    coord_set(&c, 0, l_addi(b, unit, i), f->r->units);
    lower_store(l, e->value, &c, row[i]);
  }
}

void recur_few_end(const RecurFew *f, uint32_t result, Buffer *from, int64_t at)
{
  Value v = { (Node *)(uintptr_t)f->r->node, result };
  if (result && lower_is_stored(f->l, v))
    all_blocks(f, end_block, &(Edge){ .f = f, .state = from, .at = at, .value = v });
}

/* ---- the cells of a step ---- */

LExpr *recur_few_load(const RecurPoint *p, Value v, int q)
{
  RecurFew *f = p->few;
  Lower *l = f->l;
  Build *b = l->b;
  if (!f->in[q]) {
    int64_t end = (q + 1) * f->r->units;
    LExpr **row = ARENA_ARRAY(l->arena, LExpr *, l->block);
    for (int i = 0; i < l->block; i++) {
      LExpr *u = l_addi(b, p->unit, q * f->r->units + i);
      if (f->r->units % l->block)       /* units that are not there repeat the last one */
        u = l_min(b, u, l_int(b, end - 1));
      Coord c = recur_samples(l, p->group);
      coord_set(&c, 0, p->step, f->r->steps);
      coord_set(&c, 1, u, end);
      row[i] = l_let(b, "row", lower_load(l, v, &c, l->block));
    }
    f->in[q] = lower_turn(l, row);
  }
  return f->in[q][p->sample];
}

void recur_few_keep(const RecurPoint *p, uint32_t result, int q, LExpr *e)
{
  RecurFew *f = p->few;
  int k = 0;
  while (k < f->nmade && (f->made[k].result != result || f->made[k].q != q))
    k++;
  if (k == RECUR_MADE)
    ice("a cell makes more than %d vectors", RECUR_MADE);
  f->nmade = k == f->nmade ? k + 1 : f->nmade;
  f->made[k].result = result;
  f->made[k].q = q;
  f->made[k].vector[p->sample] = l_let(p->l->b, "made", e);
}

static void put_made(RecurFew *f, const RecurMade *m, LExpr *unit, int count)
{
  LExpr **row = turn_back(f, m->vector);
  RecurPoint p = { .r = f->r, .l = f->l, .group = f->group, .step = f->step };
  for (int i = 0; i < count; i++) {
    p.unit = l_addi(f->l->b, unit, i);
    if (m->result)
      recur_store(&p, m->result, m->q, row[i]);
    else
      recur_finish(&p, row[i]);
  }
}

static void cells_of_block(void *ctx, LExpr *unit, int count)
{
  RecurFew *f = ctx;
  Lower *l = f->l;
  Build *b = l->b;
  LExpr *sum[RECUR_GATES], *zero = l_int(b, 0);
  f->nmade = 0;
  for (int q = 0; q < f->r->gates; q++)
    f->in[q] = NULL;
  for (int s = 0; s < l->program->batch; s++) {
    RecurPoint p = { .r = f->r, .l = l, .group = f->group, .step = f->step, .unit = unit,
                     .few = f, .sample = s };
    p.old_h = l_let(b, "h", l_load(b, f->turn, state_index(f, f->from, unit, s), l->block));
    if (f->second)
      p.carried = l_let(b, "old", l_load(b, f->second, state_index(f, zero, unit, s), l->block));
    for (int q = 0; q < f->r->gates; q++) {
      LExpr *at = l_addi(b, unit, s * recur_few_line(f) + q * f->r->units);
      sum[q] = l_let(b, "sum", l_load(b, f->sums, at, l->block));
    }
    LExpr *h = f->r->forward(&p, sum);
    l_store(b, f->turn, state_index(f, f->to, unit, s), h);
    if (f->second)
      l_store(b, f->second, state_index(f, zero, unit, s), p.pass);
  }
  for (int k = 0; k < f->nmade; k++)
    put_made(f, &f->made[k], unit, count);
}

void recur_few_cells(RecurFew *f) { all_blocks(f, cells_of_block, f); }
