/* What the files behind gradrt_main share: options, session, history, progress, results, report.
 * Conventions of internal.h hold: a function that can fail returns a GRADRT_ exit code after one
 * message. Text that came from a spec or a file is printed only through the functions of text.c. */
#ifndef GRADRT_RUN_H
#define GRADRT_RUN_H

#include "augment.h"
#include "internal.h"

#include <stdio.h>

enum {
  GRADRT_PATH_MAX = 4096, GRADRT_NAME_MAX = 128, GRADRT_REQUIRE_MAX = 16, GRADRT_COLUMNS_MAX = 128
};

/* ---- text.c: small text ---- */
void gradrt_json_string(FILE *f, const char *s);        /* with quotes; any byte stays valid JSON */
void gradrt_json_number(FILE *f, double v);             /* %.9g; "nan" "inf" "-inf" as strings */
const char *gradrt_text_count(char *buf, size_t size, int64_t n);       /* 61706 -> "61,706" */
/* control characters become '?' */
const char *gradrt_text_plain(char *buf, size_t size, const char *s);
/* At most `most` characters (above 4), of longer texts beginning and end: "a golde..iever".
 * buf has room for 4 bytes each and the end. */
const char *gradrt_text_short(char *buf, int most, const char *s);
int gradrt_text_points(const char *s);                  /* characters of a well-formed text */
/* bytes of the well-formed UTF-8 sequence at s; 0: none */
int gradrt_text_utf8(const unsigned char *s);
int gradrt_text_distance(const char *a, const char *b); /* edit distance; 100 for long words */
/* Nearest of n words, close enough to be what was meant, or NULL. */
const char *gradrt_text_nearest(const char *word, const char *const *words, int n);
/* the whole text is a finite number; 97% is 0.97 */
bool gradrt_text_number(const char *text, double *out);
/* into GRADRT_PATH_MAX bytes */
int gradrt_path_join(char *out, const char *dir, const char *name);
int gradrt_path_make(const char *dir);                  /* creates the folder and those above it */
bool gradrt_path_is_dir(const char *path);
bool gradrt_path_exists(const char *path);
double gradrt_clock(void);                              /* seconds of a monotonic clock */
/* Name of a class of a label field; the number when it has none. field NULL or unknown: the only
 * label field with that many classes. */
const char *gradrt_class_name(const gradrt_net *net, const char *field, int64_t classes,
                              int64_t cls, char *buf, size_t size);

/* ---- class_names.c: names of classes in weights ---- */
/* Labels without names take those of the weights; says in a note where the weights know others. */
void gradrt_class_names_meet(gradrt_named *to, const gradrt_net *net, const char *path);

/* ---- options.c: the command line ---- */
typedef enum {
  GRADRT_VERB_TRAIN, GRADRT_VERB_EVAL, GRADRT_VERB_PREDICT, GRADRT_VERB_INFO, GRADRT_VERB_HELP,
  GRADRT_VERB_BENCH, GRADRT_VERB_GRADCHECK, GRADRT_VERB_GENERATE
} gradrt_verb;
typedef enum { GRADRT_SHOW_AUTO, GRADRT_SHOW_BAR, GRADRT_SHOW_LOG, GRADRT_SHOW_NONE } gradrt_show;
typedef enum { GRADRT_WHEN_AUTO, GRADRT_WHEN_ALWAYS, GRADRT_WHEN_NEVER } gradrt_when;

/* A quality gate: `valid.accuracy>=0.97`. */
typedef struct {
  const char *text;             /* as written */
  char name[GRADRT_NAME_MAX];   /* "valid_accuracy": dots as underscores */
  char op[3];                   /* ">=" "<=" ">" "<" */
  double bound;
} gradrt_gate;

