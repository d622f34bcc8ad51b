/* The text of the C back end: expressions, names, comments, numbers, layout of a file; and that
 * programs compile without warnings and compute what the interpreter of the loop IR computes. */
#include "emit_test.h"
#include "describe.h"
#include "loop/interp.h"
#include <float.h>
#include <math.h>

/* ---- expressions ---- */

typedef struct {
  Build *b;
  LExpr *i, *j, *x, *y, *z, *v, *w;     /* indices, scalars, vectors */
} Env;

static LExpr *op(Env *e, ScalarOp o, LExpr *x, LExpr *y) { return l_op(e->b, o, x, y, NULL); }
static LExpr *sub_left(Env *e) { return op(e, SC_sub, op(e, SC_sub, e->x, e->y), e->z); }
static LExpr *sub_right(Env *e) { return op(e, SC_sub, e->x, op(e, SC_sub, e->y, e->z)); }
static LExpr *add_right(Env *e) { return op(e, SC_add, e->x, op(e, SC_add, e->y, e->z)); }
static LExpr *add_left(Env *e) { return op(e, SC_add, op(e, SC_add, e->x, e->y), e->z); }
static LExpr *mul_sum(Env *e) { return op(e, SC_mul, op(e, SC_add, e->x, e->y), e->z); }
static LExpr *sum_mul(Env *e) { return op(e, SC_add, e->x, op(e, SC_mul, e->y, e->z)); }
static LExpr *div_mul(Env *e) { return op(e, SC_div, e->x, op(e, SC_mul, e->y, e->z)); }
static LExpr *neg_neg(Env *e) { return op(e, SC_neg, op(e, SC_neg, e->x, NULL), NULL); }
static LExpr *sub_neg(Env *e) { return op(e, SC_sub, e->x, op(e, SC_neg, e->y, NULL)); }
static LExpr *neg_sum(Env *e) { return op(e, SC_neg, op(e, SC_add, e->x, e->y), NULL); }
static LExpr *sub_const(Env *e) { return op(e, SC_sub, e->x, l_real(e->b, -0.5)); }
static LExpr *fma3(Env *e) { return l_fma(e->b, e->x, e->y, e->z); }
static LExpr *both(Env *e)
{
  return op(e, SC_and, op(e, SC_lt, e->x, e->y), op(e, SC_le, e->y, e->z));
}
static LExpr *both_or(Env *e)
{
  return op(e, SC_or, both(e), op(e, SC_not, op(e, SC_eq, e->x, e->z), NULL));
}
static LExpr *choose(Env *e) { return l_op(e->b, SC_select, both(e), e->x, e->y); }
static LExpr *choose_sum(Env *e) { return op(e, SC_add, choose(e), e->z); }
static LExpr *logic(Env *e) { return l_op(e->b, SC_select, both_or(e), e->x, e->y); }
static LExpr *vector_half(Env *e)
{
  return op(e, SC_mul, l_splat(e->b, l_real(e->b, 0.5), 16), e->v);
}
static LExpr *vector_relu(Env *e) { return op(e, SC_max, e->v, l_real(e->b, 0)); }
static LExpr *vector_fma(Env *e) { return l_fma(e->b, l_splat(e->b, e->x, 16), e->v, e->w); }
static LExpr *vector_select(Env *e)
{
  return l_op(e->b, SC_select, op(e, SC_and, op(e, SC_lt, e->v, e->w), op(e, SC_le, e->w, e->v)),
              e->v, e->w);
}
static LExpr *vector_sum(Env *e) { return l_reduce(e->b, SC_add, op(e, SC_sub, e->v, e->w)); }
static LExpr *vector_bits(Env *e)
{
  LExpr *u = op(e, SC_shl, l_bits(e->b, e->v, DT_U32), l_u32(e->b, 13));
  return l_bits(
      e->b, op(e, SC_xor, u, op(e, SC_and, l_bits(e->b, e->w, DT_U32), l_u32(e->b, 0x9e3779b9))),
      DT_F32);
}
static LExpr *cast_index(Env *e) { return l_cast(e->b, op(e, SC_add, e->i, e->j), DT_F32); }
static LExpr *index_chain(Env *e)
{
  LExpr *i = l_mul(e->b, l_addi(e->b, l_muli(e->b, e->i, 28), -1), e->j);
  return l_cast(e->b, l_mod(e->b, l_div(e->b, i, l_int(e->b, 16)), l_int(e->b, 7)), DT_F32);
}
static LExpr *index_div(Env *e)
{
  return l_cast(e->b, l_mul(e->b, e->i, l_div(e->b, e->j, l_int(e->b, 3))), DT_F32);
}

static const struct {
  LExpr *(*make)(Env *);
  const char *text;
} expressions[] = {
  { sub_left, "x - y - z" },
  { sub_right, "x - (y - z)" },
  { add_left, "x + y + z" },
  { add_right, "x + (y + z)" },
  { mul_sum, "(x + y) * z" },
  { sum_mul, "x + y * z" },
  { div_mul, "x / (y * z)" },
  { neg_neg, "-(-x)" },
  { sub_neg, "x - -y" },
  { neg_sum, "-(x + y)" },
  { sub_const, "x - -0.5f" },
  { fma3, "fmaf(x, y, z)" },
  { choose, "x < y && y <= z ? x : y" },
  { choose_sum, "(x < y && y <= z ? x : y) + z" },
  { logic, "(x < y && y <= z) || !(x == z) ? x : y" },
  { vector_half, "0.5f * v" },
  { vector_relu, "max16(v, splat16(0.0f))" },
  { vector_fma, "fma16(splat16(x), v, w)" },
  { vector_select, "select16((v < w) & (w <= v), v, w)" },
  { vector_sum, "sum16(v - w)" },
  { vector_bits, "(v16)(((u32x16)v << 13u) ^ ((u32x16)w & 0x9e3779b9u))" },
  { cast_index, "(float)(i + j)" },
  { index_chain, "(float)((i * 28 - 1) * j / 16 % 7)" },
  { index_div, "(float)(i * (j / 3))" },
};

