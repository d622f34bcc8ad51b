/* The parser: trees, messages, recovery, limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "syntax/ast.h"
#include "syntax/parse.h"
#include "unit/syntax/specs.h"

#include <stdio.h>
#include <string.h>

typedef struct {
  Arena *arena;
  SourceMap *map;
  Diag *diag;
  Out *messages;
  Ast *file;
} Parsed;

static void collect(void *ctx, const char *text)
{
  out_printf(ctx, "%s", text);
}

static Parsed parse_bytes(const char *text, size_t length)
{
  Parsed p = {.arena = arena_new("test")};
  p.map = source_map_new(p.arena);
  p.messages = out_new(p.arena);
  p.diag = diag_new(p.arena, p.map, collect, p.messages);
  uint32_t base = source_add(p.map, "t.nn", text, (uint32_t)length);
  p.file = parse(text, (uint32_t)length, base, p.arena, p.diag);
  diag_flush(p.diag);
  return p;
}

static Parsed parse_text(const char *text)
{
  return parse_bytes(text, strlen(text));
}

static const char *tree(const Parsed *p)
{
  Out *o = out_new(p->arena);
  ast_print(p->file, o);
  return out_text(o);
}

/* The headlines of all errors as "line:col code, ..". */
static const char *headlines(const Parsed *p)
{
  Out *o = out_new(p->arena);
  for (const char *s = out_text(p->messages); *s;) {
    size_t n = strcspn(s, "\n");
    const char *line = arena_strndup(p->arena, s, n);
    int row = 0, col = 0;
    if (sscanf(line, "t.nn:%d:%d: error:", &row, &col) == 2 && strstr(line, ": error: "))
      out_printf(o, "%s%d:%d %.5s", out_length(o) ? ", " : "", row, col, line + n - 6);
    s += n + 1;
  }
  return out_text(o);
}

static void test_specs_parse_without_a_message(void **state)
{
  static const char *const specs[] = {spec_lenet, spec_small, spec_words, spec_blocks, spec_ops};
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
    Parsed p = parse_text(specs[i]);
    assert_string_equal(out_text(p.messages), "");
    assert_int_equal(diag_errors(p.diag), 0);
    arena_free(&p.arena);
  }
}

/* One statement of a model and its tree. */
static void test_expressions(void **state)
{
  static const struct {
    const char *source, *want;
  } rows[] = {
    {"a = x;", "(let a = x)"},
    {"a = 1 + 2 * 3;", "(let a = (+ 1 (* 2 3)))"},
    {"a = 1 - 2 - 3;", "(let a = (- (- 1 2) 3))"},
    {"a = 2 ** 3 ** 4;", "(let a = (** 2 (** 3 4)))"},
    {"a = -2 ** 2;", "(let a = (- (** 2 2)))"},
    {"a = -x * y;", "(let a = (* (- x) y))"},
    {"a = not x == y and z or w;", "(let a = (or (and (not (== x y)) z) w))"},
    {"a = x % 2 / 3;", "(let a = (/ (% x 2) 3))"},
    {"a = 1..n + 1;", "(let a = (.. 1 (+ n 1)))"},
    {"a = x < 1..2;", "(let a = (< x (.. 1 2)))"},
    {"a = x.y.z;", "(let a = (. z (. y x)))"},
    {"a = f();", "(let a = (call f))"},
    {"a = f.g(1, k=2);", "(let a = (call (. g f) 1 (= k 2)))"},
    {"a = [[.5, -1], [0, 3],];", "(let a = (list (list 0.5 (- 1)) (list 0 3)))"},
    {"a = x -> f -> g() -> h(1) as r;", "(let a = (-> x f (g) (h 1 :as r)))"},
    {"a = x -> f as r -> g;", "(let a = (-> x (f :bare :as r) g))"},
    {"a = x + y -> f;", "(let a = (-> (+ x y) f))"},
    {"a = x + (y -> f);", "(let a = (+ x (-> y f)))"},
    {"a = f(x -> g, 4 epochs, 5 steps);", "(let a = (call f (-> x g) (epochs 4) (steps 5)))"},
    {"(a, b) = x -> f;", "(let a b = (-> x f))"},
    {"return x, y -> f;", "(return x (-> y f))"},
    {"a = \"q\\\"\\\\\\n\\x41\";", "(let a = \"q\\\"\\\\\\x0aA\")"},
    {"a = true == false;", "(let a = (== true false))"},
    {"a = log(x) /* c */ + print; # d", "(let a = (+ (call log x) print))"},
  };
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    char text[300], want[300];
    snprintf(text, sizeof text, "net 1; model m(x) -> y: f32 { %s\n}", rows[i].source);
    snprintf(want, sizeof want, "(file\n  (net 1)\n  (model (m (x) -> (y f32)) (body\n    %s)))\n", rows[i].want);
    Parsed p = parse_text(text);
    assert_string_equal(out_text(p.messages), "");
    assert_string_equal(tree(&p), want);
    arena_free(&p.arena);
  }
}

