/* Recurrent layers, PyTorch's RNN, LSTM and GRU with batch_first: sequences [T, C] in, the states
 * of all steps out, [T, units]. ops/recur.c has the formulas. Each layer multiplies the inputs of
 * all steps at once, then walks the steps:
 *
 *   states = scan(dense(x, weight_ih, bias_ih), weight_hh, bias_hh)
 *
 * Weights and biases start uniform within +- 1 / sqrt(units). With carry the states of row i of a
 * batch start the steps of row i of the next one; each is a variable [batch, units] of the run,
 * which gradients take as given. In predictions every sample stands by itself. */
#include "ops/recur.h"
#include <math.h>
#include <string.h>

#define COMMON(A, op)                                                                   \
  A(op, int,  layers,  "1",       "layers on top of each other, at most 6")             \
  A(op, real, dropout, "0",       "probability of dropping a number between layers")    \
  A(op, flag, bias,    "true",    "add learnt numbers to both products")                \
  A(op, flag, carry,   "false",   "begin with the states in which the batch before ended") \
  A(op, init, init,    "default", "how the weights start")                              \
  A(op, flag, train,   "true",    "false: weights and biases stay as they start")

#define GATED(A, op)                                                    \
  A(op, int, units, "!", "numbers in the state, and in each step of the result") \
  COMMON(A, op)
ATTRS(lstm, GATED)
typedef lstm_attrs gru_attrs;

#define RNN(A, op)                                                      \
  A(op, int,  units,      "!",    "numbers in the state, and in each step of the result") \
  A(op, name, activation, "tanh", "what the sum goes through, one of: tanh relu") \
  COMMON(A, op)
ATTRS(rnn, RNN)

enum { LAYERS_MAX = 6, OPERANDS_OF_LAYER = 4 };
enum { WEIGHT_IH, WEIGHT_HH, BIAS_IH, BIAS_HH };

/* The options of all three. */
typedef struct {
  int64_t units, layers;
  double dropout;
  bool bias, carry, train;
  Init init;
  int gates;
} Options;

static Options options_of(const Node *n)
{
  if (n->op == &op_rnn) {
    const rnn_attrs *a = n->attrs;
    return (Options){ a->units, a->layers, a->dropout, a->bias, a->carry, a->train, a->init, 1 };
  }
  const lstm_attrs *a = n->attrs;
  int gates = n->op == &op_lstm ? 4 : 3;
  return (Options){ a->units, a->layers, a->dropout, a->bias, a->carry, a->train, a->init, gates };
}

static bool want_options(Infer *c, const Node *n, const Options *o)
{
  if (o->units < 1 || o->units > INT32_MAX / 4)
    return infer_error(c, n, "E0304", "`units` must be at least 1, not %lld", (long long)o->units);
  if (o->layers < 1 || o->layers > LAYERS_MAX) {
    infer_error(c, n, "E0304", "`layers` must be from 1 to %d, not %lld", LAYERS_MAX,
                (long long)o->layers);
    return infer_help(c, "write more layers one after the other: -> %s(%lld) -> %s(%lld)",
                      n->op->name, (long long)o->units, n->op->name, (long long)o->units);
  }
  if (!want_fraction(c, n, "`dropout`", o->dropout))
    return false;
  if (o->dropout == 0 || o->layers > 1)
    return true;
  infer_error(c, n, "E0304", "`dropout` works between layers, but there is one layer");
  return infer_help(c, "put it behind the layer: -> %s(%lld) -> dropout(%g)", n->op->name,
                    (long long)o->units, o->dropout);
}

static bool recurrent_infer(Infer *c, const Node *n, Type *out)
{
  Options o = options_of(n);
  if (!want_options(c, n, &o) || !want_operands(c, n, 1) || !want_real(c, n, 0) ||
      !want_batched(c, n, 0))
    return false;
  const Type *x = &c->in[0];
  if (x->rank != 2) {
    infer_error(c, n, "E0202", "needs a sequence [steps, numbers], but its input is %s",
                shape_text(c, x));
    if (x->rank == 1)
      return infer_help(c, "one number a step: x -> reshape([%lld, 1]) -> %s(%lld)",
                        (long long)x->dim[0], n->op->name, (long long)o.units);
    return infer_help(c, "give it two axes with reshape([steps, numbers])");
  }
  *out = type_make(x->dtype, true, 2, (int64_t[]){ x->dim[0], o.units });
  return want_elems(c, n, out);
}

