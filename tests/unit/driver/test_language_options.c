/* Every option of the language does something: pairs of specs that differ in one option train
 * through the real runtime, with the loop interpreter as their program, and must show other
 * numbers. What the tables list but no pair proves is a failure too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cmd/cmd.h"
#include "ops/ops.h"
#include "pictures.h"
#include "unit/driver/interpreted.h"
#include "unit/driver/option_proofs.h"
#include <ctype.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { SEEN_MAX = 1 << 16 };

static char home[] = "/tmp/gradc-options-XXXXXX";
static char spec[8192], text[TEXT_MAX];

/* ---- specs ---- */

static void fill_gap(Gap gap, const char *with)
{
  assert_in_range(gap, 0, IN_COUNT - 1);
  const char *frame = gap_spec[gap], *mark = strchr(frame, '@');
  assert_non_null(mark);
  int n = snprintf(spec, sizeof spec, "%.*s%s%s", (int)(mark - frame), frame, with, mark + 1);
  assert_true(n > 0 && n < (int)sizeof spec);
}

/* ---- what is seen of a program ---- */

static void see(char *seen, const char *path)
{
  size_t at = strlen(seen);
  snprintf(seen + at, SEEN_MAX - at, "%s:\n%s\n", path, slurp(path, text));
}

/* The lines of `print`, `sample` and `eval` that training wrote. */
static void see_events(char *seen)
{
  slurp("out.txt", text);
  for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
    if (strstr(line, "\"event\":\"print\"") || strstr(line, "\"event\":\"sample\"") ||
        strstr(line, "\"event\":\"eval\",\"step\"") ||
        strstr(line, "\"event\":\"eval\",\"epoch\"")) {
      size_t at = strlen(seen);
      snprintf(seen + at, SEEN_MAX - at, "%s\n", line);
    }
}

static void see_program(const Compilation *c, char *seen)
{
  gradrt_net net = program(c);
  most_workers = 0;
  int code = run_caught(&net, "m train --silent --json --out run --log-steps steps.csv");
  snprintf(seen, SEEN_MAX, "exit %d, %s, %d workers\n", code, net.cpu, most_workers);
  see_events(seen);
  see(seen, "steps.csv");
  see(seen, "run/metrics.csv");
  if (code) {
    see(seen, "err.txt");
    return;
  }
  code = run_caught(&net, "m eval --json --weights run");
  see(seen, code ? "err.txt" : "out.txt");
  code = run_caught(&net, "m predict in.csv --json --weights run");
  see(seen, code ? "err.txt" : "out.txt");
}

/* Trains the spec with its gap filled; true: it worked. seen: losses, rates and metrics of all
 * steps, epochs and splits, and a prediction; without it: what the compiler says. */
static bool observe(const Proof *p, const char *with, char *seen)
{
  int code;
  assert_int_equal(system("rm -rf run steps.csv out.txt err.txt"), 0);
  fill_gap(p->gap, with);
  Compilation *c = compile_text(spec, (DriverOptions){ 0 }, &code);
  if (code)
    snprintf(seen, SEEN_MAX, "%s", messages);
  else
    see_program(c, seen);
  compilation_free(&c);
  return code == 0 && strncmp(seen, "exit 0", 6) == 0;
}

static void test_every_option_changes_what_is_seen(void **state)
{
  (void)state;
  static char one[SEEN_MAX], again[SEEN_MAX], other[SEEN_MAX];
  int wrong = 0;
  for (size_t i = 0; i < ARRAY_LEN(proofs); i++) {
    const Proof *p = &proofs[i];
    if (!observe(p, p->one, one)) {
      print_message("%s: `%s` does not work:\n%s\n%s", p->option, p->one, one, spec);
      wrong++;
      continue;
    }
    if ((i == 0 || p->gap != p[-1].gap) &&
        (!observe(p, p->one, again) || strcmp(one, again) != 0))
      fail_msg("%s: `%s` gives other numbers the second time", p->option, p->one);
    observe(p, p->other, other);
    if (strcmp(one, other) == 0) {
      print_message("%s: `%s` and `%s` are the same:\n%s", p->option, p->one, p->other, one);
      wrong++;
    }
  }
  assert_int_equal(wrong, 0);
}

/* ---- what is generated of a program ---- */

/* The C of a spec without comments, and without the spec itself; NULL: it does not compile. To
 * be freed. */
