/* What the runtime's own files share; not for generated code. One section per file.
 *
 * Errors: a function that can fail returns a GRADRT_ exit code (0 = ok) after gradrt_error has printed
 * exactly one message on stderr. Nothing exits except gradrt_main's caller. */
#ifndef GRADRT_INTERNAL_H
#define GRADRT_INTERNAL_H

#include "gradrt.h"

/* ---- fail.c: messages ---- */
/* Prints "<program>: error: <text>" and returns code. */
int gradrt_error(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void gradrt_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));   /* "  note: ..." on stderr */
/* What this thread would print by the two goes to hear, a note or an error, without the program's
 * name and line end; NULL: to stderr again. */
typedef void gradrt_hear(void *ctx, bool note, const char *text);
void gradrt_hear_errors(gradrt_hear *hear, void *ctx);

/* ---- alloc.c ---- */
void *gradrt_alloc(size_t bytes);               /* zeroed, 64-byte aligned; NULL when memory is out */
void gradrt_free(void *p);
bool gradrt_mul_size(size_t a, size_t b, size_t *out);  /* false: overflow */

/* ---- random.c ---- */
/* Philox4x32-10 (Salmon et al. 2011): out = bijection_key(ctr). */
void gradrt_philox(const uint32_t ctr[4], const uint32_t key[2], uint32_t out[4]);
uint32_t gradrt_hash_name(const char *s);       /* FNV-1a, 32 bits: the parameter part of a key */
enum { GRADRT_PURPOSE_INIT = 1, GRADRT_PURPOSE_SHUFFLE, GRADRT_PURPOSE_SPLIT, GRADRT_PURPOSE_DROPOUT,
       GRADRT_PURPOSE_DATA, GRADRT_PURPOSE_AUGMENT };
typedef struct { uint32_t key[2], ctr[4], have[4]; int left; } gradrt_stream;
void gradrt_stream_start(gradrt_stream *s, uint64_t seed, uint32_t purpose, uint32_t name);
uint32_t gradrt_stream_u32(gradrt_stream *s);
double gradrt_stream_uniform(gradrt_stream *s); /* [0,1): 24 bits */
double gradrt_stream_normal(gradrt_stream *s);
/* Keyed permutation of 0..n-1 by sorting-free Feistel cycle walking: position i in O(1). */
uint64_t gradrt_permute(uint64_t i, uint64_t n, uint64_t seed, uint32_t purpose, uint32_t epoch);
/* PyTorch's generator (mt19937), reference trainers 6.1. */
typedef struct { uint32_t mt[624]; int at; bool has_normal; double next_normal; } gradrt_torch;
void gradrt_torch_seed(gradrt_torch *t, uint64_t seed);
uint32_t gradrt_torch_u32(gradrt_torch *t);
uint64_t gradrt_torch_u64(gradrt_torch *t);
void gradrt_torch_uniform(gradrt_torch *t, double *out, int64_t n, double a, double b);        /* float draws */
void gradrt_torch_normal(gradrt_torch *t, double *out, int64_t n, double mean, double std);
void gradrt_torch_randperm(gradrt_torch *t, uint32_t *out, int64_t n);

/* ---- data.c and its readers ---- */
typedef struct gradrt_store gradrt_store;       /* data.h */

/* One loaded split. Rows of all splits of a source share memory; row[] picks this split's rows. */
typedef struct {
  const char *name;
  int64_t n;                    /* samples */
  const uint32_t *row;          /* n row numbers into rows[] */
  const void *rows[GRADRT_FIELDS_MAX];  /* per field, in the field's dtype, row-major; NULL:
                                           pictures, which are there when they are asked for */
  gradrt_store *store;          /* of the pictures; NULL: there are none */
} gradrt_set;

