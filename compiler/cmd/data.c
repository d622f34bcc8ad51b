/* data: what is in the files or generators of a spec, without training: rows, ranges, classes,
 * missing values, first rows; pictures go to a file. Reads through the readers of training. */
#include "cmd/dataview.h"
#include "base/str.h"
#include "data.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { GROUPS_MAX = 64, CHANNELS_MAX = 4, CHUNK = 64 };

/* ---- counting ---- */

/* The elements of a part of all samples of a set, one after the other. */
typedef struct {
  const gradrt_field *f;
  const gradrt_set *set;
  int field;
  DataPart part;
} Numbers;

/* Widens the range by the numbers; returns the sum of their distances from the mean to a power. */
static double add_numbers(const Numbers *n, int power, DataRange *r)
{
  const void *rows[GRADRT_FIELDS_MAX];
  int64_t elems = gradrt_field_elems(n->f), all = n->set->n;
  bool asks = !n->set->rows[n->field];
  double sum = 0;
  memcpy(rows, n->set->rows, sizeof rows);
  for (int64_t i = 0; i < all; i++) {
    if (asks && i % CHUNK == 0 &&
        gradrt_set_want(n->set, NULL, i, min_i64(CHUNK, all - i), rows) != GRADRT_OK)
      return sum;
    int64_t at = n->set->row[i] * elems + n->part.at;
    for (int64_t k = 0; k < n->part.width; k++) {
      double v = gradrt_dtype_get(n->f->dtype, rows[n->field], at + k * n->part.step);
      r->low = v < r->low ? v : r->low;
      r->high = v > r->high ? v : r->high;
      sum += power == 1 ? v : (v - r->mean) * (v - r->mean);
    }
  }
  return sum;
}

DataRange data_range(const gradrt_field *f, const gradrt_set *set, int field, DataPart part)
{
  const Numbers numbers = { f, set, field, part };
  double n = (double)set->n * (double)part.width;
  DataRange r = { INFINITY, -INFINITY, 0, 0 };
  r.mean = add_numbers(&numbers, 1, &r) / n;
  r.std = sqrt(add_numbers(&numbers, 2, &r) / n);
  return r;
}

const void *data_sample(const DataView *v, const gradrt_set *set, int field, uint32_t row)
{
  const gradrt_field *f = &v->net->field[field];
  const void *sample = gradrt_set_row(v->net, set, field, row);
  size_t bytes = (size_t)gradrt_field_elems(f) * gradrt_dtype_size(f->dtype);
  return sample ? sample : memset(arena_alloc(v->arena, bytes), 0, bytes);
}

int64_t *data_classes(const DataView *v, const gradrt_set *set, int field)
{
  const gradrt_field *f = &v->net->field[field];
  int64_t *count = ARENA_ARRAY(v->arena, int64_t, f->classes);
  for (int64_t i = 0; i < set->n; i++)
    count[(int64_t)gradrt_dtype_get(f->dtype, set->rows[field], set->row[i])]++;
  return count;
}

/* Whether the first dimension counts rows of a window: not in the row behind one. */
static bool has_window(const DataView *v, const gradrt_field *f)
{
  bool behind = f->next_of && f->rank < v->net->field[f->next_of - 1].rank;
  return v->net->window && !behind;
}

/* Windows of rows of several columns. */
static bool has_columns(const DataView *v, const gradrt_field *f)
{
  return has_window(v, f) && f->rank == 2 && f->dim[1] <= GROUPS_MAX;
}

int64_t data_groups(const DataView *v, int field)
{
  const gradrt_field *f = &v->net->field[field];
  int64_t elems = gradrt_field_elems(f);
  if (has_columns(v, f))
    return f->dim[1];
  if (has_window(v, f))
    return 1;
  if (f->rank == 1 && elems <= GROUPS_MAX)
    return elems;
  return f->rank == 3 && f->dim[0] <= CHANNELS_MAX ? f->dim[0] : 1;
}

DataPart data_part(const DataView *v, int field, int64_t group)
{
  const gradrt_field *f = &v->net->field[field];
  int64_t groups = data_groups(v, field), width = gradrt_field_elems(f) / groups;
  return has_columns(v, f) ? (DataPart){ group, groups, width }
                           : (DataPart){ group * width, 1, width };
}

