/* Where a value that is not finite came from. A run keeps no trace of its steps; it needs none:
 * from its last checkpoint, or from its beginning, the same steps give the same bits, on any number
 * of threads. They are run again until one ends with a loss or a tensor that is not finite; that
 * one is run once more on one thread with a watcher, which names the first bad value. */
#include "run.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct {
  gradrt_training *run;
  gradrt_step step;
  gradrt_pool *one;             /* a single worker */
  gradrt_watcher *watcher;
  void *before;                 /* the state before the step */
} replay;

/* ---- going back ---- */

static int replay_read(gradrt_training *r, const char *path)
{
  gradrt_position at;
  int code = gradrt_checkpoint_read(r->s.net, path, r->s.state, &at);
  if (code == GRADRT_OK) {
    r->at.epoch = at.epoch;
    r->at.step = at.step;
    r->at.batch_in_epoch = at.batch_in_epoch;
    r->s.torch = at.torch;
    memcpy(r->at.kept, at.kept, sizeof at.kept);
  }
  return code;
}

/* State and position of the last checkpoint, or of this process's beginning. */
static int replay_go_back(gradrt_training *r, const char **from)
{
  r->working = false;
  *from = r->saved_step >= 0 ? r->last : *r->origin ? r->origin : "the beginning";
  if (r->saved_step >= 0 || *r->origin) {
    return replay_read(r, *from);
  }
  r->at.epoch = r->at.step = r->at.batch_in_epoch = 0;
  memset(r->at.kept, 0, sizeof r->at.kept);
  int code = gradrt_session_restart(&r->s);
  return code == GRADRT_OK ? gradrt_training_weights(r, false) : code;
}

/* ---- steps ---- */

/* One batch; true: its loss or the state after it is not finite. */
static bool replay_run(replay *p, bool watched)
{
  gradrt_session *s = &p->run->s;
  gradrt_pool *all = s->pool;
  if (watched) {
    gradrt_watcher_begin(p->watcher);
    p->step.watch = p->watcher;
    s->pool = p->one;
  }
  gradrt_session_run(s, GRADRT_FN_TRAIN, &p->step);
  p->step.watch = NULL;
  s->pool = all;
  return !gradrt_is_finite(gradrt_session_loss(s->net, &p->step)) ||
         gradrt_state_nonfinite(s->net, s->state);
}

static void replay_advance(gradrt_training *r)
{
  r->at.step++;
  r->at.batch_in_epoch++;
  if (r->at.batch_in_epoch == r->steps_per_epoch) {
    r->at.batch_in_epoch = 0;
    r->at.epoch++;
  }
}

/* ---- what was found ---- */

/* A fused kernel makes a gradient and applies it at once. */
static const char *replay_direction(const gradrt_find *f)
{
  static const char *const name[] = { "forward", "backward", "update" };
  bool fused = f->kept && f->call->direction == GRADRT_BACKWARD;
  return fused ? "backward and update" : name[f->call->direction];
}

/* ", sample 3 (row 17 of the data), element [1, 2, 2]" */
static const char *replay_place(const gradrt_session *s, const gradrt_find *f, char *buf,
                                size_t size)
{
  size_t at = 0;
  buf[0] = 0;
  if (f->sample >= 0) {
    at += (size_t)snprintf(buf, size, ", sample %" PRId64 " of the batch (row %" PRIu32
                           " of the data)", f->sample, s->ids[f->sample]);
  }
  for (int i = 0; i < f->rank && at < size; i++) {
    at += (size_t)snprintf(buf + at, size - at, "%s%" PRId64 "%s", i ? ", " : ", element [",
                           f->index[i], i + 1 == f->rank ? "]" : "");
  }
  return buf;
}

static void replay_first(const gradrt_session *s, const gradrt_find *f)
{
  char layer[GRADRT_NAME_MAX], tensor[GRADRT_NAME_MAX], place[256];
  gradrt_note("first bad value: layer '%s' (%s), %s, tensor %s%s: %s",
              gradrt_text_plain(layer, sizeof layer, f->layer), f->place,
              replay_direction(f), gradrt_text_plain(tensor, sizeof tensor, f->tensor),
              replay_place(s, f, place, sizeof place), gradrt_nonfinite_text(f->value));
}

static void replay_find_json(const gradrt_find *f)
{
  fputs(",\"layer\":", stdout);
  gradrt_json_string(stdout, f->layer);
  fputs(",\"place\":", stdout);
  gradrt_json_string(stdout, f->place);
  printf(",\"direction\":\"%s\",\"tensor\":", replay_direction(f));
  gradrt_json_string(stdout, f->tensor);
  fputs(",\"value\":", stdout);
  gradrt_json_number(stdout, f->value);
}

static void replay_print_json(const gradrt_training *r, const gradrt_find *f)
{
  printf("{\"v\":1,\"event\":\"nonfinite\",\"step\":%" PRId64 ",\"epoch\":%" PRId64
         ",\"batch\":%" PRId64, r->at.step + 1, r->at.epoch + 1, r->at.batch_in_epoch + 1);
  replay_find_json(f);
  fputs("}\n", stdout);
  fflush(stdout);
}

