/* Pictures of the report as inline SVG: curves over the epochs and the confusion matrix. Colours
 * come from the page's CSS variables, so that one picture serves light, dark and paper; text
 * stays text; equal input gives equal bytes. */
#include "run.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum {
  PLOT_WIDTH = 560,
  PLOT_HEIGHT = 300,
  PLOT_LEFT = 62,
  PLOT_RIGHT = 18,
  PLOT_TOP = 34,
  PLOT_BOTTOM = 42,
  PLOT_LEGEND = 20,
  PLOT_SERIES = 8,
  PLOT_POINTS_MAX = 800,
  PLOT_DOTS_MAX = 30,
  PLOT_TICKS_MAX = 12,
  PLOT_CLASSES_MAX = 200,
  PLOT_NAMES_MAX = 40,
  PLOT_NUMBERS_MAX = 20,
  PLOT_NAME_MAX = 15
};

/* Classes of lines, each with a colour and dashes of its own. */
static const char *const plot_series[PLOT_SERIES] = { "a", "b", "c", "d", "e", "f", "g", "h" };

/* One axis: values between low and high map onto pixels from a to b. */
typedef struct {
  const char *name;             /* of what lies along it: "epoch" */
  double low, high, a, b;
  bool log;
  int ntick;
  double tick[PLOT_TICKS_MAX];
} plot_axis;

static double plot_place(const plot_axis *x, double v)
{
  double share = x->log ? (log(v) - log(x->low)) / (log(x->high) - log(x->low))
                        : (v - x->low) / (x->high - x->low);
  return x->a + (x->b - x->a) * share;
}

double gradrt_plot_step(double width, int n)
{
  double unit = pow(10, floor(log10(width / n))), over = width / n / unit;
  return unit * (over <= 1 ? 1 : over <= 2 ? 2 : over <= 5 ? 5 : 10);
}

static void plot_ticks(plot_axis *x, double step)
{
  for (double i = ceil(x->low / step - 1e-9); i * step <= x->high + 1e-9 * step; i++) {
    if (x->ntick < PLOT_TICKS_MAX) {
      x->tick[x->ntick++] = i * step + 0.0;      /* no -0 */
    }
  }
}

static void plot_log_ticks(plot_axis *x)
{
  static const double narrow[] = { 1, 2, 5 };
  int from = (int)floor(log10(x->low)), to = (int)ceil(log10(x->high));
  int each = to - from <= 3 ? 3 : 1, skip = 1 + (to - from) / (PLOT_TICKS_MAX - 2);
  for (int e = from; e <= to; e += skip) {
    for (int i = 0; i < each; i++) {
      double v = narrow[i] * pow(10, e);
      if (v >= x->low * (1 - 1e-9) && v <= x->high * (1 + 1e-9) && x->ntick < PLOT_TICKS_MAX) {
        x->tick[x->ntick++] = v;
      }
    }
  }
}

/* Spreads the axis over the values of the series. */
static plot_axis plot_values(const gradrt_series *series, int n, bool share)
{
  plot_axis y = {
    .low = INFINITY, .high = -INFINITY, .a = PLOT_HEIGHT - PLOT_BOTTOM, .b = PLOT_TOP
  };
  for (int i = 0; i < n; i++) {
    for (int64_t r = 0; r < series[i].history->nrow; r++) {
      double v = gradrt_history_at(series[i].history, r, series[i].column);
      if (gradrt_is_finite(v)) {
        y.low = v < y.low ? v : y.low;
        y.high = v > y.high ? v : y.high;
      }
    }
  }
  if (!(y.low <= y.high)) {
    y.low = 0;
    y.high = 1;
  }
  y.log = !share && y.low > 0 && y.high / y.low > 50;
  if (y.log) {
    plot_log_ticks(&y);
    return y;
  }
  double pad = y.high > y.low ? 0 : fabs(y.high) > 0 ? 0.1 * fabs(y.high) : 1;
  y.low -= pad;
  y.high += pad;
  double step = gradrt_plot_step(y.high - y.low, 5);
  y.low = step * floor(y.low / step + 1e-9);
  y.high = step * ceil(y.high / step - 1e-9);
  plot_ticks(&y, step);
  return y;
}

