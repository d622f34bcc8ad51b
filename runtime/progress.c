/* What training shows while it runs: on a terminal a table with one live line below it, elsewhere
 * key=value lines (the first step, then one per 10 s and one per epoch), and with --json events on
 * standard output. Nothing here changes a number of the run. */
#include "run.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { PROGRESS_BAR_MAX = 40, PROGRESS_BAR_MIN = 8, PROGRESS_NARROW = 60, PROGRESS_CELL = 10 };

static bool progress_env(const char *name)
{
  const char *v = getenv(name);
  return v && *v;
}

static bool progress_dumb(void)
{
  const char *term = getenv("TERM");
  return !term || strcmp(term, "dumb") == 0;
}

bool gradrt_color_wanted(const gradrt_options *o, FILE *stream)
{
  if (o->color != GRADRT_WHEN_AUTO) {
    return o->color == GRADRT_WHEN_ALWAYS;
  }
  if (progress_env("NO_COLOR")) {
    return false;
  }
  const char *force = getenv("CLICOLOR_FORCE");
  if (force && strcmp(force, "0") != 0) {
    return true;
  }
  return !progress_dumb() && isatty(fileno(stream));
}

static bool progress_unicode(void)
{
  static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };
  for (int i = 0; i < 3; i++) {
    const char *v = getenv(names[i]);
    if (v && *v) {
      return strstr(v, "UTF-8") || strstr(v, "utf8") || strstr(v, "UTF8") || strstr(v, "utf-8");
    }
  }
  return false;
}

static int progress_width(void)
{
  const char *columns = getenv("COLUMNS");
  int width = columns ? atoi(columns) : 0;
#ifdef TIOCGWINSZ
  struct winsize size;
  if (width <= 0 && ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0) {
    width = size.ws_col;
  }
#endif
  return width > 0 ? width : 80;
}

const char *gradrt_text_value(char *buf, size_t size, double v, bool share)
{
  if (share && gradrt_is_finite(v)) {
    snprintf(buf, size, "%.2f %%", 100 * v);
  } else if (v != 0 && gradrt_is_finite(v) && (fabs(v) < 1e-3 || fabs(v) >= 1e6)) {
    snprintf(buf, size, "%.3e", v);
  } else if (isnan(v)) {
    snprintf(buf, size, "nan");
  } else {
    snprintf(buf, size, "%.4f", v);
  }
  return buf;
}

static const char *progress_rate(char *buf, size_t size, double rate)
{
  const char *unit = rate >= 1e6 ? "M" : rate >= 1e3 ? "k" : "";
  double v = rate >= 1e6 ? rate / 1e6 : rate >= 1e3 ? rate / 1e3 : rate;
  snprintf(buf, size, "%.*f%s/s", v < 100 ? 1 : 0, v, unit);
  return buf;
}

static const char *progress_time(char *buf, size_t size, double seconds)
{
  int64_t s = (int64_t)(seconds + 0.5);
  if (s >= 3600) {
    snprintf(buf, size, "%" PRId64 ":%02d:%02d", s / 3600, (int)(s / 60 % 60), (int)(s % 60));
  } else {
    snprintf(buf, size, "%d:%02d", (int)(s / 60), (int)(s % 60));
  }
  return buf;
}

void gradrt_progress_break(gradrt_progress *p)
{
  if (p->live) {
    fputs("\r\033[K", stderr);
    fflush(stderr);
    p->live = false;
  }
}

void gradrt_progress_remark(gradrt_progress *p, const char *fmt, ...)
{
  const gradrt_options *o = p->session->options;
  if (o->quiet || o->silent) {
    return;
  }
  gradrt_progress_break(p);
  va_list args;
  va_start(args, fmt);
  vfprintf(stderr, fmt, args);
  va_end(args);
  fputc('\n', stderr);
}

/* ---- the beginning ---- */

static int64_t progress_set_size(const gradrt_session *s, int split)
{
  const gradrt_set *set = split >= 0 ? gradrt_data_set(s->data, split) : NULL;
  return set ? set->n : 0;
}