static void test_blocks(void **state)
{
  static const struct {
    const char *source, *want;
  } rows[] = {
    {"param p = -1; const c = \"s\";", "(param p (- 1))\n  (const c \"s\")"},
    {"data d { train: idx(\"a\", \"b\"); split: v = 50 of train, w = 10%; }",
     "(data d (items\n    (set train (call idx \"a\" \"b\"))\n    (split v 50 :of train)\n    (split w 0.1)))"},
    {"data d { field x: u8[28, 28] as f32[1, 28, 28] -> div(255) -> s; }",
     "(data d (items\n    (field x (u8 :dims 28 28) :as (f32 :dims 1 28 28) :pipe (div 255) s)))"},
    {"data d { field x: f32[8] from \"a..b\" -> s(fit=train); field y: label(3); }",
     "(data d (items\n    (field x (f32 :dims 8) :from \"a..b\" :pipe (s (= fit train)))\n    (field y (label 3))))"},
    {"model m(x: f32[3], z) -> f32 { return x; }",
     "(model (m (x (f32 :dims 3)) (z) -> (_ f32)) (body\n    (return x)))"},
    {"model m(x) -> (a: f32[2], b: f32) { }", "(model (m (x) -> (a (f32 :dims 2)) (b f32)) (body))"},
    {"train m on d { loss: l(a) -> sum; freeze: \"a\", \"b\"; stop when v.loss < 1; }",
     "(train m :on d (items\n    (set loss (-> (call l a) sum))\n    (set freeze \"a\" \"b\")\n"
     "    (stop (< (. loss v) 1))))"},
    {"train m on d { schedule: lr = w(from=1) for 2 epochs then c for 9 steps then d(to=0); }",
     "(train m :on d (items\n    (schedule lr (piece (w (= from 1)) (epochs 2)) (piece c (steps 9)) (piece (d (= to 0))))))"},
    {"eval m on d.test { report f(a), b; batch: 2; }",
     "(eval m :on d.test (items\n    (report (call f a) b)\n    (set batch 2)))"},
    {"infer m { output: f(a) as b, c, d -> e as g; }",
     "(infer m (items\n    (output (call f a) :as b)\n    (output c)\n    (output (-> d (e :bare :as g)))))"},
    {"use \"a/b.nn\"; block b(x: f32[n], k, p = 2 * k) -> f32[n] { return x -> f(p); }",
     "(use \"a/b.nn\")\n"
     "  (block (b (x (f32 :dims n)) (k) (p = (* 2 k)) -> (_ (f32 :dims n))) (body\n"
     "    (return (-> x (f p)))))"},
    {"model m(x) -> f32 { repeat i in 1..n + 1 { h = x; } }",
     "(model (m (x) -> (_ f32)) (body\n    (repeat i (.. 1 (+ n 1)) (body\n      (let h = x)))))"},
    {"model m(x) -> f32 { if n > 2 { h = x; } else if n { } else { h = y; } }",
     "(model (m (x) -> (_ f32)) (body\n    (if (> n 2) (then\n      (let h = x)) (else\n"
     "      (if n (then) (else\n        (let h = y)))))))"},
    {"build { threads: 2; cpu: \"x86-64\"; }", "(build\n    (set threads 2)\n    (set cpu \"x86-64\"))"},
  };
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    char text[300];
    snprintf(text, sizeof text, "net 1; %s", rows[i].source);
    Parsed p = parse_text(text);
    assert_string_equal(out_text(p.messages), "");
    assert_string_equal(tree(&p), arena_printf(p.arena, "(file\n  (net 1)\n  %s)\n", rows[i].want));
    arena_free(&p.arena);
  }
}

