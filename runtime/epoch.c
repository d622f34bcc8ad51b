/* Steps and epochs of a training run. Everything that decides a number is a function of the
 * spec, the seed and the position, so that a run resumed at any step gives the bits of one never
 * stopped. */
#include "run.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum {
  EPOCH_COMMIT_SECONDS = 1,     /* epochs shorter than this share a checkpoint */
  EPOCH_SAVE_SECONDS = 600      /* longer ones get some inside */
};

/* ---- sample order ---- */

/* PyTorch's DataLoader: a base seed nobody reads, then the sampler's seed and a generator of its
 * own. */
void gradrt_training_order(gradrt_training *r)
{
  gradrt_torch sampler;
  gradrt_training_pause(r);
  if (r->at.batch_in_epoch == 0) {
    gradrt_carried_clear(r->s.net, r->s.state);
  }
  if (!r->t->torch_rng) {
    return;
  }
  r->at.torch = r->s.torch;
  gradrt_torch_u64(&r->s.torch);
  if (!r->t->shuffle) {
    return;
  }
  gradrt_torch_seed(&sampler, gradrt_torch_u64(&r->s.torch) & UINT64_C(0x7FFFFFFFFFFFFFFF));
  gradrt_torch_randperm(&sampler, r->order, r->set->n);
}

uint32_t gradrt_training_row(const void *training, int64_t epoch, int64_t position)
{
  const gradrt_training *r = training;
  uint64_t at = (uint64_t)position;
  if (r->t->shuffle && r->order) {
    at = r->order[at];
  } else if (r->t->shuffle) {
    at = gradrt_permute(at, (uint64_t)r->set->n, r->s.seed, GRADRT_PURPOSE_SHUFFLE,
                        (uint32_t)epoch);
  }
  return r->set->row[at];
}

static void epoch_ids(gradrt_training *r, int64_t first, int64_t n)
{
  for (int64_t i = 0; i < n; i++) {
    r->s.ids[i] = gradrt_training_row(r, r->at.epoch, first + i);
  }
}

/* The rows of these positions, the set's or augmented ones, are there for a step. */
static int epoch_rows(gradrt_training *r, int64_t first, int64_t n, gradrt_step *step)
{
  gradrt_order order = { gradrt_training_row, r, r->at.epoch, r->set->n };
#ifndef GRADRT_WITHOUT_AUGMENT
  if (r->feed) {
    return gradrt_feed_want(r->feed, r->at.epoch, first, n, step->rows);
  }
#endif
  return gradrt_set_want(r->set, &order, first, n, step->rows);
}

void gradrt_training_pause(gradrt_training *r)
{
#ifndef GRADRT_WITHOUT_AUGMENT
  gradrt_feed_pause(r->feed);
#else
  (void)r;
#endif
}

/* ---- values that are not finite ---- */

const char *gradrt_nonfinite_text(double v)
{
  return isnan(v) ? "nan" : v > 0 ? "inf" : "-inf";
}

/* The notes below the error: the last good state, the source, help. */
static void epoch_explain(gradrt_training *r, int64_t failed)
{
  if (r->saved_step >= 0) {
    gradrt_note("last good checkpoint: %s (step %" PRId64 ")", r->last, r->saved_step);
  }
  gradrt_training_locate(r, failed);
  gradrt_note("help: a smaller learning rate (--lr %.3g), gradient clipping (clip: norm(1)) or "
              "scaled inputs",
              r->lr / 10);
}

/* ---- checkpoints ---- */

static int epoch_check_state(gradrt_training *r)
{
  const gradrt_tensor *bad = gradrt_state_nonfinite(r->s.net, r->s.state);
  if (!bad) {
    return GRADRT_OK;
  }
  gradrt_progress_break(&r->progress);
  int code = gradrt_error(GRADRT_NONFINITE, "%s is not finite after step %" PRId64 ", lr %.6g",
                          bad->name, r->at.step, r->rate);
  epoch_explain(r, r->at.step);
  return code;
}

