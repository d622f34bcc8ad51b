/* Expressions over tensors: chains, calls of layers and losses, operators. A call takes its first
 * operand from the chain, further ones from arguments that are tensors, and its options from the
 * others; tensors that the layer owns are declared by the operation itself and read beside it. */
#include "sema/sema.h"

#include <string.h>

typedef struct {
  const char *name;             /* of the operation */
  Span name_at, at;
  const Ast *args;
  const char *as;               /* the user's name for the result, or NULL */
  Span as_at;
} Call;

static const Value none = { NULL, 0 };

/* ---- names of layers ---- */

static void count_call(Sema *s, const char *name, const Ast *args, bool has_name)
{
  const BlockDef *block = sema_find_block(s, name);
  name = block ? name : sema_overload(name, args);
  const OpDef *op = op_find(s->ops, name);
  if ((!op && !block) || has_name)
    return;
  s->owners += block || op->params;
  for (uint32_t i = 0; i < s->calls.n; i++)
    if (str_eq(s->calls.at[i].op, name)) {
      s->calls.at[i].total++;
      return;
    }
  CallCount c = { name, 1, 0 };
  vec_push(s->arena, &s->calls, c);
}

static void count_calls(Sema *s, const Ast *e);

static void count_list(Sema *s, const Ast *list)
{
  for (; list; list = list->next)
    count_calls(s, list);
}

static void count_calls(Sema *s, const Ast *e)
{
  if (e->kind == AST_CHAIN) {
    count_calls(s, e->chain.head);
    count_list(s, e->chain.stages);
  } else if (e->kind == AST_STAGE) {
    count_call(s, e->stage.callee, e->stage.args, e->stage.as != NULL);
    count_list(s, e->stage.args);
  } else if (e->kind == AST_CALL && e->call.callee->kind == AST_NAME) {
    count_call(s, e->call.callee->name.text, e->call.args, false);
    count_list(s, e->call.args);
  } else if (e->kind == AST_ARG) {
    count_calls(s, e->arg.value);
  } else if (e->kind == AST_UNARY || e->kind == AST_BINARY) {
    bool two = e->kind == AST_BINARY;
    const char *op = sema_operator(two ? e->binary.op : e->unary.op, two ? 2 : 1);
    if (op && sema_is_tensor(s, e))
      count_call(s, op, NULL, false);
    count_calls(s, two ? e->binary.x : e->unary.x);
    if (two)
      count_calls(s, e->binary.y);
  }
}

void sema_statement(Sema *s, const char *name, const Ast *e)
{
  s->statement = sema_path(s, name);
  s->calls.n = 0;
  s->owners = 0;
  count_calls(s, e);
}

static const char *layer_path(Sema *s, const char *op, const char *as)
{
  if (as)
    return sema_path(s, as);
  for (uint32_t i = 0; i < s->calls.n; i++) {
    CallCount *c = &s->calls.at[i];
    if (str_eq(c->op, op) && c->total > 1)
      return arena_printf(s->arena, "%s.%s%d", s->statement, op, ++c->seen);
  }
  return arena_printf(s->arena, "%s.%s", s->statement, op);
}

/* The path of a layer that owns parameters: short where it is the only one of its statement. */
static const char *owner_path(const Sema *s, const char *path, const char *as)
{
  return as || s->owners > 1 ? path : s->statement;
}

/* ---- which operation ---- */

static void unknown_op(Sema *s, const char *name, Span at, unsigned flags)
{
  bool loss = (flags & OP_LOSS) != 0, alias = false;
  const char *what = loss ? "loss" : "layer";
  const OpDef *near = op_suggest(s->ops, name, loss ? OP_LOSS : OP_LAYER, &alias);
  if (!near && loss)
    near = op_suggest(s->ops, name, OP_LAYER, &alias);
  diag_error(s->diag, at, "E0301", "there is no %s called `%s`", what, name);
  const char *block = near && alias ? NULL : sema_closest_block(s, name);
  if (near && alias)
    diag_help(s->diag, "the same thing is called `%s` here", near->name);
  else if (block)
    diag_help(s->diag, "did you mean the block `%s`?", block);
  else if (near)
    diag_help(s->diag, "did you mean `%s`?", near->name);
  const char **words = ARENA_ARRAY(s->arena, const char *, s->ops->n + 1);
  int n = 0;
  for (int i = 0; i < s->ops->n; i++)
    if (s->ops->at[i]->flags & (loss ? OP_LOSS : OP_LAYER))
      words[n++] = s->ops->at[i]->name;
  if (!near)
    diag_note(s->diag, (Span){ 0, 0 }, "there is: %s", sema_join(s, words, n));
}

