/* The `every` blocks of a train block: what is printed, evaluated and saved every so many steps or
 * epochs. Lines go to standard output, with --json as events; --quiet and --silent leave them out.
 * What a block knows of the steps since its last print is part of the position, so that a resumed
 * run prints what one never stopped would. */
#include "run.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { EVERY_CHUNK = 256 };

/* When the line of a block was due: "step 2000", "epoch 2". */
static void every_head(const gradrt_training *r, bool epoch, const char *event)
{
  const char *word = epoch ? "epoch" : "step";
  int64_t at = epoch ? r->at.epoch : r->at.step;
  if (r->s.options->json) {
    printf("{\"v\":1,\"event\":\"%s\",\"%s\":%" PRId64, event, word, at);
  } else {
    printf("%s %" PRId64 ":", word, at);
  }
}

static bool every_shown(const gradrt_training *r)
{
  const gradrt_options *o = r->s.options;
  return o->json || !(o->quiet || o->silent);
}

static void every_end(const gradrt_training *r)
{
  fputs(r->s.options->json ? "}\n" : "\n", stdout);
  fflush(stdout);
}

/* One number; what f32 and f64 hold is printed to the digits that they have. */
static void every_number(const gradrt_training *r, double v)
{
  if (r->s.options->json) {
    gradrt_json_number(stdout, v);
  } else {
    printf("%.*g", r->s.net->real == GRADRT_F64 ? 12 : 6, v);
  }
}

static void every_name(const gradrt_training *r, const char *name, bool first)
{
  char plain[GRADRT_NAME_MAX];
  if (r->s.options->json) {
    fputc(',', stdout);
    gradrt_json_string(stdout, name);
    fputc(':', stdout);
  } else {
    printf("%s%s ", first ? " " : ", ", gradrt_text_plain(plain, sizeof plain, name));
  }
}

static void every_tensor(const gradrt_training *r, const gradrt_tensor *t)
{
  double v[EVERY_CHUNK];
  int64_t n = gradrt_tensor_elems(t);
  bool json = r->s.options->json, list = json || t->rank > 0;
  n = n < EVERY_CHUNK ? n : EVERY_CHUNK;
  gradrt_tensor_get(r->s.net, t, r->s.state, 0, n, v);
  fputs(list ? "[" : "", stdout);
  for (int64_t i = 0; i < n; i++) {
    fputs(i == 0 ? "" : json ? "," : " ", stdout);
    every_number(r, v[i]);
  }
  fputs(list ? "]" : "", stdout);
}

/* The mean loss since the last print of the block: over samples, or over steps of summed losses. */
static double every_loss(const gradrt_training *r, int block)
{
  const double *sum = &r->at.kept[GRADRT_KEPT_EVERY + 2 * block];
  return sum[0] / sum[1];
}

static void every_print(gradrt_training *r, const gradrt_action *a, int block, bool epoch)
{
  if (!every_shown(r)) {
    return;
  }
  every_head(r, epoch, "print");
  for (int i = 0; i < a->nprint; i++) {
    const gradrt_printed *p = &a->print[i];
    every_name(r, p->name, i == 0);
    switch (p->how) {
    case GRADRT_PRINT_LOSS: every_number(r, every_loss(r, block)); break;
    case GRADRT_PRINT_LR: every_number(r, r->rate); break;
    case GRADRT_PRINT_TENSOR: every_tensor(r, &r->s.net->tensor[p->tensor]); break;
    }
  }
  every_end(r);
}

/* ---- eval, save ---- */

static int every_eval(gradrt_training *r, const gradrt_action *a, bool epoch)
{
  const gradrt_history *h = &r->history;
  const char *split = r->s.net->split[a->split].name;
  char name[2 * GRADRT_NAME_MAX], text[40];
  double loss;
  gradrt_meter *m = gradrt_meter_new(r->s.net, h->metric, h->nmetric, &r->s.net->eval);
  if (!m) {
    return gradrt_error(GRADRT_LIMIT, "out of memory for the metrics");
  }
  int code = gradrt_training_evaluate(r, a->split, m, &loss);
  if (code == GRADRT_OK && every_shown(r)) {
    every_head(r, epoch, "eval");
    snprintf(name, sizeof name, "%s_loss", split);
    every_name(r, name, true);
    every_number(r, loss);
    for (int i = 0; i < h->nmetric; i++) {
      double v = gradrt_meter_value(m, i);
      snprintf(name, sizeof name, "%s_%s", split, h->metric[i].name);
      every_name(r, name, false);
      if (r->s.options->json) {
        gradrt_json_number(stdout, v);
      } else {
        fputs(gradrt_text_value(text, sizeof text, v, gradrt_metric_is_share(&h->metric[i])),
              stdout);
      }
    }
    every_end(r);
  }
  gradrt_meter_free(m);
  return code;
}

