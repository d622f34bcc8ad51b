/* What the files of sema share: the context of one check() and what each file does for the others.
 *
 * Conventions: a function that meets a user mistake reports it and returns false, or a value
 * without a node ("poisoned"); callers pass that on silently, so that one mistake gives one
 * message. AST_ERROR nodes were reported by the parser and count as poisoned. Everything lives in
 * Sema.arena. */
#ifndef GRADC_SEMA_SEMA_H
#define GRADC_SEMA_SEMA_H

#include "base/str.h"
#include "diag/diag.h"
#include "ir/ctx.h"
#include "sema/check.h"
#include "syntax/ast.h"

enum {
  NAME_PARAM = 1,       /* param p = 3; */
  NAME_CONST = 2,       /* const c = 3; */
  NAME_VALUE = 4,       /* a value of the model */
  NAME_FIELD = 8,       /* a field of the data that the program reads */
  NAME_LAYER = 16,      /* a layer that owns parameters, by its path; no expression sees it */
  NAME_PACK = 32,       /* *s: dimensions that a type leaves open */
  NAME_NUMBER = NAME_PARAM | NAME_CONST,
  NAME_TENSOR = NAME_VALUE | NAME_FIELD
};

typedef enum { CONST_NUMBER, CONST_BOOL, CONST_TEXT } ConstKind;
/* BOOL: number is 0 or 1 */
typedef struct { ConstKind kind; double number; const char *text; } Const;

typedef struct {
  const char *text;
  unsigned kind;                /* one NAME_ bit */
  Span at;
  Value value;                  /* VALUE, FIELD; node NULL: poisoned */
  int index;                    /* PARAM: in Sema.params; FIELD: in Data.field, -1 without data */
  Const constant;               /* PARAM, CONST */
  bool poisoned;                /* PARAM, CONST without a usable value */
  /* named_result: declared by the signature or by `as`: never "unused" */
  bool used, named_result;
  bool is_dim;                  /* CONST: a name in the dimensions of a type */
  Type pack;                    /* PACK: its dimensions */
  bool closed;                  /* of a block or of a round of `repeat` that is over */
  uint32_t older;               /* the next older name of its slot: index + 1, or 0 */
} Name;

typedef struct { const char *name, *value; bool used; } Override;

/* Options of sources, schedules, metrics and pipeline stages: a ROW_HEAD row, then its options. */
typedef enum { ROW_HEAD, ROW_TEXT, ROW_WORD, ROW_COUNT, ROW_REAL, ROW_FLAG, ROW_LIST } RowKind;
typedef struct {
  RowKind kind;
  const char *name;
  const char *dflt;             /* "!": must be given; "": absent */
  /* of numbers, inclusive; HEAD: low is how many options may go unnamed */
  double low, high;
  const char *doc;              /* WORD: "one of: a b c" */
} Row;

typedef struct {
  Prop prop;
  const double *list;           /* LIST: nlist numbers */
  int nlist;
  bool given;                   /* written by the user */
} Option;

typedef VEC(Option) Options;
typedef VEC(StopSpec) Stops;

/* How often an operation is called in one statement, for the names of its layers. */
typedef struct { const char *op; int total, seen; } CallCount;

/* A block or an op of the spec. */
typedef struct {
  const Ast *ast;
  const char *name;
  bool active, used;            /* active: being expanded */
  bool broken;                  /* its mistakes were reported */
} BlockDef;

/* Where statements stand: what they may name, and what their layers are called. */
typedef struct {
  uint32_t first;               /* names of the block being expanded start here; 0: of the model */
  uint32_t round;               /* names of the round of `repeat` start here; 0: none */
  const char *prefix;           /* path of the block's call, or NULL: in the model */
  const char *suffix;           /* "2" in the second round, "1_2" when nested; "": none */
} Scope;

typedef struct {
  Arena *arena;
  Diag *diag;
  const OpTable *ops;
  Model *model;
  Program *program;
  Graph *forward;
  const char *model_name;       /* of the model block */
  const Data *data;             /* the block that the program reads; NULL: none */
  const Texts *texts;           /* as in CheckOptions */
  VEC(Name) names;              /* only sema_define adds to it */
  uint32_t nglobal;             /* params and consts of the file come first: seen everywhere */
  Scope scope;
  VEC(BlockDef) blocks;
  const Value *tuple;           /* results of the last call of a block, ntuple of them */
  int ntuple, rounds;           /* rounds of `repeat` so far */
  uint32_t *slot, nslot;        /* a power of two; the newest name of each hash: index + 1, or 0 */
  VEC(ParamSpec) params;
  VEC(Override) overrides;
  VEC(OpUse) ops_used;          /* becomes Model.op */
  VEC(NamedValue) outputs;      /* becomes Model.output */
  /* the statement whose layers are being named */
  const char *statement;        /* "c1" */
  VEC(CallCount) calls;
  int owners;                   /* its layers that own parameters and have no name of their own */
  bool in_model;                /* layers with parameters may appear */
  unsigned visible;             /* kinds of names that expressions may use */
  int64_t batch_rows;           /* rows of the training split where the data says so; 0: unknown */
  int layers;                   /* operations called so far */
  bool splits_broken;           /* a source or split was refused: unknown splits are no news */
  bool metrics_broken;          /* a metric was refused by name: unknown ones are no news */
  VEC(Value) refused;           /* pairs (prediction, target) that were reported not to fit */
  VEC(const char *) unknown;    /* names that were reported as unknown */
} Sema;

