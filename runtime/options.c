/* The command line of a generated program: one table of options gives parsing, help and
 * suggestions. Options and verbs come in any order; a param of the spec that may change at run
 * time is an option named after it; one that shapes the code is refused with the way to rebuild. */
#include "run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { OPTIONS_WORDS_MAX = 96 };

enum {
  OPTIONS_T = 1 << GRADRT_VERB_TRAIN,
  OPTIONS_E = 1 << GRADRT_VERB_EVAL,
  OPTIONS_P = 1 << GRADRT_VERB_PREDICT,
  OPTIONS_I = 1 << GRADRT_VERB_INFO,
  OPTIONS_B = 1 << GRADRT_VERB_BENCH,
  OPTIONS_G = 1 << GRADRT_VERB_GRADCHECK,
  OPTIONS_X = 1 << GRADRT_VERB_GENERATE,
  OPTIONS_READS = OPTIONS_T | OPTIONS_E | OPTIONS_P | OPTIONS_G | OPTIONS_X,    /* data */
  OPTIONS_RUNS = OPTIONS_READS | OPTIONS_B      /* steps of the net */
};

typedef enum {
  OPTIONS_FLAG,
  OPTIONS_NUMBER,
  OPTIONS_WHOLE,
  OPTIONS_BYTES,
  OPTIONS_TEXT,
  OPTIONS_TEXT_OR_NONE,
  OPTIONS_SHOW,
  OPTIONS_WHEN,
  OPTIONS_GATE
} options_kind;

typedef struct {
  const char *name;
  int verbs;                    /* which verbs take it */
  options_kind kind;
  size_t at;                    /* of its field in gradrt_options */
  double low, high;             /* NUMBER, WHOLE: the accepted range */
  const char *arg, *help;
} options_row;