static void progress_head_bar(const gradrt_progress *p, int monitor)
{
  const gradrt_session *s = p->session;
  const gradrt_net *net = s->net;
  char params[32], train[32], valid[32], name[GRADRT_NAME_MAX], split[GRADRT_NAME_MAX];
  fprintf(stderr, "%s: %s parameters, %s training", gradrt_text_plain(name, sizeof name, net->name),
          gradrt_text_count(params, sizeof params, s->params),
          gradrt_text_count(train, sizeof train, p->samples));
  if (monitor >= 0) {
    fprintf(stderr, " / %s %s",
            gradrt_text_count(valid, sizeof valid, progress_set_size(s, monitor)),
            gradrt_text_plain(split, sizeof split, net->split[monitor].name));
  }
  fprintf(stderr, " samples, batch %" PRId64 " (%" PRId64 " steps/epoch", net->batch,
          p->steps_per_epoch);
  int64_t rest = p->samples % net->batch;
  if (rest) {
    fprintf(stderr, ", last has %" PRId64, rest);
  }
  char dir[GRADRT_PATH_MAX];
  int threads = gradrt_pool_size(s->pool);
  fprintf(stderr, ")\n%s, %d thread%s, seed %" PRIu64 ", run %s\n\n", net->cpu, threads,
          threads == 1 ? "" : "s", s->seed, gradrt_text_plain(dir, sizeof dir, s->dir));
}

static void progress_head_log(const gradrt_progress *p, int monitor)
{
  const gradrt_session *s = p->session;
  fprintf(stderr, "net=%s params=%" PRId64 " train_n=%" PRId64, s->net->name, s->params,
          p->samples);
  if (monitor >= 0) {
    fprintf(stderr, " %s_n=%" PRId64, s->net->split[monitor].name, progress_set_size(s, monitor));
  }
  fprintf(stderr,
          " batch=%" PRId64 " steps_per_epoch=%" PRId64 " cpu=%s threads=%d seed=%" PRIu64 "\n",
          s->net->batch, p->steps_per_epoch, s->net->cpu, gradrt_pool_size(s->pool), s->seed);
}

static void progress_head_json(const gradrt_progress *p, int monitor)
{
  const gradrt_session *s = p->session;
  fputs("{\"v\":1,\"event\":\"run_start\",\"run\":", stdout);
  gradrt_json_string(stdout, s->dir);
  fputs(",\"net\":", stdout);
  gradrt_json_string(stdout, s->net->name);
  printf(",\"params\":%" PRId64 ",\"train_n\":%" PRId64, s->params, p->samples);
  if (monitor >= 0) {
    fputs(",\"monitor\":", stdout);
    gradrt_json_string(stdout, s->net->split[monitor].name);
    printf(",\"monitor_n\":%" PRId64, progress_set_size(s, monitor));
  }
  printf(",\"batch\":%" PRId64 ",\"steps_per_epoch\":%" PRId64 ",\"epochs\":%" PRId64
         ",\"threads\":%d,\"seed\":%" PRIu64 ",\"gradc\":",
         s->net->batch, p->steps_per_epoch, p->epochs, gradrt_pool_size(s->pool), s->seed);
  gradrt_json_string(stdout, s->net->version);
  fputs("}\n", stdout);
  fflush(stdout);
}

void gradrt_progress_start(gradrt_progress *p, const gradrt_session *s, const gradrt_history *h,
                           int64_t epochs, int64_t steps_per_epoch, int64_t samples)
{
  const gradrt_options *o = s->options;
  *p = (gradrt_progress){ .session = s, .history = h, .json = o->json, .epochs = epochs,
                          .steps_per_epoch = steps_per_epoch, .samples = samples };
  bool terminal = isatty(STDERR_FILENO) && !progress_dumb();
  p->show = o->progress;
  if (p->show == GRADRT_SHOW_AUTO) {
    p->show = terminal ? GRADRT_SHOW_BAR : o->json ? GRADRT_SHOW_NONE : GRADRT_SHOW_LOG;
  }
  if (o->quiet || o->silent) {
    p->show = GRADRT_SHOW_NONE;
  }
  p->color = gradrt_color_wanted(o, stderr);
  p->unicode = progress_unicode();
  int monitor = gradrt_monitor_split(s->net);
  if (p->show == GRADRT_SHOW_BAR) {
    progress_head_bar(p, monitor);
  } else if (p->show == GRADRT_SHOW_LOG) {
    progress_head_log(p, monitor);
  }
  if (p->json) {
    progress_head_json(p, monitor);
  }
}

/* ---- steps ---- */

static double progress_eta(const gradrt_progress *p, const gradrt_moment *at)
{
  double steps = (double)(p->epochs * p->steps_per_epoch - at->step);
  return steps * p->step_time + (double)(p->epochs - at->epoch) * p->eval_time;
}

static double progress_speed(const gradrt_progress *p)
{
  double per_step = (double)p->samples / (double)p->steps_per_epoch;
  return p->step_time > 0 ? per_step / p->step_time : 0;
}

