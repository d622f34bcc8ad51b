/* Samples from files with pictures. Either the folder holds one folder for each class, whose names
 * in byte order are the classes, or a table names the files and says their labels: its first
 * column, or the one called `file`, holds the names, fields say which columns feed them. */
#include "data_csv.h"
#include "run.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IMAGES_PROPS = 5, IMAGES_SHOWN = 2048 };

typedef struct {
  const gradrt_ask *ask;
  const char *folder;           /* as the spec says */
  int picture, label;           /* fields; label -1: none, or the table has it */
  gradrt_names class;           /* folders of the training pictures */
  gradrt_names *found;          /* pictures of each class's folder; nfound of them */
  const char **class_folder;
  int *class_number;
  int64_t nfound;
} images_job;

static const char *images_place(const gradrt_ask *a)
{
  return a->source->place ? a->source->place : a->net->file;
}

/* ---- classes are folders ---- */

static const char *images_names(const gradrt_names *n, char *buf, size_t size)
{
  size_t at = 0;
  buf[0] = 0;
  for (int64_t i = 0; i < n->n && at < size - 8; i++) {
    int more = snprintf(buf + at, size - at, "%s%s", i ? ", " : "", n->name[i]);
    at = more > 0 && (size_t)more < size - at ? at + (size_t)more : size;
  }
  return buf;
}

/* The number of the class that a folder stands for; one above all: it is not kept; -1: reported. */
static int images_class(const images_job *j, const char *folder)
{
  const gradrt_field *y = &j->ask->net->field[j->label];
  const char *only = gradrt_only(j->ask->source);
  int number = -1;
  if (only && !gradrt_only_numbers(only)) {
    number = gradrt_only_find(only, folder);
    return number < 0 ? (int)y->classes : number;
  }
  for (int64_t i = 0; y->class_name && i < y->classes && number < 0; i++)
    number = strcmp(y->class_name[i], folder) == 0 ? (int)i : -1;
  if (!y->class_name)
    number = gradrt_names_find(&j->class, folder);
  if (only && number >= 0) {
    char text[32];
    snprintf(text, sizeof text, "%d", number);
    return gradrt_only_find(only, text) < 0 ? (int)y->classes : number; /* numbered later */
  }
  if (number >= 0)
    return number;
  char list[IMAGES_SHOWN];
  gradrt_error(GRADRT_DATA, "%s: the folder \"%s\" of %s is none of the classes",
               images_place(j->ask), folder, j->folder);
  if (!y->class_name)
    gradrt_note("the classes are the folders of the training pictures: %s",
                images_names(&j->class, list, sizeof list));
  else
    gradrt_note("field '%s' (%s) has the classes that the spec or else the weights name", y->name,
                y->place ? y->place : "of the spec");
  return -1;
}

/* A chosen class must be a folder. */
static int images_check_chosen(const images_job *j, const char *only)
{
  char name[GRADRT_NAME_MAX], list[IMAGES_SHOWN];
  for (const char *p = only; *p; p += *p == '\n') {
    int n = (int)strcspn(p, "\n");
    snprintf(name, sizeof name, "%.*s", n, p);
    bool there = gradrt_only_numbers(only) ? strtol(p, NULL, 10) < j->class.n
                                           : gradrt_names_find(&j->class, name) >= 0;
    if (!there) {
      int code = gradrt_error(GRADRT_DATA, "%s: %s has no class %s", images_place(j->ask),
                              j->folder, name);
      gradrt_note("each folder is a class, the first is number 0: %s",
                  images_names(&j->class, list, sizeof list));
      return code;
    }
    p += n;
  }
  return GRADRT_OK;
}

/* As many folders as classes, unless the spec names or chooses them. */
static int images_check_classes(const images_job *j)
{
  const gradrt_field *y = &j->ask->net->field[j->label];
  char list[IMAGES_SHOWN];
  if (gradrt_only(j->ask->source))
    return images_check_chosen(j, gradrt_only(j->ask->source));
  if (y->class_name || j->class.n == y->classes)
    return GRADRT_OK;
  int code = gradrt_error(GRADRT_DATA, "%s: field '%s' has %" PRId64 " classes, but %s holds %"
                          PRId64 " folders", y->place ? y->place : images_place(j->ask), y->name,
                          y->classes, j->folder, j->class.n);
  if (j->class.n)
    gradrt_note("each folder is a class: %s", images_names(&j->class, list, sizeof list));
  else
    gradrt_note("pictures lie in a folder for each class, or a table says their labels: "
                "images(\"%s\", labels=\"table.csv\")", j->folder);
  return code;
}