static plot_axis plot_epochs(const gradrt_series *series, int n)
{
  plot_axis x = {
    .name = "epoch", .low = INFINITY, .high = -INFINITY, .a = PLOT_LEFT,
    .b = PLOT_WIDTH - PLOT_RIGHT
  };
  for (int i = 0; i < n; i++) {
    const gradrt_history *h = series[i].history;
    double first = gradrt_history_at(h, 0, 0), last = gradrt_history_at(h, h->nrow - 1, 0);
    x.low = first < x.low ? first : x.low;
    x.high = last > x.high ? last : x.high;
  }
  if (x.high <= x.low) {
    x.low -= 1;
    x.high += 1;
  }
  double step = gradrt_plot_step(x.high - x.low, 8);
  plot_ticks(&x, step < 1 ? 1 : step);
  return x;
}

static void plot_frame(gradrt_writer *w, const plot_axis *x, const plot_axis *y, bool share)
{
  for (int i = 0; i < y->ntick; i++) {
    double at = plot_place(y, y->tick[i]);
    double shown = fabs(y->tick[i]) < 1e-12 * (y->high - y->low) ? 0 : y->tick[i];
    gradrt_writer_printf(w, "<line class=\"grid\" x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\"/>",
                         PLOT_LEFT, at, PLOT_WIDTH - PLOT_RIGHT, at);
    gradrt_writer_printf(
        w, "<text class=\"tick\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.4g%s</text>\n",
        PLOT_LEFT - 8, at + 4, share ? 100 * shown : shown, share ? " %" : "");
  }
  for (int i = 0; i < x->ntick; i++) {
    double at = plot_place(x, x->tick[i]);
    gradrt_writer_printf(w, "<line class=\"axis\" x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\"/>",
                         at, PLOT_HEIGHT - PLOT_BOTTOM, at, PLOT_HEIGHT - PLOT_BOTTOM + 4);
    gradrt_writer_printf(
        w, "<text class=\"tick\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.10g</text>\n", at,
        PLOT_HEIGHT - PLOT_BOTTOM + 18, x->tick[i]);
  }
  gradrt_writer_printf(w, "<line class=\"axis\" x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\"/>\n",
                       PLOT_LEFT, PLOT_HEIGHT - PLOT_BOTTOM, PLOT_WIDTH - PLOT_RIGHT,
                       PLOT_HEIGHT - PLOT_BOTTOM);
  gradrt_writer_printf(
      w, "<text class=\"tick\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text>\n",
      (PLOT_LEFT + PLOT_WIDTH - PLOT_RIGHT) / 2, PLOT_HEIGHT - 6, x->name);
}

static void plot_line(gradrt_writer *w, const gradrt_history *h, int column, const plot_axis *x,
                      const plot_axis *y, const char *series)
{
  int64_t stride = (h->nrow + PLOT_POINTS_MAX - 1) / PLOT_POINTS_MAX;
  bool down = false;
  gradrt_writer_printf(w, "<path class=\"line %s\" d=\"", series);
  for (int64_t r = 0; r < h->nrow; r++) {
    double v = gradrt_history_at(h, r, column);
    if (r % stride != 0 && r + 1 < h->nrow) {
      continue;
    }
    if (!gradrt_is_finite(v)) {
      down = false;
      continue;
    }
    gradrt_writer_printf(w, "%s%.1f %.1f", down ? "L" : "M",
                         plot_place(x, gradrt_history_at(h, r, 0)), plot_place(y, v));
    down = true;
  }
  gradrt_writer_printf(w, "\"/>\n");
  for (int64_t r = 0; r < h->nrow && h->nrow <= PLOT_DOTS_MAX; r++) {
    double v = gradrt_history_at(h, r, column);
    if (gradrt_is_finite(v)) {
      gradrt_writer_printf(
          w,
          "<circle class=\"dot %s\" cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\"><title>%s %.10g: %.6g"
          "</title></circle>\n",
          series, plot_place(x, gradrt_history_at(h, r, 0)), plot_place(y, v), x->name,
          gradrt_history_at(h, r, 0), v);
    }
  }
}

