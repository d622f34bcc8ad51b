/* report.html: one page that shows what a run did and how to do it again. Self-contained (inline
 * CSS and SVG, no script, no network), light and dark, printable on A4; no times or dates, so
 * that equal runs write equal bytes. All text of spec, data and command line passes
 * gradrt_report_text. */
#include "run.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static const char report_style[] =
    ":root{color-scheme:light "
    "dark;--bg:#fff;--ink:#1b1d20;--soft:#5c6370;--grid:#e4e6ea;--card:#f6f7f9;"
    "--a:#0072b2;--b:#d55e00;--best:#009e73}\n"
    "@media(prefers-color-scheme:dark){:root{--bg:#15171b;--ink:#e7e9ec;--soft:#9aa3af;--grid:#"
    "30353d;--card:#1d2026;"
    "--a:#56b4e9;--b:#e69f00;--best:#3fd0a4}}\n"
    "body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,sans-serif}\n"
    "main{max-width:1180px;margin:0 auto;padding:24px 20px 60px}\n"
    "h1{margin:0;font-size:26px}h2{margin:36px 0 10px;font-size:18px}\n"
    ".verdict{font-size:18px;margin:6px 0}.soft,figcaption,caption{color:var(--soft)}\n"
    "figcaption,caption{font-size:13px;text-align:left}figure{margin:0}\n"
    ".row{display:flex;flex-wrap:wrap;gap:24px;align-items:flex-start}.row figure{flex:1 1 "
    "460px;max-width:580px}\n"
    "svg{width:100%;height:auto;display:block;font:12px system-ui,sans-serif}\n"
    ".grid{stroke:var(--grid)}.axis{stroke:var(--soft)}.tick{fill:var(--soft)}.key{fill:var(--ink);"
    "font-size:13px}\n"
    ".line{fill:none;stroke-width:2;stroke-linejoin:round}.line.a{stroke:var(--a);stroke-dasharray:"
    "6 3}"
    ".line.b{stroke:var(--b)}.dot.a{fill:var(--a)}.dot.b{fill:var(--b)}\n"
    ".line.c{stroke:#009e73;stroke-dasharray:2 3}.line.d{stroke:#cc79a7;stroke-dasharray:9 3}"
    ".line.e{stroke:#e69f00;stroke-dasharray:9 3 2 3}.line.f{stroke:#56b4e9}"
    ".line.g{stroke:#7f7f7f;stroke-dasharray:4 2}.line.h{stroke:#b8a800;stroke-dasharray:1 2}"
    ".dot.c{fill:#009e73}.dot.d{fill:#cc79a7}.dot.e{fill:#e69f00}.dot.f{fill:#56b4e9}"
    ".dot.g{fill:#7f7f7f}.dot.h{fill:#b8a800}\n"
    ".best{stroke:var(--best);stroke-dasharray:2 "
    "3}.ring{fill:none;stroke:var(--best);stroke-width:2}\n"
    "h3{margin:24px 0 8px;font-size:15px}h4{margin:12px 0 6px;font-size:13px;font-weight:600}\n"
    ".sheet{display:flex;flex-wrap:wrap;gap:10px 14px}.sheet figcaption{line-height:1.3;"
    "max-width:110px}.sheet b{color:var(--ink)}.filter{text-align:center}"
    "img{image-rendering:pixelated;display:inline-block;border:1px solid var(--grid);"
    "margin-right:2px}\n"
    ".contour{fill:none;stroke:#fff;stroke-opacity:.75}.here{fill:none;stroke:#d00;"
    "stroke-width:2.5}"
    ".maps{gap:4px}.maps img{margin:0}\n"
    ".frame{fill:none;stroke:var(--soft)}.point{stroke:var(--bg);stroke-width:.8}\n"
    ".none{fill:var(--card)}.cell{text-anchor:middle;font-size:11px}\n"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}.scroll{overflow-x:auto}\n"
    "th,td{padding:4px 12px 4px 0;text-align:left;border-bottom:1px solid "
    "var(--grid);vertical-align:top}"
    "th{font-weight:600}.n{text-align:right;padding-left:12px;white-space:nowrap}"
    ".small{font-size:14px}\n"
    "code,pre{font:13px/1.45 ui-monospace,monospace}td code{word-break:break-all}\n"
    "pre{background:var(--card);padding:14px;border-radius:6px;overflow-x:auto}"
    "pre.text{white-space:pre-wrap}summary{cursor:"
    "pointer}\n"
    "@page{size:A4;margin:15mm}@media "
    "print{:root{color-scheme:light;--bg:#fff;--ink:#000;--soft:#444;--grid:#ccc;--card:#f4f4f4;"
    "--a:#0072b2;--b:#d55e00;--best:#009e73}main{padding:0;max-width:none}figure,tr{break-inside:"
    "avoid}"
    "h2,h3,h4,h2+p,h3+p,h4+p,summary{break-after:avoid}svg{max-height:240mm}"
    ".row figure{flex:1 1 80mm;max-width:88mm}.scroll,pre{overflow:visible}"
    "pre{white-space:pre-wrap}img,rect,path{print-color-adjust:exact;"
    "-webkit-print-color-adjust:exact}}\n";

