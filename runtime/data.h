/* What the readers and generators of samples share; private to the data*.c files.
 *
 * A reader gets a gradrt_ask and fills a gradrt_rows: per field a block of gradrt_alloc holding n
 * rows in the field's type. After an error (reported, GRADRT_ code returned) the caller frees what
 * is there.
 *
 * A program that never reads some kind of data can leave that kind's files out: GRADRT_WITHOUT_IDX,
 * _CSV, _CIFAR, _RAW (raw and npy), _GEN and _DIGITS remove them from the tables in data.c and
 * data_input.c. Reading .gz needs GRADRT_ZLIB and zlib. */
#ifndef GRADRT_DATA_H
#define GRADRT_DATA_H

#include "internal.h"

enum { GRADRT_DATA_PATH = 4096, GRADRT_DATA_SHAPE = 160 };

typedef struct {
  const gradrt_net *net;
  const gradrt_source *source;
  const char *dir;              /* base of relative paths */
  const char *root;             /* a further folder that holds data; NULL: none */
  bool named;                   /* the path is the user's own, not the spec's: taken as it is */
  bool inputs;                  /* for predict: no labels, and other targets need not be there */
  bool look;                    /* missing numbers are counted, not refused; columns are told */
} gradrt_ask;

typedef struct {
  int64_t n;
  void *rows[GRADRT_FIELDS_MAX];        /* NULL: not read (inputs only) */
  gradrt_column *column;        /* ncolumn, owned; of tables that are only looked at */
  int ncolumn;
  int64_t skipped;              /* records left out because cells are missing */
} gradrt_rows;

/* ---- data_file.c: opening and reading ---- */
typedef struct {
  int fd;                       /* -1: not open */
  int64_t size, at;             /* bytes; position of the next read */
  int64_t changed[2];           /* time of last change when opened: seconds, nanoseconds */
  char path[GRADRT_DATA_PATH];  /* as opened, for messages */
} gradrt_file;

/* Opens a regular file for reading; one named by the spec must lie in a->dir or a->root. Errors
 * name the place in the spec, the path and a near name. */
int gradrt_file_open(gradrt_file *f, const gradrt_ask *a, const char *name);
int gradrt_file_read(gradrt_file *f, void *bytes, size_t n);    /* exactly n bytes, or an error */
/* After the last read: GRADRT_DATA when the file changed meanwhile. Closes it in any case. */
int gradrt_file_finish(gradrt_file *f);
void gradrt_file_close(gradrt_file *f);         /* also when it is not open */
/* The whole file and a 0 after it, by gradrt_alloc; path as in gradrt_file. */
int gradrt_file_slurp(const gradrt_ask *a, const char *name, char **text, size_t *size, char *path);

/* ---- data_value.c: elements, fields and labels ---- */
typedef struct { char kind; int size; bool big; } gradrt_wire;  /* 'u' 'i' 'f'; bytes; big-endian */

size_t gradrt_dtype_size(gradrt_dtype t);
const char *gradrt_dtype_name(gradrt_dtype t);
double gradrt_wire_get(gradrt_wire w, const unsigned char *at);
/* Stores v as element i; false: the type cannot hold it (not finite, not whole, out of range). */
bool gradrt_dtype_put(gradrt_dtype to, void *rows, int64_t i, double v);
double gradrt_dtype_get(gradrt_dtype from, const void *rows, int64_t i);
/* Converts n elements to rows[first..]; returns the index of one that does not fit, or -1. */
int64_t gradrt_wire_copy(gradrt_dtype to, void *rows, int64_t first, gradrt_wire w,
                         const unsigned char *from, int64_t n);
int64_t gradrt_field_elems(const gradrt_field *f);      /* numbers per sample */
/* GRADRT_DATA, naming both shapes, unless samples of this shape in file `path` are those of the
 * field: the same extents (those of 1 do not count), or one of the two is a plain list of as many
 * numbers. */
int gradrt_shape_check(const gradrt_field *f, const char *path, int rank, const int64_t *dim);
/* Allocates out->rows[field] for out->n samples; GRADRT_LIMIT when that cannot fit this machine. */
int gradrt_rows_alloc(const gradrt_ask *a, gradrt_rows *out, int field);
void gradrt_rows_free(gradrt_rows *r);
/* Refuses labels outside 0..classes-1. unit: "sample", "record"; the first row is number 0. */
int gradrt_labels_check(const gradrt_field *f, const char *path, const char *unit, const void *rows,
                        int64_t n);
/* Reports the value of element `at` of n rows of `elems`: it does not fit the field. Returns
 * GRADRT_DATA. */
int gradrt_value_error(const gradrt_field *f, const char *path, int64_t at, double v);
/* "[28, 28]" */
const char *gradrt_shape_text(char buf[GRADRT_DATA_SHAPE], int rank, const int64_t *dim);
double gradrt_prop_number(const gradrt_source *s, const char *name, double missing);
/* An empty text counts as missing. */
const char *gradrt_prop_text(const gradrt_source *s, const char *name, const char *missing);
/* For sources of two files or a generator: the field of the samples and that of the labels or
 * targets; -1: none. GRADRT_DATA when the fields are others. */
int gradrt_fields_pair(const gradrt_ask *a, int *samples, int *labels);

/* ---- one function per kind ---- */
int gradrt_read_idx(const gradrt_ask *a, gradrt_rows *out);
int gradrt_read_csv(const gradrt_ask *a, gradrt_rows *out);
int gradrt_read_cifar(const gradrt_ask *a, gradrt_rows *out);
int gradrt_read_raw(const gradrt_ask *a, gradrt_rows *out);
int gradrt_read_npy(const gradrt_ask *a, gradrt_rows *out);
int gradrt_read_points(const gradrt_ask *a, gradrt_rows *out);  /* blobs .. addition */
int gradrt_read_digits(const gradrt_ask *a, gradrt_rows *out);

#endif
