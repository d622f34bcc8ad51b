/* Expressions by precedence: the fewest parentheses that keep the association of the tree, plus
 * those that readers and compilers want around mixed bit operations. Both sides of `&` on scalars
 * have no effects, so conditions read `a && b`. */
#include "backend/c/c.h"
#include <inttypes.h>

enum {
  PREC_TERNARY = 3,
  PREC_OROR = 4,
  PREC_ANDAND = 5,
  PREC_OR = 6,
  PREC_EQUAL = 9,
  PREC_SHIFT = 11
};

static void operand(C *c, const LExpr *e, int outer, bool vector);

static bool is_scalar_bool(const LExpr *e)
{
  return e->dtype == TY_BOOL && e->lanes == 1;
}

/* How an infix operator is spelled and binds. */
static const char *infix(const LExpr *e, int *prec)
{
  const ScalarDef *def = &scalar_defs[e->op.op];
  *prec = def->prec;
  if (e->op.op == SC_and && is_scalar_bool(e)) {
    *prec = PREC_ANDAND;
    return " && ";
  }
  if (e->op.op == SC_or && is_scalar_bool(e)) {
    *prec = PREC_OROR;
    return " || ";
  }
  return def->text;
}

/* The strength that an operand needs beside an operator of strength prec: bit operations and shifts
 * take no bare infix operand but a chain of their own on the left, && and || take comparisons. */
static int strength(const LExpr *parent, const LExpr *child, int prec, bool left)
{
  bool chain = left && child->kind == LE_OP && child->op.op == parent->op.op;
  if (chain && prec != PREC_SHIFT)
    return prec;
  if (prec == PREC_ANDAND || prec == PREC_OROR)
    return PREC_EQUAL;
  if (prec >= PREC_OR && prec < PREC_EQUAL)
    return PREC_UNARY;
  if (prec == PREC_SHIFT)
    return PREC_UNARY;
  return left ? prec : prec + 1;
}

static void print_infix(C *c, const LExpr *e)
{
  int prec;
  const char *text = infix(e, &prec);
  const LExpr *x = e->op.arg[0], *y = e->op.arg[1];
  bool vector = e->lanes > 1 || x->lanes > 1;
  operand(c, x, strength(e, x, prec, true), vector && y->kind != LE_SPLAT);
  bool minus = e->op.op == SC_add && y->kind == LE_INT && y->i < 0 && y->i > -INT32_MAX;
  if (minus) {
    out_printf(c->line, " - %" PRId64, -y->i);
    return;
  }
  out_printf(c->line, "%s", text);
  operand(c, y, strength(e, y, prec, false), vector && x->kind != LE_SPLAT);
}

/* An operand of an infix operation on vectors: a constant in all lanes is written plainly. */
static void operand(C *c, const LExpr *e, int outer, bool vector)
{
  bool constant = e->kind == LE_SPLAT && (e->from->kind == LE_INT || e->from->kind == LE_REAL);
  bool bare = vector && constant && e->dtype != TY_BOOL && e->dtype != DT_I64;
  c_expr(c, bare ? e->from : e, outer);
}

static void print_args(C *c, LExpr *const *arg, int n)
{
  out_printf(c->line, "(");
  for (int i = 0; i < n; i++) {
    if (i > 0)
      out_printf(c->line, ", ");
    c_expr(c, arg[i], PREC_NONE);
  }
  out_printf(c->line, ")");
}

/* ---- functions of scalar.def ---- */

static const char *libm_name(const LExpr *e)
{
  bool f32 = e->dtype == DT_F32;
  switch (e->op.op) {
  case SC_fma: return f32 ? "fmaf" : "fma";
  case SC_sqrt: return f32 ? "sqrtf" : "sqrt";
  case SC_abs: return f32 ? "fabsf" : "fabs";
  case SC_round: return f32 ? "rintf" : "rint";
  }
  return NULL;
}

static Helper helper_of(int op)
{
  switch (op) {
  case SC_fma: return H_FMA;
  case SC_min: return H_MIN;
  case SC_max: return H_MAX;
  case SC_sqrt: return H_SQRT;
  case SC_abs: return H_ABS;
  case SC_round: return H_ROUND;
  case SC_shl: return H_SHL;
  case SC_shr: return H_SHR;
  case SC_mulhi: return H_MULHI;
  case SC_ziplo: return H_ZIPLO;
  case SC_ziphi: return H_ZIPHI;
  case SC_select: return H_SELECT;
  }
  ice("backend c: no function for '%s'", scalar_defs[op].name);
}

