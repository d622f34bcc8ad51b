/* The command `train`: opens the run, starts it or resumes it exactly, drives the epochs, and
 * ends with results, report and gates. Holds the runtime's only mutable global: the number of
 * the signal that came, set by the handler and by nothing else. */
#include "run.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

enum { TRAIN_SPLITS_MAX = 64, TRAIN_DEV_BATCHES = 5 };

/* ---- signals ---- */

static volatile sig_atomic_t train_signal;

static void train_on_signal(int number)
{
  train_signal = number;
}

int gradrt_interrupted(void)
{
  return train_signal ? 128 + (int)train_signal : 0;
}

/* The first signal asks for a stop after the step; the handler is gone then, and a second one
 * kills. */
static void train_catch_signals(struct sigaction old[2])
{
  struct sigaction catch = { .sa_handler = train_on_signal,
                             .sa_flags = SA_RESTART | (int)SA_RESETHAND };
  sigemptyset(&catch.sa_mask);
  train_signal = 0;
  sigaction(SIGINT, &catch, &old[0]);
  sigaction(SIGTERM, &catch, &old[1]);
  for (int i = 0; i < 2; i++) { /* started with a signal ignored (nohup): keep ignoring it */
    if (old[i].sa_handler == SIG_IGN) {
      sigaction(i ? SIGTERM : SIGINT, &old[i], NULL);
    }
  }
}

static void train_release_signals(const struct sigaction old[2])
{
  sigaction(SIGINT, &old[0], NULL);
  sigaction(SIGTERM, &old[1], NULL);
  train_signal = 0;
}

/* ---- opening ---- */

static int train_splits(const gradrt_training *r, const gradrt_score *score, int n, int *out)
{
  int count = 0;
  out[count++] = r->t->train_split;
  if (r->monitor >= 0) {
    out[count++] = r->monitor;
  }
  for (int i = 0; i < r->t->nstop && count < TRAIN_SPLITS_MAX; i++) {
    if (r->t->stop[i].split >= 0) {
      out[count++] = r->t->stop[i].split;
    }
  }
  for (int e = 0; e < r->t->nevery; e++) {
    const gradrt_every *every = &r->t->every[e];
    for (int i = 0; i < every->naction && count < TRAIN_SPLITS_MAX; i++) {
      gradrt_action_how how = every->action[i].how;
      if (how == GRADRT_ACTION_EVAL || how == GRADRT_ACTION_SAVE_BEST) {
        out[count++] = every->action[i].split;
      }
    }
  }
  for (int i = 0; i < n && count < TRAIN_SPLITS_MAX; i++) {
    out[count++] = score[i].split;
  }
  return count;
}

/* Where a layer divides by the spread of a batch, the last one must have two samples. */
static int train_check_last_batch(const gradrt_training *r)
{
  const gradrt_net *net = r->s.net;
  if (!r->t->spreads || net->batch < 2 || r->set->n % net->batch != 1) {
    return GRADRT_OK;
  }
  int code = gradrt_error(GRADRT_DATA, "%s cannot train: the last batch of %" PRId64
                          " samples in batches of %" PRId64 " has one, and one value has no spread",
                          r->t->spreads, r->set->n, net->batch);
  int64_t other = 2;
  while (r->set->n % other == 1) {
    other++;
  }
  if (r->set->n > 1) {
    gradrt_note("another batch helps (--batch %" PRId64 "), or another number of training samples",
                other);
  }
  return code;
}