static void test_numbers(void **state)
{
  static const struct {
    const char *text;
    double value;
    bool is_int;
  } rows[] = {{"0", 0, true},        {"55_000", 55000, true}, {"64K", 64000, true},
              {"2M", 2e6, true},     {"32MB", 33554432, true}, {"1KB", 1024, true},
              {"1GB", 1073741824, true}, {"25%", 0.25, false}, {"99.3%", 0.993, false},
              {"1.5K", 1500, true},  {"0.5", 0.5, false},     {".5", 0.5, false},
              {"1e-3", 1e-3, false}, {"1e3", 1e3, false},     {"2.5e+2", 250, false},
              {"9007199254740992", 9007199254740992.0, true}, {"10.0", 10, false}};
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    char text[100];
    snprintf(text, sizeof text, "net 1; param p = %s;", rows[i].text);
    Parsed p = parse_text(text);
    assert_string_equal(out_text(p.messages), "");
    const Ast *n = p.file->file.items->next->param.value;
    assert_int_equal(n->kind, AST_NUMBER);
    assert_true(n->number.value == rows[i].value);
    assert_int_equal(n->number.is_int, rows[i].is_int);
    assert_string_equal(n->number.text, rows[i].text);
    arena_free(&p.arena);
  }
}

static void test_spans_name_the_source(void **state)
{
  static const char text[] = "net 1;\nparam rate = 1 + f(2);\n";
  Parsed p = parse_text(text);
  const Ast *n = p.file->file.items->next;
  Place place;
  (void)state;
  assert_true(source_place(p.map, n->param.name_at.begin, &place));
  assert_int_equal(place.line, 2);
  assert_int_equal(place.col, 7);
  assert_int_equal(n->at.end - n->at.begin, strlen("param rate = 1 + f(2);"));
  assert_int_equal(n->param.value->at.end - n->param.value->at.begin, strlen("1 + f(2)"));
  assert_true(source_place(p.map, n->param.value->binary.y->at.begin, &place));
  assert_int_equal(place.col, 18);
  arena_free(&p.arena);
}

