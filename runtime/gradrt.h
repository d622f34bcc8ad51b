/* gradrt: the runtime of programs that gradc generates, and the only header they need besides libc.
 *
 * A generated program is data plus functions: a gradrt_net describes the network's tensors, data,
 * training and metrics; its step functions compute. gradrt_main runs the command line over it. The
 * same description works compiled in (standalone C), linked (libgradrt) or built in memory.
 *
 * Thread model: one process-wide description (const), one gradrt_session per run. Step functions are
 * SPMD: every worker calls the same function with its number and meets the others at barriers.
 * Nothing here keeps mutable globals except the signal flag in train.c. */
#ifndef GRADRT_H
#define GRADRT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GRADRT_ABI 6

/* `accumulate` of a net whose epochs are one step each. */
enum { GRADRT_WHOLE_EPOCH = INT32_MAX };

enum { GRADRT_RANK_MAX = 8, GRADRT_DIGITS_MAX = 10 };
enum { GRADRT_FIELDS_MAX = 8, GRADRT_OUTPUTS_MAX = 16 };

/* Exit codes shared with gradc. */
enum {
  GRADRT_OK = 0, GRADRT_USAGE = 2, GRADRT_DATA = 3, GRADRT_CHECKPOINT = 4, GRADRT_IO = 5, GRADRT_LIMIT = 6,
  GRADRT_NONFINITE = 7, GRADRT_QUALITY = 8, GRADRT_INTERNAL = 70, GRADRT_SIGINT = 130, GRADRT_SIGTERM = 143
};

typedef enum { GRADRT_F32, GRADRT_F64, GRADRT_U8, GRADRT_I32, GRADRT_U32, GRADRT_I64 } gradrt_dtype;

/* ---- tensors kept for the whole run ---- */
/* CARRIED: goes on from batch to batch of an epoch, one row for each sample; no weights. */
typedef enum { GRADRT_PARAM, GRADRT_SLOT, GRADRT_STAT, GRADRT_CARRIED } gradrt_role;
typedef enum {
  GRADRT_INIT_ZEROS, GRADRT_INIT_CONSTANT, GRADRT_INIT_UNIFORM, GRADRT_INIT_NORMAL, GRADRT_INIT_GIVEN
} gradrt_init;

/* One digit of a stored layout: the element with logical index i on `axis` has digit (i / div) % extent.
 * The stored position is the row-major number of all digits, outermost first. Positions that no logical
 * element maps to are padding and hold zero. */
typedef struct { int axis; int64_t div, extent; } gradrt_digit;

typedef struct {
  const char *name;             /* "c1.weight", "momentum.c1.weight", "bn1.running_mean" */
  gradrt_role role;
  bool trainable;
  int rank;
  int64_t dim[GRADRT_RANK_MAX]; /* canonical (PyTorch) shape, row-major on disk */
  int ndigit;
  gradrt_digit digit[GRADRT_DIGITS_MAX];
  size_t offset;                /* bytes into the state block; multiple of 64 */
  size_t stored;                /* elements with padding */
  gradrt_init init;
  double a, b;                  /* CONSTANT a; UNIFORM [a,b]; NORMAL mean a, std b */
  const double *given;          /* GIVEN: row-major values */
} gradrt_tensor;

/* ---- data ---- */
typedef struct { const char *name; double number; const char *text; } gradrt_prop;     /* text NULL: a number */
typedef struct {
  const char *kind;             /* "idx" "csv" "cifar" "raw" "npy" "blobs" "moons" "circles" "spirals" "xor"
                                   "sine" "line" "addition" "digits" "wave"
                                   "text" */
  int nprop;
  const gradrt_prop *prop;
  const char *place;            /* "lenet.nn:5" for messages */
} gradrt_source;

/* FOLD: part of a cross-validation, dealt from the rows of the training split */
typedef enum {
  GRADRT_SPLIT_ALL, GRADRT_SPLIT_COUNT, GRADRT_SPLIT_FRACTION, GRADRT_SPLIT_FOLD
} gradrt_split_how;
typedef struct { const char *name; int source; gradrt_split_how how; double amount; } gradrt_split;