static int train_limits(gradrt_training *r)
{
  const gradrt_options *o = r->s.options;
  int64_t batch = r->s.net->batch;
  r->set = gradrt_data_set(r->s.data, r->t->train_split);
  if (!r->set || r->set->n < 1) {
    return gradrt_error(GRADRT_DATA, "the training split has no samples");
  }
  r->accumulate = r->t->accumulate > 1 ? r->t->accumulate : 1;
  batch *= r->accumulate;
  r->steps_per_epoch = (r->set->n + batch - 1) / batch;
  int code = train_check_last_batch(r);
  if (code != GRADRT_OK) {
    return code;
  }
  r->epochs = (int64_t)ceil(!isnan(o->epochs) ? o->epochs : r->t->epochs);
  r->saved_step = -1;
  r->lr = !isnan(o->lr) ? o->lr : r->t->lr;
  r->last_step = !isnan(o->steps) ? (int64_t)o->steps : INT64_MAX;
  r->save_every = !isnan(o->save_every) ? (int64_t)o->save_every : 0;
  r->writes = !o->fast_dev_run;
  if (o->fast_dev_run) {
    r->epochs = 1;
    r->eval_batches = TRAIN_DEV_BATCHES;
    r->steps_per_epoch =
        r->steps_per_epoch < TRAIN_DEV_BATCHES ? r->steps_per_epoch : TRAIN_DEV_BATCHES;
  }
  r->best_state = gradrt_alloc(r->s.net->state_bytes);
  if (!r->best_state) {
    return gradrt_error(GRADRT_LIMIT, "out of memory for a copy of the best weights");
  }
  if (r->t->torch_rng && r->t->shuffle) {
    r->order = gradrt_alloc((size_t)r->set->n * sizeof *r->order);
    if (!r->order) {
      return gradrt_error(GRADRT_LIMIT, "out of memory for the order of %" PRId64 " samples",
                          r->set->n);
    }
  }
#ifndef GRADRT_WITHOUT_AUGMENT
  gradrt_feed_options feed = { .net = r->s.net, .set = r->set, .seed = r->s.seed,
                               .row_at = gradrt_training_row, .ctx = r, .ahead = !o->no_prefetch };
  if (gradrt_augment_wanted(r->s.net)) {
    return gradrt_feed_open(&r->feed, &feed);
  }
#endif
  return GRADRT_OK;
}

static int train_meters(gradrt_training *r)
{
  const gradrt_net *net = r->s.net;
  int code = gradrt_history_open(&r->history, net, r->monitor);
  if (code != GRADRT_OK) {
    return code;
  }
  const gradrt_history *h = &r->history;
  r->train_meter = gradrt_meter_new(net, h->metric, h->nmetric, &net->train);
  r->monitor_meter =
      r->monitor >= 0 ? gradrt_meter_new(net, h->metric, h->nmetric, &net->eval) : NULL;
  bool ok = r->train_meter && (r->monitor < 0 || r->monitor_meter);
  return ok ? GRADRT_OK : gradrt_error(GRADRT_LIMIT, "out of memory for the metrics");
}

/* --log-steps: a new run starts the file, a resumed one goes on in it. */
static int train_log_open(gradrt_training *r)
{
  const gradrt_options *o = r->s.options;
  if (!o->log_steps) {
    return GRADRT_OK;
  }
  r->log = fopen(o->log_steps, o->resume ? "a" : "w");
  bool ok = r->log && (o->resume || fprintf(r->log, "step,loss,lr\n") > 0);
  return ok ? GRADRT_OK
            : gradrt_error(GRADRT_IO, "cannot write %s: %s", o->log_steps, strerror(errno));
}

static int train_log_close(gradrt_training *r)
{
  FILE *log = r->log;
  r->log = NULL;
  if (!log) {
    return GRADRT_OK;
  }
  bool bad = ferror(log) != 0;
  bad = fclose(log) != 0 || bad;
  return bad ? gradrt_error(GRADRT_IO, "%s could not be written whole", r->s.options->log_steps)
             : GRADRT_OK;
}

static void train_close(gradrt_training *r)
{
#ifndef GRADRT_WITHOUT_AUGMENT
  gradrt_feed_close(r->feed);
#endif
  gradrt_meter_free(r->train_meter);
  gradrt_meter_free(r->monitor_meter);
  gradrt_history_close(&r->history);
  gradrt_free(r->order);
  gradrt_free(r->best_state);
  gradrt_session_close(&r->s);
}

/* ---- starting and resuming ---- */

static int train_paths(gradrt_training *r)
{
  int code = gradrt_path_join(r->last, r->s.dir, "last.safetensors");
  return code == GRADRT_OK ? gradrt_path_join(r->best, r->s.dir, "best.safetensors") : code;
}

/* The folder of a file, or the folder itself, into dir. */
static void train_folder_of(const char *place, char *dir)
{
  snprintf(dir, GRADRT_PATH_MAX, "%s", place);
  if (gradrt_path_is_dir(place)) {
    return;
  }
  char *slash = strrchr(dir, '/');
  if (!slash) {
    strcpy(dir, ".");
  } else {
    slash[slash == dir ? 1 : 0] = 0;
  }
}