typedef struct {
  const char *program;          /* argv[0] */
  gradrt_verb verb, topic;      /* topic: what HELP is about; VERB_HELP itself: everything */
  double epochs, lr;            /* NAN: as in the spec */
  double seed, steps, save_every;       /* whole numbers; NAN: not given */
  double threads, top, seconds;
  const char *data, *data_root, *out, *weights, *split, *log_steps;     /* NULL: not given */
  double data_memory;           /* bytes of decoded pictures that may be there; 0: not given */
  double folds;                 /* parts of a cross-validation; NAN: none */
  int fold;                     /* the one that validates, from 1; 0: none */
  const char *lr_range;         /* LOW..HIGH; NULL: train */
  bool figures_only;            /* nothing but errors and progress is printed */
  const char *init;             /* FILE|DIR[:GLOB]: part of a net's weights to start from */
  gradrt_named *labels;         /* gets names of classes; NULL: nobody */
  const char *called;           /* the spec that gradc ran this program for; NULL: run by itself */
  const char *example;          /* what the help of a verb begins with; NULL: one of the net */
  const char *resume;           /* "": the run directory; NULL: not given */
  const char *image;            /* predict: a further input */
  const char *prompt;           /* generate: how the text begins; NULL: not given */
  double length, temperature, top_k;    /* generate; NAN: not given */
  double ahead;                 /* predict: rows to go on with; NAN: none */
  const char *param;            /* gradcheck: the only parameter to check; NULL: all */
  bool quiet, silent, json, untrained, fast_dev_run, version;
  bool no_prefetch;             /* samples are decoded and augmented between steps, not ahead */
  gradrt_show progress;
  gradrt_when color;
  int ngate;
  gradrt_gate gate[GRADRT_REQUIRE_MAX];
  int ninput;
  char **input;                 /* files of predict: points into argv, reordered */
} gradrt_options;

int gradrt_options_parse(const gradrt_net *net, int argc, char **argv, gradrt_options *o);
/* How the user runs a verb of this program: "./lenet eval", or "gradc eval lenet.nn" when gradc ran it. */
const char *gradrt_options_call(const gradrt_options *o, const char *verb, char *buf, size_t size);
/* Words that `predict` of this net could be followed by: "rows.csv", "picture.png". */
const char *gradrt_options_inputs(const gradrt_net *net);
void gradrt_options_help(const gradrt_net *net, const gradrt_options *o, FILE *f);

/* ---- carried.c: states that go on from batch to batch ---- */
size_t gradrt_carried_bytes(const gradrt_net *net);     /* of all of them; 0: there are none */
void gradrt_carried_clear(const gradrt_net *net, void *state);  /* as an epoch begins */
/* Copies them to `aside`, of gradrt_carried_bytes, and clears them; and brings them back. */
void gradrt_carried_put_aside(const gradrt_net *net, void *state, void *aside);
void gradrt_carried_bring_back(const gradrt_net *net, void *state, const void *aside);

/* ---- session.c: one open net ---- */
typedef struct {
  const gradrt_net *net;
  const gradrt_options *options;
  gradrt_data *data;            /* NULL: nothing loaded */
  gradrt_pool *pool;
  void *state, *arena, *worker;
  void *aside;                  /* carried states while an evaluation has its own */
  uint32_t *ids;                /* batch rounded up to 16 */
  void *out[3][GRADRT_OUTPUTS_MAX];     /* of train, eval, infer */
  uint64_t seed;
  gradrt_torch torch;           /* rng: torch; where the generator stands after initialisation */
  int64_t params;               /* elements of all parameters */
  gradrt_profile *profile[3];   /* of train, eval, infer; NULL: not measured */
  int64_t steps[3];             /* runs of each function */
  double share;                 /* of the targets that count in what is being run; 0: each batch has
                                   its own */
  int64_t bad_at;               /* of the last evaluation: the first sample of its split whose loss
                                   is not finite; -1: none */
  char dir[GRADRT_PATH_MAX];    /* run directory; not created here */
} gradrt_session;

enum { GRADRT_FN_TRAIN, GRADRT_FN_EVAL, GRADRT_FN_INFER };

/* --out, or runs/<net>, into GRADRT_PATH_MAX bytes. */
int gradrt_run_directory(const gradrt_net *net, const gradrt_options *o, char *dir);
/* Allocates, starts the workers and initialises the state from the seed. gradrt_session_close
 * undoes it, also after a failure. */
int gradrt_session_open(gradrt_session *s, const gradrt_net *net, const gradrt_options *o);
void gradrt_session_close(gradrt_session *s);
/* Loads the named splits (n 0: all). need_fit: feature statistics are computed into the state. */
int gradrt_session_load(gradrt_session *s, const int *splits, int n, bool need_fit);
/* Fills a step record for function fn except ids, n and args. */
void gradrt_session_bind(gradrt_session *s, int fn, const void *const *rows, gradrt_step *step);
/* Pads ids after n by copies of the last one and runs the step. */
void gradrt_session_run(gradrt_session *s, int fn, gradrt_step *step);
/* Evaluates a split in row order; m may be NULL. batches > 0: at most so many. loss: the mean over
 * samples, or the sum when the spec sums. -1: interrupted by a signal. */
int gradrt_session_evaluate(gradrt_session *s, int split, gradrt_meter *m, int64_t batches,
                            double *loss, int64_t *seen);