/* ---- scope.c: names ---- */
Name *sema_find(Sema *s, const char *text, unsigned kinds);     /* the last defined one, or NULL */
/* Adds a name; a name that is already taken by another visible thing is an error (and NULL). */
Name *sema_define(Sema *s, Name n);
/* E0305, once for a name */
void sema_unknown_name(Sema *s, Span at, const char *text, unsigned kinds);
bool sema_in_scope(const Sema *s, uint32_t name);               /* index in Sema.names */
void sema_close(Sema *s, uint32_t from);        /* takes names from this index on out of scope */
/* Notes the path of a layer that owns parameters; E0306 and false when it is taken. */
bool sema_claim_path(Sema *s, const char *path, Span at);
/* The path of a name of the block and round that are being read: "b1.conv2". */
const char *sema_path(Sema *s, const char *name);
const char *sema_value_name(const Sema *s, Value v);            /* as the user calls it, or NULL */
/* ", did you mean": a help with the closest of n words and, without one, with all of them. */
void sema_suggest(Sema *s, const char *word, const char *const *words, int n, const char *what);
const char *sema_join(Sema *s, const char *const *words, int n);        /* "a, b, c" */
/* E0306 when *first is already set */
bool sema_once(Sema *s, Span *first, Span at, const char *what);

/* ---- expr.c: numbers known when compiling ---- */
bool sema_const(Sema *s, const Ast *e, Const *out);
bool sema_number(Sema *s, const Ast *e, double *out);
/* Numbers within [low, high]; what: "option 'filters' of conv", for messages. Infinite bounds are
 * open. */
bool sema_real(Sema *s, const Ast *e, const char *what, double low, double high, double *out);
bool sema_int(Sema *s, const Ast *e, const char *what, int64_t low, int64_t high, int64_t *out);
bool sema_flag(Sema *s, const Ast *e, const char *what, bool *out);
bool sema_text(Sema *s, const Ast *e, const char *what, const char **out);
/* As sema_real; a plain param name stays linked, and --set key=.. wins. e NULL: out holds the
 * default. integer: only whole numbers. */
bool sema_setting(Sema *s, const Ast *e, const char *key, double low, double high, bool integer,
                  Setting *out);
const char *sema_word(const Ast *e);            /* text of a name or string, else NULL */
const Ast *sema_arg_value(const Ast *arg);      /* of a named or plain argument */
void sema_set_overrides(Sema *s, const CheckOptions *o);
Override *sema_override(Sema *s, const char *name);     /* marked as used; NULL: not given */
void sema_unused_overrides(Sema *s);
void sema_declare_param(Sema *s, const Ast *decl);      /* param and const */

/* ---- option.c: options described by rows ---- */
const Row *sema_row(const Row *rows, int n, const char *name);  /* the HEAD row, or NULL */
const char *sema_row_names(Sema *s, const Row *rows, int n);    /* all heads: "a, b, c" */
/* Reports an unknown head: "there is no <what> called 'x'". */
void sema_unknown_row(Sema *s, const Row *rows, int n, const char *name, Span at, const char *what,
                      const char *code);
bool sema_options(Sema *s, const Row *head, const Row *end, const Ast *args, Span at, Options *out);
const Option *sema_option(const Options *o, const char *name);  /* NULL: absent */
Prop *sema_props(Sema *s, const Options *o, int *n);

/* ---- attr.c: options of operations ---- */
/* The attributes of op from nargs arguments. lr not NULL: the option called lr is also stored
 * there. */
bool sema_attrs(Sema *s, const OpDef *op, const Ast *const *args, int nargs, Span at, Setting *lr,
                const void **out);
/* One option of attrs, by its name; reports E0302 and what is wrong with the value. */
bool sema_attr_set(Sema *s, const OpDef *op, const char *name, Span name_at, const Ast *value,
                   void *attrs);
void *sema_attrs_new(Sema *s, const OpDef *op);                 /* all defaults */
/* ice() if there is none */
void *sema_attr_at(const OpDef *op, void *attrs, const char *name, AttrKind kind);
bool sema_has_attr(const OpDef *op, const char *name);
/* zeros, normal(std=0.01) */
bool sema_init(Sema *s, const Ast *e, const char *what, Init *out);
bool sema_literal(Sema *s, const Ast *e, const char *what, Literal *out);
/* our word for an option of another framework, or NULL */
const char *sema_alias(const char *word);

