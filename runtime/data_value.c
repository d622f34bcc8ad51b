/* Elements and fields: conversion from the types of files to those of rows, sizes checked before
 * memory is taken, labels checked against their classes. */
#include "data.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- types ---- */

typedef struct { const char *name; size_t size; bool real; double low, high; } value_type;

/* Rows of gradrt_dtype, in its order. The bounds of whole numbers are those a double holds exactly.
 */
static const value_type value_types[] = {
  { "f32", 4, true, 0, 0 },           { "f64", 8, true, 0, 0 },
  { "u8", 1, false, 0, 255 },         { "i32", 4, false, -2147483648.0, 2147483647.0 },
  { "u32", 4, false, 0, 4294967295.0 }, { "i64", 8, false, -9007199254740992.0, 9007199254740992.0 }
};

size_t gradrt_dtype_size(gradrt_dtype t) { return value_types[t].size; }

const char *gradrt_dtype_name(gradrt_dtype t) { return value_types[t].name; }

double gradrt_wire_get(gradrt_wire w, const unsigned char *at)
{
  uint64_t bits = 0;
  for (int i = 0; i < w.size; i++)
    bits |= (uint64_t)at[w.big ? w.size - 1 - i : i] << 8 * i;
  if (w.kind == 'f' && w.size == 4) {
    uint32_t low = (uint32_t)bits;
    float v;
    memcpy(&v, &low, sizeof v);
    return (double)v;
  }
  if (w.kind == 'f') {
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
  }
  uint64_t sign = UINT64_C(1) << (8 * w.size - 1);
  if (w.kind == 'i' && (bits & sign))
    return -(double)((sign - (bits & (sign - 1))));
  return (double)bits;
}

bool gradrt_dtype_put(gradrt_dtype to, void *rows, int64_t i, double v)
{
  const value_type *t = &value_types[to];
  if (!isfinite(v) || (!t->real && (v != floor(v) || v < t->low || v > t->high)))
    return false;
  switch (to) {
  case GRADRT_F32: ((float *)rows)[i] = (float)v; return isfinite((float)v);
  case GRADRT_F64: ((double *)rows)[i] = v; return true;
  case GRADRT_U8: ((uint8_t *)rows)[i] = (uint8_t)v; return true;
  case GRADRT_I32: ((int32_t *)rows)[i] = (int32_t)v; return true;
  case GRADRT_U32: ((uint32_t *)rows)[i] = (uint32_t)v; return true;
  case GRADRT_I64: ((int64_t *)rows)[i] = (int64_t)v; return true;
  }
  return false;
}

double gradrt_dtype_get(gradrt_dtype from, const void *rows, int64_t i)
{
  switch (from) {
  case GRADRT_F32: return (double)((const float *)rows)[i];
  case GRADRT_F64: return ((const double *)rows)[i];
  case GRADRT_U8: return (double)((const uint8_t *)rows)[i];
  case GRADRT_I32: return (double)((const int32_t *)rows)[i];
  case GRADRT_U32: return (double)((const uint32_t *)rows)[i];
  case GRADRT_I64: return (double)((const int64_t *)rows)[i];
  }
  return 0;
}

int64_t gradrt_wire_copy(gradrt_dtype to, void *rows, int64_t first, gradrt_wire w,
                         const unsigned char *from, int64_t n)
{
  bool bytes = w.kind == 'u' && w.size == 1;
  if (bytes && to == GRADRT_U8) {
    memcpy((uint8_t *)rows + first, from, (size_t)n);
    return -1;
  }
  if (bytes && to == GRADRT_F32) {
    for (int64_t i = 0; i < n; i++)
      ((float *)rows)[first + i] = (float)from[i];
    return -1;
  }
  for (int64_t i = 0; i < n; i++)
    if (!gradrt_dtype_put(to, rows, first + i, gradrt_wire_get(w, from + i * w.size)))
      return first + i;
  return -1;
}

/* ---- fields ---- */

int64_t gradrt_field_elems(const gradrt_field *f)
{
  int64_t n = 1;
  for (int i = 0; i < f->rank; i++)
    n *= f->dim[i];
  return n;
}

