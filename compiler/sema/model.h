/* The checked model: everything the spec says, with names resolved, shapes known and numbers evaluated.
 * After sema no user error about the text is left. No AST pointers survive here, only spans. */
#ifndef GRADC_SEMA_MODEL_H
#define GRADC_SEMA_MODEL_H

#include "ir/op.h"

/* A checked option of a data source, metric, schedule piece ..: `points=3000` or `path="a.csv"`. */
typedef struct {
  const char *name;
  double number;
  const char *text;             /* NULL: it is a number */
  Span at;
} Prop;

typedef struct {
  const char *kind;             /* a row of sema/sources.def: "idx", "csv", "digits" */
  Prop *prop;
  int nprop;
  Span at;
} SourceSpec;

typedef enum { SPLIT_ALL, SPLIT_COUNT, SPLIT_FRACTION } SplitHow;

/* A named set of rows. SPLIT_ALL: all rows of its source that no other split took. */
typedef struct {
  const char *name;             /* "train", "valid", "test" */
  int source;                   /* index in Data.source */
  SplitHow how;
  double amount;                /* rows, or a fraction in (0,1): a keyed random choice, independent of the seed */
  Span at;
} SplitSpec;

/* Statistics fitted on the training split before training, stored as state (STATE_STAT). */
typedef struct {
  int field;
  uint32_t mean, std;           /* state ids; dims: [features] of a vector, [channels] of an image,
                                   [columns] of a window of rows, [] else */
  double scale, offset;         /* the pipeline before: fitted on value * scale + offset */
} FitSpec;

/* A random change of training samples. */
typedef struct {
  const char *kind;             /* a row of sema/augments.def: "rotate", "flip" */
  Prop *prop;
  int nprop;
} AugmentSpec;

typedef struct {
  const char *name;
  int field;                    /* index in Program.fields */
  const char *columns;          /* CSV columns feeding it, "0..3" or "age,income"; NULL: by position of the field */
  bool is_label;
  bool stratify;                /* splits get the same share of each class */
  int64_t classes;              /* labels: 0 <= value < classes, checked when rows are read */
  const char *const *class_name;        /* classes names, or NULL */
  Value value;                  /* in Model.forward: after cast, reshape and the -> pipeline */
  AugmentSpec *augment;         /* of the stored numbers, in this order; training only */
  int naugment;
  bool token;                   /* numbers of tokens: classes and class_name are the vocabulary's */
  int next_of;                  /* = next(x): index of x in Data.field + 1; 0: rows of its own */
} FieldSpec;

typedef struct {
  const char *name;
  SourceSpec *source;
  int nsource;
  SplitSpec *split;
  int nsplit;
  FieldSpec *field;
  int nfield;
  FitSpec *fit;
  int nfit;
  Span at;
  int64_t vocab;                /* tokens of its text; 0: it has none */
  const char *const *vocabulary;        /* vocab of them; NULL: bytes */
  int64_t window, stride;       /* a sample is so many rows, begun so often; 0: one row */
  Span window_at;
  bool streams;                 /* a batch holds the next window of as many streams */
  bool lines;                   /* lines are documents: targets may be -1, which counts nowhere */
} Data;

/* A number of the spec that stays settable at run time when it is written as a plain `param` name. */
typedef struct {
  double value;
  const char *param;            /* the param's name: settable as --name; NULL: fixed */
} Setting;

typedef struct {
  const char *kind;             /* "constant" "step" "cosine" "warmup" ..: a row of sema/schedules.def */
  Prop *prop;
  int nprop;
  double span;                  /* `for 3 epochs`; 0: to the end */
  bool in_epochs;               /* else in steps */
} SchedulePiece;

typedef struct {
  const char *kind;             /* row of sema/metrics.def: "accuracy" "topk" "confusion" "prf" "mse" "mae" "r2" "loss" */
  const char *name;             /* column title, "accuracy" or "top5" */
  int output, target;           /* indices in Model.output: predictions and targets; -1: none */
  int64_t k;                    /* topk */
  Span at;
} MetricSpec;

typedef enum { STOP_STALLED, STOP_REACHED } StopHow;
typedef struct {
  StopHow how;
  const char *split;            /* "valid" */
  int metric;                   /* index in Train.metric; -1: the loss */
  bool want_low;                /* smaller is better */
  double patience;              /* STALLED: epochs without improvement; best weights are restored at the stop */
  double threshold;             /* REACHED: stop when metric >= or <= threshold */
} StopSpec;

typedef enum { CLIP_NONE, CLIP_NORM, CLIP_VALUE } ClipHow;
typedef enum { RNG_PHILOX, RNG_TORCH } RngKind;

/* Parameters with options of their own: those of the optimizer, where the group says nothing. */
typedef struct {
  const void *attrs;            /* <op>_attrs of the optimizer */
  double lr_scale;              /* times the rate of each step */
} GroupSpec;

typedef enum { AVERAGE_NONE, AVERAGE_POLYAK, AVERAGE_EMA } AverageHow;