/* Reads the checkpoint asked for; a folder offers its newest one, then the one before. */
static int train_read_checkpoint(gradrt_training *r, const char *place, const char *folder,
                                 char *used)
{
  static const char *const names[] = { "last.safetensors", "last.safetensors.prev" };
  if (!gradrt_path_is_dir(place) && gradrt_path_exists(place)) {
    snprintf(used, GRADRT_PATH_MAX, "%s", place);
    return gradrt_checkpoint_read(r->s.net, used, r->s.state, &r->at);
  }
  int code = GRADRT_OK;
  bool any = false;
  for (int i = 0; i < 2; i++) {
    int joined = gradrt_path_join(used, folder, names[i]);
    if (joined != GRADRT_OK || !gradrt_path_exists(used)) {
      continue;
    }
    if (any) {
      gradrt_note("trying the checkpoint before it: %s", used);
    }
    any = true;
    code = gradrt_checkpoint_read(r->s.net, used, r->s.state, &r->at);
    if (code == GRADRT_OK) {
      return GRADRT_OK;
    }
  }
  if (!any) {
    code = gradrt_error(GRADRT_CHECKPOINT, "there is no checkpoint in %s to resume from", folder);
    gradrt_note("start a run without --resume");
  }
  return code;
}

static int train_accept_checkpoint(gradrt_training *r, const char *used)
{
  const gradrt_options *o = r->s.options;
  const char *theirs = r->at.data_fingerprint, *ours = gradrt_data_fingerprint(r->s.data);
  if (theirs && *theirs && strcmp(theirs, ours) != 0) {
    int code = gradrt_error(GRADRT_CHECKPOINT, "%s was trained on other data (%s, here %s)", used,
                            theirs, ours);
    gradrt_note("the files changed, or --data names another folder; --weights starts a new run "
                "from these weights");
    return code;
  }
  if (!isnan(o->seed) && (uint64_t)o->seed != r->at.seed) {
    return gradrt_error(GRADRT_USAGE,
                        "%s was made with seed %" PRIu64 "; --resume cannot change it", used,
                        r->at.seed);
  }
  if (r->at.epoch < 0 || r->at.step < 0 || r->at.batch_in_epoch < 0 ||
      r->at.batch_in_epoch > r->steps_per_epoch) {
    return gradrt_error(GRADRT_CHECKPOINT, "%s holds a position that this run cannot have", used);
  }
  r->s.seed = r->at.seed;
  r->s.torch = r->at.torch;
  r->at.data_fingerprint = ours;
  gradrt_meter_restore(r->train_meter, r->at.counters);
  return GRADRT_OK;
}

static int train_resume(gradrt_training *r)
{
  const gradrt_options *o = r->s.options;
  char folder[GRADRT_PATH_MAX], used[GRADRT_PATH_MAX] = "";
  const char *place = *o->resume ? o->resume : r->s.dir;
  if (*o->resume && !gradrt_path_exists(place)) {
    return gradrt_error(GRADRT_CHECKPOINT, "there is nothing at %s to resume from", place);
  }
  if (*o->resume) {
    train_folder_of(place, folder);
  } else {
    strcpy(folder, r->s.dir);
  }
  int code = train_read_checkpoint(r, place, folder, used);
  code = code == GRADRT_OK ? train_accept_checkpoint(r, used) : code;
  if (code != GRADRT_OK) {
    return code;
  }
  strcpy(r->origin, used);
  if (!o->out) {
    strcpy(r->s.dir, folder);
  }
  code = train_paths(r);
  r->saved_step = strcmp(used, r->last) == 0 ? r->at.step : -1;
  r->saved_epoch = r->at.epoch;
  code = code == GRADRT_OK ? gradrt_path_join(r->best_before, folder, "best.safetensors") : code;
  code = code == GRADRT_OK ? gradrt_path_make(r->s.dir) : code;
  code = code == GRADRT_OK ? gradrt_history_load(&r->history, folder, r->at.epoch) : code;
  return code == GRADRT_OK ? gradrt_history_create(&r->history, r->s.dir, folder) : code;
}

/* --init, or `init` of the spec, FILE|DIR[:GLOB]: what of the net's parameters the glob names and
 * the file has. */
