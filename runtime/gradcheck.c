/* gradcheck: the gradients of the generated code against central differences of its own loss.
 *
 * The program was built in double with slots "grad.<parameter>" that hold the gradient instead of an update.
 * One batch of training data is used. For each parameter the elements are compared (all of a small
 * tensor, a keyed choice of a large one) with (loss(w + h) - loss(w - h)) / 2h. A difference that
 * shrinks with h crossed a kink (relu, max): the smallest error over four step sizes counts. Where
 * the loss has a kink at w itself, the differences to both sides stay apart as h shrinks and cannot
 * tell which gradient is right: such elements are counted instead. */
#include "run.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GRADCHECK_ELEMENTS = 200 };
static const double gradcheck_bound = 1e-6;

typedef struct {
  gradrt_session *s;
  gradrt_step step;
  unsigned char *kept;          /* the state before any step */
} gradcheck_run;

static const gradrt_tensor *gradcheck_slot(const gradrt_net *net, const char *param)
{
  for (int i = 0; i < net->ntensor; i++)
    if (!strncmp(net->tensor[i].name, "grad.", 5) && !strcmp(net->tensor[i].name + 5, param))
      return &net->tensor[i];
  return NULL;
}

/* Loss of the batch with the state as it is now; statistics that the step wrote are taken back. */
static double gradcheck_loss(gradcheck_run *r)
{
  const gradrt_net *net = r->s->net;
  unsigned char *before = malloc(net->state_bytes);
  double loss = NAN;
  if (!before)
    return NAN;
  memcpy(before, r->s->state, net->state_bytes);
  gradrt_session_run(r->s, GRADRT_FN_TRAIN, &r->step);
  memcpy(&loss, r->step.out[0], sizeof loss);
  memcpy(r->s->state, before, net->state_bytes);
  free(before);
  return loss;
}

/* The worst element of a tensor, and how many lie at a kink and so are none. */
typedef struct {
  double error, analytic, numeric;
  int64_t at, kinks;
} gradcheck_worst;

/* Relative to the element, but an element far below the tensor's largest gradient counts as a hundredth of
 * that: the rounding of the loss gives differences an absolute noise. */
static double gradcheck_error(double analytic, double numeric, double largest)
{
  double size = fmax(1e-3, fmax(largest / 100, fmax(fabs(analytic), fabs(numeric))));
  return fabs(analytic - numeric) / size;
}

/* One element while it is moved. */
typedef struct {
  gradcheck_run *r;
  const gradrt_tensor *t;
  double *w;
  int64_t i;
} gradcheck_point;

static double gradcheck_loss_at(const gradcheck_point *p, double value)
{
  double keep = p->w[p->i];
  p->w[p->i] = value;
  gradrt_tensor_store(p->r->s->net, p->t, p->r->s->state, p->w);
  p->w[p->i] = keep;
  double loss = gradcheck_loss(p->r);
  gradrt_tensor_store(p->r->s->net, p->t, p->r->s->state, p->w);
  return loss;
}

/* The differences to the right and to the left, a relative step away; returns what the rounding of
 * the loss may add to them. */
static double gradcheck_sides(const gradcheck_point *p, double step, double side[2])
{
  double w = p->w[p->i], h = step * fmax(1, fabs(w)), here = gradcheck_loss_at(p, w);
  side[0] = (gradcheck_loss_at(p, w + h) - here) / h;
  side[1] = (here - gradcheck_loss_at(p, w - h)) / h;
  return 0x1p-48 * fmax(1, fabs(here)) / h;      /* 16 units in the last place */
}

/* Has the loss a kink at the element, or one so near that the gradient is that of one side? The sides
 * of a smooth loss come together as the step shrinks. */
static bool gradcheck_kink(const gradcheck_point *p, double analytic, double largest)
{
  double far[2], near[2];
  gradcheck_sides(p, 1e-6, far);
  double noise = gradcheck_sides(p, 1e-7, near);
  bool apart = gradcheck_error(near[0], near[1], largest) > gradcheck_bound &&
               fabs(near[0] - near[1]) > noise;
  bool stays = fabs(near[0] - near[1]) > fabs(far[0] - far[1]) / 2;
  bool one = gradcheck_error(analytic, near[0], largest) <= gradcheck_bound ||
             gradcheck_error(analytic, near[1], largest) <= gradcheck_bound;
  return apart && (stays || one);
}