static int every_save(gradrt_training *r, const gradrt_action *a)
{
  char path[GRADRT_PATH_MAX];
  if (!r->writes) {
    return GRADRT_OK;
  }
  int code = gradrt_path_join(path, r->s.dir, a->file);
  code = code == GRADRT_OK ? gradrt_training_save(r, path) : code;
  if (code == GRADRT_OK) {
    gradrt_progress_saved(&r->progress, path, r->at.epoch);
  }
  return code;
}

static int every_save_best(gradrt_training *r, const gradrt_action *a)
{
  double *best = &r->at.kept[GRADRT_KEPT_BEST + 2 * a->best], v;
  int code = gradrt_training_measure(r, a->split, a->metric, &v);
  if (code != GRADRT_OK || !gradrt_is_finite(v)) {
    return code;
  }
  if (best[1] != 0 && !(a->want_low ? v < best[0] : v > best[0])) {
    return GRADRT_OK;
  }
  best[0] = v;
  best[1] = 1;
  return every_save(r, a);
}

/* ---- sample ---- */

#ifndef GRADRT_WITHOUT_TEXT
/* The text of the weights as they are, the average where there is one. */
static int every_sample(gradrt_training *r, const gradrt_action *a, bool epoch)
{
  char *text = NULL;
  size_t size = 0;
  FILE *f = open_memstream(&text, &size);
  if (!f) {
    return gradrt_error(GRADRT_LIMIT, "no memory for the text: %s", strerror(errno));
  }
  gradrt_training_rest(r);
  int code = gradrt_generate(&r->s, a->sample, f);
  if (fclose(f) != 0 && code == GRADRT_OK) {
    code = gradrt_error(GRADRT_LIMIT, "out of memory for the text");
  }
  if (code == GRADRT_OK) {
    every_head(r, epoch, "sample");
    if (r->s.options->json) {
      fputs(",\"text\":", stdout);
      gradrt_json_string(stdout, text);
    } else {
      fputc('\n', stdout);
      fwrite(text, 1, size, stdout);
    }
    every_end(r);
  }
  free(text);
  return code;
}
#endif

int gradrt_every_verify(gradrt_training *r)
{
  int code = GRADRT_OK;
#ifndef GRADRT_WITHOUT_TEXT
  for (int i = 0; i < r->t->nevery; i++) {
    const gradrt_every *e = &r->t->every[i];
    for (int k = 0; k < e->naction && code == GRADRT_OK; k++) {
      if (e->action[k].how == GRADRT_ACTION_SAMPLE) {
        code = gradrt_generate_verify(&r->s, e->action[k].sample);
      }
    }
  }
#else
  (void)r;
#endif
  return code;
}

static int every_action(gradrt_training *r, const gradrt_action *a, int block, bool epoch)
{
  switch (a->how) {
  case GRADRT_ACTION_PRINT:
    every_print(r, a, block, epoch);
    return GRADRT_OK;
  case GRADRT_ACTION_EVAL: return every_eval(r, a, epoch);
  case GRADRT_ACTION_SAVE: return every_save(r, a);
  case GRADRT_ACTION_SAVE_BEST: return every_save_best(r, a);
  case GRADRT_ACTION_SAMPLE:
#ifndef GRADRT_WITHOUT_TEXT
    return every_shown(r) ? every_sample(r, a, epoch) : GRADRT_OK;
#else
    break;
#endif
  }
  return GRADRT_INTERNAL;
}

void gradrt_every_add(gradrt_training *r, double loss, double n)
{
  for (int i = 0; i < r->t->nevery; i++) {
    double *sum = &r->at.kept[GRADRT_KEPT_EVERY + 2 * i], weight = r->t->loss_sum ? 1 : n;
    sum[0] += loss * weight;
    sum[1] += weight;
  }
}

int gradrt_every_run(gradrt_training *r, bool epoch)
{
  int64_t at = epoch ? r->at.epoch : r->at.step;
  for (int i = 0; i < r->t->nevery; i++) {
    const gradrt_every *e = &r->t->every[i];
    double *sum = &r->at.kept[GRADRT_KEPT_EVERY + 2 * i];
    if (e->in_epochs != epoch || at % (int64_t)e->count != 0) {
      continue;
    }
    gradrt_progress_break(&r->progress);
    for (int k = 0; k < e->naction; k++) {
      int code = every_action(r, &e->action[k], i, epoch);
      if (code != GRADRT_OK) {
        return code;
      }
    }
    sum[0] = sum[1] = 0;
  }
  return GRADRT_OK;
}
