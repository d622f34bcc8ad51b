/* One open net: memory, workers, state and data, and the two things every command does with them:
 * running a step and evaluating a split. Knows nothing of options' meaning for training. */
#include "run.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const gradrt_function *session_function(const gradrt_net *net, int fn)
{
  return fn == GRADRT_FN_TRAIN ? &net->train : fn == GRADRT_FN_EVAL ? &net->eval : &net->infer;
}

bool gradrt_is_finite(double v)
{
  uint64_t bits;
  memcpy(&bits, &v, sizeof bits);
  return (bits >> 52 & 0x7FF) != 0x7FF;
}

const gradrt_tensor *gradrt_state_nonfinite(const gradrt_net *net, const void *state)
{
  for (int i = 0; i < net->ntensor; i++) {
    const gradrt_tensor *t = &net->tensor[i];
    const unsigned char *at = (const unsigned char *)state + t->offset;
    for (size_t k = 0; k < t->stored; k++) {
      uint64_t wide;
      uint32_t narrow;
      bool bad;
      if (net->real == GRADRT_F64) {
        memcpy(&wide, at + k * sizeof wide, sizeof wide);
        bad = (wide >> 52 & 0x7FF) == 0x7FF;
      } else {
        memcpy(&narrow, at + k * sizeof narrow, sizeof narrow);
        bad = (narrow >> 23 & 0xFF) == 0xFF;
      }
      if (bad) {
        return t;
      }
    }
  }
  return NULL;
}

int gradrt_split_find(const gradrt_net *net, const char *name)
{
  for (int i = 0; i < net->nsplit; i++) {
    if (strcmp(net->split[i].name, name) == 0) {
      return i;
    }
  }
  return -1;
}

/* ---- opening ---- */

static int session_no_memory(const gradrt_net *net, size_t bytes)
{
  return gradrt_error(GRADRT_LIMIT, "out of memory: %s needs %.1f MB at once", net->name,
                      (double)bytes / 1e6);
}

/* Buffers of one function's outputs: rows rounded up to 16, or the elements once. */
static int session_outputs(gradrt_session *s, int fn)
{
  const gradrt_net *net = s->net;
  const gradrt_function *f = session_function(net, fn);
  size_t size = net->real == GRADRT_F64 ? sizeof(double) : sizeof(float);
  for (int i = 0; f->fn && i < f->noutput; i++) {
    size_t rows = f->output[i].batched ? ((size_t)net->batch + 15) / 16 * 16 : 1;
    size_t elems = (size_t)gradrt_output_elems(&f->output[i]), bytes;
    if (!gradrt_mul_size(rows, elems, &bytes) || !gradrt_mul_size(bytes, size, &bytes)) {
      return gradrt_error(GRADRT_LIMIT, "the output %s is too large", f->output[i].name);
    }
    s->out[fn][i] = gradrt_alloc(bytes);
    if (!s->out[fn][i]) {
      return session_no_memory(net, bytes);
    }
  }
  return GRADRT_OK;
}

static int session_memory(gradrt_session *s)
{
  const gradrt_net *net = s->net;
  size_t arena = 64, worker = 64;
  for (int fn = 0; fn < 3; fn++) {
    const gradrt_function *f = session_function(net, fn);
    arena = f->fn && f->arena_bytes > arena ? f->arena_bytes : arena;
    worker = f->fn && f->worker_bytes > worker ? f->worker_bytes : worker;
  }
  if (!gradrt_mul_size(worker, (size_t)gradrt_pool_size(s->pool), &worker)) {
    return gradrt_error(GRADRT_LIMIT, "the workers' memory of %s does not fit", net->name);
  }
  size_t rows = ((size_t)net->batch + 15) / 16 * 16;
  size_t state = net->state_bytes > 64 ? net->state_bytes : 64;
  double need = 2 * (double)state + (double)arena + (double)worker, have = gradrt_memory();
  if (need > have) {
    return gradrt_error(GRADRT_LIMIT, "%s needs %.2f GiB of memory, this machine has %.2f: twice "
                        "%.2f for parameters and the optimizer, as they are and a copy, %.2f for "
                        "values of a batch of %" PRId64, net->name, need / 0x1p30, have / 0x1p30,
                        (double)state / 0x1p30, (double)(arena + worker) / 0x1p30, net->batch);
  }
  s->state = gradrt_alloc(state);
  s->arena = s->state ? gradrt_alloc(arena) : NULL;
  s->worker = s->arena ? gradrt_alloc(worker) : NULL;
  s->aside = s->worker ? gradrt_alloc(gradrt_carried_bytes(net)) : NULL;
  s->ids = s->aside ? gradrt_alloc(rows * sizeof *s->ids) : NULL;
  if (!s->ids) {
    return session_no_memory(net, state + arena + worker);
  }
  int code = GRADRT_OK;
  for (int fn = 0; fn < 3 && code == GRADRT_OK; fn++) {
    code = session_outputs(s, fn);
  }
  return code;
}