static const OpDef *find_op(Sema *s, const Call *c, unsigned flags)
{
  const OpDef *op = op_find(s->ops, c->name);
  if (!op || !(op->flags & (OP_LAYER | OP_LOSS | OP_OPTIMIZER))) {
    unknown_op(s, c->name, c->name_at, flags);
    return NULL;
  }
  if (op->flags & flags)
    return op;
  if (op->flags & OP_LOSS)
    diag_error(s->diag, c->name_at, "E0301",
               "`%s` is a loss: it belongs in the line `loss:` of the train block", c->name);
  else
    diag_error(s->diag, c->name_at, "E0301",
               "`%s` is an optimizer: it belongs in the line `optimizer:`", c->name);
  return NULL;
}

/* ---- operands ---- */

typedef struct { int names, needed; bool any; } Arity;

static Arity arity(const OpDef *op)
{
  Arity a = { 0, 0, false };
  for (const char *p = op->operands; *p;) {
    size_t n = strcspn(p, " ");
    a.any = a.any || (n && p[n - 1] == '*');
    a.needed += n && p[n - 1] != '?' && p[n - 1] != '*';
    a.names += n > 0;
    p += n + (p[n] == ' ');
  }
  if (op->params)
    a.needed = 1;
  return a;
}

static int operand_index(Sema *s, const OpDef *op, const char *name)
{
  for (int i = 0; i < arity(op).names; i++)
    if (str_eq(op_operand_name(op, s->arena, (uint32_t)i), name))
      return i;
  return -1;
}

bool sema_is_tensor(Sema *s, const Ast *e)
{
  if (e->kind == AST_NAME)
    return sema_find(s, e->name.text, NAME_TENSOR & s->visible) != NULL;
  if (e->kind == AST_CALL)
    return e->call.callee->kind == AST_NAME &&
           (op_find(s->ops, sema_overload(e->call.callee->name.text, e->call.args)) ||
            sema_find_block(s, e->call.callee->name.text));
  if (e->kind == AST_UNARY)
    return sema_is_tensor(s, e->unary.x);
  if (e->kind == AST_BINARY)
    return sema_is_tensor(s, e->binary.x) || sema_is_tensor(s, e->binary.y);
  return e->kind == AST_CHAIN;
}

typedef struct {
  Value in[RESULTS_MAX];
  Span at[RESULTS_MAX];
  int n;
  bool ok;
  const Ast **option;           /* the arguments that are options */
  int noption;
} Operands;

static void put_operand(Sema *s, const Call *c, Operands *o, int i, const Ast *e, unsigned flags)
{
  if (i < 0 || i >= RESULTS_MAX) {
    diag_error(s->diag, e->at, "E0308", "`%s` has more than %d operands", c->name, RESULTS_MAX);
    o->ok = false;
    return;
  }
  if (!sema_once(s, &o->at[i], e->at,
                 arena_printf(s->arena, "operand %d of `%s`", i + 1, c->name))) {
    o->ok = false;
    return;
  }
  o->in[i] = sema_value(s, e, flags & ~(unsigned)OP_LOSS);
  o->ok = o->ok && o->in[i].node;
  o->n = i >= o->n ? i + 1 : o->n;
}

