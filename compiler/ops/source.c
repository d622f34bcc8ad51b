/* Sources: values that come from outside the graph. They have no gradient: fields are data,
 * constants are fixed, step arguments are set by the runtime, and the gradient towards a state
 * variable is collected at its read node. Passes and lower/ tell them apart by their attribute:
 * field, state, value or which. */
#include "ops/family.h"

/* ---- input: the rows of one field ---- */
#define INPUT(A, op) A(op, int, field, "!", "number of the field in the program")
ATTRS(input, INPUT)

static bool input_infer(Infer *c, const Node *n, Type *out)
{
  const input_attrs *a = n->attrs;
  if (!c->program || a->field < 0 || a->field >= c->program->fields.n)
    return infer_error(c, n, "E0299", "there is no field number %lld", (long long)a->field);
  *out = c->program->fields.at[a->field].type;
  return true;
}

static void input_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  const input_attrs *a = n->attrs;
  (void)in;
  for (int64_t i = 0; i < ref_elems(out[0]); i++)
    out[0]->v[i] = c->field[a->field][i];
}

const OpDef op_input = {
  .name = "input",
  .doc = "rows of a field of the data, one per sample, in the element type of the data",
  .formula = "$y = field", .cls = OP_SOURCE, .operands = "", .results = "y",
  .attrs = input_attr_defs, .attrs_size = sizeof(input_attrs), .infer = input_infer,
  .ref = input_ref,
  .samples = (const OpSample[]){ { "field=0", "" }, { "field=1", "" }, { 0 } },
};

/* ---- read: a state variable before the step ---- */
#define READ(A, op) A(op, int, state, "!", "number of the state variable in the program")
ATTRS(read, READ)

static bool read_infer(Infer *c, const Node *n, Type *out)
{
  const read_attrs *a = n->attrs;
  if (!c->program || a->state < 0 || a->state >= c->program->state.n)
    return infer_error(c, n, "E0299", "there is no state variable number %lld",
                       (long long)a->state);
  *out = c->program->state.at[a->state].type;
  return true;
}

static void read_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  const read_attrs *a = n->attrs;
  (void)in;
  for (int64_t i = 0; i < ref_elems(out[0]); i++)
    out[0]->v[i] = c->state[a->state][i];
}

const OpDef op_read = {
  .name = "read", .doc = "the value of a parameter, optimizer slot or statistic before this step",
  .formula = "$y = state", .cls = OP_SOURCE, .operands = "", .results = "y",
  .attrs = read_attr_defs, .attrs_size = sizeof(read_attrs), .infer = read_infer, .ref = read_ref,
  .samples = (const OpSample[]){ { "state=0", "" }, { "state=1", "" }, { 0 } },
};

/* ---- const: numbers known when compiling ---- */
#define CONST(A, op) A(op, literal, value, "!", "the numbers, row-major")
ATTRS(const, CONST)

static bool const_infer(Infer *c, const Node *n, Type *out)
{
  const const_attrs *a = n->attrs;
  if (!a->value.value || a->value.rank < 0 || a->value.rank > RANK_MAX)
    return infer_error(c, n, "E0299", "has no value");
  *out = type_make(c->real, false, a->value.rank, a->value.dim);
  return want_elems(c, n, out);
}

static void const_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  const const_attrs *a = n->attrs;
  (void)c;
  (void)in;
  for (int64_t i = 0; i < out[0]->elems; i++)
    out[0]->v[i] = a->value.value[i];
}

const OpDef op_const = {
  .name = "const", .doc = "numbers known when compiling", .formula = "$y = value", .cls = OP_SOURCE,
  .operands = "", .results = "y", .attrs = const_attr_defs, .attrs_size = sizeof(const_attrs),
  .infer = const_infer, .ref = const_ref,
  .samples = (const OpSample[]){
    { "value=[0.5, -2, 3]", "" }, { "value=[[1, 2], [3, 4]]", "" }, { 0 }
  },
};

/* ---- arg: a number that the runtime sets for each step ---- */
#define ARG(A, op) A(op, int, which, "!", "place in the step's record of arguments")
ATTRS(arg, ARG)

static bool arg_infer(Infer *c, const Node *n, Type *out)
{
  const arg_attrs *a = n->attrs;
  if (a->which < 0 || a->which >= ARG_COUNT)
    return infer_error(c, n, "E0299", "there is no step argument number %lld", (long long)a->which);
  *out = type_scalar(c->real, false);
  return true;
}

static void arg_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  const arg_attrs *a = n->attrs;
  (void)in;
  out[0]->v[0] = c->args[a->which];
}

const OpDef op_arg = {
  .name = "arg", .doc = "a number of the step: learning rate, samples in the batch, step count ..",
  .formula = "$y = step argument", .cls = OP_SOURCE, .operands = "", .results = "y",
  .attrs = arg_attr_defs, .attrs_size = sizeof(arg_attrs), .infer = arg_infer, .ref = arg_ref,
  .samples = (const OpSample[]){ { "which=0", "" }, { "which=1", "" }, { 0 } },
};

/* ---- constructors ---- */

int64_t input_field(const Node *n)
{
  return n->op == &op_input ? ((const input_attrs *)n->attrs)->field : -1;
}

Value g_input(const GBuild *b, uint32_t field)
{
  return g_op(b, &op_input, &(input_attrs){ .field = field }, NULL, 0);
}

Value g_read(const GBuild *b, uint32_t state)
{
  return g_op(b, &op_read, &(read_attrs){ .state = state }, NULL, 0);
}

Value g_literal(const GBuild *b, Literal value)
{
  return g_op(b, &op_const, &(const_attrs){ .value = value }, NULL, 0);
}

Value g_const(const GBuild *b, double value)
{
  return g_literal(
      b, (Literal){ .rank = 0, .value = arena_copy(b->graph->arena, &value, sizeof value) });
}

Value g_arg(const GBuild *b, StepArg which)
{
  return g_op(b, &op_arg, &(arg_attrs){ .which = which }, NULL, 0);
}

bool value_is_const(Value v, double *value)
{
  if (!v.node || v.node->op != &op_const || type_elems(&v.node->type[0]) != 1)
    return false;
  *value = ((const const_attrs *)v.node->attrs)->value.value[0];
  return true;
}

bool value_state(Value v, uint32_t *state)
{
  if (!v.node || v.node->op != &op_read)
    return false;
  *state = (uint32_t)((const read_attrs *)v.node->attrs)->state;
  return true;
}
