/* The formatter: what it writes parses to the same tree, and it changes nothing the second time.
 * The same holds for every spec that random edits produce; those that break it must only give
 * messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "syntax/ast.h"
#include "syntax/parse.h"
#include "unit/syntax/specs.h"

#include <string.h>

enum { MUTATIONS = 30000 };

static void collect(void *ctx, const char *text)
{
  size_t *bytes = ctx;
  *bytes += strlen(text);
}

typedef struct {
  Ast *file;
  int errors;
  size_t message_bytes;
} Result;

static Result parse_in(Arena *a, const char *text, size_t length)
{
  Result r = {0};
  SourceMap *map = source_map_new(a);
  Diag *d = diag_new(a, map, collect, &r.message_bytes);
  uint32_t base = source_add(map, "t.nn", text, (uint32_t)length);
  r.file = parse(text, (uint32_t)length, base, a, d);
  diag_flush(d);
  r.errors = diag_errors(d);
  return r;
}

static const char *tree_of(Arena *a, const Ast *n)
{
  Out *o = out_new(a);
  ast_print(n, o);
  return out_text(o);
}

static const char *format_of(Arena *a, const Ast *file)
{
  Out *o = out_new(a);
  ast_format(file, o);
  return out_text(o);
}

/* parse(format(t)) is t, and format(parse(format(t))) is format(t). */
static void check_fixpoint(Arena *a, const Ast *file)
{
  const char *text = format_of(a, file);
  Result again = parse_in(a, text, strlen(text));
  if (again.errors)
    print_error("%s", text);
  assert_int_equal(again.errors, 0);
  assert_string_equal(tree_of(a, again.file), tree_of(a, file));
  assert_string_equal(format_of(a, again.file), text);
}

static void test_format_is_a_fixpoint(void **state)
{
  static const char *const specs[] = {spec_lenet, spec_small, spec_words, spec_blocks, spec_ops};
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
    Arena *a = arena_new("test");
    Result r = parse_in(a, specs[i], strlen(specs[i]));
    assert_int_equal(r.errors, 0);
    check_fixpoint(a, r.file);
    arena_free(&a);
  }
}

static void test_canonical_text(void **state)
{
  static const struct {
    const char *source, *want;
  } rows[] = {
    {"net   1;param a=1;param b=(2+3)*4;const c=64K;build{threads:2;cpu:\"x\";}",
     "net 1;\n\nparam a = 1;\nparam b = (2 + 3) * 4;\nconst c = 64K;\n\nbuild {\n  threads: 2;\n  cpu: \"x\";\n}\n"},
    {"net 1; data d{split:v=5000 of train,w=10%;field x:u8[28,28]as f32[1,28,28]->div(255);}",
     "net 1;\n\ndata d {\n  split: v = 5000 of train, w = 10%;\n"
     "  field x: u8[28,28] as f32[1,28,28] -> div(255);\n}\n"},
    {"net 1; model m(x:f32[1,2],z)->(a:f32[2],b:f32){(a,b)=x->f(1,k=2,)as r->g();return a,((b));}",
     "net 1;\n\nmodel m(x: f32[1,2], z) -> (a: f32[2], b: f32) {\n  (a, b) = x -> f(1, k=2) as r -> g();\n"
     "  return a, b;\n}\n"},
    {"net 1; infer m{output:a as b,(x->f)as c,x->f as d;}",
     "net 1;\n\ninfer m {\n  output: a as b, (x -> f) as c, x -> f as d;\n}\n"},
    {"net 1; use \"a.nn\"; use \"b.nn\"; block b(x:f32[n],k,p=2*k)->f32[n]{"
     "repeat i in 1..(k+1){x=x->f(i);}"
     "if k>2{a=x;}else if k{a=k;}else{}return a;}",
     "net 1;\n\nuse \"a.nn\";\nuse \"b.nn\";\n\nblock b(x: f32[n], k, p = 2 * k) -> f32[n] {\n"
     "  repeat i in 1..k + 1 {\n    x = x -> f(i);\n  }\n"
     "  if k > 2 {\n    a = x;\n  } else if k {\n"
     "    a = k;\n  } else {\n  }\n  return a;\n}\n"},
    {"net 1; param p=-(-x)**2; param q=(a-b)-(c-d)-e; param r=not(a and b)or c==(d<e);",
     "net 1;\n\nparam p = -(-x) ** 2;\nparam q = a - b - (c - d) - e;\nparam r = not (a and b) or c == (d < e);\n"},
  };
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    Arena *a = arena_new("test");
    Result r = parse_in(a, rows[i].source, strlen(rows[i].source));
    assert_int_equal(r.errors, 0);
    assert_string_equal(format_of(a, r.file), rows[i].want);
    arena_free(&a);
  }
}

