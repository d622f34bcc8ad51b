/* Expressions of the text form, by precedence climbing over scalar.def. Types are computed as in
 * build.c; operands that do not fit their operation are refused here. */
#include "loop/read.h"
#include "base/str.h"
#include "loop/text.h"
#include <stdlib.h>
#include <string.h>

enum { NUMBER_LENGTH = 64 };

bool read_fail(Read *r, const char *what, const char *name)
{
  return name ? scan_fail(&r->s, "%s '%s'", what, name) : scan_fail(&r->s, "%s", what);
}

Buffer *read_find_buffer(Read *r, const char *name)
{
  for (uint32_t i = 0; r->kernel && i < r->kernel->formal.n; i++)
    if (str_eq(r->kernel->formal.at[i]->name, name))
      return r->kernel->formal.at[i];
  for (uint32_t i = 0; r->kernel && i < r->kernel->regs.n; i++)
    if (str_eq(r->kernel->regs.at[i]->name, name))
      return r->kernel->regs.at[i];
  for (uint32_t i = 0; !r->kernel && i < r->m->buffers.n; i++)
    if (str_eq(r->m->buffers.at[i]->name, name))
      return r->m->buffers.at[i];
  return NULL;
}

static LExpr *node(Read *r, LExprKind kind, int dtype, int lanes)
{
  LExpr *e = ARENA_NEW(r->arena, LExpr);
  e->kind = kind;
  e->dtype = dtype;
  e->lanes = lanes;
  return e;
}

