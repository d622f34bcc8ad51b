/* The syntax tree: what was written, with spans. Lists are linked through `next`. A node built by error
 * recovery is AST_ERROR: already reported, type unknown; later stages skip it silently. */
#ifndef GRADC_SYNTAX_AST_H
#define GRADC_SYNTAX_AST_H

#include "base/arena.h"
#include "base/out.h"
#include "base/util.h"

#define AST_KINDS(X)                                                                            \
  X(FILE) X(VERSION) X(USE) X(PARAM) X(CONST) X(DATA) X(MODEL) X(BLOCK) X(OP) X(TRAIN) X(EVAL)  \
  X(INFER) X(BUILD)                                                                             \
  X(SIGNATURE) X(FORMAL) X(TYPE)                                                                \
  X(LET) X(RETURN) X(REPEAT) X(IF) X(ASSIGN) X(OVER) X(INDEX) X(PACK)                           \
  X(CHAIN) X(STAGE) X(CALL) X(ARG) X(AMOUNT)                                                    \
  X(NAME) X(FIELD_OF) X(NUMBER) X(STRING) X(BOOL) X(LIST) X(UNARY) X(BINARY) X(RANGE)           \
  X(SPLIT_ITEM) X(FIELD) X(PROPERTY) X(SCHEDULE) X(PIECE) X(STOP) X(OUTPUT_ITEM) X(REPORT)     \
  X(GROUP) X(EVERY) X(ACTION) X(ERROR)

typedef enum {
#define X(k) AST_##k,
  AST_KINDS(X)
#undef X
  AST_COUNT
} AstKind;

typedef struct Ast Ast;
typedef struct Comment Comment;

/* A comment as written, with its marks; the formatter puts it back. */
struct Comment {
  Span at;
  uint32_t after;               /* end of the token before it on the same line; 0: the comment starts its line */
  const char *text;
  const Comment *next;
};