static void progress_blocks(const gradrt_progress *p, int cells, double share)
{
  int full = (int)(share * cells + 0.5);
  fputs(p->color ? " \033[32m" : " ", stderr);
  for (int i = 0; i < full; i++) {
    fputs(p->unicode ? "\xe2\x94\x81" : "#", stderr);
  }
  fputs(p->color ? "\033[0m" : "", stderr);
  for (int i = full; i < cells; i++) {
    fputs(p->unicode ? "\xe2\x94\x80" : "-", stderr);
  }
}

static void progress_bar(gradrt_progress *p, const gradrt_moment *at)
{
  char left[48], count[48], loss[32], text[96], share[48] = "", speed[48] = "", eta[48] = "",
                                                value[32];
  snprintf(left, sizeof left, " epoch %" PRId64 "/%" PRId64, at->epoch + 1, p->epochs);
  snprintf(count, sizeof count, " %" PRId64 "/%" PRId64, at->batch, p->steps_per_epoch);
  snprintf(text, sizeof text, "  loss %s", gradrt_text_value(loss, sizeof loss, at->loss, false));
  if (!isnan(at->share)) {
    snprintf(share, sizeof share, "  acc %.1f %%", 100 * at->share);
  }
  if (p->step_time > 0) {
    snprintf(speed, sizeof speed, "  %s", progress_rate(value, sizeof value, progress_speed(p)));
    snprintf(eta, sizeof eta, "  ETA %s", progress_time(value, sizeof value, progress_eta(p, at)));
  }
  int width = progress_width() - 1;
  int fixed = (int)(strlen(left) + strlen(count) + strlen(text) + strlen(eta)) + 1;
  if (fixed + (int)(strlen(speed) + strlen(share)) + PROGRESS_BAR_MIN > width) {
    speed[0] = 0;
  }
  if (fixed + (int)(strlen(speed) + strlen(share)) + PROGRESS_BAR_MIN > width) {
    share[0] = 0;
  }
  int cells = width - fixed - (int)(strlen(speed) + strlen(share));
  cells = cells > PROGRESS_BAR_MAX ? PROGRESS_BAR_MAX : cells;
  fprintf(stderr, "\r%s", left);
  if (cells >= PROGRESS_BAR_MIN) {
    progress_blocks(p, cells, (double)at->batch / (double)p->steps_per_epoch);
  }
  fprintf(stderr, "%s%s%s%s%s\033[K", count, text, share, speed, eta);
  fflush(stderr);
  p->live = true;
}

static void progress_log(const gradrt_progress *p, const gradrt_moment *at)
{
  fprintf(stderr, "epoch=%" PRId64 "/%" PRId64 " step=%" PRId64 "/%" PRId64 " loss=%.6g",
          at->epoch + 1, p->epochs, at->batch, p->steps_per_epoch, at->loss);
  if (!isnan(at->share)) {
    fprintf(stderr, " accuracy=%.4f", at->share);
  }
  if (p->step_time > 0) {
    fprintf(stderr, " samples_per_s=%.0f eta_s=%.0f", progress_speed(p), progress_eta(p, at));
  }
  fputc('\n', stderr);
}

static void progress_event(const gradrt_progress *p, const gradrt_moment *at)
{
  printf("{\"v\":1,\"event\":\"step\",\"epoch\":%" PRId64 ",\"step\":%" PRId64 ",\"steps\":%" PRId64
         ",\"loss\":",
         at->epoch + 1, at->batch, p->steps_per_epoch);
  gradrt_json_number(stdout, at->loss);
  if (!isnan(at->share)) {
    printf(",\"accuracy\":%.9g", at->share);
  }
  if (p->step_time > 0) {
    printf(",\"samples_per_s\":%.0f", progress_speed(p));
  }
  fputs("}\n", stdout);
  fflush(stdout);
}

void gradrt_progress_step(gradrt_progress *p, const gradrt_moment *at)
{
  if (p->show == GRADRT_SHOW_NONE && !p->json) {
    return;
  }
  double now = gradrt_clock();
  if (p->last_step > 0) {
    double took = now - p->last_step;
    p->step_time = p->step_time > 0 ? p->step_time + 0.05 * (took - p->step_time) : took;
  }
  p->last_step = now;
  double pause = p->show == GRADRT_SHOW_BAR ? 0.1 : 10;
  if (p->show != GRADRT_SHOW_NONE && (p->last_shown <= 0 || now - p->last_shown >= pause)) {
    p->last_shown = now;
    if (p->show == GRADRT_SHOW_BAR) {
      progress_bar(p, at);
    } else {
      progress_log(p, at);
    }
  }
  if (p->json && (p->last_event <= 0 || now - p->last_event >= 10)) {
    p->last_event = now;
    progress_event(p, at);
  }
}