/* Sorts the arguments of a call into operands and options. */
static void collect(Sema *s, const Call *c, const OpDef *op, const Value *head, unsigned flags,
                    Operands *o)
{
  Arity a = arity(op);
  int count = 0;
  for (const Ast *arg = c->args; arg; arg = arg->next)
    count++;
  *o = (Operands){ .ok = true, .option = ARENA_ARRAY(s->arena, const Ast *, count + 1) };
  if (head) {
    o->in[0] = *head;
    o->at[0] = head->node ? head->node->at : c->at;
    o->ok = head->node != NULL;
    o->n = 1;
  }
  for (const Ast *arg = c->args; arg; arg = arg->next) {
    const Ast *e = sema_arg_value(arg);
    const char *name = arg->kind == AST_ARG ? arg->arg.name : NULL;
    int i = name && !sema_has_attr(op, name) ? operand_index(s, op, name) : -1;
    bool room = !op->params && (a.any || o->n < a.needed);
    bool plain = !name && room && !op->attrs;   /* without options numbers are operands */
    bool stray = !name && room && e->kind == AST_NAME && !sema_find(s, e->name.text, NAME_NUMBER);
    if (i >= 0)
      put_operand(s, c, o, i, e, flags);
    else if (!name && (sema_is_tensor(s, e) || stray || plain))
      put_operand(s, c, o, o->n, e, flags);
    else
      o->option[o->noption++] = arg;
  }
}

static bool enough_operands(Sema *s, const Call *c, const OpDef *op, Operands *o)
{
  Arity a = arity(op);
  int missing = -1;
  for (int i = o->n; i-- > 0;)
    if (!o->at[i].end)
      missing = i;
  if (missing < 0 && o->n < a.needed)
    missing = o->n;
  if (missing < 0 && (a.any || o->n <= a.names))
    return true;
  const char **words = ARENA_ARRAY(s->arena, const char *, a.names + 1);
  int shown = op->params ? 1 : a.names;
  for (int i = 0; i < shown; i++)
    words[i] = op_operand_name(op, s->arena, (uint32_t)i);
  diag_error(s->diag, c->at, "E0308", "`%s` takes %d tensor%s (%s), but %d %s given", op->name,
             shown, shown == 1 ? "" : "s", sema_join(s, words, shown), o->n,
             o->n == 1 ? "is" : "are");
  if (o->n == 0)
    diag_help(s->diag, "apply it to a value: x -> %s", op->name);
  return false;
}

/* ---- losses ---- */

const FieldSpec *sema_label_of(const Sema *s, Value v)
{
  for (int i = 0; s->data && i < s->data->nfield; i++)
    if (s->data->field[i].is_label && v.node && value_equal(s->data->field[i].value, v))
      return &s->data->field[i];
  return NULL;
}

bool sema_was_refused(const Sema *s, Value prediction, Value target)
{
  for (uint32_t i = 0; i < s->refused.n; i += 2)
    if (value_equal(s->refused.at[i], prediction) && value_equal(s->refused.at[i + 1], target))
      return true;
  return false;
}

bool sema_refused(Sema *s, Value prediction, Value target)
{
  bool before = sema_was_refused(s, prediction, target);
  if (!before) {
    vec_push(s->arena, &s->refused, prediction);
    vec_push(s->arena, &s->refused, target);
  }
  return before;
}

/* A target that does not fit as it is, but has as many elements as the prediction, takes its
 * shape. */
static void adapt_target(Sema *s, const OpDef *op, const void *attrs, Value in[2], Span at)
{
  const Type *p = value_type(in[0]), *t = value_type(in[1]);
  if (sema_fits(s, op, attrs, in, 2) || type_elems(p) != type_elems(t) || !dtype_is_real(p->dtype))
    return;
  Value v = sema_cast(s, in[1], p->dtype, "target", at);
  v = sema_reshape(s, v, p, "target", at);
  Value changed[2] = { in[0], v };
  if (v.node && sema_fits(s, op, attrs, changed, 2))
    in[1] = v;
}

bool sema_classes_agree(Sema *s, const char *what, Value prediction, const FieldSpec *label,
                        Span at)
{
  const Type *p = value_type(prediction);
  int axis = label->value.node ? value_type(label->value)->rank : 0;
  int64_t given = p->rank > axis ? p->dim[axis] : 1;
  if (given == label->classes || (type_elems(p) == 1 && label->classes == 2))
    return true;
  if (sema_refused(s, prediction, label->value))
    return false;
  const char *name = sema_value_name(s, prediction);
  diag_error(s->diag, at, "E0403",
             "%s: `%s` gives %lld number%s but the labels `%s` have %lld classes", what,
             name ? name : prediction.node->op->name, (long long)given, given == 1 ? "" : "s",
             label->name, (long long)label->classes);
  diag_note(s->diag, prediction.node->at, "the prediction is %s", type_user(s->arena, p));
  diag_note(s->diag, s->program->fields.at[label->field].at, "the labels are declared here");
  diag_help(s->diag, "give one number per class: the last layer needs %lld outputs",
            (long long)label->classes);
  return false;
}