/* A whole file and the positions and codes of all errors in it. */
static void test_mistakes(void **state)
{
  static const struct {
    const char *source, *want;
  } rows[] = {
    {"", "1:1 E0108"},
    {"# only a comment\n", "1:1 E0108"},
    {"param p = 1;", "1:1 E0108"},
    {"net 2;", "1:1 E0108"},
    {"net 1; net 1;", "1:8 E0108"},
    {"garbage", "1:1 E0101"},
    {"}", "1:1 E0101"},
    {"net 1", "1:6 E0102"},
    {"net 1; param p = 3\nparam q = ;", "1:19 E0102, 2:11 E0101"},
    {"net 1; param p = 3 4; param q = ;", "1:20 E0101, 1:33 E0101"},
    {"net 1; modle m(x) -> y: f32 { a = b; return a; } param q = ;", "1:8 E0101, 1:60 E0101"},
    {"net 1; model m(x f32) -> y: f32 { a = ; return ; } param q = ;", "1:18 E0101, 1:62 E0101"},
    {"net 1; model m(x) -> y: f32 { a = x -> dense(3;\n b = ; }", "1:47 E0101, 2:6 E0101"},
    {"net 1; model m(x) -> y: f32 { a = x -> relu\n b = ; }", "1:44 E0102, 2:6 E0101"},
    {"net 1; model m(x) -> y: f32 { return x }\nparam p = ;", "1:39 E0102, 2:11 E0101"},
    {"net 1; model m(x) -> y: f32 { return x;\ntrain m on d { loss: ; }", "2:1 E0101, 2:22 E0101"},
    {"net 1; data d { train: a();\nbuild { threads: ; }", "2:1 E0101, 2:18 E0101"},
    {"net 1; infer m {", "1:17 E0101"},
    {"net 1; infer m { output: a", "1:27 E0102"},
    {"net 1; train m on d { epochs 3; batch = 4; loss: a; }", "1:30 E0101, 1:39 E0101"},
    {"net 1; train m on d { schedule: cosine(to=1); stop if x; }", "1:39 E0101, 1:52 E0101"},
    {"net 1; train m on d { every 2 epoch { print a; eval b; } loss: ; }",
     "1:31 E0101, 1:64 E0101"},
    {"net 1; train m on d { group *.b { decay: 0; } every 2 { print a; } loss: ; }",
     "1:29 E0101, 1:55 E0101, 1:74 E0101"},
    {"net 1; train m on d { every 2; group a; loss: ; }", "1:30 E0101, 1:39 E0101, 1:47 E0101"},
    {"net 1; eval m on d { report a; } param p = ;", "1:20 E0101, 1:44 E0101"},
    {"net 1; model m(x) -> y: f32 { repeat i in 1..3 { h = x; } a = ; }", "1:63 E0101"},
    {"net 1; model m(x) -> y: f32 { repeat i 1..3 { h = ; } a = ; }", "1:40 E0101, 1:59 E0101"},
    {"net 1; model m(x) -> y: f32 { repeat i in { h = ; } a = ; }", "1:43 E0101, 1:57 E0101"},
    {"net 1; model m(x) -> y: f32 { if = { a = x; } else { b = ; } a = ; }",
     "1:34 E0101, 1:66 E0101"},
    {"net 1; model m(x) -> y: f32 { if a { b = ; } else { c = ; } }", "1:42 E0101, 1:57 E0101"},
    {"net 1; model m(x) -> y: f32 { if a { b = ; else { c = x; } }",
     "1:42 E0101, 1:44 E0101, 1:61 E0101"},
    {"net 1; model m(x) -> y: f32 { else { c = x; } d = ; }", "1:31 E0101, 1:51 E0101"},
    {"net 1; block b(x, p=) -> f32 { return ; } param q = ;", "1:21 E0101, 1:53 E0101"},
    {"net 1; block b(x) -> f32 { repeat i in 1..2 { h = x;\nmodel m(x) -> f32 { h = ; }",
     "2:1 E0101, 2:25 E0101"},
    {"net 1; use \"a.nn\"; param p = ;", "1:30 E0101"},
    {"net 1; use a; param p = ;", "1:12 E0101, 1:25 E0101"},
    {"net 1; op f(x) -> f32 { y = ; } param p = ;", "1:29 E0101, 1:43 E0101"},
    {"net 1; op f(x) -> f32 { y[ = x; z[i] + = x; } param p = ;",
     "1:28 E0101, 1:38 E0101, 1:57 E0101"},
    {"net 1; op f(x) -> f32 { return x; y += x where i; y += x where i in; }",
     "1:25 E0101, 1:49 E0101, 1:68 E0101"},
    {"net 1; model m(x: param) -> y: f32 { } param p = ;", "1:24 E0101, 1:50 E0101"},
    {"net 1; model m(x) -> y: f32 { as = x; a = 1 < 2 < 3; }", "1:31 E0101, 1:49 E0101"},
    {"net 1; param p = @@ 3; param q = ;", "1:18 E0103, 1:34 E0101"},
    {"net 1; param p = 'a'; param q = 1 && 2;", "1:18 E0103, 1:35 E0103"},
    {"net 1; // c\nparam q = ;", "1:8 E0103, 2:11 E0101"},
    {"net 1; param p = 12abc; param q = 1_; param r = 0x1F;", "1:18 E0104, 1:35 E0104, 1:49 E0104"},
    {"net 1; param p = 1e999; param q = 9007199254740993;", "1:18 E0104, 1:35 E0104"},
    {"net 1; param p = \"abc\nparam q = 1; param r = ;", "1:18 E0105, 2:24 E0101"},
    {"net 1; param p = \"a\\q\"; param q = \"\\x00\"; param r = \"\\xZZ\";", "1:20 E0105, 1:36 E0105, 1:54 E0105"},
    {"net 1; param p = 1; /* open", "1:21 E0105"},
    {"net 1; model m(x) -> y: f32 { /* open", "1:31 E0105"},
    {"net 1; # \xFF\xFE bad\nparam q = ;", "1:10 E0103, 2:11 E0101"},
    {"net 1; param \xFF = 1; param q = ;", "1:14 E0103, 1:31 E0101"},
    {"net 1; param p = (1; param q = [1;", "1:20 E0101, 1:34 E0101"},
    {"net 1; param p = f(1]; param q = ;", "1:21 E0101, 1:34 E0101"},
  };
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    Parsed p = parse_text(rows[i].source);
    if (!str_eq(headlines(&p), rows[i].want))
      print_error("row %zu: %s\n%s", i, rows[i].source, out_text(p.messages));
    assert_string_equal(headlines(&p), rows[i].want);
    assert_int_equal(diag_exit_code(p.diag), EXIT_SPEC);
    arena_free(&p.arena);
  }
}