int gradrt_run_directory(const gradrt_net *net, const gradrt_options *o, char *dir)
{
  const char *out = o->out;
  char plain[GRADRT_NAME_MAX];
  if (out && o->verb != GRADRT_VERB_PREDICT) {
    int code = gradrt_path_join(dir, out, "");
    for (size_t n = strlen(dir); n > 1 && dir[n - 1] == '/'; n--) {
      dir[n - 1] = 0;
    }
    return code;
  }
  gradrt_text_plain(plain, sizeof plain, net->name);
  for (char *p = plain; *p; p++) {
    *p = *p == '/' ? '_' : *p;
  }
  return gradrt_path_join(dir, "runs", plain);
}

int gradrt_session_open(gradrt_session *s, const gradrt_net *net, const gradrt_options *o)
{
  *s = (gradrt_session){ .net = net, .options = o };
  double seed = !isnan(o->seed) ? o->seed : net->training ? net->training->seed : 1;
  s->seed = (uint64_t)seed;
  for (int i = 0; i < net->ntensor; i++) {
    s->params += net->tensor[i].role == GRADRT_PARAM ? gradrt_tensor_elems(&net->tensor[i]) : 0;
  }
  int code = gradrt_run_directory(net, o, s->dir);
  if (code != GRADRT_OK) {
    return code;
  }
  int threads = !isnan(o->threads) ? (int)o->threads
                : net->threads > 0 ? net->threads
                                   : gradrt_default_threads();
  s->pool = gradrt_pool_start(threads < 256 ? threads : 256);
  if (!s->pool) {
    return gradrt_error(GRADRT_LIMIT, "cannot start %d threads", threads);
  }
  code = session_memory(s);
#ifndef GRADRT_WITHOUT_BENCH
  code = code == GRADRT_OK ? gradrt_profile_open(s) : code;
#endif
  bool torch = net->training && net->training->torch_rng;
  return code == GRADRT_OK ? gradrt_state_init(net, s->state, s->seed, torch, &s->torch) : code;
}

void gradrt_session_close(gradrt_session *s)
{
  for (int fn = 0; fn < 3; fn++) {
    for (int i = 0; i < GRADRT_OUTPUTS_MAX; i++) {
      gradrt_free(s->out[fn][i]);
    }
  }
  if (s->data) {
    gradrt_data_free(s->data);
  }
#ifndef GRADRT_WITHOUT_BENCH
  gradrt_profile_close(s);
#endif
  if (s->pool) {
    gradrt_pool_stop(s->pool);
  }
  gradrt_free(s->ids);
  gradrt_free(s->aside);
  gradrt_free(s->worker);
  gradrt_free(s->arena);
  gradrt_free(s->state);
  *s = (gradrt_session){ 0 };
}

/* ---- data ---- */

static int session_fit(gradrt_session *s)
{
  const gradrt_net *net = s->net;
  for (int k = 0; k < net->nfit; k++) {
    const gradrt_tensor *mean = &net->tensor[net->fit[k].mean],
                        *std = &net->tensor[net->fit[k].std];
    size_t n = (size_t)gradrt_tensor_elems(mean);
    double *value = gradrt_alloc(2 * n * sizeof *value);
    if (!value) {
      return session_no_memory(net, 2 * n * sizeof *value);
    }
    int split = net->training ? net->training->train_split : 0;
    int code = gradrt_data_fit(net, s->data, split, k, value, value + n);
    if (code == GRADRT_OK) {
      gradrt_tensor_store(net, mean, s->state, value);
      gradrt_tensor_store(net, std, s->state, value + n);
    }
    gradrt_free(value);
    if (code != GRADRT_OK) {
      return code;
    }
  }
  return GRADRT_OK;
}

int gradrt_session_restart(gradrt_session *s)
{
  const gradrt_net *net = s->net;
  bool torch = net->training && net->training->torch_rng;
  memset(s->state, 0, net->state_bytes);
  int code = gradrt_state_init(net, s->state, s->seed, torch, &s->torch);
  return code == GRADRT_OK ? session_fit(s) : code;
}

