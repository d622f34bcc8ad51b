/* What the readers and generators of samples share; private to the data*.c files.
 *
 * A reader gets a gradrt_ask and fills a gradrt_rows: per field a block of gradrt_alloc holding n
 * rows in the field's type, or a store for the field that pictures feed. After an error (reported,
 * GRADRT_ code returned) the caller frees what is there.
 *
 * A program that never reads some kind of data can leave that kind's files out: GRADRT_WITHOUT_IDX,
 * _CSV, _CIFAR, _RAW (raw and npy), _GEN, _DIGITS, _IMAGES, _TEXT and _WINDOW remove them from the
 * tables in data.c and data_input.c. Reading .gz needs GRADRT_ZLIB and zlib, pictures GRADRT_PNG
 * and GRADRT_JPEG. */
#ifndef GRADRT_DATA_H
#define GRADRT_DATA_H

#include "internal.h"

enum { GRADRT_DATA_PATH = 4096, GRADRT_DATA_SHAPE = 200 };

typedef struct {
  const gradrt_net *net;
  const gradrt_source *source;
  const char *dir;              /* base of relative paths */
  const char *root;             /* a further folder that holds data; NULL: none */
  bool named;                   /* the path is the user's own, not the spec's: taken as it is */
  bool inputs;                  /* for predict: no labels, and other targets need not be there */
  bool look;                    /* missing numbers are counted, not refused; columns are told */
  bool ending;                  /* inputs of windows: only the last one, which ends with the file */
  bool subset;                  /* samples of classes that are not kept will be dropped */
  int first;                    /* tables: the column from which fields without columns are fed */
  gradrt_named *labels;         /* gets the names of classes that a table tells; NULL: nobody */
} gradrt_ask;

