/* Tables of text: what the tokenizer (data_csv_text.c), the columns (data_csv_columns.c) and the
 * reader (data_csv.c) share. */
#ifndef GRADRT_DATA_CSV_H
#define GRADRT_DATA_CSV_H

#include "data.h"

/* ---- data_csv_text.c: records and cells ---- */
typedef struct { const char *at; size_t n; bool quoted; } gradrt_cell; /* inner "" stays doubled */

typedef struct {
  char path[GRADRT_DATA_PATH];
  char *text;                   /* the whole file; owned */
  size_t size, start, at;       /* bytes; first record; next byte to read */
  char separator;
  bool has_header;
  int ncolumn;
  gradrt_cell *name;            /* ncolumn; of the header, or NULL */
  gradrt_cell *cell;            /* ncolumn; of the current record */
  int64_t ncell;                /* cells of the current record, also those that are too many */
  int64_t record, line;         /* of the current record, from 1; its first physical line */
  int64_t next_line;
} gradrt_table;

/* Reads the file, its header and its number of columns. */
int gradrt_table_open(gradrt_table *t, const gradrt_ask *a, const char *name);
void gradrt_table_close(gradrt_table *t);
void gradrt_table_rewind(gradrt_table *t);      /* to before the first record */
/* The next record into t->cell. *more false: there is none. Broken quotes are reported. */
int gradrt_table_next(gradrt_table *t, bool *more);
/* Physical line and byte column of a cell, counted from 1, for messages. */
void gradrt_table_place(const gradrt_table *t, const gradrt_cell *c, int64_t *line,
                        int64_t *column);
/* A cell's text without quotes, cut to fit buf. */
const char *gradrt_cell_text(const gradrt_cell *c, char *buf, size_t size);
bool gradrt_cell_is(const gradrt_cell *c, const char *word);
bool gradrt_cell_missing(const gradrt_cell *c); /* empty, NA, N/A, NaN, null, none, ? */
bool gradrt_cell_number(const gradrt_cell *c, double *v);       /* a finite decimal number */

/* ---- data_csv_columns.c: which columns feed which elements ---- */
typedef enum { GRADRT_CSV_NUMBER, GRADRT_CSV_ONEHOT, GRADRT_CSV_LABEL } gradrt_csv_use;

enum { GRADRT_WORDS_MAX = 4096 };
typedef struct {
  char **word;                  /* in byte order, unless fixed */
  int n, cap;
  bool fixed, full;             /* fixed: the words were given; full: more than GRADRT_WORDS_MAX */
} gradrt_words;

/* One column in one role. */
typedef struct {
  gradrt_csv_use use;
  int column, field;
  int64_t at, width;            /* elements of the field: first, how many */
  gradrt_words words;           /* ONEHOT, LABEL */
  bool followed;                /* words and mean are those of the training table */
  bool numbers;                 /* LABEL: so far every cell is a number */
  double sum;                   /* NUMBER: of the cells that are there */
  int64_t count;                /* cells that are there; LABEL: that are one of the given words */
  int64_t missing;              /* cells that are not, in records of the right length */
} gradrt_feature;

typedef struct {
  gradrt_feature *feature;
  int n, cap;
  bool skipped[GRADRT_FIELDS_MAX];      /* fields that are not read (inputs only) */
} gradrt_plan;

/* Resolves the fields' columns against the table's header. */
int gradrt_plan_make(gradrt_plan *p, const gradrt_ask *a, const gradrt_table *t);
/* After all words are known: widths and positions, checked against the fields. */
int gradrt_plan_place(gradrt_plan *p, const gradrt_ask *a, const gradrt_table *t);
void gradrt_plan_free(gradrt_plan *p);
/* Number of a cell's word; -1: it is not there. */
int gradrt_words_find(const gradrt_words *w, const char *word);
bool gradrt_words_add(gradrt_words *w, const char *word);       /* false: out of memory */
const char *gradrt_words_list(const gradrt_words *w, char *buf, size_t size);  /* "a, b, c, .." */
/* Takes the words and means of another table's plan for the same net. */
int gradrt_plan_follow(gradrt_plan *p, const gradrt_plan *from, const gradrt_ask *a,
                       const gradrt_table *t, const gradrt_table *from_table);
/* "column \"age\"", or its number where there are no names. */
const char *gradrt_column_text(const gradrt_table *t, int column, char *buf, size_t size);

#endif