static void test_comments_stay(void **state)
{
  static const char source[] =
    "# head\nnet 1;   # version\n# before a\nparam a = # inside\n 1; # after a\nmodel m(x) -> y: f32 { # open\n"
    "  a = x; b = a;   # after b\n  /* block\n     comment */\n\n  # before end\n} # after end\n# tail\n";
  static const char want[] =
    "# head\nnet 1;  # version\n\n# before a\n# inside\nparam a = 1;  # after a\n\nmodel m(x) -> y: f32 {\n"
    "  # open\n  a = x;\n  b = a;  # after b\n  /* block\n     comment */\n  # before end\n}  # after end\n# tail\n";
  Arena *a = arena_new("test");
  Result r = parse_in(a, source, strlen(source));
  (void)state;
  assert_int_equal(r.errors, 0);
  assert_string_equal(format_of(a, r.file), want);
  check_fixpoint(a, r.file);
  arena_free(&a);
}

static void test_lines_are_filled_to_their_width(void **state)
{
  Arena *a = arena_new("test");
  Result r = parse_in(a, spec_lenet, strlen(spec_lenet));
  const char *text = format_of(a, r.file);
  (void)state;
  assert_int_equal(r.errors, 0);
  for (const char *s = text; *s;) {
    size_t n = strcspn(s, "\n");
    if (!memchr(s, '#', n))
      assert_true(n <= 100);
    s += n + 1;
  }
  assert_non_null(strstr(text, "dense(84) -> relu\n      -> dense(10);\n"));
  arena_free(&a);
}

/* ---- random edits ---- */

static uint32_t next(uint32_t *seed)
{
  *seed ^= *seed << 13;
  *seed ^= *seed >> 17;
  *seed ^= *seed << 5;
  return *seed;
}

static const char *const pieces[] = {
  "net",  "param", "data", "model", "train", "eval", "infer", "build", "field", "split", "schedule", "stop when",
  "report", "output", "epochs", " of ", " on ", " as ", " for ", " then ", "return", " and ", " not ", "repeat",
  "use", "block", " in ", "if", " else ", "1..2",
  "->", "..", "**", "<=", "(", ")", "[", "]", "{", "}", ";", ":", ",", "=", ".", "-", "\"", "\\", "/*", "*/", "#",
  "//", "'", "\n", "\r\n", "1", ".5", "1e9", "64K", "%", "_", "\xC3\xA9", "\xFF", "\xEF\xBB\xBF", "\x01", "@"};

enum { TEXT_MAX = 8192 };

static size_t replace(char *text, size_t n, size_t at, size_t drop, const char *with, size_t length)
{
  if (drop > n - at)
    drop = n - at;
  if (n - drop + length > TEXT_MAX)
    return n;
  memmove(text + at + length, text + at + drop, n - at - drop);
  memcpy(text + at, with, length);
  return n - drop + length;
}

/* One edit: another byte, a piece put in, a stretch taken out, or a stretch copied to another
 * place. */
static size_t mutate(char *text, size_t n, uint32_t *seed)
{
  size_t at = next(seed) % (n + 1), drop = next(seed) % 12;
  char byte = (char)next(seed), copy[64];
  const char *piece = pieces[next(seed) % ARRAY_LEN(pieces)];
  size_t from = next(seed) % (n + 1), length = next(seed) % sizeof copy;
  switch (next(seed) % 6) {
  case 0: return replace(text, n, at, 1, &byte, 1);
  case 1: return replace(text, n, at, 0, piece, strlen(piece));
  case 2: return replace(text, n, at, drop, piece, strlen(piece));
  case 3: return replace(text, n, at, drop, "", 0);
  case 4: return replace(text, n, at, 64 * drop, "", 0);
  default:
    if (length > n - from)
      length = n - from;
    memcpy(copy, text + from, length);
    return replace(text, n, at, 0, copy, length);
  }
}

static void test_random_edits_give_messages_or_fixpoints(void **state)
{
  static const char *const specs[] = {spec_lenet, spec_small, spec_words, spec_blocks, spec_ops};
  static char text[TEXT_MAX];
  uint32_t seed = 20240229;
  int good = 0;
  (void)state;
  for (int i = 0; i < MUTATIONS; i++) {
    const char *spec = specs[i % ARRAY_LEN(specs)];
    size_t n = strlen(spec);
    memcpy(text, spec, n);
    for (uint32_t k = 1 + next(&seed) % 4; k > 0; k--)
      n = mutate(text, n, &seed);
    Arena *a = arena_new("test");
    Result r = parse_in(a, text, n);
    assert_non_null(r.file);
    assert_true((r.errors > 0) == (r.message_bytes > 0));
    tree_of(a, r.file);
    if (r.errors == 0) {
      check_fixpoint(a, r.file);
      good++;
    }
    arena_free(&a);
  }
  assert_in_range(good, MUTATIONS / 50, MUTATIONS / 2);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_format_is_a_fixpoint),
    cmocka_unit_test(test_canonical_text),
    cmocka_unit_test(test_comments_stay),
    cmocka_unit_test(test_lines_are_filled_to_their_width),
    cmocka_unit_test(test_random_edits_give_messages_or_fixpoints),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
