/* The command line of gradc: verbs and options, nothing else. */
#include "base/str.h"
#include "cmd/cmd.h"
#include "cmd/llvm.h"
#include "internal.h"
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int (*Command)(const CmdOptions *);

static int cmd_train(const CmdOptions *o) { return cmd_run(o, "train"); }
static int cmd_eval(const CmdOptions *o) { return cmd_run(o, "eval"); }
static int cmd_predict(const CmdOptions *o) { return cmd_run(o, "predict"); }

typedef enum {
  OF_SPEC,
  RUNS_PROGRAM,                 /* options it does not know belong to the trained program */
  ALONE                         /* needs no spec */
} VerbKind;

typedef struct {
  const char *name, *args, *doc, *example;
  Command run;
  VerbKind kind;
} Verb;

static const Verb verbs[] = {
  { "check", "FILE.nn", "find mistakes without running anything", "gradc check examples/digits.nn", cmd_check, OF_SPEC },
  { "summary", "FILE.nn", "layers, shapes, parameters, kernels, memory", "gradc summary examples/digits.nn",
    cmd_summary, OF_SPEC },
  { "build", "FILE.nn [-o OUT]", "write one C file that trains the network", "gradc build examples/digits.nn -o digits.c",
    cmd_build, OF_SPEC },
  { "train", "FILE.nn [--epochs N ..]", "build and train", "gradc train examples/digits.nn --epochs 3", cmd_train, RUNS_PROGRAM },
  { "eval", "FILE.nn [--weights W]", "test trained weights", "gradc eval examples/digits.nn --weights runs/digits",
    cmd_eval, RUNS_PROGRAM },
  { "predict", "FILE.nn INPUT..", "classify new inputs", "gradc predict examples/digits.nn --weights runs/digits digit.pgm",
    cmd_predict, RUNS_PROGRAM },
  { "gradcheck", "FILE.nn", "check every gradient of the generated code by differences",
    "gradc gradcheck examples/digits.nn", cmd_gradcheck, RUNS_PROGRAM },
  { "bench", "FILE.nn [--threads 1,2 ..]", "compare the speed of variants that give the same bits",
    "gradc bench examples/digits.nn --format md", cmd_bench, RUNS_PROGRAM },
  { "fmt", "FILE.nn [--check]", "write the spec in its canonical form", "gradc fmt lenet.nn", cmd_fmt, OF_SPEC },
  { "data", "FILE.nn [--out PAGE.html]", "show rows, ranges, classes and pictures of the data",
    "gradc data examples/digits.nn --out digits.html", cmd_data, OF_SPEC },
  { "explain", "[CODE|WORD]", "what a code in brackets means; what a layer, loss, metric .. takes",
    "gradc explain E0201", cmd_explain, ALONE },
  { "doctor", "", "what this machine has, and what is missing", "gradc doctor", cmd_doctor, ALONE },
  { "tune", "FILE.nn [--batch N ..]", "measure register tiles and keep what is faster here",
    "gradc tune examples/digits.nn", cmd_tune, RUNS_PROGRAM },
};

typedef struct { CmdOptions o; const char *set[64]; char *rest[256]; } Parsed;

enum {                          /* which commands take an option: those of verbs, by position */
  CHECK = 1, SUMMARY = 2, BUILD = 4, TRAIN = 8, EVAL = 16, PREDICT = 32, GRADCHECK = 64,
  BENCH = 128, FMT = 256, DATA = 512, TUNE = 4096,
  RUNS = TRAIN | EVAL | PREDICT | GRADCHECK,
  MAKES = BUILD | RUNS | BENCH | TUNE,
  LOWERS = CHECK | SUMMARY | MAKES,
  COMPILES = LOWERS | DATA
};

typedef enum { OPTION_FLAG, OPTION_TEXT, OPTION_SET, OPTION_CPU } OptionKind;

typedef struct {
  const char *name, *brief;     /* "--output", "-o" or NULL */
  const char *arg;              /* NULL: a flag */
  unsigned verbs;
  OptionKind kind;
  size_t at;                    /* FLAG, TEXT: of its field in CmdOptions */
  const char *what, *words;     /* TEXT: of a value that is one of some words; or NULL */
  const char *doc;
} Option;

