/* The command line of gradc: verbs and options, nothing else. */
#include "base/str.h"
#include "cmd/cmd.h"
#include "cmd/llvm.h"
#include "run.h"
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int (*Command)(const CmdOptions *);

static int cmd_train(const CmdOptions *o) { return cmd_run(o, "train"); }
static int cmd_eval(const CmdOptions *o) { return cmd_run(o, "eval"); }
static int cmd_predict(const CmdOptions *o) { return cmd_run(o, "predict"); }
static int cmd_generate(const CmdOptions *o) { return cmd_run(o, "generate"); }

typedef enum {
  OF_SPEC,
  OF_RUNS,                      /* of a spec, or of several folders or specs */
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
  { "eval", "FILE.nn [--weights W]", "test trained weights", "gradc eval examples/digits.nn --weights runs/lenet",
    cmd_eval, RUNS_PROGRAM },
  { "predict", "FILE.nn INPUT..", "classify new inputs", "gradc predict examples/course/marks.nn examples/course/marks.csv",
    cmd_predict, RUNS_PROGRAM },
  { "gradcheck", "FILE.nn", "check every gradient of the generated code by differences",
    "gradc gradcheck examples/digits.nn", cmd_gradcheck, RUNS_PROGRAM },
  { "bench", "FILE.nn [--threads 1,2 ..]", "compare the speed of variants that give the same bits",
    "gradc bench examples/digits.nn --format md", cmd_bench, RUNS_PROGRAM },
  { "fmt", "FILE.nn.. [--check]", "write specs in their canonical form", "gradc fmt --check examples/digits.nn", cmd_fmt, OF_RUNS },
  { "data", "FILE.nn [--out PAGE.html] | get NAME",
    "show rows, ranges, classes and pictures of the data; bring a data set",
    "gradc data examples/digits.nn --out digits.html", cmd_data, OF_RUNS },
  { "explain", "[CODE|WORD]", "what a code in brackets means; what a layer, loss, metric .. takes",
    "gradc explain E0201", cmd_explain, ALONE },
  { "doctor", "", "what this machine has, and what is missing", "gradc doctor", cmd_doctor, ALONE },
  { "tune", "FILE.nn [--batch N ..]", "measure register tiles and keep what is faster here",
    "gradc tune examples/digits.nn", cmd_tune, RUNS_PROGRAM },
  { "new", "NAME [--template T]", "write a commented spec to begin with: NAME.nn",
    "gradc new flowers --template table", cmd_new, ALONE },
  { "export", "FILE.nn [--weights RUN] [-o OUT.npz]", "write weights for NumPy and PyTorch",
    "gradc export examples/digits.nn --weights runs/lenet -o lenet.npz", cmd_export, OF_SPEC },
  { "import", "FILE.nn --weights FILE [-o RUN]", "make a run of weights that other programs wrote",
    "gradc import examples/digits.nn --weights lenet.npz -o runs/taken", cmd_import, OF_SPEC },
  { "graph", "FILE.nn [-o NET.svg]", "draw the network: layers, shapes, parameters, branches",
    "gradc graph examples/digits.nn -o digits.svg", cmd_graph, OF_SPEC },
  { "report", "FILE.nn [--weights RUN] | RUN..",
    "a page of pictures about a trained net, or about several runs",
    "gradc report examples/digits.nn --weights runs/lenet", cmd_report, OF_RUNS },
  { "generate", "FILE.nn [--prompt TEXT ..]", "write text with a net that predicts tokens",
    "gradc new tale --template text && gradc train tale.nn -q &&\n"
    "  gradc generate tale.nn --prompt 'the old miller ' --length 80", cmd_generate,
    RUNS_PROGRAM },
};

typedef struct { CmdOptions o; const char *set[64]; char *rest[256], batch[48]; } Parsed;

enum {                          /* which commands take an option: those of verbs, by position */
  CHECK = 1, SUMMARY = 2, BUILD = 4, TRAIN = 8, EVAL = 16, PREDICT = 32, GRADCHECK = 64,
  BENCH = 128, FMT = 256, DATA = 512, TUNE = 4096, NEW = 8192,
  EXPORT = 16384, IMPORT = 32768, GRAPH = 65536, REPORT = 131072, GENERATE = 262144,
  RUNS = TRAIN | EVAL | PREDICT | GRADCHECK | GENERATE,
  MAKES = BUILD | RUNS | BENCH | TUNE,
  LOWERS = CHECK | SUMMARY | MAKES,
  COMPILES = LOWERS | DATA | EXPORT | IMPORT | GRAPH | REPORT,
  LOOKS = DATA | EXPORT | IMPORT | REPORT,      /* their options may be named as those of programs */
  /* data, while compiling */
  READS = DATA | CHECK | SUMMARY | BUILD | EXPORT | IMPORT | GRAPH | REPORT
};