static void plot_best(gradrt_writer *w, const gradrt_history *h, int column, const plot_axis *x,
                      const plot_axis *y)
{
  int64_t best = gradrt_history_best(h);
  double v = gradrt_history_at(h, best, column);
  if (best < 0 || !gradrt_is_finite(v)) {
    return;
  }
  double px = plot_place(x, gradrt_history_at(h, best, 0)), py = plot_place(y, v);
  gradrt_writer_printf(w, "<line class=\"best\" x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\"/>", px,
                       PLOT_TOP, px, PLOT_HEIGHT - PLOT_BOTTOM);
  gradrt_writer_printf(w, "<circle class=\"ring\" cx=\"%.1f\" cy=\"%.1f\" r=\"6\"/>", px, py);
  gradrt_writer_printf(
      w, "<text class=\"tick\" x=\"%d\" y=\"18\" text-anchor=\"end\">best: epoch %.0f</text>\n",
      PLOT_WIDTH - PLOT_RIGHT, gradrt_history_at(h, best, 0));
}

/* Names of lines: beside each other above two, in rows below the picture for more. */
static void plot_legend(gradrt_writer *w, const gradrt_series *series, int n)
{
  int x = PLOT_LEFT, y = n > 2 ? PLOT_HEIGHT + 12 : 14;
  for (int i = 0; i < n; i++) {
    int length = 60 + 7 * (int)strlen(series[i].label);
    if (x > PLOT_LEFT && x + length > PLOT_WIDTH) {
      x = PLOT_LEFT;
      y += PLOT_LEGEND;
    }
    gradrt_writer_printf(w, "<line class=\"line %s\" x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\"/>",
                         plot_series[series[i].look % PLOT_SERIES], x, y, x + 26, y);
    gradrt_writer_printf(w, "<text class=\"key\" x=\"%d\" y=\"%d\">", x + 32, y + 4);
    gradrt_report_text(w, series[i].label);
    gradrt_writer_printf(w, "</text>\n");
    x += length;
  }
}

/* Height that a legend below the picture takes. */
static int plot_legend_height(const gradrt_series *series, int n)
{
  int x = PLOT_LEFT, rows = n > 2;
  for (int i = 0; n > 2 && i < n; i++) {
    int length = 60 + 7 * (int)strlen(series[i].label);
    if (x > PLOT_LEFT && x + length > PLOT_WIDTH) {
      x = PLOT_LEFT;
      rows++;
    }
    x += length;
  }
  return rows * PLOT_LEGEND;
}

void gradrt_report_series(gradrt_writer *w, const char *title, const gradrt_series *series, int n,
                          bool share)
{
  plot_axis x = plot_epochs(series, n), y = plot_values(series, n, share);
  const gradrt_series *last = &series[n - 1];
  gradrt_writer_printf(w, "<figure><svg viewBox=\"0 0 %d %d\" role=\"img\"><title>", PLOT_WIDTH,
                       PLOT_HEIGHT + plot_legend_height(series, n));
  gradrt_report_text(w, title);
  gradrt_writer_printf(w, " over %" PRId64 " epochs</title><desc>from %.4g to %.4g%s</desc>\n",
                       last->history->nrow, gradrt_history_at(last->history, 0, last->column),
                       gradrt_history_at(last->history, last->history->nrow - 1, last->column),
                       y.log ? ", logarithmic scale" : "");
  plot_frame(w, &x, &y, share);
  for (int i = 0; i < n; i++) {
    plot_line(w, series[i].history, series[i].column, &x, &y,
              plot_series[series[i].look % PLOT_SERIES]);
  }
  if (last->history == series[0].history) {
    plot_best(w, last->history, last->column, &x, &y);
  }
  plot_legend(w, series, n);
  gradrt_writer_printf(w, "</svg><figcaption>");
  gradrt_report_text(w, title);
  gradrt_writer_printf(w, "%s</figcaption></figure>\n", y.log ? " (logarithmic scale)" : "");
}

