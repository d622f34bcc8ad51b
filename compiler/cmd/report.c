/* report: one page about a trained net, or about several runs beside each other. The net's steps
 * are loaded into this process; sections come from the runtime's own report where it has them. */
#include "cmd/report.h"
#include "base/str.h"
#include "cmd/diagram.h"
#include "data.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GRID = 21, GRID_MAX = 101, SPLITS_MAX = 32 };

/* ---- options ---- */

/* A whole number from 0 on; text NULL: missing. */
static int whole(const char *name, const char *text, int64_t missing, int64_t *out)
{
  char *end = NULL;
  double v = text ? strtod(text, &end) : (double)missing;
  *out = (int64_t)v;
  if (text && (end == text || *end || !(v >= 0) || v > 1e9 || v != floor(v)))
    return gradrt_error(EXIT_USAGE, "%s takes a whole number, not '%s'", name, text);
  return EXIT_OK;
}

static int read_options(ReportPage *p)
{
  const CmdOptions *o = p->options;
  int code = whole("--sample", o->sample, 0, &p->sample);
  code = code ? code : whole("--landscape", o->landscape, GRID, &p->grid);
  if (!code && p->grid != 0 && (p->grid % 2 == 0 || p->grid < 3 || p->grid > GRID_MAX))
    code = gradrt_error(EXIT_USAGE, "--landscape takes an odd number of points a side, from 3 to "
                        "%d, or 0 for none", GRID_MAX);
  return code;
}

/* ---- the net ---- */

/* All splits that scores and pictures read. */
static int load_data(ReportPage *p)
{
  int splits[SPLITS_MAX], n = 0;
  for (int i = 0; i < p->nscore && n < SPLITS_MAX - 1; i++)
    splits[n++] = p->score[i].split;
  if (p->net->training)
    splits[n++] = p->net->training->train_split;
  return gradrt_session_load(&p->s, splits, n, p->options->untrained && p->net->nfit > 0);
}

static int load(ReportPage *p, const gradrt_options *how, char *weights)
{
  int code = gradrt_scores_prepare(p->net, GRADRT_SPLIT_ANY, &p->score, &p->nscore);
  if (!code && p->nscore == 0) {
    code = gradrt_error(EXIT_USAGE, "%s has no data to show: no train or eval block reads any",
                        p->net->name);
    gradrt_note("gradc graph %s draws the network", p->options->driver.file);
  }
  code = code ? code : gradrt_session_open(&p->s, p->net, how);
  code = code ? code : gradrt_session_weights(&p->s, weights);
  code = code ? code : load_data(p);
  code = code ? code : gradrt_scores_run(&p->s, p->score, p->nscore);
  if (code)
    return code;
  int64_t rows = gradrt_data_set(p->s.data, p->score[0].split)->n;
  if (p->sample >= rows)
    return gradrt_error(EXIT_USAGE, "--sample %lld: %s has %lld samples", (long long)p->sample,
                        p->net->split[p->score[0].split].name, (long long)rows);
  return EXIT_OK;
}

/* ---- the page ---- */

static void put_heading(ReportPage *p, const char *weights)
{
  gradrt_writer_printf(p->w, "<h1>");
  gradrt_report_text(p->w, p->net->name);
  gradrt_writer_printf(p->w, "</h1>\n<p class=\"verdict\">");
  for (int i = 0; i < p->nscore; i++) {
    const gradrt_score *s = &p->score[i];
    char text[40];
    gradrt_writer_printf(p->w, "%s<strong>", i ? "; " : "");
    gradrt_report_text(p->w, p->net->split[s->split].name);
    gradrt_writer_printf(p->w, "</strong>: loss %s",
                         gradrt_text_value(text, sizeof text, s->loss, false));
    for (int k = 0; k < s->nmetric; k++) {
      const gradrt_metric *m = &s->metric[k];
      double v = gradrt_meter_value(s->meter, k);
      if (isnan(v) || str_eq(m->kind, "loss"))
        continue;
      gradrt_writer_printf(p->w, ", ");
      gradrt_report_text(p->w, m->name ? m->name : m->kind);
      gradrt_writer_printf(p->w, " %s",
                           gradrt_text_value(text, sizeof text, v, gradrt_metric_is_share(m)));
    }
  }
  gradrt_writer_printf(p->w, "</p>\n<p class=\"soft\">Weights: <code>");
  gradrt_report_text(p->w, weights);
  gradrt_writer_printf(p->w, "</code></p>\n");
}