static void test_expressions_keep_association(void **state)
{
  (void)state;
  for (size_t row = 0; row < ARRAY_LEN(expressions); row++) {
    Case t = case_begin("t", DT_F32, 4096);
    Build *b = t.b;
    Buffer *in = l_buffer(b, "in", BUF_STATE, DT_F32, 256),
           *out = l_buffer(b, "out", BUF_STATE, DT_F32, 256);
    out->offset = 1024;
    l_kernel(b, "k");
    Buffer *p = l_formal(b, in, "p", false), *q = l_formal(b, out, "q", true);
    Env e = { .b = b };
    e.i = l_var(b, l_loop(b, "i", l_int(b, 0), l_int(b, 2), 1, FOR_PLAIN));
    e.j = l_var(b, l_loop(b, "j", l_int(b, 0), l_int(b, 2), 1, FOR_PLAIN));
    e.x = l_let(b, "x", l_load(b, p, e.i, 1));
    e.y = l_let(b, "y", l_load(b, p, e.j, 1));
    e.z = l_let(b, "z", l_load(b, p, l_int(b, 3), 1));
    e.v = l_let(b, "v", l_load(b, p, l_int(b, 16), 16));
    e.w = l_let(b, "w", l_load(b, p, l_int(b, 32), 16));
    LExpr *made = expressions[row].make(&e);
    l_store(b, q, l_int(b, 0), made);
    l_end(b);
    l_end(b);
    l_kernel_end(b);
    const char *format = made->lanes > 1 ? "      store16(&q[0], %s);\n" : "      q[0] = %s;\n";
    char line[256];
    snprintf(line, sizeof line, format, expressions[row].text);
    const char *text = case_emit(&t);
    if (!strstr(text, line)) {
      const char *at = strstr(text, "q[0]");
      print_error("row %zu: expected\n%sin\n%.120s\n", row, line, at ? at : "(no store)");
      fail();
    }
    case_end(&t);
  }
}

/* ---- names, comments, strings, numbers ---- */

static const struct { const char *want, *got; } name_rows[] = {
  { "c1.weight", "c1_weight" },
  { "C1 Weight", "c1_weight_2" },
  { "c1-weight", "c1_weight_3" },
  { "int", "int_2" },
  { "main", "main_2" },
  { "linux", "linux_2" },
  { "errno", "errno_2" },
  { "NULL", "null" },
  { "I", "i" },
  { "_Exit", "exit" },
  { "__builtin_trap", "builtin_trap" },
  { "asm", "asm_2" },
  { "", "x" },
  { "2d", "n2d" },
  { "x; system(\"id\"); //", "x_system_id" },
  { "*/ int main(){return 7;} /*", "int_main_return_7" },
  { "a\\\n#include \"/etc/passwd\"", "a_include_etc_passwd" },
  { "?" "?/", "x_2" },
  { "%:%s%n", "s_n" },
  { "\xe2\x80\xae" "abc", "abc" },
  { "gradrt_step", "x_gradrt_step" },
  { "size_t", "size_tx" },
  { "load16", "load16_2" },
  { "idx", "idx_2" },
};

static void test_names_are_safe_and_unique(void **state)
{
  (void)state;
  Case t = case_begin("t", DT_F32, 0);
  C c = { .m = t.module, .arena = t.arena, .names = names_new(t.arena) };
  c_take_helper_names(&c);
  for (size_t i = 0; i < ARRAY_LEN(name_rows); i++)
    assert_string_equal(names_local(c.names, name_rows[i].want), name_rows[i].got);
  case_end(&t);
}

static void test_names_long_and_scoped(void **state)
{
  (void)state;
  Case t = case_begin("t", DT_F32, 0);
  Names *n = names_new(t.arena);
  char a[200], b[200];
  memset(a, 'a', sizeof a);
  memcpy(b, a, sizeof a);
  a[128] = b[129] = '\0';
  const char *first = names_local(n, a), *second = names_local(n, b);
  assert_string_not_equal(first, second);
  assert_true(strlen(first) <= 48 && strlen(second) <= 48);
  uint32_t mark = names_enter(n);
  assert_string_equal(names_local(n, "oy"), "oy");
  assert_string_equal(names_local(n, "oy"), "oy_2");
  names_leave(n, mark);
  assert_string_equal(names_local(n, "oy"), "oy");
  uint32_t hidden = names_hide(n);
  assert_string_equal(names_local(n, "oy"), "oy");
  names_show(n, hidden);
  assert_string_equal(names_local(n, "oy"), "oy_2");
  static const char text[] = "int gradrt_x(int oz);";
  names_take_text(n, text, sizeof text - 1, TAKE_FOR_FILE);
  assert_string_equal(names_local(n, "oz"), "oz");
  assert_string_equal(names_global(n, "oz"), "oz_2");
  case_end(&t);
}