#define AT(field) offsetof(CmdOptions, field)
#define NO_WORDS NULL, NULL
static const Option options[] = {
  { "--output", "-o", "FILE", BUILD | FMT, OPTION_TEXT, AT(out), NO_WORDS,
    "where to write; - is standard output" },
  { "--emit", NULL, "KIND", BUILD, OPTION_TEXT, AT(emit), NO_WORDS,
    "c (default), exe, header (of the net as a library), ast, graph, loop, grad (the backward as "
    "mathematics); with LLVM: ll, bc, asm, obj, so" },
  { "--backend", NULL, "NAME", MAKES, OPTION_TEXT, AT(backend), "back end", "c llvm",
    "c: through a C compiler; llvm: in memory (default for runs where it is and CC is not set)" },
  { "--target", NULL, "TRIPLE", BUILD, OPTION_TEXT, AT(triple), NO_WORDS,
    "with LLVM, for another machine: aarch64-linux-gnu" },
  { "--set", "-P", "NAME=VALUE", COMPILES, OPTION_SET, 0, NO_WORDS,
    "override a param of the spec, or epochs, lr, batch, seed, real" },
  { "--train", NULL, "NAME", COMPILES, OPTION_TEXT, AT(driver.train), NO_WORDS,
    "which train block of the spec; default: the first" },
  { "--cpu", NULL, "NAME", LOWERS, OPTION_CPU, 0, NO_WORDS,
    "instruction set: x86-64-v4, x86-64-v3, x86-64, aarch64, riscv64, wasm32; default: this "
    "machine" },
  { "--layout", NULL, "FAMILY", LOWERS, OPTION_TEXT, AT(driver.family), "layout family",
    "lanes channels", "lanes or channels; default: the cheaper one" },
  { "--skip", NULL, "PASSES", LOWERS, OPTION_TEXT, AT(driver.pass.skip), NO_WORDS,
    "leave passes out: --skip fuse gives every operation its own kernel, with the same bits" },
  { "--memory", NULL, "SIZE", COMPILES, OPTION_TEXT, AT(driver.memory), NO_WORDS,
    "budget of a training step, such as 64MB: what does not fit is computed again" },
  { "--print-after", NULL, "PASSES", LOWERS, OPTION_TEXT, AT(driver.pass.print_after), NO_WORDS,
    "print the graphs after these passes; all; --list-passes names them" },
  { "--print-changed", NULL, NULL, LOWERS, OPTION_FLAG, AT(driver.pass.print_changed), NO_WORDS,
    "print the graphs that a pass changed" },
  { "--stop-after", NULL, "PASS", LOWERS, OPTION_TEXT, AT(driver.pass.stop_after), NO_WORDS,
    "the last pass to run" },
  { "--time-passes", NULL, NULL, LOWERS, OPTION_FLAG, AT(driver.pass.time_passes), NO_WORDS,
    "a table of milliseconds a pass" },
  { "--thin", NULL, NULL, BUILD | RUNS, OPTION_FLAG, AT(thin), NO_WORDS,
    "C that includes gradrt.h and links libgradrt" },
  { "--library", NULL, NULL, BUILD, OPTION_FLAG, AT(library), NO_WORDS,
    "C with the functions that --emit header declares in the place of main" },
  { "--bench", NULL, NULL, BUILD, OPTION_FLAG, AT(bench), NO_WORDS,
    "a program with the command bench, which times steps on random samples" },
  { "--profile", NULL, NULL, BUILD | TRAIN | EVAL | PREDICT, OPTION_FLAG, AT(profile), NO_WORDS,
    "a program that tells the time and GFLOP/s of each layer and direction" },
  { "--tuned", NULL, NULL, BUILD, OPTION_FLAG, AT(tuned), NO_WORDS,
    "use the tiles that gradc tune kept on this machine; the same bits, other code" },
  { "--no-tune", NULL, NULL, SUMMARY | TRAIN | EVAL | PREDICT | BENCH, OPTION_FLAG, AT(no_tune),
    NO_WORDS, "without the tiles that gradc tune kept" },
  { "--check", NULL, NULL, FMT, OPTION_FLAG, AT(check), NO_WORDS,
    "only say whether the spec is in canonical form" },
  { "--out", NULL, "FILE", DATA, OPTION_TEXT, AT(out), NO_WORDS,
    "pictures of samples: FILE.html, FILE.svg or FILE.png" },
  { "--data", NULL, "DIR", DATA, OPTION_TEXT, AT(data_dir), NO_WORDS,
    "where paths of the data start; default: the folder of the spec" },
  { "--data-root", NULL, "DIR", DATA, OPTION_TEXT, AT(data_root), NO_WORDS,
    "a further folder that data may lie in" },
  { "--json", NULL, NULL, SUMMARY | TRAIN | EVAL | PREDICT | BENCH | DATA, OPTION_FLAG, AT(json), NO_WORDS,
    "results as JSON" },
  { "--quiet", "-q", NULL, CHECK | MAKES, OPTION_FLAG, AT(quiet), NO_WORDS,
    "errors and results only" },
  { "--verbose", "-v", NULL, MAKES, OPTION_FLAG, AT(verbose), NO_WORDS,
    "show the commands that are run" },
};