static void test_five_mistakes_give_five_errors(void **state)
{
  static const char text[] =
    "net 1;\n"
    "param rate 0.1;\n"                                 /* 1 */
    "model m(x: f32[3]) -> y: f32[1] {\n"
    "  a = x -> dense(3;\n"                             /* 2 */
    "  b = a -> relu\n"                                 /* 3 */
    "  c = b -> dense(1);\n"
    "  y = ;\n"                                         /* 4 */
    "  return c;\n"
    "}\n"
    "train m on d { loss: mse(y, t); epochs 3; batch: 4; }\n";  /* 5 */
  Parsed p = parse_text(text);
  (void)state;
  assert_string_equal(out_text(p.messages),
    "t.nn:2:12: error: expected `=`, found `0.1` [E0101]\n"
    "    2 | param rate 0.1;\n"
    "      |            ^~~\n"
    "t.nn:4:19: error: expected `->`, `,` or `)`, found `;` [E0101]\n"
    "    4 |   a = x -> dense(3;\n"
    "      |                   ^\n"
    "t.nn:4:17: note: this `(` is not closed\n"
    "    4 |   a = x -> dense(3;\n"
    "      |                 ^\n"
    "t.nn:5:16: error: `;` is missing after `relu` [E0102]\n"
    "    5 |   b = a -> relu\n"
    "      |                ^\n"
    "t.nn:7:7: error: expected a value, found `;` [E0101]\n"
    "    7 |   y = ;\n"
    "      |       ^\n"
    "t.nn:10:40: error: expected `:`, found `3` [E0101]\n"
    "   10 | train m on d { loss: mse(y, t); epochs 3; batch: 4; }\n"
    "      |                                        ^\n");
  assert_int_equal(diag_errors(p.diag), 5);
  assert_string_equal(tree(&p),
    "(file\n"
    "  (net 1)\n"
    "  (error)\n"
    "  (model (m (x (f32 :dims 3)) -> (y (f32 :dims 1))) (body\n"
    "    (error)\n"
    "    (error)\n"
    "    (let c = (-> b (dense 1)))\n"
    "    (error)\n"
    "    (return c)))\n"
    "  (train m :on d (items\n"
    "    (set loss (call mse y t))\n"
    "    (error)\n"
    "    (set batch 4))))\n");
  arena_free(&p.arena);
}