#define OPTIONS_AT(field) offsetof(gradrt_options, field)
static const options_row options_table[] = {
  { "epochs", OPTIONS_T, OPTIONS_WHOLE, OPTIONS_AT(epochs), 1, 1e9, "N",
    "passes over the training data" },
  { "lr", OPTIONS_T, OPTIONS_NUMBER, OPTIONS_AT(lr), 0, 1e30, "X", "base learning rate" },
  { "seed", OPTIONS_RUNS, OPTIONS_WHOLE, OPTIONS_AT(seed), 0, 9007199254740992.0, "N",
    "initial values, order, dropout" },
  { "threads", OPTIONS_RUNS, OPTIONS_WHOLE, OPTIONS_AT(threads), 1, 256, "N",
    "default: the CPUs this process may use" },
  { "data", OPTIONS_READS, OPTIONS_TEXT, OPTIONS_AT(data), 0, 0, "DIR",
    "where relative data paths start (default .)" },
  { "data-root", OPTIONS_READS, OPTIONS_TEXT, OPTIONS_AT(data_root), 0, 0, "DIR",
    "a further folder that data may lie in" },
  { "data-memory", OPTIONS_T | OPTIONS_E | OPTIONS_G, OPTIONS_BYTES, OPTIONS_AT(data_memory), 0, 0,
    "SIZE", "memory for decoded pictures, such as 2GB (default: half of all)" },
  { "called", OPTIONS_READS, OPTIONS_TEXT, OPTIONS_AT(called), 0, 0, "FILE",
    "the spec to name in messages (gradc gives it)" },
  { "out", OPTIONS_T | OPTIONS_E | OPTIONS_P, OPTIONS_TEXT, OPTIONS_AT(out), 0, 0, "DIR",
    "run directory (default runs/<net>); predict: a CSV file or a PNG picture" },
  { "image", OPTIONS_P, OPTIONS_TEXT, OPTIONS_AT(image), 0, 0, "FILE",
    "a picture (PNG or JPEG) or a folder of pictures, as INPUT" },
  { "resume", OPTIONS_T, OPTIONS_TEXT_OR_NONE, OPTIONS_AT(resume), 0, 0, "[FILE|DIR]",
    "go on exactly where a run stopped" },
  { "weights", OPTIONS_T | OPTIONS_E | OPTIONS_P | OPTIONS_X, OPTIONS_TEXT, OPTIONS_AT(weights),
    0, 0, "FILE|DIR", "start from, or use, these weights" },
  { "init", OPTIONS_T, OPTIONS_TEXT, OPTIONS_AT(init), 0, 0, "FILE|DIR[:GLOB]",
    "start from the parameters that the file has" },
  { "folds", OPTIONS_T, OPTIONS_WHOLE, OPTIONS_AT(folds), 2, 1000, "K",
    "cross-validate: train K times, each on all parts but one" },
  { "lr-range", OPTIONS_T, OPTIONS_TEXT, OPTIONS_AT(lr_range), 0, 0, "LOW..HIGH",
    "show the loss of steps with growing rates; saves nothing" },
  { "param", OPTIONS_G, OPTIONS_TEXT, OPTIONS_AT(param), 0, 0, "NAME",
    "check this parameter only, such as c1.weight" },
  { "split", OPTIONS_E, OPTIONS_TEXT, OPTIONS_AT(split), 0, 0, "NAME", "evaluate this split only" },
  { "untrained", OPTIONS_E | OPTIONS_P | OPTIONS_X, OPTIONS_FLAG, OPTIONS_AT(untrained), 0, 0, NULL,
    "freshly initialised weights" },
  { "top", OPTIONS_P, OPTIONS_WHOLE, OPTIONS_AT(top), 1, 1000, "K",
    "show the K likeliest classes (default 3)" },
  { "ahead", OPTIONS_P, OPTIONS_WHOLE, OPTIONS_AT(ahead), 1, 1e9, "N",
    "go on with a series: N rows behind the file, each prediction fed back" },
  { "prompt", OPTIONS_X, OPTIONS_TEXT, OPTIONS_AT(prompt), 0, 0, "TEXT",
    "how the text begins (default: a new line)" },
  { "length", OPTIONS_X, OPTIONS_WHOLE, OPTIONS_AT(length), 1, 1e9, "N",
    "tokens to add (default 400)" },
  { "temperature", OPTIONS_X, OPTIONS_NUMBER, OPTIONS_AT(temperature), 0, 1000, "X",
    "below 1 likelier tokens, above 1 wilder ones (default 1); 0: the likeliest" },
  { "top-k", OPTIONS_X, OPTIONS_WHOLE, OPTIONS_AT(top_k), 1, 65536, "K",
    "draw from the K likeliest tokens only" },
  { "steps", OPTIONS_T | OPTIONS_B, OPTIONS_WHOLE, OPTIONS_AT(steps), 0, 1e15, "N",
    "stop after N steps of the whole run; bench: time N steps" },
  { "seconds", OPTIONS_B, OPTIONS_NUMBER, OPTIONS_AT(seconds), 0, 1e6, "X",
    "time steps for so long (default 1)" },
  { "save-every", OPTIONS_T, OPTIONS_WHOLE, OPTIONS_AT(save_every), 1, 1e15, "STEPS",
    "checkpoints inside an epoch" },
  { "log-steps", OPTIONS_T, OPTIONS_TEXT, OPTIONS_AT(log_steps), 0, 0, "FILE",
    "write step, loss and learning rate of every step" },
  { "require", OPTIONS_T | OPTIONS_E, OPTIONS_GATE, 0, 0, 0, "'METRIC>=X'",
    "exit with 8 when the result misses it" },
  { "fast-dev-run", OPTIONS_T, OPTIONS_FLAG, OPTIONS_AT(fast_dev_run), 0, 0, NULL,
    "5 batches, nothing written" },
  { "no-prefetch", OPTIONS_T, OPTIONS_FLAG, OPTIONS_AT(no_prefetch), 0, 0, NULL,
    "decode and augment samples between steps, without threads" },
  { "json", OPTIONS_T | OPTIONS_E | OPTIONS_P | OPTIONS_I | OPTIONS_B, OPTIONS_FLAG,
    OPTIONS_AT(json), 0, 0, NULL, "JSON lines on standard output" },
  { "progress", OPTIONS_T, OPTIONS_SHOW, OPTIONS_AT(progress), 0, 0, "WHEN",
    "auto, bar, log or none" },
  { "color", OPTIONS_T, OPTIONS_WHEN, OPTIONS_AT(color), 0, 0, "WHEN", "auto, always or never" },
  { "quiet", OPTIONS_READS, OPTIONS_FLAG, OPTIONS_AT(quiet), 0, 0, NULL, "the final lines only" },
  { "silent", OPTIONS_T | OPTIONS_E | OPTIONS_P, OPTIONS_FLAG, OPTIONS_AT(silent), 0, 0, NULL,
    "errors only" },
};
enum { OPTIONS_COUNT = sizeof options_table / sizeof *options_table };