int gradrt_session_load(gradrt_session *s, const int *splits, int n, bool need_fit)
{
  const gradrt_net *net = s->net;
  const char **only = gradrt_alloc(((size_t)n + 1) * sizeof *only);
  if (!only) {
    return session_no_memory(net, (size_t)n * sizeof *only);
  }
  for (int i = 0; i < n; i++) {
    only[i] = net->split[splits[i]].name;
  }
  gradrt_data_options o = { .dir = s->options->data ? s->options->data : ".", .need_fit = need_fit,
                            .root = s->options->data_root,
                            .only = n > 0 ? only : NULL, .nonly = n,
                            .fold = s->options->fold,
                            .folds = s->options->fold ? (int)s->options->folds : 0,
                            .labels = s->options->labels,
                            .memory = s->options->data_memory,
                            .threads = gradrt_pool_size(s->pool),
                            .no_prefetch = s->options->no_prefetch };
  int code = gradrt_data_load(net, &o, &s->data);
  gradrt_free(only);
  return code == GRADRT_OK && need_fit ? session_fit(s) : code;
}

/* ---- steps ---- */

void gradrt_session_bind(gradrt_session *s, int fn, const void *const *rows, gradrt_step *step)
{
  *step = (gradrt_step){ .state = s->state, .arena = s->arena, .worker = s->worker, .ids = s->ids,
                         .profile = s->profile[fn] };
  for (int i = 0; i < s->net->nfield; i++) {
    step->rows[i] = rows[i];
  }
  for (int i = 0; i < GRADRT_OUTPUTS_MAX; i++) {
    step->out[i] = s->out[fn][i];
  }
}

void gradrt_session_run(gradrt_session *s, int fn, gradrt_step *step)
{
  int64_t padded = (step->n + 15) / 16 * 16;
  for (int64_t i = step->n; i < padded; i++) {
    s->ids[i] = s->ids[step->n - 1];
  }
  step->args[GRADRT_ARG_N] = (double)step->n;
  if (fn != GRADRT_FN_INFER) {
    step->args[GRADRT_ARG_SHARE] =
        s->share > 0 ? s->share : gradrt_counted_share(s->net, step->rows, s->ids, step->n);
  }
  s->steps[fn]++;
  gradrt_pool_run(s->pool, session_function(s->net, fn)->fn, step);
}

static double session_real(const gradrt_net *net, const void *rows, int64_t i)
{
  return net->real == GRADRT_F64 ? ((const double *)rows)[i] : (double)((const float *)rows)[i];
}

double gradrt_session_loss(const gradrt_net *net, const gradrt_step *step)
{
  return session_real(net, step->out[0], 0);
}

static void session_set_real(const gradrt_net *net, void *rows, int64_t i, double v)
{
  if (net->real == GRADRT_F64) {
    ((double *)rows)[i] = v;
  } else {
    ((float *)rows)[i] = (float)v;
  }
}

/* Numbers of an output in a step of n samples. */
static int64_t session_numbers(const gradrt_output *o, int64_t n)
{
  return gradrt_output_elems(o) * (o->batched ? n : 1);
}

/* One batch of an evaluation. With passes, dropout is drawn anew in each of them by seed, pass and
 * row, and the outputs become their means; mean holds as many numbers as all outputs. */
static void session_evaluate_batch(gradrt_session *s, gradrt_step *step, double *mean)
{
  const gradrt_net *net = s->net;
  for (int pass = 0; pass < (net->eval_passes > 1 ? net->eval_passes : 1); pass++) {
    double *at = mean;
    step->args[GRADRT_ARG_EPOCH] = pass;
    gradrt_session_run(s, GRADRT_FN_EVAL, step);
    for (int o = 0; net->eval_passes > 0 && o < net->eval.noutput; o++) {
      int64_t n = session_numbers(&net->eval.output[o], step->n);
      for (int64_t i = 0; i < n; i++, at++) {
        double before = pass ? *at : 0;
        *at = before + (session_real(net, step->out[o], i) - before) / (pass + 1);
      }
    }
  }
  for (int o = 0; net->eval_passes > 0 && o < net->eval.noutput; o++) {
    int64_t n = session_numbers(&net->eval.output[o], step->n);
    for (int64_t i = 0; i < n; i++) {
      session_set_real(net, step->out[o], i, *mean++);
    }
  }
}

/* Binds the next batch of a set, from a position on. */
static int session_next(gradrt_session *s, const gradrt_set *set, int64_t first, gradrt_step *step)
{
  step->n = set->n - first < s->net->batch ? set->n - first : s->net->batch;
  memcpy(s->ids, set->row + first, (size_t)step->n * sizeof *s->ids);
  return gradrt_set_want(set, NULL, first, step->n, step->rows);
}