const char *gradrt_shape_text(char buf[GRADRT_DATA_SHAPE], int rank, const int64_t *dim)
{
  int at = snprintf(buf, GRADRT_DATA_SHAPE, "[");
  for (int i = 0; i < rank; i++)
    at += snprintf(buf + at, (size_t)(GRADRT_DATA_SHAPE - at), "%s%" PRId64, i ? ", " : "", dim[i]);
  snprintf(buf + at, (size_t)(GRADRT_DATA_SHAPE - at), "]");
  return buf;
}

/* Whether the two shapes are equal once axes of extent 1 are left out. */
static bool value_same_extents(int nx, const int64_t *x, int ny, const int64_t *y)
{
  int i = 0, k = 0;
  for (;;) {
    while (i < nx && x[i] == 1)
      i++;
    while (k < ny && y[k] == 1)
      k++;
    if (i == nx || k == ny)
      return i == nx && k == ny;
    if (x[i++] != y[k++])
      return false;
  }
}

int gradrt_shape_check(const gradrt_field *f, const char *path, int rank, const int64_t *dim)
{
  char have[GRADRT_DATA_SHAPE], want[GRADRT_DATA_SHAPE];
  int64_t elems = 1, wanted = gradrt_field_elems(f);
  for (int i = 0; i < rank; i++)
    elems *= dim[i];
  bool list = rank == 1 || f->rank == 1;
  if (elems == wanted && (list || value_same_extents(rank, dim, f->rank, f->dim)))
    return GRADRT_OK;
  gradrt_shape_text(have, rank, dim);
  gradrt_shape_text(want, f->rank, f->dim);
  int code =
      elems == wanted
          ? gradrt_error(GRADRT_DATA, "%s: a sample has the shape %s, but field '%s' has %s", path,
                         have, f->name, want)
          : gradrt_error(GRADRT_DATA,
                         "%s: a sample has %" PRId64 " element%s %s, but field '%s' has %" PRId64
                         " %s",
                         path, elems, elems == 1 ? "" : "s", have, f->name, wanted, want);
  if (f->place)
    gradrt_note("the field is declared at %s", f->place);
  return code;
}

double gradrt_memory(void)
{
  double bytes = INFINITY, limit;
#ifdef _SC_PHYS_PAGES
  double pages = (double)sysconf(_SC_PHYS_PAGES), page = (double)sysconf(_SC_PAGESIZE);
  bytes = pages > 0 && page > 0 ? pages * page : bytes;
#endif
  FILE *f = fopen("/sys/fs/cgroup/memory.max", "r");
  if (f && fscanf(f, "%lf", &limit) == 1 && limit > 0 && limit < bytes)
    bytes = limit;
  if (f)
    fclose(f);
  return bytes;
}

int gradrt_rows_alloc(const gradrt_ask *a, gradrt_rows *out, int field)
{
  const gradrt_field *f = &a->net->field[field];
  size_t bytes = gradrt_dtype_size(f->dtype);
  bool fits = out->n <= (int64_t)UINT32_MAX && gradrt_mul_size(bytes, (size_t)out->n, &bytes);
  for (int i = 0; i < f->rank; i++)
    fits = fits && gradrt_mul_size(bytes, (size_t)f->dim[i], &bytes);
  fits = fits && bytes < SIZE_MAX / 2 && (double)bytes <= gradrt_memory();
  out->rows[field] = fits ? gradrt_alloc(bytes) : NULL;
  if (out->rows[field])
    return GRADRT_OK;
  double need =
      (double)out->n * (double)gradrt_field_elems(f) * (double)gradrt_dtype_size(f->dtype);
  return gradrt_error(
      GRADRT_LIMIT,
      "%s: %" PRId64 " samples of field '%s' need %.3g GiB of memory, more than there is",
      a->source->place ? a->source->place : a->net->file, out->n, f->name, need / 1073741824.0);
}

