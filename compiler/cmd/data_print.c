/* The text and the JSON of `gradc data`. */
#include "base/str.h"
#include "cmd/dataview.h"
#include "data.h"
#include "run.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { FIRST_ROWS = 5, FIRST_VALUES = 8, CLASSES_SHOWN = 100, NAME_WIDTH = 28 };

static const gradrt_set *set_of(const DataView *v, int split)
{
  return gradrt_data_set(v->rows, split);
}

static const char *field_type(const DataView *v, const gradrt_field *f)
{
  char shape[GRADRT_DATA_SHAPE];
  if (f->is_label)
    return arena_printf(v->arena, "label(%" PRId64 ")", f->classes);
  return arena_printf(v->arena, "%s%s", gradrt_dtype_name(f->dtype),
                      f->rank ? gradrt_shape_text(shape, f->rank, f->dim) : "");
}

/* ---- text ---- */

static void print_splits(const DataView *v)
{
  char count[32];
  printf("\n%-12s %12s  %s\n", "split", "rows", "source");
  for (int i = 0; i < v->net->nsplit; i++) {
    const gradrt_source *s = &v->net->source[v->net->split[i].source];
    int n;
    int64_t skipped;
    gradrt_data_columns(v->rows, i, &n, &skipped);
    printf("%-12s %12s  %s, %s", v->net->split[i].name,
           gradrt_text_count(count, sizeof count, set_of(v, i)->n), s->kind, s->place);
    if (data_sides(v, i))
      printf("; files of %s", data_sides(v, i));
    if (skipped)
      printf("; %s rows with missing cells left out",
             gradrt_text_count(count, sizeof count, skipped));
    printf("\n");
  }
}

/* A name and blanks up to a width in characters; longer ones take their room. */
static void print_name(const char *name, int width)
{
  int points = gradrt_text_points(name);
  printf("  %s%*s", name, width > points ? width - points : 0, "");
}

static void print_range(const DataView *v, int field, int split, int64_t group)
{
  const gradrt_field *f = &v->net->field[field];
  DataRange r = data_range(f, set_of(v, split), field, data_part(v, field, group));
  int64_t missing = data_missing(v, split, field, group);
  print_name(data_group_name(v, field, group), NAME_WIDTH);
  printf(" %-10s %12.6g %12.6g %12.6g %12.6g", v->net->split[split].name, r.low, r.high, r.mean,
         r.std);
  if (missing >= 0)
    printf(" %9" PRId64, missing);
  printf("\n");
}

static void print_numbers(const DataView *v, int field)
{
  printf("  %*s %-10s %12s %12s %12s %12s%s\n", NAME_WIDTH, "", "split", "min", "max", "mean",
         "std", data_missing(v, data_train_split(v), field, 0) >= 0 ? "   missing" : "");
  for (int64_t g = 0; g < data_groups(v, field); g++)
    for (int s = 0; s < v->net->nsplit; s++)
      print_range(v, field, s, g);
}

static void print_classes(const DataView *v, int field)
{
  const gradrt_field *f = &v->net->field[field];
  int64_t *count[256];
  char name[GRADRT_NAME_MAX];
  int nsplit = v->net->nsplit < 256 ? v->net->nsplit : 256, width = NAME_WIDTH;
  for (int64_t c = 0; c < f->classes && c < CLASSES_SHOWN; c++) {
    gradrt_class_name(v->net, f->name, f->classes, c, name, sizeof name);
    width = gradrt_text_points(name) > width ? gradrt_text_points(name) : width;
  }
  print_name("class", width);
  for (int s = 0; s < nsplit; s++) {
    count[s] = data_classes(v, set_of(v, s), field);
    printf(" %10s", v->net->split[s].name);
  }
  printf("\n");
  for (int64_t c = 0; c < f->classes && c < CLASSES_SHOWN; c++) {
    print_name(gradrt_class_name(v->net, f->name, f->classes, c, name, sizeof name), width);
    for (int s = 0; s < nsplit; s++)
      printf(" %10" PRId64, count[s][c]);
    printf("\n");
  }
  if (f->classes > CLASSES_SHOWN)
    printf("  .. %" PRId64 " more\n", f->classes - CLASSES_SHOWN);
}

static void print_value(const DataView *v, int field, uint32_t row, const gradrt_set *set)
{
  const gradrt_field *f = &v->net->field[field];
  const void *sample = data_sample(v, set, field, row);
  int64_t elems = gradrt_field_elems(f);
  char name[64];
  printf("  %s =", f->name);
  for (int64_t k = 0; k < elems && k < FIRST_VALUES; k++) {
    double x = gradrt_dtype_get(f->dtype, sample, k);
    if (f->is_label)
      printf(" %s", gradrt_class_name(v->net, f->name, f->classes, (int64_t)x, name, sizeof name));
    else
      printf(" %.6g", x);
  }
  printf("%s", elems > FIRST_VALUES ? " .." : "");
}

static void print_first(const DataView *v)
{
  int split = data_train_split(v);
  const gradrt_set *set = set_of(v, split);
  printf("\nfirst rows of %s\n", v->net->split[split].name);
  for (int64_t i = 0; i < set->n && i < FIRST_ROWS; i++) {
    printf("  row %" PRIu32 ":", set->row[i]);
    for (int f = 0; f < v->net->nfield; f++)
      print_value(v, f, set->row[i], set);
    printf("\n");
  }
}