/* Lists the pictures of one folder below path. */
static int images_list(images_job *j, const char *path, const char *folder)
{
  char name[GRADRT_DATA_PATH], full[GRADRT_DATA_PATH];
  int number = j->label >= 0 ? images_class(j, folder) : 0;
  if (number < 0)
    return GRADRT_DATA;
  if (j->label >= 0 && number >= j->ask->net->field[j->label].classes)
    return GRADRT_OK;           /* a class that is not kept */
  int n = snprintf(full, sizeof full, "%s/%s", path, folder);
  int k = snprintf(name, sizeof name, "%s/%s", j->folder, folder);
  if (n >= (int)sizeof full || k >= (int)sizeof name)
    return gradrt_error(GRADRT_DATA, "%s: the path %s/%s is too long", images_place(j->ask), path,
                        folder);
  if (!gradrt_folder_find(j->ask, name, full) ||
      !gradrt_folder_names(full, GRADRT_PICTURES, &j->found[j->nfound]))
    return gradrt_error(GRADRT_DATA, "%s: cannot read the folder \"%s\": %s",
                        images_place(j->ask), name, strerror(errno));
  j->class_folder[j->nfound] = folder;
  j->class_number[j->nfound++] = number;
  return GRADRT_OK;
}

static int images_no_memory(const images_job *j)
{
  return gradrt_error(GRADRT_LIMIT, "%s: out of memory", images_place(j->ask));
}

/* Names the pictures and says the labels of one folder; rows begin at `first`. */
static int images_add_folder(const images_job *j, int64_t at, int64_t first, gradrt_rows *out)
{
  char name[GRADRT_DATA_PATH];
  const gradrt_names *found = &j->found[at];
  for (int64_t i = 0; i < found->n; i++) {
    int n = snprintf(name, sizeof name, "%s/%s/%s", j->folder, j->class_folder[at],
                     found->name[i]);
    if (n >= (int)sizeof name)
      return gradrt_error(GRADRT_DATA, "%s: the path %s is too long", images_place(j->ask), name);
    if (!gradrt_store_add(out->store, name))
      return images_no_memory(j);
    if (j->label >= 0)
      gradrt_dtype_put(j->ask->net->field[j->label].dtype, out->rows[j->label], first + i,
                       j->class_number[at]);
  }
  return GRADRT_OK;
}

/* Looks at all files; one that is no picture that fits, *bad, is decoded to report why. */
static int images_look(const images_job *j, gradrt_rows *out, int64_t *bad)
{
  int field;
  void *rows = gradrt_store_rows(out->store, &field);
  *bad = gradrt_pictures_look(j->ask, field, out->store, out->n, &out->sides);
  if (*bad == out->n)
    return GRADRT_OK;
  const char *name = gradrt_store_name(out->store, *bad);
  int code = gradrt_picture_row(j->ask, name, field, rows, *bad);
  return code != GRADRT_OK ? code
                           : gradrt_error(GRADRT_DATA, "%s: %s changed while it was read",
                                          images_place(j->ask), name);
}

static int images_fill_folders(images_job *j, const gradrt_names *folders, const char *path,
                               gradrt_rows *out)
{
  int code = GRADRT_OK;
  for (int64_t i = 0; i < folders->n && code == GRADRT_OK; i++)
    code = images_list(j, path, folders->name[i]);
  for (int64_t i = 0; i < j->nfound; i++)
    out->n += j->found[i].n;
  if (code == GRADRT_OK && out->n == 0)
    code = gradrt_error(GRADRT_DATA, "%s: the folders of %s hold no .png, .jpg or .jpeg files",
                        images_place(j->ask), path);
  if (code == GRADRT_OK)
    code = gradrt_store_open(&out->store, j->ask, j->picture, out->n);
  if (code == GRADRT_OK && j->label >= 0)
    code = gradrt_rows_alloc(j->ask, out, j->label);
  int64_t first = 0, bad;
  for (int64_t i = 0; i < j->nfound && code == GRADRT_OK; i++) {
    code = images_add_folder(j, i, first, out);
    first += j->found[i].n;
  }
  return code == GRADRT_OK ? images_look(j, out, &bad) : code;
}

