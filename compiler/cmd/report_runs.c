/* Several runs beside each other: their curves in one picture for each measure, and how they
 * ended. */
#include "base/str.h"
#include "cmd/report.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { RUNS_MAX = 16 };

typedef struct { gradrt_history h; const char *label; } Run;

/* Measures are columns of some run that are no position, rate or mark. */
static bool is_measure(const char *column)
{
  return !str_in_words(column, "epoch step lr best");
}

static bool shown_before(const Run *run, int upto, const char *column)
{
  for (int i = 0; i < upto; i++)
    if (gradrt_history_column(&run[i].h, column) >= 0)
      return true;
  return false;
}

/* Columns are numbers but for accuracies: of the likeliest class, or of the top ones. */
static bool is_share(const char *column)
{
  return strstr(column, "accuracy") || strstr(column, "top");
}

static void put_measure(gradrt_writer *w, const Run *run, int n, const char *column)
{
  gradrt_series series[RUNS_MAX];
  int used = 0;
  for (int i = 0; i < n; i++) {
    int at = gradrt_history_column(&run[i].h, column);
    if (at >= 0)
      series[used++] = (gradrt_series){ &run[i].h, at, i, run[i].label };
  }
  gradrt_report_series(w, column, series, used, is_share(column));
}

static void put_ends(gradrt_writer *w, const Run *run, int n)
{
  gradrt_writer_printf(w, "<h2>Last epochs</h2>\n<div class=\"scroll\"><table class=\"small\">"
                          "<thead><tr><th>run</th><th class=\"n\">epochs</th><th class=\"n\">steps"
                          "</th><th>measures</th></tr></thead><tbody>\n");
  for (int i = 0; i < n; i++) {
    const gradrt_history *h = &run[i].h;
    gradrt_writer_printf(w, "<tr><td>");
    gradrt_report_text(w, run[i].label);
    gradrt_writer_printf(w, "</td><td class=\"n\">%.0f</td><td class=\"n\">%.0f</td><td>",
                         gradrt_history_last(h, "epoch"), gradrt_history_last(h, "step"));
    const char *gap = "";
    for (int c = 0; c < h->ncolumn; c++)
      if (is_measure(h->column[c])) {
        gradrt_writer_printf(w, "%s%s %.5g", gap, h->column[c],
                             gradrt_history_at(h, h->nrow - 1, c));
        gap = ", ";
      }
    gradrt_writer_printf(w, "</td></tr>\n");
  }
  gradrt_writer_printf(w, "</tbody></table></div>\n");
}

static int write_page(const CmdOptions *o, const Run *run, int n)
{
  const char *path = o->out ? o->out : "report.html";
  gradrt_writer *w = gradrt_writer_open(path);
  if (!w)
    return EXIT_IO;
  gradrt_report_begin(w, "runs beside each other");
  gradrt_writer_printf(w, "<h1>%d runs</h1>\n<h2>Curves</h2>\n<div class=\"row\">\n", n);
  for (int i = 0; i < n; i++)
    for (int c = 0; c < run[i].h.ncolumn; c++)
      if (is_measure(run[i].h.column[c]) && !shown_before(run, i, run[i].h.column[c]))
        put_measure(w, run, n, run[i].h.column[c]);
  gradrt_writer_printf(w, "</div>\n");
  put_ends(w, run, n);
  gradrt_writer_printf(w, "</main></body></html>\n");
  int code = gradrt_writer_commit(w) ? EXIT_IO : EXIT_OK;
  if (!code && !o->quiet)
    fprintf(stderr, "wrote %s\n", path);
  return code;
}

static const char *fold_of(Arena *a, const char *dir, int k)
{
  return arena_printf(a, "%s/fold%d", dir, k);
}

/* Whether a run has more than the head of its curves. */
static bool has_epochs(Arena *a, const char *dir)
{
  FILE *f = fopen(arena_printf(a, "%s/metrics.csv", dir), "r");
  int lines = 0;
  for (int c; f && lines < 2 && (c = getc(f)) != EOF;)
    lines += c == '\n';
  if (f)
    fclose(f);
  return lines == 2;
}

/* The runs of a cross-validation take the place of the folder that holds them; a later fold that
 * was stopped in its first epoch has nothing to show. Returns how many runs there are, at most
 * RUNS_MAX + 1. */
static int with_folds(Arena *a, const char *const *dir, int n, const char **out)
{
  int all = 0;
  for (int i = 0; i < n && all <= RUNS_MAX; i++) {
    bool run = gradrt_path_exists(arena_printf(a, "%s/metrics.csv", dir[i]));
    if (run || !gradrt_path_is_dir(fold_of(a, dir[i], 1)))
      out[all++] = dir[i];
    else
      for (int k = 1; (k == 1 || has_epochs(a, fold_of(a, dir[i], k))) && all <= RUNS_MAX; k++)
        out[all++] = fold_of(a, dir[i], k);
  }
  return all;
}

/* The last word of a path, or all of it where another one ends in the same word. */
static const char *label_of(const char *const *dir, int n, int i)
{
  const char *slash = strrchr(dir[i], '/'), *word = slash && slash[1] ? slash + 1 : dir[i];
  for (int k = 0; k < n; k++) {
    const char *other = strrchr(dir[k], '/');
    if (k != i && str_eq(word, other ? other + 1 : dir[k]))
      return dir[i];
  }
  return word;
}

static int show_runs(const CmdOptions *o, const char *const *dir, int n)
{
  Run run[RUNS_MAX] = { 0 };
  int code = EXIT_OK, read = 0;
  if (n > RUNS_MAX)
    return gradrt_error(EXIT_USAGE, "one picture holds at most %d runs, not more", RUNS_MAX);
  for (; read < n && !code; read++) {
    run[read].label = label_of(dir, n, read);
    code = gradrt_history_read(&run[read].h, dir[read]);
  }
  code = code ? code : write_page(o, run, n);
  for (int i = 0; i < read; i++)
    gradrt_history_close(&run[i].h);
  return code;
}

int report_runs(const CmdOptions *o, const char *const *dir, int n)
{
  Arena *a = arena_new("runs");
  const char *run[RUNS_MAX + 2];
  int code = show_runs(o, run, with_folds(a, dir, n, run));
  arena_free(&a);
  return code;
}