static void test_prefix_leaves_families_of_libc_alone(void **state)
{
  (void)state;
  static const struct { const char *net, *prefix;
  } rows[] = {
    { "lenet", "lenet" },
    { "LeNet-5", "lenet_5" },
    { "pthread", "net_pthread" },
    { "size", "net_size" },
    { "posix mem", "net_posix_mem" },
    { "gradrt", "net_gradrt" },
    { "int", "net_int" },
    { "", "x" },
  };
  Case t = case_begin("t", DT_F32, 0);
  for (size_t i = 0; i < ARRAY_LEN(rows); i++)
    assert_string_equal(names_prefix(t.arena, rows[i].net), rows[i].prefix);
  case_end(&t);
}

static void test_comments_and_strings_escape(void **state)
{
  (void)state;
  Case t = case_begin("t", DT_F32, 0);
  Arena *a = t.arena;
  assert_string_equal(c_comment_text(a, "*/ x /* y"), "* / x / * y");
  assert_string_equal(c_comment_text(a, "a*\\\n/b"), "a*__/b");
  assert_string_equal(c_comment_text(a, "?" "?/ \x1b[0m \xff"), "? ?/ _[0m _");
  assert_string_equal(c_comment_text(a, "**//"), "** //");
  assert_string_equal(c_string(a, "a\"b\\c\x01" "2?" "?/"), "\"a\\042b\\134c\\0012\\077\\077/\"");
  assert_string_equal(c_string(a, NULL), "NULL");
  assert_string_equal(c_string(a, "one\ntwo"), "\n  \"one\\n\"\n  \"two\"");
  case_end(&t);
}

static void test_reals_read_back_exactly(void **state)
{
  (void)state;
  static const double rows[] = {
    0.0,  -0.0, 1,       10,      0.1,     1e9,     1.0 / 3,  16777216, 88.72283905206835,
    1e-3, 1e22, FLT_MIN, FLT_MAX, DBL_MIN, DBL_MAX, 4.9e-324, -2.5,     123456789.125,
    1e15, 1e16
  };
  static const struct { double r; DType t; const char *text;
  } exact[] = {
    { 10, DT_F64, "10.0" },
    { 0.1, DT_F32, "0.1f" },
    { 0.25, DT_F64, "0.25" },
    { -0.0, DT_F32, "-0.0f" },
    { 1e-4, DT_F64, "0.0001" },
    { 16777216, DT_F32, "16777216.0f" },
    { 1e30, DT_F64, "1e+30" },
    { INFINITY, DT_F32, "INFINITY" },
    { -INFINITY, DT_F64, "-(double)INFINITY" },
    { NAN, DT_F32, "NAN" },
  };
  Case t = case_begin("t", DT_F32, 0);
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    assert_true(strtod(c_real(t.arena, rows[i], DT_F64), NULL) == rows[i]);
    if (fabs(rows[i]) <= FLT_MAX)
      assert_true(strtof(c_real(t.arena, rows[i], DT_F32), NULL) == (float)rows[i]);
  }
  for (size_t i = 0; i < ARRAY_LEN(exact); i++)
    assert_string_equal(c_real(t.arena, exact[i].r, exact[i].t), exact[i].text);
  assert_string_equal(c_integer(t.arena, INT64_MIN), "INT64_MIN");
  case_end(&t);
}

#define A50 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
static const struct { const char *line, *broken;
} long_lines[] = {
  { "call(aaaaaaaaaaaaaaaaaaaaaaaaaaaa, bbbbbbbbbbbbbbbbbbbbbbbbbbbbb * (ccccccccccccccccccccccc + "
    "d), "
    "eeeeeeeeeeeeeeeeee, \"a, b, c, d\");",
    "call(aaaaaaaaaaaaaaaaaaaaaaaaaaaa, bbbbbbbbbbbbbbbbbbbbbbbbbbbbb * (ccccccccccccccccccccccc + "
    "d),\n"
    "    eeeeeeeeeeeeeeeeee, \"a, b, c, d\");\n" },
  { "x[i * 100 + j] = fmaf(" A50 "[(i * 784 + j) / 28 * 28], " A50 ");",
    "x[i * 100 + j] = fmaf(" A50 "[(i * 784 + j) / 28 * 28],\n    " A50 ");\n" },
  { "x[i * 100 + j] = fmaf(" A50 A50 ", y);",
    "x[i * 100 + j] =\n    fmaf(" A50 A50 ",\n    y);\n" },
  { "void " A50 A50 "(int a, int b)", "void " A50 A50 "(int a,\n    int b)\n" },
};

static void test_long_lines_break_where_nesting_is_least(void **state)
{
  (void)state;
  Case t = case_begin("t", DT_F32, 0);
  for (size_t i = 0; i < ARRAY_LEN(long_lines); i++) {
    Out *o = out_new(t.arena);
    c_put_wrapped(o, long_lines[i].line, strlen(long_lines[i].line));
    assert_string_equal(out_text(o), long_lines[i].broken);
  }
  case_end(&t);
}

/* ---- a module with everything ---- */

enum { STATE = 1 << 16, X_AT = 0, W_AT = 8192, Y_AT = 16384, U_AT = 32768 };

/* Registers, loops of both kinds, a branch, math, step arguments, rows, constants, notes. */
typedef struct {
  Buffer *x, *w, *y, *u, *h, *s, *rows, *ids, *args, *out, *fixed;
} Everything;