static void gradcheck_element(const gradcheck_point *p, double analytic, double largest,
                              gradcheck_worst *worst)
{
  static const double steps[] = { 1e-5, 1e-6, 1e-4, 1e-7 };
  double w = p->w[p->i], best = INFINITY, best_numeric = NAN;
  for (size_t k = 0; k < sizeof steps / sizeof *steps && !(best <= gradcheck_bound); k++) {
    double h = steps[k] * fmax(1, fabs(w));
    double numeric = (gradcheck_loss_at(p, w + h) - gradcheck_loss_at(p, w - h)) / (2 * h);
    double error = gradcheck_error(analytic, numeric, largest);
    if (error < best || best_numeric != best_numeric) {
      best = error;
      best_numeric = numeric;
    }
  }
  if (!(best <= gradcheck_bound) && gradcheck_kink(p, analytic, largest)) {
    worst->kinks++;
    return;
  }
  if (!(best <= worst->error)) {
    worst->error = best;
    worst->analytic = analytic;
    worst->numeric = best_numeric;
    worst->at = p->i;
  }
}

static void gradcheck_place(const gradrt_tensor *t, int64_t at, char *text, size_t size)
{
  int64_t index[GRADRT_RANK_MAX];
  size_t used = 0;
  text[0] = '\0';
  for (int a = t->rank - 1; a >= 0; a--) {
    index[a] = at % t->dim[a];
    at /= t->dim[a];
  }
  for (int a = 0; a < t->rank && used < size; a++)
    used += (size_t)snprintf(text + used, size - used, "%s%" PRId64, a ? "," : "", index[a]);
}

/* Compares one tensor; returns its worst element. */
static int gradcheck_tensor(gradcheck_run *r, const gradrt_tensor *t, const gradrt_tensor *slot, gradcheck_worst *worst)
{
  int64_t n = gradrt_tensor_elems(t);
  double *w = calloc((size_t)n, sizeof *w), *g = calloc((size_t)n, sizeof *g);
  if (!w || !g) {
    free(w);
    free(g);
    return gradrt_error(GRADRT_LIMIT, "out of memory for '%s'", t->name);
  }
  gradrt_tensor_load(r->s->net, t, r->s->state, w);
  gradrt_session_run(r->s, GRADRT_FN_TRAIN, &r->step);
  gradrt_tensor_load(r->s->net, slot, r->s->state, g);
  memcpy(r->s->state, r->kept, r->s->net->state_bytes);
  *worst = (gradcheck_worst){ .error = -1 };
  double largest = 0;
  for (int64_t k = 0; k < n; k++)
    largest = fmax(largest, fabs(g[k]));
  int64_t count = n < GRADCHECK_ELEMENTS ? n : GRADCHECK_ELEMENTS;
  for (int64_t k = 0; k < count; k++) {
    int64_t i = count == n ? k : (int64_t)gradrt_permute((uint64_t)k, (uint64_t)n, 0, GRADRT_PURPOSE_DATA, 0);
    gradcheck_element(&(gradcheck_point){ r, t, w, i }, g[i], largest, worst);
  }
  free(w);
  free(g);
  return GRADRT_OK;
}

static int gradcheck_unknown(const gradrt_net *net, const char *name)
{
  char plain[128];
  const char *known[64];
  int n = 0;
  for (int i = 0; i < net->ntensor && n < 64; i++)
    if (gradcheck_slot(net, net->tensor[i].name))
      known[n++] = net->tensor[i].name;
  const char *near = gradrt_text_nearest(name, known, n);
  return gradrt_error(GRADRT_USAGE, "no trained parameter is called '%s'%s%s%s",
                      gradrt_text_plain(plain, sizeof plain, name), near ? "; did you mean " : "",
                      near ? near : "", near ? "?" : "");
}