static void print_select(C *c, const LExpr *e)
{
  c_expr(c, e->op.arg[0], PREC_TERNARY + 1);
  out_printf(c->line, " ? ");
  c_expr(c, e->op.arg[1], PREC_TERNARY + 1);
  out_printf(c->line, " : ");
  c_expr(c, e->op.arg[2], PREC_TERNARY + 1);
}

static void print_function(C *c, const LExpr *e)
{
  const char *name = e->lanes == 1 ? libm_name(e) : NULL;
  if (!name)
    name = c_helper(c, helper_of(e->op.op), e->dtype, e->lanes);
  out_printf(c->line, "%s", name);
  print_args(c, e->op.arg, scalar_defs[e->op.op].arity);
}

static void print_prefix(C *c, const LExpr *e, const char *sign)
{
  out_printf(c->line, "%s", sign);
  c_expr(c, e->op.arg[0], PREC_UNARY + 1);
}

/* Shifts of i64 go through unsigned words. */
static bool is_function(const LExpr *e)
{
  bool shift = e->op.op == SC_shl || e->op.op == SC_shr;
  return (shift && e->dtype == DT_I64) || scalar_defs[e->op.op].form == FORM_FN;
}

static int op_strength(const LExpr *e)
{
  int prec;
  if (e->op.op == SC_not || scalar_defs[e->op.op].form == FORM_PRE)
    return PREC_UNARY;
  if (e->op.op == SC_select && e->lanes == 1)
    return PREC_TERNARY;
  if (is_function(e))
    return PREC_POSTFIX;
  infix(e, &prec);
  return prec;
}

static void print_op(C *c, const LExpr *e)
{
  if (e->op.op == SC_not)
    print_prefix(c, e, e->lanes == 1 ? "!" : "~");
  else if (e->op.op == SC_select && e->lanes == 1)
    print_select(c, e);
  else if (is_function(e))
    print_function(c, e);
  else if (scalar_defs[e->op.op].form == FORM_PRE)
    print_prefix(c, e, scalar_defs[e->op.op].text);
  else
    print_infix(c, e);
}

/* ---- the other kinds ---- */

static void print_load(C *c, const LExpr *e)
{
  const Buffer *buf = e->load.buf;
  if (buf->role == BUF_REGISTER) {
    const char *name = c_reg(c, buf, e->load.index)->name;
    if (!name)
      ice("backend c: register '%s' is read before it is declared", buf->name);
    out_printf(c->line, "%s", name);
    return;
  }
  const char *name = c->name[buf->id];
  if (!name)
    ice("backend c: buffer '%s' is out of reach", buf->name);
  if (e->lanes > 1)
    out_printf(c->line, "%s(&%s[", c_helper(c, H_LOAD, e->dtype, e->lanes), name);
  else
    out_printf(c->line, "%s[", name);
  int64_t arg = e->load.index->kind == LE_INT ? e->load.index->i : -1;
  static const char *const args[] = {
    "GRADRT_ARG_LR", "GRADRT_ARG_N", "GRADRT_ARG_STEP", "GRADRT_ARG_BC1", "GRADRT_ARG_BC2",
    "GRADRT_ARG_SEED_LO", "GRADRT_ARG_SEED_HI", "GRADRT_ARG_EPOCH", "GRADRT_ARG_GROUP",
    "GRADRT_ARG_UPDATE", "GRADRT_ARG_AVERAGE", "GRADRT_ARG_SHARE"
  };
  _Static_assert(ARRAY_LEN(args) == GRADRT_ARG_COUNT, "one name for each step argument");
  if (c->is_args[buf->id] && arg >= 0 && arg < GRADRT_ARG_COUNT)
    out_printf(c->line, "%s", args[arg]);
  else
    c_expr(c, e->load.index, PREC_NONE);
  out_printf(c->line, e->lanes > 1 ? "])" : "]");
}

static void print_int(C *c, const LExpr *e)
{
  if (e->dtype != DT_U32)
    out_printf(c->line, "%s", c_integer(c->arena, e->i));
  else if (e->i < 65536)
    out_printf(c->line, "%" PRId64 "u", e->i);
  else
    out_printf(c->line, "0x%08" PRIx64 "u", e->i);
}