/* The source's row at a position of an epoch. */
typedef uint32_t (*gradrt_row_at)(const void *ctx, int64_t epoch, int64_t position);
/* An order of n rows, each at most once. */
typedef struct {
  gradrt_row_at row_at;
  const void *ctx;
  int64_t epoch, n;
} gradrt_order;

typedef struct gradrt_data gradrt_data;
typedef struct gradrt_named gradrt_named;       /* data.h */

typedef struct {
  const char *dir;              /* base of relative paths: the spec's folder, or --data */
  const char *root;             /* --data-root: a further folder that data may lie in; NULL: none */
  bool need_fit;                /* fit statistics (training) instead of keeping those in state (eval, predict) */
  const char *const *only;      /* names of splits to load; NULL: all */
  int nonly;
  int fold, folds;              /* of so many parts of the training split, the fold-th, from 1,
                                   is what training watches; 0: splits as the spec says */
  bool look;                    /* for showing the data: a table's missing numbers are no error */
  bool ending;                  /* inputs of windows: only the last one, which ends with the file */
  gradrt_named *labels;         /* gets the names of classes that tables tell; NULL: nobody */
  double memory;                /* bytes of decoded pictures that may be there; 0: half of what the
                                   machine has */
  int threads;                  /* that decode pictures ahead, at most 16; 0: as many as CPUs */
  bool no_prefetch;             /* who asks for pictures decodes them */
} gradrt_data_options;

/* What feeds one element of a field that a table's column feeds. */
typedef struct {
  char name[96];                /* "age", "ocean_proximity=INLAND" */
  int field;
  int64_t element;
  int64_t missing;              /* empty cells of the column in records of the right length */
} gradrt_column;

/* Height and width of pictures: the least and the largest; 0: there are none. */
typedef struct { int least[2], most[2]; } gradrt_sides;

/* Loads and checks every needed source (labels in range, sizes, types), splits it. Of pictures only
 * beginnings and ends of their files are read. net and the folders of o must outlive the data. */
int gradrt_data_load(const gradrt_net *net, const gradrt_data_options *o, gradrt_data **out);
void gradrt_data_free(gradrt_data *d);
const gradrt_set *gradrt_data_set(const gradrt_data *d, int split);     /* NULL: not loaded */
/* Returns when the rows at positions first .. first + n - 1 of an order, NULL: of the set's own,
 * are there, and fills rows, per field. One thread at a time asks the sets of a source; what it got
 * stays until it asks again. What follows in the order is decoded meanwhile. GRADRT_DATA, naming
 * the file: a picture is damaged. */
int gradrt_set_want(const gradrt_set *set, const gradrt_order *order, int64_t first, int64_t n,
                    const void *rows[GRADRT_FIELDS_MAX]);
/* The same without a message: how many of the n rows there are before one that is damaged. */
int64_t gradrt_set_ready(const gradrt_set *set, const gradrt_order *order, int64_t first, int64_t n,
                         const void *rows[GRADRT_FIELDS_MAX]);
/* The numbers of one row of a field, there until the next one is asked for. NULL: reported. */
const void *gradrt_set_row(const gradrt_net *net, const gradrt_set *set, int field, uint32_t row);
/* Mean and population standard deviation of each fit over the training split (train_split index), into
 * canonical double arrays mean[k], std[k] (elements of the state tensor); std 0 becomes 1. */
int gradrt_data_fit(const gradrt_net *net, const gradrt_data *d, int train_split, int fit, double *mean, double *std);
/* Hex CRC-32C of sizes and bytes; of pictures: of names, sizes, first and last bytes of files. */
const char *gradrt_data_fingerprint(const gradrt_data *d);
/* After loading with `look`: the columns of the table that a split's rows come from, in the order
 * of the fields' elements; n 0: it is no table. *skipped: records left out for missing cells. */
const gradrt_column *gradrt_data_columns(const gradrt_data *d, int split, int *n,
                                         int64_t *skipped);
