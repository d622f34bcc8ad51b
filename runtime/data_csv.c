/* Samples from a table of text. The table is read twice: a survey finds distinct words, means and
 * how many rows there are, then the rows are filled. Every cell that cannot be used is counted; the
 * first is reported with its place, the rest in a note.
 *
 * Words and means come from the table of the training split, also for other tables, so that a
 * category or a filled-in value means the same everywhere. */
#include "data_csv.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CSV_SHOWN = 64, CSV_LINES = 3, CSV_WORD = 1024 };

typedef enum { CSV_MISSING_ERROR, CSV_MISSING_MEAN, CSV_MISSING_SKIP } csv_missing;

typedef enum {
  CSV_FINE, CSV_RAGGED, CSV_EMPTY, CSV_NO_NUMBER, CSV_NO_FIT, CSV_LABEL_RANGE, CSV_NO_WORD
} csv_problem;

/* The first problem and how often it comes again. */
typedef struct {
  csv_problem kind;
  int feature;                  /* -1: of a whole record */
  int64_t count, record, line, byte, cells;
  int64_t lines[CSV_LINES];     /* of the first ones */
  double value;
  char text[CSV_SHOWN];
} csv_trouble;

typedef struct {
  const gradrt_ask *ask;
  gradrt_table table;
  gradrt_plan plan;
  csv_missing missing;
  csv_trouble trouble;
  int64_t rows, holes;          /* usable records; missing cells of used columns */
} csv_job;

static const char *csv_place(const gradrt_ask *a)
{
  return a->source->place ? a->source->place : a->net->file;
}

/* ---- problems ---- */

static void csv_note_trouble(csv_job *j, csv_problem kind, int feature, double value)
{
  csv_trouble *p = &j->trouble;
  if (p->kind == CSV_FINE) {
    const gradrt_cell none = { .at = j->table.text + j->table.at };
    const gradrt_cell *c = feature >= 0 ? &j->table.cell[j->plan.feature[feature].column] : &none;
    *p = (csv_trouble){ .kind = kind,
                        .feature = feature,
                        .record = j->table.record,
                        .line = j->table.line,
                        .cells = j->table.ncell,
                        .value = value,
                        .byte = 1 };
    gradrt_cell_text(c, p->text, sizeof p->text);
    if (feature >= 0)
      gradrt_table_place(&j->table, c, &p->line, &p->byte);
  }
  if (p->kind != kind || p->feature != feature)
    return;
  if (p->count < CSV_LINES)
    p->lines[p->count] = p->count ? j->table.line : p->line;
  p->count++;
}

/* What is wrong, after "file:line:column: ". */
static int csv_report_error(const csv_job *j)
{
  const csv_trouble *p = &j->trouble;
  const gradrt_table *t = &j->table;
  char column[160] = "";
  const gradrt_feature *f = p->feature >= 0 ? &j->plan.feature[p->feature] : NULL;
  const gradrt_field *field = f ? &j->ask->net->field[f->field] : NULL;
  if (f)
    gradrt_column_text(t, f->column, column, sizeof column);
  char at[GRADRT_DATA_PATH + 64];
  snprintf(at, sizeof at, "%s:%" PRId64 ":%" PRId64, t->path, p->line, p->byte);
  switch (p->kind) {
  case CSV_RAGGED:
    return gradrt_error(GRADRT_DATA,
                        "%s: record %" PRId64 " has %" PRId64 " cell%s, but the %s has %d", at,
                        p->record, p->cells, p->cells == 1 ? "" : "s",
                        t->name ? "header" : "first one", t->ncolumn);
  case CSV_EMPTY:
    return gradrt_error(GRADRT_DATA, "%s: a missing value (\"%s\") in %s, record %" PRId64, at,
                        p->text, column, p->record);
  case CSV_NO_NUMBER:
    return gradrt_error(GRADRT_DATA, "%s: \"%s\" is not a number: %s, record %" PRId64, at, p->text,
                        column, p->record);
  case CSV_NO_FIT:
    return gradrt_error(GRADRT_DATA, "%s: field '%s' (%s) cannot hold %.9g: %s, record %" PRId64,
                        at, field->name, gradrt_dtype_name(field->dtype), p->value, column,
                        p->record);
  case CSV_LABEL_RANGE:
    return gradrt_error(GRADRT_DATA,
                        "%s: label %.9g is outside 0..%" PRId64 ": %s, record %" PRId64, at,
                        p->value, field->classes - 1, column, p->record);
  case CSV_NO_WORD:
    return gradrt_error(GRADRT_DATA,
                        "%s: \"%s\" is none of the known categories: %s, record %" PRId64, at,
                        p->text, column, p->record);
  case CSV_FINE:
    break;
  }
  return GRADRT_OK;
}