static void replay_report(const replay *p)
{
  /* below it, products of two values do not overflow f32 */
  const double ordinary = 1e18;
  const gradrt_training *r = p->run;
  const gradrt_find *f = gradrt_watcher_found(p->watcher);
  char layer[GRADRT_NAME_MAX], tensor[GRADRT_NAME_MAX];
  if (!f) {
    gradrt_note("it arises in step %" PRId64 " (epoch %" PRId64 ", batch %" PRId64
                "), in no tensor that the step stores", r->at.step + 1, r->at.epoch + 1,
                r->at.batch_in_epoch + 1);
    return;
  }
  replay_first(&r->s, f);
  bool fused = strcmp(f->layer, f->call->layer) != 0;
  gradrt_text_plain(layer, sizeof layer, f->call->layer);
  gradrt_note("it arises in step %" PRId64 " (epoch %" PRId64 ", batch %" PRId64
              "), lr %.6g%s%s%s", r->at.step + 1, r->at.epoch + 1, r->at.batch_in_epoch + 1,
              r->rate, fused ? ", in one kernel with '" : "", fused ? layer : "",
              fused ? "'" : "");
  if (f->largest_in) {
    gradrt_note("the largest value before it in that step is %.3g, in %s", f->largest,
                gradrt_text_plain(tensor, sizeof tensor, f->largest_in));
  }
  if (f->largest < ordinary) {
    gradrt_note("nothing was near the limits of the type: look for a logarithm, root, power, "
                "division or exponential outside its range");
  }
  if (r->s.options->json) {
    replay_print_json(r, f);
  }
}

/* ---- the search ---- */

/* The step at the position, batch by batch; the first of all is watched at once: it shows which
 * infinities are usual. True: the bad one was met, or data could not be read; it is reported. */
static bool replay_step(replay *p, bool first)
{
  gradrt_training *r = p->run;
  size_t bytes = r->s.net->state_bytes;
  int64_t parts = gradrt_training_parts(r);
  for (int64_t part = 0; part < parts; part++) {
    bool watched = first && part == 0;
    if (gradrt_training_batch(r, part, &p->step) != GRADRT_OK) {
      return true;
    }
    memcpy(p->before, r->s.state, bytes);
    bool bad = replay_run(p, watched);
    if (bad && !watched) {
      memcpy(r->s.state, p->before, bytes);
      replay_run(p, true);
    }
    if (bad) {
      replay_report(p);
      return true;
    }
    if (watched) {
      gradrt_watcher_accept(p->watcher);
    }
  }
  return false;
}

static void replay_search(replay *p, int64_t failed)
{
  gradrt_training *r = p->run;
  gradrt_training_work(r);
  for (bool first = true; r->at.step < failed; first = false) {
    if (gradrt_interrupted()) {
      gradrt_note("the search was interrupted");
      return;
    }
    if (first || r->at.batch_in_epoch == 0) {
      gradrt_training_order(r);
    }
    if (replay_step(p, first)) {
      return;
    }
    replay_advance(r);
  }
  gradrt_note("the replay stayed finite, so the source is not known: memory or files may have "
              "changed meanwhile");
}

static void replay_from_good_state(gradrt_training *r, int64_t failed)
{
  replay p = { .run = r };
  const char *from;
  if (replay_go_back(r, &from) != GRADRT_OK) {
    gradrt_note("without it the source of the value cannot be found");
    return;
  }
  const gradrt_tensor *bad = gradrt_state_nonfinite(r->s.net, r->s.state);
  if (bad) {
    gradrt_note("%s holds a value that is not finite before the first step", bad->name);
    return;
  }
  char plain[GRADRT_PATH_MAX];
  gradrt_note("replaying %" PRId64 " step%s from %s to find the source", failed - r->at.step,
              failed - r->at.step == 1 ? "" : "s", gradrt_text_plain(plain, sizeof plain, from));
  gradrt_session_bind(&r->s, GRADRT_FN_TRAIN, r->set->rows, &p.step);
  p.one = gradrt_pool_start(1);
  p.watcher = gradrt_watcher_new(r->s.net, &r->s.net->train);
  p.before = gradrt_alloc(r->s.net->state_bytes);
  if (p.one && p.watcher && p.before) {
    replay_search(&p, failed);
  } else {
    gradrt_note("there is not enough memory to find the source");
  }
  gradrt_free(p.before);
  gradrt_watcher_free(p.watcher);
  gradrt_pool_stop(p.one);
}

void gradrt_training_locate(gradrt_training *r, int64_t failed)
{
  int64_t epoch = r->at.epoch, step = r->at.step, batch = r->at.batch_in_epoch;
  gradrt_training_pause(r);
  replay_from_good_state(r, failed);
  r->at.epoch = epoch;
  r->at.step = step;
  r->at.batch_in_epoch = batch;
}

/* ---- evaluation ---- */