static int train_init(gradrt_training *r, const char *asked, bool tell)
{
  char place[GRADRT_PATH_MAX], path[GRADRT_PATH_MAX], plain[GRADRT_PATH_MAX];
  int taken = 0, params = 0;
  if (strlen(asked) >= sizeof place) {
    return gradrt_error(GRADRT_IO, "the path of --init is too long");
  }
  strcpy(place, asked);
  char *colon = gradrt_path_exists(asked) ? NULL : strrchr(place, ':');
  const char *glob = colon && colon[1] ? colon + 1 : "*";
  if (colon) {
    *colon = 0;
  }
  int code = gradrt_weights_find(&r->s, place, path);
  if (code == GRADRT_OK) {
    code = gradrt_weights_read_part(r->s.net, path, glob, r->s.state, &taken);
  }
  for (int i = 0; i < r->s.net->ntensor; i++) {
    params += gradrt_tensor_is_weight(&r->s.net->tensor[i]);
  }
  if (code == GRADRT_OK && tell && !r->s.options->quiet && !r->s.options->silent) {
    fprintf(stderr, "%d of %d tensors from %s\n", taken, params,
            gradrt_text_plain(plain, sizeof plain, path));
  }
  return code;
}

int gradrt_training_weights(gradrt_training *r, bool tell)
{
  const gradrt_options *o = r->s.options;
  char path[GRADRT_PATH_MAX], named[GRADRT_PATH_MAX];
  const char *init = o->init;
  if (!o->weights && !init && r->t->init) {
    int joined = gradrt_path_join(named, o->data ? o->data : ".", r->t->init);
    if (joined != GRADRT_OK) {
      return joined;
    }
    init = named;
  }
  int code = o->weights ? gradrt_weights_find(&r->s, o->weights, path) : GRADRT_OK;
  if (o->weights && code == GRADRT_OK) {
    code = gradrt_weights_read(r->s.net, path, r->s.state);
  }
  if (o->weights && tell && code == GRADRT_OK) {
    gradrt_class_names_meet(o->labels, r->s.net, path);
  }
  code = code == GRADRT_OK && init ? train_init(r, init, tell) : code;
  if (code != GRADRT_OK && init == named) {
    gradrt_note("`init` of the train block names it; --init FILE replaces it");
  }
  gradrt_average_start(r->s.net, r->s.state);
  return code;
}

static int train_start(gradrt_training *r)
{
  r->at.seed = r->s.seed;
  r->at.best = NAN;
  r->at.torch = r->s.torch;
  r->at.data_fingerprint = gradrt_data_fingerprint(r->s.data);
  int code = train_paths(r);
  code = code == GRADRT_OK ? gradrt_training_weights(r, true) : code;
  if (code != GRADRT_OK || !r->writes) {
    return code;
  }
  code = gradrt_path_make(r->s.dir);
  return code == GRADRT_OK ? gradrt_history_create(&r->history, r->s.dir, NULL) : code;
}

/* ---- the end ---- */

static const char *train_status(const gradrt_training *r)
{
  switch (r->outcome) {
  case GRADRT_STALLED:
    return "stopped early: no improvement, best weights restored";
  case GRADRT_REACHED:
    return "stopped: the goal of the spec is reached";
  case GRADRT_STEPS_DONE:
    return "stopped after the steps asked for";
  case GRADRT_INTERRUPTED:
    return "interrupted";
  case GRADRT_GOING: case GRADRT_DONE:
    break;
  }
  return "finished";
}

static void train_print_row(const gradrt_training *r, int64_t row, bool best)
{
  const gradrt_history *h = &r->history;
  const gradrt_net *net = r->s.net;
  const char *prefix = r->monitor >= 0 ? net->split[r->monitor].name : "train";
  char text[40], count[32];
  printf("%s epoch %.0f:", best ? "best" : "last", gradrt_history_at(h, row, 0));
  int64_t n = r->monitor >= 0 ? gradrt_data_set(r->s.data, r->monitor)->n : r->set->n;
  int64_t seen = 0;             /* predictions; a run that was at its end has counted none */
  double share = NAN;
  const char *comma = "";
  for (int c = 3; c + 1 < h->ncolumn; c++) {
    if (strncmp(h->column[c], prefix, strlen(prefix)) != 0) {
      continue;
    }
    bool is_share = h->of[c] && gradrt_metric_is_share(h->of[c]);
    double v = gradrt_history_at(h, row, c);
    printf("%s %s %s", comma, h->column[c], gradrt_text_value(text, sizeof text, v, is_share));
    if (is_share && isnan(share)) {
      share = v;
      seen = r->monitor >= 0 ? gradrt_meter_seen(r->monitor_meter, (int)(h->of[c] - h->metric)) : 0;
    }
    comma = ",";
  }
  if (!isnan(share)) {
    double low, high;
    n = seen > 0 ? seen : n;    /* what was predicted: of a window each of its places */
    gradrt_wilson(share, (double)n, &low, &high);
    printf("   (95 %% interval %.2f - %.2f, n = %s)", 100 * low, 100 * high,
           gradrt_text_count(count, sizeof count, n));
  }
  putchar('\n');
}