static bool csv_decimal_comma(const char *text)
{
  char copy[CSV_SHOWN];
  snprintf(copy, sizeof copy, "%s", text);
  char *comma = strchr(copy, ',');
  double v;
  if (!comma)
    return false;
  *comma = '.';
  return gradrt_cell_number(&(gradrt_cell){ copy, strlen(copy), false }, &v);
}

/* How to go on, per kind of problem. */
static void csv_report_help(const csv_job *j)
{
  const csv_trouble *p = &j->trouble;
  const gradrt_feature *f = p->feature >= 0 ? &j->plan.feature[p->feature] : NULL;
  const gradrt_field *field = f ? &j->ask->net->field[f->field] : NULL;
  char list[1024];
  if (p->kind == CSV_EMPTY && j->missing == CSV_MISSING_ERROR)
    gradrt_note("missing=mean fills such cells with the column's mean, "
                "missing=skip leaves the rows out");
  else if (p->kind == CSV_EMPTY)
    gradrt_note("only numbers have a mean; missing=skip leaves such rows out");
  else if (p->kind == CSV_RAGGED && j->table.ncolumn == 1)
    gradrt_note("the separator is '%c'; write separator=\";\" or the like for another",
                j->table.separator);
  else if (p->kind == CSV_NO_NUMBER && csv_decimal_comma(p->text))
    gradrt_note("numbers are written with a point: 1.5, not 1,5");
  else if (p->kind == CSV_NO_NUMBER && !field->is_label)
    gradrt_note("a column of words enters as categories: write its name as \"..:onehot\"");
  else if (p->kind == CSV_LABEL_RANGE)
    gradrt_note("field '%s' of %s has %" PRId64 " classes, so labels must be 0, 1, .. %" PRId64,
                field->name, field->place ? field->place : j->ask->net->file, field->classes,
                field->classes - 1);
  else if (p->kind == CSV_NO_WORD)
    gradrt_note("the categories are: %s", gradrt_words_list(&f->words, list, sizeof list));
}

static int csv_report(const csv_job *j)
{
  const csv_trouble *p = &j->trouble;
  if (p->kind == CSV_FINE)
    return GRADRT_OK;
  int code = csv_report_error(j);
  if (p->count == 2)
    gradrt_note("2 records have this problem: lines %" PRId64 " and %" PRId64, p->lines[0],
                p->lines[1]);
  else if (p->count > 2)
    gradrt_note("%" PRId64 " records have this problem: lines %" PRId64 ", %" PRId64 ", %" PRId64
                "%s",
                p->count, p->lines[0], p->lines[1], p->lines[2], p->count > 3 ? ", .." : "");
  csv_report_help(j);
  return code;
}

/* ---- survey ---- */

/* Whether the current record is used; notes a wrong number of cells and missing ones. */
static bool csv_usable(csv_job *j)
{
  bool usable = j->table.ncell == j->table.ncolumn;
  if (!usable)
    csv_note_trouble(j, CSV_RAGGED, -1, 0);
  for (int i = 0; i < j->plan.n && usable; i++) {
    if (!gradrt_cell_missing(&j->table.cell[j->plan.feature[i].column]))
      continue;
    if (j->missing == CSV_MISSING_SKIP)
      return false;
    j->holes++;
    bool refused = j->missing == CSV_MISSING_ERROR && !j->ask->look;
    if (refused || j->plan.feature[i].use != GRADRT_CSV_NUMBER)
      csv_note_trouble(j, CSV_EMPTY, i, 0);
  }
  return usable;
}