static void test_messages_in_full(void **state)
{
  static const struct {
    const char *source, *want;
  } rows[] = {
    {"net 1;\nmodle m(x) -> y: f32 { }\n",
     "t.nn:2:1: error: there is no declaration `modle` [E0101]\n"
     "    2 | modle m(x) -> y: f32 { }\n"
     "      | ^~~~~\n"
     "help: did you mean `model`?\n"},
    {"net 1;\nmodel m(x) -> y: f32 {\n  as = x;\n}\n",
     "t.nn:3:3: error: expected a statement such as `h = x -> relu;` or `}`, found `as` [E0101]\n"
     "    3 |   as = x;\n"
     "      |   ^~\n"
     "help: `as` is a word of the language and cannot be a name\n"},
    {"net 1;\nmodel m(x) -> y: f32 {\n  a = x;\ntrain m on d { }\n",
     "t.nn:4:1: error: `}` is missing before `train` [E0101]\n"
     "    4 | train m on d { }\n"
     "      | ^~~~~\n"
     "t.nn:2:22: note: the block that starts here is still open\n"
     "    2 | model m(x) -> y: f32 {\n"
     "      |                      ^\n"},
    {"net 1;\nparam p = a | b;\n",
     "t.nn:2:13: error: unexpected character `|` [E0103]\n"
     "    2 | param p = a | b;\n"
     "      |             ^\n"
     "help: write `or`\n"},
  };
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    Parsed p = parse_text(rows[i].source);
    assert_string_equal(out_text(p.messages), rows[i].want);
    arena_free(&p.arena);
  }
}

static void test_line_ends_and_byte_order_mark(void **state)
{
  Parsed a = parse_text("net 1;\nparam p = 1; # c\nparam q = \"s\";\n");
  Parsed b = parse_text("\xEF\xBB\xBFnet 1;\r\nparam p = 1; # c\r\nparam q = \"s\";\r\n");
  (void)state;
  assert_string_equal(out_text(b.messages), "");
  assert_string_equal(tree(&a), tree(&b));
  assert_string_equal(b.file->file.comments->text, "# c");
  arena_free(&a.arena);
  arena_free(&b.arena);
}

static void test_nul_is_no_text(void **state)
{
  static const char text[] = "net 1;\0param p = ;";
  Parsed p = parse_bytes(text, sizeof text - 1);
  (void)state;
  assert_string_equal(headlines(&p), "1:7 E0103");
  arena_free(&p.arena);
}

/* net 1; param p = <prefix n times> 1 <suffix n times>; */
static Parsed parse_nested(const char *prefix, const char *suffix, int n)
{
  Arena *a = arena_new("nested");
  Out *o = out_new(a);
  out_printf(o, "net 1; param p = ");
  for (int i = 0; i < n; i++)
    out_printf(o, "%s", prefix);
  out_printf(o, "1");
  for (int i = 0; i < n; i++)
    out_printf(o, "%s", suffix);
  out_printf(o, ";");
  Parsed p = parse_text(out_text(o));
  arena_free(&a);
  return p;
}

static void test_deep_nesting_is_one_error(void **state)
{
  static const struct {
    const char *prefix, *suffix;
    int n;
    bool good;
  } rows[] = {{"[", "]", 250, true},   {"[", "]", 300, false},    {"[", "]", 100000, false},
              {"-", "", 250, true},    {"-", "", 5000, false},    {"-", "", 100000, false},
              {"f(", ")", 100, true},  {"f(", ")", 3000, false},  {"1 + ", "", 200, true},
              {"1 + ", "", 50000, false}, {"2 ** ", "", 50000, false},
              {"(", ")", 3000, true},  {"(", ")", 100000, false}};
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    Parsed p = parse_nested(rows[i].prefix, rows[i].suffix, rows[i].n);
    assert_int_equal(diag_errors(p.diag), rows[i].good ? 0 : 1);
    if (!rows[i].good)
      assert_non_null(strstr(out_text(p.messages), "[E0106]"));
    tree(&p);
    arena_free(&p.arena);
  }
}