/* What is one row later comes from the columns of the other field. */
static const gradrt_column *find_column(const DataView *v, int split, int field, int64_t element)
{
  int n;
  int64_t skipped;
  const gradrt_column *c = gradrt_data_columns(v->rows, split, &n, &skipped);
  int next_of = v->net->field[field].next_of;
  field = next_of ? next_of - 1 : field;
  for (int i = 0; i < n; i++)
    if (c[i].field == field && c[i].element == element)
      return &c[i];
  return NULL;
}

const char *data_group_name(const DataView *v, int field, int64_t group)
{
  const gradrt_field *f = &v->net->field[field];
  bool named = f->rank <= 1 || has_columns(v, f);
  const gradrt_column *c = named ? find_column(v, data_train_split(v), field, group) : NULL;
  if (c)
    return str_escape(v->arena, c->name, sizeof c->name);
  if (data_groups(v, field) == 1)
    return "";
  return arena_printf(v->arena, f->rank == 3 ? "channel %lld" : "[%lld]", (long long)group);
}

int64_t data_missing(const DataView *v, int split, int field, int64_t element)
{
  const gradrt_column *c = find_column(v, split, field, element);
  return c ? c->missing : -1;
}

const char *data_sides(const DataView *v, int split)
{
  gradrt_sides s = gradrt_data_sides(v->rows, split);
  const char *side[2];
  for (int k = 0; k < 2; k++)
    side[k] = s.least[k] == s.most[k] ? arena_printf(v->arena, "%d", s.most[k])
                                      : arena_printf(v->arena, "%d to %d", s.least[k], s.most[k]);
  return s.most[0] ? arena_printf(v->arena, "%s x %s pixels", side[0], side[1]) : NULL;
}

int data_train_split(const DataView *v)
{
  for (int i = 0; i < v->net->nsplit; i++)
    if (str_eq(v->net->split[i].name, "train"))
      return i;
  return 0;
}

/* ---- the command ---- */

static int load(DataView *v)
{
  const CmdOptions *o = v->options;
  gradrt_data_options how = {
    .dir = o->driver.data_dir ? o->driver.data_dir : cmd_spec_dir(v->arena, o->driver.file),
    .root = o->driver.data_root,
    .look = true,
    .labels = v->named,
  };
  return gradrt_data_load(v->net, &how, &v->rows);
}

/* Whether all samples can be read, before anything is told about them. */
static int read_all(const DataView *v)
{
  const void *rows[GRADRT_FIELDS_MAX];
  int code = EXIT_OK;
  for (int k = 0; k < v->net->nsplit; k++) {
    const gradrt_set *set = gradrt_data_set(v->rows, k);
    for (int64_t at = 0; set && at < set->n && !code; at += CHUNK)
      code = gradrt_set_want(set, NULL, at, min_i64(CHUNK, set->n - at), rows);
  }
  return code;
}

/* Loads and prints. */
static int show(DataView *v)
{
  const CmdOptions *o = v->options;
  int code = load(v);
  if (code)
    return code;
  code = read_all(v);
  if (code) {
    gradrt_data_free(v->rows);
    return code;
  }
  if (o->json)
    data_print_json(v);
  else
    data_print(v);
  code = o->out ? data_write_page(v, o->out) : EXIT_OK;
  gradrt_data_free(v->rows);
  return code;
}

static int look(Compilation *c, const CmdOptions *o)
{
  DataView v = { .options = o, .arena = c->arena, .data = c->model->data };
  if (!v.data)
    return gradrt_error(EXIT_SPEC, "%s has no data block that training or eval reads",
                        str_escape(c->arena, o->driver.file, 200));
  DescribeArgs args = { .model = c->model, .sources = c->sources, .version = GRADC_VERSION,
                        .arena = c->arena };
  gradrt_named named;
  v.named = &named;
  const char *dir =
      o->driver.data_dir ? o->driver.data_dir : cmd_spec_dir(c->arena, o->driver.file);
  v.net = gradrt_net_with_names(&named, describe_data(&args), dir, o->driver.data_root);
  int code = show(&v);
  gradrt_net_forget_names(&named);
  return code;
}

int cmd_data(const CmdOptions *o)
{
  if (str_eq(o->driver.file, "get"))
    return cmd_data_get(o);
  if (o->nrest || o->from)
    return gradrt_error(EXIT_USAGE, "'data' takes one spec; 'data get' brings a data set");
  Compilation *c = compilation_new();
  DriverOptions driver = o->driver;
  driver.data_alone = true;
  int code = compile_check(c, &driver);
  code = code ? code : look(c, o);
  compilation_free(&c);
  return code;
}