static void csv_count_missing(csv_job *j)
{
  for (int i = 0; i < j->plan.n && j->table.ncell == j->table.ncolumn; i++)
    j->plan.feature[i].missing +=
        gradrt_cell_missing(&j->table.cell[j->plan.feature[i].column]);
}

/* What one cell adds to its feature. false: out of memory. */
static bool csv_survey_cell(csv_job *j, int feature)
{
  gradrt_feature *f = &j->plan.feature[feature];
  const gradrt_cell *c = &j->table.cell[f->column];
  char word[CSV_WORD];
  double v = 0;
  bool missing = gradrt_cell_missing(c), number = !missing && gradrt_cell_number(c, &v);
  if (missing)
    return true;
  if (f->use == GRADRT_CSV_NUMBER) {
    if (!number)
      csv_note_trouble(j, CSV_NO_NUMBER, feature, 0);
    f->sum += v;
    f->count++;
    return true;
  }
  gradrt_cell_text(c, word, sizeof word);
  f->numbers = f->numbers && number;
  if (f->words.fixed) {
    f->count += gradrt_words_find(&f->words, word) >= 0;
    return true;
  }
  return f->words.full || gradrt_words_add(&f->words, word);
}

/* Reads the whole table once: words, sums, rows. */
static int csv_survey(csv_job *j)
{
  bool more = true, room = true;
  int code = GRADRT_OK;
  gradrt_table_rewind(&j->table);
  while (room && code == GRADRT_OK) {
    code = gradrt_table_next(&j->table, &more);
    if (code != GRADRT_OK || !more)
      break;
    csv_count_missing(j);
    bool usable = csv_usable(j);
    j->rows += usable;
    for (int i = 0; i < j->plan.n && usable && room; i++)
      room = csv_survey_cell(j, i);
  }
  if (!room)
    return gradrt_error(GRADRT_LIMIT, "%s: out of memory", j->table.path);
  code = code == GRADRT_OK ? csv_report(j) : code;
  if (code == GRADRT_OK && j->rows == 0)
    code =
        gradrt_error(GRADRT_DATA, "%s: %s", j->table.path,
                     j->table.record ? "every row has missing cells; missing=skip leaves none"
                                     : "there are no rows");
  return code;
}

/* ---- fill ---- */

static void csv_put(csv_job *j, gradrt_rows *out, int feature, int64_t row, double v)
{
  const gradrt_feature *f = &j->plan.feature[feature];
  const gradrt_field *field = &j->ask->net->field[f->field];
  if (!gradrt_dtype_put(field->dtype, out->rows[f->field], row * gradrt_field_elems(field) + f->at,
                        v))
    csv_note_trouble(j, CSV_NO_FIT, feature, v);
}

static void csv_fill_number(csv_job *j, gradrt_rows *out, int feature, int64_t row)
{
  const gradrt_feature *f = &j->plan.feature[feature];
  const gradrt_field *field = &j->ask->net->field[f->field];
  bool real = field->dtype == GRADRT_F32 || field->dtype == GRADRT_F64;
  double v = 0;
  if (!gradrt_cell_number(&j->table.cell[f->column], &v)) {
    v = f->count > 0 ? f->sum / (double)f->count : NAN;
    v = real ? v : floor(v + 0.5);
  }
  csv_put(j, out, feature, row, v);
}

static void csv_fill_onehot(csv_job *j, gradrt_rows *out, int feature, int64_t row, int word)
{
  const gradrt_feature *f = &j->plan.feature[feature];
  const gradrt_field *field = &j->ask->net->field[f->field];
  if (word < 0)
    csv_note_trouble(j, CSV_NO_WORD, feature, 0);
  else
    gradrt_dtype_put(field->dtype, out->rows[f->field],
                     row * gradrt_field_elems(field) + f->at + word, 1);
}

