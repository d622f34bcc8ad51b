/* Loading data: each needed source is read once, its labels are checked by its reader, its rows are
 * dealt out to the splits. Also asking for rows, and the fingerprint of what was read. */
#include "data.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct gradrt_data {
  const gradrt_net *net;
  gradrt_rows *source;          /* per source; n 0: not loaded */
  gradrt_set *set;              /* per split; row NULL: not loaded */
  uint32_t **row;               /* per split, owned */
  char *fingerprint;            /* 8 hex digits; "": not computed yet */
};

typedef struct {
  const char *kind;
  gradrt_reader read;
} data_reader;

static const data_reader data_readers[] = {
#ifndef GRADRT_WITHOUT_IDX
  { "idx", gradrt_read_idx },
#endif
#ifndef GRADRT_WITHOUT_CSV
  { "csv", gradrt_read_csv },
#endif
#ifndef GRADRT_WITHOUT_CIFAR
  { "cifar", gradrt_read_cifar },
#endif
#ifndef GRADRT_WITHOUT_RAW
  { "raw", gradrt_read_raw },
  { "npy", gradrt_read_npy },
#endif
#ifndef GRADRT_WITHOUT_GEN
  { "blobs", gradrt_read_points },
  { "moons", gradrt_read_points },
  { "circles", gradrt_read_points },
  { "spirals", gradrt_read_points },
  { "xor", gradrt_read_points },
  { "sine", gradrt_read_points },
  { "line", gradrt_read_points },
  { "addition", gradrt_read_points },
  { "wave", gradrt_read_points },
#endif
#ifndef GRADRT_WITHOUT_DIGITS
  { "digits", gradrt_read_digits },
#endif
#ifndef GRADRT_WITHOUT_IMAGES
  { "images", gradrt_read_images },
#endif
#ifndef GRADRT_WITHOUT_TEXT
  { "text", gradrt_read_text },
#endif
  { NULL, NULL }
};

/* ---- splits ---- */

/* Rows a COUNT or FRACTION split asks of a source of n rows. */
static int64_t data_wanted(const gradrt_split *s, int64_t n)
{
  double wanted = s->how == GRADRT_SPLIT_FRACTION ? floor(s->amount * (double)n + 0.5) : s->amount;
  return wanted < 9e15 ? (int64_t)wanted : INT64_MAX;
}

static int data_split_error(const gradrt_data *d, int split, int64_t wanted, int64_t left)
{
  const gradrt_split *s = &d->net->split[split];
  const char *place = d->net->source[s->source].place;
  int64_t n = d->source[s->source].n;
  if (wanted < 1 || s->how == GRADRT_SPLIT_ALL)
    return gradrt_error(GRADRT_DATA, "%s: split '%s' gets none of the %" PRId64 " rows",
                        place ? place : d->net->file, s->name, n);
  return gradrt_error(GRADRT_DATA,
                      "%s: split '%s' needs %" PRId64 " rows, but %s%" PRId64 " of %" PRId64
                      " %s left",
                      place ? place : d->net->file, s->name, wanted, left ? "only " : "", left, n,
                      left == 1 ? "is" : "are");
}

/* A row in the order in which rows are dealt out: the k-th of its class, of which there are n,
 * comes at (k + 1/2) / n, so that any first part of the order has the same share of each class. */
typedef struct { double at; uint32_t class, row; } data_turn;

static int data_compare_turns(const void *x, const void *y)
{
  const data_turn *a = x, *b = y;
  if (a->at != b->at)
    return a->at < b->at ? -1 : 1;
  if (a->class != b->class)
    return a->class < b->class ? -1 : 1;
  return (a->row > b->row) - (a->row < b->row);
}

