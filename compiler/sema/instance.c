/* Calls of blocks and ops. A call reads the statements anew, with its parameters bound: first the
 * numbers that are given, then the tensors, whose dimensions may name further numbers,
 * then the defaults, which may use all of these, and the tensors that an op owns. Layers are called
 * after the call: "r1.a.conv1". */
#include "sema/sema.h"

#include <math.h>

static const Value none = { NULL, 0 };

enum { FORMALS_MAX = 64, CALLS_MAX = 64 };

static bool is_op(const Ast *block) { return block->kind == AST_OP; }
static const char *word_of(const BlockDef *block) { return is_op(block->ast) ? "op" : "block"; }

/* ---- declarations ---- */

BlockDef *sema_find_block(Sema *s, const char *name)
{
  for (uint32_t i = 0; i < s->blocks.n; i++)
    if (str_eq(s->blocks.at[i].name, name))
      return &s->blocks.at[i];
  return NULL;
}

const char *sema_closest_block(Sema *s, const char *name)
{
  const char **words = ARENA_ARRAY(s->arena, const char *, s->blocks.n + 1);
  for (uint32_t i = 0; i < s->blocks.n; i++)
    words[i] = s->blocks.at[i].name;
  return str_closest(name, words, (int)s->blocks.n);
}

void sema_declare_block(Sema *s, const Ast *block)
{
  const Ast *sig = block->model.signature;
  if (!sig || sig->kind != AST_SIGNATURE)
    return;
  const char *name = sig->signature.name;
  const BlockDef *old = sema_find_block(s, name);
  if (old) {
    bool both = old->ast->kind == block->kind;
    diag_error(s->diag, sig->signature.name_at, "E0306", "there are two %s called `%s`",
               both ? is_op(block) ? "ops" : "blocks" : "layers", name);
    diag_note(s->diag, old->ast->model.signature->signature.name_at, "the first one is here");
    return;
  }
  const OpDef *op = op_find(s->ops, name);
  if (op && (op->flags & (OP_LAYER | OP_LOSS | OP_OPTIMIZER))) {
    diag_error(s->diag, sig->signature.name_at, "E0306", "`%s` is already the name of a layer",
               name);
    diag_help(s->diag, "choose another name: every name stands for one thing");
    return;
  }
  if (ast_length(sig->signature.formals) > FORMALS_MAX ||
      ast_length(sig->signature.results) > RESULTS_MAX) {
    diag_error(s->diag, sig->at, "E0308",
               "a block has at most %d parameters and %d results", FORMALS_MAX, RESULTS_MAX);
    return;
  }
  for (const Ast *f = sig->signature.formals; f && !is_op(block); f = f->next)
    if (f->kind == AST_FORMAL && f->formal.is_param) {
      diag_error(s->diag, f->at, "E0313", "only an `op` declares `param` tensors of its own");
      diag_help(s->diag, "the layers of a block have theirs: `y = x -> dense(4);`");
      vec_push(s->arena, &s->blocks,
               ((BlockDef){ .ast = block, .name = name, .used = true, .broken = true }));
      return;
    }
  vec_push(s->arena, &s->blocks, ((BlockDef){ .ast = block, .name = name }));
}

void sema_warn_unused_blocks(Sema *s, const Ast *file)
{
  for (uint32_t i = 0; i < s->blocks.n; i++) {
    const Ast *sig = s->blocks.at[i].ast->model.signature;
    bool own = sig->at.begin >= file->at.begin && sig->at.begin < file->at.end;
    if (own && !s->blocks.at[i].used)
      diag_warn(s->diag, sig->signature.name_at, "W0304",
                "%s `%s` is never used, and so not checked", word_of(&s->blocks.at[i]),
                s->blocks.at[i].name);
  }
}

/* ---- arguments ---- */

/* What a call gives for each parameter. */
typedef struct {
  const Ast *formal;
  const Ast *given;             /* the argument, or NULL */
  bool tensor;
  bool is_size;                 /* of a `param` tensor, named only in its type */
  Value value;
  Const constant;
} Bound;

typedef struct {
  const BlockDef *block;
  Bound at[2 * FORMALS_MAX];
  int n, nplain;                /* the first nplain may be given by place; then param tensors */
  bool ok;
} Bounds;

static const char *formal_names(Sema *s, const Bounds *b)
{
  const char *words[2 * FORMALS_MAX];
  int n = 0;
  for (int i = 0; i < b->n; i++)
    words[n++] = b->at[i].formal->formal.name;
  return sema_join(s, words, n);
}