/* ---- node.c: graph nodes ---- */
/* Appends op with inferred types; a node-less value: the mistake was reported. path: the layer's
 * name. */
Value sema_node(Sema *s, const OpDef *op, const void *attrs, const Value *in, uint32_t nin,
                const char *path, Span at);
/* silent trial */
bool sema_fits(Sema *s, const OpDef *op, const void *attrs, const Value *in, uint32_t nin);
/* an optimizer's options; reports */
bool sema_rule_fits(Sema *s, const OpDef *op, const void *attrs, Span at);
Value sema_input(Sema *s, int field, Span at);
Value sema_read(Sema *s, uint32_t state, const char *path, Span at);
Value sema_constant(Sema *s, Literal l, Span at);
Value sema_arg(Sema *s, StepArg which, Span at);        /* a number that each step is given */
Value sema_cast(Sema *s, Value v, DType to, const char *path, Span at);
/* elements must agree */
Value sema_reshape(Sema *s, Value v, const Type *like, const char *path, Span at);
/* an operation by its role in operators.def; ice() */
const OpDef *sema_known(Sema *s, const char *role);
/* operation of an operator; NULL: not on tensors */
const char *sema_operator(const char *text, int operands);
/* The operation that a layer's name means with these arguments: mostly the one of that name. */
const char *sema_overload(const char *name, const Ast *args);
void sema_check_doubled(Sema *s, const OpDef *op, Value first, Span at);        /* W0205 */
void sema_trace(Sema *s, Value v);              /* a note with the shapes that led to v */
bool sema_reads_field(const Sema *s, Value v, int field);       /* v depends on the field */

/* ---- call.c: expressions over tensors, chains and calls ---- */
enum { RESULTS_MAX = 32 };
/* Names the layers of the expressions that follow: the parts of one statement. */
void sema_statement(Sema *s, const char *name, const Ast *e);
/* flags: which operations may be called (OP_LAYER, OP_LOSS). */
Value sema_value(Sema *s, const Ast *e, unsigned flags);
/* v is the value of a label field; or NULL */
const FieldSpec *sema_label_of(const Sema *s, Value v);
/* E0403 unless the prediction has one number per class; what: a name, for the message. */
bool sema_classes_agree(Sema *s, const char *what, Value prediction, const FieldSpec *label,
                        Span at);
/* True when the pair was refused before; else it is noted as refused. */
bool sema_refused(Sema *s, Value prediction, Value target);
bool sema_was_refused(const Sema *s, Value prediction, Value target);
/* the stages before end; NULL: all */
Value sema_chain(Sema *s, const Ast *chain, const Ast *end, unsigned flags);
bool sema_is_tensor(Sema *s, const Ast *e);     /* computed by the program, not when compiling */

/* ---- body.c: statements of models and blocks ---- */
/* Reads statements and then the results of the signature: `out` has a value for each, node NULL
 * where it is wrong. */
void sema_body(Sema *s, const Ast *body, const Ast *results, Value *out);
/* Results that statements gave their names; those in `out` already stay. */
void sema_results(Sema *s, const Ast *results, Value *out);
const char *sema_result_name(Sema *s, const Ast *formal, int index, int count);
/* Real types agree with real types: the signature's f32 means the program's real type. */
bool sema_same_kind(const Type *a, const Type *b);
/* Names that stand in the dimensions of a type for the first time take them from a value. False:
 * the value has another number of dimensions, and that was reported. */
bool sema_bind_dims(Sema *s, const Ast *formal, Value v);

/* ---- op.c: statements of an `op` ---- */
/* Reads statements in index notation, and checks the results as sema_body does. False: reported. */
bool sema_op_body(Sema *s, const Ast *body, const Ast *results, Value *out);

/* ---- instance.c: calls of blocks and ops ---- */
void sema_declare_block(Sema *s, const Ast *block);
BlockDef *sema_find_block(Sema *s, const char *name);           /* NULL: none */
const char *sema_closest_block(Sema *s, const char *name);      /* or NULL */
/* The first result of a block applied to head (NULL: none) and arguments; Sema.tuple has all. */
Value sema_instance(Sema *s, BlockDef *block, const Value *head, const Ast *args, const char *path,
                    Span at);
void sema_warn_unused_blocks(Sema *s, const Ast *file);

/* ---- model.c ---- */
void sema_model(Sema *s, const Ast *model);
void sema_warn_unused(Sema *s);