/* Turns of all rows by the classes of field f; NULL: memory is out. */
static data_turn *data_stratify(const gradrt_data *d, int source, int f)
{
  const gradrt_field *field = &d->net->field[f];
  uint64_t n = (uint64_t)d->source[source].n;
  data_turn *turn = gradrt_alloc(n * sizeof *turn);
  int64_t *count = gradrt_alloc((size_t)field->classes * sizeof *count);
  for (uint64_t i = 0; turn && count && i < n; i++) {
    uint32_t row = (uint32_t)gradrt_permute(i, n, 0, GRADRT_PURPOSE_SPLIT, 0);
    uint32_t class = (uint32_t)gradrt_dtype_get(field->dtype, d->source[source].rows[f], row);
    turn[i] = (data_turn){ (double)count[class]++ + 0.5, class, row };
  }
  for (uint64_t i = 0; turn && count && i < n; i++)
    turn[i].at /= (double)count[turn[i].class];
  if (turn && count)
    qsort(turn, n, sizeof *turn, data_compare_turns);
  bool room = count != NULL;
  gradrt_free(count);
  if (!room)
    gradrt_free(turn);
  return room ? turn : NULL;
}

static int data_stratified_field(const gradrt_net *net)
{
  for (int f = 0; f < net->nfield; f++)
    if (net->field[f].stratify)
      return f;
  return -1;
}

/* Marks owner[row] = split + 1 for the rows of COUNT and FRACTION splits, in the order of turns, or
 * of a permutation that does not depend on the training's seed. */
static int data_deal(const gradrt_data *d, int source, const data_turn *turn, uint8_t *owner)
{
  uint64_t n = (uint64_t)d->source[source].n, at = 0;
  for (int k = 0; k < d->net->nsplit; k++) {
    const gradrt_split *s = &d->net->split[k];
    if (s->source != source || s->how == GRADRT_SPLIT_ALL || s->how == GRADRT_SPLIT_FOLD)
      continue;
    int64_t wanted = data_wanted(s, (int64_t)n);
    if (wanted < 1 || (uint64_t)wanted > n - at)
      return data_split_error(d, k, wanted, (int64_t)(n - at));
    for (uint64_t end = at + (uint64_t)wanted; at < end; at++)
      owner[turn ? turn[at].row : gradrt_permute(at, n, 0, GRADRT_PURPOSE_SPLIT, 0)] =
          (uint8_t)(k + 1);
  }
  return GRADRT_OK;
}

/* Gives a split the rows whose owner is `mine`, in the order of the file. */
static int data_collect(gradrt_data *d, int split, const uint8_t *owner, uint8_t mine)
{
  const gradrt_split *s = &d->net->split[split];
  const gradrt_rows *rows = &d->source[s->source];
  int64_t n = 0;
  for (int64_t i = 0; i < rows->n; i++)
    n += owner[i] == mine;
  if (n == 0)
    return data_split_error(d, split, 0, 0);
  uint32_t *row = gradrt_alloc((size_t)n * sizeof *row);
  if (!row)
    return gradrt_error(GRADRT_LIMIT, "out of memory for the %" PRId64 " rows of split '%s'", n,
                        s->name);
  n = 0;
  for (int64_t i = 0; i < rows->n; i++)
    if (owner[i] == mine)
      row[n++] = (uint32_t)i;
#ifndef GRADRT_WITHOUT_WINDOW
  if (d->net->streams)
    gradrt_order_streams(row, n, d->net->batch);
#endif
  gradrt_free(d->row[split]);
  d->row[split] = row;
  d->set[split] = (gradrt_set){ .name = s->name, .n = n, .row = row, .store = rows->store };
  for (int f = 0; f < d->net->nfield; f++)
    d->set[split].rows[f] = rows->rows[f];
  return GRADRT_OK;
}

static int data_split(gradrt_data *d, int source)
{
  if (d->net->nsplit > UINT8_MAX - 1)
    return gradrt_error(GRADRT_LIMIT, "%s has more than %d splits", d->net->file, UINT8_MAX - 1);
  const uint8_t *dealt = d->source[source].owner;
  uint8_t *owner = dealt ? NULL : gradrt_alloc((size_t)d->source[source].n);
  int by = data_stratified_field(d->net);
  data_turn *turn = by >= 0 ? data_stratify(d, source, by) : NULL;
  int code = dealt ? GRADRT_OK
             : owner && (turn || by < 0)
                 ? data_deal(d, source, turn, owner)
                 : gradrt_error(GRADRT_LIMIT, "out of memory for the splits of %" PRId64 " rows",
                                d->source[source].n);
  gradrt_free(turn);
  for (int k = 0; k < d->net->nsplit && code == GRADRT_OK; k++)
    if (d->net->split[k].source == source && d->net->split[k].how != GRADRT_SPLIT_FOLD)
      code = data_collect(d, k, dealt ? dealt : owner,
                          d->net->split[k].how == GRADRT_SPLIT_ALL ? 0 : (uint8_t)(k + 1));
  gradrt_free(owner);
  return code;
}