static int session_evaluate(gradrt_session *s, int split, gradrt_meter *m, int64_t batches,
                            double *loss, int64_t *seen)
{
  const gradrt_net *net = s->net;
  size_t numbers = 0;
  for (int o = 0; net->eval_passes > 0 && o < net->eval.noutput; o++) {
    numbers += (size_t)session_numbers(&net->eval.output[o], net->batch);
  }
  const gradrt_set *set = gradrt_data_set(s->data, split);
  if (!set || !net->eval.fn) {
    return gradrt_error(GRADRT_INTERNAL, "the split %s was not loaded", net->split[split].name);
  }
  gradrt_step step;
  gradrt_session_bind(s, GRADRT_FN_EVAL, set->rows, &step);
  step.args[GRADRT_ARG_SEED_LO] = (double)(s->seed & 0xFFFFFFFFu);
  step.args[GRADRT_ARG_SEED_HI] = (double)(s->seed >> 32);
  double sum = 0;
  int64_t done = 0;
  s->bad_at = -1;
  double *mean = gradrt_alloc(numbers * sizeof *mean);
  if (!mean) {
    return session_no_memory(net, numbers * sizeof *mean);
  }
  int64_t all = batches > 0 && batches * net->batch < set->n ? batches * net->batch : set->n;
  s->share = gradrt_counted_share(net, set->rows, set->row, all);
  for (int64_t b = 0; done < set->n && (batches <= 0 || b < batches); b++) {
    int code = gradrt_interrupted() ? -1 : session_next(s, set, done, &step);
    if (code != GRADRT_OK) {
      gradrt_free(mean);
      s->share = 0;
      return code;
    }
    session_evaluate_batch(s, &step, mean);
    for (int64_t i = 0; net->eval.noutput > 0 && i < step.n; i++) {
      double each = session_real(net, step.out[0], i);
      s->bad_at = s->bad_at < 0 && !gradrt_is_finite(each) ? done + i : s->bad_at;
      sum += each;
    }
    if (m) {
      gradrt_meter_add(m, step.out, step.n,
                       gradrt_loss_samples(net, step.rows, s->ids, step.n));
    }
    done += step.n;
  }
  gradrt_free(mean);
  s->share = 0;
  bool summed = net->training && net->training->loss_sum;
  *loss = summed ? sum : done > 0 ? sum / (double)done : NAN;
  *seen = done;
  return GRADRT_OK;
}

int gradrt_session_evaluate(gradrt_session *s, int split, gradrt_meter *m, int64_t batches,
                            double *loss, int64_t *seen)
{
  gradrt_carried_put_aside(s->net, s->state, s->aside);
  int code = session_evaluate(s, split, m, batches, loss, seen);
  gradrt_carried_bring_back(s->net, s->state, s->aside);
  return code;
}

/* ---- weights ---- */

int gradrt_weights_find(const gradrt_session *s, const char *asked, char *out)
{
  char plain[GRADRT_NAME_MAX];
  const char *place = asked ? asked : s->dir;
  if (!gradrt_path_is_dir(place)) {
    if (asked && gradrt_path_exists(asked)) {
      bool fits = strlen(asked) < GRADRT_PATH_MAX;
      strcpy(out, fits ? asked : "");
      return fits ? GRADRT_OK : gradrt_error(GRADRT_IO, "the path of the weights is too long");
    }
    int code = gradrt_error(GRADRT_CHECKPOINT, "there are no weights at %s",
                            gradrt_text_plain(plain, sizeof plain, place));
    char call[GRADRT_PATH_MAX + 64];
    gradrt_note("train first (%s), or name a file with --weights",
                gradrt_options_call(s->options, "train", call, sizeof call));
    return code;
  }
  bool stalled = gradrt_history_stalled(s->net, place);
  const char *name[] = { stalled ? "best.safetensors" : "last.safetensors",
                         stalled ? "last.safetensors" : "best.safetensors" };
  for (int i = 0; i < 2; i++) {
    int code = gradrt_path_join(out, place, name[i]);
    if (code != GRADRT_OK || gradrt_path_exists(out)) {
      return code;
    }
  }
  int code =
      gradrt_error(GRADRT_CHECKPOINT, "%s holds neither last.safetensors nor best.safetensors",
                   gradrt_text_plain(plain, sizeof plain, place));
  char call[GRADRT_PATH_MAX + 64];
    gradrt_note("train first (%s), or name a file with --weights",
                gradrt_options_call(s->options, "train", call, sizeof call));
  return code;
}

int gradrt_session_weights(gradrt_session *s, char *path)
{
  const gradrt_net *net = s->net;
  bool trains = false;
  for (int i = 0; i < net->ntensor; i++) {
    trains = trains || net->tensor[i].trainable;
  }
  if (s->options->untrained || (!s->options->weights && !(net->training && trains))) {
    strcpy(path, s->options->untrained ? "untrained" : "as given in the spec");
    return GRADRT_OK;
  }
  int code = gradrt_weights_find(s, s->options->weights, path);
  code = code == GRADRT_OK ? gradrt_weights_read(net, path, s->state) : code;
  if (code == GRADRT_OK) {
    gradrt_class_names_meet(s->options->labels, net, path);
  }
  return code;
}