static void train_print_text(const gradrt_training *r, int64_t final_row)
{
  const gradrt_options *o = r->s.options;
  int64_t best = gradrt_history_best(&r->history);
  if (o->silent) {
    return;
  }
  if (r->outcome != GRADRT_DONE && !o->quiet) {
    printf("%s\n", train_status(r));
  }
  if (r->history.nrow > 0) {
    train_print_row(r, best >= 0 ? best : final_row, best >= 0);
  }
  if (r->writes && !o->quiet) {
    char dir[GRADRT_PATH_MAX];
    printf("wrote  %s/report.html  last.safetensors%s  metrics.csv\n",
           gradrt_text_plain(dir, sizeof dir, r->s.dir), best >= 0 ? "  best.safetensors" : "");
    const char *out = o->out ? " --weights " : "";
    char eval[GRADRT_PATH_MAX + 64], predict[GRADRT_PATH_MAX + 64];
    printf("next   %s%s%s      %s FILE%s%s\n", gradrt_options_call(o, "eval", eval, sizeof eval), out,
           o->out ? dir : "", gradrt_options_call(o, "predict", predict, sizeof predict), out,
           o->out ? dir : "");
  }
}

static void train_print_json(const gradrt_training *r, int64_t final_row, int code)
{
  const gradrt_history *h = &r->history;
  static const char *const status[] = { "ok", "ok", "stalled", "reached", "steps", "interrupted" };
  printf("{\"v\":1,\"event\":\"run_end\",\"status\":\"%s\",\"exit\":%d,\"epochs\":%" PRId64
         ",\"steps\":%" PRId64,
         code == GRADRT_OK || code == GRADRT_QUALITY || code >= 128 ? status[r->outcome] : "failed",
         code, r->at.epoch, r->at.step);
  int64_t best = gradrt_history_best(h);
  if (best >= 0) {
    printf(",\"best_epoch\":%.0f", gradrt_history_at(h, best, 0));
  }
  for (int c = 3; c + 1 < h->ncolumn && h->nrow > 0; c++) {
    printf(",\"%s\":", h->column[c]);
    gradrt_json_number(stdout, gradrt_history_at(h, final_row, c));
  }
  printf(",\"time_s\":%.3f}\n", gradrt_clock() - r->began);
  fflush(stdout);
}

static int train_interrupted(gradrt_training *r)
{
  const gradrt_options *o = r->s.options;
  int code = gradrt_interrupted(), saved = gradrt_training_commit(r);
  gradrt_progress_break(&r->progress);
  if (saved != GRADRT_OK) {
    return saved;
  }
  if (r->writes && !o->silent) {
    char dir[GRADRT_PATH_MAX];
    gradrt_text_plain(dir, sizeof dir, r->s.dir);
    fprintf(stderr, "stopped by %s after step %" PRId64 "; saved %s/last.safetensors\n",
            code == GRADRT_SIGINT ? "SIGINT" : "SIGTERM", r->at.step, dir);
    char train[GRADRT_PATH_MAX + 64];
    fprintf(stderr, "resume with: %s --resume %s\n", gradrt_options_call(o, "train", train, sizeof train), dir);
  }
  if (o->json) {
    train_print_json(r, r->history.nrow - 1, code);
  }
  return code;
}

/* Restores the best weights after an early stop; returns the row whose weights are in the state. */
static int train_final_weights(gradrt_training *r, int64_t *row)
{
  int64_t best = gradrt_history_best(&r->history);
  const char *file = gradrt_path_exists(r->best) ? r->best : r->best_before;
  *row = r->history.nrow - 1;
  if (r->outcome != GRADRT_STALLED || !r->writes || best < 0) {
    return GRADRT_OK;
  }
  *row = best;
  return gradrt_weights_read(r->s.net, file, r->s.state);
}