static void csv_fill_label(csv_job *j, gradrt_rows *out, int feature, int64_t row, int word)
{
  const gradrt_feature *f = &j->plan.feature[feature];
  double v, classes = (double)j->ask->net->field[f->field].classes;
  bool words = f->words.fixed ? f->count > 0 || !f->numbers : !f->numbers;
  if (words && word < 0 && j->ask->subset)
    csv_put(j, out, feature, row, classes);     /* one of the classes that are not kept */
  else if (words && word < 0)
    csv_note_trouble(j, CSV_NO_WORD, feature, 0);
  else if (words)
    csv_put(j, out, feature, row, word);
  else if (!gradrt_cell_number(&j->table.cell[f->column], &v))
    csv_note_trouble(j, CSV_NO_NUMBER, feature, 0);
  else if (!(v >= 0 && v < classes && v == floor(v)))
    csv_note_trouble(j, CSV_LABEL_RANGE, feature, v);
  else
    csv_put(j, out, feature, row, v);
}

static void csv_fill_record(csv_job *j, gradrt_rows *out, int64_t row)
{
  char text[CSV_WORD];
  for (int i = 0; i < j->plan.n; i++) {
    const gradrt_feature *f = &j->plan.feature[i];
    if (f->use == GRADRT_CSV_NUMBER) {
      csv_fill_number(j, out, i, row);
      continue;
    }
    int word = gradrt_words_find(&f->words,
                                 gradrt_cell_text(&j->table.cell[f->column], text, sizeof text));
    if (f->use == GRADRT_CSV_ONEHOT)
      csv_fill_onehot(j, out, i, row, word);
    else
      csv_fill_label(j, out, i, row, word);
  }
}

static int csv_fill(csv_job *j, gradrt_rows *out)
{
  int code = GRADRT_OK;
  out->n = j->rows;
  for (int f = 0; f < j->ask->net->nfield && code == GRADRT_OK; f++)
    if (!j->plan.skipped[f])
      code = gradrt_rows_alloc(j->ask, out, f);
  gradrt_table_rewind(&j->table);
  for (int64_t row = 0; code == GRADRT_OK;) {
    bool more;
    code = gradrt_table_next(&j->table, &more);
    if (code != GRADRT_OK || !more)
      break;
    if (csv_usable(j))
      csv_fill_record(j, out, row++);
  }
  return code == GRADRT_OK ? csv_report(j) : code;
}

/* ---- the training table ---- */

/* The table that words and means come from: that of the training split, else the first. */
static const gradrt_source *csv_reference(const gradrt_net *net)
{
  if (net->training && net->training->train_split >= 0 &&
      net->training->train_split < net->nsplit) {
    const gradrt_source *s = &net->source[net->split[net->training->train_split].source];
    if (strcmp(s->kind, "csv") == 0)
      return s;
  }
  for (int i = 0; i < net->nsource; i++)
    if (strcmp(net->source[i].kind, "csv") == 0)
      return &net->source[i];
  return NULL;
}

/* Whether this table alone cannot say what its cells mean. */
static bool csv_needs_reference(const csv_job *j)
{
  const gradrt_source *reference = csv_reference(j->ask->net);
  if (!reference || (!j->ask->inputs && reference == j->ask->source))
    return false;
  bool needs = j->holes > 0 && j->missing != CSV_MISSING_SKIP;
  for (int i = 0; i < j->plan.n; i++) {
    const gradrt_feature *f = &j->plan.feature[i];
    needs = needs || (!f->words.fixed &&
                      (f->use == GRADRT_CSV_ONEHOT || (f->use == GRADRT_CSV_LABEL && !f->numbers)));
  }
  return needs;
}

static void csv_close(csv_job *j)
{
  gradrt_plan_free(&j->plan);
  gradrt_table_close(&j->table);
}