/* ---- data.c, pipe.c ---- */
bool sema_type(Sema *s, const Ast *type, Type *out);    /* f32[1,28,28]; not label(..) */
void sema_data(Sema *s, const Ast *data, Data *out);
Value sema_pipe(Sema *s, const Ast *stages, int field, Value v, Data *data);
/* Does v hold rows of columns, [T, C], and the statistic a number for each of them, [C]? */
bool sema_by_column(Value v, Value statistic);
/* v with its last two axes exchanged, as a node called `name`. */
Value sema_turned(Sema *s, Value v, const char *name, Span at);
/* One chain of `augment: x -> ..;`, after all fields are known. */
void sema_augment(Sema *s, const Ast *chain, Data *data);
/* `stratify: y;`: marks the label whose classes every split gets the same share of. */
void sema_stratify(Sema *s, const Ast *values, Data *data);
/* `classes: 0, 1, 7;`: gives the sources the option "only", a class a line. */
void sema_classes(Sema *s, const Ast *values, Data *data, SourceSpec *source, int nsource);
/* E0518 where images(..) and the fields do not fit. */
void sema_images(Sema *s, const Data *d, const SourceSpec *source, int nsource);
bool sema_images_with_table(const SourceSpec *source);
int sema_find_split(const Data *d, const char *name);   /* -1: none */
void sema_unknown_split(Sema *s, Span at, const Data *d, const char *name);

/* ---- sequence.c: texts and series, whose samples are windows ---- */
bool sema_is_token(const Ast *type);            /* token[..] */
/* A type as a spec over these data (NULL: none) says it: whole numbers of a text are tokens. */
const char *sema_written(const Sema *s, const Data *d, const Type *t);
/* `carry` of recurrent layers wants streams: E0520. */
void sema_check_carried(Sema *s);
/* Reads `window: ..` and `streams: ..` and the vocabulary of the first text among the sources. */
void sema_sequence(Sema *s, const Ast *items, const SourceSpec *source, int nsource, Data *data);
/* What a field has to do with windows: token types, `= next(x)`, its first dimension. stored: the
 * type of its rows. False: reported. */
bool sema_sequence_field(Sema *s, const Ast *item, const Data *data, FieldSpec *f,
                         const Type *stored);
/* `tiny.vocab`: the number of tokens of the program's text. */
bool sema_member(Sema *s, const Ast *e, double *out);
/* A loss of these targets; where some of them are padding, the mean over the others. */
Value sema_counted(Sema *s, Value loss, Value target, Span at);
/* The place of field x among those of the data, + 1, where training compares v with `= next(x)` of
 * numbers; else 0. */
int sema_next_field(const Sema *s, Value v);
/* v, or where it is what training compares with `= next(x)` of numbers, with the conversions of x
 * undone. */
Value sema_undone(Sema *s, Value v, Span at);

/* ---- train.c, optimize.c ---- */
void sema_train(Sema *s, const Ast *train, Train *t);
void sema_optimizer(Sema *s, const Ast *e, Train *t);
void sema_schedule(Sema *s, const Ast *schedule, Train *t);
void sema_clip(Sema *s, const Ast *e, Train *t);
void sema_freeze(Sema *s, const Ast *globs, Train *t);
void sema_no_parameter(Sema *s, const char *glob, Span at);     /* E0412 */
void sema_check_memory(Sema *s, const Train *t, Span at);       /* E0601; t NULL: no training */

/* ---- group.c, every.c ---- */
/* The groups of a train block, after its model and optimizer are known: t->group. */
void sema_groups(Sema *s, const Ast *train, Train *t);
void sema_average(Sema *s, const Ast *e, Train *t);     /* `average: polyak;` */
/* The `every` blocks, after the metrics are known; `save best` may decide t->best_split. */
void sema_everies(Sema *s, const Ast *train, Train *t);
/* sample.c: what `sample` asks for, `generate(prompt, ..)`; false: reported, E0432 or E0302 */
bool sema_sample(Sema *s, const Ast *e, SampleSpec *out);

/* ---- metric.c ---- */
/* `valid.accuracy`: the split and the metric's index in t, -1 for the loss; reports E0407. */
bool sema_watched(Sema *s, const Ast *e, const Train *t, const char **split, int *which);
MetricSpec *sema_metrics(Sema *s, const Ast *list, int *n);
int sema_output(Sema *s, const char *name, Value v);    /* index in Sema.outputs; added once */
void sema_stop(Sema *s, const Ast *cond, const Train *t, Stops *out);
bool sema_metric_is_low(const char *kind);              /* smaller is better */

/* ---- blocks.c: eval, infer, build ---- */
/* before any node is made */
void sema_real_type(Sema *s, const Ast *train, const Ast *build);
bool sema_reads_block(Sema *s, const char *model, Span model_at, const char *on, Span on_at);
void sema_eval(Sema *s, const Ast *eval, Eval *out);
void sema_infer(Sema *s, const Ast *infer);
void sema_build(Sema *s, const Ast *build);

#endif