static Everything make_buffers(Case *t)
{
  Build *b = t->b;
  static const double table[] = { 0.5, -1.25, 3, 1e-3 };
  DType real = t->module->real;
  Everything f = {
    .x = l_buffer(b, "x", BUF_STATE, real, 512),
    .w = l_buffer(b, "c1.weight", BUF_STATE, real, 512),
    .y = l_buffer(b, "y", BUF_STATE, real, 512),
    .u = l_buffer(b, "mask", BUF_STATE, DT_U8, 512),
    .h = l_buffer(b, "hidden", BUF_ARENA, real, 512),
    .s = l_buffer(b, "scratch", BUF_WORKER, real, 64),
    .rows = l_buffer(b, "rows", BUF_ROWS, DT_U8, 0),
    .ids = l_buffer(b, "ids", BUF_IDS, DT_U32, 0),
    .args = l_buffer(b, "args", BUF_ARGS, DT_F64, GRADRT_ARG_COUNT),
    .out = l_buffer(b, "loss", BUF_OUT, real, 1),
    .fixed = l_buffer(b, "factors", BUF_CONST, real, 4),
  };
  f.fixed->values = table;
  f.w->offset = W_AT;
  f.y->offset = Y_AT;
  f.u->offset = U_AT;
  return f;
}

static Kernel *make_first(Case *t, const Everything *f)
{
  Build *b = t->b;
  DType real = t->module->real;
  int V = t->module->block;
  Kernel *k1 = l_kernel(b, "first");
  k1->layer = "c1";
  k1->formula = "hidden = relu(x w)";
  k1->template_name = "test";
  k1->about = "2 registers";
  k1->flops = 1.5e6;
  Buffer *fx = l_formal(b, f->x, "x", false), *fw = l_formal(b, f->w, "w", false),
         *fh = l_formal(b, f->h, "h", true);
  Buffer *fs = l_formal(b, f->s, "s", true), *fr = l_formal(b, f->rows, "rows", false),
         *fi = l_formal(b, f->ids, "ids", false);
  Buffer *fc = l_formal(b, f->fixed, "factors", false);
  Buffer *unused = l_formal(b, f->y, "unused", false);
  (void)unused;
  Buffer *acc = l_registers(b, "acc", real, V, 2), *best = l_registers(b, "best", real, 1, 1);
  LExpr *g = l_var(b, l_loop(b, "g", l_var(b, k1->lo), l_var(b, k1->hi), 1, FOR_PLAIN));
  for (int i = 0; i < 2; i++)
    l_store(b, acc, l_int(b, i), l_load(b, fx, l_int(b, V * i), V));
  LExpr *r = l_var(b, l_loop(b, "r", l_int(b, 0), l_int(b, 9), 1, FOR_ROLLED));
  for (int i = 0; i < 2; i++)
    l_store(b, acc, l_int(b, i),
            l_fma(b, l_splat(b, l_load(b, fw, l_add(b, l_muli(b, g, 9), r), 1), V),
                  l_load(b, fx, l_addi(b, l_muli(b, r, V), i), V), l_load(b, acc, l_int(b, i), V)));
  l_end(b);
  l_if(b, l_op(b, SC_lt, g, l_int(b, 2), NULL));
  l_store(b, best, l_int(b, 0), l_reduce(b, SC_max, l_load(b, acc, l_int(b, 0), V)));
  l_else(b);
  l_store(b, best, l_int(b, 0), l_reduce(b, SC_add, l_load(b, acc, l_int(b, 1), V)));
  l_end(b);
  l_note(b, "finish: */ %s", "relu \\");
  for (int i = 0; i < 2; i++) {
    LExpr *v = l_op(b, SC_max, l_load(b, acc, l_int(b, i), V), l_real(b, 0), NULL);
    l_store(b, fh, l_addi(b, l_muli(b, g, 2 * V), V * i), v);
  }
  LExpr *id =
      l_cast(b, l_load(b, fi, l_op(b, SC_min, g, l_addi(b, l_var(b, k1->n), -1), NULL), 1), DT_I64);
  LExpr *pixel = l_cast(b, l_load(b, fr, l_addi(b, l_muli(b, id, 64), 5), 1), real);
  LExpr *scaled =
      l_let(b, "int", l_op(b, SC_mul, pixel, l_load(b, fc, l_mod(b, g, l_int(b, 4)), 1), NULL));
  l_let(b, "dead", l_op(b, SC_add, scaled, l_real(b, 1), NULL));
  l_store(b, fs, l_mod(b, g, l_int(b, 64)),
          l_op(b, SC_add, scaled, l_load(b, best, l_int(b, 0), 1), NULL));
  l_store(b, fh, l_addi(b, l_muli(b, g, 2 * V), 3), l_load(b, fs, l_mod(b, g, l_int(b, 64)), 1));
  l_end(b);
  l_kernel_end(b);
  return k1;
}