/* Writes the best weights that are still in memory only. */
static int epoch_commit_best(gradrt_training *r)
{
  if (!r->best_pending) {
    return GRADRT_OK;
  }
  int code = gradrt_checkpoint_write(r->s.net, r->best, r->best_state, &r->best_at);
  if (code == GRADRT_OK) {
    r->best_pending = false;
    gradrt_progress_saved(&r->progress, r->best, r->best_at.epoch);
  }
  return code;
}

void gradrt_training_work(gradrt_training *r)
{
  if (!r->working && r->t->average != GRADRT_AVERAGE_NONE) {
    gradrt_average_exchange(r->s.net, r->s.state);
  }
  r->working = true;
}

void gradrt_training_rest(gradrt_training *r)
{
  if (r->working && r->t->average != GRADRT_AVERAGE_NONE) {
    gradrt_average_exchange(r->s.net, r->s.state);
  }
  r->working = false;
}

int gradrt_training_save(gradrt_training *r, const char *path)
{
  memset(r->at.counters, 0, sizeof r->at.counters);
  gradrt_meter_save(r->train_meter, r->at.counters,
                    (int)(sizeof r->at.counters / sizeof *r->at.counters));
  gradrt_training_rest(r);
  return gradrt_checkpoint_write(r->s.net, path, r->s.state, &r->at);
}

int gradrt_training_commit(gradrt_training *r)
{
  if (!r->writes || (r->saved_step == r->at.step && r->saved_epoch == r->at.epoch)) {
    return GRADRT_OK;
  }
  int code = epoch_check_state(r);
  code = code == GRADRT_OK ? epoch_commit_best(r) : code;
  code = code == GRADRT_OK ? gradrt_history_sync(&r->history) : code;
  if (code != GRADRT_OK) {
    return code;
  }
  code = gradrt_training_save(r, r->last);
  if (code == GRADRT_OK) {
    r->saved_at = gradrt_clock();
    r->saved_step = r->at.step;
    r->saved_epoch = r->at.epoch;
    gradrt_progress_saved(&r->progress, r->last, r->at.epoch);
  }
  return code;
}

/* Keeps a copy of the best state so far; the disk gets it with the next commit. */
static int epoch_keep_best(gradrt_training *r)
{
  int code = epoch_check_state(r);
  if (code != GRADRT_OK) {
    return code;
  }
  gradrt_training_rest(r);
  memcpy(r->best_state, r->s.state, r->s.net->state_bytes);
  r->best_at = r->at;
  memset(r->best_at.counters, 0, sizeof r->best_at.counters);
  r->best_pending = true;
  return GRADRT_OK;
}

/* ---- one step ---- */

/* A value of this batch's input that explains a non-finite loss: names its field and row. */
static void epoch_blame_input(const gradrt_training *r, int64_t n)
{
  const gradrt_net *net = r->s.net;
  for (int f = 0; f < net->nfield; f++) {
    const gradrt_field *field = &net->field[f];
    size_t elems = 1;
    for (int k = 0; k < field->rank; k++) {
      elems *= (size_t)field->dim[k];
    }
    for (int64_t i = 0; i < n && r->set->rows[f]; i++) {        /* pictures are finite */
      for (size_t k = 0; k < elems; k++) {
        size_t at = r->s.ids[i] * elems + k;
        const void *rows = r->set->rows[f];
        double v = field->dtype == GRADRT_F32   ? (double)((const float *)rows)[at]
                   : field->dtype == GRADRT_F64 ? ((const double *)rows)[at]
                                                : 0;
        if (!gradrt_is_finite(v)) {
          gradrt_note("the data holds %g: field %s, row %" PRIu32 ", element %zu", v, field->name,
                      r->s.ids[i], k);
          return;
        }
      }
    }
  }
}