bool gradrt_evaluation_finite(const gradrt_meter *m, double loss, int64_t seen)
{
  return seen == 0 || (gradrt_is_finite(loss) && gradrt_meter_nonfinite(m) < 0);
}

/* Function fn with the batch of the set that begins at position `first`. false: its rows cannot be
 * read, which is reported. */
static bool replay_bind(gradrt_session *s, int fn, const gradrt_set *set, int64_t first,
                        gradrt_step *step)
{
  int64_t rest = set->n - first;
  gradrt_session_bind(s, fn, set->rows, step);
  step->n = rest < s->net->batch ? rest : s->net->batch;
  memcpy(s->ids, set->row + first, (size_t)step->n * sizeof *s->ids);
  step->args[GRADRT_ARG_SEED_LO] = (double)(s->seed & 0xFFFFFFFFu);
  step->args[GRADRT_ARG_SEED_HI] = (double)(s->seed >> 32);
  return gradrt_set_want(set, NULL, first, step->n, step->rows) == GRADRT_OK;
}

/* The states that the evaluation carried to the batch at position `first`: those of the batches
 * before it, from zeros. */
static void replay_carry(gradrt_session *s, const gradrt_set *set, int64_t first)
{
  gradrt_step step;
  gradrt_carried_clear(s->net, s->state);
  for (int64_t at = 0; gradrt_carried_bytes(s->net) > 0 && at < first; at += s->net->batch) {
    if (!replay_bind(s, GRADRT_FN_EVAL, set, at, &step)) {
      return;
    }
    gradrt_session_run(s, GRADRT_FN_EVAL, &step);
  }
}

/* A training step at rate 0, on one thread, with the batch of the split that holds the sample at
 * position `at`; the state stays. True: w met a bad value in its forward pass. */
static bool replay_sample(gradrt_session *s, int split, int64_t at, gradrt_watcher *w)
{
  const gradrt_set *set = gradrt_data_set(s->data, split);
  gradrt_pool *all = s->pool, *one = gradrt_pool_start(1);
  void *state = gradrt_alloc(s->net->state_bytes);
  gradrt_step step;
  bool rows = false;
  if (one && state) {
    int64_t first = at / s->net->batch * s->net->batch;
    memcpy(state, s->state, s->net->state_bytes);
    replay_carry(s, set, first);
    rows = replay_bind(s, GRADRT_FN_TRAIN, set, first, &step);
  }
  if (rows) {
    step.args[GRADRT_ARG_BC1] = step.args[GRADRT_ARG_BC2] = 1;
    step.args[GRADRT_ARG_GROUP] = (double)step.n;
    step.args[GRADRT_ARG_UPDATE] = 1;
    step.watch = w;
    s->pool = one;
    gradrt_watcher_begin(w);
    gradrt_session_run(s, GRADRT_FN_TRAIN, &step);
    s->pool = all;
    memcpy(s->state, state, s->net->state_bytes);
  }
  gradrt_free(state);
  gradrt_pool_stop(one);
  const gradrt_find *f = gradrt_watcher_found(w);
  return f && f->call->direction == GRADRT_FORWARD;
}

static void replay_evaluation_json(const gradrt_session *s, int split, const gradrt_find *f)
{
  fputs("{\"v\":1,\"event\":\"nonfinite\",\"split\":", stdout);
  gradrt_json_string(stdout, s->net->split[split].name);
  if (s->bad_at >= 0) {
    printf(",\"sample\":%" PRId64, s->bad_at);
  }
  if (f) {
    replay_find_json(f);
  }
  fputs("}\n", stdout);
  fflush(stdout);
}

int gradrt_evaluation_blame(gradrt_session *s, int split, const gradrt_meter *m, double loss)
{
  const gradrt_net *net = s->net;
  int metrics, metric = gradrt_meter_nonfinite(m);
  char name[GRADRT_NAME_MAX], what[GRADRT_NAME_MAX] = "loss";
  if (gradrt_is_finite(loss)) {
    const gradrt_metric *of = &gradrt_meter_metrics(m, &metrics)[metric];
    gradrt_text_plain(what, sizeof what, of->name ? of->name : of->kind);
    loss = gradrt_meter_value(m, metric);
  }
  int code = gradrt_error(GRADRT_NONFINITE, "the %s on '%s' is %s", what,
                          gradrt_text_plain(name, sizeof name, net->split[split].name),
                          gradrt_nonfinite_text(loss));
  gradrt_watcher *w =
      s->bad_at >= 0 && net->train.fn ? gradrt_watcher_new(net, &net->train) : NULL;
  if (s->bad_at >= 0) {
    gradrt_note("sample %" PRId64 " of '%s' is the first (row %" PRIu32 " of the data)", s->bad_at,
                name, gradrt_data_set(s->data, split)->row[s->bad_at]);
  }
  bool found = w && replay_sample(s, split, s->bad_at, w);
  if (found) {
    replay_first(s, gradrt_watcher_found(w));
  }
  if (s->options->json) {
    replay_evaluation_json(s, split, found ? gradrt_watcher_found(w) : NULL);
  }
  gradrt_watcher_free(w);
  return code;
}