static Kernel *make_second(Case *t, const Everything *f)
{
  Build *b = t->b;
  DType real = t->module->real;
  int V = t->module->block;
  Kernel *k2 = l_kernel(b, "second");
  Buffer *gh = l_formal(b, f->h, "h", false), *gy = l_formal(b, f->y, "y", true),
         *gu = l_formal(b, f->u, "mask", true);
  Buffer *ga = l_formal(b, f->args, "args", false), *go = l_formal(b, f->out, "loss", true);
  LExpr *i = l_var(b, l_loop(b, "i", l_var(b, k2->lo), l_var(b, k2->hi), 1, FOR_PLAIN));
  LExpr *lr = l_let(b, "lr", l_cast(b, l_load(b, ga, l_int(b, GRADRT_ARG_LR), 1), real));
  LExpr *v = l_let(b, "v", l_load(b, gh, l_muli(b, i, V), V));
  LExpr *small = l_op(b, SC_mul, v, l_real(b, 0.01), NULL);
  LExpr *e = l_let(b, "e", l_call(b, l_math(b, "exp", V), &small, 1));
  LExpr *q =
      l_op(b, SC_select, l_op(b, SC_lt, v, l_iota(b, V), NULL), e, l_op(b, SC_mul, lr, v, NULL));
  l_store(b, gy, l_muli(b, i, V), q);
  LExpr *first = l_load(b, gh, l_muli(b, i, V), 1);
  l_store(b, gu, i,
          l_cast(b,
                 l_op(b, SC_min, l_op(b, SC_max, first, l_real(b, 0), NULL), l_real(b, 200), NULL),
                 DT_U8));
  l_if(b, l_op(b, SC_eq, i, l_int(b, 0), NULL));
  l_store(b, go, l_int(b, 0), l_call(b, l_math(b, "log", 1), (LExpr *[]){ l_real(b, 7) }, 1));
  l_end(b);
  l_end(b);
  l_kernel_end(b);
  return k2;
}

static void build_everything(Case *t)
{
  static const gradrt_output outputs[] = { { .name = "loss" } };
  static const gradrt_field fields[] = {
    { .name = "x", .dtype = GRADRT_U8, .rank = 1, .dim = { 64 } }
  };
  t->net.train = (gradrt_function){ .noutput = 1, .output = outputs };
  t->net.nfield = 1;
  t->net.field = fields;
  Build *b = t->b;
  const Everything f = make_buffers(t);
  const Kernel *k1 = make_first(t, &f), *k2 = make_second(t, &f);
  Host *host = l_host(b, HOST_TRAIN);
  host->arena_bytes = 8192;
  host->worker_bytes = 1024;
  Buffer *a1[] = { f.x, f.w, f.h, f.s, f.rows, f.ids, f.fixed, f.y };
  Buffer *a2[] = { f.h, f.y, f.u, f.args, f.out };
  LExpr *worker = l_var(b, host->worker), *workers = l_var(b, host->nworkers);
  LExpr *items = l_op(b, SC_min, l_var(b, host->n), l_int(b, 10), NULL);
  l_call_kernel(b, k1, a1, l_div(b, l_mul(b, items, worker), workers),
                l_div(b, l_mul(b, items, l_addi(b, worker, 1)), workers));
  l_barrier(b, NULL);
  l_call_kernel(b, k2, a2, l_div(b, l_mul(b, l_int(b, 20), worker), workers),
                l_div(b, l_mul(b, l_int(b, 20), l_addi(b, worker, 1)), workers));
  l_host_end(b);
}

static void fill_state(const Case *t, unsigned char *block)
{
  uint32_t seed = 1;
  for (int i = 0; i < 2048; i++) {
    seed = seed * 1664525u + 1013904223u;
    double r = (double)(seed >> 8) / 4194304.0 - 2;
    if (t->module->real == DT_F32)
      ((float *)(void *)block)[i] = (float)r;
    else
      ((double *)(void *)block)[i] = r;
  }
}

static void *interpret(Case *t, const unsigned char *block, int samples, int workers)
{
  const Host *h = t->module->host[HOST_TRAIN];
  size_t bytes = t->net.state_bytes;
  unsigned char *state = arena_alloc(t->arena, bytes + 64);
  memcpy(state, block, bytes);
  void *original = arena_copy(t->arena, block, bytes);
  void *out[GRADRT_OUTPUTS_MAX];
  const void *rows[GRADRT_FIELDS_MAX];
  double args[GRADRT_ARG_COUNT];
  uint32_t ids[64];
  for (uint32_t i = 0; i < 64; i++)
    ids[i] = i;
  for (int i = 0; i < GRADRT_OUTPUTS_MAX; i++)
    out[i] = arena_alloc(t->arena, 64);
  for (int i = 0; i < GRADRT_FIELDS_MAX; i++)
    rows[i] = original;
  for (int i = 0; i < GRADRT_ARG_COUNT; i++)
    args[i] = 0.25 * (i + 1);
  LoopRun run = { .state = state,
                  .arena = arena_alloc(t->arena, h->arena_bytes + 64),
                  .worker = arena_alloc(t->arena, h->worker_bytes * (size_t)workers + 64),
                  .rows = rows,
                  .ids = ids,
                  .args = args,
                  .out = out,
                  .n = samples,
                  .nworkers = workers };
  const char *bad = loop_run(t->module, HOST_TRAIN, &run, t->arena);
  if (bad)
    fail_msg("%s", bad);
  memcpy(state + bytes, out[0], 64);
  return state;
}

static void test_programs_equal_the_interpreter(void **state)
{
  (void)state;
  static const struct { DType real; int samples, workers; } rows[] = {
    { DT_F32, 32, 1 }, { DT_F32, 7, 3 }, { DT_F64, 9, 2 },
  };
  for (size_t row = 0; row < ARRAY_LEN(rows); row++)
    for (size_t c = 0; c < ARRAY_LEN(compilers); c++) {
      if (!have(compilers[c]))
        continue;
      Case t = case_begin("every thing", rows[row].real, STATE);
      build_everything(&t);
      unsigned char *block = arena_alloc(t.arena, STATE);
      fill_state(&t, block);
      const unsigned char *want = interpret(&t, block, rows[row].samples, rows[row].workers);
      const unsigned char *got = case_run(&t, case_emit(&t), compilers[c], "-O3 -march=native",
                                          block, rows[row].samples, rows[row].workers);
      for (size_t i = 0; i < STATE + 64; i++)
        if (want[i] != got[i])
          fail_msg("row %zu, %s: byte %zu differs", row, compilers[c], i);
      assert_memory_not_equal(got + Y_AT, block + Y_AT, 512);
      case_end(&t);
    }
}

