/* Which columns of a table feed which fields. A field's columns read
 *
 *   longitude..median_income, ocean_proximity:onehot, 9, kind:onehot(red|green|blue)
 *
 * names, numbers from 0, ranges of either, and categories that become one element 0 or 1 per word.
 * Without columns a field takes the column of its own name, else the next columns nobody before it
 * has taken. */
#include "data_csv.h"
#include "run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CSV_ITEM_MAX = 512, CSV_LISTED = 12 };

static const char csv_onehot[] = ":onehot";

/* ---- words ---- */

/* Position of the word, or of the first greater one. */
static int csv_words_position(const gradrt_words *w, const char *word)
{
  int low = 0, high = w->n;
  while (low < high) {
    int middle = (low + high) / 2;
    if (strcmp(w->word[middle], word) < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

int gradrt_words_find(const gradrt_words *w, const char *word)
{
  if (!w->fixed) {
    int at = csv_words_position(w, word);
    return at < w->n && strcmp(w->word[at], word) == 0 ? at : -1;
  }
  for (int i = 0; i < w->n; i++)
    if (strcmp(w->word[i], word) == 0)
      return i;
  return -1;
}

static bool csv_words_grow(gradrt_words *w)
{
  int cap = w->cap ? 2 * w->cap : 16;
  char **grown = gradrt_alloc((size_t)cap * sizeof *grown);
  if (!grown)
    return false;
  if (w->n)
    memcpy(grown, w->word, (size_t)w->n * sizeof *grown);
  gradrt_free(w->word);
  w->word = grown;
  w->cap = cap;
  return true;
}

bool gradrt_words_add(gradrt_words *w, const char *word)
{
  int at = w->fixed ? w->n : csv_words_position(w, word);
  if (at < w->n && strcmp(w->word[at], word) == 0)
    return true;
  w->full = w->full || (!w->fixed && w->n == GRADRT_WORDS_MAX);
  if (w->full)
    return true;
  char *copy = gradrt_alloc(strlen(word) + 1);
  if (!copy || (w->n == w->cap && !csv_words_grow(w))) {
    gradrt_free(copy);
    return false;
  }
  memcpy(copy, word, strlen(word) + 1);
  memmove(w->word + at + 1, w->word + at, (size_t)(w->n - at) * sizeof *w->word);
  w->word[at] = copy;
  w->n++;
  return true;
}

const char *gradrt_words_list(const gradrt_words *w, char *buf, size_t size)
{
  size_t at = 0;
  buf[0] = 0;
  for (int i = 0; i < w->n && at < size; i++) {
    bool rest = i == CSV_LISTED;
    int n = snprintf(buf + at, size - at, "%s%s", i ? ", " : "", rest ? ".." : w->word[i]);
    at += n > 0 ? (size_t)n : 0;
    if (rest)
      break;
  }
  return buf;
}

static void csv_words_free(gradrt_words *w)
{
  for (int i = 0; i < w->n; i++)
    gradrt_free(w->word[i]);
  gradrt_free(w->word);
  *w = (gradrt_words){ 0 };
}

/* ---- plan ---- */

static int csv_no_memory(const gradrt_table *t)
{
  return gradrt_error(GRADRT_LIMIT, "%s: out of memory", t->path);
}

void gradrt_plan_free(gradrt_plan *p)
{
  for (int i = 0; i < p->n; i++)
    csv_words_free(&p->feature[i].words);
  gradrt_free(p->feature);
  *p = (gradrt_plan){ 0 };
}

static gradrt_feature *csv_add_feature(gradrt_plan *p, gradrt_csv_use use, int column, int field)
{
  if (p->n == p->cap) {
    int cap = p->cap ? 2 * p->cap : 16;
    gradrt_feature *grown = gradrt_alloc((size_t)cap * sizeof *grown);
    if (!grown)
      return NULL;
    if (p->n)
      memcpy(grown, p->feature, (size_t)p->n * sizeof *grown);
    gradrt_free(p->feature);
    p->feature = grown;
    p->cap = cap;
  }
  p->feature[p->n] =
      (gradrt_feature){ .use = use, .column = column, .field = field, .numbers = true, .width = 1 };
  return &p->feature[p->n++];
}

/* ---- names of columns ---- */

const char *gradrt_column_text(const gradrt_table *t, int column, char *buf, size_t size)
{
  char name[128];
  if (t->name)
    snprintf(buf, size, "column \"%s\"", gradrt_cell_text(&t->name[column], name, sizeof name));
  else
    snprintf(buf, size, "column %d (counted from 0)", column);
  return buf;
}

/* A column by name, or by number; -1: there is none, -2: two have that name. */
static int csv_column(const gradrt_table *t, const char *text)
{
  int found = -1;
  for (int i = 0; t->name && i < t->ncolumn; i++)
    if (gradrt_cell_is(&t->name[i], text))
      found = found == -1 ? i : -2;
  size_t digits = strspn(text, "0123456789");
  if (found != -1 || digits == 0 || digits > 7 || text[digits])
    return found;
  return atoi(text) < t->ncolumn ? atoi(text) : -1;
}

/* Notes that help with a column nobody finds. */
static void csv_column_notes(const gradrt_table *t, const char *text)
{
  char buf[CSV_ITEM_MAX], list[1024];
  gradrt_words names = { .fixed = true };
  bool numbers = true;
  double v;
  for (int i = 0; t->name && i < t->ncolumn && i < 2000; i++) {
    numbers = numbers && gradrt_cell_number(&t->name[i], &v);
    gradrt_words_add(&names, gradrt_cell_text(&t->name[i], buf, sizeof buf));
  }
  const char *near = gradrt_text_nearest(text, (const char *const *)names.word, names.n);
  if (near)
    gradrt_note("did you mean \"%s\"?", near);
  if (names.n)
    gradrt_note("its columns are: %s", gradrt_words_list(&names, list, sizeof list));
  else
    gradrt_note("it has columns 0 to %d, without names (header=false)", t->ncolumn - 1);
  if (names.n && numbers)
    gradrt_note(
        "its first line holds numbers: without a header, write header=false and count columns "
        "from 0");
  for (const char *s = ";\t|"; names.n == 1 && *s; s++)
    if (*s != t->separator && strchr(names.word[0], *s))
      gradrt_note("the separator may be \"%s\": write separator=\"%s\"",
                  *s == '\t' ? "tab" : (char[]){ *s, 0 }, *s == '\t' ? "tab" : (char[]){ *s, 0 });
  csv_words_free(&names);
}

static const char *csv_field_place(const gradrt_ask *a, int field)
{
  return a->net->field[field].place ? a->net->field[field].place : a->net->file;
}

static int csv_column_error(const gradrt_ask *a, const gradrt_table *t, int field, const char *text,
                            int found)
{
  int code = gradrt_error(GRADRT_DATA, "%s: field '%s': %s has %s column \"%s\"",
                          csv_field_place(a, field), a->net->field[field].name, t->path,
                          found == -2 ? "more than one" : "no", text);
  if (found == -2)
    gradrt_note("use their numbers, counted from 0, instead");
  else
    csv_column_notes(t, text);
  return code;
}

/* ---- one item of a field's columns ---- */

typedef struct {
  const gradrt_ask *a;
  const gradrt_table *t;
  gradrt_plan *plan;
  int next;                     /* column after the last one taken */
} csv_planner;

static int csv_item_error(const csv_planner *c, int field, const char *item, const char *what)
{
  return gradrt_error(GRADRT_DATA, "%s: field '%s': \"%s\": %s", csv_field_place(c->a, field),
                      c->a->net->field[field].name, item, what);
}

/* First and last column of "a", "3", "a..b", "0..3". */
static int csv_item_range(const csv_planner *c, int field, char *item, int *first, int *last)
{
  *first = *last = csv_column(c->t, item);
  char *dots = *first == -1 ? strstr(item, "..") : NULL;
  if (!dots)
    return *first >= 0 ? GRADRT_OK : csv_column_error(c->a, c->t, field, item, *first);
  char *to = dots + 2 + strspn(dots + 2, " ");
  while (dots > item && dots[-1] == ' ')
    dots--;
  *dots = 0;
  *first = csv_column(c->t, item);
  *last = csv_column(c->t, to);
  if (*first < 0)
    return csv_column_error(c->a, c->t, field, item, *first);
  if (*last < 0)
    return csv_column_error(c->a, c->t, field, to, *last);
  return *first <= *last ? GRADRT_OK
                         : csv_item_error(c, field, to, "the range ends before it begins");
}

/* Adds one column in the role the field and the item give it. words: of :onehot(..), or NULL. */
static int csv_take(csv_planner *c, int field, int column, bool onehot, char *words)
{
  const gradrt_field *f = &c->a->net->field[field];
  gradrt_csv_use use = f->is_label ? GRADRT_CSV_LABEL
                       : onehot    ? GRADRT_CSV_ONEHOT
                                   : GRADRT_CSV_NUMBER;
  gradrt_feature *added = csv_add_feature(c->plan, use, column, field);
  bool room = added;
  c->next = column + 1;
  if (room && f->is_label && f->class_name) {
    added->words.fixed = true;
    for (int64_t i = 0; i < f->classes && room; i++)
      room = gradrt_words_add(&added->words, f->class_name[i]);
  }
  for (char *w = words; room && w; ) {
    char *bar = strchr(w, '|');
    added->words.fixed = true;
    if (bar)
      *bar++ = 0;
    room = gradrt_words_add(&added->words, w);
    w = bar;
  }
  return room ? GRADRT_OK : csv_no_memory(c->t);
}

static int csv_item(csv_planner *c, int field, char *item)
{
  char *hot = strstr(item, csv_onehot), *words = NULL;
  bool whole = csv_column(c->t, item) >= 0;
  if (hot && !whole) {
    char *tail = hot + sizeof csv_onehot - 1;
    size_t n = strlen(tail);
    if (n > 0 && !(n > 2 && tail[0] == '(' && tail[n - 1] == ')'))
      return csv_item_error(c, field, item, "after a column stands :onehot or :onehot(word|word)");
    if (n > 0) {
      tail[n - 1] = 0;
      words = tail + 1;
    }
    if (c->a->net->field[field].is_label)
      return csv_item_error(c, field, item,
                            "a label is one number; its categories are numbered without :onehot");
    *hot = 0;
  }
  int first, last, code = csv_item_range(c, field, item, &first, &last);
  if (code == GRADRT_OK && words && first != last)
    return csv_item_error(c, field, item, "words belong to a single column");
  for (int i = first; i <= last && code == GRADRT_OK; i++)
    code = csv_take(c, field, i, hot && !whole, words);
  return code;
}

/* Length of the item at p: up to a comma outside the words of :onehot(..). */
static size_t csv_item_length(const char *p)
{
  size_t n = 0, hot = sizeof csv_onehot - 1;
  bool inside = false;
  for (; p[n] && (p[n] != ',' || inside); n++) {
    inside = inside || (p[n] == '(' && n >= hot && memcmp(p + n - hot, csv_onehot, hot) == 0);
    inside = inside && p[n] != ')';
  }
  return n;
}

static int csv_field_columns(csv_planner *c, int field)
{
  for (const char *p = c->a->net->field[field].columns;;) {
    char item[CSV_ITEM_MAX];
    p += strspn(p, " ");
    size_t n = csv_item_length(p), used = n;
    while (used > 0 && p[used - 1] == ' ')
      used--;
    if (used == 0 || used >= sizeof item)
      return csv_item_error(c, field, c->a->net->field[field].columns,
                            used ? "a name is too long" : "a name is missing");
    memcpy(item, p, used);
    item[used] = 0;
    int code = csv_item(c, field, item);
    if (code != GRADRT_OK || !p[n])
      return code;
    p += n + 1;
  }
}

/* A field that names no columns. */
static int csv_field_next(csv_planner *c, int field)
{
  const gradrt_field *f = &c->a->net->field[field];
  int64_t elems = gradrt_field_elems(f);
  int own = c->t->name && elems == 1 ? csv_column(c->t, f->name) : -1;
  int first = own >= 0 ? own : c->next;
  if (elems > c->t->ncolumn - first)
    return gradrt_error(
        GRADRT_DATA,
        "%s: field '%s' needs %" PRId64 " columns from number %d on, but %s has only %d",
        csv_field_place(c->a, field), f->name, elems, first, c->t->path, c->t->ncolumn);
  int code = GRADRT_OK;
  for (int i = 0; i < (int)elems && code == GRADRT_OK; i++)
    code = csv_take(c, field, first + i, false, NULL);
  return code;
}

/* True when a table for predict lacks a column that only a target needs; then it is left out, with
 * a note. */
static bool csv_may_skip(const csv_planner *c, int field)
{
  const gradrt_field *f = &c->a->net->field[field];
  bool first = true;
  for (int i = 0; i < field; i++)
    first = first && c->a->net->field[i].is_label;
  if (!c->a->inputs || (!f->is_label && first))
    return false;
  if (f->is_label)
    return true;
  char item[CSV_ITEM_MAX] = "";
  if (f->columns)
    snprintf(item, sizeof item, "%.*s", (int)strcspn(f->columns, ",.: "), f->columns);
  bool there = f->columns ? csv_column(c->t, f->columns) >= 0 || csv_column(c->t, item) >= 0
                          : csv_column(c->t, f->name) >= 0 ||
                                gradrt_field_elems(f) <= c->t->ncolumn - c->next;
  if (!there)
    gradrt_note("%s has no column for field '%s', which is taken as 0", c->t->path, f->name);
  return !there;
}

int gradrt_plan_make(gradrt_plan *p, const gradrt_ask *a, const gradrt_table *t)
{
  csv_planner c = { .a = a, .t = t, .plan = p, .next = a->first };
  int code = GRADRT_OK;
  for (int f = 0; f < a->net->nfield && code == GRADRT_OK; f++) {
    p->skipped[f] = csv_may_skip(&c, f);
    if (!p->skipped[f])
      code = a->net->field[f].columns ? csv_field_columns(&c, f) : csv_field_next(&c, f);
  }
  return code;
}

/* ---- words from the training table ---- */

/* The k-th feature of a field, or NULL. */
static gradrt_feature *csv_feature_of(const gradrt_plan *p, int field, int k)
{
  for (int i = 0; i < p->n; i++)
    if (p->feature[i].field == field && k-- == 0)
      return &p->feature[i];
  return NULL;
}

static bool csv_follow(gradrt_feature *to, const gradrt_feature *from)
{
  to->followed = true;
  to->numbers = from->numbers;
  to->sum = from->sum;
  to->count = from->count;
  csv_words_free(&to->words);
  for (int i = 0; i < from->words.n; i++)
    if (!gradrt_words_add(&to->words, from->words.word[i]))
      return false;
    else
      to->words.fixed = from->words.fixed;
  return true;
}

int gradrt_plan_follow(gradrt_plan *p, const gradrt_plan *from, const gradrt_ask *a,
                       const gradrt_table *t, const gradrt_table *from_table)
{
  for (int i = 0, k = 0; i < p->n; i++) {
    int field = p->feature[i].field;
    k = i > 0 && p->feature[i - 1].field == field ? k + 1 : 0;
    const gradrt_feature *other = csv_feature_of(from, field, k);
    bool last = i + 1 == p->n || p->feature[i + 1].field != field;
    if (!other || other->use != p->feature[i].use || (last && csv_feature_of(from, field, k + 1)))
      return gradrt_error(GRADRT_DATA, "%s: the columns of field '%s' in %s are not those in %s",
                          csv_field_place(a, field), a->net->field[field].name, t->path,
                          from_table->path);
    if (!csv_follow(&p->feature[i], other))
      return csv_no_memory(t);
  }
  return GRADRT_OK;
}

/* ---- widths ---- */

static int csv_words_error(const gradrt_ask *a, const gradrt_table *t, const gradrt_feature *f)
{
  const gradrt_field *field = &a->net->field[f->field];
  char column[160], list[1024];
  gradrt_column_text(t, f->column, column, sizeof column);
  if (f->words.full)
    return gradrt_error(GRADRT_DATA,
                        "%s: %s has more than %d different values: too many for categories",
                        t->path, column, GRADRT_WORDS_MAX);
  int code = gradrt_error(
      GRADRT_DATA, "%s: field '%s' has %" PRId64 " classes, but %s of %s has %d different values",
      csv_field_place(a, f->field), field->name, field->classes, column, t->path, f->words.n);
  gradrt_note("they are: %s", gradrt_words_list(&f->words, list, sizeof list));
  gradrt_note(
      "numbers 0, 1, .. are taken as they are; words are numbered in sorted order, or as "
      "names=\"a,b,c\" of label says");
  return code;
}

static int csv_width_error(const gradrt_ask *a, const gradrt_table *t, const gradrt_plan *p,
                           int field, int64_t width)
{
  const gradrt_field *f = &a->net->field[field];
  char column[160], list[1024];
  int code = gradrt_error(GRADRT_DATA,
                          "%s: field '%s' has %" PRId64 " number%s, but its columns give %" PRId64,
                          csv_field_place(a, field), f->name, gradrt_field_elems(f),
                          gradrt_field_elems(f) == 1 ? "" : "s", width);
  for (int i = 0; i < p->n; i++)
    if (p->feature[i].field == field && p->feature[i].use == GRADRT_CSV_ONEHOT)
      gradrt_note(
          "%s gives %d: %s", gradrt_column_text(t, p->feature[i].column, column, sizeof column),
          p->feature[i].words.n, gradrt_words_list(&p->feature[i].words, list, sizeof list));
  return code;
}

int gradrt_plan_place(gradrt_plan *p, const gradrt_ask *a, const gradrt_table *t)
{
  int64_t width[GRADRT_FIELDS_MAX] = { 0 };
  for (int i = 0; i < p->n; i++) {
    gradrt_feature *f = &p->feature[i];
    const gradrt_field *field = &a->net->field[f->field];
    bool words = f->use == GRADRT_CSV_LABEL && !f->numbers && !f->words.fixed;
    if ((f->use == GRADRT_CSV_ONEHOT && f->words.full) ||
        (words && (f->words.full || f->words.n > field->classes ||
                   (!f->followed && !a->subset && f->words.n != field->classes))))
      return csv_words_error(a, t, f);
    f->at = width[f->field];
    f->width = f->use == GRADRT_CSV_ONEHOT ? f->words.n : 1;
    width[f->field] += f->width;
  }
  for (int k = 0; k < a->net->nfield; k++)
    if (!p->skipped[k] && width[k] != gradrt_field_elems(&a->net->field[k]))
      return csv_width_error(a, t, p, k, width[k]);
  return GRADRT_OK;
}