/* Loss and metrics of the watched split in a row of the history. */
static void train_figures(const gradrt_training *r, int64_t row, gradrt_figures *out)
{
  const gradrt_history *h = &r->history;
  const char *prefix = r->monitor >= 0 ? r->s.net->split[r->monitor].name : "train";
  size_t n = strlen(prefix);
  out->n = 0;
  for (int c = 3; c + 1 < h->ncolumn && out->n < GRADRT_FIGURES_MAX; c++) {
    if (strncmp(h->column[c], prefix, n) != 0 || h->column[c][n] != '_') {
      continue;
    }
    strcpy(out->name[out->n], h->column[c]);
    out->value[out->n] = gradrt_history_at(h, row, c);
    out->share[out->n++] = h->of[c] && gradrt_metric_is_share(h->of[c]);
  }
}

static int train_finish(gradrt_training *r, gradrt_score *score, int nscore)
{
  const gradrt_options *o = r->s.options;
  int64_t row;
  gradrt_training_pause(r);
  int code = gradrt_training_commit(r);
  code = code == GRADRT_OK ? train_final_weights(r, &row) : code;
  if (code == GRADRT_OK && r->writes) {
    code = gradrt_scores_run(&r->s, score, nscore);
  }
  gradrt_progress_break(&r->progress);
  if (code == -1) {
    return train_interrupted(r);
  }
  if (code != GRADRT_OK) {
    if (o->json) {
      train_print_json(r, r->history.nrow - 1, code);
    }
    return code;
  }
  if (r->writes) {
    gradrt_report report = { .training = r, .score = score, .nscore = nscore, .final_row = row,
                             .status = train_status(r) };
    char path[GRADRT_PATH_MAX];
    code = gradrt_path_join(path, r->s.dir, "report.html");
    code = code == GRADRT_OK ? gradrt_report_write(&report, path) : code;
  }
  if (code == GRADRT_OK && r->figures) {
    train_figures(r, row, r->figures);
  }
  if (code != GRADRT_OK || o->figures_only) {
    return code;
  }
  if (!o->json) {
    train_print_text(r, row);
  }
  if (r->writes) {
    gradrt_scores_print(&r->s, score, nscore, row == r->history.nrow - 1 ? r->last : r->best);
    code = gradrt_gates_check(o, score, nscore, r->s.net, &r->history, row);
  } else if (!o->silent && !o->json) {
    printf("fast-dev-run: %" PRId64 " steps and the validation ran; nothing was written\n",
           r->at.step);
  }
  if (o->json) {
    train_print_json(r, row, code);
  }
  return code;
}

/* The page of a run that a number which is not finite has ended takes the place of an earlier one:
 * the curves up to there. */
static void train_report_failure(gradrt_training *r)
{
  char path[GRADRT_PATH_MAX], status[96];
  gradrt_report report = { .training = r, .final_row = -1, .status = status,
                           .failed = true };
  snprintf(status, sizeof status, "ended after step %" PRId64 ": a number was not finite",
           r->at.step);
  if (r->writes && gradrt_path_join(path, r->s.dir, "report.html") == GRADRT_OK) {
    gradrt_report_write(&report, path);
  }
}

/* ---- the command ---- */

static int train_loop(gradrt_training *r)
{
  int code = r->at.batch_in_epoch == 0 ? gradrt_training_check_stops(r) : GRADRT_OK;
  while (code == GRADRT_OK && r->outcome == GRADRT_GOING && r->at.epoch < r->epochs) {
    code = gradrt_training_epoch(r);
  }
  if (code == -1) {
    r->outcome = GRADRT_INTERRUPTED;
    code = GRADRT_OK;
  }
  if (code == GRADRT_OK && r->outcome == GRADRT_GOING) {
    r->outcome = GRADRT_DONE;
  }
  return code;
}