/* A random change of training samples: "rotate" "scale" "shift" "crop" "flip" "cutout" "noise"
 * "brightness" "contrast" "invert". */
typedef struct { const char *kind; int nprop; const gradrt_prop *prop; } gradrt_augment;

typedef struct {
  const char *name;             /* "x" */
  gradrt_dtype dtype;           /* of the rows in memory, as step functions read them */
  int rank;
  int64_t dim[GRADRT_RANK_MAX]; /* per sample */
  const char *columns;          /* CSV columns, or NULL */
  bool is_label;
  bool stratify;                /* splits get the same share of each of its classes */
  int64_t classes;              /* labels: every value must lie in [0, classes) */
  const char *const *class_name;
  const char *place;            /* "lenet.nn:8" */
  int64_t height, width;        /* of augmented images: the planes of a sample; else 0 */
  int naugment;
  const gradrt_augment *augment;        /* in the order of the spec */
  bool token;                   /* numbers of tokens; class_name: the vocabulary, NULL: bytes */
  int next_of;                  /* the rows one later of this field + 1; 0: rows of their own */
} gradrt_field;

typedef struct { int field, mean, std; double scale, offset; } gradrt_fit;      /* mean, std: tensor indices */

/* ---- one step ---- */
typedef enum {
  GRADRT_ARG_LR, GRADRT_ARG_N, GRADRT_ARG_STEP, GRADRT_ARG_BC1, GRADRT_ARG_BC2, GRADRT_ARG_SEED_LO,
  GRADRT_ARG_SEED_HI, GRADRT_ARG_EPOCH, GRADRT_ARG_GROUP, GRADRT_ARG_UPDATE, GRADRT_ARG_AVERAGE,
  GRADRT_ARG_SHARE, GRADRT_ARG_COUNT
} gradrt_arg;

typedef struct gradrt_barrier gradrt_barrier;
typedef struct gradrt_profile gradrt_profile;
typedef struct gradrt_watcher gradrt_watcher;

/* What a step function reads and writes. Pointers are 64-byte aligned unless said otherwise. */
typedef struct gradrt_step {
  void *state;                          /* all tensors at their offsets */
  void *arena;                          /* arena_bytes, shared by the workers; contents do not survive a step */
  void *worker;                         /* nworkers * worker_bytes; worker w owns bytes [w * worker_bytes, ..) */
  const void *rows[GRADRT_FIELDS_MAX];  /* per field: the data set's rows, row-major, unaligned */
  const uint32_t *ids;                  /* row numbers of this batch, all < rows in the set: n, then copies of
                                           the last up to a multiple of 16, then any up to the largest n so
                                           rounded */
  int64_t n;                            /* 1 <= n <= batch */
  double args[GRADRT_ARG_COUNT];
  void *out[GRADRT_OUTPUTS_MAX];        /* per output of the function: n rows, row-major, in the net's real type;
                                           an output that is not per sample: its elements once */
  gradrt_barrier *barrier;
  gradrt_profile *profile;              /* of this function; NULL: its time is not measured */
  gradrt_watcher *watch;                /* not NULL: one worker; it calls gradrt_watch */
} gradrt_step;

typedef void (*gradrt_step_fn)(const gradrt_step *s, int worker, int nworkers);

typedef struct { const char *name; bool batched; int rank; int64_t dim[GRADRT_RANK_MAX]; } gradrt_output;

/* One kernel call of a step; flops: of a full batch. */
typedef enum { GRADRT_FORWARD, GRADRT_BACKWARD, GRADRT_UPDATE } gradrt_direction;
typedef struct {
  const char *kernel, *layer;
  gradrt_direction direction;
  double flops;
  const char *place;            /* "lenet.nn:14" */
} gradrt_call;