/* ---- calls ---- */

/* Is the parameter's number of elements one that can be counted? Else that is reported. */
static bool is_countable(Sema *s, uint32_t state, Span at)
{
  const StateVar *v = &s->program->state.at[state];
  if (type_elems(&v->type) >= 0)
    return true;
  diag_error(s->diag, at, "E0601", "parameter `%s` %s has too many elements to count", v->name,
             type_user(s->arena, &v->type));
  return false;
}

static bool add_parameters(Sema *s, const OpDef *op, const void *attrs, Operands *o,
                           const char *path, const char *as, Span at)
{
  Type *in = ARENA_ARRAY(s->arena, Type, o->n + 1);
  Node *n = arena_alloc(s->arena, sizeof *n + (size_t)o->n * sizeof n->in[0]);
  *n = (Node){ .nin = (uint32_t)o->n, .op = op, .attrs = attrs, .name = path, .at = at };
  for (int i = 0; i < o->n; i++) {
    in[i] = *value_type(o->in[i]);
    n->in[i] = o->in[i];
  }
  int errors = diag_errors(s->diag);
  Params p = { .program = s->program, .in = in, .at = at, .diag = s->diag,
               .path = owner_path(s, path, as) };
  op->params(&p, n);
  if (diag_errors(s->diag) > errors || (p.made.n && !sema_claim_path(s, p.path, at)))
    return false;
  for (uint32_t i = 0; i < p.made.n; i++)
    if (p.made.at[i] != UINT32_MAX && !is_countable(s, p.made.at[i], at))
      return false;
  for (uint32_t i = 0; i < p.made.n && o->n < RESULTS_MAX; i++)
    o->in[o->n++] = p.made.at[i] == UINT32_MAX ? none : sema_read(s, p.made.at[i], path, at);
  return true;
}

static Value apply(Sema *s, const Call *c, const Value *head, unsigned flags)
{
  BlockDef *block = sema_find_block(s, c->name);
  if (block) {
    const char *path = owner_path(s, layer_path(s, c->name, c->as), c->as);
    return sema_instance(s, block, head, c->args, path, c->at);
  }
  Call meant = *c;
  meant.name = sema_overload(c->name, c->args);
  const OpDef *op = find_op(s, &meant, flags);
  if (!op)
    return none;
  Operands o;
  const void *attrs = NULL;
  collect(s, c, op, head, flags, &o);
  bool ok = sema_attrs(s, op, o.option, o.noption, c->at, NULL, &attrs);
  if (!ok || !o.ok || !enough_operands(s, c, op, &o))
    return none;
  const char *path = layer_path(s, op->name, c->as);
  if (op->params && !s->in_model) {
    diag_error(s->diag, c->at, "E0315", "`%s` owns parameters: it belongs in the model", op->name);
    return none;
  }
  if (op->params && !add_parameters(s, op, attrs, &o, path, c->as, c->at))
    return none;
  if ((op->flags & OP_LOSS) && o.n == 2) {
    const FieldSpec *label = sema_label_of(s, o.in[1]);
    if (label && !sema_classes_agree(s, op->name, o.in[0], label, c->at))
      return none;
    adapt_target(s, op, attrs, o.in, c->at);
  }
  sema_check_doubled(s, op, o.in[0], c->at);
  Value v = sema_node(s, op, attrs, o.in, (uint32_t)o.n, path, c->at);
  if (!v.node && (op->flags & OP_LOSS) && o.n == 2)
    sema_refused(s, o.in[0], o.in[1]);
  return v.node && (op->flags & OP_LOSS) && o.n == 2 ? sema_counted(s, v, o.in[1], c->at) : v;
}