static int csv_begin(csv_job *j, const gradrt_ask *a)
{
  const char *name = gradrt_prop_text(a->source, "path", NULL),
             *missing = gradrt_prop_text(a->source, "missing", "error");
  *j = (csv_job){ .ask = a };
  j->missing = strcmp(missing, "mean") == 0 ? CSV_MISSING_MEAN
               : strcmp(missing, "skip") == 0 ? CSV_MISSING_SKIP : CSV_MISSING_ERROR;
  if (j->missing == CSV_MISSING_ERROR && strcmp(missing, "error") != 0)
    return gradrt_error(GRADRT_DATA, "%s: missing is error, mean or skip, not \"%s\"", csv_place(a),
                        missing);
  if (!name)
    return gradrt_error(GRADRT_DATA, "%s: csv(..) needs the path of a file", csv_place(a));
  int code = gradrt_table_open(&j->table, a, name);
  code = code == GRADRT_OK ? gradrt_plan_make(&j->plan, a, &j->table) : code;
  return code == GRADRT_OK ? csv_survey(j) : code;
}

static int csv_follow_reference(csv_job *j)
{
  gradrt_ask ask = *j->ask;
  csv_job *from = gradrt_alloc(sizeof *from);
  if (!from)
    return gradrt_error(GRADRT_LIMIT, "%s: out of memory", j->table.path);
  ask.source = csv_reference(ask.net);
  ask.named = false;
  int code = csv_begin(from, &ask);
  if (code != GRADRT_OK)
    gradrt_note("it is read for the categories and means of %s", j->table.path);
  else
    code = gradrt_plan_follow(&j->plan, &from->plan, j->ask, &j->table, &from->table);
  csv_close(from);
  gradrt_free(from);
  return code;
}

/* Tells which column feeds which element, for those who look. */
static int csv_tell_columns(const csv_job *j, gradrt_rows *out)
{
  int64_t n = 0;
  for (int i = 0; i < j->plan.n; i++)
    n += j->plan.feature[i].width;
  out->skipped = j->missing == CSV_MISSING_SKIP ? j->table.record - j->rows : 0;
  out->column = gradrt_alloc((size_t)n * sizeof *out->column);
  if (!out->column)
    return gradrt_error(GRADRT_LIMIT, "%s: out of memory", j->table.path);
  for (int i = 0; i < j->plan.n; i++) {
    const gradrt_feature *f = &j->plan.feature[i];
    for (int64_t k = 0; k < f->width; k++) {
      gradrt_column *c = &out->column[out->ncolumn++];
      char name[64];
      if (j->table.name)
        gradrt_cell_text(&j->table.name[f->column], name, sizeof name);
      else
        snprintf(name, sizeof name, "%d", f->column);
      bool word = f->use == GRADRT_CSV_ONEHOT && k < f->words.n;
      snprintf(c->name, sizeof c->name, "%s%s%.30s", name, word ? "=" : "",
               word ? f->words.word[k] : "");
      c->field = f->field;
      c->element = f->at + k;
      c->missing = f->missing;
    }
  }
  return GRADRT_OK;
}

/* Labels that are words, numbered here, lend their words to the classes. */
static void csv_tell_classes(const csv_job *j)
{
  for (int i = 0; i < j->plan.n; i++) {
    const gradrt_feature *f = &j->plan.feature[i];
    if (f->use == GRADRT_CSV_LABEL && !f->numbers && !f->words.fixed && !j->ask->subset)
      gradrt_named_give(j->ask->labels, j->ask->net->field[f->field].name,
                        (const char *const *)f->words.word, f->words.n);
  }
}

int gradrt_read_csv(const gradrt_ask *a, gradrt_rows *out)
{
  csv_job *j = gradrt_alloc(sizeof *j);
  if (!j)
    return gradrt_error(GRADRT_LIMIT, "out of memory");
  int code = csv_begin(j, a);
  if (code == GRADRT_OK && csv_needs_reference(j))
    code = csv_follow_reference(j);
  code = code == GRADRT_OK ? gradrt_plan_place(&j->plan, a, &j->table) : code;
  if (code == GRADRT_OK)
    csv_tell_classes(j);
  code = code == GRADRT_OK ? csv_fill(j, out) : code;
  code = code == GRADRT_OK && a->look ? csv_tell_columns(j, out) : code;
  csv_close(j);
  gradrt_free(j);
  return code;
}