static int epoch_nonfinite(gradrt_training *r, double loss, int64_t n)
{
  gradrt_progress_break(&r->progress);
  int code = gradrt_error(GRADRT_NONFINITE,
                          "the loss is %s at step %" PRId64 " (epoch %" PRId64 ", batch %" PRId64
                          "), lr %.6g",
                          gradrt_nonfinite_text(loss), r->at.step + 1, r->at.epoch + 1,
                          r->at.batch_in_epoch + 1, r->rate);
  char recent[128] = "";
  for (int i = 0, at = 0; i < 4 && i < r->nrecent; i++) {
    at += snprintf(recent + at, sizeof recent - (size_t)at, " %.6g", r->recent[i]);
  }
  if (recent[0]) {
    gradrt_note("losses of the steps before, newest first:%s", recent);
  }
  epoch_blame_input(r, n);
  epoch_commit_best(r);
  epoch_explain(r, r->at.step + 1);
  return code;
}

/* After data that cannot be read, which is reported: what there is stays. */
static int epoch_unread(gradrt_training *r, int code)
{
  gradrt_progress_break(&r->progress);
  epoch_commit_best(r);
  if (r->saved_step >= 0) {
    gradrt_note("last good checkpoint: %s (step %" PRId64 ")", r->last, r->saved_step);
  }
  return code;
}

int gradrt_training_evaluate(gradrt_training *r, int split, gradrt_meter *m, double *loss)
{
  int64_t seen;
  gradrt_training_rest(r);
  gradrt_training_pause(r);
  int code = gradrt_session_evaluate(&r->s, split, m, r->eval_batches, loss, &seen);
  if (code == GRADRT_DATA) {
    return epoch_unread(r, code);
  }
  if (code != GRADRT_OK || gradrt_evaluation_finite(m, *loss, seen)) {
    return code;
  }
  code = epoch_check_state(r);          /* weights that are not finite say more */
  if (code != GRADRT_OK) {
    return code;
  }
  gradrt_progress_break(&r->progress);
  code = gradrt_evaluation_blame(&r->s, split, m, *loss);
  gradrt_note("this is after step %" PRId64 " (epoch %" PRId64 "), lr %.6g", r->at.step,
              r->at.epoch + 1, r->rate);
  epoch_commit_best(r);
  if (r->saved_step >= 0) {
    gradrt_note("last good checkpoint: %s (step %" PRId64 ")", r->last, r->saved_step);
  }
  return code;
}

/* The rate of a step, with what a `plateau` has taken from it. */
static double epoch_rate(const gradrt_training *r, int64_t step)
{
  double scale = r->at.kept[GRADRT_KEPT_PLATEAU];
  return gradrt_schedule_lr(r->t, scale > 0 ? r->lr * scale : r->lr, step, r->steps_per_epoch,
                            (double)r->epochs);
}

static void epoch_args(gradrt_training *r, gradrt_step *step)
{
  const gradrt_train *t = r->t;
  int64_t count = r->at.step + 1;
  r->rate = epoch_rate(r, r->at.step);
  step->args[GRADRT_ARG_LR] = r->rate;
  step->args[GRADRT_ARG_STEP] = (double)r->at.step;
  step->args[GRADRT_ARG_BC1] = 1 - gradrt_power(t->beta1, count);
  step->args[GRADRT_ARG_BC2] = 1 - gradrt_power(t->beta2, count);
  step->args[GRADRT_ARG_SEED_LO] = (double)(r->s.seed & 0xFFFFFFFFu);
  step->args[GRADRT_ARG_SEED_HI] = (double)(r->s.seed >> 32);
  step->args[GRADRT_ARG_EPOCH] = (double)r->at.epoch;
  step->args[GRADRT_ARG_AVERAGE] = gradrt_average_share(t, r->at.step, r->steps_per_epoch);
}

/* Samples of the step at the position, in all of its batches; *first: where they begin. */
static int64_t epoch_group(const gradrt_training *r, int64_t *first)
{
  int64_t each = r->s.net->batch * r->accumulate;
  *first = r->at.batch_in_epoch * each;
  return r->set->n - *first < each ? r->set->n - *first : each;
}

int64_t gradrt_training_parts(const gradrt_training *r)
{
  int64_t first, batch = r->s.net->batch;
  return (epoch_group(r, &first) + batch - 1) / batch;
}