/* The folder must be there; says so as for files. */
static int images_open(const gradrt_ask *a, const char *folder, char path[GRADRT_DATA_PATH])
{
  gradrt_file f;
  if (gradrt_folder_find(a, folder, path))
    return GRADRT_OK;
  int code = gradrt_file_open(&f, a, folder);
  gradrt_file_close(&f);
  return code != GRADRT_OK ? code
                           : gradrt_error(GRADRT_DATA, "%s: \"%s\" is a file, not a folder",
                                          images_place(a), folder);
}

static int images_read_folders(images_job *j, gradrt_rows *out)
{
  char path[GRADRT_DATA_PATH];
  gradrt_names folders = { .n = 0 };
  int code = gradrt_fields_pair(j->ask, &j->picture, &j->label);
  if (code == GRADRT_OK && j->label >= 0 && !j->ask->net->field[j->label].is_label)
    code = gradrt_error(GRADRT_DATA, "%s: folders of pictures give classes; numbers for field '%s' "
                        "come from a table: images(\"%s\", labels=\"table.csv\")",
                        images_place(j->ask), j->ask->net->field[j->label].name, j->folder);
  code = code == GRADRT_OK ? images_open(j->ask, j->folder, path) : code;
  if (code == GRADRT_OK && !gradrt_folder_names(path, GRADRT_FOLDERS, &folders))
    code = gradrt_error(GRADRT_DATA, "%s: cannot read the folder %s: %s", images_place(j->ask),
                        path, strerror(errno));
  if (code == GRADRT_OK && j->label >= 0) {
    gradrt_folder_classes(j->ask, &j->class);
    code = images_check_classes(j);
  }
  if (code == GRADRT_OK) {
    size_t n = (size_t)folders.n + 1;
    j->found = gradrt_alloc(n * sizeof *j->found);
    j->class_folder = gradrt_alloc(n * sizeof *j->class_folder);
    j->class_number = gradrt_alloc(n * sizeof *j->class_number);
    code = j->found && j->class_folder && j->class_number
               ? images_fill_folders(j, &folders, path, out)
               : gradrt_error(GRADRT_LIMIT, "%s: out of memory", path);
  }
  gradrt_names_free(&folders);
  return code;
}

/* ---- a table says files and labels ---- */

/* The net as the reader of tables sees it: without the pictures, with tables as sources. */
typedef struct {
  gradrt_net net;
  gradrt_field field[GRADRT_FIELDS_MAX];
  int number[GRADRT_FIELDS_MAX];        /* of each field in the whole net */
  gradrt_source *source;
  gradrt_prop *prop;                    /* IMAGES_PROPS for each source */
} images_table;

static bool images_table_make(images_table *t, const images_job *j)
{
  const gradrt_net *net = j->ask->net;
  size_t n = (size_t)net->nsource;
  t->net = *net;
  t->net.nfield = 0;
  t->net.field = t->field;
  for (int f = 0; f < net->nfield; f++)
    if (f != j->picture) {
      t->number[t->net.nfield] = f;
      t->field[t->net.nfield++] = net->field[f];
    }
  t->source = gradrt_alloc(n * sizeof *t->source);
  t->prop = gradrt_alloc(n * IMAGES_PROPS * sizeof *t->prop);
  t->net.source = t->source;
  for (size_t i = 0; i < n && t->source && t->prop; i++) {
    const gradrt_source *s = &net->source[i];
    gradrt_prop *p = t->prop + i * IMAGES_PROPS;
    bool table = strcmp(s->kind, "images") == 0 && gradrt_prop_text(s, "labels", NULL);
    t->source[i] = *s;
    if (!table)
      continue;
    p[0] = (gradrt_prop){ .name = "path", .text = gradrt_prop_text(s, "labels", "") };
    p[1] = (gradrt_prop){ .name = "header", .number = 1 };
    p[2] = (gradrt_prop){ .name = "separator", .text = gradrt_prop_text(s, "separator", ",") };
    p[3] = (gradrt_prop){ .name = "missing", .text = "error" };
    p[4] = (gradrt_prop){ .name = "only", .text = gradrt_prop_text(s, "only", "") };
    t->source[i].kind = "csv";
    t->source[i].prop = p;
    t->source[i].nprop = IMAGES_PROPS;
  }
  return t->source && t->prop;
}

/* The column with the names of the files; -1: reported. */
static int images_file_column(const images_job *j, const gradrt_table *t)
{
  const char *wanted = gradrt_prop_text(j->ask->source, "file", NULL);
  for (int i = 0; wanted && i < t->ncolumn; i++)
    if (t->name && gradrt_cell_is(&t->name[i], wanted))
      return i;
  if (!wanted)
    return 0;
  gradrt_error(GRADRT_DATA, "%s: %s has no column \"%s\"", images_place(j->ask), t->path, wanted);
  return -1;
}