static void test_dead_code_is_not_printed(void **state)
{
  (void)state;
  Case t = case_begin("t", DT_F32, STATE);
  build_everything(&t);
  const char *text = case_emit(&t);
  assert_null(strstr(text, "dead"));
  assert_null(strstr(text, "unused"));
  assert_non_null(strstr(text, "v16 acc_0 = load16(&x[0]);"));
  assert_non_null(strstr(text, "float best = 0;"));
  assert_non_null(strstr(text, "/* c1: hidden = relu(x w)\n"));
  assert_non_null(strstr(text, "test: 2 registers; 1.5 MFLOP in a full batch"));
  assert_non_null(strstr(text, "/* finish: * / relu _ */"));
  assert_non_null(strstr(text, "(float)args[GRADRT_ARG_LR]"));
  case_end(&t);
}

static void test_same_bytes_every_time(void **state)
{
  (void)state;
  char *text[2];
  for (int i = 0; i < 2; i++) {
    Case t = case_begin("t", DT_F32, STATE);
    build_everything(&t);
    const char *one = case_emit_for(&t, target_host(), false, "t.nn");
    assert_string_equal(one, case_emit_for(&t, target_host(), false, "t.nn"));
    text[i] = malloc(strlen(one) + 1);
    assert_non_null(text[i]);
    strcpy(text[i], one);
    case_end(&t);
  }
  assert_string_equal(text[0], text[1]);
  free(text[0]);
  free(text[1]);
}

static void test_lines_stay_within_100_columns(void **state)
{
  (void)state;
  Case t = case_begin("t", DT_F32, STATE);
  build_everything(&t);
  int column = 0;
  for (const char *p = case_emit(&t); *p; p++) {
    column = *p == '\n' ? 0 : column + 1;
    if (column > COLUMNS)
      fail_msg("%.120s", p - COLUMNS);
  }
  case_end(&t);
}

/* ---- hostile specs ---- */

static const char *const hostile[] = {
  "x; system(\"id\"); //",
  "*/ int main(){return 7;} /*",
  "a\\\n#include \"/etc/passwd\"",
  "a?"
  "?/",
  "%:define <%",
  "%s%n%x",
  "int",
  "main",
  "linux",
  "errno",
  "NULL",
  "I",
  "_Exit",
  "__builtin_trap",
  "asm",
  "n0_",
  "a.b",
  "a_b",
  "a b",
  "a-b",
  "t",
  "pthread",
  "\xe2\x80\xae\xf0\x9f\x92\xa9",
  "\x1b[31m",
  "",
  "*\\\n/ int evil;",
};

/* The kinds of a program's tokens: I identifiers and keywords, N numbers, S neighbouring strings,
 * punctuation as it is. Comments vanish. */
