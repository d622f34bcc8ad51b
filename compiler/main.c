/* The command line of gradc: verbs and options, nothing else. */
#include "base/str.h"
#include "cmd/cmd.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int (*Command)(const CmdOptions *);

static int cmd_train(const CmdOptions *o) { return cmd_run(o, "train"); }
static int cmd_eval(const CmdOptions *o) { return cmd_run(o, "eval"); }
static int cmd_predict(const CmdOptions *o) { return cmd_run(o, "predict"); }

typedef struct {
  const char *name, *args, *doc, *example;
  Command run;
  bool runs_program;            /* options it does not know belong to the trained program */
} Verb;

static const Verb verbs[] = {
  { "check", "FILE.nn", "find mistakes without running anything", "gradc check examples/digits.nn", cmd_check, false },
  { "summary", "FILE.nn", "layers, shapes, parameters, kernels, memory", "gradc summary examples/digits.nn",
    cmd_summary, false },
  { "build", "FILE.nn [-o OUT]", "write one C file that trains the network", "gradc build examples/digits.nn -o digits.c",
    cmd_build, false },
  { "train", "FILE.nn [--epochs N ..]", "build and train", "gradc train examples/digits.nn --epochs 3", cmd_train, true },
  { "eval", "FILE.nn [--weights W]", "test trained weights", "gradc eval examples/digits.nn --weights runs/digits",
    cmd_eval, true },
  { "predict", "FILE.nn INPUT..", "classify new inputs", "gradc predict examples/digits.nn --weights runs/digits digit.pgm",
    cmd_predict, true },
  { "gradcheck", "FILE.nn", "check every gradient of the generated code by differences",
    "gradc gradcheck examples/digits.nn", cmd_gradcheck, true },
  { "fmt", "FILE.nn [--check]", "write the spec in its canonical form", "gradc fmt lenet.nn", cmd_fmt, false },
};

static const struct { const char *text, *doc; } options[] = {
  { "-o, --output FILE", "where to write; - is standard output" },
  { "--emit KIND", "build: c (default), exe, ast, graph, loop, grad (the backward as mathematics)" },
  { "--set NAME=VALUE", "override a param of the spec, or epochs, lr, batch, seed, real" },
  { "--cpu NAME", "instruction set: x86-64-v4, x86-64-v3, x86-64, aarch64; default: this machine" },
  { "--layout FAMILY", "lanes or channels; default: the cheaper one" },
  { "--skip PASSES", "leave passes out: --skip fuse gives every operation its own kernel, with the same bits" },
  { "--print-after PASSES", "print the graphs after these passes; all; --list-passes names them" },
  { "--print-changed", "print the graphs that a pass changed" },
  { "--stop-after PASS", "the last pass to run" },
  { "--time-passes", "a table of milliseconds a pass" },
  { "--thin", "build: C that includes gradrt.h and links libgradrt" },
  { "-q, --quiet", "errors only" },
  { "-v, --verbose", "show the commands that are run" },
};

static int print_help(FILE *f)
{
  fprintf(f, "gradc %s - compile a network description into a C program that trains it\n\n"
             "Usage: gradc <command> FILE.nn [options]\n\n", GRADC_VERSION);
  for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
    fprintf(f, "  %-10s %s\n", verbs[i].name, verbs[i].doc);
  fprintf(f, "\nOptions:\n");
  for (size_t i = 0; i < ARRAY_LEN(options); i++)
    fprintf(f, "  %-20s %s\n", options[i].text, options[i].doc);
  fprintf(f, "\nExample: %s\n'gradc help <command>' shows one command.\n", verbs[3].example);
  return EXIT_OK;
}

static int print_verb(const Verb *v)
{
  printf("Example: %s\n\nUsage: gradc %s %s [options]\n%s\n", v->example, v->name, v->args, v->doc);
  if (v->runs_program)
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
  fprintf(stderr, "gradc: error: there is no %s '%s'", what, word);
  if (near)
    fprintf(stderr, "; did you mean '%s'?", near);
  fprintf(stderr, "\n'gradc help' lists them all\n");
  return EXIT_USAGE;
}

typedef struct { CmdOptions o; const char *set[64]; char *rest[256]; } Parsed;

static int missing(const char *option)
{
  fprintf(stderr, "gradc: error: option '%s' needs a value\n", option);
  return EXIT_USAGE;
}