void gradrt_report_text(gradrt_writer *w, const char *s)
{
  for (const unsigned char *p = (const unsigned char *)s; *p;) {
    int n = gradrt_text_utf8(p);
    const char *entity = *p == '<'    ? "&lt;"
                         : *p == '>'  ? "&gt;"
                         : *p == '&'  ? "&amp;"
                         : *p == '"'  ? "&quot;"
                         : *p == '\'' ? "&#39;"
                         : n == 0     ? "\xef\xbf\xbd"
                                      : NULL;
    bool control = (*p < 0x20 && *p != '\n' && *p != '\t') || *p == 0x7F;
    if (entity || control) {
      gradrt_writer_printf(w, "%s", control ? "?" : entity);
    } else {
      gradrt_writer_put(w, p, (size_t)n);
    }
    p += n ? n : 1;
  }
}

/* ---- the verdict ---- */

/* The first share (accuracy) of a score, or -1. */
static int report_share(const gradrt_score *s)
{
  for (int i = 0; i < s->nmetric; i++) {
    if (gradrt_metric_is_share(&s->metric[i]) && !isnan(gradrt_meter_value(s->meter, i))) {
      return i;
    }
  }
  return -1;
}

static void report_verdict(gradrt_writer *w, const gradrt_report *r)
{
  const gradrt_training *t = r->training;
  const gradrt_net *net = t->s.net;
  char count[32], text[40];
  gradrt_writer_printf(w, "<h1>");
  gradrt_report_text(w, net->name);
  gradrt_writer_printf(w, "</h1>\n<p class=\"verdict\">");
  if (r->nscore > 0) {
    const gradrt_score *s = &r->score[0];
    int i = report_share(s);
    if (i >= 0) {
      double v = gradrt_meter_value(s->meter, i), low, high;
      gradrt_wilson(v, (double)gradrt_meter_seen(s->meter, i), &low, &high);
      gradrt_writer_printf(w, "<strong>%.2f %% ", 100 * v);
      gradrt_report_text(w, s->metric[i].name ? s->metric[i].name : s->metric[i].kind);
      gradrt_writer_printf(w, "</strong> on %s ", gradrt_text_count(count, sizeof count, s->n));
      gradrt_report_text(w, net->split[s->split].name);
      gradrt_writer_printf(w, " samples (95 %% interval %.2f to %.2f)", 100 * low, 100 * high);
    } else {
      gradrt_writer_printf(w, "<strong>Loss %s</strong> on %s ",
                           gradrt_text_value(text, sizeof text, s->loss, false),
                           gradrt_text_count(count, sizeof count, s->n));
      gradrt_report_text(w, net->split[s->split].name);
      gradrt_writer_printf(w, " samples");
    }
  } else if (t->history.nrow == 0) {
    gradrt_writer_printf(w, "<strong>No results</strong>");
  } else {
    gradrt_writer_printf(w, "<strong>Training loss %s</strong>",
                         gradrt_text_value(text, sizeof text,
                                           gradrt_history_last(&t->history, "train_loss"), false));
  }
  gradrt_writer_printf(w, " after %" PRId64 " epoch%s.</p>\n<p class=\"soft\">Training %s.",
                       t->at.epoch, t->at.epoch == 1 ? "" : "s", r->status);
  int64_t best = gradrt_history_best(&t->history), rows = t->history.nrow;
  if (best >= 0 && rows >= 3 && best == rows - 1) {
    gradrt_writer_printf(w, " The last epoch was the best: more epochs may still help.");
  } else if (best >= 0 && rows - 1 - best >= 3) {
    gradrt_writer_printf(
        w, " The best epoch was %" PRId64 "; it got no better in the %" PRId64 " after it.",
        best + 1, rows - 1 - best);
  }
  gradrt_writer_printf(w, "</p>\n");
}