static const char *const options_verb_name[] = { "train", "eval", "predict", "info", "help",
                                                 "bench", "gradcheck", "generate" };
static const char *const options_verb_help[] = { "train the net; writes the run directory",
                                                 "loss, metrics and tables on a split",
                                                 "class and probabilities of new inputs",
                                                 "tensors, layers and what may be changed",
                                                 "this text, or that of a verb",
                                                 "time steps on random samples",
                                                 "gradients against differences of the loss",
                                                 "text, token by token, from a net of texts" };
static const char *const options_show_name[] = { "auto", "bar", "log", "none" };
static const char *const options_when_name[] = { "auto", "always", "never" };
#ifndef GRADRT_WITHOUT_BENCH
enum { OPTIONS_VERBS = 6, OPTIONS_VERBS_ALL = 8 };      /* of programs that train; with gradcheck */
#else
enum { OPTIONS_VERBS = 5, OPTIONS_VERBS_ALL = 8 };
#endif

/* What is being parsed: the words and where we are. */
typedef struct {
  const gradrt_net *net;
  gradrt_options *o;
  char **word;
  int at, n;
  uint64_t used;                /* rows of the table that were given */
} options_reader;

static const gradrt_param *options_param(const gradrt_net *net, const char *name, size_t length)
{
  for (int i = 0; i < net->nparam; i++) {
    const char *p = net->param[i].name;
    if (strlen(p) == length && memcmp(p, name, length) == 0) {
      return &net->param[i];
    }
  }
  return NULL;
}

static const options_row *options_find(const char *name, size_t length)
{
  for (int i = 0; i < OPTIONS_COUNT; i++) {
    const options_row *row = &options_table[i];
    if (strlen(row->name) == length && memcmp(row->name, name, length) == 0) {
      return row;
    }
  }
  return NULL;
}

static int options_bad_word(const char *option, const char *value, const char *const *words, int n)
{
  char list[128] = "", plain[64];
  for (int i = 0; i < n; i++) {
    snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? ", " : "", words[i]);
  }
  return gradrt_error(GRADRT_USAGE, "--%s takes one of %s, not '%s'", option, list,
                      gradrt_text_plain(plain, sizeof plain, value));
}

static int options_word(const options_row *row, const char *value, const char *const *words, int n,
                        int *out)
{
  for (int i = 0; i < n; i++) {
    if (strcmp(value, words[i]) == 0) {
      *out = i;
      return GRADRT_OK;
    }
  }
  return options_bad_word(row->name, value, words, n);
}

static int options_number(const char *name, const options_row *row, const char *value, double *out)
{
  double v;
  char plain[64];
  gradrt_text_plain(plain, sizeof plain, value);
  bool whole = row->kind == OPTIONS_WHOLE;
  if (!gradrt_text_number(value, &v)) {
    return gradrt_error(GRADRT_USAGE, "--%s takes a number, not '%s'", name, plain);
  }
  if (v < row->low || v > row->high || (whole && v != floor(v))) {
    return gradrt_error(GRADRT_USAGE, "--%s takes a %snumber from %.15g to %.15g, not '%s'", name,
                        whole ? "whole " : "", row->low, row->high, plain);
  }
  *out = v;
  return GRADRT_OK;
}

/* 2GB: a number above 0 and a unit, as `memory` of the build block has it. */
static int options_bytes(const char *name, const char *value, double *out)
{
  static const char *const unit[] = { "", "KB", "MB", "GB" };
  char plain[64], *end;
  double bytes = *value >= '0' && *value <= '9' ? strtod(value, &end) : 0;
  for (size_t i = 0; bytes > 0 && i < sizeof unit / sizeof *unit; i++, bytes *= 1024) {
    if (strcmp(end, unit[i]) == 0 && isfinite(bytes)) {
      *out = bytes;
      return GRADRT_OK;
    }
  }
  return gradrt_error(GRADRT_USAGE, "--%s takes a size such as 64MB, not '%s'", name,
                      gradrt_text_plain(plain, sizeof plain, value));
}