/* Reads one option of gradc at argv[*i]. Returns -1: not one of gradc's; else an exit code. */
static int read_option(Parsed *p, int argc, char **argv, int *i)
{
  const char *a = argv[*i];
  static const char *const with_value[] = { "-o", "--output", "--emit", "--set", "-P", "--cpu", "--layout", "--skip", "--param",
                                           "--print-after", "--stop-after" };
  const char *value = NULL;
  for (size_t k = 0; k < ARRAY_LEN(with_value); k++) {
    size_t n = strlen(with_value[k]);
    if (str_eq(a, with_value[k])) {
      if (*i + 1 >= argc)
        return missing(a);
      value = argv[++*i];
    } else if (n > 2 && !strncmp(a, with_value[k], n) && a[n] == '=') {
      value = a + n + 1;
      a = with_value[k];
    }
    if (value)
      break;
  }
  CmdOptions *o = &p->o;
  if (!value) {
    bool *flag = str_eq(a, "-q") || str_eq(a, "--quiet") ? &o->quiet : str_eq(a, "-v") || str_eq(a, "--verbose") ? &o->verbose
                 : str_eq(a, "--thin") ? &o->thin : str_eq(a, "--json") ? &o->json
                 : str_eq(a, "--check") ? &o->check
                 : str_eq(a, "--print-changed") ? &o->driver.pass.print_changed
                 : str_eq(a, "--time-passes") ? &o->driver.pass.time_passes : NULL;
    if (!flag)
      return -1;
    *flag = true;
    return EXIT_OK;
  }
  if (str_eq(a, "-o") || str_eq(a, "--output"))
    o->out = value;
  else if (str_eq(a, "--emit"))
    o->emit = value;
  else if (str_eq(a, "--param"))
    o->param = value;
  else if (str_eq(a, "--set") || str_eq(a, "-P")) {
    if (!strchr(value, '=') || o->driver.nset >= (int)ARRAY_LEN(p->set)) {
      fprintf(stderr, "gradc: error: --set takes NAME=VALUE, not '%s'\n", value);
      return EXIT_USAGE;
    }
    p->set[o->driver.nset++] = value;
  } else if (str_eq(a, "--cpu")) {
    o->driver.target = target_find(value);
    if (!o->driver.target && !str_eq(value, "native")) {
      fprintf(stderr, "gradc: error: there is no cpu '%s'; one of: native", value);
      int n;
      const Target *const *all = target_all(&n);
      for (int k = 0; k < n; k++)
        fprintf(stderr, " %s", all[k]->name);
      fprintf(stderr, "\n");
      return EXIT_USAGE;
    }
  } else if (str_eq(a, "--layout")) {
    if (!str_eq(value, "lanes") && !str_eq(value, "channels")) {
      fprintf(stderr, "gradc: error: there is no layout family '%s'; one of: lanes channels\n", value);
      return EXIT_USAGE;
    }
    o->driver.family = value;
  } else if (str_eq(a, "--print-after"))
    o->driver.pass.print_after = value;
  else if (str_eq(a, "--stop-after"))
    o->driver.pass.stop_after = value;
  else
    o->driver.pass.skip = value;
  return EXIT_OK;
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
    if (!v->runs_program && (str_eq(argv[i], "-h") || str_eq(argv[i], "--help")))
      return print_verb(v);
    int code = read_option(&p, argc, argv, &i);
    if (code > 0)
      return code;
    if (code == 0)
      continue;
    if (argv[i][0] != '-' && !p.o.driver.file)
      p.o.driver.file = argv[i];
    else if (v->runs_program && p.o.nrest < (int)ARRAY_LEN(p.rest) - 1)
      p.rest[p.o.nrest++] = argv[i];
    else if (argv[i][0] == '-') {
      static const char *const names[] = { "--output", "--emit", "--set", "--cpu", "--layout", "--skip", "--thin", "--print-after",
                                           "--print-changed", "--stop-after", "--time-passes",
                                           "--quiet", "--verbose", "--help", "--json", "--check", "--param" };
      return unknown("option", argv[i], names, (int)ARRAY_LEN(names));
    } else {
      fprintf(stderr, "gradc: error: '%s' takes one file; what is '%s'?\n", v->name, argv[i]);
      return EXIT_USAGE;
    }
  }
  p.o.rest = p.rest;
  Arena *words = arena_new("options");
  const char *fault = passes_check(&p.o.driver.pass, words);
  if (fault)
    fprintf(stderr, "gradc: error: %s\n", fault);
  arena_free(&words);
  if (fault)
    return EXIT_USAGE;
  if (!p.o.driver.file) {
    if (p.o.nrest && (str_eq(p.rest[0], "-h") || str_eq(p.rest[0], "--help")))
      return print_verb(v);
    fprintf(stderr, "gradc: error: '%s' needs a spec: gradc %s %s\n", v->name, v->name, v->args);
    return EXIT_USAGE;
  }
  return v->run(&p.o);
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
  int code = command(argc, argv);
  if ((fflush(stdout) != 0 || ferror(stdout)) && code == EXIT_OK) {
    fprintf(stderr, "gradc: error: cannot write to standard output\n");
    return EXIT_IO;
  }
  return code;
}