/* The parameter that an argument means: by name, or the next one; -1: reported. */
static int formal_of(Sema *s, const Bounds *b, const Ast *arg, int *next)
{
  const char *name = arg->kind == AST_ARG ? arg->arg.name : NULL;
  if (arg->kind == AST_ERROR)
    return -1;
  for (int i = 0; i < b->n && name; i++)
    if (str_eq(b->at[i].formal->formal.name, name))
      return i;
  if (!name && *next < b->nplain)
    return (*next)++;
  if (name)
    diag_error(s->diag, arg->arg.name_at, "E0302", "%s `%s` has no parameter `%s`",
               word_of(b->block), b->block->name, name);
  else
    diag_error(s->diag, arg->at, "E0308", "%s `%s` takes %d value%s, and this is one more",
               word_of(b->block), b->block->name, b->nplain, b->nplain == 1 ? "" : "s");
  diag_note(s->diag, b->block->ast->model.signature->signature.name_at, "its parameters are %s",
            formal_names(s, b));
  return -1;
}

/* Evaluates an argument where the call stands. */
static bool evaluate(Sema *s, Bound *b, const Ast *e)
{
  b->given = e;
  if (b->formal->formal.is_param)
    return true;                /* an initialiser, read with its tensor */
  b->tensor = b->formal->formal.type || sema_is_tensor(s, e);
  if (!b->tensor)
    return sema_const(s, e, &b->constant);
  b->value = sema_value(s, e, OP_LAYER);
  return b->value.node != NULL;
}

static bool is_bound(Sema *s, const Bounds *b, const Ast *formals, const char *name)
{
  for (uint32_t i = 0; i < s->nglobal; i++)     /* params and consts of the file */
    if ((s->names.at[i].kind & NAME_NUMBER) && str_eq(s->names.at[i].text, name))
      return true;
  for (int i = 0; i < b->n; i++)
    if (str_eq(b->at[i].formal->formal.name, name))
      return true;
  for (const Ast *f = formals; f; f = f->next) {
    const Ast *type = f->formal.is_param ? NULL : f->formal.type;
    if (str_eq(f->formal.name, name))
      return true;
    for (const Ast *d = type && type->kind == AST_TYPE ? type->type.dims : NULL; d; d = d->next)
      if (d->kind == AST_NAME && str_eq(d->name.text, name))
        return true;
  }
  return false;
}

/* The sizes that only the type of a `param` tensor names are numbers of the call. */
static bool add_sizes(Sema *s, Bounds *b, const Ast *formals, const Ast *type)
{
  for (const Ast *d = type->kind == AST_TYPE ? type->type.dims : NULL; d; d = d->next) {
    if (d->kind != AST_NAME || is_bound(s, b, formals, d->name.text))
      continue;
    if (b->n == FORMALS_MAX) {
      diag_error(s->diag, d->at, "E0308", "an op has at most %d parameters", FORMALS_MAX);
      return false;
    }
    Ast *size = ARENA_NEW(s->arena, Ast);
    *size = (Ast){ .kind = AST_FORMAL, .at = d->at,
                   .formal = { .name = d->name.text, .name_at = d->at } };
    b->at[b->n++] = (Bound){ .formal = size, .is_size = true };
  }
  return true;
}

/* Parameters in the order in which a call gives them: those of a block as they are written; of an
 * op those that must be given, sizes after the others, then those with a default. The tensors that
 * it owns come last. */
static bool list_formals(Sema *s, Bounds *b)
{
  const Ast *formals = b->block->ast->model.signature->signature.formals;
  bool op = is_op(b->block->ast);
  for (const Ast *f = formals; f; f = f->next)
    if (f->kind != AST_FORMAL)
      return false;
  for (const Ast *f = formals; f; f = f->next)
    if (!op || (!f->formal.is_param && !f->formal.dflt))
      b->at[b->n++].formal = f;
  for (const Ast *f = formals; f; f = f->next)
    if (f->formal.is_param && !add_sizes(s, b, formals, f->formal.type))
      return false;
  for (const Ast *f = formals; op && f; f = f->next)
    if (!f->formal.is_param && f->formal.dflt)
      b->at[b->n++].formal = f;
  b->nplain = b->n;
  for (const Ast *f = formals; f; f = f->next)
    if (f->formal.is_param)
      b->at[b->n++].formal = f;
  return true;
}

