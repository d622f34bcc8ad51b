/* Graph nodes: type inference with the user's names in its messages, limits on sizes, and the few
 * operations that sema itself puts into a graph. Which those are stands in operators.def; sources
 * are recognised by their attribute: `field` reads the data, `state` a variable, `value` is a
 * constant. */
#include "sema/sema.h"

enum { DIM_MAX = 2147483647, LAYERS_MAX = 16384, TRACE_MAX = 8 };

/* ---- operations with a role ---- */

const char *sema_operator(const char *text, int operands)
{
  static const struct { const char *text; int operands; const char *op; } rows[] = {
#define OPERATOR(text, operands, op) { text, operands, op },
#define OVERLOAD(name, option, op)
#define ROLE(role, op)
#define DOUBLED(op, first, advice)
#include "sema/operators.def"
#undef OPERATOR
#undef OVERLOAD
#undef ROLE
#undef DOUBLED
  };
  for (size_t i = 0; i < ARRAY_LEN(rows); i++)
    if (rows[i].operands == operands && str_eq(rows[i].text, text))
      return rows[i].op;
  return NULL;
}

static bool has_option(const Ast *args, const char *name)
{
  for (; args; args = args->next)
    if (args->kind == AST_ARG && str_eq(args->arg.name, name))
      return true;
  return false;
}

const char *sema_overload(const char *name, const Ast *args)
{
  static const char *const rows[][3] = {
#define OPERATOR(text, operands, op)
#define OVERLOAD(name, option, op) { name, option, op },
#define ROLE(role, op)
#define DOUBLED(op, first, advice)
#include "sema/operators.def"
#undef OPERATOR
#undef OVERLOAD
#undef ROLE
#undef DOUBLED
  };
  for (size_t i = 0; i < ARRAY_LEN(rows); i++)
    if (str_eq(rows[i][0], name) && (!rows[i][1] || has_option(args, rows[i][1])))
      return rows[i][2];
  return name;
}

const OpDef *sema_known(Sema *s, const char *role)
{
  static const char *const rows[][2] = {
#define OPERATOR(text, operands, op)
#define OVERLOAD(name, option, op)
#define ROLE(role, op) { role, op },
#define DOUBLED(op, first, advice)
#include "sema/operators.def"
#undef OPERATOR
#undef OVERLOAD
#undef ROLE
#undef DOUBLED
  };
  for (size_t i = 0; i < ARRAY_LEN(rows); i++)
    if (str_eq(rows[i][0], role)) {
      const OpDef *op = op_find(s->ops, rows[i][1]);
      if (op)
        return op;
    }
  ice("no operation has the role `%s`", role);
}

void sema_check_doubled(Sema *s, const OpDef *op, Value first, Span at)
{
  static const char *const rows[][3] = {
#define OPERATOR(text, operands, op)
#define OVERLOAD(name, option, op)
#define ROLE(role, op)
#define DOUBLED(op, first, advice) { op, first, advice },
#include "sema/operators.def"
#undef OPERATOR
#undef OVERLOAD
#undef ROLE
#undef DOUBLED
  };
  for (size_t i = 0; i < ARRAY_LEN(rows); i++)
    if (first.node && str_eq(rows[i][0], op->name) && str_eq(rows[i][1], first.node->op->name)) {
      diag_warn(s->diag, at, "W0205", "`%s` of a `%s` applies it twice", op->name, rows[i][1]);
      diag_note(s->diag, first.node->at, "`%s` is here", rows[i][1]);
      diag_help(s->diag, "%s", rows[i][2]);
    }
}

static const OpDef *source_op(Sema *s, const char *entry)
{
  for (int i = 0; i < s->ops->n; i++)
    if (s->ops->at[i]->cls == OP_SOURCE && sema_has_attr(s->ops->at[i], entry))
      return s->ops->at[i];
  ice("no source operation has an attribute `%s`", entry);
}

/* ---- inference ---- */

static Node *probe(Sema *s, const OpDef *op, const void *attrs, const Value *in, uint32_t nin,
                   const char *path, Span at)
{
  Node *n = arena_alloc(s->arena, sizeof *n + nin * sizeof n->in[0]);
  *n = (Node){ .nin = nin,
               .nout = (uint32_t)op_result_count(op),
               .op = op,
               .attrs = attrs,
               .name = path,
               .at = at };
  for (uint32_t i = 0; i < nin; i++)
    n->in[i] = in[i];
  return n;
}