/* ---- sections ---- */

static void report_class_row(gradrt_writer *w, const char *name, const gradrt_class_score *s)
{
  gradrt_writer_printf(w, "<tr><td>");
  gradrt_report_text(w, name);
  gradrt_writer_printf(
      w,
      "</td><td class=\"n\">%.4f</td><td class=\"n\">%.4f</td><td class=\"n\">%.4f</td>"
      "<td class=\"n\">%" PRId64 "</td></tr>\n",
      s->precision, s->recall, s->f1, s->support);
}

static void report_classes(gradrt_writer *w, const gradrt_meter *m, int metric)
{
  int classes;
  const int64_t *table = gradrt_meter_confusion(m, metric, &classes);
  gradrt_class_score *score = gradrt_alloc(((size_t)classes + 2) * sizeof *score);
  if (!score) {
    return;
  }
  char name[GRADRT_NAME_MAX];
  gradrt_class_scores(table, classes, score);
  gradrt_writer_printf(
      w, "<table class=\"small\"><caption>Scores of each class</caption><thead><tr><th>class</th>"
         "<th class=\"n\">precision</th><th class=\"n\">recall</th><th class=\"n\">F1</th>"
         "<th class=\"n\">support</th></tr></thead><tbody>\n");
  for (int c = 0; c < classes; c++) {
    report_class_row(w, gradrt_meter_class_name(m, metric, c, name, sizeof name), &score[c]);
  }
  report_class_row(w, "macro average", &score[classes]);
  report_class_row(w, "weighted average", &score[classes + 1]);
  gradrt_writer_printf(w, "</tbody></table>\n");
  gradrt_free(score);
}

/* Scores of each label of a net that says yes or no to several. */
static void report_labels(gradrt_writer *w, const gradrt_meter *m, int metric)
{
  int labels;
  const gradrt_label_count *count = gradrt_meter_labels(m, metric, &labels);
  char name[GRADRT_NAME_MAX];
  gradrt_writer_printf(
      w, "<table class=\"small\"><caption>Scores of each label</caption><thead><tr><th>label</th>"
         "<th class=\"n\">accuracy</th><th class=\"n\">precision</th><th class=\"n\">recall</th>"
         "<th class=\"n\">present</th></tr></thead><tbody>\n");
  for (int k = 0; k < labels; k++) {
    gradrt_label_score s = gradrt_meter_label_score(m, metric, k);
    gradrt_writer_printf(w, "<tr><td>");
    gradrt_report_text(w, gradrt_meter_label_name(m, metric, k, name, sizeof name));
    gradrt_writer_printf(w, "</td><td class=\"n\">%.4f</td><td class=\"n\">%.4f</td>"
                         "<td class=\"n\">%.4f</td><td class=\"n\">%" PRId64 "</td></tr>\n",
                         s.accuracy, s.precision, s.recall, count[k].present);
  }
  gradrt_writer_printf(w, "</tbody></table>\n");
}