typedef struct {
  int64_t n;
  void *rows[GRADRT_FIELDS_MAX];        /* NULL: not read (inputs only), or in the store */
  gradrt_store *store;          /* of pictures, owned; NULL: there are none */
  gradrt_column *column;        /* ncolumn, owned; of tables that are only looked at */
  int ncolumn;
  int64_t skipped;              /* records left out because cells are missing */
  int64_t *document;            /* where documents begin, then n; owned; NULL: there are none */
  int64_t ndocument;
  uint8_t *owner;               /* number of each row's split + 1, 0: of the one that takes what the
                                   others leave; owned; NULL: rows are still to be dealt out */
  gradrt_sides sides;           /* of the pictures that were read */
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

/* The path of a file that the spec names, where gradrt_file_open would find it; false: it is
 * nowhere, or lies outside. Silent. */
bool gradrt_file_find(const gradrt_ask *a, const char *name, char path[GRADRT_DATA_PATH]);
/* The path of a folder that the spec names, in a->dir or a->root; false: there is none. Silent. */
bool gradrt_folder_find(const gradrt_ask *a, const char *name, char path[GRADRT_DATA_PATH]);

/* ---- data_folder.c: what a folder holds ---- */
typedef enum { GRADRT_FOLDERS, GRADRT_PICTURES } gradrt_entries;
typedef struct { char *text, **name; int64_t n; } gradrt_names;         /* in byte order; owned */

bool gradrt_name_is_picture(const char *name);  /* ends in .png, .jpg or .jpeg */
/* The names of a folder's entries of this kind; false: errno says why. */
bool gradrt_folder_names(const char *path, gradrt_entries kind, gradrt_names *out);
void gradrt_names_free(gradrt_names *n);
int gradrt_names_find(const gradrt_names *n, const char *name);         /* -1: it is not there */
/* The folders of the training pictures, which are the classes of all pictures; false: there are
 * none, or no folder gives classes. Silent. */
bool gradrt_folder_classes(const gradrt_ask *a, gradrt_names *out);

/* A net whose labels get names that only the data or the weights know. */
struct gradrt_named {
  gradrt_net net;
  gradrt_field field[GRADRT_FIELDS_MAX];
  gradrt_names names;           /* folders */
  const char **shown;
  const char **given[GRADRT_FIELDS_MAX];        /* by gradrt_named_give */
};
/* Labels are called as the folders of the net's pictures, below dir and root, where these are.
 * Silent. gradrt_net_forget_names frees what n holds, in any case. */
const gradrt_net *gradrt_net_with_names(gradrt_named *n, const gradrt_net *net, const char *dir,
                                        const char *root);
void gradrt_net_forget_names(gradrt_named *n);

/* ---- class_names.c: names of classes in tables and in weights ---- */
/* Calls the n classes of a label so, unless they have names or are not n. Names are copied. to
 * NULL: nothing happens. */
void gradrt_named_give(gradrt_named *to, const char *field, const char *const *name, int64_t n);

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

/* ---- data_classes.c: `classes:` of a data block ---- */
/* The kept classes of a source, separated by line ends; NULL: all are. */
const char *gradrt_only(const gradrt_source *s);
bool gradrt_only_numbers(const char *only);     /* they are numbers, not words */
int gradrt_only_find(const char *only, const char *name);       /* place in the list; -1: none */
/* Reads with `read`, which finds labels with all of their classes, drops the samples of those that
 * are not kept and numbers the others as the list does. */
int gradrt_read_kept(int (*read)(const gradrt_ask *, gradrt_rows *), const gradrt_ask *a,
                     gradrt_rows *out);

/* ---- data_block.c: rows that take memory while they are used ---- */
typedef struct {
  char *at;                     /* row 0; NULL: not open */
  size_t bytes, page, reserved; /* of a row, of a page, of all rows */
  int64_t n;
  unsigned char *state;         /* per row: 0: nothing is there */
} gradrt_block;

/* Reserves n rows, all with state 0; false: memory or addresses are out. */
bool gradrt_block_open(gradrt_block *b, int64_t n, size_t bytes);
void gradrt_block_close(gradrt_block *b);       /* also one that is not open */
bool gradrt_block_drops(const gradrt_block *b); /* rows are so large that dropping one helps */
size_t gradrt_block_cost(const gradrt_block *b);        /* the most memory that a row takes */
/* Sets the state of a row to 0 and gives back its memory, but for what it shares with others. */
void gradrt_block_drop(gradrt_block *b, int64_t row);

/* ---- data_pixels.c ---- */
/* Decodes the picture `name` into a row of a field, resized where the spec asks for that. */
int gradrt_picture_row(const gradrt_ask *a, const char *name, int field, void *rows, int64_t row);
/* The same without a message; false: it cannot be done, or the file is not what the mark says. */
bool gradrt_picture_fill(const gradrt_ask *a, const char *name, uint32_t mark, int field,
                         void *rows, int64_t row);
bool gradrt_picture_is(const gradrt_ask *a, const char *name, uint32_t mark);
/* Looks at the files of a store's n rows, on as many threads as there are CPUs, and notes what they
 * are recognised by and their sides. Silent. Returns the first row that has no picture that fits,
 * else n. */
int64_t gradrt_pictures_look(const gradrt_ask *a, int field, gradrt_store *s, int64_t n,
                             gradrt_sides *sides);

/* ---- data_store.c: pictures that are decoded when they are wanted ---- */
/* Reserves n rows of a field. GRADRT_LIMIT: rows too small to be dropped do not fit in memory. */
int gradrt_store_open(gradrt_store **out, const gradrt_ask *a, int field, int64_t n);
void gradrt_store_close(gradrt_store *s);       /* also NULL */
/* The file of the next row, as the spec would name it; false: memory is out. */
bool gradrt_store_add(gradrt_store *s, const char *name);
const char *gradrt_store_name(const gradrt_store *s, int64_t row);
void *gradrt_store_rows(const gradrt_store *s, int *field);     /* the block, and its field */
void gradrt_store_mark(gradrt_store *s, int64_t row, uint32_t mark);
uint32_t gradrt_store_fingerprint(const gradrt_store *s, int64_t n, uint32_t crc);
/* Row `to` becomes what row `from` is; before settling. */
void gradrt_store_move(gradrt_store *s, int64_t from, int64_t to);
double gradrt_store_bytes(const gradrt_store *s, int64_t n);    /* of n decoded rows */
/* From now on n rows may be asked for. budget: bytes that may be there; threads: that decode ahead.
 * GRADRT_LIMIT: not even a batch fits in memory. */
int gradrt_store_settle(gradrt_store *s, const gradrt_ask *a, int64_t n, double budget,
                        int threads);
/* Decodes all rows for good, where rows->rows shows them; rows must be freed as a whole. */
int gradrt_store_unpack(const gradrt_ask *a, gradrt_rows *rows);
/* As gradrt_set_ready. */
int64_t gradrt_store_ready(gradrt_store *s, const gradrt_set *set, const gradrt_order *o,
                           int64_t first, int64_t n);
/* Decodes the row at a held position that was not ready; reports when that fails again. */
int gradrt_store_retry(gradrt_store *s, int64_t position);

/* ---- one function per kind ---- */
typedef int (*gradrt_reader)(const gradrt_ask *a, gradrt_rows *out);
int gradrt_read_idx(const gradrt_ask *a, gradrt_rows *out);
int gradrt_read_csv(const gradrt_ask *a, gradrt_rows *out);
int gradrt_read_cifar(const gradrt_ask *a, gradrt_rows *out);
int gradrt_read_raw(const gradrt_ask *a, gradrt_rows *out);
int gradrt_read_npy(const gradrt_ask *a, gradrt_rows *out);
int gradrt_read_points(const gradrt_ask *a, gradrt_rows *out);  /* blobs .. addition */
int gradrt_read_digits(const gradrt_ask *a, gradrt_rows *out);
int gradrt_read_images(const gradrt_ask *a, gradrt_rows *out);
int gradrt_read_text(const gradrt_ask *a, gradrt_rows *out);

/* ---- data_window.c ---- */
/* For nets whose samples are windows: reads single rows by `read` and makes the windows of them. */
int gradrt_read_windows(const gradrt_ask *a, gradrt_reader read, gradrt_rows *out);
/* Puts n rows that follow one another into an order whose batches of `streams` rows are the next
 * windows of as many parallel streams; longer streams come first, so that a batch is full or the
 * last. */
void gradrt_order_streams(uint32_t *row, int64_t n, int64_t streams);

#endif