/* The state as gradrt_session_load with need_fit left it: initial values from the seed. */
int gradrt_session_restart(gradrt_session *s);
double gradrt_session_loss(const gradrt_net *net, const gradrt_step *step); /* of a training step */
int gradrt_split_find(const gradrt_net *net, const char *name);         /* -1: no such split */
bool gradrt_is_finite(double v);        /* by exponent bits: true whatever the compiler's options */
/* First tensor with a non-finite element, or NULL. */
const gradrt_tensor *gradrt_state_nonfinite(const gradrt_net *net, const void *state);
/* Where weights are: a file as asked, or the result of the run in the folder asked or the run
 * directory. */
int gradrt_weights_find(const gradrt_session *s, const char *asked, char *path);
/* For eval and predict: loads --weights or the run's result; a net without trainable tensors
 * needs none. path (GRADRT_PATH_MAX bytes): where they came from, for people. */
int gradrt_session_weights(gradrt_session *s, char *path);

/* ---- metric.c and metric_table.c, beside what internal.h lists ---- */
typedef struct { double precision, recall, f1; int64_t support; } gradrt_class_score;
typedef struct { int truth, guess; int64_t count; } gradrt_mistake;

int64_t gradrt_output_elems(const gradrt_output *o);    /* per sample when batched */
const gradrt_metric *gradrt_meter_metrics(const gradrt_meter *m, int *n);
int64_t gradrt_meter_seen(const gradrt_meter *m, int metric);   /* predictions counted */
/* The first metric that is not finite though its samples give it a value; -1: none. */
int gradrt_meter_nonfinite(const gradrt_meter *m);
const char *gradrt_meter_class_name(const gradrt_meter *m, int metric, int cls, char *buf,
                                    size_t size);
/* Of a metric `multilabel`: how often each label was right, is there, was said to be there, and
 * both; *labels of them. NULL for other metrics. */
typedef struct { int64_t right, present, guessed, found; } gradrt_label_count;
const gradrt_label_count *gradrt_meter_labels(const gradrt_meter *m, int metric, int *labels);
const gradrt_field *gradrt_meter_target(const gradrt_meter *m, int metric);     /* or NULL */
/* metric_label.c: the column that feeds an element of a field, as the spec writes it; false: it
 * names none for it. The column that feeds a label, or its number; tables of labels. */
bool gradrt_field_column(const gradrt_field *f, int element, char *buf, size_t size);
const char *gradrt_meter_label_name(const gradrt_meter *m, int metric, int label, char *buf,
                                    size_t size);
/* Shares of samples that were right, of `guessed` that are there, of `present` that were found; 0
 * where there is nothing to share. */
typedef struct { double accuracy, precision, recall; } gradrt_label_score;
gradrt_label_score gradrt_meter_label_score(const gradrt_meter *m, int metric, int label);
void gradrt_meter_print_labels(const gradrt_meter *m, int metric);
void gradrt_meter_json_labels(const gradrt_meter *m, int metric, FILE *f);
void gradrt_meter_json_tables(const gradrt_meter *m, FILE *f);  /* ,"confusion":[[..]],"prf":[..] */
bool gradrt_metric_is_table(const gradrt_metric *metric);
bool gradrt_metric_is_share(const gradrt_metric *metric);       /* in [0,1], shown in percent */
/* Scores of each class, then macro average and weighted average: classes + 2. Returns the
 * accuracy. */
double gradrt_class_scores(const int64_t *table, int classes, gradrt_class_score *out);
/* Largest cells off the diagonal, largest first; returns how many. */
int gradrt_worst_mistakes(const int64_t *table, int classes, gradrt_mistake *out, int max);

/* ---- schedule.c ---- */
/* base^n for n >= 0 by squaring: the same bits on every machine, which pow does not promise. */
double gradrt_power(double base, int64_t n);

/* The state of a `plateau` piece: zeros before its first epoch. */
typedef struct {
  double scale;                 /* of the rate; 0: not begun */
  double best, bad, cooldown;   /* least loss; epochs since; epochs that do not count yet */
} gradrt_plateau;
/* After an epoch whose last step was number `step` from 0: PyTorch's ReduceLROnPlateau, mode min,
 * relative threshold. Nothing happens before the schedule reaches its `plateau` or without one. */
void gradrt_plateau_epoch(const gradrt_train *t, double base, int64_t step,
                          int64_t steps_per_epoch, double loss, gradrt_plateau *p);

