/* Calls of blocks. A call reads the statements of the block anew, with its parameters bound: first
 * the numbers that are given, then the tensors, whose dimensions may name further numbers, then the
 * defaults, which may use all of these. Layers are called after the call: "r1.a.conv1". */
#include "sema/sema.h"

static const Value none = { NULL, 0 };

enum { FORMALS_MAX = 64, CALLS_MAX = 64 };

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
    diag_error(s->diag, sig->signature.name_at, "E0306", "there are two blocks called `%s`", name);
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
  vec_push(s->arena, &s->blocks, ((BlockDef){ .ast = block, .name = name }));
}

void sema_warn_unused_blocks(Sema *s, const Ast *file)
{
  for (uint32_t i = 0; i < s->blocks.n; i++) {
    const Ast *sig = s->blocks.at[i].ast->model.signature;
    bool own = sig->at.begin >= file->at.begin && sig->at.begin < file->at.end;
    if (own && !s->blocks.at[i].used)
      diag_warn(s->diag, sig->signature.name_at, "W0304",
                "block `%s` is never used, and so not checked", s->blocks.at[i].name);
  }
}

/* ---- arguments ---- */

/* What a call gives for each parameter. */
typedef struct {
  const Ast *formal;
  const Ast *given;             /* the argument, or NULL */
  bool tensor;
  Value value;
  Const constant;
} Bound;

typedef struct {
  const BlockDef *block;
  Bound at[FORMALS_MAX];
  int n;
  bool ok;
} Bounds;

static const char *formal_names(Sema *s, const Bounds *b)
{
  const char *words[FORMALS_MAX];
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
  if (!name && *next < b->n)
    return (*next)++;
  if (name)
    diag_error(s->diag, arg->arg.name_at, "E0302", "block `%s` has no parameter `%s`",
               b->block->name, name);
  else
    diag_error(s->diag, arg->at, "E0308", "block `%s` takes %d value%s, and this is one more",
               b->block->name, b->n, b->n == 1 ? "" : "s");
  diag_note(s->diag, b->block->ast->model.signature->signature.name_at, "its parameters are %s",
            formal_names(s, b));
  return -1;
}

/* Evaluates an argument where the call stands. */
static bool evaluate(Sema *s, Bound *b, const Ast *e)
{
  b->given = e;
  b->tensor = b->formal->formal.type || sema_is_tensor(s, e);
  if (!b->tensor)
    return sema_const(s, e, &b->constant);
  b->value = sema_value(s, e, OP_LAYER);
  return b->value.node != NULL;
}

static void take_arguments(Sema *s, const Value *head, const Ast *args, Bounds *b)
{
  Span given[FORMALS_MAX] = { { 0, 0 } };
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
                            arena_printf(s->arena, "`%s` of block `%s`",
                                         b->at[i].formal->formal.name, b->block->name))) {
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
    if (b->at[i].given || formal->formal.dflt)
      continue;
    diag_error(s->diag, at, "E0303", "block `%s` needs its `%s`", b->block->name,
               formal->formal.name);
    diag_note(s->diag, formal->formal.name_at, "the parameter is declared here");
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

static bool define_all(Sema *s, Bounds *b)
{
  bool ok = true;
  for (int i = 0; i < b->n; i++)
    if (b->at[i].given && !b->at[i].tensor)
      define_number(s, &b->at[i]);
  for (int i = 0; i < b->n; i++)
    if (b->at[i].given && b->at[i].tensor)
      ok = define_tensor(s, &b->at[i]) && ok;
  for (int i = 0; i < b->n && ok; i++)
    if (!b->at[i].given) {
      ok = sema_const(s, b->at[i].formal->formal.dflt, &b->at[i].constant);
      define_number(s, &b->at[i]);
    }
  return ok;
}

/* The body, read in a scope of its own; what belongs to the statement of the call is kept. */
static int expand(Sema *s, Bounds *b, const char *path, Value *out)
{
  const Ast *sig = b->block->ast->model.signature;
  Sema outer = *s;
  s->scope = (Scope){ .first = s->names.n, .prefix = path, .suffix = "" };
  s->visible = NAME_VALUE;
  s->calls.at = NULL;
  s->calls.n = s->calls.cap = 0;
  if (define_all(s, b))
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
  for (const Ast *f = block->ast->model.signature->signature.formals; f; f = f->next) {
    if (f->kind != AST_FORMAL)
      return none;
    b.at[b.n++].formal = f;
  }
  take_arguments(s, head, args, &b);
  if (b.ok)
    all_given(s, &b, at);
  if (!b.ok || block->broken || !may_expand(s, block, at))
    return none;
  block->active = true;
  int n = expand(s, &b, path, out);
  block->active = false;
  if (diag_errors(s->diag) > errors) {
    block->broken = true;
    diag_note(s->diag, at, "in the block `%s`, called here", block->name);
    return none;
  }
  s->tuple = out;
  s->ntuple = n;
  return out[0];
}