static Value stage(Sema *s, const Ast *st, Value head, unsigned flags)
{
  if (st->kind != AST_STAGE)
    return none;
  Call c = { st->stage.callee, st->stage.callee_at, st->at,
             st->stage.args,   st->stage.as,        st->stage.as_at };
  Value v = apply(s, &c, &head, flags);
  if (c.as) {
    Name n = { .text = c.as, .kind = NAME_VALUE, .at = c.as_at, .value = v, .named_result = true };
    sema_define(s, n);
  }
  return v;
}

static Value call(Sema *s, const Ast *e, unsigned flags)
{
  const Ast *callee = e->call.callee;
  if (callee->kind != AST_NAME) {
    if (callee->kind != AST_ERROR)
      diag_error(s->diag, callee->at, "E0301", "this cannot be called");
    return none;
  }
  Call c = { callee->name.text, callee->at, e->at, e->call.args, NULL, { 0, 0 } };
  return apply(s, &c, NULL, flags);
}

/* ---- operators and names ---- */

static Value number(Sema *s, const Ast *e)
{
  double *v = arena_alloc(s->arena, sizeof *v);
  if (!sema_number(s, e, v))
    return none;
  return sema_constant(s, (Literal){ .rank = 0, .value = v }, e->at);
}

static Value operator_call(Sema *s, const Ast *e, const char *text, const Ast *x, const Ast *y,
                           unsigned flags)
{
  const char *name = sema_operator(text, y ? 2 : 1);
  const OpDef *op = name ? op_find(s->ops, name) : NULL;
  if (!op) {
    diag_error(s->diag, e->at, "E0301", "operator `%s` is not available between tensors", text);
    return none;
  }
  Value in[2] = { none, none };
  in[0] = sema_value(s, x, flags);
  if (y)
    in[1] = sema_value(s, y, flags);
  if (!in[0].node || (y && !in[1].node))
    return none;
  const char *path = layer_path(s, op->name, NULL);
  return sema_node(s, op, sema_attrs_new(s, op), in, y ? 2 : 1, path, e->at);
}

static Value named(Sema *s, const Ast *e)
{
  const char *text = e->name.text;
  Name *value = s->visible & NAME_VALUE ? sema_find(s, text, NAME_VALUE) : NULL;
  Name *field = s->visible & NAME_FIELD ? sema_find(s, text, NAME_FIELD) : NULL;
  if (value && field && value->value.node && field->value.node &&
      !value_equal(value->value, field->value)) {
    diag_error(s->diag, e->at, "E0314", "`%s` is a value of the model and also a field of the data",
               text);
    diag_note(s->diag, value->at, "the value is defined here");
    diag_note(s->diag, field->at, "the field is declared here");
    diag_help(s->diag, "give one of them another name");
    return none;
  }
  Name *n = value ? value : field;
  if (!n && sema_find(s, text, NAME_NUMBER))
    return number(s, e);
  if (!n) {
    sema_unknown_name(s, e->at, text, s->visible & NAME_TENSOR);
    return none;
  }
  n->used = true;
  return n->value;
}

Value sema_chain(Sema *s, const Ast *chain, const Ast *end, unsigned flags)
{
  Value v = sema_value(s, chain->chain.head, flags);
  for (const Ast *st = chain->chain.stages; st != end; st = st->next)
    v = stage(s, st, v, flags);
  return v;
}

Value sema_value(Sema *s, const Ast *e, unsigned flags)
{
  if (e->kind == AST_ERROR)
    return none;
  if (e->kind == AST_NAME)
    return named(s, e);
  if (e->kind == AST_CHAIN)
    return sema_chain(s, e, NULL, flags);
  if (e->kind == AST_CALL)
    return call(s, e, flags);
  if (e->kind == AST_UNARY && sema_is_tensor(s, e))
    return operator_call(s, e, e->unary.op, e->unary.x, NULL, flags);
  if (e->kind == AST_BINARY && sema_is_tensor(s, e))
    return operator_call(s, e, e->binary.op, e->binary.x, e->binary.y, flags);
  if (e->kind == AST_NUMBER || e->kind == AST_UNARY || e->kind == AST_BINARY)
    return number(s, e);
  diag_error(s->diag, e->at, "E0307", "a tensor is needed here");
  if (e->kind == AST_INDEX)
    diag_help(s->diag, "single elements are read in an `op`");
  return none;
}