static char *generate(const Proof *p, const char *with)
{
  int code;
  fill_gap(p->gap, with);
  Compilation *c = compile_text(spec, (DriverOptions){ 0 }, &code);
  char *code_text = NULL;
  if (code == 0) {
    gradrt_net net = *c->net;
    net.spec = NULL;
    net.fingerprint = "";
    EmitArgs args = cmd_emit_args(&(CmdOptions){ .thin = true }, c);
    args.net = &net;
    Out *out = out_new(c->arena);
    assert_true(backend_find("c")->emit(&args, out));
    code_text = strdup(out_text(out));
    assert_non_null(code_text);
  }
  compilation_free(&c);
  for (char *s = code_text; s && (s = strstr(s, "/*"));) {
    char *end = strstr(s, "*/");
    assert_non_null(end);
    memset(s, ' ', (size_t)(end + 2 - s));
  }
  return code_text;
}

static void test_every_option_reaches_the_generated_c(void **state)
{
  (void)state;
  int wrong = 0;
  for (size_t i = 0; i < ARRAY_LEN(proofs); i++) {
    const Proof *p = &proofs[i];
    char *one = generate(p, p->one), *other = generate(p, p->other);
    if (one && other && strcmp(one, other) == 0) {
      print_message("%s: `%s` and `%s` give the same C\n", p->option, p->one, p->other);
      wrong++;
    }
    free(one);
    free(other);
  }
  assert_int_equal(wrong, 0);
}

/* ---- nothing is left without a proof ---- */

static int unproved;

/* The guide to the language has the word. */
static bool is_in_guide(const char *word)
{
  size_t n = strlen(word);
  slurp(GRADC_TESTS_DIR "/../compiler/LANGUAGE.md", text);
  assert_true(*text);
  for (const char *s = text; (s = strstr(s, word)); s += n) {
    unsigned char left = (unsigned char)s[-1], right = (unsigned char)s[n];
    if (!isalnum(left) && left != '_' && !isalnum(right) && right != '_')
      return true;
  }
  return false;
}

/* Counts an option without a proof, and one that the guide does not name. */
static void need(const char *owner, const char *option)
{
  char name[128];
  const char *word = *option ? option : owner;
  snprintf(name, sizeof name, "%s%s%s", owner, *owner && *option ? "." : "", option);
#ifndef GRADRT_PNG
  if (strcmp(owner, "images") == 0)
    return;                     /* nothing here makes pictures */
#endif
  if (!is_in_guide(strcmp(word, "bias_values") ? word : "bias")) {
    print_message("LANGUAGE.md does not name %s\n", name);
    unproved++;
  }
  for (size_t i = 0; i < ARRAY_LEN(proofs); i++)
    if (strcmp(proofs[i].option, name) == 0)
      return;
  print_message("no proof of %s\n", name);
  unproved++;
}

typedef struct { const char *owner, *option; } TableRow;

/* Sources, conversions and schedules: the rows of their tables; NULL: an owner. */
static const TableRow table_rows[] = {
#define SOURCE(name, unnamed, inputs, columns, doc) { #name, NULL },
#define PIPE(name, unnamed, doc) { #name, NULL },
#define SCHEDULE(name, unnamed, doc) { #name, NULL },
#define OPTION(kind, name, dflt, low, high, doc) { NULL, #name },
#include "sema/sources.def"
#include "sema/pipes.def"
#include "sema/schedules.def"
#undef SOURCE
#undef PIPE
#undef SCHEDULE
#undef OPTION
};

static void test_tables_are_proved(void **state)
{
  static const char *const metrics[] = {
#define METRIC(name, values, low, target, table, doc) #name,
#include "sema/metrics.def"
#undef METRIC
  };
  static const char *const inits[] = {
#define X(kind, word) word,
    INIT_KINDS(X)
#undef X
  };
  const char *owner = "";
  (void)state;
  unproved = 0;
  for (size_t i = 0; i < ARRAY_LEN(table_rows); i++) {
    bool last = i + 1 == ARRAY_LEN(table_rows) || table_rows[i + 1].owner;
    owner = table_rows[i].owner ? table_rows[i].owner : owner;
    if (table_rows[i].option)
      need(owner, table_rows[i].option);
    else if (last)
      need(owner, "");
  }
  for (size_t i = 0; i < ARRAY_LEN(metrics); i++)
    need(metrics[i], "");
  for (size_t i = 0; i < ARRAY_LEN(inits); i++)
    need("init", inits[i]);
  assert_int_equal(unproved, 0);
}

static void test_operations_are_proved(void **state)
{
  const OpTable *t = ops_table();
  (void)state;
  unproved = 0;
  for (int i = 0; i < t->n; i++)
    if (t->at[i]->flags & (OP_LAYER | OP_LOSS | OP_OPTIMIZER))
      for (const AttrDef *a = t->at[i]->attrs; a && a->name; a++)
        need(t->at[i]->name, a->name);
  assert_int_equal(unproved, 0);
}