static bool infer(Sema *s, const Node *n, Diag *diag, Type *out)
{
  Type *in = ARENA_ARRAY(s->arena, Type, n->nin + 1);
  Span *in_at = ARENA_ARRAY(s->arena, Span, n->nin + 1);
  const char **in_name = ARENA_ARRAY(s->arena, const char *, n->nin + 1);
  for (uint32_t i = 0; i < n->nin; i++) {
    const Node *from = n->in[i].node;
    in[i] = from ? from->type[n->in[i].result] : (Type){ .dtype = DT_COUNT };
    in_at[i] = from ? from->at : (Span){ 0, 0 };
    in_name[i] = from ? sema_value_name(s, n->in[i]) : NULL;
    if (from && !in_name[i])
      in_name[i] = from->name ? from->name : op_operand_name(n->op, s->arena, i);
  }
  Infer c = { .arena = s->arena,
              .diag = diag,
              .real = s->program->real,
              .in = in,
              .nin = n->nin,
              .in_at = in_at,
              .in_name = in_name,
              .program = s->program };
  return n->op->infer(&c, n, out);
}

static bool within_limits(Sema *s, const Node *n, const Type *t)
{
  for (int i = 0; i < t->rank; i++)
    if (t->dim[i] < 1 || t->dim[i] > DIM_MAX) {
      diag_error(s->diag, n->at, "E0602", "%s: a dimension of the result %s is outside 1 .. %d",
                 n->op->name, type_user(s->arena, t), DIM_MAX);
      return false;
    }
  if (type_elems(t) >= 0)
    return true;
  diag_error(s->diag, n->at, "E0602", "%s: the result %s has too many elements", n->op->name,
             type_user(s->arena, t));
  return false;
}

static bool count_layer(Sema *s, Span at)
{
  if (++s->layers == LAYERS_MAX + 1)
    diag_error(s->diag, at, "E0603", "the model has more than %d operations", LAYERS_MAX);
  return s->layers <= LAYERS_MAX;
}

bool sema_fits(Sema *s, const OpDef *op, const void *attrs, const Value *in, uint32_t nin)
{
  Type *out = ARENA_ARRAY(s->arena, Type, op_result_count(op) + 1);
  return infer(s, probe(s, op, attrs, in, nin, NULL, (Span){ 0, 0 }), NULL, out);
}

bool sema_rule_fits(Sema *s, const OpDef *op, const void *attrs, Span at)
{
  Type in[2] = { type_scalar(s->program->real, false), type_scalar(s->program->real, false) },
       out[1];
  Value missing[2] = { { NULL, 0 }, { NULL, 0 } };
  Infer c = { .arena = s->arena,
              .diag = s->diag,
              .real = s->program->real,
              .in = in,
              .nin = 2,
              .program = s->program };
  return op->infer(&c, probe(s, op, attrs, missing, 2, NULL, at), out);
}

Value sema_node(Sema *s, const OpDef *op, const void *attrs, const Value *in, uint32_t nin,
                const char *path, Span at)
{
  const Value none = { NULL, 0 };
  int nout = op_result_count(op), errors = diag_errors(s->diag);
  Type *out = ARENA_ARRAY(s->arena, Type, nout + 1);
  Node *n = probe(s, op, attrs, in, nin, path, at);
  if (!count_layer(s, at))
    return none;
  if (!infer(s, n, s->diag, out)) {
    if (nin && diag_errors(s->diag) > errors)
      sema_trace(s, in[0]);
    return none;
  }
  for (int i = 0; i < nout; i++)
    if (!within_limits(s, n, &out[i]))
      return none;
  return (Value){ graph_append(s->forward, op, attrs, in, nin, out, (uint32_t)nout, path, at), 0 };
}

/* ---- nodes of sema's own ---- */

Value sema_input(Sema *s, int field, Span at)
{
  const OpDef *op = source_op(s, "field");
  void *attrs = sema_attrs_new(s, op);
  *(int64_t *)sema_attr_at(op, attrs, "field", ATTR_int) = field;
  return sema_node(s, op, attrs, NULL, 0, s->program->fields.at[field].name, at);
}

Value sema_read(Sema *s, uint32_t state, const char *path, Span at)
{
  const OpDef *op = source_op(s, "state");
  void *attrs = sema_attrs_new(s, op);
  *(int64_t *)sema_attr_at(op, attrs, "state", ATTR_int) = state;
  return sema_node(s, op, attrs, NULL, 0, path, at);
}

