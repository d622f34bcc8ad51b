/* Confusion matrices and the precision, recall and F1 of each class: computed once, printed as text
 * (scikit-learn's layout) and as JSON. */
#include "run.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TABLE_CLASSES_MAX = 40, TABLE_NAME_MAX = 15, TABLE_MISTAKES = 10 };

static double table_ratio(double a, double b)
{
  return b > 0 ? a / b : 0;
}

static void table_average(const gradrt_class_score *c, int classes, gradrt_class_score *macro,
                          gradrt_class_score *weighted)
{
  *macro = *weighted = (gradrt_class_score){ 0 };
  for (int i = 0; i < classes; i++) {
    double weight = (double)c[i].support;
    macro->precision += c[i].precision;
    macro->recall += c[i].recall;
    macro->f1 += c[i].f1;
    weighted->precision += weight * c[i].precision;
    weighted->recall += weight * c[i].recall;
    weighted->f1 += weight * c[i].f1;
    macro->support = weighted->support += c[i].support;
  }
  double total = (double)weighted->support;
  macro->precision = table_ratio(macro->precision, classes);
  macro->recall = table_ratio(macro->recall, classes);
  macro->f1 = table_ratio(macro->f1, classes);
  weighted->precision = table_ratio(weighted->precision, total);
  weighted->recall = table_ratio(weighted->recall, total);
  weighted->f1 = table_ratio(weighted->f1, total);
}

double gradrt_class_scores(const int64_t *table, int classes, gradrt_class_score *out)
{
  int64_t right = 0, all = 0;
  for (int c = 0; c < classes; c++) {
    int64_t row = 0, column = 0, hit = table[c * classes + c];
    for (int k = 0; k < classes; k++) {
      row += table[c * classes + k];
      column += table[k * classes + c];
    }
    right += hit;
    all += row;
    double precision = table_ratio((double)hit, (double)column);
    double recall = table_ratio((double)hit, (double)row);
    out[c] = (gradrt_class_score){ .precision = precision, .recall = recall, .support = row,
                                   .f1 = table_ratio(2 * precision * recall, precision + recall) };
  }
  table_average(out, classes, &out[classes], &out[classes + 1]);
  return table_ratio((double)right, (double)all);
}

int gradrt_worst_mistakes(const int64_t *table, int classes, gradrt_mistake *out, int max)
{
  int n = 0;
  for (int t = 0; t < classes; t++) {
    for (int p = 0; p < classes; p++) {
      int64_t count = table[t * classes + p];
      if (t == p || count == 0 || (n == max && count <= out[n - 1].count)) {
        continue;
      }
      int at = n < max ? n++ : n - 1;
      while (at > 0 && out[at - 1].count < count) {
        out[at] = out[at - 1];
        at--;
      }
      out[at] = (gradrt_mistake){ .truth = t, .guess = p, .count = count };
    }
  }
  return n;
}

/* ---- text ---- */

static int table_digits(int64_t v)
{
  int n = 1;
  while (v >= 10) {
    v /= 10;
    n++;
  }
  return n;
}

/* Right-aligns a name by its code points, so that accented names keep the columns straight. */
static void table_cell(const char *text, int width)
{
  int points = gradrt_text_points(text);
  printf("%*s%s", width > points ? width - points : 0, "", text);
}

/* A name that fits the columns of the confusion matrix. */
static const char *table_name(const gradrt_meter *m, int metric, int cls, char *buf)
{
  char name[GRADRT_NAME_MAX];
  return gradrt_text_short(buf, TABLE_NAME_MAX,
                           gradrt_meter_class_name(m, metric, cls, name, sizeof name));
}

static void table_print_mistakes(const gradrt_meter *m, int metric, const int64_t *table,
                                 int classes)
{
  gradrt_mistake worst[TABLE_MISTAKES];
  int n = gradrt_worst_mistakes(table, classes, worst, TABLE_MISTAKES);
  char truth[GRADRT_NAME_MAX], guess[GRADRT_NAME_MAX];
  printf("most frequent mistakes (%d classes)\n", classes);
  for (int i = 0; i < n; i++) {
    printf("  %6" PRId64 "  true %s, predicted %s\n", worst[i].count,
           gradrt_meter_class_name(m, metric, worst[i].truth, truth, sizeof truth),
           gradrt_meter_class_name(m, metric, worst[i].guess, guess, sizeof guess));
  }
}

static void table_print_confusion(const gradrt_meter *m, int metric)
{
  int classes;
  const int64_t *table = gradrt_meter_confusion(m, metric, &classes);
  if (classes > TABLE_CLASSES_MAX) {
    table_print_mistakes(m, metric, table, classes);
    return;
  }
  char name[4 * TABLE_NAME_MAX + 1];
  int width = 4;
  for (int i = 0; i < classes * classes; i++) {
    int digits = table_digits(table[i]);
    width = digits > width ? digits : width;
  }
  for (int c = 0; c < classes; c++) {
    int length = gradrt_text_points(table_name(m, metric, c, name));
    width = length > width ? length : width;
  }
  printf("confusion matrix (rows: true, columns: predicted)\n%*s", width + 2, "");
  for (int c = 0; c < classes; c++) {
    putchar(' ');
    table_cell(table_name(m, metric, c, name), width);
  }
  putchar('\n');
  for (int r = 0; r < classes; r++) {
    table_cell(table_name(m, metric, r, name), width + 2);
    for (int c = 0; c < classes; c++) {
      printf(" %*" PRId64, width, table[r * classes + c]);
    }
    putchar('\n');
  }
}

