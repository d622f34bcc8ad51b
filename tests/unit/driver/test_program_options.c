/* Every option that a command of a program lists does what it says: with it a run leaves what it
 * does not leave without it. An option in a command's help without a row here is a failure. */
#define _GNU_SOURCE             /* RTLD_NEXT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/driver/interpreted.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>

static char home[] = "/tmp/gradc-program-XXXXXX";
static char text[TEXT_MAX], before_text[TEXT_MAX];
static Compilation *trainer, *checker;  /* as gradc train and gradc gradcheck make it */

static const char spec[] =
  "net 1;\n"
  "data d {\n"
  "  train: csv(\"train.csv\"); test: csv(\"test.csv\");\n"
  "  field x: f32[2] -> standardize(fit=train); field y: label(3);\n"
  "  augment: x -> noise(0.01);\n"
  "}\n"
  "model m(x: f32[2]) -> z: f32[3] { z = x -> dense(3); }\n"
  "train m on d {\n"
  "  loss: softmax_xent(z, y); optimizer: sgd(lr=0.1); epochs: 3; batch: 4;\n"
  "  metrics: accuracy(z, y);\n"
  "}\n"
  "eval m on d.test { report accuracy(z, y), confusion(z, y); }\n"
  "build { threads: 1; }\n";

/* The proof is in a file after `verb base extra`, and not after `verb base`: the text; after "!",
 * that it is gone; after "~", that another word follows it; "": that the file is another one.
 * first: a line that both start from. */
typedef struct { const char *verb, *option, *first, *base, *extra, *file, *proof; } Row;