/* Lanes from one type to another; vectors of booleans are -1 or 0. */
static void print_cast(C *c, const LExpr *e)
{
  const LExpr *from = e->from;
  if (e->lanes == 1) {
    out_printf(c->line, "(%s)", c_type(c, e->dtype, 1));
    c_expr(c, from, PREC_UNARY);
    return;
  }
  int real = (int)c->m->real;
  if ((from->dtype == DT_U8 && e->dtype == real) || (from->dtype == real && e->dtype == DT_U8)) {
    out_printf(c->line, "%s(", c_helper(c, e->dtype == real ? H_WIDEN : H_BYTES, real, e->lanes));
    c_expr(c, from, PREC_NONE);
    out_printf(c->line, ")");
    return;
  }
  out_printf(c->line, "__builtin_convertvector(");
  c_expr(c, from, PREC_NONE);
  out_printf(c->line, ", %s)", c_type(c, e->dtype, e->lanes));
}

static void print_bits(C *c, const LExpr *e)
{
  if (e->lanes == 1) {
    out_printf(c->line, "%s(", c_helper(c, H_BITS, e->dtype, 1));
    c_expr(c, e->from, PREC_NONE);
    out_printf(c->line, ")");
    return;
  }
  out_printf(c->line, "(%s)", c_type(c, e->dtype, e->lanes));
  c_expr(c, e->from, PREC_UNARY);
}

static void print_reduce(C *c, const LExpr *e)
{
  Helper h = e->reduce.op == SC_add ? H_SUM : e->reduce.op == SC_min ? H_LEAST : H_GREATEST;
  if (e->reduce.op != SC_add && e->reduce.op != SC_min && e->reduce.op != SC_max)
    ice("backend c: reduction by '%s'", scalar_defs[e->reduce.op].name);
  out_printf(c->line, "%s(", c_helper(c, h, e->dtype, e->reduce.from->lanes));
  c_expr(c, e->reduce.from, PREC_NONE);
  out_printf(c->line, ")");
}

static void print_splat(C *c, const LExpr *e)
{
  out_printf(c->line, "%s(", c_helper(c, H_SPLAT, e->dtype, e->lanes));
  c_expr(c, e->from, PREC_NONE);
  out_printf(c->line, ")");
}

static int expr_strength(const LExpr *e)
{
  switch (e->kind) {
  case LE_INT:
    return e->i < 0 ? PREC_UNARY : PREC_POSTFIX;
  case LE_REAL:
    return e->r < 0 || 1 / e->r < 0 || (e->dtype == DT_F64 && (e->r - e->r != 0)) ? PREC_UNARY
                                                                                  : PREC_POSTFIX;
  case LE_OP:
    return op_strength(e);
  case LE_CAST:
    return e->lanes == 1 ? PREC_UNARY : PREC_POSTFIX;
  case LE_BITS:
    return e->lanes == 1 ? PREC_POSTFIX : PREC_UNARY;
  case LE_VAR: case LE_LOAD: case LE_SPLAT: case LE_IOTA: case LE_REDUCE: case LE_CALL:
    break;
  }
  return PREC_POSTFIX;
}

static void print(C *c, const LExpr *e)
{
  switch (e->kind) {
  case LE_INT:
    print_int(c, e);
    break;
  case LE_REAL:
    out_printf(c->line, "%s", c_real(c->arena, e->r, (DType)e->dtype));
    break;
  case LE_VAR:
    if (!c->name[e->var->id])
      ice("backend c: variable '%s' is out of scope", e->var->name);
    out_printf(c->line, "%s", c->name[e->var->id]);
    break;
  case LE_LOAD:
    print_load(c, e);
    break;
  case LE_OP:
    print_op(c, e);
    break;
  case LE_CAST:
    print_cast(c, e);
    break;
  case LE_BITS:
    print_bits(c, e);
    break;
  case LE_SPLAT:
    print_splat(c, e);
    break;
  case LE_IOTA:
    out_printf(c->line, "%s()", c_helper(c, H_IOTA, e->dtype, e->lanes));
    break;
  case LE_REDUCE:
    print_reduce(c, e);
    break;
  case LE_CALL: {
    const char *name = c_func(c, e->call.fn);
    out_printf(c->line, "%s", name);
    print_args(c, e->call.arg, e->call.narg);
    break;
  }
  }
}

void c_expr(C *c, const LExpr *e, int outer)
{
  bool constant = e->kind == LE_INT || e->kind == LE_REAL;
  bool splat = constant && e->lanes > 1;
  bool parens = !splat && expr_strength(e) < outer;
  if (splat)
    out_printf(c->line, "%s", c_helper(c, H_SPLAT, e->dtype, e->lanes));
  if (splat || parens)
    out_printf(c->line, "(");
  print(c, e);
  if (splat || parens)
    out_printf(c->line, ")");
}