/* Sides that the pictures of a split's source had before any were resized. */
gradrt_sides gradrt_data_sides(const gradrt_data *d, int split);
/* Rows for predict: a file in any format the spec's field can be read from (IDX, npy, CSV, PGM/PNM, raw).
 * o says where the training table lies, whose categories and means a table may need. */
int gradrt_data_read_inputs(const gradrt_net *net, const gradrt_data_options *o, const char *path,
                            int64_t *n, void *rows[GRADRT_FIELDS_MAX]);

/* ---- data_value.c, beside what data.h lists ---- */
/* Bytes of memory that this machine has, or that its control group may use; INFINITY: unknown. */
double gradrt_memory(void);

/* ---- share.c ---- */
/* The share of the targets of rows ids[0] .. ids[n - 1] that count; 1 where all do, for sums, and
 * where the targets are not there. */
double gradrt_counted_share(const gradrt_net *net, const void *const *rows, const uint32_t *ids,
                            int64_t n);
/* What the sum of the losses of these rows is divided by for their mean: n, for a step has divided
 * by the share already; where losses are added up, n times the share. */
double gradrt_loss_samples(const gradrt_net *net, const void *const *rows, const uint32_t *ids,
                           int64_t n);

/* ---- state.c: canonical <-> stored ---- */
int64_t gradrt_tensor_elems(const gradrt_tensor *t);
/* Is it part of the weights, as predictions need them? */
bool gradrt_tensor_is_weight(const gradrt_tensor *t);
/* Copies between row-major doubles and the stored layout (pads are left zero). */
void gradrt_tensor_store(const gradrt_net *net, const gradrt_tensor *t, void *state, const double *canonical);
void gradrt_tensor_load(const gradrt_net *net, const gradrt_tensor *t, const void *state, double *canonical);
/* The same for elements first .. first + n - 1 of the row-major order; pads are left as they are. */
void gradrt_tensor_put(const gradrt_net *net, const gradrt_tensor *t, void *state, int64_t first,
                       int64_t n, const double *canonical);
void gradrt_tensor_get(const gradrt_net *net, const gradrt_tensor *t, const void *state,
                       int64_t first, int64_t n, double *canonical);
/* Initial values of all tensors; torch: one mt19937 stream in tensor order, else Philox keyed by name. */
int gradrt_state_init(const gradrt_net *net, void *state, uint64_t seed, bool torch_rng, gradrt_torch *torch);
const char *gradrt_state_sha256(const gradrt_net *net, const void *state, char hex[65]);       /* parameters, canonical order */

/* ---- checkpoint.c: one safetensors file ---- */
/* Places in gradrt_position.kept: four numbers of the schedule, two of each `every` block (sum of
 * losses and their weight since the last print), two of each `save best` (the value; 1: there is
 * one). */
enum { GRADRT_KEPT_PLATEAU = 0, GRADRT_KEPT_EVERY = 4, GRADRT_KEPT_BEST = 20, GRADRT_KEPT = 52 };

typedef struct {
  int64_t epoch, step;          /* epochs done; steps done in all */
  int64_t batch_in_epoch;       /* batches done of the current epoch */
  double best;                  /* best monitored value so far; NAN: none */
  int64_t best_epoch, stalled;  /* epochs since the best */
  uint64_t seed;
  double loss_sum, seen;        /* running sums of the current epoch */
  const char *data_fingerprint; /* after reading: data_text here; so do not copy the record */
  char data_text[65];
  gradrt_torch torch;           /* rng: torch */
  double counters[64];          /* metric accumulators of the current epoch */
  double kept[GRADRT_KEPT];     /* what schedule and `every` blocks know of the steps before */
} gradrt_position;
int gradrt_checkpoint_write(const gradrt_net *net, const char *path, const void *state, const gradrt_position *p);
/* Whole training state; refuses files of another spec (GRADRT_CHECKPOINT). After a refusal state and p
 * are as they were. */