static void table_print_scores(const char *name, int width, const gradrt_class_score *s)
{
  table_cell(name, width);
  printf("  %9.4f %9.4f %9.4f %9" PRId64 "\n", s->precision, s->recall, s->f1, s->support);
}

static void table_print_prf(const gradrt_meter *m, int metric)
{
  int classes;
  const int64_t *table = gradrt_meter_confusion(m, metric, &classes);
  gradrt_class_score *score = gradrt_alloc(((size_t)classes + 2) * sizeof *score);
  if (!score) {
    return;
  }
  double accuracy = gradrt_class_scores(table, classes, score);
  char name[GRADRT_NAME_MAX];
  int width = (int)strlen("weighted avg");
  for (int c = 0; c < classes; c++) {
    int length = gradrt_text_points(gradrt_meter_class_name(m, metric, c, name, sizeof name));
    width = length > width ? length : width;
  }
  printf("%*s  %9s %9s %9s %9s\n\n", width, "", "precision", "recall", "f1-score", "support");
  for (int c = 0; c < classes; c++) {
    table_print_scores(gradrt_meter_class_name(m, metric, c, name, sizeof name), width, &score[c]);
  }
  printf("\n%*s  %9s %9s %9.4f %9" PRId64 "\n", width, "accuracy", "", "", accuracy,
         score[classes].support);
  table_print_scores("macro avg", width, &score[classes]);
  table_print_scores("weighted avg", width, &score[classes + 1]);
  gradrt_free(score);
}

void gradrt_meter_print_tables(const gradrt_meter *m)
{
  int n;
  const gradrt_metric *metric = gradrt_meter_metrics(m, &n);
  for (int i = 0; i < n; i++) {
    int classes, labels;
    if (gradrt_meter_labels(m, i, &labels)) {
      putchar('\n');
      gradrt_meter_print_labels(m, i);
    }
    if (!gradrt_meter_confusion(m, i, &classes)) {
      continue;
    }
    putchar('\n');
    if (strcmp(metric[i].kind, "confusion") == 0) {
      table_print_confusion(m, i);
    } else {
      table_print_prf(m, i);
    }
  }
}

/* ---- JSON ---- */

static void table_json_scores(const char *name, const gradrt_class_score *s, FILE *f)
{
  fputs("{\"class\":", f);
  gradrt_json_string(f, name);
  fprintf(f, ",\"precision\":%.9g,\"recall\":%.9g,\"f1\":%.9g,\"support\":%" PRId64 "}",
          s->precision, s->recall, s->f1, s->support);
}

static void table_json_prf(const gradrt_meter *m, int metric, const int64_t *table, int classes,
                           FILE *f)
{
  gradrt_class_score *score = gradrt_alloc(((size_t)classes + 2) * sizeof *score);
  if (!score) {
    fputs("null", f);
    return;
  }
  char name[GRADRT_NAME_MAX];
  gradrt_class_scores(table, classes, score);
  for (int c = 0; c < classes; c++) {
    fputc(c ? ',' : '[', f);
    table_json_scores(gradrt_meter_class_name(m, metric, c, name, sizeof name), &score[c], f);
  }
  fputc(',', f);
  table_json_scores("macro avg", &score[classes], f);
  fputc(',', f);
  table_json_scores("weighted avg", &score[classes + 1], f);
  fputc(']', f);
  gradrt_free(score);
}

void gradrt_meter_json_tables(const gradrt_meter *m, FILE *f)
{
  int n;
  const gradrt_metric *metric = gradrt_meter_metrics(m, &n);
  for (int i = 0; i < n; i++) {
    int classes, labels;
    const int64_t *table = gradrt_meter_confusion(m, i, &classes);
    if (gradrt_meter_labels(m, i, &labels)) {
      fputs(",\"labels\":", f);
      gradrt_meter_json_labels(m, i, f);
    }
    if (!table) {
      continue;
    }
    fputc(',', f);
    gradrt_json_string(f, metric[i].name ? metric[i].name : metric[i].kind);
    fputc(':', f);
    if (strcmp(metric[i].kind, "prf") == 0) {
      table_json_prf(m, i, table, classes, f);
      continue;
    }
    for (int r = 0; r < classes; r++) {
      fputs(r ? ",[" : "[[", f);
      for (int c = 0; c < classes; c++) {
        fprintf(f, "%s%" PRId64, c ? "," : "", table[r * classes + c]);
      }
      fputc(']', f);
    }
    fputc(']', f);
  }
}