/* The curves of the run that the weights lie in, if they lie in one. */
static int put_curves(ReportPage *p, const char *weights)
{
  const char *slash = strrchr(weights, '/');
  int monitor = gradrt_monitor_split(p->net);
  gradrt_history h;
  if (!slash || !p->net->training)
    return EXIT_OK;
  int code = gradrt_history_open(&h, p->net, monitor);
  code = code ? code : gradrt_history_load(&h, arena_strndup(p->c->arena, weights,
                                                             (size_t)(slash - weights)),
                                           INT64_MAX);
  if (!code)
    gradrt_report_curves(p->w, &h, monitor >= 0 ? p->net->split[monitor].name : NULL);
  gradrt_history_close(&h);
  return code;
}

static void put_diagram(ReportPage *p)
{
  Out *svg = out_new(p->c->arena);
  diagram_svg(svg, diagram_new(p->c->model, p->c->arena));
  gradrt_writer_printf(p->w, "<h2>Network</h2>\n");
  gradrt_writer_put(p->w, out_text(svg), out_length(svg));
}

static int put_page(ReportPage *p, const char *weights)
{
  char title[GRADRT_NAME_MAX];
  snprintf(title, sizeof title, "%.100s: report", p->net->name);
  gradrt_report_begin(p->w, title);
  put_heading(p, weights);
  int code = put_curves(p, weights);
  for (int i = 0; i < p->nscore; i++)
    gradrt_report_score(p->w, &p->s, &p->score[i]);
  gradrt_report_filters(p->w, p->net, p->s.state, NULL);
  code = code ? code : report_maps(p);
  report_augments(p);
  code = code ? code : report_text(p);
  code = code ? code : report_landscape(p);
  put_diagram(p);
  code = code ? code : report_layers(p);
  gradrt_report_spec(p->w, p->net);
  gradrt_writer_printf(p->w, "</main></body></html>\n");
  return code;
}

static int write_page(ReportPage *p, const char *weights)
{
  const char *path = p->options->out ? p->options->out : "report.html";
  p->w = gradrt_writer_open(path);
  if (!p->w)
    return EXIT_IO;
  int code = put_page(p, weights);
  if (code) {
    gradrt_writer_abort(p->w);
    return code < 0 ? gradrt_interrupted() : code;
  }
  code = gradrt_writer_commit(p->w) ? EXIT_IO : EXIT_OK;
  if (!code && !p->options->quiet)
    fprintf(stderr, "wrote %s\n", str_escape(p->c->arena, path, 200));
  return code;
}

static int report_net(ReportPage *p)
{
  const CmdOptions *o = p->options;
  DriverOptions driver = o->driver;
  LoadedNet loaded = { 0 };
  int64_t threads = 0;
  char *weights = arena_alloc(p->c->arena, GRADRT_PATH_MAX);
  driver.tiles = cmd_tiles(o, p->c->arena);
  int code = whole("--threads", o->threads, 0, &threads);
  code = code ? code : compile_module(p->c, &driver);
  if (code || p->c->stopped)
    return code;
  code = load_net(o, p->c, &loaded);
  gradrt_named *named = arena_alloc(p->c->arena, sizeof *named);
  const char *dir = o->driver.data_dir ? o->driver.data_dir
                                       : cmd_spec_dir(p->c->arena, o->driver.file);
  *named = (gradrt_named){ .shown = NULL };
  if (!code)
    p->net = gradrt_net_with_names(named, loaded.net, dir, o->driver.data_root);
  gradrt_options how = {
    .verb = GRADRT_VERB_EVAL, .epochs = NAN, .lr = NAN, .seed = NAN, .steps = NAN,
    .save_every = NAN, .threads = threads ? (double)threads : NAN, .top = NAN, .seconds = NAN,
    .called = o->driver.file, .weights = o->weights, .untrained = o->untrained,
    .data = dir, .data_root = o->driver.data_root, .labels = named,
  };
  code = code ? code : load(p, &how, weights);
  code = code ? code : write_page(p, weights);
  gradrt_session_close(&p->s);
  gradrt_scores_free(p->score, p->nscore);
  gradrt_net_forget_names(named);
  load_free(&loaded);
  return code;
}

int cmd_report(const CmdOptions *o)
{
  if (gradrt_path_is_dir(o->driver.file)) {
    const char *dir[300] = { o->driver.file };
    for (int i = 0; i < o->nrest; i++)
      dir[i + 1] = o->rest[i];
    return report_runs(o, dir, o->nrest + 1);
  }
  if (o->nrest)
    return gradrt_error(EXIT_USAGE, "'report' takes one spec or several folders of runs; what is "
                        "'%s'?", o->rest[0]);
  ReportPage *p = &(ReportPage){ .options = o, .c = compilation_new() };
  int code = read_options(p);
  code = code ? code : report_net(p);
  compilation_free(&p->c);
  return code;
}