struct Ast {
  AstKind kind;
  Span at;
  Ast *next;                    /* sibling in the list that holds this node */
  union {
    struct { Ast *items; const Comment *comments; } file;       /* VERSION PARAM CONST DATA MODEL TRAIN .. */
    struct { double value; } version;                           /* net 1; */
    struct { const char *path; Span path_at; } use;             /* use "layers.nn"; */
    struct { const char *name; Ast *value; Span name_at; } param;       /* param p = e;  also const */
    struct { const char *name; Ast *items; Span name_at; } data;        /* PROPERTY (train: idx(..);) SPLIT_ITEM FIELD */
    /* and BLOCK; body: LET RETURN REPEAT IF; and OP; body: ASSIGN */
    struct { Ast *signature, *body; } model;
    /* as NULL: named after the model; items: PROPERTY SCHEDULE STOP */
    struct {
      const char *model, *on;
      Ast *items;
      Span model_at, on_at;
      const char *as;
      Span as_at;
    } train;
    struct { const char *model, *on, *split; Ast *items; Span model_at, on_at, split_at; } eval;  /* REPORT PROPERTY */
    struct { const char *model; Ast *items; Span model_at; } infer;     /* OUTPUT_ITEM PROPERTY */
    struct { Ast *items; } build;                               /* PROPERTY */
    struct { const char *name; Ast *formals, *results; Span name_at; } signature; /* name(x: f32[..]) -> y: f32[..] */
    /* type, dflt NULL: not written; name NULL: result without name */
    struct { const char *name; Ast *type; Span name_at; Ast *dflt; bool is_param; } formal;
    struct { const char *name; Ast *dims; bool has_dims; } type;        /* f32[1, 28, 28]; label(10): has_dims false, dims = args */
    struct { Ast *names; Ast *value; } let;                     /* h = x -> ..;  (a, b) = ..; names: NAME list */
    struct { Ast *values; } ret;
    struct { const char *var; Ast *range, *body; Span var_at; } repeat; /* repeat i in 1..3 { .. } */
    /* if c { .. } else { .. }; an `else if` is an IF alone in `otherwise` */
    struct { Ast *cond, *then, *otherwise; Span else_at; } branch;
    /* y[f,i] += e where j in 0..2;  op: "=" "+=" "maxof=" "minof="; ranges: OVER */
    struct { const char *name, *op; Ast *places, *value, *ranges; Span name_at, op_at; } assign;
    struct { const char *var; Ast *range; Span var_at; } over;
    struct { const char *of; Ast *places; Span of_at; } index;  /* x[c, i+j], in an op */
    struct { Ast *head, *stages; } chain;                       /* head -> STAGE -> STAGE; stages never empty */
    struct { const char *callee; Ast *args; bool has_args; const char *as; Span callee_at, as_at; } stage;   /* conv(6, 5, pad=2) as c1 */
    struct { Ast *callee; Ast *args; } call;                    /* softmax_xent(logits, y) in an expression; callee: NAME or FIELD_OF */
    struct { const char *name; Ast *value; Span name_at; } arg; /* name NULL: positional */
    struct { Ast *value; bool epochs; } amount;                 /* 3 epochs, 500 steps */
    struct { const char *text; } name;                          /* and PACK: *s */
    struct { Ast *of; const char *name; } field_of;             /* valid.loss */
    struct { double value; const char *text; bool is_int; } number;     /* suffixes applied: 64K, 25%, 32MB */
    struct { const char *text; uint32_t length; } string;       /* escapes resolved; may hold any byte but NUL */
    struct { bool value; } boolean;
    struct { Ast *items; } list;
    struct { const char *op; Ast *x; } unary;                   /* "-" "not" */
    struct { const char *op; Ast *x, *y; } binary;              /* "+" "-" "*" "/" "%" "**" "<" ">" "<=" ">=" "==" "!=" "and" "or" */
    struct { Ast *from, *to; } range;                           /* a..b */
    struct { const char *name; Ast *amount; const char *of; Span name_at, of_at; } split_item;  /* split: valid = 5000 of train; one node per item */
    struct { const char *name, *from; Ast *type, *as, *pipe; Span name_at, from_at; Ast *value; } field;    /* field x: u8[28,28] as f32[1,28,28] -> div(255); pipe: STAGE list;
                                                                   from: f32[8] from "age..income", or NULL;
                                                                   value: = next(x), alone, or NULL */
    struct { const char *name; Ast *values; Span name_at; } property;   /* name: value, value; */
    struct { const char *target; Ast *pieces; } schedule;       /* schedule: lr = warmup(..) for 1 epochs then cosine(..); */
    struct { Ast *call; Ast *amount; } piece;                   /* call: STAGE; amount NULL: to the end */
    struct { Ast *cond; } stop;                                 /* stop when cond; */
    struct { Ast *value; const char *as; Span as_at; } output_item;     /* output: softmax(logits) as prob */
    struct { Ast *values; } report;
    struct { Ast *globs, *items; } group;       /* group "*.bias" { lr_scale: 2; } */
    struct { Ast *amount, *actions; } every;                    /* every 2 epochs { ACTION .. } */
    /* print loss, lr;  save "a.safetensors";  save best by valid.loss "b.safetensors": what "best",
     * joint "by" */
    struct { const char *verb, *what, *joint; Ast *by, *values; Span verb_at, what_at; } action;
  };
};

Ast *ast_new(Arena *a, AstKind kind, Span at);
Ast *ast_append(Ast *list, Ast *item);          /* list NULL: item alone; returns the head */
int ast_length(const Ast *list);
enum { CHILDREN_MAX = 3 };
/* Heads of the lists that hang below a node; returns how many. Entries may be NULL. */
int ast_children(const Ast *n, Ast *out[CHILDREN_MAX]);
const char *ast_kind_text(AstKind k);
void ast_print(const Ast *n, Out *o);           /* S-expressions, for --emit=ast and goldens */
void ast_format(const Ast *file, Out *o);       /* canonical source of a file without errors: parse(format(x)) prints as x */

#endif
