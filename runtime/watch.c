/* The search for the first value that is not finite. A step that is run with a watcher calls
 * gradrt_watch after each of its kernel calls, in order and on one thread; all that the call wrote
 * is looked through. Infinities may belong to a healthy step (the log of a weight of zero): what
 * steps that ended well have shown is usual, and the search passes over it. */
#include "run.h"

#include <math.h>
#include <string.h>

enum { WATCH_INF = 1, WATCH_NAN = 2 };

struct gradrt_watcher {
  const gradrt_net *net;
  const gradrt_function *function;
  unsigned char *now, *usual;   /* by row of `made`: WATCH_ kinds of this step, and of good ones */
  gradrt_find find;
};

/* Where a row of `made` lies in memory. */
typedef struct {
  const char *name;
  const unsigned char *at;
  size_t stored;                /* elements */
  int ndigit;
  gradrt_digit digit[GRADRT_DIGITS_MAX];
} watch_block;

/* ---- blocks ---- */

static void watch_output(const gradrt_step *s, const gradrt_function *f, int index, watch_block *b)
{
  const gradrt_output *o = &f->output[index];
  b->name = o->name;
  b->at = s->out[index];
  b->stored = (size_t)gradrt_output_elems(o);
  b->ndigit = 0;
  if (o->batched) {
    b->stored *= (size_t)s->n;
    b->digit[b->ndigit++] = (gradrt_digit){ -1, 1, s->n };
  }
  for (int i = 0; i < o->rank; i++) {
    b->digit[b->ndigit++] = (gradrt_digit){ i, 1, o->dim[i] };
  }
}

static void watch_find_block(const gradrt_watcher *w, const gradrt_step *s, const gradrt_made *m,
                             watch_block *b)
{
  if (m->where == GRADRT_IN_OUT) {
    watch_output(s, w->function, m->index, b);
    return;
  }
  if (m->where == GRADRT_IN_STATE) {
    const gradrt_tensor *t = &w->net->tensor[m->index];
    *b = (watch_block){ t->name, (const unsigned char *)s->state + t->offset, t->stored, t->ndigit,
                        { { 0, 0, 0 } } };
    memcpy(b->digit, t->digit, sizeof b->digit);
    return;
  }
  const unsigned char *base = m->where == GRADRT_IN_ARENA ? s->arena : s->worker;
  *b = (watch_block){ m->name, base + m->offset, m->stored, m->ndigit, { { 0, 0, 0 } } };
  memcpy(b->digit, m->digit, sizeof b->digit);
}

/* Logical place of a stored element; false: it is past the layout or past the batch of n. */
static bool watch_decode(const watch_block *b, size_t position, int64_t n, gradrt_find *find)
{
  int64_t rest = (int64_t)position;
  find->rank = 0;
  find->sample = -1;
  memset(find->index, 0, sizeof find->index);
  for (int i = b->ndigit; i-- > 0;) {
    const gradrt_digit *d = &b->digit[i];
    int64_t part = rest % d->extent * d->div;
    rest /= d->extent;
    if (d->axis < 0) {
      find->sample = (find->sample < 0 ? 0 : find->sample) + part;
      continue;
    }
    find->index[d->axis] += part;
    find->rank = d->axis >= find->rank ? d->axis + 1 : find->rank;
  }
  return rest == 0 && find->sample < n;
}

static double watch_get(const gradrt_net *net, const unsigned char *at, size_t i)
{
  double wide;
  float narrow;
  if (net->real == GRADRT_F64) {
    memcpy(&wide, at + i * sizeof wide, sizeof wide);
    return wide;
  }
  memcpy(&narrow, at + i * sizeof narrow, sizeof narrow);
  return (double)narrow;
}

/* ---- one call ---- */

static void watch_scan(gradrt_watcher *w, const gradrt_step *s, int made)
{
  const gradrt_made *m = &w->function->made[made];
  watch_block b;
  watch_find_block(w, s, m, &b);
  for (size_t i = 0; i < b.stored; i++) {
    double v = watch_get(w->net, b.at, i);
    bool finite = gradrt_is_finite(v), grows = !w->find.call && fabs(v) > w->find.largest;
    gradrt_find here = { 0 };
    if ((finite && !grows) || !watch_decode(&b, i, s->n, &here)) {
      continue;
    }
    if (finite) {
      w->find.largest = fabs(v);
      w->find.largest_in = b.name;
      continue;
    }
    unsigned char kind = isnan(v) ? WATCH_NAN : WATCH_INF;
    w->now[made] |= kind;
    if (!w->find.call && !(w->usual[made] & kind)) {
      here.call = &w->function->call[m->call];
      here.layer = m->layer ? m->layer : here.call->layer;
      here.place = m->layer ? m->place : here.call->place;
      here.tensor = b.name;
      here.kept = m->where == GRADRT_IN_STATE;
      here.value = v;
      here.largest = w->find.largest;
      here.largest_in = w->find.largest_in;
      w->find = here;
    }
  }
}

void gradrt_watch(const gradrt_step *s, int call)
{
  gradrt_watcher *w = s->watch;
  for (int i = 0; i < w->function->nmade; i++) {
    if (w->function->made[i].call == call) {
      watch_scan(w, s, i);
    }
  }
}

/* ---- watchers ---- */

gradrt_watcher *gradrt_watcher_new(const gradrt_net *net, const gradrt_function *f)
{
  gradrt_watcher *w = gradrt_alloc(sizeof *w);
  if (!w) {
    return NULL;
  }
  w->net = net;
  w->function = f;
  w->now = gradrt_alloc((size_t)f->nmade + 1);
  w->usual = gradrt_alloc((size_t)f->nmade + 1);
  if (!w->now || !w->usual) {
    gradrt_watcher_free(w);
    return NULL;
  }
  return w;
}

void gradrt_watcher_free(gradrt_watcher *w)
{
  if (w) {
    gradrt_free(w->now);
    gradrt_free(w->usual);
  }
  gradrt_free(w);
}

void gradrt_watcher_begin(gradrt_watcher *w)
{
  memset(w->now, 0, (size_t)w->function->nmade);
  w->find = (gradrt_find){ 0 };
}

void gradrt_watcher_accept(gradrt_watcher *w)
{
  for (int i = 0; i < w->function->nmade; i++) {
    w->usual[i] |= w->now[i];
  }
}

const gradrt_find *gradrt_watcher_found(const gradrt_watcher *w)
{
  return w->find.call ? &w->find : NULL;
}