static void take_arguments(Sema *s, const Value *head, const Ast *args, Bounds *b)
{
  Span given[2 * FORMALS_MAX] = { { 0, 0 } };
  int next = 0;
  if (head) {
    b->at[0].tensor = true;
    b->at[0].value = *head;
    b->at[0].given = b->at[0].formal;
    b->ok = head->node != NULL;
    given[0] = b->at[0].formal->at;
    next = 1;
  }
  for (const Ast *arg = args; arg; arg = arg->next) {
    int i = formal_of(s, b, arg, &next);
    if (i < 0 || !sema_once(s, &given[i], arg->at,
                            arena_printf(s->arena, "`%s` of %s `%s`",
                                         b->at[i].formal->formal.name, word_of(b->block),
                                         b->block->name))) {
      b->ok = false;
      continue;
    }
    b->ok = evaluate(s, &b->at[i], sema_arg_value(arg)) && b->ok;
  }
}

static void all_given(Sema *s, Bounds *b, Span at)
{
  for (int i = 0; i < b->n; i++) {
    const Ast *formal = b->at[i].formal;
    if (b->at[i].given || formal->formal.dflt || formal->formal.is_param)
      continue;
    diag_error(s->diag, at, "E0303", "%s `%s` needs its `%s`", word_of(b->block), b->block->name,
               formal->formal.name);
    diag_note(s->diag, formal->formal.name_at, "the parameter is declared here");
    if (b->at[i].is_size)
      diag_help(s->diag, "the call gives the sizes of `param` tensors: x -> %s(%s=4)",
                b->block->name, formal->formal.name);
    if (i == 0 && formal->formal.type)
      diag_help(s->diag, "apply it to a value: x -> %s(..)", b->block->name);
    b->ok = false;
  }
}

/* ---- inside the block ---- */

static void define_number(Sema *s, const Bound *b)
{
  Name n = { .text = b->formal->formal.name,
             .kind = NAME_CONST,
             .at = b->formal->formal.name_at,
             .constant = b->constant,
             .is_dim = b->is_size,
             .used = true };
  sema_define(s, n);
}

static bool define_tensor(Sema *s, const Bound *b)
{
  const Ast *formal = b->formal;
  Type want = type_scalar(DT_F32, true);
  const Type *have = value_type(b->value);
  if (formal->formal.type) {
    if (!sema_bind_dims(s, formal, b->value) || !sema_type(s, formal->formal.type, &want))
      return false;
    if (!sema_same_kind(&want, have)) {
      diag_error(s->diag, formal->formal.type->at, "E0210", "`%s` is wanted as %s, but it is %s",
                 formal->formal.name, type_user(s->arena, &want), type_user(s->arena, have));
      sema_trace(s, b->value);
      return false;
    }
  }
  Name n = { .text = formal->formal.name,
             .kind = NAME_VALUE,
             .at = formal->formal.name_at,
             .value = b->value };
  return sema_define(s, n) != NULL;
}

/* The tensor that an op owns, called after its call: "h.w". Its start: what the call gives, else
 * what the signature says, else PyTorch's for weights and 0 for what has at most one dimension. */
static bool define_param(Sema *s, Bounds *b, const Bound *p, Params *params)
{
  const Ast *formal = p->formal;
  Type t;
  Init init = { INIT_DEFAULT, 0, 0 };
  const Ast *start = p->given ? p->given : formal->formal.dflt;
  const char *what = arena_printf(s->arena, "`%s` of op `%s`", formal->formal.name, b->block->name);
  if (!sema_type(s, formal->formal.type, &t) || (start && !sema_init(s, start, what, &init)))
    return false;
  int64_t fan_in = t.rank > 1 ? type_elems(&t) / t.dim[0] : type_elems(&t);
  int64_t fan_out = t.rank > 1 ? type_elems(&t) / t.dim[1] : type_elems(&t);
  if (init.kind == INIT_DEFAULT)
    init = t.rank > 1 ? (Init){ INIT_KAIMING_UNIFORM, sqrt(5), 0 } : (Init){ INIT_ZEROS, 0, 0 };
  param_add(params, formal->formal.name, STATE_PARAM, t.rank, t.dim, init, fan_in, fan_out, true);
  Name n = { .text = formal->formal.name, .kind = NAME_VALUE, .at = formal->formal.name_at };
  n.value = sema_read(s, params->made.at[params->made.n - 1], params->path, params->at);
  return n.value.node && sema_define(s, n);
}

static bool define_params(Sema *s, Bounds *b, const char *path, Span at)
{
  Params params = { .program = s->program, .path = path, .at = at, .diag = s->diag };
  bool ok = true;
  if (b->nplain == b->n)
    return true;
  if (!s->in_model) {
    diag_error(s->diag, at, "E0315", "`%s` owns parameters: it belongs in the model",
               b->block->name);
    return false;
  }
  if (!sema_claim_path(s, path, at))
    return false;
  for (int i = b->nplain; i < b->n && ok; i++)
    ok = define_param(s, b, &b->at[i], &params);
  return ok;
}