/* "conv.weight   54 elements  worst error 2.1e-09 at [0,1,2,0]  ok, 3 kinks" */
static void gradcheck_print(const gradrt_tensor *t, const gradcheck_worst *worst, bool ok)
{
  char place[128], kinks[48] = "";
  gradcheck_place(t, worst->at, place, sizeof place);
  if (worst->kinks)
    snprintf(kinks, sizeof kinks, "%" PRId64 " kink%s", worst->kinks, worst->kinks == 1 ? "" : "s");
  printf("%-24s %8" PRId64 " elements  ", t->name, gradrt_tensor_elems(t));
  if (worst->error < 0)         /* all that were looked at */
    printf("%s\n", kinks);
  else
    printf("worst error %.2e at [%s]  %s%s%s\n", worst->error, place, ok ? "ok" : "WRONG",
           worst->kinks ? ", " : "", kinks);
  if (!ok)
    printf("    the code gives %.12g, the differences %.12g\n", worst->analytic, worst->numeric);
}

static int gradcheck_all(gradcheck_run *r)
{
  const gradrt_net *net = r->s->net;
  const char *only = r->s->options->param;
  bool quiet = r->s->options->quiet;
  int failed = 0, checked = 0;
  int64_t kinks = 0;
  for (int i = 0; i < net->ntensor; i++) {
    const gradrt_tensor *t = &net->tensor[i], *slot = gradcheck_slot(net, t->name);
    gradcheck_worst worst = { .error = 0 };
    if (t->role != GRADRT_PARAM || !slot || (only && strcmp(only, t->name) != 0))
      continue;
    int code = gradcheck_tensor(r, t, slot, &worst);
    if (code)
      return code;
    bool ok = worst.error <= gradcheck_bound;
    if (!ok || !quiet)
      gradcheck_print(t, &worst, ok);
    kinks += worst.kinks;
    failed += !ok;
    checked++;
  }
  if (only && !checked)
    return gradcheck_unknown(net, only);
  if (failed)
    return gradrt_error(GRADRT_QUALITY, "%d of %d parameter tensors have a wrong gradient", failed, checked);
  printf("%d parameter tensors, all within %.0e\n", checked, gradcheck_bound);
  if (kinks)
    printf("kinks (relu, max), where differences to both sides stay apart and cannot tell: %" PRId64
           "\n", kinks);
  return GRADRT_OK;
}

/* What batches hand on is there as if the batch followed itself, and nothing else has changed. */
static void gradcheck_carry(gradcheck_run *r)
{
  const gradrt_net *net = r->s->net;
  gradrt_session_run(r->s, GRADRT_FN_TRAIN, &r->step);
  gradrt_carried_put_aside(net, r->s->state, r->s->aside);
  gradrt_carried_bring_back(net, r->kept, r->s->aside);
  memcpy(r->s->state, r->kept, net->state_bytes);
}

bool gradrt_gradcheck_wanted(const gradrt_net *net)
{
  for (int i = 0; i < net->ntensor; i++)
    if (net->tensor[i].role == GRADRT_SLOT && !strncmp(net->tensor[i].name, "grad.", 5))
      return true;
  return false;
}

int gradrt_gradcheck_main(const gradrt_net *net, const gradrt_options *o)
{
  gradrt_session s;
  if (!net->training || net->real != GRADRT_F64)
    return gradrt_error(GRADRT_USAGE, "gradcheck needs a program that 'gradc gradcheck' built");
  int split = net->training->train_split;
  int code = gradrt_session_open(&s, net, o);
  if (!code)
    code = gradrt_session_load(&s, &split, 1, true);
  if (!code) {
    const gradrt_set *set = gradrt_data_set(s.data, split);
    gradcheck_run r = { .s = &s, .kept = malloc(net->state_bytes) };
    gradrt_session_bind(&s, GRADRT_FN_TRAIN, set->rows, &r.step);
    r.step.n = set->n < net->batch ? set->n : net->batch;
    for (int64_t i = 0; i < r.step.n; i++)
      s.ids[i] = set->row[i];
    r.step.ids = s.ids;
    code = gradrt_set_want(set, NULL, 0, r.step.n, r.step.rows);
    r.step.args[GRADRT_ARG_N] = (double)r.step.n;
    r.step.args[GRADRT_ARG_BC1] = r.step.args[GRADRT_ARG_BC2] = 1;
    r.step.args[GRADRT_ARG_SEED_LO] = 1;
    if (code == GRADRT_OK && !r.kept)
      code = gradrt_error(GRADRT_LIMIT, "out of memory");
    if (code == GRADRT_OK) {
      memcpy(r.kept, s.state, net->state_bytes);
      gradcheck_carry(&r);
      code = gradcheck_all(&r);
    }
    free(r.kept);
  }
  gradrt_session_close(&s);
  return code;
}