/* The share of the targets of n samples that count, of batches whose gradients one step sums. */
static double epoch_counted(gradrt_training *r, int64_t first, int64_t n)
{
  double counted = 0;
  for (int64_t done = 0, part; done < n; done += part) {
    part = n - done < r->s.net->batch ? n - done : r->s.net->batch;
    epoch_ids(r, first + done, part);
    counted += gradrt_counted_share(r->s.net, r->set->rows, r->s.ids, part) * (double)part;
  }
  return counted / (double)n;
}

int gradrt_training_batch(gradrt_training *r, int64_t part, gradrt_step *step)
{
  int64_t first, n = epoch_group(r, &first), batch = r->s.net->batch, rest = n - part * batch;
  step->n = rest < batch ? rest : batch;
  if (r->t->counted && part == 0)
    r->s.share = n > batch ? epoch_counted(r, first, n) : 0;
  epoch_ids(r, first + part * batch, step->n);
  epoch_args(r, step);
  step->args[GRADRT_ARG_GROUP] = (double)n;
  step->args[GRADRT_ARG_UPDATE] = rest <= batch;
  return epoch_rows(r, first + part * batch, step->n, step);
}

static int epoch_step(gradrt_training *r, gradrt_step *step)
{
  int64_t parts = gradrt_training_parts(r);
  double loss = 0, sum = 0, n = 0;
  gradrt_training_work(r);
  for (int64_t part = 0; part < parts; part++) {
    int code = gradrt_training_batch(r, part, step);
    if (code != GRADRT_OK) {
      return epoch_unread(r, code);
    }
    gradrt_session_run(&r->s, GRADRT_FN_TRAIN, step);
    loss = gradrt_session_loss(r->s.net, step);
    if (!gradrt_is_finite(loss)) {
      return epoch_nonfinite(r, loss, step->n);
    }
    gradrt_meter_add(r->train_meter, step->out, step->n,
                     gradrt_loss_samples(r->s.net, step->rows, r->s.ids, step->n));
    sum += r->t->loss_sum ? loss : loss * (double)step->n;
    n += (double)step->n;
  }
  loss = parts == 1 ? loss : r->t->loss_sum ? sum : sum / n;
  if (r->log) {
    fprintf(r->log, "%" PRId64 ",%.17g,%.17g\n", r->at.step + 1, loss, r->rate);
  }
  memmove(r->recent + 1, r->recent, sizeof r->recent - sizeof *r->recent);
  r->recent[0] = loss;
  r->nrecent += r->nrecent < 4;
  r->at.loss_sum += sum;
  r->at.seen += n;
  r->at.batch_in_epoch++;
  r->at.step++;
  gradrt_every_add(r, loss, n);
  return GRADRT_OK;
}

/* ---- the end of an epoch ---- */

static double epoch_loss(const gradrt_training *r)
{
  return r->t->loss_sum ? r->at.loss_sum : r->at.loss_sum / r->at.seen;
}

/* The number a stop or the choice of the best looks at: a column of the row. -1: the loss. */
static int epoch_column(const gradrt_training *r, const char *prefix, int metric)
{
  const gradrt_history *h = &r->history;
  for (int c = 0; c < h->ncolumn; c++) {
    size_t n = strlen(prefix);
    if (strncmp(h->column[c], prefix, n) != 0 || h->column[c][n] != '_') {
      continue;
    }
    const gradrt_metric *of = h->of[c], *want = metric >= 0 ? &r->t->metric[metric] : NULL;
    bool loss = want && strcmp(want->kind, "loss") == 0;
    if ((!want || loss) ? !of && strcmp(h->column[c] + n, "_loss") == 0
                        : of && of->kind == want->kind && of->name == want->name &&
                              of->output == want->output) {
      return c;
    }
  }
  return -1;
}

static int epoch_evaluate(gradrt_training *r, double *row)
{
  if (r->monitor < 0) {
    return GRADRT_OK;
  }
  double loss;
  gradrt_meter_reset(r->monitor_meter);
  int code = gradrt_training_evaluate(r, r->monitor, r->monitor_meter, &loss);
  if (code == GRADRT_OK) {
    int c = 4 + r->history.nmetric;
    row[c++] = loss;
    for (int i = 0; i < r->history.nmetric; i++) {
      row[c++] = gradrt_meter_value(r->monitor_meter, i);
    }
  }
  return code;
}