void gradrt_rows_free(gradrt_rows *r)
{
#ifndef GRADRT_WITHOUT_IMAGES
  int field;
  if (r->store && gradrt_store_rows(r->store, &field))
    r->rows[field] = NULL;
  gradrt_store_close(r->store);
#endif
  for (int i = 0; i < GRADRT_FIELDS_MAX; i++) {
    gradrt_free(r->rows[i]);
    r->rows[i] = NULL;
  }
  gradrt_free(r->column);
  gradrt_free(r->document);
  gradrt_free(r->owner);
  r->store = NULL;
  r->column = NULL;
  r->document = NULL;
  r->owner = NULL;
  r->ncolumn = 0;
}

int gradrt_value_error(const gradrt_field *f, const char *path, int64_t at, double v)
{
  int64_t elems = gradrt_field_elems(f);
  int code = gradrt_error(
      GRADRT_DATA, "%s: sample %" PRId64 ", element %" PRId64 " is %.9g, which field '%s' (%s) %s",
      path, at / elems, at % elems, v, f->name, gradrt_dtype_name(f->dtype),
      isfinite(v) ? "cannot hold" : "must not hold");
  if (f->place)
    gradrt_note("the field is declared at %s", f->place);
  return code;
}

int gradrt_labels_check(const gradrt_field *f, const char *path, const char *unit, const void *rows,
                        int64_t n)
{
  int64_t bad = 0, which[3] = { 0 };
  double low = INFINITY, high = -INFINITY, first = 0;
  for (int64_t i = 0; i < n; i++) {
    double v = gradrt_dtype_get(f->dtype, rows, i);
    low = v < low ? v : low;
    high = v > high ? v : high;
    if (v >= 0 && v < (double)f->classes && v == floor(v))
      continue;
    first = bad ? first : v;
    if (bad < 3)
      which[bad] = i;
    bad++;
  }
  if (bad == 0)
    return GRADRT_OK;
  int code = gradrt_error(GRADRT_DATA, "%s: label %.9g of %s %" PRId64 " is outside 0..%" PRId64,
                          path, first, unit, which[0], f->classes - 1);
  gradrt_note("field '%s'%s%s has %" PRId64 " classes, so labels must be 0, 1, .. %" PRId64,
              f->name, f->place ? " of " : "", f->place ? f->place : "", f->classes,
              f->classes - 1);
  if (bad > 1)
    gradrt_note("%" PRId64 " of %" PRId64 " labels are (%ss %" PRId64 ", %" PRId64
                "%s); labels found: %g..%g",
                bad, n, unit, which[0], which[1], bad > 2 ? ", .." : "", low, high);
  return code;
}

/* ---- options of sources ---- */

static const gradrt_prop *value_prop(const gradrt_source *s, const char *name)
{
  for (int i = 0; i < s->nprop; i++)
    if (s->prop[i].name && strcmp(s->prop[i].name, name) == 0)
      return &s->prop[i];
  return NULL;
}

double gradrt_prop_number(const gradrt_source *s, const char *name, double missing)
{
  const gradrt_prop *p = value_prop(s, name);
  return p && !p->text ? p->number : missing;
}

const char *gradrt_prop_text(const gradrt_source *s, const char *name, const char *missing)
{
  const gradrt_prop *p = value_prop(s, name);
  return p && p->text && *p->text ? p->text : missing;
}

int gradrt_fields_pair(const gradrt_ask *a, int *samples, int *labels)
{
  const gradrt_net *net = a->net;
  *samples = *labels = -1;
  for (int i = net->nfield - 1; i >= 0; i--)
    if (!net->field[i].is_label)
      *samples = i;
  for (int i = net->nfield - 1; i >= 0; i--)
    if (i != *samples && !a->inputs)
      *labels = i;
  if (net->nfield <= 2)
    return GRADRT_OK;
  int extra = 0;
  while (extra == *samples || extra == *labels)
    extra++;
  return gradrt_error(
      GRADRT_DATA,
      "%s: '%s' gives two fields, the samples and their labels; nothing feeds field '%s'",
      a->source->place ? a->source->place : net->file, a->source->kind, net->field[extra].name);
}