int gradrt_checkpoint_read(const gradrt_net *net, const char *path, void *state, gradrt_position *p);
/* Parameters and statistics only, from our files or any safetensors file with the same names and shapes.
 * After a refusal the state is as it was. */
int gradrt_weights_read(const gradrt_net *net, const char *path, void *state);
/* Those parameters and statistics of the file that the glob names and the net has; *taken: how
 * many. Refuses shapes that differ, all in one message, and a file that has none of them. */
int gradrt_weights_read_part(const gradrt_net *net, const char *path, const char *glob,
                             void *state, int *taken);
/* The same from a file that messages call by another name. */
int gradrt_weights_read_as(const gradrt_net *net, const char *path, const char *called,
                           void *state);
/* The metadata of a safetensors file under this key, to be freed; NULL: there is none. Silent. */
char *gradrt_weights_note(const char *path, const char *key);

/* ---- file.c: crash-safe writing ---- */
typedef struct gradrt_writer gradrt_writer;
/* For programs: a file larger than the system allows (ulimit -f) is a failed write, not a signal. */
void gradrt_limits_are_errors(void);
gradrt_writer *gradrt_writer_open(const char *path);    /* temporary file beside path; NULL: reported */
int gradrt_writer_put(gradrt_writer *w, const void *bytes, size_t n);
int gradrt_writer_printf(gradrt_writer *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int gradrt_writer_sync(gradrt_writer *w);       /* all bytes on disk, target untouched; reported by commit */
int gradrt_writer_commit(gradrt_writer *w);     /* fsync, rename over path, fsync(dir); frees w */
void gradrt_writer_abort(gradrt_writer *w);     /* removes the temporary file; frees w */
uint32_t gradrt_crc32c(uint32_t crc, const void *bytes, size_t n);
void gradrt_sha256(const void *bytes, size_t n, unsigned char out[32]);

/* ---- threads.c ---- */
typedef struct gradrt_pool gradrt_pool;
int gradrt_default_threads(void);               /* allowed CPUs within the cgroup quota */
gradrt_pool *gradrt_pool_start(int nworkers);   /* the caller is worker 0; denormals are flushed in every worker */
void gradrt_pool_run(gradrt_pool *p, gradrt_step_fn fn, gradrt_step *s);        /* sets s->barrier; returns when all are done */
void gradrt_pool_stop(gradrt_pool *p);
int gradrt_pool_size(const gradrt_pool *p);

/* ---- schedule.c ---- */
/* Learning rate of a step: base * the schedule's factor; epoch may be fractional. */
double gradrt_schedule_lr(const gradrt_train *t, double base, int64_t step, int64_t steps_per_epoch, double epochs);

/* ---- metric.c ---- */
typedef struct gradrt_meter gradrt_meter;       /* accumulates one split's metrics over batches */
gradrt_meter *gradrt_meter_new(const gradrt_net *net, const gradrt_metric *metric, int nmetric, const gradrt_function *fn);
void gradrt_meter_reset(gradrt_meter *m);
/* A batch of n samples, as its function gave them. losses: gradrt_loss_samples of them. */
void gradrt_meter_add(gradrt_meter *m, void *const *out, int64_t n, double losses);
double gradrt_meter_value(const gradrt_meter *m, int metric);   /* "accuracy" in [0,1]; NAN for tables */
void gradrt_meter_print_tables(const gradrt_meter *m);          /* confusion and prf, to stdout */
int gradrt_meter_save(const gradrt_meter *m, double *counters, int max);       /* for exact resume in mid-epoch */
void gradrt_meter_restore(gradrt_meter *m, const double *counters);
const int64_t *gradrt_meter_confusion(const gradrt_meter *m, int metric, int *classes); /* row-major, true x predicted */
void gradrt_meter_free(gradrt_meter *m);

/* ---- progress.c, report.c, train.c, eval.c, predict.c, main.c: see the files ---- */

#endif