/* Updates best and stalled from the row; true: the best so far. */
static bool epoch_is_best(gradrt_training *r, const double *row)
{
  const gradrt_train *t = r->t;
  if (t->best_split < 0 || r->monitor < 0) {
    return false;
  }
  int c = epoch_column(r, r->s.net->split[t->best_split].name, t->best_metric);
  bool low = t->best_low || t->best_metric < 0;
  double v = c >= 0 ? row[c] : NAN, best = r->at.best;
  bool better = gradrt_is_finite(v) && (isnan(best) || (low ? v < best : v > best));
  if (better) {
    r->at.best = v;
    r->at.best_epoch = r->at.epoch + 1;
    r->at.stalled = 0;
  } else {
    r->at.stalled++;
  }
  return better;
}

/* The rate of the epochs to come, after the row of this one. */
static void epoch_plateau(gradrt_training *r, const double *row)
{
  double *kept = &r->at.kept[GRADRT_KEPT_PLATEAU];
  gradrt_plateau p = { kept[0], kept[1], kept[2], kept[3] };
  if (r->monitor < 0) {
    return;
  }
  gradrt_plateau_epoch(r->t, r->lr, r->at.step - 1, r->steps_per_epoch,
                       row[4 + r->history.nmetric], &p);
  kept[0] = p.scale;
  kept[1] = p.best;
  kept[2] = p.bad;
  kept[3] = p.cooldown;
}

/* Validation, row, then the checkpoint. */
static int epoch_end(gradrt_training *r)
{
  gradrt_history *h = &r->history;
  double row[GRADRT_COLUMNS_MAX];
  double began = gradrt_clock();
  row[0] = (double)(r->at.epoch + 1);
  row[1] = (double)r->at.step;
  row[2] = epoch_rate(r, r->at.step - 1);
  row[3] = epoch_loss(r);
  for (int i = 0; i < h->nmetric; i++) {
    row[4 + i] = gradrt_meter_value(r->train_meter, i);
  }
  int code = epoch_evaluate(r, row);
  if (code != GRADRT_OK) {
    return code;
  }
  double now = gradrt_clock(), seconds = now - r->epoch_began;
  bool best = epoch_is_best(r, row);
  epoch_plateau(r, row);
  row[h->ncolumn - 1] = best;
  double seen = r->at.seen - r->seen_before;
  r->at.epoch++;
  r->at.batch_in_epoch = 0;
  r->at.loss_sum = r->at.seen = 0;
  r->at.torch = r->s.torch;
  gradrt_meter_reset(r->train_meter);
  if (best && r->writes) {
    code = epoch_keep_best(r);
  }
  if (code == GRADRT_OK) {
    code = gradrt_history_append(h, row, seconds, seen);
  }
  if (code == GRADRT_OK) {
    code = gradrt_every_run(r, true);
  }
  if (code == GRADRT_OK && (r->saved_step < 0 || now - r->saved_at >= EPOCH_COMMIT_SECONDS)) {
    code = gradrt_training_commit(r);
  }
  gradrt_progress_epoch(&r->progress, row, seconds, now - began);
  return code;
}

/* ---- stops ---- */

int gradrt_training_measure(gradrt_training *r, int split, int metric, double *out)
{
  const gradrt_net *net = r->s.net;
  gradrt_meter *m = gradrt_meter_new(net, metric >= 0 ? &r->t->metric[metric] : NULL,
                                     metric >= 0 ? 1 : 0, &net->eval);
  if (!m) {
    return gradrt_error(GRADRT_LIMIT, "out of memory for a metric");
  }
  int code = gradrt_training_evaluate(r, split, m, out);
  if (code == GRADRT_OK && metric >= 0 && strcmp(r->t->metric[metric].kind, "loss") != 0) {
    *out = gradrt_meter_value(m, 0);
  }
  gradrt_meter_free(m);
  return code;
}