static void add(Params *p, const char *suffix, int64_t layer, const Options *o,
                const int64_t dim[2], Init init)
{
  const char *name = arena_printf(p->program->arena, "%s_l%lld", suffix, (long long)layer);
  double bound = 1 / sqrt((double)o->units);
  if (init.kind == INIT_DEFAULT)
    init = (Init){ INIT_UNIFORM, -bound, bound };
  param_add(p, name, STATE_PARAM, dim[1] ? 2 : 1, dim, init, dim[1], dim[0], o->train);
}

/* Makes nothing for an input or options that infer will refuse. */
static void recurrent_params(Params *p, const Node *n)
{
  Options o = options_of(n);
  const Type *x = &p->in[0];
  if (x->rank != 2 || o.units < 1 || o.units > INT32_MAX / 4 || o.layers < 1 ||
      o.layers > LAYERS_MAX)
    return;
  Init start = { INIT_DEFAULT, 0, 0 };
  for (int64_t k = 0; k < o.layers; k++) {
    int64_t rows = o.gates * o.units, columns = k ? o.units : x->dim[1];
    add(p, "weight_ih", k, &o, (int64_t[]){ rows, columns }, o.init);
    add(p, "weight_hh", k, &o, (int64_t[]){ rows, o.units }, o.init);
    for (int i = 0; i < 2; i++)
      if (o.bias)
        add(p, i ? "bias_hh" : "bias_ih", k, &o, (int64_t[]){ rows, 0 }, start);
      else
        param_none(p);
  }
}

/* The state variable of a layer's h (0) or c (1), beside its weight; another function of the
 * program may have made it. */
static uint32_t carried(Expand *e, Value weight, const Options *o, int64_t layer, int which)
{
  Program *p = e->graph->program;
  uint32_t beside = 0;
  if (!value_state(weight, &beside))
    ice("the weight of '%s' is no state variable", e->name);
  const char *path = p->state.at[beside].name;
  const char *name = arena_printf(p->arena, "%.*s.carried_%s_l%lld",
                                  (int)(strrchr(path, '.') - path), path, which ? "c" : "h",
                                  (long long)layer);
  const StateVar *known = program_find_state(p, name);
  if (known)
    return known->id;
  StateVar v = { .name = name,
                 .type = type_make(p->real, false, 2, (int64_t[]){ p->batch, o->units }),
                 .role = STATE_CARRIED,
                 .init = { INIT_ZEROS, 0, 0 },
                 .at = e->at };
  return program_add_state(p, v)->id;
}

/* in: x, w and bias, then room for the first states. */
static Value scan(Expand *e, const Node *n, const Options *o, int64_t layer, Value *in)
{
  GBuild b = g_in_expand(e);
  bool carry = o->carry && (e->mode == MODE_TRAIN || e->mode == MODE_EVAL);
  int states = carry ? recur_states(o->gates) : 0;
  uint32_t nin = carry ? RECUR_FIRST + (uint32_t)states : in[RECUR_BIAS].node ? 3 : 2;
  uint32_t id[RECUR_STATES] = { 0 };
  for (int i = 0; i < states; i++) {
    id[i] = carried(e, in[RECUR_W], o, layer, i);
    in[RECUR_FIRST + i] = g_read(&b, id[i]);
  }
  Value y = n->op == &op_rnn
                ? g_rnn_scan(&b, in, nin, str_eq(((const rnn_attrs *)n->attrs)->activation, "relu"))
                : g_op(&b, n->op == &op_lstm ? &op_lstm_scan : &op_gru_scan, NULL, in, nin);
  for (int i = 0; i < states; i++) {
    Value end = recur_result(y.node, y.node->nout - (uint32_t)(states - i));
    Value kept[] = { in[RECUR_FIRST + i], end };
    expand_write(e, id[i], g_op(&b, &op_keep_rows, NULL, kept, 2));
  }
  return y;
}