#define STEPS "--silent --steps 1 --log-steps s.csv"
static const Row rows[] = {
  { "train", "epochs", NULL, "--silent", "--epochs 2", "runs/m/metrics.csv", "!\n3," },
  { "train", "lr", NULL, STEPS, "--lr 0.25", "s.csv", ",0.25" },
  { "train", "seed", NULL, STEPS, "--seed 5", "s.csv", "" },
  { "train", "threads", NULL, "--silent", "--threads 3", "seen.txt", "workers 3" },
  { "train", "data", NULL, STEPS, "--data other", "s.csv", "" },
  { "train", "data-root", NULL, "--silent --data linked", "--data-root .", "seen.txt", "code 0" },
  { "train", "data-memory", NULL, "--silent", "--data-memory 1XB", "seen.txt", "code 2" },
  { "train", "called", NULL, "", "--called other.nn", "out.txt", "gradc eval other.nn" },
  { "train", "out", NULL, "--silent", "--out a", "a/metrics.csv", "epoch," },
  { "train", "resume", "train --silent --epochs 1", "--silent --epochs 2 --log-steps s.csv",
    "--resume", "s.csv", "!\n1," },
  { "train", "init", "train --silent --out a", STEPS, "--init a:*.weight", "s.csv", "" },
  { "train", "folds", NULL, "--epochs 1", "--folds 3", "out.txt", "mean of 3 folds: valid_loss" },
  { "train", "lr-range", NULL, "--epochs 1", "--lr-range 1e-3..1", "out.txt", "try --lr" },
  { "train", "weights", "train --silent --out a", STEPS, "--weights a", "s.csv", "" },
  { "train", "steps", NULL, "--silent --log-steps s.csv", "--steps 2", "s.csv", "!\n3," },
  { "train", "save-every", NULL, "--json --epochs 1", "--save-every 2", "out.txt",
    "last.safetensors\",\"epoch\":0}" },
  { "train", "log-steps", NULL, "--silent", "--log-steps s.csv", "s.csv", "step,loss" },
  { "train", "require", NULL, "--silent", "--require accuracy>=2", "seen.txt", "code 8" },
  { "train", "fast-dev-run", NULL, "--silent", "--fast-dev-run", "runs/m/metrics.csv", "!epoch" },
  { "train", "no-prefetch", NULL, "--silent", "--no-prefetch", "seen.txt", "threads 0" },
  { "train", "json", NULL, "", "--json", "out.txt", "\"event\":\"run_start\"" },
  { "train", "progress", NULL, "", "--progress none", "err.txt", "!train_loss=" },
  { "train", "color", NULL, "--progress bar", "--color always", "err.txt", "\033[32m" },
  { "train", "quiet", NULL, "", "--quiet", "err.txt", "!train_loss=" },
  { "train", "silent", NULL, "", "--silent", "out.txt", "!test: loss" },
  { "eval", "seed", NULL, "--untrained --json", "--seed 5", "out.txt", "" },
  { "eval", "threads", NULL, "--untrained", "--threads 3", "seen.txt", "workers 3" },
  { "eval", "data", NULL, "--untrained --json", "--data other", "out.txt", "" },
  { "eval", "data-root", NULL, "--untrained --data linked", "--data-root .", "seen.txt", "code 0" },
  { "eval", "data-memory", NULL, "--untrained", "--data-memory 0", "seen.txt", "code 2" },
  { "eval", "called", NULL, "", "--called other.nn", "err.txt", "gradc train other.nn" },
  { "eval", "out", "train --silent --out a", "", "--out a", "seen.txt", "code 0" },
  { "eval", "weights", "train --silent --out a", "", "--weights a", "seen.txt", "code 0" },
  { "eval", "split", NULL, "--untrained --json", "--split train", "out.txt",
    "\"split\":\"train\"" },
  { "eval", "untrained", NULL, "", "--untrained", "seen.txt", "code 0" },
  { "eval", "require", NULL, "--untrained", "--require accuracy>=2", "seen.txt", "code 8" },
  { "eval", "json", NULL, "--untrained", "--json", "out.txt", "\"event\":\"eval\"" },
  { "eval", "quiet", NULL, "--untrained", "--quiet", "out.txt", "!confusion matrix" },
  { "eval", "silent", NULL, "--untrained", "--silent", "out.txt", "!test: loss" },
  { "predict", "seed", NULL, "in.csv --untrained --json", "--seed 5", "out.txt", "" },
  { "predict", "threads", NULL, "in.csv --untrained", "--threads 3", "seen.txt", "workers 3" },
  { "predict", "data", NULL, "in.csv --untrained --json", "--data other", "out.txt", "" },
  { "predict", "data-root", NULL, "in.csv --untrained --data linked", "--data-root .", "seen.txt",
    "code 0" },
  { "predict", "called", NULL, "in.csv", "--called other.nn", "err.txt", "gradc train other.nn" },
  { "predict", "out", NULL, "in.csv --untrained", "--out p.csv", "p.csv", "input,row" },
  { "predict", "weights", "train --silent --out a", "in.csv", "--weights a", "seen.txt", "code 0" },
  { "predict", "untrained", NULL, "in.csv", "--untrained", "seen.txt", "code 0" },
  { "predict", "image", NULL, "--untrained", "--image none.png", "err.txt", "none.png" },
  { "predict", "top", NULL, "in.csv --untrained", "--top 1", "out.txt", "" },
  { "predict", "ahead", NULL, "in.csv --untrained", "--ahead 2", "err.txt",
    "cannot go on with a series" },
  { "predict", "json", NULL, "in.csv --untrained", "--json", "out.txt",
    "\"event\":\"prediction\"" },
  { "predict", "quiet", NULL, "in.csv --untrained", "--quiet", "err.txt", "!weights:" },
  { "predict", "silent", NULL, "in.csv --untrained", "--silent", "out.txt", "!in.csv" },
  { "info", "json", NULL, "", "--json", "out.txt", "\"event\":\"info\"" },
  { "bench", "seed", NULL, "--seconds 0", "--seed 5", "out.txt", "~check      loss " },
  { "bench", "threads", NULL, "--seconds 0", "--threads 3", "seen.txt", "workers 3" },
  { "bench", "steps", NULL, "--seconds 0", "--steps 50", "out.txt", "least of 50;" },
  { "bench", "seconds", NULL, "--seed 1", "--seconds 0", "out.txt", "~least of " },
  { "bench", "json", NULL, "--seconds 0", "--json", "out.txt", "\"event\":\"bench\"" },
  { "gradcheck", "seed", NULL, "", "--seed 5", "out.txt", "" },
  { "gradcheck", "threads", NULL, "", "--threads 3", "seen.txt", "workers 3" },
  { "gradcheck", "data", NULL, "", "--data other", "out.txt", "" },
  { "gradcheck", "data-root", NULL, "--data linked", "--data-root .", "seen.txt", "code 0" },
  { "gradcheck", "data-memory", NULL, "", "--data-memory GB", "seen.txt", "code 2" },
  { "gradcheck", "called", NULL, "--help", "--called other.nn", "out.txt",
    "gradc gradcheck other.nn" },
  { "gradcheck", "param", NULL, "", "--param z.weight", "out.txt", "!z.bias" },
  { "gradcheck", "quiet", NULL, "", "--quiet", "out.txt", "!worst error" },
};

static int made_threads;        /* since it was last set to 0 */

/* In the place of the library's: counts, and does the same. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg)
{
  int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
  void *found = dlsym(RTLD_NEXT, "pthread_create");
  memcpy(&create, &found, sizeof create);
  made_threads++;
  return create(thread, attr, start, arg);
}

/* Runs a line of the program in the folder as it was; what is seen beside files is in seen.txt. */
static void perform(const char *line)
{
  char words[512];
  gradrt_net net = program(strstr(line, "gradcheck") ? checker : trainer);
  most_workers = made_threads = 0;
  snprintf(words, sizeof words, "m %s", line);
  int code = run_caught(&net, words);
  FILE *f = fopen("seen.txt", "w");
  assert_non_null(f);
  fprintf(f, "code %d\nworkers %d\nthreads %d\n", code, most_workers, made_threads);
  fclose(f);
}