/* ---- folds ---- */

enum { DATA_OUTSIDE, DATA_POOL, DATA_TRAINS, DATA_VALIDATES };

static void data_fold_mark(const gradrt_data *d, int split, uint8_t *owner)
{
  for (int64_t i = 0; i < d->set[split].n; i++)
    owner[d->set[split].row[i]] = DATA_POOL;
}

/* Turns class by class, so that parts dealt in rounds have equal shares of each. */
static int data_compare_classes(const void *x, const void *y)
{
  const data_turn *a = x, *b = y;
  if (a->class != b->class)
    return a->class < b->class ? -1 : 1;
  return data_compare_turns(x, y);
}

/* Deals the rows of the pool to the parts in turn, in the order of turns or of a permutation. */
static int64_t data_fold_deal(const gradrt_data_options *o, uint64_t n, const data_turn *turn,
                              uint8_t *owner)
{
  int64_t dealt = 0;
  for (uint64_t i = 0; i < n; i++) {
    uint64_t row = turn ? turn[i].row : gradrt_permute(i, n, 0, GRADRT_PURPOSE_SPLIT, 0);
    if (owner[row] == DATA_POOL)
      owner[row] = dealt++ % o->folds == o->fold - 1 ? DATA_VALIDATES : DATA_TRAINS;
  }
  return dealt;
}

/* The split that training watches gets one part, the training split the others. */
static int data_fold(gradrt_data *d, const gradrt_data_options *o)
{
  int train = d->net->training->train_split, valid = d->net->training->best_split;
  int source = d->net->split[train].source, by = data_stratified_field(d->net);
  int64_t n = d->source[source].n;
  uint8_t *owner = gradrt_alloc((size_t)n);
  data_turn *turn = by >= 0 ? data_stratify(d, source, by) : NULL;
  int code = owner && (turn || by < 0)
                 ? GRADRT_OK
                 : gradrt_error(GRADRT_LIMIT, "out of memory for the parts of %" PRId64 " rows", n);
  if (code == GRADRT_OK) {
    data_fold_mark(d, train, owner);
    if (d->set[valid].row && d->net->split[valid].source == source)
      data_fold_mark(d, valid, owner);
    if (turn)
      qsort(turn, (size_t)n, sizeof *turn, data_compare_classes);
    int64_t dealt = data_fold_deal(o, (uint64_t)n, turn, owner);
    if (dealt < o->folds)
      code = gradrt_error(GRADRT_DATA, "--folds %d: there are only %" PRId64 " rows to deal",
                          o->folds, dealt);
  }
  code = code == GRADRT_OK ? data_collect(d, train, owner, DATA_TRAINS) : code;
  code = code == GRADRT_OK ? data_collect(d, valid, owner, DATA_VALIDATES) : code;
  gradrt_free(turn);
  gradrt_free(owner);
  return code;
}

/* ---- loading ---- */

static int data_read(gradrt_data *d, const gradrt_data_options *o, int source)
{
  const gradrt_source *s = &d->net->source[source];
  gradrt_ask ask = { .net = d->net, .source = s, .dir = o->dir, .root = o->root, .look = o->look,
                     .labels = o->labels };
  const data_reader *r = data_readers;
  while (r->kind && strcmp(r->kind, s->kind) != 0)
    r++;
  if (!r->kind)
    return gradrt_error(GRADRT_INTERNAL, "this program was built without the reader of '%s'",
                        s->kind);
  int code;
#ifndef GRADRT_WITHOUT_WINDOW
  if (d->net->window)
    code = gradrt_read_windows(&ask, r->read, &d->source[source]);
  else
#endif
#ifndef GRADRT_WITHOUT_CLASSES
    code = gradrt_read_kept(r->read, &ask, &d->source[source]);
#else
    code = r->read(&ask, &d->source[source]);
#endif
  if (code != GRADRT_OK)
    return code;
  if (d->source[source].n < 1)
    return gradrt_error(GRADRT_DATA, "%s: '%s' has no samples", s->place ? s->place : d->net->file,
                        s->kind);
  return data_split(d, source);
}