/* A tensor of the net's real type that a call writes: where it lies and how it is stored. */
typedef enum { GRADRT_IN_ARENA, GRADRT_IN_WORKER, GRADRT_IN_STATE, GRADRT_IN_OUT } gradrt_where;
typedef struct {
  int call;                     /* number in the function's list */
  gradrt_where where;
  int index;                    /* STATE: of the tensor; OUT: of the output: the rest follows */
  const char *name;             /* "c1_relu" */
  size_t offset, stored;        /* bytes into the arena or the worker's block; elements */
  int ndigit;
  gradrt_digit digit[GRADRT_DIGITS_MAX];        /* as of tensors; axis -1 is the sample */
  const char *layer, *place;    /* where another one than the call's is fused to it; or NULL */
} gradrt_made;

typedef struct {
  gradrt_step_fn fn;            /* NULL: the spec has no such function */
  int noutput;
  const gradrt_output *output;  /* train and eval: output 0 is the loss: train: one scalar; eval: one per sample */
  size_t arena_bytes, worker_bytes;
  int ncall;                    /* train; others in programs built for measuring, else 0 */
  const gradrt_call *call;      /* in the order of the step */
  int nmade;                    /* train only */
  const gradrt_made *made;      /* in the order of the calls */
} gradrt_function;

/* ---- training ---- */
typedef struct { const char *kind; int nprop; const gradrt_prop *prop; double span; bool in_epochs; } gradrt_piece;
typedef struct {
  const char *kind, *name;      /* "accuracy" "topk" "confusion" "prf" "mse" "mae" "r2" */
  int output, target;           /* outputs of the train and eval functions: predictions, targets; -1: none */
  int64_t k;
} gradrt_metric;
typedef enum { GRADRT_STOP_STALLED, GRADRT_STOP_REACHED } gradrt_stop_how;
typedef struct {
  gradrt_stop_how how;
  int split, metric;            /* metric -1: the loss */
  bool want_low;
  double patience, threshold;
} gradrt_stop;
typedef struct { const char *name, *setting; double value; bool run_time; } gradrt_param; /* setting: "lr" "epochs" "seed" */

/* What a run does every so many steps or epochs. */
typedef enum { GRADRT_PRINT_LOSS, GRADRT_PRINT_LR, GRADRT_PRINT_TENSOR } gradrt_print_how;
typedef struct {
  gradrt_print_how how;
  const char *name;             /* "loss", "grad_norm", "fc.weight", "grad fc.weight" */
  int tensor;                   /* TENSOR: its index */
} gradrt_printed;
typedef struct {
  const char *prompt;           /* how the text begins; NULL: a line end */
  int64_t length;               /* tokens to add */
  double temperature;           /* > 0; 0: always the likeliest token */
  int64_t top;                  /* only of the so many likeliest; 0: of all */
  uint64_t seed;
} gradrt_generation;
typedef enum {
  GRADRT_ACTION_PRINT, GRADRT_ACTION_EVAL, GRADRT_ACTION_SAVE, GRADRT_ACTION_SAVE_BEST,
  GRADRT_ACTION_SAMPLE
} gradrt_action_how;
typedef struct {
  gradrt_action_how how;
  int nprint;
  const gradrt_printed *print;
  int split, metric;            /* EVAL, SAVE_BEST; metric -1: the loss */
  bool want_low;
  int best;                     /* SAVE_BEST: number among those of the net, from 0 */
  const char *file;             /* SAVE, SAVE_BEST: name in the run directory */
  int nsample;
  const gradrt_generation *sample;      /* SAMPLE: one */
} gradrt_action;
typedef struct {
  double count;
  bool in_epochs;
  int naction;
  const gradrt_action *action;
} gradrt_every;
typedef enum {
  GRADRT_AVERAGE_NONE, GRADRT_AVERAGE_POLYAK, GRADRT_AVERAGE_EMA,
  GRADRT_AVERAGE_OWN            /* the optimizer keeps it */
} gradrt_average;