void gradrt_report_score(gradrt_writer *w, gradrt_session *session, const gradrt_score *s)
{
  char text[40], count[32];
  gradrt_writer_printf(w, "<h2>Results on ");
  gradrt_report_text(w, session->net->split[s->split].name);
  gradrt_writer_printf(
      w,
      "</h2>\n<table><thead><tr><th>measure</th><th class=\"n\">value</th></tr></thead><tbody>\n"
      "<tr><td>loss</td><td class=\"n\">%s</td></tr>\n",
      gradrt_text_value(text, sizeof text, s->loss, false));
  bool tables = false;
  for (int i = 0; i < s->nmetric; i++) {
    const gradrt_metric *m = &s->metric[i];
    double v = gradrt_meter_value(s->meter, i);
    if (isnan(v) || strcmp(m->kind, "loss") == 0) {
      continue;
    }
    gradrt_writer_printf(w, "<tr><td>");
    gradrt_report_text(w, m->name ? m->name : m->kind);
    gradrt_writer_printf(w, "</td><td class=\"n\">%s</td></tr>\n",
                         gradrt_text_value(text, sizeof text, v, gradrt_metric_is_share(m)));
  }
  gradrt_writer_printf(w,
                       "<tr><td>samples</td><td "
                       "class=\"n\">%s</td></tr>\n</tbody></table>\n<p></p>\n<div class=\"row\">\n",
                       gradrt_text_count(count, sizeof count, s->n));
  for (int i = 0; i < s->nmetric; i++) {
    int classes;
    if (gradrt_meter_labels(s->meter, i, &classes)) {
      report_labels(w, s->meter, i);
    }
    if (tables || !gradrt_meter_confusion(s->meter, i, &classes)) {
      continue;
    }
    gradrt_report_confusion(w, s->meter, i);
    report_classes(w, s->meter, i);
    tables = true;
  }
  gradrt_writer_printf(w, "</div>\n");
  gradrt_report_plane(w, session, s);
  gradrt_report_mistakes(w, session, s);
}

/* Filters now and as the seed made them. */
static void report_weights(gradrt_writer *w, const gradrt_report *r)
{
  const gradrt_session *s = &r->training->s;
  gradrt_torch torch;
  void *before = gradrt_alloc(s->net->state_bytes + 64);
  bool known = before && !s->options->weights &&
               gradrt_state_init(s->net, before, s->seed, s->net->training->torch_rng, &torch) ==
                   GRADRT_OK;
  gradrt_report_filters(w, s->net, s->state, known ? before : NULL);
  gradrt_free(before);
}

static void report_layers(gradrt_writer *w, const gradrt_net *net)
{
  char count[32];
  int64_t params = 0;
  double flops = 0;
  if (net->nlayer == 0) {
    return;
  }
  gradrt_writer_printf(w, "<h2>Network</h2>\n<div class=\"scroll\"><table "
                          "class=\"small\"><thead><tr><th>layer</th><th>type"
                          "</th><th>output shape</th><th class=\"n\">parameters</th><th "
                          "class=\"n\">MFLOP</th><th>defined at"
                          "</th></tr></thead><tbody>\n");
  for (int i = 0; i < net->nlayer; i++) {
    const gradrt_layer *l = &net->layer[i];
    const char *cell[] = { l->name, l->type, l->shape };
    params += l->params;
    flops += l->flops;
    gradrt_writer_printf(w, "<tr>");
    for (int k = 0; k < 3; k++) {
      gradrt_writer_printf(w, "<td>");
      gradrt_report_text(w, cell[k] ? cell[k] : "");
      gradrt_writer_printf(w, "</td>");
    }
    gradrt_writer_printf(w, "<td class=\"n\">%s</td><td class=\"n\">%.4g</td><td>",
                         gradrt_text_count(count, sizeof count, l->params), l->flops / 1e6);
    gradrt_report_text(w, l->place ? l->place : "");
    gradrt_writer_printf(w, "</td></tr>\n");
  }
  gradrt_writer_printf(w,
                       "<tr><th>total</th><td></td><td></td><th class=\"n\">%s</th><th "
                       "class=\"n\">%.4g</th><td></td></tr>"
                       "\n</tbody></table></div>\n",
                       gradrt_text_count(count, sizeof count, params), flops / 1e6);
}