static bool data_is_wanted(const gradrt_net *net, const gradrt_data_options *o, int split)
{
  if (!o->only ||
      (o->need_fit && net->nfit > 0 && net->training && split == net->training->train_split))
    return true;
  for (int i = 0; i < o->nonly; i++)
    if (strcmp(o->only[i], net->split[split].name) == 0)
      return true;
  return false;
}

#ifndef GRADRT_WITHOUT_IMAGES
/* The sources with pictures share the budget as their bytes are. */
static int data_settle(gradrt_data *d, const gradrt_data_options *o)
{
  double all = 0, memory = o->memory > 0 ? o->memory : gradrt_memory() / 2;
  int threads = o->no_prefetch ? 0 : o->threads > 0 ? o->threads : gradrt_default_threads();
  int code = GRADRT_OK;
  for (int i = 0; i < d->net->nsource; i++)
    if (d->source[i].store)
      all += gradrt_store_bytes(d->source[i].store, d->source[i].n);
  for (int i = 0; i < d->net->nsource && code == GRADRT_OK; i++) {
    const gradrt_rows *r = &d->source[i];
    gradrt_ask ask = { .net = d->net, .source = &d->net->source[i], .dir = o->dir,
                       .root = o->root };
    if (r->store)
      code = gradrt_store_settle(r->store, &ask, r->n,
                                 memory * gradrt_store_bytes(r->store, r->n) / all, threads);
  }
  return code;
}
#endif

int gradrt_data_load(const gradrt_net *net, const gradrt_data_options *o, gradrt_data **out)
{
  size_t nsource = (size_t)net->nsource, nsplit = (size_t)net->nsplit;
  gradrt_data *d = gradrt_alloc(sizeof *d);
  *out = NULL;
  if (d) {
    d->net = net;
    d->source = gradrt_alloc(nsource * sizeof *d->source);
    d->set = gradrt_alloc(nsplit * sizeof *d->set);
    d->row = gradrt_alloc(nsplit * sizeof *d->row);
    d->fingerprint = gradrt_alloc(9);
  }
  int code = d && d->source && d->set && d->row && d->fingerprint
                 ? GRADRT_OK
                 : gradrt_error(GRADRT_LIMIT, "out of memory");
  for (int k = 0; k < net->nsplit && code == GRADRT_OK; k++)
    if (data_is_wanted(net, o, k) && !d->set[k].row && net->split[k].how != GRADRT_SPLIT_FOLD)
      code = data_read(d, o, net->split[k].source);
  if (code == GRADRT_OK && o->folds)
    code = data_fold(d, o);
#ifndef GRADRT_WITHOUT_IMAGES
  if (code == GRADRT_OK)
    code = data_settle(d, o);
#endif
  if (code == GRADRT_OK)
    *out = d;
  else
    gradrt_data_free(d);
  return code;
}

void gradrt_data_free(gradrt_data *d)
{
  if (!d)
    return;
  for (int i = 0; d->source && i < d->net->nsource; i++)
    gradrt_rows_free(&d->source[i]);
  for (int i = 0; d->row && i < d->net->nsplit; i++)
    gradrt_free(d->row[i]);
  gradrt_free(d->source);
  gradrt_free(d->set);
  gradrt_free(d->row);
  gradrt_free(d->fingerprint);
  gradrt_free(d);
}

const gradrt_set *gradrt_data_set(const gradrt_data *d, int split)
{
  return split >= 0 && split < d->net->nsplit && d->set[split].row ? &d->set[split] : NULL;
}

/* ---- rows that are asked for ---- */

int64_t gradrt_set_ready(const gradrt_set *set, const gradrt_order *order, int64_t first, int64_t n,
                         const void *rows[GRADRT_FIELDS_MAX])
{
  memcpy(rows, set->rows, sizeof set->rows);
#ifndef GRADRT_WITHOUT_IMAGES
  if (set->store) {
    int field;
    const void *at = gradrt_store_rows(set->store, &field);
    rows[field] = at;
    return gradrt_store_ready(set->store, set, order, first, n);
  }
#endif
  (void)order;
  (void)first;
  return n;
}