typedef enum { PRINT_LOSS, PRINT_LR, PRINT_NORM, PRINT_VALUE, PRINT_GRADIENT } PrintHow;
typedef struct {
  PrintHow how;
  const char *name;             /* VALUE, GRADIENT: the parameter, "fc.weight" */
} PrintSpec;

/* A text that the net writes: `sample generate("ROMEO:", length=200)`. */
typedef struct {
  const char *prompt;           /* NULL: a line end */
  double temperature;           /* 0: the likeliest token */
  int64_t length, top_k, seed;  /* tokens to add; top_k 0: of all */
} SampleSpec;

typedef enum { ACTION_PRINT, ACTION_EVAL, ACTION_SAVE, ACTION_SAVE_BEST, ACTION_SAMPLE } ActionHow;
typedef struct {
  ActionHow how;
  PrintSpec *print;
  int nprint;
  const char *split;            /* EVAL, SAVE_BEST */
  int metric;                   /* SAVE_BEST: index in Train.metric; -1: the loss */
  bool want_low;                /* SAVE_BEST: smaller is better */
  const char *file;             /* SAVE, SAVE_BEST: a name in the run directory */
  SampleSpec sample;            /* SAMPLE */
} ActionSpec;

typedef struct {
  double count;
  bool in_epochs;               /* else in steps */
  ActionSpec *action;
  int naction;
} EverySpec;

/* Train.accumulate of a step that takes an epoch. */
enum { WHOLE_EPOCH = INT32_MAX };

typedef struct {
  Value loss;                   /* in forward: one value per sample (batched, rank 0) */
  bool loss_sum;                /* `-> sum`: sum over the batch instead of the mean */
  const OpDef *optimizer;
  const void *optimizer_attrs;  /* <op>_attrs; its `lr` is superseded by lr below */
  Setting lr;
  SchedulePiece *schedule;
  int nschedule;
  Setting epochs, seed;
  bool shuffle;
  RngKind rng;
  ClipHow clip;
  double clip_max;
  const char *const *freeze;    /* globs over parameter names */
  int nfreeze;
  MetricSpec *metric;
  int nmetric;
  StopSpec *stop;
  int nstop;
  GroupSpec *group;
  int ngroup;
  const int *group_of;          /* by state id, of the states that the model has; -1: no group */
  int64_t accumulate;           /* batches of one update; WHOLE_EPOCH: all of an epoch */
  AverageHow average;
  double average_keep;          /* EMA: share of the average that a step keeps */
  double average_from;          /* the first epoch whose weights count, from 1 */
  EverySpec *every;
  int nevery;
  const char *spreads;          /* a layer that cannot train on a batch of one sample; NULL: none */
  const char *init;             /* FILE|DIR[:GLOB] of weights to start from; NULL: none */
  const char *best_split;       /* which split and metric choose the best weights: from `stop when stalled`, */
  int best_metric;              /* else the first of valid, test with its loss; NULL and -1 if there is neither */
  Span at;
} Train;

typedef struct {
  const char *split;
  MetricSpec *metric;
  int nmetric;
  Span at;
} Eval;

typedef struct { const char *name; Value value; } NamedValue;

typedef struct {
  int64_t threads;              /* 0: auto */
  const char *cpu;              /* NULL: native; whether there is such a target is checked by the driver */
  Span cpu_at;
  bool fast;                    /* numerics: fast */
  int64_t memory;               /* bytes that the arena of a step may have; 0: any number */
  Span memory_at;
} BuildSpec;

typedef struct {
  const char *name;             /* of the `param` */
  double value;                 /* after command-line overrides */
  bool reaches_shape;           /* compile-time: a built program refuses to change it */
} ParamSpec;

/* A call of an `op`: its tensors and results by the names of its signature. */
typedef struct {
  const char *name, *path;      /* of the op; of the call, "h.mish" */
  Span at;                      /* where the op is declared */
  NamedValue *in, *out;
  int nin, nout;
} OpUse;

typedef struct {
  const char *name;             /* of the train block: its own, or that of its model */
  const char *const *programs;  /* names of all train blocks of the spec, nprogram of them */
  int nprogram;
  const char *file;             /* spec's base name for comments, "lenet.nn" */
  Program *program;             /* state, fields, batch, real */
  Graph *forward;               /* fields -> pipelines -> layers -> loss and metric operands; modal macros unexpanded.
                                   Layers have names; outputs are Model.output in order */
  NamedValue *output;           /* the model's declared outputs first, then infer outputs, loss and metric operands */
  int noutput;
  int nmodel_output;            /* how many of them the model's signature declares */
  NamedValue *infer;            /* `infer { output: softmax(logits) as prob; }`; default: the results, logits as probabilities */
  int ninfer;
  int next_output, next_field;  /* the one of infer that predicts the rows one later of this field,
                                   each + 1; 0: none does */
  Data *data;                   /* NULL: none */
  Train *train;                 /* NULL: none */
  int counted;                  /* the program's field of targets of which those below 0 do not
                                   count in the mean, + 1; 0: all do */
  Eval *eval;
  int neval;
  BuildSpec build;
  ParamSpec *param;
  int nparam;
  OpUse *op;                    /* one for each op that the model calls, its first call */
  int nop;
} Model;

#endif