static int train_load(gradrt_training *r, const gradrt_score *score, int nscore)
{
  const gradrt_options *o = r->s.options;
  int splits[TRAIN_SPLITS_MAX + 2];
  int code = train_meters(r);
  code = code == GRADRT_OK ? gradrt_gates_verify(o, score, nscore, r->s.net, &r->history) : code;
  if (code == GRADRT_OK) {
    code = gradrt_session_load(&r->s, splits, train_splits(r, score, nscore, splits), true);
  }
  code = code == GRADRT_OK ? gradrt_every_verify(r) : code;
  return code == GRADRT_OK ? train_limits(r) : code;
}

/* From here on there are files to lose: signals are caught. */
static int train_open(gradrt_training *r)
{
  const gradrt_options *o = r->s.options;
  int code = o->resume ? train_resume(r) : train_start(r);
  code = code == GRADRT_OK ? train_log_open(r) : code;
  if (code != GRADRT_OK) {
    return code;
  }
  gradrt_progress_start(&r->progress, &r->s, &r->history, r->epochs, r->steps_per_epoch, r->set->n);
  if (o->resume) {
    gradrt_progress_remark(&r->progress, "resumed: epoch %" PRId64 ", %" PRId64 " steps are done",
                           r->at.epoch + 1, r->at.step);
  }
  return GRADRT_OK;
}

static int train_run(gradrt_training *r, gradrt_score *score, int nscore)
{
  int code = train_load(r, score, nscore);
  if (code != GRADRT_OK) {
    return code;
  }
  struct sigaction old[2];
  train_catch_signals(old);
  if (r->s.options->lr_range) {
    code = gradrt_lr_range_run(r);
    train_release_signals(old);
    return code;
  }
  code = train_open(r);
  if (code != GRADRT_OK) {
    train_release_signals(old);
    return code;
  }
  r->began = r->saved_at = gradrt_clock();
  code = train_loop(r);
  if (code == GRADRT_OK) {
    code = r->outcome == GRADRT_INTERRUPTED ? train_interrupted(r) : train_finish(r, score, nscore);
  } else {
    if (code == GRADRT_NONFINITE) {
      train_report_failure(r);
    }
    if (r->s.options->json) {
      train_print_json(r, r->history.nrow - 1, code);
    }
  }
  train_release_signals(old);
  return code;
}

/* The run; a profiled program first measures the machine's peak, and ends with where time went. */
static int train_measured(gradrt_training *r, gradrt_score *score, int nscore)
{
#ifndef GRADRT_WITHOUT_BENCH
  double peak = 0;
  int code = r->s.net->profiled ? gradrt_peak_measure(&r->s, &peak) : GRADRT_OK;
  code = code == GRADRT_OK ? train_run(r, score, nscore) : code;
  gradrt_profile_print(&r->s, GRADRT_FN_TRAIN, peak);
  return code;
#else
  return train_run(r, score, nscore);
#endif
}

int gradrt_train_main(const gradrt_net *net, const gradrt_options *o)
{
  bool trains = net->training && net->train.fn;
  return trains && !isnan(o->folds) ? gradrt_folds_main(net, o) : gradrt_train_once(net, o, NULL);
}

int gradrt_train_once(const gradrt_net *net, const gradrt_options *o, gradrt_figures *figures)
{
  if (!net->training || !net->train.fn) {
    return gradrt_error(GRADRT_USAGE, "%s has no train block: there is nothing to train",
                        net->name);
  }
  if (o->resume && (o->weights || o->init || o->fast_dev_run)) {
    return gradrt_error(GRADRT_USAGE, "--resume and %s exclude each other",
                        o->weights ? "--weights" : o->init ? "--init" : "--fast-dev-run");
  }
  gradrt_training *r = gradrt_alloc(sizeof *r);
  if (!r) {
    return gradrt_error(GRADRT_LIMIT, "out of memory");
  }
  r->t = net->training;
  r->figures = figures;
  r->monitor = gradrt_monitor_split(net);
  gradrt_score *score = NULL;
  int nscore = 0;
  int code = gradrt_scores_prepare(net, GRADRT_SPLIT_AFTER_TRAINING, &score, &nscore);
  code = code == GRADRT_OK ? gradrt_session_open(&r->s, net, o) : code;
  code = code == GRADRT_OK ? train_measured(r, score, nscore) : code;
  int logged = train_log_close(r);
  code = code == GRADRT_OK ? logged : code;
  train_close(r);
  gradrt_scores_free(score, nscore);
  gradrt_free(r);
  return code;
}
