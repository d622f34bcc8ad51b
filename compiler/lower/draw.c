/* Elementwise kernels that draw random numbers: four elements at a time, neighbours in the row-
 * major order of a sample, which take the four words of one block of the generator. The lanes may
 * hold samples, or channels whose planes are a multiple of four elements. */
#include "lower/lower.h"
#include "lower/points.h"

typedef struct {
  Lower *l;
  const Node *anchor;
  const Layout *layout;
  bool lanes;                   /* the last digit is a block of lanes */
  int first;                    /* digits before it are loops */
  int axis;                     /* axes from it on lie row-major behind them, without gaps */
  int64_t run;                  /* their elements */
} Quads;

enum { QUAD = 4 };

static bool draws(Lower *l, const Node *anchor)
{
  bool any = false;
  for (uint32_t i = 0; i < l->graph->order.n; i++) {
    const Node *m = l->graph->order.at[i];
    any = any || ((m->op->flags & OP_RANDOM) && points_in_group(l, m, anchor));
  }
  return any;
}

/* Finds the run of elements that neighbours share. */
static bool find_run(Quads *q)
{
  const Type *t = &q->anchor->type[0];
  const Layout *lay = q->layout;
  q->first = lay->n - q->lanes;
  q->axis = t->rank;
  q->run = 1;
  while (q->first > 1 && q->axis > 0) {
    const Digit *d = &lay->digit[q->first - 1];
    if (d->axis != q->axis - 1 || d->div != 1 || d->extent != t->dim[d->axis])
      break;
    q->run *= d->extent;
    q->first--;
    q->axis--;
  }
  for (int i = 0; i < lay->n; i++)
    if ((i < q->first || i == lay->n - q->lanes) && lay->digit[i].axis >= q->axis)
      return false;
  return q->run % QUAD == 0;
}

/* Coordinates of element p of the run, the number of its first element a multiple of four. */
static void run_coords(const Quads *q, Coord *c, LExpr *p)
{
  Build *b = q->l->b;
  const Type *t = &q->anchor->type[0];
  for (int a = t->rank - 1; a >= q->axis; a--) {
    bool outermost = a == q->axis;
    coord_set(c, a, outermost ? p : l_mod(b, p, l_int(b, t->dim[a])), t->dim[a]);
    if (!outermost)
      p = l_let(b, "p", l_div(b, p, l_int(b, t->dim[a])));
  }
}

/* Opens the loop over work items: quads of every place of the outer digits. */
static LExpr *items_begin(Quads *q, Coord *c, LExpr **quad)
{
  Lower *l = q->l;
  Build *b = l->b;
  const Digit *d = q->layout->digit;
  int64_t quads = q->run / QUAD, all = quads;
  LExpr *rest = l_var(b, l_loop(b, "item", l_var(b, l->kernel->lo), l_var(b, l->kernel->hi), 1,
                                FOR_PLAIN));
  *quad = l_let(b, "quad", l_mod(b, rest, l_int(b, quads)));
  rest = l_let(b, "rest", l_div(b, rest, l_int(b, quads)));
  for (int i = q->first - 1; i > 0; i--) {
    LExpr *e = l_int(b, 0);
    if (d[i].extent > 1) {
      e = l_let(b, "at", l_mod(b, rest, l_int(b, d[i].extent)));
      rest = l_let(b, "rest", l_div(b, rest, l_int(b, d[i].extent)));
    }
    all *= d[i].extent;
    coord_add(c, d[i].axis, e, d[i].div, d[i].extent);
  }
  coord_add(c, d[0].axis, rest, d[0].div, d[0].extent);
  if (q->lanes)
    coord_add(c, d[q->layout->n - 1].axis, NULL, 1, l->block);
  LExpr *n = lower_host_n(l);
  return l_muli(b, d[0].div > 1 ? lower_groups(l, n) : n, all);
}

bool lower_quads(Lower *l, const Node *anchor, const Layout *layout)
{
  Build *b = l->b;
  Quads q = { .l = l, .anchor = anchor, .layout = layout };
  if (!anchor->type[0].batched || layout->n < 2 || !draws(l, anchor))
    return false;
  q.lanes = points_is_lane(l, layout, layout->n - 1);
  if (!find_run(&q) || (q.lanes ? !points_lanes_fit(l, anchor, layout) : layout->digit[0].div > 1))
    return false;
  lower_kernel(l, anchor, "", "elementwise",
               q.lanes ? "lanes hold one block; four elements share a draw"
                       : "four elements share a draw");
  lower_by_samples(l, layout->digit[0].div);
  Coord c;
  LExpr *quad;
  coord_clear(&c);
  LExpr *items = items_begin(&q, &c, &quad);
  l->drawn = ARENA_ARRAY(l->arena, LExpr **, l->graph->next_id);
  for (int j = 0; j < QUAD; j++) {
    l->drawn_word = j;
    run_coords(&q, &c, l_addi(b, l_muli(b, quad, QUAD), j));
    points_finish(l, anchor, &c, q.lanes ? l->block : 1);
  }
  l->drawn = NULL;
  l_end(b);
  if (layout->digit[0].axis == AXIS_BATCH)
    lower_by_samples(l, layout->digit[0].div);
  lower_kernel_end(l, items);
  return true;
}