/* The file after the row's line, with its option or without. */
static void look(const Row *r, const char *extra, char *out)
{
  char line[512];
  assert_int_equal(system("rm -rf runs a s.csv p.csv seen.txt out.txt err.txt"), 0);
  if (r->first)
    perform(r->first);
  snprintf(line, sizeof line, "%s %s %s", r->verb, r->base, extra);
  perform(line);
  slurp(r->file, out);
}

static bool proved(const Row *r)
{
  if (!*r->proof)
    return *text && *before_text && strcmp(text, before_text) != 0;
  if (*r->proof == '!')
    return strstr(before_text, r->proof + 1) && !strstr(text, r->proof + 1);
  if (*r->proof != '~')
    return !strstr(before_text, r->proof) && strstr(text, r->proof);
  const char *old = strstr(before_text, r->proof + 1), *now = strstr(text, r->proof + 1);
  size_t n = strlen(r->proof) - 1;
  return old && now && strncmp(old + n, now + n, strcspn(old + n, " \n") + 1) != 0;
}

static void test_every_option_does_what_it_says(void **state)
{
  (void)state;
  int wrong = 0;
  for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
    look(&rows[i], "", before_text);
    look(&rows[i], rows[i].extra, text);
    if (proved(&rows[i]))
      continue;
    print_message("%s --%s: no proof '%s' in %s, which was\n%s\nand is with it\n%s\n", rows[i].verb,
                  rows[i].option, rows[i].proof, rows[i].file, before_text, text);
    wrong++;
  }
  assert_int_equal(wrong, 0);
}

static bool has_row(const char *verb, const char *option, size_t n)
{
  for (size_t i = 0; i < ARRAY_LEN(rows); i++)
    if (strcmp(rows[i].verb, verb) == 0 && strlen(rows[i].option) == n &&
        memcmp(rows[i].option, option, n) == 0)
      return true;
  return false;
}

static void test_every_option_in_a_help_has_a_row(void **state)
{
  static const char *const verbs[] = { "train", "eval", "predict", "info", "bench",
                                       "gradcheck" };
  (void)state;
  int missing = 0;
  for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
    char line[32];
    int listed = 0;
    snprintf(line, sizeof line, "help %s", verbs[i]);
    perform(line);
    for (const char *s = slurp("out.txt", text); (s = strstr(s, "\n  --")); listed++) {
      s += 5;
      size_t n = strcspn(s, " \n");
      if (!has_row(verbs[i], s, n)) {
        print_message("%s --%.*s has no row\n", verbs[i], (int)n, s);
        missing++;
      }
    }
    assert_true(listed > 0);
  }
  assert_int_equal(missing, 0);
}

static void write_table(const char *path, int n, int turn)
{
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  fputs("u,v,y\n", f);
  for (int i = 0; i < n; i++)
    fprintf(f, "%d,%d,%d\n", (i * 7 + turn) % 11, (i * 5 + 2 * turn) % 13, i % 3);
  fclose(f);
}

static int enter(void **state)
{
  int code;
  (void)state;
  if (!mkdtemp(home) || chdir(home) != 0 || system("mkdir other linked") != 0)
    return -1;
  unsetenv("GRADC_PROGRESS");
  unsetenv("GRADC_COLOR");
  unsetenv("GRADC_DATA");
  unsetenv("NO_COLOR");
  write_table("train.csv", 20, 0);
  write_table("test.csv", 9, 1);
  write_table("other/train.csv", 20, 3);
  write_table("other/test.csv", 9, 5);
  if (symlink("../train.csv", "linked/train.csv") || symlink("../test.csv", "linked/test.csv") ||
      system("printf 'u,v\\n5,1\\n0,12\\n' > in.csv") != 0)
    return -1;
  trainer = compile_text(spec, (DriverOptions){ 0 }, &code);
  if (code)
    return code;
  checker = compile_text(spec, (DriverOptions){ .gradients = true, .f64 = true }, &code);
  return code;
}

static int leave(void **state)
{
  char line[64];
  (void)state;
  compilation_free(&trainer);
  compilation_free(&checker);
  snprintf(line, sizeof line, "rm -rf %s", home);
  return chdir("/") == 0 ? system(line) : -1;
}

int main(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_every_option_does_what_it_says),
    cmocka_unit_test(test_every_option_in_a_help_has_a_row),
  };
  return cmocka_run_group_tests(tests, enter, leave);
}