typedef enum { OPTION_FLAG, OPTION_TEXT, OPTION_SET, OPTION_BATCH, OPTION_CPU } OptionKind;

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
  { "--output", "-o", "FILE", BUILD | FMT | EXPORT | IMPORT | GRAPH, OPTION_TEXT, AT(out), NO_WORDS,
    "where to write; build, fmt and graph: - is standard output" },
  { "--emit", NULL, "KIND", BUILD, OPTION_TEXT, AT(emit), NO_WORDS,
    "c (default), exe, header (of the net as a library), infer (a function with its weights and "
    "nothing else, for one sample or --batch N), ast, graph, loop, grad (the backward as "
    "mathematics); with LLVM: ll, bc, asm, obj, so" },
  { "--backend", NULL, "NAME", MAKES | REPORT, OPTION_TEXT, AT(backend), "back end", "c llvm",
    "c: through a C compiler; llvm: in memory (default for runs where it is and CC is not set)" },
  { "--target", NULL, "TRIPLE", BUILD, OPTION_TEXT, AT(triple), NO_WORDS,
    "with LLVM, for another machine: aarch64-linux-gnu" },
  { "--set", "-P", "NAME=VALUE", COMPILES, OPTION_SET, 0, NO_WORDS,
    "override a param of the spec, or epochs, lr, batch, seed, real" },
  { "--batch", NULL, "N", RUNS | BUILD | CHECK | SUMMARY, OPTION_BATCH, 0, NO_WORDS,
    "the same as --set batch=N" },
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
  { "--profile", NULL, NULL, BUILD | TRAIN | EVAL | PREDICT | REPORT, OPTION_FLAG,
    AT(profile), NO_WORDS,
    "a program that tells the time and GFLOP/s of each layer and direction" },
  { "--tuned", NULL, NULL, BUILD, OPTION_FLAG, AT(tuned), NO_WORDS,
    "use the tiles that gradc tune kept on this machine; the same bits, other code" },
  { "--no-tune", NULL, NULL, SUMMARY | TRAIN | EVAL | PREDICT | BENCH | REPORT, OPTION_FLAG,
    AT(no_tune), NO_WORDS, "without the tiles that gradc tune kept" },
  { "--mc", NULL, "N", BUILD | PREDICT | EVAL, OPTION_TEXT, AT(driver.mc), NO_WORDS,
    "predict by N passes with dropout: mean and spread of each output; eval: by their means" },
  { "--check", NULL, NULL, FMT, OPTION_FLAG, AT(check), NO_WORDS,
    "only say whether the spec is in canonical form" },
  { "--weights", NULL, "RUN|FILE", BUILD | EXPORT | IMPORT | REPORT, OPTION_TEXT, AT(weights),
    NO_WORDS, "build --emit infer, export, report: of a run, default runs/<net>; import: FILE.npz "
    "or FILE.safetensors" },
  { "--untrained", NULL, NULL, BUILD | EXPORT | REPORT, OPTION_FLAG, AT(untrained), NO_WORDS,
    "initial weights" },
  { "--rename", NULL, "THEIRS=OURS,..", IMPORT, OPTION_TEXT, AT(rename), NO_WORDS,
    "layers that have other names in the file: conv1=c1,fc.0=h.dense1" },
  { "--template", NULL, "NAME", NEW, OPTION_TEXT, AT(template), NO_WORDS,
    "mlp (default), cnn, table with a CSV file, text with a text" },
  { "--dot", NULL, NULL, GRAPH, OPTION_FLAG, AT(dot), NO_WORDS, "for Graphviz, instead of SVG" },
  { "--html", NULL, NULL, GRAPH, OPTION_FLAG, AT(html), NO_WORDS, "a page, instead of SVG" },
  { "--sample", NULL, "N", REPORT, OPTION_TEXT, AT(sample), NO_WORDS,
    "sample of the evaluated split whose values inside the net are shown; default 0" },
  { "--landscape", NULL, "N", REPORT, OPTION_TEXT, AT(landscape), NO_WORDS,
    "points a side of the loss landscape, odd; default 21; 0: none" },
  { "--threads", NULL, "N", REPORT, OPTION_TEXT, AT(threads), NO_WORDS,
    "workers; the page does not depend on it" },
  { "--out", NULL, "FILE", DATA | REPORT, OPTION_TEXT, AT(out), NO_WORDS,
    "data: pictures of samples, FILE.html, FILE.svg or FILE.png; report: default report.html" },
  { "--data", NULL, "DIR", READS, OPTION_TEXT, AT(driver.data_dir), NO_WORDS,
    "where paths of the data start; default: the folder of the spec" },
  { "--from", NULL, "URL", DATA, OPTION_TEXT, AT(from), NO_WORDS,
    "data get: where the files are; default: where they are published" },
  { "--data-root", NULL, "DIR", READS, OPTION_TEXT, AT(driver.data_root), NO_WORDS,
    "a further folder that data may lie in" },
  { "--json", NULL, NULL, SUMMARY | TRAIN | EVAL | PREDICT | BENCH | DATA, OPTION_FLAG, AT(json), NO_WORDS,
    "results as JSON" },
  { "--quiet", "-q", NULL, CHECK | MAKES | EXPORT | IMPORT | GRAPH | REPORT, OPTION_FLAG,
    AT(quiet), NO_WORDS,
    "errors and results only" },
  { "--verbose", "-v", NULL, MAKES, OPTION_FLAG, AT(verbose), NO_WORDS,
    "show the commands that are run" },
};

