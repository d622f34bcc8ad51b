/* The table of scalar functions, and what types expressions may have. */
#include "loop/expr.h"
#include "base/str.h"
#include <string.h>

const ScalarDef scalar_defs[SC_COUNT] = {
#define S(name, arity, types, form, text, prec) { #name, arity, types, text, FORM_##form, prec },
#include "loop/scalar.def"
#undef S
};

const char *ltype_text(int dtype)
{
  static const char *const text[] = {
#define X(k, text, bytes, c) text,
    DTYPES(X)
#undef X
    "bool"
  };
  return dtype >= 0 && dtype < (int)ARRAY_LEN(text) ? text[dtype] : "?";
}

bool ltype_parse(const char *text, int *dtype)
{
  for (int i = 0; i <= TY_BOOL; i++)
    if (str_eq(text, ltype_text(i))) {
      *dtype = i;
      return true;
    }
  return false;
}

int ltype_bytes(int dtype, DType real)
{
  static const int bytes[] = {
#define X(k, text, bytes, c) bytes,
    DTYPES(X)
#undef X
  };
  return bytes[dtype == TY_BOOL ? (int)real : dtype];
}

bool lanes_valid(int lanes)
{
  return lanes >= 1 && lanes <= LANES_MAX && (lanes & (lanes - 1)) == 0;
}

static int letter_type(char letter, DType real)
{
  switch (letter) {
  case 'r': return (int)real;
  case 'i': return DT_I64;
  case 'u': return DT_U32;
  case 'b': return TY_BOOL;
  }
  ice("scalar.def: type letter '%c'", letter);
}

bool scalar_result(ScalarOp op, const int *dtype, DType real, int *result)
{
  const ScalarDef *def = &scalar_defs[op];
  for (const char *sig = def->types; *sig; sig += strspn(sig, " ")) {
    int i = 0;
    while (i < def->arity && letter_type(sig[i], real) == dtype[i])
      i++;
    if (i == def->arity) {
      *result = letter_type(sig[i], real);
      return true;
    }
    sig += def->arity + 1;
  }
  return false;
}

bool cast_valid(int from, int to)
{
  return from < DT_COUNT && to < DT_COUNT && from >= 0 && to >= 0;
}

bool bits_valid(int from, int to)
{
  return (from == DT_F32 && to == DT_U32) || (from == DT_U32 && to == DT_F32) ||
         (from == DT_F64 && to == DT_I64) || (from == DT_I64 && to == DT_F64);
}

bool reduce_valid(ScalarOp op, int dtype, int lanes)
{
  return (op == SC_add || op == SC_max || op == SC_min) && (dtype == DT_F32 || dtype == DT_F64) &&
         lanes > 1;
}

bool lexpr_is_int(const LExpr *e, int64_t *i)
{
  if (e->kind != LE_INT || e->dtype != DT_I64 || e->lanes != 1)
    return false;
  *i = e->i;
  return true;
}

void lexpr_each(const LExpr *e, void (*fn)(void *ctx, const LExpr *operand), void *ctx)
{
  switch (e->kind) {
  case LE_INT: case LE_REAL: case LE_VAR: case LE_IOTA: return;
  case LE_LOAD: fn(ctx, e->load.index); return;
  case LE_OP:
    for (int i = 0; i < scalar_defs[e->op.op].arity; i++)
      fn(ctx, e->op.arg[i]);
    return;
  case LE_CAST: case LE_BITS: case LE_SPLAT: fn(ctx, e->from); return;
  case LE_REDUCE: fn(ctx, e->reduce.from); return;
  case LE_CALL:
    for (int i = 0; i < e->call.narg; i++)
      fn(ctx, e->call.arg[i]);
    return;
  }
}