Value sema_arg(Sema *s, StepArg which, Span at)
{
  const OpDef *op = source_op(s, "which");
  void *attrs = sema_attrs_new(s, op);
  *(int64_t *)sema_attr_at(op, attrs, "which", ATTR_int) = which;
  return sema_node(s, op, attrs, NULL, 0, NULL, at);
}

Value sema_constant(Sema *s, Literal l, Span at)
{
  const OpDef *op = source_op(s, "value");
  void *attrs = sema_attrs_new(s, op);
  *(Literal *)sema_attr_at(op, attrs, "value", ATTR_literal) = l;
  return sema_node(s, op, attrs, NULL, 0, NULL, at);
}

Value sema_cast(Sema *s, Value v, DType to, const char *path, Span at)
{
  if (!v.node || value_type(v)->dtype == to)
    return v;
  const OpDef *op = sema_known(s, "cast");
  void *attrs = sema_attrs_new(s, op);
  *(const char **)sema_attr_at(op, attrs, "dtype", ATTR_name) = dtype_text(to);
  return sema_node(s, op, attrs, &v, 1, path, at);
}

Value sema_reshape(Sema *s, Value v, const Type *like, const char *path, Span at)
{
  if (!v.node)
    return v;
  Type want = type_make(value_type(v)->dtype, value_type(v)->batched, like->rank, like->dim);
  if (type_equal(value_type(v), &want))
    return v;
  const OpDef *op = sema_known(s, "reshape");
  void *attrs = sema_attrs_new(s, op);
  Ints *shape = sema_attr_at(op, attrs, "shape", ATTR_ints);
  *shape = (Ints){ .n = like->rank };
  for (int i = 0; i < like->rank; i++)
    shape->at[i] = like->dim[i];
  return sema_node(s, op, attrs, &v, 1, path, at);
}

/* ---- questions about values ---- */

static const char *step_text(Sema *s, Value v)
{
  const Name *field = NULL;
  for (uint32_t i = 0; i < s->names.n; i++)
    if (s->names.at[i].kind == NAME_FIELD && value_equal(s->names.at[i].value, v))
      field = &s->names.at[i];
  bool source = field || !v.node->nin;
  const char *name = field ? field->text : source && v.node->name ? v.node->name : v.node->op->name;
  return arena_printf(s->arena, "%s %s", name, sema_written(s, s->data, value_type(v)));
}

static bool is_field_value(const Sema *s, Value v)
{
  for (uint32_t i = 0; i < s->names.n; i++)
    if (s->names.at[i].kind == NAME_FIELD && value_equal(s->names.at[i].value, v))
      return true;
  return false;
}

/* The operand that carries the samples: the first batched one. */
static Value main_operand(const Node *n)
{
  for (uint32_t i = 0; i < n->nin; i++)
    if (n->in[i].node && value_type(n->in[i])->batched)
      return n->in[i];
  return n->in[0];
}

void sema_trace(Sema *s, Value v)
{
  const char *text = NULL;
  int steps = 0;
  for (; v.node && steps <= TRACE_MAX; steps++) {
    const char *step = step_text(s, v);
    text = text ? arena_printf(s->arena, "%s -> %s", step, text) : step;
    if (is_field_value(s, v) || !v.node->nin)
      v.node = NULL;
    else
      v = main_operand(v.node);
  }
  if (steps > 1)
    diag_note(s->diag, (Span){ 0, 0 }, "shapes on the way: %s%s", v.node ? ".. -> " : "", text);
}

bool sema_reads_field(const Sema *s, Value v, int field)
{
  if (!v.node)
    return false;
  const OpDef *input = NULL;
  for (int i = 0; i < s->ops->n && !input; i++)
    if (s->ops->at[i]->cls == OP_SOURCE && sema_has_attr(s->ops->at[i], "field"))
      input = s->ops->at[i];
  bool *below = ARENA_ARRAY(s->arena, bool, s->forward->next_id + 1);
  for (uint32_t i = 0; i < s->forward->order.n; i++) {
    const Node *n = s->forward->order.at[i];
    if (n->op == input)
      below[n->id] = *(const int64_t *)((const char *)n->attrs + input->attrs[0].offset) == field;
    for (uint32_t k = 0; k < n->nin; k++)
      below[n->id] = below[n->id] || (n->in[k].node && below[n->in[k].node->id]);
  }
  return below[v.node->id];
}
