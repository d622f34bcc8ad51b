/* Accuracy, precision and recall of each label of samples with several yes-or-no labels, beside how
 * often the label is there, as text and as JSON. */
#include "run.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool gradrt_field_column(const gradrt_field *f, int element, char *buf, size_t size)
{
  const char *p = f->columns;
  for (int i = 0; p && i < element; i++) {
    p = strchr(p, ',');
    p = p ? p + 1 : NULL;
  }
  /* a range of columns, or one of words, names no single element */
  if (!p || strstr(f->columns, "..") || strchr(f->columns, ':')) {
    return false;
  }
  char name[GRADRT_NAME_MAX];
  p += strspn(p, " ");
  snprintf(name, sizeof name, "%.*s", (int)strcspn(p, ","), p);
  gradrt_text_plain(buf, size, name);
  return true;
}

const char *gradrt_meter_label_name(const gradrt_meter *m, int metric, int label, char *buf,
                                    size_t size)
{
  const gradrt_field *f = gradrt_meter_target(m, metric);
  if (!f || !gradrt_field_column(f, label, buf, size)) {
    snprintf(buf, size, "%d", label);
  }
  return buf;
}

gradrt_label_score gradrt_meter_label_score(const gradrt_meter *m, int metric, int label)
{
  int labels;
  const gradrt_label_count *count = gradrt_meter_labels(m, metric, &labels) + label;
  int64_t seen = gradrt_meter_seen(m, metric) / labels;
  double found = (double)count->found;
  return (gradrt_label_score){
    .accuracy = seen ? (double)count->right / (double)seen : 0,
    .precision = count->guessed ? found / (double)count->guessed : 0,
    .recall = count->present ? found / (double)count->present : 0,
  };
}

void gradrt_meter_print_labels(const gradrt_meter *m, int metric)
{
  int labels, width = (int)strlen("label");
  const gradrt_label_count *count = gradrt_meter_labels(m, metric, &labels);
  char name[GRADRT_NAME_MAX];
  for (int k = 0; k < labels; k++) {
    int length = (int)strlen(gradrt_meter_label_name(m, metric, k, name, sizeof name));
    width = length > width ? length : width;
  }
  printf("%*s  %9s %9s %9s %9s\n", width, "label", "accuracy", "precision", "recall", "present");
  for (int k = 0; k < labels && gradrt_meter_seen(m, metric) > 0; k++) {
    gradrt_label_score s = gradrt_meter_label_score(m, metric, k);
    gradrt_meter_label_name(m, metric, k, name, sizeof name);
    printf("%*s  %9.4f %9.4f %9.4f %9" PRId64 "\n", width, name, s.accuracy, s.precision, s.recall,
           count[k].present);
  }
}

void gradrt_meter_json_labels(const gradrt_meter *m, int metric, FILE *f)
{
  int labels;
  const gradrt_label_count *count = gradrt_meter_labels(m, metric, &labels);
  char name[GRADRT_NAME_MAX];
  for (int k = 0; k < labels && gradrt_meter_seen(m, metric) > 0; k++) {
    gradrt_label_score s = gradrt_meter_label_score(m, metric, k);
    fputs(k ? ",{\"label\":" : "[{\"label\":", f);
    gradrt_json_string(f, gradrt_meter_label_name(m, metric, k, name, sizeof name));
    fprintf(f, ",\"accuracy\":%.9g,\"precision\":%.9g,\"recall\":%.9g,\"present\":%" PRId64 "}",
            s.accuracy, s.precision, s.recall, count[k].present);
  }
  fputc(']', f);
}