static bool define_all(Sema *s, Bounds *b, const char *path, Span at)
{
  bool ok = true;
  for (int i = 0; i < b->nplain; i++)
    if (b->at[i].given && !b->at[i].tensor)
      define_number(s, &b->at[i]);
  for (int i = 0; i < b->nplain; i++)
    if (b->at[i].given && b->at[i].tensor)
      ok = define_tensor(s, &b->at[i]) && ok;
  for (int i = 0; i < b->nplain && ok; i++)
    if (!b->at[i].given) {
      ok = sema_const(s, b->at[i].formal->formal.dflt, &b->at[i].constant);
      define_number(s, &b->at[i]);
    }
  return ok && define_params(s, b, path, at);
}

/* Notes the tensors and results of the first call of an op, before its names go. */
static void note_use(Sema *s, const Bounds *b, const char *path, const Ast *results,
                     const Value *out)
{
  const Ast *sig = b->block->ast->model.signature;
  OpUse u = { .name = b->block->name, .path = path, .at = sig->signature.name_at,
              .nout = ast_length(results) };
  for (uint32_t i = 0; i < s->ops_used.n; i++)
    if (str_eq(s->ops_used.at[i].name, u.name))
      return;
  u.in = ARENA_ARRAY(s->arena, NamedValue, b->n + 1);
  u.out = ARENA_ARRAY(s->arena, NamedValue, u.nout + 1);
  for (int i = 0; i < b->n; i++) {
    const char *name = b->at[i].formal->formal.name;
    const Name *n = b->at[i].tensor || i >= b->nplain ? sema_find(s, name, NAME_VALUE) : NULL;
    if (n)
      u.in[u.nin++] = (NamedValue){ name, n->value };
  }
  for (int i = 0; i < u.nout; i++)
    u.out[i] = (NamedValue){ sema_value_name(s, out[i]), out[i] };
  vec_push(s->arena, &s->ops_used, u);
}

/* The body, read in a scope of its own; what belongs to the statement of the call is kept. */
static int expand(Sema *s, Bounds *b, const char *path, Span at, Value *out)
{
  const Ast *sig = b->block->ast->model.signature;
  Sema outer = *s;
  s->scope = (Scope){ .first = s->names.n, .prefix = path, .suffix = "" };
  s->visible = NAME_VALUE;
  s->calls.at = NULL;
  s->calls.n = s->calls.cap = 0;
  bool bound = define_all(s, b, path, at);
  if (bound && is_op(b->block->ast)) {
    if (sema_op_body(s, b->block->ast->model.body, sig->signature.results, out))
      note_use(s, b, path, sig->signature.results, out);
  } else if (bound)
    sema_body(s, b->block->ast->model.body, sig->signature.results, out);
  sema_close(s, s->scope.first);
  s->scope = outer.scope;
  s->visible = outer.visible;
  s->statement = outer.statement;
  s->calls = outer.calls;
  s->owners = outer.owners;
  return ast_length(sig->signature.results);
}

static bool may_expand(Sema *s, const BlockDef *block, Span at)
{
  int depth = 0;
  for (uint32_t i = 0; i < s->blocks.n; i++)
    depth += s->blocks.at[i].active;
  if (block->active) {
    diag_error(s->diag, at, "E0317", "block `%s` calls itself", block->name);
    diag_note(s->diag, block->ast->model.signature->signature.name_at, "it is declared here");
    diag_help(s->diag, "`repeat i in 1..3 { .. }` applies a block several times");
  } else if (depth == CALLS_MAX) {
    diag_error(s->diag, at, "E0602", "blocks call each other more than %d levels deep", CALLS_MAX);
  }
  return !block->active && depth < CALLS_MAX;
}

Value sema_instance(Sema *s, BlockDef *block, const Value *head, const Ast *args, const char *path,
                    Span at)
{
  Bounds b = { .block = block, .ok = true };
  Value *out = ARENA_ARRAY(s->arena, Value, RESULTS_MAX);
  int errors = diag_errors(s->diag);
  block->used = true;
  if (!list_formals(s, &b))
    return none;
  take_arguments(s, head, args, &b);
  if (b.ok)
    all_given(s, &b, at);
  if (!b.ok || block->broken || !may_expand(s, block, at))
    return none;
  block->active = true;
  int n = expand(s, &b, path, at, out);
  block->active = false;
  if (diag_errors(s->diag) > errors) {
    block->broken = true;
    diag_note(s->diag, at, "in the %s `%s`, called here", word_of(block), block->name);
    return none;
  }
  s->tuple = out;
  s->ntuple = n;
  return out[0];
}