/* The options of gradc itself for these commands, one a line. */
static void print_options(FILE *f, unsigned commands)
{
  for (size_t i = 0; i < ARRAY_LEN(options); i++) {
    const Option *o = &options[i];
    char left[64];
    snprintf(left, sizeof left, "%s%s%s%s%s", o->brief ? o->brief : "", o->brief ? ", " : "",
             o->name, o->arg ? " " : "", o->arg ? o->arg : "");
    if (o->verbs & commands)
      fprintf(f, "  %-24s %s\n", left, o->doc);
  }
}

static const struct { const char *title, *verbs; } groups[] = {
  { "Start", "new doctor data" },
  { "Train", "check train eval predict generate" },
  { "Look", "summary graph report gradcheck bench" },
  { "Take along", "build export import" },
  { "Help", "explain" },
};

static void print_row(FILE *f, const Verb *v)
{
  fprintf(f, "  %-10s %s\n", v->name, v->doc);
}

static const Verb *find_verb(const char *name)
{
  for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
    if (str_eq(verbs[i].name, name))
      return &verbs[i];
  return NULL;
}

/* The commands of a group, in its order. */
static void print_group(FILE *f, const char *title, const char *names)
{
  fprintf(f, "%s:\n", title);
  for (size_t n; *names; names += n + (names[n] == ' ')) {
    char name[32];
    n = strcspn(names, " ");
    snprintf(name, sizeof name, "%.*s", (int)n, names);
    const Verb *v = find_verb(name);
    if (v)
      print_row(f, v);
  }
}

/* The commands of no group. */
static void print_others(FILE *f)
{
  fprintf(f, "More:\n");
  for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
    bool in = false;
    for (size_t k = 0; k < ARRAY_LEN(groups); k++)
      in = in || str_in_words(verbs[i].name, groups[k].verbs);
    if (!in)
      print_row(f, &verbs[i]);
  }
}

static int print_help(FILE *f)
{
  fprintf(f, "gradc %s - compile a network description into a C program that trains it\n\n"
             "  gradc new flowers --template table          a spec to begin with, commented\n"
             "  gradc train examples/digits.nn --epochs 3   train; writes runs/lenet/report.html\n"
             "  gradc build examples/digits.nn -o digits.c  one C file that does the same\n\n"
             "Usage: gradc COMMAND [FILE.nn] [options]\n\n", GRADC_VERSION);
  for (size_t i = 0; i < ARRAY_LEN(groups); i++)
    print_group(f, groups[i].title, groups[i].verbs);
  print_others(f);
  fprintf(f, "\n'gradc help COMMAND' shows the options of one. Wherever a spec is read, --set lr=0.1\n"
             "overrides what it says, and --train NAME takes another of its train blocks.\n");
  return EXIT_OK;
}

static unsigned verb_bit(const Verb *v) { return 1u << (v - verbs); }

static bool takes_options(const Verb *v)
{
  unsigned all = 0;
  for (size_t i = 0; i < ARRAY_LEN(options); i++)
    all |= options[i].verbs;
  return all & verb_bit(v);
}

/* Usage and options of a command that the trained program has too. */
static bool print_program_verb(const Verb *v)
{
  static const struct { const char *name; gradrt_verb verb; } known[] = {
    { "train", GRADRT_VERB_TRAIN }, { "eval", GRADRT_VERB_EVAL },
    { "predict", GRADRT_VERB_PREDICT }, { "gradcheck", GRADRT_VERB_GRADCHECK },
    { "generate", GRADRT_VERB_GENERATE },
  };
  const gradrt_net net = { .name = "net", .file = "FILE.nn" };
  for (size_t i = 0; i < ARRAY_LEN(known); i++) {
    if (!str_eq(v->name, known[i].name))
      continue;
    gradrt_options o = { .program = "gradc", .called = net.file, .topic = known[i].verb,
                         .example = v->example };
    gradrt_options_help(&net, &o, stdout);
    printf("\nOptions for the compiler:\n");
    return true;
  }
  return false;
}