static char *token_kinds(Arena *a, const char *s)
{
  char *kinds = arena_alloc(a, strlen(s) + 1), *to = kinds;
  while (*s) {
    if (s[0] == '/' && s[1] == '*') {
      s = strstr(s + 2, "*/") + 2;
    } else if (*s == '"') {
      for (s++; *s != '"'; s++)
        s += *s == '\\';
      s++;
      if (to == kinds || to[-1] != 'S')
        *to++ = 'S';
    } else if ((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || *s == '_') {
      while ((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || *s == '_' ||
             (*s >= '0' && *s <= '9'))
        s++;
      *to++ = 'I';
    } else if (*s >= '0' && *s <= '9') {
      while ((*s >= '0' && *s <= '9') || *s == '.' || *s == 'f' || *s == 'u')
        s++;
      *to++ = 'N';
    } else {
      if (*s > ' ')
        *to++ = *s;
      s++;
    }
  }
  *to = '\0';
  return kinds;
}

/* A net in which everything that a spec names is called `name` or `other`. */
static void build_hostile(Case *t, const char *name, const char *other)
{
  static const gradrt_output outputs[] = { { .name = "\"; abort(); //" } };
  Build *b = t->b;
  gradrt_source *source = ARENA_NEW(t->arena, gradrt_source);
  gradrt_layer *layer = ARENA_NEW(t->arena, gradrt_layer);
  *source = (gradrt_source){ .kind = "idx", .place = name };
  *layer = (gradrt_layer){ .name = name, .type = other, .shape = "[1]", .place = name };
  t->net.name = t->net.file = t->net.version = t->net.spec = name;
  t->net.nsource = 1;
  t->net.source = source;
  t->net.nlayer = 1;
  t->net.layer = layer;
  t->net.train = (gradrt_function){ .noutput = 1, .output = outputs };
  Buffer *x = l_buffer(b, name, BUF_STATE, DT_F32, 16),
         *y = l_buffer(b, other, BUF_STATE, DT_F32, 16);
  y->offset = 64;
  Kernel *k = l_kernel(b, name);
  k->layer = k->formula = k->about = k->template_name = name;
  Buffer *p = l_formal(b, x, name, false), *q = l_formal(b, y, name, true);
  Buffer *acc = l_registers(b, name, DT_F32, 1, 2);
  LExpr *j = l_var(b, l_loop(b, name, l_var(b, k->lo), l_var(b, k->hi), 1, FOR_PLAIN));
  l_note(b, "%s", name);
  LExpr *v = l_let(b, name, l_op(b, SC_add, l_load(b, p, j, 1), l_real(b, 1), NULL));
  l_store(b, acc, l_int(b, 0), v);
  l_store(b, q, j, l_load(b, acc, l_int(b, 0), 1));
  l_end(b);
  l_kernel_end(b);
  l_host(b, HOST_TRAIN);
  Buffer *arg[] = { x, y };
  case_call(t, k, arg, 16);
  l_host_end(b);
}

static void test_hostile_specs_compile(void **state)
{
  (void)state;
  Case plain = case_begin("plain", DT_F32, 4096);
  build_hostile(&plain, "plain", "other");
  const char *want = token_kinds(plain.arena, case_emit(&plain));
  for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
    const char *name = hostile[i], *other = hostile[(i + 1) % ARRAY_LEN(hostile)];
    Case t = case_begin(name[0] ? name : "?", DT_F32, 4096);
    build_hostile(&t, name, other);
    const char *text = case_emit_for(&t, target_host(), true, name);
    assert_string_equal(token_kinds(t.arena, text), want);
    unsigned char *block = arena_alloc(t.arena, 4096);
    const float *after = case_run(&t, text, have("gcc") ? "gcc" : "clang",
                                  "-O1 -std=c11 -march=native", block, 4, 1);
    assert_true(after[16] == 1);
    case_end(&t);
  }
  case_end(&plain);
}

/* ---- the description ---- */

/* A description in which every field differs from zero and from its neighbours. */
static void describe_everything(Case *t)
{
  static const double given[] = { 0.1, -1e-300, 12345678.9, INFINITY, -0.0, 1.0 / 3 };
  static const gradrt_tensor tensors[] = {
    { "c1.weight", GRADRT_PARAM, true, 2, { 2, 3 }, 2, { { 0, 1, 2 }, { 1, 16, 16 } }, 64, 32,
      GRADRT_INIT_UNIFORM, -0.2, 0.3, NULL },
    { "c1.\"bias\"", GRADRT_STAT, false, 2, { 3, 2 }, 1, { { -1, 2, 3 } }, 128, 16,
      GRADRT_INIT_GIVEN, 1, 2, given },
  };
  static const gradrt_prop props[] = { { "images", 0, "a\\b?" "?/c\n" }, { "points", 3e9, NULL } };
  static const gradrt_source sources[] = { { "idx", 2, props, "t.nn:5" },
                                           { "moons", 1, props + 1, "t.nn:6" } };
  static const gradrt_split splits[] = { { "train", 0, GRADRT_SPLIT_ALL, 0 },
                                         { "valid", 1, GRADRT_SPLIT_FRACTION, 0.1 } };
  static const char *const classes[] = { "zero", "\xc3\xa9", "*/" };
  static const gradrt_field fields[] = {
    { "x", GRADRT_U8, 3, { 1, 28, 28 }, "0..3", false, false, 0, NULL, "t.nn:8", 0, 0, 0, NULL,
      false, 0 },
    { "y", GRADRT_I32, 0, { 0 }, NULL, true, false, 3, classes, "t.nn:9", 0, 0, 0, NULL, false,
      0 },
  };
  static const gradrt_fit fits[] = { { 1, 2, 3, 0.5, -0.25 } };
  static const gradrt_output outputs[] = { { "loss", false, 0, { 0 } },
                                           { "logits", true, 2, { 10, 4 } } };
  static const gradrt_metric metrics[] = { { "topk", "top5", 1, 2, 5 },
                                           { "mse", "mse", -1, -1, 0 } };
  static const gradrt_piece pieces[] = { { "warmup", 1, props + 1, 2.5, true },
                                         { "step", 0, NULL, 7, false } };
  static const gradrt_stop stops[] = { { GRADRT_STOP_REACHED, 1, -1, true, 4, 0.99 } };
  static const gradrt_printed printed[] = { { GRADRT_PRINT_LOSS, "loss", 0 },
                                            { GRADRT_PRINT_TENSOR, "grad \"c1\"", 1 } };
  static const gradrt_generation samples[] = { { "Once\n", 40, 0.5, 9, 7 } };
  static const gradrt_action actions[] = {
    { GRADRT_ACTION_PRINT, 2, printed, 0, 0, false, 0, NULL, 0, NULL },
    { GRADRT_ACTION_SAVE_BEST, 0, NULL, 1, -1, true, 3, "b\n.st", 0, NULL },
    { GRADRT_ACTION_SAMPLE, 0, NULL, 0, 0, false, 0, NULL, 1, samples },
  };
  static const gradrt_every every[] = { { 2000, false, 3, actions }, { 2, true, 0, NULL } };
  static const gradrt_train training = { 0.1, 20,     7, 0.9,     0.999, true,  true, true, 1,
                                         2,   pieces, 2, metrics, 1,     stops, -1,   -1,   true,
                                         4,   GRADRT_AVERAGE_EMA, "un.", 0.5, 3, 2, every,
                                         "norm", "a\\b:c1.*", 0 };
  static const gradrt_eval evals[] = { { 1, 2, metrics }, { 0, 0, NULL } };
  static const gradrt_param params[] = { { "rate", "lr", 0.05, true } };
  static const gradrt_layer layers[] = { { "c1", "conv", "[6,28,28]", 156, 1.5e9, "t.nn:12" } };
  t->net.batch = 32;
  t->net.fingerprint = "0123abcd";
  t->net.spec = "net 1;\n  # \"quoted\"\n\nend";
  t->net.ntensor = 2;
  t->net.tensor = tensors;
  t->net.nsource = 2;
  t->net.source = sources;
  t->net.nsplit = 2;
  t->net.split = splits;
  t->net.nfield = 2;
  t->net.field = fields;
  t->net.nfit = 1;
  t->net.fit = fits;
  t->net.train = (gradrt_function){ NULL, 2, outputs, 4096, 512, 0, NULL, 0, NULL };
  t->net.training = &training;
  t->net.neval = 2;
  t->net.evals = evals;
  t->net.nparam = 1;
  t->net.param = params;
  t->net.nlayer = 1;
  t->net.layer = layers;
}

static const char *read_text(Case *t, const char *file)
{
  char *text = arena_alloc(t->arena, 1 << 16);
  FILE *f = fopen(arena_printf(t->arena, "%s/%s", t->dir, file), "rb");
  assert_non_null(f);
  size_t n = fread(text, 1, (1 << 16) - 1, f);
  assert_true(n > 0);
  fclose(f);
  return text;
}

static void test_description_survives(void **state)
{
  (void)state;
  Case t = case_begin("described", DT_F32, 4096);
  describe_everything(&t);
  Host *h = l_host(t.b, HOST_TRAIN);
  h->arena_bytes = t.net.train.arena_bytes;
  h->worker_bytes = t.net.train.worker_bytes;
  l_host_end(t.b);
  case_run(&t, case_emit(&t), have("gcc") ? "gcc" : "clang", "-O1 -march=native",
           arena_alloc(t.arena, 4096), 1, 1);
  assert_int_equal(case_shell(&t, arena_printf(t.arena, "cd %s && ./net got", t.dir)), 0);
  FILE *f = fopen(arena_printf(t.arena, "%s/want", t.dir), "wb");
  assert_non_null(f);
  describe(f, &t.net);
  fclose(f);
  assert_string_equal(read_text(&t, "got"), read_text(&t, "want"));
  case_end(&t);
}

/* ---- whole files ---- */

static void test_compile_command(void **state)
{
  (void)state;
  static const gradrt_prop gz[] = { { .name = "images", .text = "train.gz" } };
  static const gradrt_source source[] = { { .kind = "idx", .nprop = 1, .prop = gz } };
  static const struct { const char *file; bool gz; const char *command;
  } rows[] = {
    { "lenet.nn", false, "cc -O3 -march=native lenet.c -o lenet -lm -lpthread" },
    { "lenet.nn", true, "cc -O3 -march=native lenet.c -o lenet -lm -lpthread -lz" },
    { "-o; rm -rf ~.nn", false,
      "cc -O3 -march=native _o__rm_-rf__.c -o _o__rm_-rf__ -lm -lpthread" },
    { NULL, false, "cc -O3 -march=native net.c -o net -lm -lpthread" },
  };
  const Target *wide = target_find("x86-64-v4");
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    Case t = case_begin("t", DT_F32, 0);
    if (rows[i].gz) {
      t.net.nsource = 1;
      t.net.source = source;
    }
    EmitArgs args = { .module = t.module, .net = &t.net, .target = wide, .spec_file = rows[i].file,
                      .arena = t.arena };
    assert_string_equal(c_compile_command(&args), rows[i].command);
    case_end(&t);
  }
}