/* ---- average.c: the average of the weights ---- */
/* Parameters and their averages change places; nothing happens in a net without averages. */
void gradrt_average_exchange(const gradrt_net *net, void *state);
/* Weights that training moves := parameters, which begin as their own average. */
void gradrt_average_start(const gradrt_net *net, void *state);
/* Share of the new weights in the average after step number `step`, from 0. Polyak: 1 / (n + 1)
 * with the n-th step that counts; 1 before the first epoch that counts. */
double gradrt_average_share(const gradrt_train *t, int64_t step, int64_t steps_per_epoch);

/* ---- history.c: one row per epoch, on disk and in memory ---- */
typedef struct {
  const gradrt_net *net;
  int ncolumn;
  char (*column)[GRADRT_NAME_MAX];      /* "epoch" "step" "lr" "train_loss" .. "best" */
  const gradrt_metric **of;     /* the metric of a column, or NULL */
  int nmetric;                  /* those with columns: what the meters of an epoch count */
  gradrt_metric *metric;
  int64_t nrow, cap;
  double *value;                /* row-major, as they read back from the file */
  char dir[GRADRT_PATH_MAX];
  FILE *csv, *jsonl, *time;     /* NULL: not written */
} gradrt_history;

/* Columns of the net: train metrics without tables whose counters fit a checkpoint, then those
 * of the monitored split (-1: none). */
int gradrt_history_open(gradrt_history *h, const gradrt_net *net, int monitor);
/* Reads the rows of epochs <= epochs from an earlier run's metrics.csv; a missing file is no
 * error. */
int gradrt_history_load(gradrt_history *h, const char *dir, int64_t epochs);
/* A run of any net: columns and rows of dir/metrics.csv. GRADRT_DATA when there are none. */
int gradrt_history_read(gradrt_history *h, const char *dir);
/* Starts writing into dir: the rows there are replaced by those in memory, first, atomically. */
int gradrt_history_create(gradrt_history *h, const char *dir, const char *times_from);
/* Appends the row (ncolumn values); gradrt_history_sync brings what was appended to the disk. */
int gradrt_history_append(gradrt_history *h, const double *row, double seconds, double samples);
int gradrt_history_sync(gradrt_history *h);
void gradrt_history_close(gradrt_history *h);
int gradrt_history_column(const gradrt_history *h, const char *name);   /* -1: none */
double gradrt_history_at(const gradrt_history *h, int64_t row, int column);     /* NAN outside */
double gradrt_history_last(const gradrt_history *h, const char *name);
int64_t gradrt_history_best(const gradrt_history *h);   /* row of the last improvement; -1: none */
/* The split whose loss and metrics are watched after each epoch: best_split, valid or test; -1:
 * none. */
int gradrt_monitor_split(const gradrt_net *net);
/* True when the run in dir was stopped because it stalled: its best weights are its result. */
bool gradrt_history_stalled(const gradrt_net *net, const char *dir);

/* ---- progress.c: what training shows while it runs ---- */
typedef struct {
  const gradrt_session *session;
  const gradrt_history *history;
  gradrt_show show;             /* BAR, LOG or NONE: on stderr */
  bool json;                    /* events on stdout */
  bool color, unicode, live;    /* live: an unfinished line is on the terminal */
  bool headed;                  /* the table's header is printed */
  int64_t epochs, steps_per_epoch, samples;     /* samples of an epoch */
  double last_shown, last_event, last_step;     /* times; 0: not yet */
  double step_time, eval_time;  /* running averages in seconds; 0: not known */
} gradrt_progress;

typedef struct {
  int64_t epoch, batch, step;   /* epoch from 0; batches done in it; steps done in all */
  double loss;                  /* of the epoch so far */
  double share;                 /* accuracy of the epoch so far, or NAN */
} gradrt_moment;

void gradrt_progress_start(gradrt_progress *p, const gradrt_session *s, const gradrt_history *h,
                           int64_t epochs, int64_t steps_per_epoch, int64_t samples);
void gradrt_progress_step(gradrt_progress *p, const gradrt_moment *at);
void gradrt_progress_epoch(gradrt_progress *p, const double *row, double seconds,
                           double eval_seconds);