static int print_verb(const Verb *v)
{
  if (!print_program_verb(v))
    printf("  %s\n\nUsage: gradc %s%s%s%s\n%s\n\n%s", v->example, v->name, *v->args ? " " : "",
           v->args, takes_options(v) ? " [options]" : "", v->doc,
           takes_options(v) ? "Options:\n" : "");
  print_options(stdout, verb_bit(v));
  if (v->kind == RUNS_PROGRAM)
    printf("\n'gradc %s FILE.nn --help' shows what FILE.nn adds.\n", v->name);
  return EXIT_OK;
}

static int unknown(const char *what, const char *word, const char *const *names, int n)
{
  const char *near = str_closest(word, names, n);
  gradrt_error(EXIT_USAGE, "there is no %s '%s'%s%s%s", what, word, near ? "; did you mean '" : "",
               near ? near : "", near ? "'?" : "");
  gradrt_note("'gradc help' lists them all");
  return EXIT_USAGE;
}

/* What other tools call a command. */
static const struct { const char *theirs, *ours; } aliases[] = {
  { "run", "train" }, { "fit", "train" }, { "test", "eval" }, { "evaluate", "eval" },
  { "infer", "predict" }, { "init", "new" }, { "create", "new" }, { "compile", "build" },
  { "show", "summary" }, { "plot", "report" }, { "format", "fmt" }, { "list", "explain" },
};

static int unknown_verb(const char *word)
{
  size_t n = strlen(word);
  if (n > 3 && str_eq(word + n - 3, ".nn")) {
    gradrt_error(EXIT_USAGE, "'%s' is no command; which one is it for?", word);
    gradrt_note("gradc train %s, or another of those that 'gradc help' lists", word);
    return EXIT_USAGE;
  }
  for (size_t i = 0; i < ARRAY_LEN(aliases); i++)
    if (str_eq(word, aliases[i].theirs))
      return gradrt_error(EXIT_USAGE, "there is no command '%s'; here it is called '%s'", word,
                          aliases[i].ours);
  const char *names[ARRAY_LEN(verbs)];
  for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
    names[i] = verbs[i].name;
  return unknown("command", word, names, (int)ARRAY_LEN(names));
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
  Arena *a = arena_new("cpus");
  int code = gradrt_error(EXIT_USAGE, "there is no cpu '%s'; one of: %s", value, target_words(a));
  arena_free(&a);
  return code;
}

static int add_setting(Parsed *p, const char *setting)
{
  if (p->o.driver.nset >= (int)ARRAY_LEN(p->set))
    return gradrt_error(EXIT_USAGE, "--set is given more than %d times", (int)ARRAY_LEN(p->set));
  p->set[p->o.driver.nset++] = setting;
  return EXIT_OK;
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
  case OPTION_BATCH:
    snprintf(p->batch, sizeof p->batch, "batch=%s", value);
    return add_setting(p, p->batch);
  case OPTION_SET:
    if (!strchr(value, '='))
      return gradrt_error(EXIT_USAGE, "--set takes NAME=VALUE, not '%s'", value);
    return add_setting(p, value);
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
  bool looks = (o->verbs & LOOKS) && !(o->verbs & ~(unsigned)(LOOKS | BUILD));
  bool programs_too = o->kind == OPTION_BATCH || o->verbs == READS || looks;
  if (v->kind == RUNS_PROGRAM && programs_too && !(o->verbs & verb_bit(v)))
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

/* Where a program will look for its data, from its own options: the texts there are read when
 * compiling. */
static void find_data(Parsed *p)
{
  for (int i = 0; i < p->o.nrest; i++) {
    const char *word = p->rest[i], *next = i + 1 < p->o.nrest ? p->rest[i + 1] : NULL;
    if (!strncmp(word, "--data=", 7))
      p->o.driver.data_dir = word + 7;
    else if (str_eq(word, "--data"))
      p->o.driver.data_dir = next;
    else if (!strncmp(word, "--data-root=", 12))
      p->o.driver.data_root = word + 12;
    else if (str_eq(word, "--data-root"))
      p->o.driver.data_root = next;
  }
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
    else if ((v->kind == RUNS_PROGRAM || (v->kind == OF_RUNS && argv[i][0] != '-')) &&
             p.o.nrest < (int)ARRAY_LEN(p.rest) - 1)
      p.rest[p.o.nrest++] = argv[i];
    else if (argv[i][0] == '-') {
      return unknown_option(argv[i]);
    } else {
      return gradrt_error(EXIT_USAGE, "'%s' takes one file; what is '%s'?", v->name, argv[i]);
    }
  }
  p.o.rest = p.rest;
  find_data(&p);
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
    return v ? print_verb(v) : argc > 2 ? unknown_verb(argv[2]) : print_help(stdout);
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
  if (!v)
    return unknown_verb(verb);
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
