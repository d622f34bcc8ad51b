/* A data block may keep some of the classes of its sources: `classes: 0, 1, 7;` or, where labels
 * are words, `classes: cat, dog;`. Sources carry the list as their option "only", one class a line.
 * Kept classes get the numbers 0, 1, .. in the order of the list; samples of others are dropped. */
#include "data.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { CLASSES_MAX = 4096, CLASSES_DROPPED = -1 };

const char *gradrt_only(const gradrt_source *s)
{
  return gradrt_prop_text(s, "only", NULL);
}

int gradrt_only_find(const char *only, const char *name)
{
  size_t n = strlen(name);
  for (int i = 0;; i++) {
    size_t length = strcspn(only, "\n");
    if (length == n && memcmp(only, name, n) == 0)
      return i;
    if (!only[length])
      return -1;
    only += length + 1;
  }
}

bool gradrt_only_numbers(const char *only)
{
  return only[strspn(only, "0123456789\n")] == 0;
}

/* The label as the file has it: with classes that are not kept. */
static gradrt_field classes_open(const gradrt_field *f, const char *only)
{
  gradrt_field open = *f;
  if (gradrt_only_numbers(only)) {
    open.classes = f->dtype == GRADRT_U8 ? 256 : INT32_MAX;
    open.class_name = NULL;
  }
  return open;
}

/* What class a label of the file is, or CLASSES_DROPPED. */
static int classes_number(const gradrt_field *f, const int64_t *kept, int n, double label)
{
  if (n == 0)                   /* by words: the reader numbered them, others lie above */
    return label >= 0 && label < (double)f->classes ? (int)label : CLASSES_DROPPED;
  for (int i = 0; i < n; i++)
    if ((double)kept[i] == label)
      return i;
  return CLASSES_DROPPED;
}

/* Moves a sample of each field down to a lower row. */
static void classes_move(const gradrt_net *net, gradrt_rows *rows, int64_t from, int64_t to)
{
  for (int f = 0; f < net->nfield; f++) {
    const gradrt_field *field = &net->field[f];
    size_t bytes = (size_t)gradrt_field_elems(field) * gradrt_dtype_size(field->dtype);
    char *at = rows->rows[f];
    if (at && from != to)
      memcpy(at + (size_t)to * bytes, at + (size_t)from * bytes, bytes);
  }
#ifndef GRADRT_WITHOUT_IMAGES
  if (rows->store)
    gradrt_store_move(rows->store, from, to);
#endif
}

/* Drops what is not kept and numbers the rest. */
static int classes_keep(const gradrt_net *net, const gradrt_source *s, gradrt_rows *rows)
{
  const char *only = gradrt_only(s);
  int64_t kept[CLASSES_MAX], left = 0;
  int n = 0, label = 0;
  while (label < net->nfield && !net->field[label].is_label)
    label++;
  if (!only || label == net->nfield || !rows->rows[label])
    return GRADRT_OK;
  for (const char *p = only; gradrt_only_numbers(only) && *p && n < CLASSES_MAX; p += *p == '\n') {
    kept[n++] = (int64_t)strtol(p, NULL, 10);
    p += strcspn(p, "\n");
  }
  const gradrt_field *f = &net->field[label];
  for (int64_t i = 0; i < rows->n; i++) {
    int number = classes_number(f, kept, n, gradrt_dtype_get(f->dtype, rows->rows[label], i));
    if (number == CLASSES_DROPPED)
      continue;
    classes_move(net, rows, i, left);
    gradrt_dtype_put(f->dtype, rows->rows[label], left++, number);
  }
  int64_t all = rows->n;
  rows->n = left;
  if (left > 0)
    return GRADRT_OK;
  return gradrt_error(GRADRT_DATA, "%s: none of the %" PRId64 " samples of '%s' has one of the "
                      "kept classes", s->place ? s->place : net->file, all, s->kind);
}

int gradrt_read_kept(int (*read)(const gradrt_ask *, gradrt_rows *), const gradrt_ask *a,
                     gradrt_rows *out)
{
  const char *only = gradrt_only(a->source);
  gradrt_field field[GRADRT_FIELDS_MAX];
  gradrt_net net = *a->net;
  gradrt_ask ask = *a;
  if (!only)
    return read(a, out);
  for (int f = 0; f < net.nfield; f++)
    field[f] = net.field[f].is_label ? classes_open(&net.field[f], only) : net.field[f];
  net.field = field;
  ask.net = &net;
  ask.subset = true;
  int code = read(&ask, out);
  return code == GRADRT_OK ? classes_keep(a->net, a->source, out) : code;
}