/* The options of these commands, one a line. */
static void print_options(FILE *f, unsigned commands)
{
  fprintf(f, "\nOptions:\n");
  for (size_t i = 0; i < ARRAY_LEN(options); i++) {
    const Option *o = &options[i];
    char left[64];
    snprintf(left, sizeof left, "%s%s%s%s%s", o->brief ? o->brief : "", o->brief ? ", " : "",
             o->name, o->arg ? " " : "", o->arg ? o->arg : "");
    if (o->verbs & commands)
      fprintf(f, "  %-22s %s\n", left, o->doc);
  }
}

static int print_help(FILE *f)
{
  fprintf(f, "gradc %s - compile a network description into a C program that trains it\n\n"
             "Usage: gradc <command> FILE.nn [options]\n\n", GRADC_VERSION);
  for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
    fprintf(f, "  %-10s %s\n", verbs[i].name, verbs[i].doc);
  print_options(f, COMPILES | FMT);
  fprintf(f, "\nExample: %s\n'gradc help <command>' shows one command.\n", verbs[3].example);
  return EXIT_OK;
}

static unsigned verb_bit(const Verb *v) { return 1u << (v - verbs); }

static int print_verb(const Verb *v)
{
  printf("Example: %s\n\nUsage: gradc %s %s [options]\n%s\n", v->example, v->name, v->args, v->doc);
  print_options(stdout, verb_bit(v));
  if (v->kind == RUNS_PROGRAM)
    printf("\nAll other options go to the program; 'gradc %s FILE.nn --help' lists them.\n", v->name);
  return EXIT_OK;
}

static const Verb *find_verb(const char *name)
{
  for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
    if (str_eq(verbs[i].name, name))
      return &verbs[i];
  return NULL;
}

static int unknown(const char *what, const char *word, const char *const *names, int n)
{
  const char *near = str_closest(word, names, n);
  gradrt_error(EXIT_USAGE, "there is no %s '%s'%s%s%s", what, word, near ? "; did you mean '" : "",
               near ? near : "", near ? "'?" : "");
  gradrt_note("'gradc help' lists them all");
  return EXIT_USAGE;
}

static const Option *find_option(const char *word, size_t n)
{
  for (size_t i = 0; i < ARRAY_LEN(options); i++) {
    const Option *o = &options[i];
    if ((strlen(o->name) == n && !strncmp(o->name, word, n)) || str_eq(o->brief, word))
      return o;
  }
  return NULL;
}

static int set_cpu(Parsed *p, const char *value)
{
  p->o.driver.target = target_find(value);
  if (p->o.driver.target || str_eq(value, "native"))
    return EXIT_OK;
  char names[128] = "";
  int n;
  const Target *const *all = target_all(&n);
  for (int k = 0; k < n; k++)
    snprintf(names + strlen(names), sizeof names - strlen(names), " %s", all[k]->name);
  return gradrt_error(EXIT_USAGE, "there is no cpu '%s'; one of: native%s", value, names);
}

static int set_value(Parsed *p, const Option *o, const char *value)
{
  char *field = (char *)&p->o + o->at;
  switch (o->kind) {
  case OPTION_FLAG:
    *(bool *)(void *)field = true;
    return EXIT_OK;
  case OPTION_TEXT:
    if (o->words && !str_in_words(value, o->words))
      return gradrt_error(EXIT_USAGE, "there is no %s '%s'; one of: %s", o->what, value, o->words);
    *(const char **)(void *)field = value;
    return EXIT_OK;
  case OPTION_SET:
    if (!strchr(value, '='))
      return gradrt_error(EXIT_USAGE, "--set takes NAME=VALUE, not '%s'", value);
    if (p->o.driver.nset >= (int)ARRAY_LEN(p->set))
      return gradrt_error(EXIT_USAGE, "--set is given more than %d times", (int)ARRAY_LEN(p->set));
    p->set[p->o.driver.nset++] = value;
    return EXIT_OK;
  case OPTION_CPU: return set_cpu(p, value);
  }
  ice("an option of unknown kind");
}

