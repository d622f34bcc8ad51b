/* Graph IR: immutable nodes over tensors, in topological order.
 *
 * Nodes may have several results; an operand is {node, result}. State is explicit: `read` nodes produce
 * the old value of a state variable and graph writes store the new one. A Program holds the state
 * variables and input fields once, and one graph per function (train, eval, infer). Facts private to a
 * pass live in side arrays indexed by node id, never in nodes. */
#ifndef GRADC_IR_GRAPH_H
#define GRADC_IR_GRAPH_H

#include "base/util.h"
#include "base/vec.h"
#include "ir/attrs.h"

typedef struct OpDef OpDef;
typedef struct Node Node;

typedef struct { Node *node; uint32_t result; } Value;  /* node NULL: no value */

struct Node {
  uint32_t id;                  /* dense; indexes side arrays owned by passes */
  uint32_t nin, nout;
  const OpDef *op;
  const void *attrs;            /* <op>_attrs, or NULL for an operation without attributes */
  const char *name;             /* path of the user's layer, "c1.conv"; backward nodes carry it too; may be NULL */
  Span at;                      /* where the user wrote it; kept through every pass */
  const Type *type;             /* one per result */
  Value in[];                   /* node NULL: optional operand not given */
};

typedef enum { STATE_PARAM, STATE_SLOT, STATE_STAT, STATE_CARRIED } StateRole;

/* A variable that lives as long as the training run. */
typedef struct {
  uint32_t id;                  /* index in Program.state */
  const char *name;             /* PyTorch's: "c1.weight"; slots: "sgd.momentum.c1.weight" */
  Type type;                    /* never batched */
  StateRole role;               /* parameter; optimizer slot; statistic (running mean, input scaling);
                                   what goes on from batch to batch of an epoch, [batch, ..] */
  bool trainable;               /* parameters only: false when frozen */
  Init init;
  int64_t fan_in, fan_out;      /* of the weight that decides the initial bound; 0: none */
  Literal given;                /* INIT_GIVEN: row-major values */
  uint32_t slot_of;             /* slots: the parameter's id */
  Span at;
} StateVar;

/* One input of a sample: rows of the data set, in the file's element type. */
typedef struct {
  const char *name;             /* "x", "y" */
  Type type;                    /* batched; dtype as stored in the rows (u8, i32, f32, f64) */
  Span at;
  int64_t classes;              /* whole numbers from 0 to classes - 1; 0: nothing is known */
} Field;

/* Run-time scalars of a step, in the order of the StepArgs record. They are never folded. */
#define STEP_ARGS(X)                                                                    \
  X(LR, "lr", "learning rate of this step")                                             \
  X(N, "n", "samples in this batch")                                                    \
  X(STEP, "step", "optimizer steps done before this one, from 0")                       \
  X(BC1, "bias_correction1", "1 - beta1^t of Adam, t from 1")                           \
  X(BC2, "bias_correction2", "1 - beta2^t of Adam")                                     \
  X(SEED_LO, "seed_lo", "low 32 bits of the seed") X(SEED_HI, "seed_hi", "high 32 bits") \
  X(EPOCH, "epoch", "epoch from 0")                                                     \
  X(GROUP, "group", "samples of all batches whose gradients this update sums")          \
  X(UPDATE, "update", "1 in the last batch of an update, else 0")                       \
  X(AVERAGE, "average", "share of the new weights in the average of the weights")       \
  X(SHARE, "share", "share of the targets' positions that count: those that are not below 0")
typedef enum {
#define X(k, text, doc) ARG_##k,
  STEP_ARGS(X)
#undef X
  ARG_COUNT
} StepArg;

typedef struct { uint32_t state; Value value; } Write;          /* state variable := value, after the step */
typedef struct { const char *name; Value value; } Output;       /* "loss", "logits", ... */

typedef struct Program Program;

typedef struct Graph {
  Program *program;
  const char *name;             /* "train", "eval", "infer" */
  Arena *arena;
  VEC(Node *) order;            /* topological: operands before uses */
  uint32_t next_id;
  VEC(Output) outputs;
  VEC(Write) writes;
} Graph;

struct Program {
  Arena *arena;
  const char *name;             /* of the model */
  DType real;                   /* DT_F32 or DT_F64: what every real tensor is computed in */
  int64_t batch;                /* largest n of a step */
  VEC(StateVar) state;
  VEC(Field) fields;
  Graph *train, *eval, *infer;  /* train NULL: the spec has no train block */
};

Graph *graph_new(Program *p, const char *name);
/* Appends a node whose result types are given; use g_node (ops/build.h) to have them inferred. */
Node *graph_append(Graph *g, const OpDef *op, const void *attrs, const Value *in, uint32_t nin,
                   const Type *types, uint32_t nout, const char *name, Span at);
const Type *value_type(Value v);
bool value_equal(Value a, Value b);
uint32_t *graph_use_counts(const Graph *g, Arena *a);   /* by node id, all results together, outputs and writes included */

/* Rewriting: visits nodes in order with operands already rewritten. The rule returns n itself for "no
 * change", or another node with the same result types whose nodes it appended to the new graph. */
typedef Node *(*RewriteFn)(void *ctx, Graph *to, Node *n);
bool graph_rewrite(Graph *g, RewriteFn rule, void *ctx);        /* in place; true: something changed */
/* The same for single results: out[r], preset to {n, r}, may become any value of the same type in `to`. */
typedef void (*ReplaceFn)(void *ctx, Graph *to, Node *n, Value *out);
bool graph_replace(Graph *g, ReplaceFn rule, void *ctx);        /* in place; true: something changed */
/* Keeps the nodes with live[id], which must hold every operand, output and write; true: some were dropped. */
bool graph_keep(Graph *g, const bool *live);

StateVar *program_add_state(Program *p, StateVar v);    /* sets id and returns the stored copy */
StateVar *program_find_state(Program *p, const char *name);

#endif