/* The standalone file compiles without warnings, and main is all that it gives to the linker. */
static void test_standalone_file(void **state)
{
  (void)state;
  for (size_t c = 0; c < ARRAY_LEN(compilers); c++) {
    if (!have(compilers[c]))
      continue;
    Case t = case_begin("t", DT_F32, STATE);
    build_everything(&t);
    const char *text = case_emit_for(&t, target_host(), false, "t.nn");
    case_write(&t, "net.c", text, strlen(text));
    const char *command = arena_printf(
        t.arena,
        "cd %s && %s -O1 -march=native -Wall -Wextra -Werror net.c -o net -lm -lpthread && %s -O1 "
        "-march=native -c net.c"
        " && test \"$(nm net.o | grep -c ' [TDBRC] ')\" = 1 && nm net.o | grep -q ' T main$'",
        t.dir, compilers[c], compilers[c]);
    assert_int_equal(case_shell(&t, command), 0);
    case_end(&t);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_expressions_keep_association),
    cmocka_unit_test(test_names_are_safe_and_unique),
    cmocka_unit_test(test_names_long_and_scoped),
    cmocka_unit_test(test_prefix_leaves_families_of_libc_alone),
    cmocka_unit_test(test_comments_and_strings_escape),
    cmocka_unit_test(test_reals_read_back_exactly),
    cmocka_unit_test(test_long_lines_break_where_nesting_is_least),
    cmocka_unit_test(test_programs_equal_the_interpreter),
    cmocka_unit_test(test_dead_code_is_not_printed),
    cmocka_unit_test(test_same_bytes_every_time),
    cmocka_unit_test(test_lines_stay_within_100_columns),
    cmocka_unit_test(test_hostile_specs_compile),
    cmocka_unit_test(test_description_survives),
    cmocka_unit_test(test_compile_command),
    cmocka_unit_test(test_standalone_file),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