/* Reads one option of gradc at argv[*i]. Returns -1: not one of gradc's; else an exit code. */
static int read_option(Parsed *p, const Verb *v, int argc, char **argv, int *i)
{
  const char *word = argv[*i], *equals = strncmp(word, "--", 2) ? NULL : strchr(word, '=');
  const Option *o = find_option(word, equals ? (size_t)(equals - word) : strlen(word));
  if (!o)
    return -1;
  if (v->kind == RUNS_PROGRAM && o->verbs == DATA)       /* programs have options of these names */
    return -1;
  if (!(o->verbs & verb_bit(v)))
    return gradrt_error(EXIT_USAGE, "'%s' has no option '%s'", v->name, o->name);
  if (!o->arg && equals)
    return gradrt_error(EXIT_USAGE, "option '%s' takes no value", o->name);
  if (!o->arg)
    return set_value(p, o, NULL);
  if (!equals && *i + 1 >= argc)
    return gradrt_error(EXIT_USAGE, "option '%s' needs a value", o->name);
  return set_value(p, o, equals ? equals + 1 : argv[++*i]);
}

static int unknown_option(const char *word)
{
  const char *names[ARRAY_LEN(options) + 1];
  int n = 0;
  for (; n < (int)ARRAY_LEN(options); n++)
    names[n] = options[n].name;
  names[n++] = "--help";
  return unknown("option", word, names, n);
}

static bool wants_color(void)
{
  const char *no = getenv("NO_COLOR"), *force = getenv("CLICOLOR_FORCE"), *term = getenv("TERM");
  if (no && no[0])
    return false;
  if (force && !str_eq(force, "0"))
    return true;
  return isatty(2) && !str_eq(term, "dumb");
}

static int run_verb(const Verb *v, int argc, char **argv)
{
  Parsed p = { .o = { .driver = { .color = wants_color() } } };
  p.o.driver.set = p.set;
  for (int i = 2; i < argc; i++) {
    if (v->kind != RUNS_PROGRAM && (str_eq(argv[i], "-h") || str_eq(argv[i], "--help")))
      return print_verb(v);
    int code = read_option(&p, v, argc, argv, &i);
    if (code > 0)
      return code;
    if (code == 0)
      continue;
    if (argv[i][0] != '-' && !p.o.driver.file)
      p.o.driver.file = argv[i];
    else if (v->kind == RUNS_PROGRAM && p.o.nrest < (int)ARRAY_LEN(p.rest) - 1)
      p.rest[p.o.nrest++] = argv[i];
    else if (argv[i][0] == '-') {
      return unknown_option(argv[i]);
    } else {
      return gradrt_error(EXIT_USAGE, "'%s' takes one file; what is '%s'?", v->name, argv[i]);
    }
  }
  p.o.rest = p.rest;
  Arena *words = arena_new("options");
  const char *fault = passes_check(&p.o.driver.pass, words);
  if (fault)
    gradrt_error(EXIT_USAGE, "%s", fault);
  arena_free(&words);
  if (fault)
    return EXIT_USAGE;
  if (!p.o.driver.file && v->kind != ALONE) {
    if (p.o.nrest && (str_eq(p.rest[0], "-h") || str_eq(p.rest[0], "--help")))
      return print_verb(v);
    return gradrt_error(EXIT_USAGE, "'%s' needs a spec: gradc %s %s", v->name, v->name, v->args);
  }
  int code = cmd_choose_target(&p.o);
  return code ? code : v->run(&p.o);
}

static int command(int argc, char **argv)
{
  if (argc < 2) {
    print_help(stderr);
    return EXIT_USAGE;
  }
  const char *verb = argv[1];
  if (str_eq(verb, "-h") || str_eq(verb, "--help") || str_eq(verb, "help")) {
    const Verb *v = argc > 2 ? find_verb(argv[2]) : NULL;
    return v ? print_verb(v) : print_help(stdout);
  }
  if (str_eq(verb, "--version") || str_eq(verb, "version")) {
    printf("gradc %s\n", GRADC_VERSION);
    return EXIT_OK;
  }
  if (str_eq(verb, "--list-passes")) {
    Arena *a = arena_new("passes");
    Out *out = out_new(a);
    passes_list(out);
    fputs(out_text(out), stdout);
    arena_free(&a);
    return EXIT_OK;
  }
  const Verb *v = find_verb(verb);
  if (!v) {
    const char *names[ARRAY_LEN(verbs)];
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
      names[i] = verbs[i].name;
    return unknown("command", verb, names, (int)ARRAY_LEN(names));
  }
  return run_verb(v, argc, argv);
}

/* Results that could not be written (a full disk) are no success. */
int main(int argc, char **argv)
{
  gradrt_limits_are_errors();
  int code = command(argc, argv);
  if ((fflush(stdout) != 0 || ferror(stdout)) && code == EXIT_OK) {
    return gradrt_error(EXIT_IO, "cannot write to standard output");
  }
  return code;
}