/* Names the pictures as the records of the table do, in their order. */
static int images_add_listed(const images_job *j, gradrt_table *t, int column, gradrt_rows *out)
{
  char name[GRADRT_DATA_PATH], cell[GRADRT_DATA_PATH];
  for (int64_t row = 0; row < out->n; row++) {
    bool more = false;
    int code = gradrt_table_next(t, &more);
    if (code != GRADRT_OK)
      return code;
    *cell = 0;
    if (more)
      gradrt_cell_text(&t->cell[column], cell, sizeof cell);
    if (!*cell || snprintf(name, sizeof name, "%s/%s", j->folder, cell) >= (int)sizeof name)
      return gradrt_error(GRADRT_DATA, "%s:%" PRId64 ": the name of a file is missing or too long",
                          t->path, t->line);
    if (!gradrt_store_add(out->store, name))
      return images_no_memory(j);
  }
  return GRADRT_OK;
}

/* The record of a row, for people. */
static void images_tell_line(gradrt_table *t, int64_t row)
{
  bool more = true;
  gradrt_table_rewind(t);
  for (int64_t i = 0; i <= row && more; i++)
    if (gradrt_table_next(t, &more) != GRADRT_OK)
      return;
  gradrt_note("%s:%" PRId64 " names it", t->path, t->line);
}

static int images_fill_listed(const images_job *j, gradrt_table *t, gradrt_rows *out)
{
  int64_t bad = 0;
  int column = images_file_column(j, t), code = column < 0 ? GRADRT_DATA : GRADRT_OK;
  gradrt_table_rewind(t);
  code = code == GRADRT_OK ? images_add_listed(j, t, column, out) : code;
  if (code != GRADRT_OK)
    return code;
  code = images_look(j, out, &bad);
  if (code != GRADRT_OK)
    images_tell_line(t, bad);
  return code;
}

static int images_read_listed(images_job *j, gradrt_rows *out)
{
  images_table shadow;
  memset(&shadow, 0, sizeof shadow);
  gradrt_ask ask = *j->ask;
  gradrt_rows rows = { .n = 0 };
  gradrt_table t = { .text = NULL };
  for (j->picture = 0; j->picture < ask.net->nfield && ask.net->field[j->picture].is_label;)
    j->picture++;
  if (j->picture == ask.net->nfield)
    return gradrt_error(GRADRT_DATA, "%s: no field holds the pictures", images_place(j->ask));
  int code =
      images_table_make(&shadow, j) ? GRADRT_OK : gradrt_error(GRADRT_LIMIT, "out of memory");
  ask.net = &shadow.net;
  ask.source = code == GRADRT_OK ? &shadow.source[j->ask->source - j->ask->net->source] : NULL;
  ask.first = 1;
  code = code == GRADRT_OK ? gradrt_read_csv(&ask, &rows) : code;
  out->n = rows.n;
  for (int f = 0; f < shadow.net.nfield; f++)
    out->rows[shadow.number[f]] = rows.rows[f];
  out->column = rows.column;
  out->ncolumn = rows.ncolumn;
  for (int i = 0; i < out->ncolumn; i++)
    out->column[i].field = shadow.number[out->column[i].field];
  code = code == GRADRT_OK ? gradrt_store_open(&out->store, j->ask, j->picture, out->n) : code;
  if (code == GRADRT_OK) {
    code = gradrt_table_open(&t, &ask, gradrt_prop_text(ask.source, "path", ""));
    code = code == GRADRT_OK ? images_fill_listed(j, &t, out) : code;
    gradrt_table_close(&t);
  }
  gradrt_free(shadow.source);
  gradrt_free(shadow.prop);
  return code;
}

int gradrt_read_images(const gradrt_ask *a, gradrt_rows *out)
{
  images_job j = { .ask = a, .folder = gradrt_prop_text(a->source, "path", "."), .label = -1 };
  int code = gradrt_prop_text(a->source, "labels", NULL) ? images_read_listed(&j, out)
                                                         : images_read_folders(&j, out);
  for (int64_t i = 0; i < j.nfound; i++)
    gradrt_names_free(&j.found[i]);
  gradrt_names_free(&j.class);
  gradrt_free(j.found);
  gradrt_free(j.class_folder);
  gradrt_free(j.class_number);
  return code;
}