static void test_long_lists_are_not_deep(void **state)
{
  enum { N = 20000 };
  Arena *a = arena_new("long");
  Out *o = out_new(a);
  (void)state;
  out_printf(o, "net 1; model m(x) -> y: f32 { y = x");
  for (int i = 0; i < N; i++)
    out_printf(o, " -> f");
  out_printf(o, "; z = [1");
  for (int i = 0; i < N; i++)
    out_printf(o, ", 1");
  out_printf(o, "]; }");
  Parsed p = parse_text(out_text(o));
  assert_string_equal(out_text(p.messages), "");
  const Ast *y = p.file->file.items->next->model.body;
  assert_int_equal(ast_length(y->let.value->chain.stages), N);
  assert_int_equal(ast_length(y->next->let.value->list.items), N + 1);
  arena_free(&p.arena);
  arena_free(&a);
}

/* A file of `n` bytes c between a prefix and a suffix. */
static Parsed parse_filled(const char *prefix, char c, size_t n, const char *suffix)
{
  Arena *a = arena_new("filled");
  char *fill = arena_alloc(a, n + 1);
  memset(fill, c, n);
  const char *text = arena_printf(a, "%s%s%s", prefix, fill, suffix);
  Parsed p = parse_text(text);
  arena_free(&a);
  return p;
}

static void test_size_limits(void **state)
{
  static const struct {
    const char *prefix;
    char c;
    size_t n;
    const char *suffix, *want;
    int exit_code;
  } rows[] = {
    {"net 1; param ", 'a', 128, " = 1;", "", 0},
    {"net 1; param ", 'a', 129, " = 1;", "1:14 E0104", 1},
    {"net 1; param p = \"", 'a', 65534, "\";", "", 0},
    {"net 1; param p = \"", 'a', 65535, "\";", "1:18 E0104", 1},
    {"net 1; param p = 1", '0', 70000, ";", "1:18 E0104", 1},
    {"net 1; param p = 0.", '1', 60000, ";", "", 0},
    {"net 1; #", 'a', 200000, "\n", "", 0},
    {"net 1; ", '@', 200000, "\n", "1:8 E0103", 1},
    {"net 1; ", ' ', 16 * 1024 * 1024 - 7, "", "", 0},
    {"net 1; ", ' ', 16 * 1024 * 1024 - 6, "", "1:1 E0602", 6},
  };
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    Parsed p = parse_filled(rows[i].prefix, rows[i].c, rows[i].n, rows[i].suffix);
    assert_string_equal(headlines(&p), rows[i].want);
    assert_int_equal(diag_exit_code(p.diag), rows[i].exit_code);
    assert_true(out_length(p.messages) < 4096);
    arena_free(&p.arena);
  }
}

static void test_many_errors_stop_after_twenty(void **state)
{
  Arena *a = arena_new("many");
  Out *o = out_new(a);
  (void)state;
  out_printf(o, "net 1;\n");
  for (int i = 0; i < 100; i++)
    out_printf(o, "param p%d = ;\n", i);
  Parsed p = parse_text(out_text(o));
  assert_int_equal(diag_errors(p.diag), 21);
  assert_non_null(strstr(out_text(p.messages), "t.nn:21:"));
  assert_null(strstr(out_text(p.messages), "t.nn:22:"));
  assert_non_null(strstr(out_text(p.messages), "too many errors"));
  arena_free(&p.arena);
  arena_free(&a);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_specs_parse_without_a_message),
    cmocka_unit_test(test_expressions),
    cmocka_unit_test(test_blocks),
    cmocka_unit_test(test_numbers),
    cmocka_unit_test(test_spans_name_the_source),
    cmocka_unit_test(test_mistakes),
    cmocka_unit_test(test_five_mistakes_give_five_errors),
    cmocka_unit_test(test_messages_in_full),
    cmocka_unit_test(test_line_ends_and_byte_order_mark),
    cmocka_unit_test(test_nul_is_no_text),
    cmocka_unit_test(test_deep_nesting_is_one_error),
    cmocka_unit_test(test_long_lists_are_not_deep),
    cmocka_unit_test(test_size_limits),
    cmocka_unit_test(test_many_errors_stop_after_twenty),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