/* The value a stop condition looks at, now. */
static int epoch_stop_value(gradrt_training *r, const gradrt_stop *stop, double *out)
{
  const gradrt_net *net = r->s.net;
  int64_t row = r->history.nrow - 1;
  bool trained = stop->split == r->t->train_split;
  if (stop->split == r->monitor || trained) {
    int c = epoch_column(
        r, trained && stop->split != r->monitor ? "train" : net->split[stop->split].name,
        stop->metric);
    if (c >= 0) {
      *out = gradrt_history_at(&r->history, row, c);
      return GRADRT_OK;
    }
  }
  return gradrt_training_measure(r, stop->split, stop->metric, out);
}

int gradrt_training_check_stops(gradrt_training *r)
{
  for (int i = 0; i < r->t->nstop && r->history.nrow > 0; i++) {
    const gradrt_stop *stop = &r->t->stop[i];
    if (stop->how == GRADRT_STOP_STALLED) {
      if ((double)r->at.stalled >= stop->patience && r->at.best_epoch > 0) {
        r->outcome = GRADRT_STALLED;
      }
      continue;
    }
    double v;
    int code = epoch_stop_value(r, stop, &v);
    if (code != GRADRT_OK) {
      return code;
    }
    if (stop->want_low ? v <= stop->threshold : v >= stop->threshold) {
      r->outcome = GRADRT_REACHED;
      return GRADRT_OK;
    }
  }
  return GRADRT_OK;
}

/* ---- the epoch ---- */

static double epoch_share(const gradrt_training *r)
{
  for (int i = 0; i < r->history.nmetric; i++) {
    if (gradrt_metric_is_share(&r->history.metric[i])) {
      return gradrt_meter_value(r->train_meter, i);
    }
  }
  return NAN;
}

/* Whether the loop has to stop before the next step. */
static bool epoch_must_stop(gradrt_training *r)
{
  if (gradrt_interrupted()) {
    r->outcome = GRADRT_INTERRUPTED;
  } else if (r->at.step >= r->last_step) {
    r->outcome = GRADRT_STEPS_DONE;
  }
  return r->outcome != GRADRT_GOING;
}

static int epoch_after_step(gradrt_training *r)
{
  gradrt_moment m = { .epoch = r->at.epoch, .batch = r->at.batch_in_epoch, .step = r->at.step,
                      .loss = epoch_loss(r), .share = NAN };
  if (r->progress.show != GRADRT_SHOW_NONE || r->progress.json) {
    m.share = epoch_share(r);
  }
  gradrt_progress_step(&r->progress, &m);
  bool asked = r->save_every > 0 && r->at.step % r->save_every == 0;
  bool overdue = (r->at.step & 15) == 0 && gradrt_clock() - r->saved_at > EPOCH_SAVE_SECONDS;
  bool inside = r->at.batch_in_epoch < r->steps_per_epoch;
  int code = gradrt_every_run(r, false);
  if (code != GRADRT_OK) {
    return code;
  }
  return inside && (asked || overdue) ? gradrt_training_commit(r) : GRADRT_OK;
}

/* Steps to the end of the epoch, and what ends it. */
static int epoch_run(gradrt_training *r)
{
  gradrt_step step;
  gradrt_session_bind(&r->s, GRADRT_FN_TRAIN, r->set->rows, &step);
  r->epoch_began = gradrt_clock();
  r->seen_before = r->at.seen;
  gradrt_training_order(r);
  while (r->at.batch_in_epoch < r->steps_per_epoch) {
    if (epoch_must_stop(r)) {
      return GRADRT_OK;
    }
    int code = epoch_step(r, &step);
    if (code == GRADRT_OK) {
      code = epoch_after_step(r);
    }
    if (code != GRADRT_OK) {
      return code;
    }
  }
  int code = gradrt_interrupted() ? -1 : epoch_end(r);
  if (code == GRADRT_OK) {
    code = gradrt_training_check_stops(r);
  }
  if (code == -1) {
    r->outcome = GRADRT_INTERRUPTED;
    return GRADRT_OK;
  }
  return code;
}

int gradrt_training_epoch(gradrt_training *r)
{
  int code = epoch_run(r);
  gradrt_training_rest(r);
  return code;
}