int gradrt_set_want(const gradrt_set *set, const gradrt_order *order, int64_t first, int64_t n,
                    const void *rows[GRADRT_FIELDS_MAX])
{
  int code = GRADRT_OK;
  int64_t there = 0;
  while (code == GRADRT_OK && there < n) {
    there = gradrt_set_ready(set, order, first, n, rows);
#ifndef GRADRT_WITHOUT_IMAGES
    if (there < n)
      code = gradrt_store_retry(set->store, first + there);
#endif
  }
  return code;
}

static uint32_t data_one_row(const void *ctx, int64_t epoch, int64_t position)
{
  (void)epoch;
  (void)position;
  return *(const uint32_t *)ctx;
}

const void *gradrt_set_row(const gradrt_net *net, const gradrt_set *set, int field, uint32_t row)
{
  const gradrt_field *f = &net->field[field];
  const gradrt_order one = { .row_at = data_one_row, .ctx = &row, .n = 1 };
  const void *rows[GRADRT_FIELDS_MAX];
  memcpy(rows, set->rows, sizeof rows);
  if (!rows[field] && gradrt_set_want(set, &one, 0, 1, rows) != GRADRT_OK)
    return NULL;
  return (const char *)rows[field] +
         (size_t)row * (size_t)gradrt_field_elems(f) * gradrt_dtype_size(f->dtype);
}

const gradrt_column *gradrt_data_columns(const gradrt_data *d, int split, int *n, int64_t *skipped)
{
  const gradrt_rows *r = &d->source[d->net->split[split].source];
  *n = r->ncolumn;
  *skipped = r->skipped;
  return r->column;
}

gradrt_sides gradrt_data_sides(const gradrt_data *d, int split)
{
  return d->source[d->net->split[split].source].sides;
}

/* ---- fingerprint ---- */

/* Augmentation counts as what the data is. */
static uint32_t data_fingerprint_augments(const gradrt_field *f, uint32_t crc)
{
  for (int i = 0; i < f->naugment; i++) {
    const gradrt_augment *a = &f->augment[i];
    crc = gradrt_crc32c(crc, a->kind, strlen(a->kind));
    for (int k = 0; k < a->nprop; k++) {
      char text[128];
      int n = snprintf(text, sizeof text, " %s=%.17g", a->prop[k].name, a->prop[k].number);
      crc = gradrt_crc32c(crc, text, (size_t)n);
    }
  }
  return crc;
}

const char *gradrt_data_fingerprint(const gradrt_data *d)
{
  if (*d->fingerprint)
    return d->fingerprint;
  uint32_t crc = 0;
  for (int s = 0; s < d->net->nsource; s++) {
    const gradrt_rows *r = &d->source[s];
    for (int f = 0; f < d->net->nfield && r->n > 0; f++) {
      const gradrt_field *field = &d->net->field[f];
      char head[96];
      size_t bytes =
          (size_t)r->n * (size_t)gradrt_field_elems(field) * gradrt_dtype_size(field->dtype);
      int n = snprintf(head, sizeof head, "%d %d %s %" PRId64 " %zu;", s, f,
                       gradrt_dtype_name(field->dtype), r->n, bytes);
      crc = gradrt_crc32c(crc, head, (size_t)n);
#ifndef GRADRT_WITHOUT_IMAGES
      if (!r->rows[f] && r->store) {
        crc = gradrt_store_fingerprint(r->store, r->n, crc);
        continue;
      }
#endif
      crc = gradrt_crc32c(crc, r->rows[f], bytes);
    }
  }
  for (int f = 0; f < d->net->nfield; f++)
    crc = data_fingerprint_augments(&d->net->field[f], crc);
  for (int k = 0; k < d->net->nsplit; k++)
    if (d->set[k].row)
      crc = gradrt_crc32c(crc, d->row[k], (size_t)d->set[k].n * sizeof *d->row[k]);
  snprintf(d->fingerprint, 9, "%08" PRIx32, crc);
  return d->fingerprint;
}