void gradrt_progress_saved(gradrt_progress *p, const char *path, int64_t epoch);
void gradrt_progress_break(gradrt_progress *p);         /* ends the live line before other text */
/* Prints a remark of training's own ("resumed from ..") on stderr, unless --quiet or --silent. */
void gradrt_progress_remark(gradrt_progress *p, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
bool gradrt_color_wanted(const gradrt_options *o, FILE *stream);
/* "0.0451", "98.79 %" */
const char *gradrt_text_value(char *buf, size_t size, double v, bool share);

/* ---- eval.c: results on whole splits ---- */
typedef struct {
  int split;
  int nmetric;
  gradrt_metric *metric;  /* of the eval block; else those of training with a confusion matrix */
  gradrt_meter *meter;
  double loss;                  /* NAN: not run yet */
  int64_t n;
} gradrt_score;

enum { GRADRT_SPLIT_AFTER_TRAINING = -1, GRADRT_SPLIT_ANY = -2 };

/* What to evaluate: this split; or every eval block; or, when there is none, the test split,
 * else the monitored one, else (ANY only) the training split. Nothing is run yet. */
int gradrt_scores_prepare(const gradrt_net *net, int split, gradrt_score **out, int *nscore);
/* -1: interrupted; GRADRT_NONFINITE: a loss or metric is not finite, reported */
int gradrt_scores_run(gradrt_session *s, gradrt_score *score, int n);
/* On standard output: lines and tables, or JSON. weights: where they came from, or NULL. */
void gradrt_scores_print(const gradrt_session *s, const gradrt_score *score, int n,
                         const char *weights);
void gradrt_scores_free(gradrt_score *score, int n);
/* Refuses a --require whose name nothing of this run has; h may be NULL. */
int gradrt_gates_verify(const gradrt_options *o, const gradrt_score *score, int n,
                        const gradrt_net *net, const gradrt_history *h);
/* GRADRT_QUALITY when a --require is not met by the scores or the history's row. */
int gradrt_gates_check(const gradrt_options *o, const gradrt_score *score, int n,
                       const gradrt_net *net, const gradrt_history *h, int64_t row);
void gradrt_wilson(double share, double n, double *low, double *high);  /* 95 % interval */
int gradrt_eval_main(const gradrt_net *net, const gradrt_options *o);

/* ---- train.c, epoch.c, predict.c ---- */
typedef enum {
  GRADRT_GOING, GRADRT_DONE, GRADRT_STALLED, GRADRT_REACHED, GRADRT_STEPS_DONE, GRADRT_INTERRUPTED
} gradrt_outcome;

/* What a run ends with: loss and metrics of the split it watches. */
enum { GRADRT_FIGURES_MAX = 32, GRADRT_SPLITS_MAX = 64 };
typedef struct {
  int n;
  char name[GRADRT_FIGURES_MAX][GRADRT_NAME_MAX];       /* "valid_accuracy" */
  double value[GRADRT_FIGURES_MAX];
  bool share[GRADRT_FIGURES_MAX];       /* shown in percent */
} gradrt_figures;

/* One training run in progress. */
typedef struct {
  gradrt_session s;
  const gradrt_train *t;
  const gradrt_set *set;        /* training rows */
  gradrt_history history;
  gradrt_progress progress;
  gradrt_meter *train_meter, *monitor_meter;    /* monitor_meter NULL: no monitored split */
  gradrt_position at;  /* what a checkpoint keeps, but for the counters until it is written */
  int monitor;                  /* split, or -1 */
  int64_t epochs, steps_per_epoch, last_step, save_every, eval_batches;
  uint32_t *order;              /* rng: torch: the epoch's permutation */
#ifndef GRADRT_WITHOUT_AUGMENT
  gradrt_feed *feed;            /* NULL: nothing is augmented */
#endif
  int64_t accumulate;           /* batches of one step */
  bool working;                 /* the state is as training steps want it: see average.c */
  double lr, rate;              /* base; of the step just done */
  double recent[4];             /* losses of the last steps, newest first */
  int nrecent;                  /* how many of them there are */
  double began, epoch_began, saved_at;  /* saved_at 0: not yet */
  double seen_before;           /* at.seen when this process began the epoch */
  int64_t saved_step, saved_epoch;      /* at.step, at.epoch of the checkpoint on disk; -1: none */
  void *best_state;             /* state and position of the best epoch, until they are on disk */
  gradrt_position best_at;
  bool best_pending;
  bool writes;                  /* false: --fast-dev-run leaves no files */
  FILE *log;                    /* --log-steps; NULL: not asked for */
  char last[GRADRT_PATH_MAX], best[GRADRT_PATH_MAX];
  char best_before[GRADRT_PATH_MAX];    /* the best weights of the run that is resumed */
  char origin[GRADRT_PATH_MAX]; /* the checkpoint that this process began from; "": none */
  gradrt_outcome outcome;
  gradrt_figures *figures;      /* filled at the end; NULL: not wanted */
} gradrt_training;

/* Brings the run to disk: best weights, rows, then last.safetensors; GRADRT_NONFINITE when a tensor
 * is not finite. Whatever of this a crash loses, a resume computes again to the same bits. */
int gradrt_training_commit(gradrt_training *r);
/* Steps from the position to the end of the epoch, then validation, row and checkpoint; or stops
 * before. */
int gradrt_training_epoch(gradrt_training *r);
/* Asks the spec's stop conditions about the last row; sets the outcome. */
int gradrt_training_check_stops(gradrt_training *r);
/* The order of the epoch at the position: before the first of its steps that this process does. */
void gradrt_training_order(gradrt_training *r);
/* The source's row at a position of an epoch; rng: torch: of the epoch last ordered. */
uint32_t gradrt_training_row(const void *training, int64_t epoch, int64_t position);
/* Nothing is read ahead until the next batch; before anything else asks for the data's rows. */
void gradrt_training_pause(gradrt_training *r);
/* Batches whose gradients the step at the position sums. */
int64_t gradrt_training_parts(const gradrt_training *r);
/* Fills the ids, n, rows and arguments of one of them. Errors: as gradrt_set_want. */
int gradrt_training_batch(gradrt_training *r, int64_t part, gradrt_step *step);
/* Reads --weights, and --init or the `init` of the spec, if given; tell: says what was taken. */
int gradrt_training_weights(gradrt_training *r, bool tell);
/* The state as training steps want it, and as everything else does. */
void gradrt_training_work(gradrt_training *r);
void gradrt_training_rest(gradrt_training *r);
/* Writes state and position to a file. */
int gradrt_training_save(gradrt_training *r, const char *path);
/* Evaluates a split as the run watches it; -1: interrupted; GRADRT_NONFINITE: a loss or metric is
 * not finite; GRADRT_DATA: a picture is damaged; with both the best weights are saved, and all is
 * reported. */
int gradrt_training_evaluate(gradrt_training *r, int split, gradrt_meter *m, double *loss);
/* A metric of the train block, -1: the loss, on a split, computed now; -1: interrupted. */
int gradrt_training_measure(gradrt_training *r, int split, int metric, double *out);

/* ---- every.c: what happens every so many steps or epochs ---- */
/* Adds the step just done, its loss and samples, to what is printed next. */
void gradrt_every_add(gradrt_training *r, double loss, double n);
/* Does what is due after a step, or after an epoch; -1: interrupted. */
int gradrt_every_run(gradrt_training *r, bool epoch);
/* Refuses, before the first step, texts that the net cannot write: as gradrt_generate does. */
int gradrt_every_verify(gradrt_training *r);
int gradrt_train_main(const gradrt_net *net, const gradrt_options *o);
/* One run from beginning to end; figures may be NULL. */
int gradrt_train_once(const gradrt_net *net, const gradrt_options *o, gradrt_figures *figures);
/* lr_range.c: the test instead of a run, with data loaded and nothing begun. */
int gradrt_lr_range_run(gradrt_training *r);
/* LOW..HIGH, both above 0; reports. */
int gradrt_lr_range_parse(const char *text, double *low, double *high);
int gradrt_folds_main(const gradrt_net *net, const gradrt_options *o);  /* folds.c */
int gradrt_predict_main(const gradrt_net *net, const gradrt_options *o);
int gradrt_interrupted(void);           /* the exit code of the signal that came, or 0 */

/* ---- watch.c, replay.c: the source of a value that is not finite ---- */
typedef struct {
  const gradrt_call *call;      /* NULL: nothing was found */
  const char *layer, *place, *tensor;
  bool kept;                    /* it is one of the state */
  int rank;
  int64_t sample, index[GRADRT_RANK_MAX];       /* sample: of the batch; -1: not per sample */
  double value;
  double largest;               /* magnitude of the finite values that its step wrote before it */
  const char *largest_in;       /* the tensor that holds it; NULL: there is none */
} gradrt_find;

/* NULL: memory is out. */
gradrt_watcher *gradrt_watcher_new(const gradrt_net *net, const gradrt_function *f);
void gradrt_watcher_free(gradrt_watcher *w);
void gradrt_watcher_begin(gradrt_watcher *w);           /* before each step */
void gradrt_watcher_accept(gradrt_watcher *w);  /* after a good step: what it met is usual */
const gradrt_find *gradrt_watcher_found(const gradrt_watcher *w);       /* NULL: nothing */
/* Replays the run up to its step number `failed`, from 1, after which the loss or the state is not
 * finite, and prints in notes where that began. State, ids and generator are spent afterwards; the
 * position is as before. */
void gradrt_training_locate(gradrt_training *r, int64_t failed);
const char *gradrt_nonfinite_text(double v);            /* "nan" "inf" "-inf" */
/* Whether the loss and the metrics of an evaluation of `seen` samples are finite; what nothing was
 * counted for has no value and is fine. */
bool gradrt_evaluation_finite(const gradrt_meter *m, double loss, int64_t seen);
/* Reports the evaluation of the split that the session did last, with the layer where a training
 * step on the same samples meets the value first. GRADRT_NONFINITE. */
int gradrt_evaluation_blame(gradrt_session *s, int split, const gradrt_meter *m, double loss);

/* ---- generate.c: text from a net that predicts tokens ---- */
/* Whether the net reads tokens, so that these functions may find what they need. */
bool gradrt_generate_wanted(const gradrt_net *net);
/* Writes the prompt and what follows it with the session's weights. Errors: GRADRT_USAGE for a
 * net or a prompt that cannot be used, GRADRT_NONFINITE for scores that are no numbers. */
int gradrt_generate(gradrt_session *s, const gradrt_generation *g, FILE *out);
/* Whether gradrt_generate would begin: the same errors, GRADRT_NONFINITE excepted. */
int gradrt_generate_verify(gradrt_session *s, const gradrt_generation *g);
int gradrt_generate_main(const gradrt_net *net, const gradrt_options *o);

/* ---- gradcheck.c ---- */
/* the program keeps gradients instead of training */
bool gradrt_gradcheck_wanted(const gradrt_net *net);
int gradrt_gradcheck_main(const gradrt_net *net, const gradrt_options *o);

/* ---- peak.c, bench.c, profile.c: only in programs built for measuring ---- */
/* FLOP/s of all workers with fused multiply-adds alone; 0: the program cannot tell. */
int gradrt_peak_measure(gradrt_session *s, double *flops);
/* Times steps and inferences on random samples; prints them, as JSON with --json. */
int gradrt_bench_main(const gradrt_net *net, const gradrt_options *o);
/* Clocks of a program whose step functions mark their calls; of others nothing is kept. */
int gradrt_profile_open(gradrt_session *s);
void gradrt_profile_close(gradrt_session *s);
void gradrt_profile_reset(gradrt_session *s);
/* Seconds a step and worker of a layer's calls in one direction; 0: it has none of its own. */
double gradrt_profile_layer(const gradrt_session *s, int fn, const char *layer,
                            gradrt_direction direction);
/* Prints a table of layers and directions; peak: FLOP/s of all workers, 0: not known. */
void gradrt_profile_print(const gradrt_session *s, int fn, double peak);

/* ---- forecast.c: only in programs whose samples are windows ---- */
/* Refuses (GRADRT_USAGE) a net whose predictions cannot be fed back. */
int gradrt_forecast_verify(const gradrt_net *net);
/* Numbers of one row of the series that the net goes on with. */
int64_t gradrt_forecast_elems(const gradrt_net *net);
/* Moves window `sample` of the series' rows on by one row and puts value, elems numbers, at its
 * end. GRADRT_NONFINITE, reported, when one of them is not finite; step: for the message. */
int gradrt_forecast_feed(const gradrt_net *net, void *rows, int64_t sample, const double *value,
                         int64_t step);

/* ---- predict_picture.c ---- */
/* Calls `each` for the pictures of a folder and then of its folders, in byte order, until it
 * fails. */
int gradrt_predict_folder(const char *folder, int (*each)(void *ctx, const char *path), void *ctx);
bool gradrt_predict_wants_picture(const char *out);     /* ends in .png; out may be NULL */
/* The first output of infer that is [h, w], [1, h, w] or [3, h, w]; -1: there is none. */
int gradrt_predict_picture_output(const gradrt_net *net);
/* Writes one row of such an output as PNG: 0 is black, 255 white, what lies between is rounded. */
int gradrt_predict_write_picture(const gradrt_output *o, const double *value, const char *path);

/* ---- report.c and report_plot.c ---- */
typedef struct {
  gradrt_training *training;    /* its steps run for pictures; its state stays */
  const gradrt_score *score;
  int nscore;
  int64_t final_row;            /* of the history, whose weights were evaluated; -1: none */
  const char *status;           /* "finished", "stopped early: .." */
  bool failed;                  /* the weights are of no use */
} gradrt_report;

int gradrt_report_write(const gradrt_report *r, const char *path);
/* escaped for HTML and attributes */
void gradrt_report_text(gradrt_writer *w, const char *s);
/* The parts of a page: its head, and what reports of a run and of several share. */
void gradrt_report_begin(gradrt_writer *w, const char *title);
void gradrt_report_score(gradrt_writer *w, gradrt_session *s, const gradrt_score *score);
void gradrt_report_spec(gradrt_writer *w, const gradrt_net *net);
/* Loss and metrics over the epochs, of training and of the monitored split (NULL: none). */
void gradrt_report_curves(gradrt_writer *w, const gradrt_history *h, const char *split);
/* n >= 1 lines over the epochs in one picture; share: in percent. look: colour and dashes, of 8. */
typedef struct {
  const gradrt_history *history;
  int column, look;
  const char *label;
} gradrt_series;
void gradrt_report_series(gradrt_writer *w, const char *title, const gradrt_series *series, int n,
                          bool share);
/* Loss, in column 1, over learning rates, in column 0 and rising; pick: the one that is marked, 0:
 * none. */
void gradrt_report_rates(gradrt_writer *w, const gradrt_history *h, double pick);
/* Smallest of 1, 2, 5 times a power of ten that gives at most n steps over the width. */
double gradrt_plot_step(double width, int n);
void gradrt_report_confusion(gradrt_writer *w, const gradrt_meter *m, int metric);

/* ---- report_image.c: images in pages ---- */
typedef struct {
  int width, height, planes;    /* planes: 1 grey, 3 colours */
  unsigned char *pixel;         /* row-major, the planes of a pixel together; owned */
} gradrt_image;

bool gradrt_image_new(gradrt_image *p, int width, int height, int planes); /* false: no memory */
void gradrt_image_free(gradrt_image *p);
void gradrt_image_address(gradrt_writer *w, const gradrt_image *p);     /* "data:image/png;.." */
/* <img> whose pixels are squares of zoom x zoom */
void gradrt_report_image(gradrt_writer *w, const gradrt_image *p, int zoom, const char *alt);
/* A colour between n anchors for t in [0,1]; NaN is the first one. */
void gradrt_color_scale(const unsigned char (*anchor)[3], int n, double t, unsigned char rgb[3]);
/* Viridis (van der Walt and Smith 2015) by linear interpolation of ten of its colours. */
void gradrt_color_viridis(double t, unsigned char rgb[3]);
void gradrt_color_signed(double v, unsigned char rgb[3]);       /* -1 blue, 0 white, 1 red */
const char *gradrt_class_color(int64_t cls);    /* "#0072b2"; eight of them, then again */

/* ---- report_guess.c: what a classifier says about samples ---- */
typedef struct {
  gradrt_session *s;
  int output, target;           /* of the eval function */
  int64_t width, ntarget, classes;
} gradrt_guesser;

/* truth -1: no class; share: the probability of the guess, NAN: unknown */
typedef struct { uint32_t row; int truth, guess; double share; } gradrt_guess;

/* By the first of n metrics that counts one class a sample; false: there is none. */
bool gradrt_guesser_init(gradrt_guesser *g, gradrt_session *s, const gradrt_metric *metric, int n);
/* The samples whose n row numbers stand in the session's ids; rows: where they are. */
void gradrt_guess_batch(gradrt_guesser *g, const void *const *rows, int64_t n, gradrt_guess *out);
/* The mistakes in a set the net is most certain about; returns how many, at most max. A set whose
 * pictures cannot be read, which is reported, ends early. */
int gradrt_worst_guesses(gradrt_guesser *g, const gradrt_set *set, gradrt_guess *worst, int max,
                         int64_t *mistakes);

/* ---- report_sample.c, report_plane.c, report_filter.c ---- */
/* Sides of a field whose rows are images: [h, w], [1, h, w] or [3, h, w]. */
bool gradrt_field_image(const gradrt_field *f, int *height, int *width, int *planes);
/* One row of such a field; bytes are grey values, other numbers span the row's own range. */
bool gradrt_sample_image(const gradrt_field *f, const void *rows, int64_t row, gradrt_image *out);
/* The mistakes of a score's split that the net is most certain about, with their pictures. */
void gradrt_report_mistakes(gradrt_writer *w, gradrt_session *s, const gradrt_score *score);
/* Classes over the plane of two input numbers, with samples; nothing for other nets. */
void gradrt_report_plane(gradrt_writer *w, gradrt_session *s, const gradrt_score *score);
/* The weights of the first layer that look like pictures; before: a state, or NULL. */
void gradrt_report_filters(gradrt_writer *w, const gradrt_net *net, const void *state,
                           const void *before);

#endif