/* name>=bound, with dots or underscores between split and metric. */
static int options_gate(gradrt_options *o, const char *text)
{
  char plain[64];
  size_t name = strcspn(text, "<>="), op = strspn(text + name, "<>=");
  const char *bound = text + name + op;
  while (*bound == ' ') {
    bound++;
  }
  size_t trimmed = name;
  while (trimmed > 0 && text[trimmed - 1] == ' ') {
    trimmed--;
  }
  gradrt_gate g = { .text = text };
  bool shape = trimmed > 0 && trimmed < sizeof g.name && op >= 1 && op <= 2 &&
               gradrt_text_number(bound, &g.bound);
  if (shape) {
    memcpy(g.op, text + name, op);
    shape = strcmp(g.op, ">=") == 0 || strcmp(g.op, "<=") == 0 || strcmp(g.op, ">") == 0 ||
            strcmp(g.op, "<") == 0;
  }
  if (!shape) {
    return gradrt_error(
        GRADRT_USAGE,
        "--require takes METRIC>=NUMBER (or <= > <), such as 'accuracy>=0.97', not '%s'",
        gradrt_text_plain(plain, sizeof plain, text));
  }
  if (o->ngate == GRADRT_REQUIRE_MAX) {
    return gradrt_error(GRADRT_USAGE, "more than %d times --require", GRADRT_REQUIRE_MAX);
  }
  for (size_t i = 0; i < trimmed; i++) {
    g.name[i] = text[i] == '.' ? '_' : text[i];
  }
  o->gate[o->ngate++] = g;
  return GRADRT_OK;
}

static int options_set(options_reader *r, const options_row *row, const char *name,
                       const char *value)
{
  char *field = (char *)r->o + row->at;
  r->used |= UINT64_C(1) << (row - options_table);
  int word = 0;
  int code = GRADRT_OK;
  switch (row->kind) {
  case OPTIONS_FLAG:
    *(bool *)(void *)field = true;
    break;
  case OPTIONS_NUMBER: case OPTIONS_WHOLE:
    code = options_number(name, row, value, (double *)(void *)field);
    break;
  case OPTIONS_BYTES:
    code = options_bytes(name, value, (double *)(void *)field);
    break;
  case OPTIONS_TEXT: case OPTIONS_TEXT_OR_NONE:
    if (*value == 0 && row->kind == OPTIONS_TEXT) {
      return gradrt_error(GRADRT_USAGE, "--%s takes a %s, not an empty text", row->name, row->arg);
    }
    *(const char **)(void *)field = value;
    break;
  case OPTIONS_SHOW:
    code = options_word(row, value, options_show_name, 4, &word);
    if (code == GRADRT_OK) {
      r->o->progress = (gradrt_show)word;
    }
    break;
  case OPTIONS_WHEN:
    code = options_word(row, value, options_when_name, 3, &word);
    if (code == GRADRT_OK) {
      r->o->color = (gradrt_when)word;
    }
    break;
  case OPTIONS_GATE:
    code = options_gate(r->o, value);
    break;
  }
  return code;
}

/* A param that shapes the code: how to get a program with the other value. */
static int options_fixed(const options_reader *r, const char *name, const char *value)
{
  char plain[64];
  gradrt_text_plain(plain, sizeof plain, value ? value : "VALUE");
  int code;
  if (r->o->called) {
    code = gradrt_error(GRADRT_USAGE, "--%s: '%s' decides the generated code", name, name);
    gradrt_note("write --set %s=%s", name, plain);
  } else {
    code = gradrt_error(GRADRT_USAGE,
                        "--%s cannot change in a built program: '%s' decides the generated code",
                        name, name);
    gradrt_note("build it again with the other value: gradc build %s --set %s=%s", r->net->file,
                name, plain);
  }
  return code;
}