/* The compiler's own list of a block's lines, from what it says of an unknown one. */
static void need_lines(const char *block, const char *what)
{
  int code;
  compilation_free(&(Compilation *){ compile_text(what, (DriverOptions){ 0 }, &code) });
  const char *list = strstr(messages, "lines: ");
  assert_non_null(list);
  char line[512];
  snprintf(line, sizeof line, "%.*s", (int)strcspn(list, "\n") - 7, list + 7);
  for (char *word = strtok(line, ","); word; word = strtok(NULL, ","))
    need(block, word + strspn(word, " "));
}

static void test_lines_of_blocks_are_proved(void **state)
{
  (void)state;
  unproved = 0;
  fill_gap(IN_TRAIN, CLASS SOME LONG "qqqqqqqq: 1;");
  need_lines("train", spec);
  fill_gap(IN_BLOCK, "build { qqqqqqqq: 1; }");
  need_lines("build", spec);
  assert_int_equal(unproved, 0);
}

/* ---- words of other frameworks ---- */

typedef struct { const char *theirs, *ours; } Alias;

static const Alias aliases[] = {
#define ALIAS(theirs, ours) { theirs, ours },
#include "sema/aliases.def"
#undef ALIAS
};

/* Writes `owner(theirs=1)` where a proof has an owner of our option; false: nothing has it. */
static bool write_foreign(const Alias *alias, Gap *gap, char *with, size_t size)
{
  for (size_t i = 0; i < ARRAY_LEN(proofs); i++) {
    const Proof *p = &proofs[i];
    size_t owner = strcspn(p->option, ".");
    if (!p->option[owner] || strcmp(p->option + owner + 1, alias->ours) != 0)
      continue;
    const char *at = p->one;
    while (*at && strncmp(at, p->option, owner) != 0)
      at++;
    *gap = p->gap;
    snprintf(with, size, "%.*s%.*s(%s=1)%s", (int)(at - p->one), p->one, (int)owner, p->option,
             alias->theirs, p->gap == IN_TRAIN ? "; epochs: 1;" : "");
    return true;
  }
  return false;
}

static void test_words_of_other_frameworks_are_understood(void **state)
{
  (void)state;
  for (size_t i = 0; i < ARRAY_LEN(aliases); i++) {
    char with[1024], want[128];
    Gap gap = IN_COUNT;
    int code;
    if (!write_foreign(&aliases[i], &gap, with, sizeof with))
      fail_msg("%s: nothing has an option %s", aliases[i].theirs, aliases[i].ours);
    fill_gap(gap, with);
    compilation_free(&(Compilation *){ compile_text(spec, (DriverOptions){ 0 }, &code) });
    snprintf(want, sizeof want, "called `%s` here", aliases[i].ours);
    if (code == 0 || !strstr(messages, want))
      fail_msg("%s is not said to be called %s:\n%s\n%s", aliases[i].theirs, aliases[i].ours,
               messages, spec);
  }
}

/* ---- files ---- */

static void write_bytes(const char *path, const void *head, size_t nhead, const void *body,
                        size_t nbody)
{
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(head, 1, nhead, f), nhead);
  assert_int_equal(fwrite(body, 1, nbody, f), nbody);
  assert_int_equal(fclose(f), 0);
}

static void write_npy(const char *path, const char *shape, const void *body, size_t n)
{
  char head[128] = "\x93NUMPY\x01\0\x76";
  memset(head + 10, ' ', sizeof head - 10);
  int length = snprintf(head + 10, sizeof head - 10,
                        "{'descr': '|u1', 'fortran_order': False, 'shape': %s, }", shape);
  head[10 + length] = ' ';
  head[sizeof head - 1] = '\n';
  write_bytes(path, head, sizeof head, body, n);
}