void gradrt_report_rates(gradrt_writer *w, const gradrt_history *h, double pick)
{
  gradrt_series loss = { h, 1, 1, "loss" };
  plot_axis y = plot_values(&loss, 1, false);
  plot_axis x = { .name = "learning rate", .low = gradrt_history_at(h, 0, 0),
                  .high = gradrt_history_at(h, h->nrow - 1, 0), .a = PLOT_LEFT,
                  .b = PLOT_WIDTH - PLOT_RIGHT, .log = true };
  x.high = x.high > x.low ? x.high : 10 * x.low;
  plot_log_ticks(&x);
  gradrt_writer_printf(w, "<figure><svg viewBox=\"0 0 %d %d\" role=\"img\"><title>loss over the "
                       "learning rate</title>\n", PLOT_WIDTH, PLOT_HEIGHT);
  plot_frame(w, &x, &y, false);
  plot_line(w, h, 1, &x, &y, plot_series[loss.look]);
  if (pick > 0) {
    double at = plot_place(&x, pick);
    gradrt_writer_printf(w, "<line class=\"best\" x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" "
                         "y2=\"%d\"/><text class=\"tick\" x=\"%d\" y=\"18\" text-anchor=\"end\">"
                         "falls fastest: %.2g</text>\n", at, PLOT_TOP, at,
                         PLOT_HEIGHT - PLOT_BOTTOM, PLOT_WIDTH - PLOT_RIGHT, pick);
  }
  gradrt_writer_printf(w, "</svg><figcaption>smoothed loss of each step, whose rate is higher than "
                       "the one before%s</figcaption></figure>\n",
                       y.log ? " (logarithmic scales)" : "");
}

/* Training and the monitored split (NULL: none) in one picture. */
static void plot_chart(gradrt_writer *w, const gradrt_history *h, const char *split,
                       const char *name, bool share)
{
  const char *of[] = { "train", split };
  char full[2 * GRADRT_NAME_MAX];
  gradrt_series series[2];
  int n = 0;
  for (int i = 0; i < 2 && of[i]; i++) {
    snprintf(full, sizeof full, "%s_%s", of[i], name);
    int column = gradrt_history_column(h, full);
    if (column >= 0) {
      series[n++] = (gradrt_series){ h, column, i, of[i] };
    }
  }
  if (n > 0) {
    gradrt_report_series(w, name, series, n, share);
  }
}

void gradrt_report_curves(gradrt_writer *w, const gradrt_history *h, const char *split)
{
  if (h->nrow == 0) {
    return;
  }
  gradrt_writer_printf(w, "<h2>Curves</h2>\n<div class=\"row\">\n");
  plot_chart(w, h, split, "loss", false);
  for (int i = 0; i < h->nmetric && i < 5; i++) {
    const gradrt_metric *m = &h->metric[i];
    plot_chart(w, h, split, m->name ? m->name : m->kind, gradrt_metric_is_share(m));
  }
  gradrt_writer_printf(w, "</div>\n");
}

/* ---- confusion matrix ---- */

static void plot_cell(gradrt_writer *w, int row, int column, int size, int left, int top,
                      int64_t count, double share, bool number)
{
  unsigned char rgb[3];
  int x = left + column * size, y = top + row * size;
  double t = sqrt(share);
  int side = size >= 14 ? size - 1 : size;      /* a gap between cells that are large enough */
  gradrt_color_viridis(t, rgb);
  if (count == 0) {
    if (side < size) {
      gradrt_writer_printf(w, "<rect class=\"none\" x=\"%d\" y=\"%d\" width=\"%d\" "
                              "height=\"%d\"/>", x, y, side, side);
    }
    return;
  }
  gradrt_writer_printf(
      w,
      "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"#%02x%02x%02x\"><title>true %d, "
      "predicted %d: %" PRId64 " (%.1f %%)</title></rect>",
      x, y, side, side, rgb[0], rgb[1], rgb[2], row, column,
      count, 100 * share);
  if (number) {
    gradrt_writer_printf(w, "<text class=\"cell\" x=\"%d\" y=\"%d\" fill=\"%s\">%" PRId64 "</text>",
                         x + size / 2, y + size / 2 + 4, t > 0.62 ? "#111" : "#fff", count);
  }
}

static const char *plot_name(const gradrt_meter *m, int metric, int cls, char *buf)
{
  char name[GRADRT_NAME_MAX];
  return gradrt_text_short(buf, PLOT_NAME_MAX,
                           gradrt_meter_class_name(m, metric, cls, name, sizeof name));
}

/* Pixels that the longest class name takes. */
static int plot_name_width(const gradrt_meter *m, int metric, int classes)
{
  char name[4 * PLOT_NAME_MAX + 1];
  int longest = 1;
  for (int c = 0; c < classes; c++) {
    int n = gradrt_text_points(plot_name(m, metric, c, name));
    longest = n > longest ? n : longest;
  }
  return 7 * longest;
}