static int options_unknown(const gradrt_net *net, const char *word)
{
  const char *known[OPTIONS_WORDS_MAX];
  char plain[64], name[64];
  int n = 0;
  for (int i = 0; i < OPTIONS_COUNT; i++) {
    known[n++] = options_table[i].name;
  }
  for (int i = 0; i < net->nparam && n < OPTIONS_WORDS_MAX - 2; i++) {
    known[n++] = net->param[i].name;
  }
  known[n++] = "help";
  known[n++] = "version";
  gradrt_text_plain(plain, sizeof plain, word);
  snprintf(name, sizeof name, "%s", plain + strspn(plain, "-"));
  name[strcspn(name, "=")] = 0;
  const char *near = gradrt_text_nearest(name, known, n);
  int code = gradrt_error(GRADRT_USAGE, "unknown option %s%s%s%s", plain,
                          near ? "; did you mean --" : "", near ? near : "", near ? "?" : "");
  gradrt_note("--help lists the options");
  return code;
}

static const options_row *options_setting(const gradrt_param *p)
{
  return p && p->run_time && p->setting ? options_find(p->setting, strlen(p->setting)) : NULL;
}

/* One --name, --name value or --name=value. */
static int options_long(options_reader *r, const char *word)
{
  const char *name = word + 2, *equals = strchr(name, '=');
  size_t length = equals ? (size_t)(equals - name) : strlen(name);
  const gradrt_param *param = options_param(r->net, name, length);
  const options_row *row = options_setting(param);
  if (!row) {
    row = options_find(name, length);
  }
  const char *value = equals ? equals + 1 : NULL;
  const char *next = r->at < r->n ? r->word[r->at] : NULL;
  if (!row && (param || (length == 5 && memcmp(name, "batch", 5) == 0))) {
    char fixed[64];
    snprintf(fixed, sizeof fixed, "%.*s", (int)length, name);
    return options_fixed(r, fixed, value ? value : next);
  }
  if (!row) {
    return options_unknown(r->net, word);
  }
  if (row->kind == OPTIONS_FLAG) {
    return value ? gradrt_error(GRADRT_USAGE, "--%s takes no value", row->name)
                 : options_set(r, row, row->name, "");
  }
  if (row->kind == OPTIONS_TEXT_OR_NONE && !value) {
    bool taken = next && next[0] != '-';
    r->at += taken;
    return options_set(r, row, row->name, taken ? next : "");
  }
  if (!value && (!next || (next[0] == '-' && next[1] == '-'))) {
    return gradrt_error(GRADRT_USAGE, "--%.*s needs a value: --%.*s %s", (int)length, name,
                        (int)length, name, row->arg ? row->arg : "");
  }
  r->at += value ? 0 : 1;
  char shown[64];
  snprintf(shown, sizeof shown, "%.*s", (int)length, name);
  return options_set(r, row, shown, value ? value : next);
}

bool gradrt_generate_wanted(const gradrt_net *net)
{
  bool wanted = false;
  for (int i = 0; i < net->nfield; i++) {
    wanted = wanted || (net->field[i].token && !net->field[i].next_of);
  }
  return wanted && net->infer.fn;
}

/* A program that gradcheck built keeps gradients and cannot train; no other checks them. */
static bool options_has_verb(const gradrt_net *net, int verb)
{
  if (verb == GRADRT_VERB_INFO || verb == GRADRT_VERB_HELP) {
    return true;
  }
  if (verb == GRADRT_VERB_GENERATE) {
    return gradrt_generate_wanted(net);
  }
  return gradrt_gradcheck_wanted(net) ? verb == GRADRT_VERB_GRADCHECK : verb < OPTIONS_VERBS;
}

static int options_verb_of(const gradrt_net *net, const char *word)
{
  for (int i = 0; i < OPTIONS_VERBS_ALL; i++) {
    if (options_has_verb(net, i) && strcmp(word, options_verb_name[i]) == 0) {
      return i;
    }
  }
  return -1;
}