typedef struct {
  double lr, epochs, seed;
  double beta1, beta2;          /* for the bias corrections; 0: not needed */
  bool shuffle, torch_rng, loss_sum;
  int train_split;
  int npiece;
  const gradrt_piece *piece;
  int nmetric;
  const gradrt_metric *metric;
  int nstop;
  const gradrt_stop *stop;
  int best_split, best_metric;  /* best_split -1: keep no best; best_metric -1: the loss */
  bool best_low;
  int64_t accumulate;           /* batches of one step, 0 is 1; the last step may have fewer;
                                   GRADRT_WHOLE_EPOCH: those of an epoch */
  gradrt_average average;
  const char *average_slot;     /* slots of the average: this, then the parameter's name */
  double average_keep, average_from;    /* EMA: share kept by a step; the first epoch, from 1 */
  int nevery;
  const gradrt_every *every;
  const char *spreads;          /* a layer that cannot train on a batch of one sample; NULL: none */
  const char *init;             /* FILE|DIR[:GLOB] of weights to start from; NULL: none */
  int counted;                  /* field of targets, + 1, of which those below 0 do not count: the
                                   loss is divided by the share of the others; 0: all count */
} gradrt_train;

typedef struct { int split; int nmetric; const gradrt_metric *metric; } gradrt_eval;

typedef struct { const char *name, *type, *shape; int64_t params; double flops; const char *place; } gradrt_layer;

typedef struct gradrt_net {
  int abi;                      /* GRADRT_ABI */
  const char *name, *file, *version;    /* "lenet", "lenet.nn", gradc's version */
  const char *fingerprint;      /* SHA-256 (hex) of everything that decides the numbers */
  const char *cpu;              /* instruction set the code needs: "x86-64-v4" */
  gradrt_dtype real;
  int64_t batch;
  int threads;                  /* workers unless the user says otherwise; 0: as many as there are CPUs */
  int ntensor;
  const gradrt_tensor *tensor;
  size_t state_bytes;
  int nsource;
  const gradrt_source *source;
  int nsplit;
  const gradrt_split *split;
  int nfield;
  const gradrt_field *field;
  int nfit;
  const gradrt_fit *fit;
  int64_t window, stride;       /* a sample is so many rows, begun so often; 0: one row */
  bool streams;                 /* a batch holds the next window of as many streams */
  gradrt_function train, eval, infer;   /* infer: outputs of the `infer` block for predict */
  const gradrt_train *training; /* NULL: none */
  int neval;
  const gradrt_eval *evals;
  int nparam;
  const gradrt_param *param;
  int nlayer;
  const gradrt_layer *layer;    /* for info and the report */
  const char *spec;             /* the spec's text for the report, or NULL */
  gradrt_step_fn peak;          /* n rounds of fused multiply-adds, NULL: none; writes the worker's
                                   element 8 * worker of double out[0][] */
  double peak_flops;            /* of one round */
  bool profiled;                /* step functions call gradrt_profile_mark */
  int passes;                   /* predict is the mean of so many with dropout; 0: without */
  int eval_passes;              /* so is the evaluation of a split */
  int next_output, next_field;  /* infer's output that predicts the rows one later of this field,
                                   each + 1; 0: none does */
} gradrt_net;

/* The whole command line of a generated program: train, eval, predict, info. Returns the exit code. */
int gradrt_main(const gradrt_net *net, int argc, char **argv);

/* Meets the other workers of the step; returns when all nworkers have called it. */
void gradrt_barrier_wait(gradrt_barrier *b, int worker, int nworkers);

/* Ends the time of a call (its number in the function's list), or of a wait: what passed since the
 * worker's last mark is added to it. Every step begins with a mark of its own. */
enum { GRADRT_BEGINS = -2, GRADRT_WAITS = -1 };
#ifndef GRADRT_WITHOUT_BENCH
void gradrt_profile_mark(const gradrt_step *s, int worker, int call);
#endif

/* For steps with a watcher: looks through all that a call (its number in the function's list) has
 * written, all of its items being done. */
void gradrt_watch(const gradrt_step *s, int call);

#ifdef __cplusplus
}
#endif

#endif