/* Training refuses what is only shown here. */
static void print_missing_help(const DataView *v)
{
  for (int s = 0; s < v->net->nsplit; s++) {
    const gradrt_source *source = &v->net->source[v->net->split[s].source];
    const char *how = gradrt_prop_text(source, "missing", "error");
    for (int f = 0; f < v->net->nfield && str_eq(how, "error"); f++)
      for (int64_t g = 0; g < gradrt_field_elems(&v->net->field[f]); g++)
        if (data_missing(v, s, f, g) > 0) {
          printf("\ntraining refuses missing cells: missing=mean in %s fills them with the "
                 "column's mean,\nmissing=skip leaves the rows out\n",
                 source->place);
          return;
        }
  }
}

void data_print(const DataView *v)
{
  printf("%s: data %s\n", v->net->file, v->data->name);
  print_splits(v);
  for (int f = 0; f < v->net->nfield; f++) {
    printf("\nfield %s: %s\n", v->net->field[f].name, field_type(v, &v->net->field[f]));
    if (v->net->field[f].is_label)
      print_classes(v, f);
    else
      print_numbers(v, f);
  }
  print_first(v);
  print_missing_help(v);
}

/* ---- JSON ---- */

static void json_key(const char *before, const char *key)
{
  fputs(before, stdout);
  gradrt_json_string(stdout, key);
  fputs(":", stdout);
}

static void json_range(const DataView *v, int field, int split, int64_t group)
{
  const gradrt_field *f = &v->net->field[field];
  int64_t missing;
  DataRange r = data_range(f, set_of(v, split), field, data_part(v, field, group));
  const char *const key[] = { "min", "max", "mean", "std" };
  const double value[] = { r.low, r.high, r.mean, r.std };
  fputs("{\"split\":", stdout);
  gradrt_json_string(stdout, v->net->split[split].name);
  fputs(",\"part\":", stdout);
  gradrt_json_string(stdout, data_group_name(v, field, group));
  for (int i = 0; i < 4; i++) {
    json_key(",", key[i]);
    gradrt_json_number(stdout, value[i]);
  }
  missing = data_missing(v, split, field, group);
  if (missing >= 0)
    printf(",\"missing\":%" PRId64, missing);
  fputs("}", stdout);
}

static void json_classes(const DataView *v, int field)
{
  const gradrt_field *f = &v->net->field[field];
  char name[64];
  fputs(",\"classes\":[", stdout);
  for (int64_t c = 0; c < f->classes; c++) {
    fputs(c ? "," : "", stdout);
    gradrt_json_string(stdout,
                       gradrt_class_name(v->net, f->name, f->classes, c, name, sizeof name));
  }
  fputs("],\"counts\":{", stdout);
  for (int s = 0; s < v->net->nsplit; s++) {
    const int64_t *count = data_classes(v, set_of(v, s), field);
    json_key(s ? "," : "", v->net->split[s].name);
    for (int64_t c = 0; c < f->classes; c++)
      printf("%s%" PRId64, c ? "," : "[", count[c]);
    fputs("]", stdout);
  }
  fputs("}", stdout);
}

static void json_field(const DataView *v, int field)
{
  const gradrt_field *f = &v->net->field[field];
  fputs("{\"name\":", stdout);
  gradrt_json_string(stdout, f->name);
  printf(",\"type\":\"%s\"", field_type(v, f));
  if (f->is_label) {
    json_classes(v, field);
  } else {
    fputs(",\"ranges\":[", stdout);
    for (int64_t g = 0; g < data_groups(v, field); g++)
      for (int s = 0; s < v->net->nsplit; s++) {
        fputs(g || s ? "," : "", stdout);
        json_range(v, field, s, g);
      }
    fputs("]", stdout);
  }
  fputs("}", stdout);
}

static void json_first(const DataView *v)
{
  const gradrt_set *set = set_of(v, data_train_split(v));
  fputs("],\"first\":[", stdout);
  for (int64_t i = 0; i < set->n && i < FIRST_ROWS; i++) {
    printf("%s{\"row\":%" PRIu32, i ? "," : "", set->row[i]);
    for (int f = 0; f < v->net->nfield; f++) {
      int64_t elems = gradrt_field_elems(&v->net->field[f]);
      const void *sample = data_sample(v, set, f, set->row[i]);
      json_key(",", v->net->field[f].name);
      for (int64_t k = 0; k < elems; k++) {
        fputs(k ? "," : "[", stdout);
        gradrt_json_number(stdout, gradrt_dtype_get(v->net->field[f].dtype, sample, k));
      }
      fputs("]", stdout);
    }
    fputs("}", stdout);
  }
}

void data_print_json(const DataView *v)
{
  fputs("{\"v\":1,\"event\":\"data\",\"file\":", stdout);
  gradrt_json_string(stdout, v->net->file);
  fputs(",\"data\":", stdout);
  gradrt_json_string(stdout, v->data->name);
  fputs(",\"splits\":[", stdout);
  for (int i = 0; i < v->net->nsplit; i++) {
    int n;
    int64_t skipped;
    gradrt_data_columns(v->rows, i, &n, &skipped);
    fputs(i ? ",{\"name\":" : "{\"name\":", stdout);
    gradrt_json_string(stdout, v->net->split[i].name);
    printf(",\"rows\":%" PRId64 ",\"skipped\":%" PRId64 ",\"source\":\"%s\"", set_of(v, i)->n,
           skipped, v->net->source[v->net->split[i].source].kind);
    gradrt_sides s = gradrt_data_sides(v->rows, i);
    if (s.most[0])
      printf(",\"height\":[%d,%d],\"width\":[%d,%d]", s.least[0], s.most[0], s.least[1], s.most[1]);
    fputs("}", stdout);
  }
  fputs("],\"fields\":[", stdout);
  for (int f = 0; f < v->net->nfield; f++) {
    fputs(f ? "," : "", stdout);
    json_field(v, f);
  }
  json_first(v);
  fputs("]}\n", stdout);
}