/* 8 samples of every kind, in two versions. */
static void write_files(void)
{
  static const unsigned char image_head[] = { 0, 0, 8, 3, 0, 0, 0, 8, 0, 0, 0, 2, 0, 0, 0, 2 },
                             label_head[] = { 0, 0, 8, 1, 0, 0, 0, 8 };
  static unsigned char image[2][32], label[2][8], photo[2][8 * 3073];
  float pair[2][16];
  for (int v = 0; v < 2; v++) {
    for (int i = 0; i < 32; i++)
      image[v][i] = (unsigned char)(i * (v ? 5 : 7));
    for (int i = 0; i < 8; i++)
      label[v][i] = (unsigned char)((i + v) % 3);
    for (int i = 0; i < 8 * 3073; i++)
      photo[v][i] = i % 3073 ? (unsigned char)(i * (v ? 5 : 7)) : (unsigned char)(i / 3073 + v);
    for (int i = 0; i < 16; i++)
      pair[v][i] = (float)(i + v) / 16;
  }
  write_bytes("a.idx", image_head, 16, image[0], 32);
  write_bytes("b.idx", image_head, 16, image[1], 32);
  write_bytes("l.idx", label_head, 8, label[0], 8);
  write_bytes("k.idx", label_head, 8, label[1], 8);
  write_npy("a.npy", "(8, 2, 2)", image[0], 32);
  write_npy("b.npy", "(8, 2, 2)", image[1], 32);
  write_npy("l.npy", "(8,)", label[0], 8);
  write_npy("k.npy", "(8,)", label[1], 8);
  write_bytes("a.bin", "", 0, photo[0], sizeof photo[0]);
  write_bytes("b.bin", "", 0, photo[1], sizeof photo[1]);
  write_bytes("a.raw", "", 0, pair[0], sizeof pair[0]);
  write_bytes("b.raw", "", 0, pair[1], sizeof pair[1]);
}

#ifdef GRADRT_PNG
/* Three grey images a class, in folders p and q of 4 x 2 pixels and wide of 6 x 3. */
static void write_pictures(void)
{
  static const char *const folder[] = { "p", "q", "wide" };
  char path[64], reason[GRADRT_REASON];
  for (int f = 0; f < 3; f++) {
    assert_int_equal(mkdir(folder[f], 0700), 0);
    for (int i = 0; i < 6; i++) {
      gradrt_picture m;
      snprintf(path, sizeof path, "%s/%c", folder[f], "ab"[i / 3]);
      assert_true(i % 3 || mkdir(path, 0700) == 0);
      assert_true(gradrt_picture_alloc(&m, f < 2 ? 4 : 6, f < 2 ? 2 : 3, 1, reason));
      for (int k = 0; k < m.width * m.height; k++)
        m.pixel[k] = (unsigned char)(k * (7 + 4 * i) + f * 50);
      snprintf(path, sizeof path, "%s/%c/%d.png", folder[f], "ab"[i / 3], i % 3);
      assert_int_equal(gradrt_picture_write(path, &m), 0);
      gradrt_picture_free(&m);
    }
  }
}
#endif

static void write_tables(void)
{
  static const struct { const char *path, *what; } table[] = {
    { "a.csv", "u,v,y\n1,2,0\n3,4,1\n-1,2,2\n0,1,1\n2,2,0\n" },
    { "b.csv", "u,v,y\n2,1,0\n4,3,1\n2,-1,2\n1,0,1\n3,2,0\n" },
    { "semi.csv", "u;v;y\n1;2;0\n3;4;1\n-1;2;2\n" },
    { "gap.csv", "u,v,y\n1,2,0\n,4,1\n-1,2,2\n0,1,1\n" },
    { "in.csv", "u,v\n0.5,-1\n2,0.25\n" },
    { "l.csv", "name,other,k\n0.png,1.png,1\n1.png,2.png,0\n2.png,0.png,0.5\n" },
    { "k.csv", "name,k\n0.png,0\n1.png,1\n2.png,0.5\n" },
    { "s.csv", "name;k\n0.png;1\n1.png;0\n2.png;0.5\n" },
    { "a.txt", "the cat sat on the mat\nthe dog sat on the log\nso sat they all day long\n" },
    { "b.txt", "a mat sat on the cat\na log sat on the dog\nso lay they all day\n" },
  };
  for (size_t i = 0; i < ARRAY_LEN(table); i++)
    write_bytes(table[i].path, "", 0, table[i].what, strlen(table[i].what));
}

static int enter(void **state)
{
  (void)state;
  if (!mkdtemp(home) || chdir(home) != 0)
    return -1;
  unsetenv("GRADC_PROGRESS");
  unsetenv("GRADC_DATA");
  write_files();
  write_tables();
#ifdef GRADRT_PNG
  write_pictures();
#endif
  return 0;
}

static int leave(void **state)
{
  char line[64];
  (void)state;
  snprintf(line, sizeof line, "rm -rf %s", home);
  return chdir("/") == 0 ? system(line) : -1;
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_every_option_changes_what_is_seen),
    cmocka_unit_test(test_every_option_reaches_the_generated_c),
    cmocka_unit_test(test_tables_are_proved),
    cmocka_unit_test(test_operations_are_proved),
    cmocka_unit_test(test_lines_of_blocks_are_proved),
    cmocka_unit_test(test_words_of_other_frameworks_are_understood),
  };
  return cmocka_run_group_tests(tests, enter, leave);
}