static void report_pair(gradrt_writer *w, const char *name, const char *value)
{
  gradrt_writer_printf(w, "<tr><th>%s</th><td><code>", name);
  gradrt_report_text(w, value);
  gradrt_writer_printf(w, "</code></td></tr>\n");
}

static void report_settings(gradrt_writer *w, const gradrt_report *r)
{
  const gradrt_training *t = r->training;
  const gradrt_net *net = t->s.net;
  const gradrt_options *o = t->s.options;
  char text[3 * GRADRT_PATH_MAX], call[GRADRT_PATH_MAX + 64], hex[65];
  gradrt_writer_printf(w, "<h2>Settings to reproduce</h2>\n<table class=\"small\"><tbody>\n");
  snprintf(text, sizeof text,
           "%s --epochs %" PRId64 " --lr %.9g --seed %" PRIu64 " --threads %d%s%s",
           gradrt_options_call(o, "train", call, sizeof call), t->epochs, t->lr, t->s.seed, gradrt_pool_size(t->s.pool),
           o->data ? " --data " : "", o->data ? o->data : "");
  report_pair(w, "command", text);
  snprintf(text, sizeof text, "%" PRIu64, t->s.seed);
  report_pair(w, "seed", text);
  snprintf(text, sizeof text,
           "%" PRId64 " done in %" PRId64 " steps; batch %" PRId64 " of %" PRId64 " samples",
           t->at.epoch, t->at.step, net->batch, t->set->n);
  report_pair(w, "epochs", text);
  snprintf(text, sizeof text, "%d (the numbers do not depend on it)", gradrt_pool_size(t->s.pool));
  report_pair(w, "threads", text);
  snprintf(text, sizeof text, "gradc %s, %s", net->version,
           net->real == GRADRT_F64 ? "f64" : "f32");
  report_pair(w, "compiler", text);
  report_pair(w, "code for", net->cpu);
  report_pair(w, "spec fingerprint", net->fingerprint);
  report_pair(w, "data fingerprint", gradrt_data_fingerprint(t->s.data));
  if (!r->failed) {
    report_pair(w, "weights SHA-256", gradrt_state_sha256(net, t->s.state, hex));
  }
  for (int i = 0; i < net->nparam; i++) {
    snprintf(text, sizeof text, "%.100s = %.9g%s", net->param[i].name, net->param[i].value,
             net->param[i].run_time ? "" : " (fixed when built)");
    report_pair(w, "param", text);
  }
  gradrt_writer_printf(w, "</tbody></table>\n");
}

void gradrt_report_begin(gradrt_writer *w, const char *title)
{
  gradrt_writer_printf(
      w, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
         "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>");
  gradrt_report_text(w, title);
  gradrt_writer_printf(w, "</title>\n<style>\n%s</style></head>\n<body><main>\n", report_style);
}

void gradrt_report_spec(gradrt_writer *w, const gradrt_net *net)
{
  if (net->spec) {
    gradrt_writer_printf(w, "<h2>Spec</h2>\n<details open><summary>");
    gradrt_report_text(w, net->file);
    gradrt_writer_printf(w, "</summary><pre>");
    gradrt_report_text(w, net->spec);
    gradrt_writer_printf(w, "</pre></details>\n");
  }
}

int gradrt_report_write(const gradrt_report *r, const char *path)
{
  gradrt_training *t = r->training;
  const gradrt_net *net = t->s.net;
  char title[GRADRT_NAME_MAX];
  gradrt_writer *w = gradrt_writer_open(path);
  if (!w) {
    return GRADRT_IO;
  }
  snprintf(title, sizeof title, "%.100s: training report", net->name);
  gradrt_report_begin(w, title);
  report_verdict(w, r);
  gradrt_report_curves(w, &t->history, t->monitor >= 0 ? net->split[t->monitor].name : NULL);
  for (int i = 0; i < r->nscore; i++) {
    gradrt_report_score(w, &t->s, &r->score[i]);
  }
  if (!r->failed) {
    report_weights(w, r);
  }
  report_layers(w, net);
  report_settings(w, r);
  gradrt_report_spec(w, net);
  gradrt_writer_printf(w, "</main></body></html>\n");
  return gradrt_writer_commit(w);
}