static bool recurrent_expand(Expand *e, const Node *n, Value *out)
{
  Options o = options_of(n);
  GBuild b = g_in_expand(e);
  Value x = n->in[0];
  for (int64_t k = 0; k < o.layers; k++) {
    const Value *own = n->in + 1 + k * OPERANDS_OF_LAYER;
    GBuild between = b;
    between.name = arena_printf(e->graph->arena, "%s.l%lld", b.name ? b.name : "", (long long)k);
    if (k && o.dropout > 0)
      x = g_dropout(&between, x, o.dropout);
    Value sums = g_dense(&b, x, own[WEIGHT_IH], own[BIAS_IH]);
    Value in[RECUR_FIRST + RECUR_STATES] = { sums, own[WEIGHT_HH], own[BIAS_HH] };
    x = scan(e, n, &o, k, in);
  }
  out[0] = x;
  return true;
}

static double recurrent_flops(const Node *n)
{
  Options o = options_of(n);
  double steps = (double)n->type[0].dim[0], rows = (double)(o.gates * o.units), sum = 0;
  for (int64_t k = 0; k < o.layers; k++)
    sum += 2 * rows * (double)((k ? o.units : value_type(n->in[0])->dim[1]) + o.units);
  return steps * sum;
}

const OpDef op_rnn = {
  .name = "rnn", .doc = "simple recurrent layer over the steps of a sequence",
  .aliases = "RNN SimpleRNN simple_rnn",
  .formula = "$y[t] = act(W_ih $x[t] + b_ih + W_hh $y[t-1] + b_hh)", .cls = OP_MACRO,
  .flags = OP_LAYER, .operands = "x params*", .results = "y", .attrs = rnn_attr_defs,
  .attrs_size = sizeof(rnn_attrs), .positional = 1, .infer = recurrent_infer,
  .params = recurrent_params, .expand = recurrent_expand, .flops = recurrent_flops,
  .samples = (const OpSample[]){
    { "units=4", "x=f32[n,3,5]" },
    { "units=3, activation=relu, layers=2, bias=false", "x=f32[n,2,5]" }, { 0 }
  },
};

const OpDef op_lstm = {
  .name = "lstm", .doc = "long short-term memory over the steps of a sequence",
  .aliases = "LSTM",
  .formula = "c[t] = f c[t-1] + i g, $y[t] = o tanh(c[t]); i, f, g, o of W_ih $x[t] + b_ih + "
             "W_hh $y[t-1] + b_hh", .cls = OP_MACRO,
  .flags = OP_LAYER, .operands = "x params*", .results = "y", .attrs = lstm_attr_defs,
  .attrs_size = sizeof(lstm_attrs), .positional = 1, .infer = recurrent_infer,
  .params = recurrent_params, .expand = recurrent_expand, .flops = recurrent_flops,
  .samples = (const OpSample[]){
    { "units=4", "x=f32[n,3,5]" }, { "units=3, layers=2, bias=false", "x=f32[n,2,5]" }, { 0 }
  },
};

const OpDef op_gru = {
  .name = "gru", .doc = "gated recurrent unit over the steps of a sequence", .aliases = "GRU",
  .formula = "$y[t] = (1 - z) n + z $y[t-1]; r, z, n of W_ih $x[t] + b_ih and W_hh $y[t-1] + b_hh",
  .cls = OP_MACRO,
  .flags = OP_LAYER, .operands = "x params*", .results = "y", .attrs = lstm_attr_defs,
  .attrs_size = sizeof(gru_attrs), .positional = 1, .infer = recurrent_infer,
  .params = recurrent_params, .expand = recurrent_expand, .flops = recurrent_flops,
  .samples = (const OpSample[]){
    { "units=4", "x=f32[n,3,5]" }, { "units=3, layers=2, bias=false", "x=f32[n,2,5]" }, { 0 }
  },
};