static void plot_names(gradrt_writer *w, const gradrt_meter *m, int metric, int classes, int size,
                       int left, int top)
{
  char name[4 * PLOT_NAME_MAX + 1];
  bool turned = plot_name_width(m, metric, classes) > size;
  for (int c = 0; c < classes; c += classes > PLOT_NAMES_MAX ? 10 : 1) {
    int middle = c * size + size / 2;
    plot_name(m, metric, c, name);
    gradrt_writer_printf(w, "<text class=\"tick\" x=\"%d\" y=\"%d\" text-anchor=\"end\">", left - 6,
                         top + middle + 4);
    gradrt_report_text(w, name);
    gradrt_writer_printf(
        w,
        "</text><text class=\"tick\" transform=\"translate(%d %d) rotate(%d)\" text-anchor=\"%s\">",
        left + middle + (turned ? 4 : 0), top - 6, turned ? -60 : 0, turned ? "start" : "middle");
    gradrt_report_text(w, name);
    gradrt_writer_printf(w, "</text>\n");
  }
}

static void plot_mistakes(gradrt_writer *w, const gradrt_meter *m, int metric, const int64_t *table,
                          int classes)
{
  gradrt_mistake worst[10];
  char name[GRADRT_NAME_MAX];
  int n = gradrt_worst_mistakes(table, classes, worst, 10);
  if (n == 0) {
    return;
  }
  gradrt_writer_printf(
      w, "<table class=\"small\"><caption>Most frequent mistakes</caption><thead><tr><th>true</th>"
         "<th>predicted</th><th class=\"n\">count</th></tr></thead><tbody>\n");
  for (int i = 0; i < n; i++) {
    gradrt_writer_printf(w, "<tr><td>");
    gradrt_report_text(w, gradrt_meter_class_name(m, metric, worst[i].truth, name, sizeof name));
    gradrt_writer_printf(w, "</td><td>");
    gradrt_report_text(w, gradrt_meter_class_name(m, metric, worst[i].guess, name, sizeof name));
    gradrt_writer_printf(w, "</td><td class=\"n\">%" PRId64 "</td></tr>\n", worst[i].count);
  }
  gradrt_writer_printf(w, "</tbody></table>\n");
}

static void plot_matrix(gradrt_writer *w, const gradrt_meter *m, int metric, const int64_t *table,
                        int classes)
{
  int size = classes <= 12                 ? 38
             : classes <= PLOT_NUMBERS_MAX ? 28
             : classes <= PLOT_NAMES_MAX   ? 14
             : classes <= 100              ? 6
                                           : 4;
  int name = plot_name_width(m, metric, classes);
  int left = 34 + name, top = name > size ? 34 + name : 44, width = left + classes * size + 10,
      height = top + classes * size + 30;
  gradrt_writer_printf(
      w,
      "<figure><svg class=\"matrix\" style=\"max-width:%dpx\" viewBox=\"0 0 %d %d\" role=\"img\">"
      "<title>Confusion matrix: rows are true classes, columns predicted ones</title>\n",
      width, width, height);
  plot_names(w, m, metric, classes, size, left, top);
  if (size < 14) {
    gradrt_writer_printf(w, "<rect class=\"none\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>\n",
                         left, top, classes * size, classes * size);
  }
  for (int r = 0; r < classes; r++) {
    int64_t sum = 0;
    for (int c = 0; c < classes; c++) {
      sum += table[r * classes + c];
    }
    for (int c = 0; c < classes; c++) {
      int64_t count = table[r * classes + c];
      plot_cell(w, r, c, size, left, top, count, sum > 0 ? (double)count / (double)sum : 0,
                classes <= PLOT_NUMBERS_MAX);
    }
    gradrt_writer_put(w, "\n", 1);
  }
  gradrt_writer_printf(
      w,
      "<text class=\"key\" x=\"%d\" y=\"14\" text-anchor=\"middle\">predicted</text><text "
      "class=\"key\""
      " transform=\"translate(16 %d) rotate(-90)\" "
      "text-anchor=\"middle\">true</text></svg><figcaption>"
      "Confusion matrix; colour: share of the row (square-root scale)</figcaption></figure>\n",
      left + classes * size / 2, top + classes * size / 2);
}

void gradrt_report_confusion(gradrt_writer *w, const gradrt_meter *m, int metric)
{
  int classes;
  const int64_t *table = gradrt_meter_confusion(m, metric, &classes);
  if (classes <= PLOT_CLASSES_MAX) {
    plot_matrix(w, m, metric, table, classes);
  }
  plot_mistakes(w, m, metric, table, classes);
}