static bool make_op(Read *r, ScalarOp op, LExpr *const *arg, LExpr **out)
{
  const ScalarDef *def = &scalar_defs[op];
  int type[3], result;
  for (int i = 0; i < def->arity; i++) {
    type[i] = arg[i]->dtype;
    if (arg[i]->lanes != arg[0]->lanes)
      return read_fail(r, "operands of different lanes in", def->name);
  }
  if (!scalar_result(op, type, r->m->real, &result))
    return read_fail(r, "operands of these types do not go with", def->name);
  *out = node(r, LE_OP, result, arg[0]->lanes);
  (*out)->op.op = op;
  for (int i = 0; i < def->arity; i++)
    (*out)->op.arg[i] = arg[i];
  return true;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool read_next_digit(const Read *r) { return r->s.at < r->s.n && is_digit(r->s.text[r->s.at]); }

/* Characters of a number from s->at: digits, fraction, exponent. */
static size_t number_length(const Scan *s)
{
  size_t n = s->at;
  while (n < s->n && is_digit(s->text[n]))
    n++;
  if (n + 1 < s->n && s->text[n] == '.' && is_digit(s->text[n + 1]))
    for (n++; n < s->n && is_digit(s->text[n]); n++)
      continue;
  if (n < s->n && s->text[n] == 'e') {
    size_t k = n + 1;
    if (k < s->n && (s->text[k] == '+' || s->text[k] == '-'))
      k++;
    if (k < s->n && is_digit(s->text[k])) {
      for (n = k; n < s->n && is_digit(s->text[n]); n++)
        continue;
    }
  }
  return n - s->at;
}

static LExpr *real_node(Read *r, double v)
{
  LExpr *e = node(r, LE_REAL, (int)r->m->real, 1);
  e->r = r->m->real == DT_F32 ? (double)(float)v : v;
  return e;
}

static bool read_number(Read *r, bool minus, LExpr **out)
{
  char copy[NUMBER_LENGTH] = { 0 };
  Scan *s = &r->s;
  size_t n = number_length(s);
  if (n + 2 > sizeof copy)
    return read_fail(r, "a number of too many digits", NULL);
  copy[0] = minus ? '-' : '+';
  memcpy(copy + 1, s->text + s->at, n);
  if (strpbrk(copy, ".e")) {
    *out = real_node(r, strtod(copy, NULL));
    s->at += n;
    return true;
  }
  unsigned long long digits = strtoull(copy + 1, NULL, 10),
                     top = (unsigned long long)INT64_MAX + minus;
  if (n > 19 || digits > top)
    return read_fail(r, "an integer of more than 64 bits", NULL);
  s->at += n;
  char suffix = s->at < s->n ? s->text[s->at] : ' ';
  *out = node(r, LE_INT, suffix == 'u' ? DT_U32 : suffix == 's' ? DT_I32 : DT_I64, 1);
  (*out)->i = minus ? (int64_t)(0 - digits) : (int64_t)digits;
  s->at += (*out)->dtype != DT_I64;
  return true;
}

static bool read_arguments(Read *r, LExpr **arg, int max, int *n)
{
  *n = 0;
  if (!scan_need(&r->s, "("))
    return false;
  while (!scan_take(&r->s, ")")) {
    if (*n == max)
      return read_fail(r, "too many arguments", NULL);
    if (*n > 0 && !scan_need(&r->s, ","))
      return false;
    if (!read_expr(r, 0, &arg[(*n)++]))
      return false;
  }
  return true;
}

bool read_lanes(Read *r, int *lanes)
{
  int64_t n;
  if (!scan_int(&r->s, &n))
    return false;
  *lanes = n < 1 || n > LANES_MAX ? 0 : (int)n;
  return lanes_valid(*lanes) || read_fail(r, "lanes are 1, 2, 4, 8 or 16", NULL);
}

/* splat(x, 16), iota(16) */
static bool read_lane_builtin(Read *r, const char *word, LExpr **out)
{
  LExpr *x = NULL;
  int lanes;
  bool splat = str_eq(word, "splat");
  if (!scan_need(&r->s, "(") || (splat && (!read_expr(r, 0, &x) || !scan_need(&r->s, ","))) ||
      !read_lanes(r, &lanes) || !scan_need(&r->s, ")"))
    return false;
  *out = node(r, splat ? LE_SPLAT : LE_IOTA, splat ? x->dtype : (int)r->m->real, lanes);
  if (splat)
    (*out)->from = x;
  return true;
}

static bool find_scalar(const char *word, int form, ScalarOp *op)
{
  for (int i = 0; i < SC_COUNT; i++)
    if (str_eq(scalar_defs[i].name, word) && (form < 0 || scalar_defs[i].form == form)) {
      *op = (ScalarOp)i;
      return true;
    }
  return false;
}

static bool make_call(Read *r, const char *word, LExpr *const *arg, int n, LExpr **out)
{
  const LFunc *f = NULL;
  for (uint32_t i = 0; i < r->m->funcs.n; i++)
    if (str_eq(r->m->funcs.at[i]->name, word))
      f = r->m->funcs.at[i];
  if (!f)
    return read_fail(r, "no function is called", word);
  if (n != f->nparam)
    return read_fail(r, "wrong number of arguments of", word);
  *out = node(r, LE_CALL, f->result->dtype, f->result->lanes);
  (*out)->call.fn = f;
  (*out)->call.narg = n;
  for (int i = 0; i < n; i++)
    (*out)->call.arg[i] = arg[i];
  return true;
}

/* word(arguments) */
static bool read_applied(Read *r, const char *word, LExpr **out)
{
  LExpr *arg[PARAMS_MAX];
  int n, dtype;
  ScalarOp op;
  if (str_eq(word, "splat") || str_eq(word, "iota"))
    return read_lane_builtin(r, word, out);
  if (!read_arguments(r, arg, PARAMS_MAX, &n))
    return false;
  if (find_scalar(word, FORM_FN, &op))
    return n == scalar_defs[op].arity ? make_op(r, op, arg, out)
                                      : read_fail(r, "wrong number of operands of", word);
  if (!loop_text_builtin(word))
    return make_call(r, word, arg, n, out);
  if (n != 1)
    return read_fail(r, "one operand is expected by", word);
  if (!strncmp(word, "reduce_", 7) && find_scalar(word + 7, -1, &op)) {
    *out = node(r, LE_REDUCE, arg[0]->dtype, 1);
    (*out)->reduce.op = (int)op;
    (*out)->reduce.from = arg[0];
    return true;
  }
  bool bits = !strncmp(word, "bits_", 5);
  if (!ltype_parse(bits ? word + 5 : word, &dtype))
    return read_fail(r, "no function is called", word);
  *out = node(r, bits ? LE_BITS : LE_CAST, dtype, arg[0]->lanes);
  (*out)->from = arg[0];
  return true;
}

/* The bracket after the name of a buffer: "[index]" or "[index : lanes]". */
bool read_element(Read *r, const char *name, Buffer **buf, LExpr **index, int *lanes)
{
  *buf = read_find_buffer(r, name);
  if (!*buf || !r->kernel)
    return read_fail(r, "no buffer is called", name);
  *lanes = (*buf)->lanes;
  if (!scan_need(&r->s, "[") || !read_expr(r, 0, index))
    return false;
  if (scan_take(&r->s, ":") && !read_lanes(r, lanes))
    return false;
  return scan_need(&r->s, "]");
}

static bool read_named(Read *r, LExpr **out)
{
  const char *word;
  Buffer *buf;
  LExpr *index;
  int lanes;
  if (!scan_word(&r->s, &word))
    return false;
  if (str_eq(word, "inf") || str_eq(word, "nan")) {
    *out = real_node(r, strtod(word, NULL));
    return true;
  }
  if (scan_next_is(&r->s, "("))
    return read_applied(r, word, out);
  if (scan_next_is(&r->s, "[")) {
    if (!read_element(r, word, &buf, &index, &lanes))
      return false;
    *out = node(r, LE_LOAD, (int)buf->dtype, lanes);
    (*out)->load.buf = buf;
    (*out)->load.index = index;
    return true;
  }
  for (uint32_t i = r->local.n; i-- > 0;)
    if (str_eq(r->local.at[i].name, word)) {
      const LVar *v = r->local.at[i].var;
      *out = node(r, LE_VAR, (int)v->dtype, v->lanes);
      (*out)->var = v;
      return true;
    }
  return read_fail(r, "no variable is called", word);
}

static bool read_negative(Read *r, LExpr **out)
{
  LExpr *x[3];
  Scan *s = &r->s;
  if (read_next_digit(r))
    return read_number(r, true, out);
  if (scan_take(s, "inf")) {
    *out = real_node(r, strtod("-inf", NULL));
    return true;
  }
  return read_expr(r, scalar_defs[SC_neg].prec + 1, &x[0]) && make_op(r, SC_neg, x, out);
}

static bool read_primary(Read *r, LExpr **out)
{
  Scan *s = &r->s;
  if (scan_take(s, "-"))
    return read_negative(r, out);
  if (scan_take(s, "("))
    return read_expr(r, 0, out) && scan_need(s, ")");
  if (read_next_digit(r))
    return read_number(r, false, out);
  return read_named(r, out);
}

/* The infix operator here, the longest one, without taking it. */
static bool next_infix(Read *r, ScalarOp *op, const char **token)
{
  size_t best = 0;
  for (int i = 0; i < SC_COUNT; i++) {
    if (scalar_defs[i].form != FORM_IN)
      continue;
    const char *text = scalar_defs[i].text + 1;         /* " + " */
    const char *word = arena_strndup(r->arena, text, strlen(text) - 1);
    if (strlen(word) > best && scan_next_is(&r->s, word)) {
      best = strlen(word);
      *op = (ScalarOp)i;
      *token = word;
    }
  }
  return best > 0;
}

bool read_expr(Read *r, int outer, LExpr **out)
{
  ScalarOp op;
  const char *token;
  if (++r->nest > NEST_MAX)
    return read_fail(r, "an expression nested too deeply", NULL);
  bool good = read_primary(r, out);
  while (good && next_infix(r, &op, &token) && scalar_defs[op].prec >= outer) {
    LExpr *x[3] = { *out };
    scan_take(&r->s, token);
    good = read_expr(r, scalar_defs[op].prec + 1, &x[1]) && make_op(r, op, x, out);
  }
  r->nest--;
  return good;
}