/* ---- epochs ---- */

/* Column shown at place i: the epoch, losses and metrics, the rate last. -1: no more. */
static int progress_column(const gradrt_history *h, int i)
{
  int middle = h->ncolumn - 4;          /* without epoch, step, lr and best */
  return i == 0 ? 0 : i <= middle ? i + 2 : i == middle + 1 ? 2 : -1;
}

/* The table shows metrics of the monitored split, and those of training only when there is none. */
static bool progress_in_table(const gradrt_progress *p, int c)
{
  bool train = strncmp(p->history->column[c], "train_", 6) == 0;
  return !p->history->of[c] || !train || gradrt_monitor_split(p->session->net) < 0;
}

static int progress_cell_width(const gradrt_history *h, int c)
{
  int width = (int)strlen(h->column[c]);
  return c == 0 ? 6 : 2 + (width > PROGRESS_CELL ? width : PROGRESS_CELL);
}

static void progress_table_head(const gradrt_progress *p)
{
  const gradrt_history *h = p->history;
  for (int i = 0, c; (c = progress_column(h, i)) >= 0; i++) {
    if (progress_in_table(p, c)) {
      fprintf(stderr, "%*s", progress_cell_width(h, c), h->column[c]);
    }
  }
  fputs("      time\n", stderr);
}

static void progress_table_row(const gradrt_progress *p, const double *row, double seconds)
{
  const gradrt_history *h = p->history;
  char text[40];
  for (int i = 0, c; (c = progress_column(h, i)) >= 0; i++) {
    bool share = h->of[c] && gradrt_metric_is_share(h->of[c]);
    if (c == 0 || c == 2) {
      snprintf(text, sizeof text, "%.5g", row[c]);
    } else {
      gradrt_text_value(text, sizeof text, row[c], share);
    }
    if (progress_in_table(p, c)) {
      fprintf(stderr, "%*s", progress_cell_width(h, c), text);
    }
  }
  bool best = row[h->ncolumn - 1] > 0;
  const char *star = !best ? "" : p->color ? "  \033[32m*\033[0m" : "  *";
  fprintf(stderr, "  %6.1f s%s\n", seconds, star);
}

static void progress_epoch_log(const gradrt_progress *p, const double *row, double seconds)
{
  const gradrt_history *h = p->history;
  fprintf(stderr, "epoch=%.0f/%" PRId64 " done", row[0], p->epochs);
  for (int i = 1, c; (c = progress_column(h, i)) >= 0; i++) {
    fprintf(stderr, " %s=%.6g", h->column[c], row[c]);
  }
  fprintf(stderr, " time_s=%.1f best=%d\n", seconds, row[h->ncolumn - 1] > 0);
}

static void progress_epoch_json(const gradrt_progress *p, const double *row, double seconds)
{
  const gradrt_history *h = p->history;
  fputs("{\"v\":1,\"event\":\"epoch\"", stdout);
  for (int c = 0; c + 1 < h->ncolumn; c++) {
    printf(",\"%s\":", h->column[c]);
    gradrt_json_number(stdout, row[c]);
  }
  printf(",\"time_s\":%.3f,\"best\":%s}\n", seconds, row[h->ncolumn - 1] > 0 ? "true" : "false");
  fflush(stdout);
}

void gradrt_progress_epoch(gradrt_progress *p, const double *row, double seconds,
                           double eval_seconds)
{
  p->eval_time = eval_seconds;
  p->last_step = 0;             /* validation is no part of a step's time */
  gradrt_progress_break(p);
  if (p->show == GRADRT_SHOW_BAR) {
    if (!p->headed) {
      progress_table_head(p);
      p->headed = true;
    }
    progress_table_row(p, row, seconds);
  } else if (p->show == GRADRT_SHOW_LOG) {
    progress_epoch_log(p, row, seconds);
  }
  if (p->json) {
    progress_epoch_json(p, row, seconds);
  }
}

void gradrt_progress_saved(gradrt_progress *p, const char *path, int64_t epoch)
{
  if (p->json) {
    fputs("{\"v\":1,\"event\":\"checkpoint\",\"path\":", stdout);
    gradrt_json_string(stdout, path);
    printf(",\"epoch\":%" PRId64 "}\n", epoch);
    fflush(stdout);
  }
}