static int options_unknown_verb(const char *word)
{
  char plain[64];
  if (strcmp(word, options_verb_name[GRADRT_VERB_GENERATE]) == 0) {
    return gradrt_error(GRADRT_USAGE,
                        "this net writes no text: it takes no tokens of a source `text`");
  }
  const char *near = gradrt_text_nearest(word, options_verb_name, OPTIONS_VERBS);
  int code = gradrt_error(GRADRT_USAGE, "unknown command '%s'%s%s%s",
                          gradrt_text_plain(plain, sizeof plain, word),
                          near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
  gradrt_note("the commands are train, eval, predict, info and help");
  return code;
}

static int options_check_verb(const options_reader *r)
{
  for (int i = 0; i < OPTIONS_COUNT; i++) {
    if ((r->used >> i & 1) && r->o->verb != GRADRT_VERB_HELP &&
        !(options_table[i].verbs & (1 << r->o->verb))) {
      return gradrt_error(GRADRT_USAGE, "%s has no option --%s", options_verb_name[r->o->verb],
                          options_table[i].name);
    }
  }
  return GRADRT_OK;
}

static void options_defaults(gradrt_options *o, const char *program)
{
  *o = (gradrt_options){ .program = program ? program : "trainer",
                         .verb = GRADRT_VERB_TRAIN,
                         .topic = GRADRT_VERB_HELP,
                         .epochs = NAN,
                         .lr = NAN,
                         .seed = NAN,
                         .steps = NAN,
                         .save_every = NAN,
                         .threads = NAN,
                         .top = NAN,
                         .length = NAN,
                         .temperature = NAN,
                         .top_k = NAN,
                         .ahead = NAN,
                         .seconds = NAN,
                         .folds = NAN };
  const char *progress = getenv("GRADC_PROGRESS"), *color = getenv("GRADC_COLOR");
  for (int i = 0; progress && i < 4; i++) {
    if (strcmp(progress, options_show_name[i]) == 0) {
      o->progress = (gradrt_show)i;
    }
  }
  for (int i = 0; color && i < 3; i++) {
    if (strcmp(color, options_when_name[i]) == 0) {
      o->color = (gradrt_when)i;
    }
  }
  const char *data = getenv("GRADC_DATA");
  if (data && *data) {
    o->data = data;
  }
}

static int options_positional(options_reader *r, char *word, bool *has_verb)
{
  gradrt_options *o = r->o;
  int verb = options_verb_of(r->net, word);
  if (!*has_verb) {
    *has_verb = true;
    if (verb < 0) {
      return options_unknown_verb(word);
    }
    o->verb = (gradrt_verb)verb;
    return GRADRT_OK;
  }
  if (o->verb == GRADRT_VERB_HELP && verb >= 0) {
    o->topic = (gradrt_verb)verb;
    return GRADRT_OK;
  }
  if (o->verb == GRADRT_VERB_HELP) {
    return options_unknown_verb(word);
  }
  if (o->verb != GRADRT_VERB_PREDICT) {
    char plain[64];
    return gradrt_error(GRADRT_USAGE, "%s takes no files: '%s'", options_verb_name[o->verb],
                        gradrt_text_plain(plain, sizeof plain, word));
  }
  o->input[o->ninput++] = word;
  return GRADRT_OK;
}

int gradrt_options_parse(const gradrt_net *net, int argc, char **argv, gradrt_options *o)
{
  options_defaults(o, argc > 0 ? argv[0] : NULL);
  if (gradrt_gradcheck_wanted(net)) {
    o->verb = GRADRT_VERB_GRADCHECK;
  }
  options_reader r = { .net = net, .o = o, .word = argv, .at = 1, .n = argc };
  o->input = argv;              /* filled from the front: never ahead of the words still to read */
  bool has_verb = false, help = false, plain = false;
  int code = GRADRT_OK;
  while (code == GRADRT_OK && r.at < r.n) {
    char *word = argv[r.at++];
    if (!plain && strcmp(word, "--") == 0) {
      plain = true;
    } else if (!plain && (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0)) {
      help = true;
    } else if (!plain && strcmp(word, "--version") == 0) {
      o->version = true;
    } else if (!plain && word[0] == '-' && word[1] == '-') {
      code = options_long(&r, word);
    } else if (!plain && strcmp(word, "-q") == 0) {
      code = options_long(&r, "--quiet");
    } else if (!plain && word[0] == '-' && word[1] != 0) {
      code = options_unknown(net, word);
    } else {
      code = options_positional(&r, word, &has_verb);
    }
  }
  if (help) {
    o->topic = has_verb ? o->verb : GRADRT_VERB_HELP;
    o->verb = GRADRT_VERB_HELP;
    return GRADRT_OK;
  }
  return code == GRADRT_OK ? options_check_verb(&r) : code;
}

/* ---- help ---- */

static void options_help_rows(const gradrt_net *net, gradrt_verb verb, FILE *f)
{
  char left[64], plain[64];
  fputs("\nOptions:\n", f);
  for (int i = 0; i < OPTIONS_COUNT; i++) {
    const options_row *row = &options_table[i];
    if (row->verbs & (1 << verb)) {
      snprintf(left, sizeof left, "--%s %s", row->name, row->arg ? row->arg : "");
      fprintf(f, "  %-24s %s\n", left, row->help);
    }
  }
  for (int i = 0; i < net->nparam; i++) {
    const gradrt_param *p = &net->param[i];
    if (verb != GRADRT_VERB_TRAIN || !options_setting(p) || strcmp(p->name, p->setting) == 0) {
      continue;
    }
    snprintf(left, sizeof left, "--%s X", gradrt_text_plain(plain, sizeof plain, p->name));
    fprintf(f, "  %-24s the same as --%s (in the spec: %.9g)\n", left, p->setting, p->value);
  }
}

const char *gradrt_options_call(const gradrt_options *o, const char *verb, char *buf, size_t size)
{
  char name[GRADRT_PATH_MAX];
  gradrt_text_plain(name, sizeof name, o->called ? o->called : o->program);
  if (o->called)
    snprintf(buf, size, "gradc %s %s", verb, name);
  else
    snprintf(buf, size, "%s %s", name, verb);
  return buf;
}

const char *gradrt_options_inputs(const gradrt_net *net)
{
  for (int i = 0; i < net->nfield; i++) {
    const gradrt_field *f = &net->field[i];
    if (f->is_label || f->next_of) {
      continue;
    }
    bool idx = net->nsource > 0 && strcmp(net->source[0].kind, "idx") == 0;
    bool image = f->dtype == GRADRT_U8 && f->rank >= 2;
    return f->token ? "text.txt" : image && idx ? "images.idx --top 3"
                                 : image        ? "picture.png"
                                                : "rows.csv";
  }
  return "FILE";
}

static void options_help_verb(const gradrt_net *net, const gradrt_options *o, FILE *f)
{
  static const char *const example[] = { " --epochs 3 --lr 0.05", " --split test",
                                         " ", "", " train", " --threads 1",
                                         " --param c1.weight",
                                         " --prompt 'Once' --length 200 --temperature 0.8" };
  static const char *const usage[] = { " [options]", " [options]", " FILE... [options]",
                                       " [options]", " [command]", " [options]", " [options]",
                                       " [options]" };
  char call[GRADRT_PATH_MAX];
  gradrt_options_call(o, options_verb_name[o->topic], call, sizeof call);
  if (o->example) {
    fprintf(f, "  %s\n", o->example);
  } else {
    fprintf(f, "  %s%s%s\n", call, example[o->topic],
            o->topic == GRADRT_VERB_PREDICT ? gradrt_options_inputs(net) : "");
  }
  fprintf(f, "\nUsage: %s%s\n%s\n", call, usage[o->topic], options_verb_help[o->topic]);
  if (o->topic != GRADRT_VERB_HELP) {
    options_help_rows(net, o->topic, f);
  }
}

void gradrt_options_help(const gradrt_net *net, const gradrt_options *o, FILE *f)
{
  char program[64], name[64];
  gradrt_text_plain(program, sizeof program, o->program);
  if (o->topic != GRADRT_VERB_HELP) {
    options_help_verb(net, o, f);
    return;
  }
  fprintf(f, "  %s                              train, write runs/%s/report.html\n", program,
          gradrt_text_plain(name, sizeof name, net->name));
  fprintf(f, "  %s --epochs 3 --threads 2       the same with other settings\n", program);
  fprintf(f, "  %s eval                         test the trained weights\n", program);
  fprintf(f, "\nUsage: %s [train|eval|predict|info|help] [options]\n\n", program);
  for (int i = 0; i < OPTIONS_VERBS; i++) {
    fprintf(f, "  %-10s %s\n", options_verb_name[i], options_verb_help[i]);
  }
  fprintf(f, "\n'%s help train' shows the options of a command.\n", program);
  fputs("Exit codes: 0 ok, 2 usage, 3 data, 4 checkpoint, 5 files, 6 memory, 7 not finite, 8 "
        "--require missed,\n"
        "130 and 143 stopped by a signal after saving.\n",
        f);
}
