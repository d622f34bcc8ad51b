/* explain: what a code in brackets behind a message means, with a wrong and a right example; or
 * what a word of the language takes: a layer, a loss, an optimizer, a schedule, a metric, a source
 * of data. */
#include "base/str.h"
#include "cmd/cmd.h"
#include "cmd/explain.h"
#include "internal.h"
#include "ops/ops.h"
#include <stdio.h>
#include <string.h>

static const Page pages[] = {
#define PAGE(code, title, text, right, wrong) { code, title, text, right, wrong },
#include "cmd/explain.def"
#undef PAGE
};

/* Words of the language that are no operations: a row without options, then its options. */
typedef struct { const char *kind, *name, *dflt, *doc; } Word;
static const Word words[] = {
#define DEFAULT_FLAG(dflt) ((dflt)[0] == '0' ? "false" : "true")
#define DEFAULT_COUNT(dflt) dflt
#define DEFAULT_REAL(dflt) dflt
#define DEFAULT_TEXT(dflt) dflt
#define DEFAULT_WORD(dflt) dflt
#define DEFAULT_LIST(dflt) dflt
#define OPTION(kind, name, dflt, low, high, doc) { NULL, #name, DEFAULT_##kind(dflt), doc },
#define SOURCE(name, unnamed, inputs, columns, doc) { "source of data", #name, NULL, doc },
#include "sema/sources.def"
#define SCHEDULE(name, unnamed, doc) { "schedule", #name, NULL, doc },
#include "sema/schedules.def"
#define PIPE(name, unnamed, doc) { "conversion of a field", #name, NULL, doc },
#include "sema/pipes.def"
#define METRIC(name, values, low, target, table, doc) { "metric", #name, NULL, doc },
#include "sema/metrics.def"
#define AUGMENT(name, unnamed, moves, doc) { "change of training samples", #name, NULL, doc },
#include "sema/augments.def"
#undef OPTION
#undef AUGMENT
#undef SOURCE
#undef SCHEDULE
#undef PIPE
#undef METRIC
};

const Page *explain_pages(int *count)
{
  *count = (int)ARRAY_LEN(pages);
  return pages;
}

/* ---- output ---- */

/* Text in lines of at most 78 columns. */
static void print_paragraph(const char *text)
{
  size_t column = 0;
  for (const char *word = text; *word;) {
    size_t n = strcspn(word, " ");
    if (column && column + 1 + n > 78) {
      putchar('\n');
      column = 0;
    }
    printf("%s%.*s", column ? " " : "", (int)n, word);
    column += n + (column > 0);
    word += n + strspn(word + n, " ");
  }
  putchar('\n');
}

static void print_example(const char *what, const char *text)
{
  printf("\n%s:\n", what);
  if (!*text)
    printf("    (nothing)\n");
  for (; *text; text += strcspn(text, "\n"), text += *text == '\n') {
    const char *line = text + strspn(text, " ");
    printf("    %.*s\n", (int)strcspn(line, "\n"), line);
    text = line;
  }
}

static void print_page(const Page *p)
{
  printf("%s: %s\n\n", p->code, p->title);
  print_paragraph(p->text);
  if (!p->right)
    return;
  print_example("wrong", p->wrong);
  print_example("right", p->right);
}

static void print_option(const char *name, const char *dflt, const char *doc)
{
  char left[64];
  bool must = str_eq(dflt, "!"), absent = !dflt[0];
  bool plain = must || absent;
  snprintf(left, sizeof left, "%s%s%s", name, plain ? "" : "=", plain ? "" : dflt);
  printf("  %-22s %s%s\n", left, doc, must ? " (must be given)" : "");
}

static const char *kind_of(const OpDef *op)
{
  return op->flags & OP_LOSS ? "loss" : op->flags & OP_OPTIMIZER ? "optimizer" : "layer";
}

/* "$y = relu($x)" without its marks. */
static void print_formula(const char *formula)
{
  printf("\n    ");
  for (; *formula; formula++)
    if (*formula != '$')
      putchar(*formula);
  printf("\n");
}

static void print_operation(const OpDef *op)
{
  printf("%s (%s): %s\n", op->name, kind_of(op), op->doc);
  if (op->formula)
    print_formula(op->formula);
  if (op->operands && *op->operands && !(op->flags & OP_OPTIMIZER))
    printf("\noperands: %s\n", op->operands);
  for (int i = 0; op->attrs && op->attrs[i].name; i++) {
    if (i == 0)
      printf("\noptions%s:\n", op->positional ? ", the first ones also without their name" : "");
    print_option(op->attrs[i].name, op->attrs[i].dflt, op->attrs[i].doc);
  }
  if (op->aliases && *op->aliases)
    printf("\nelsewhere: %s\n", op->aliases);
}

static void print_word(const Word *w)
{
  const Word *end = words + ARRAY_LEN(words);
  printf("%s (%s): %s\n", w->name, w->kind, w->doc);
  for (const Word *x = w + 1; x < end && !x->kind; x++) {
    if (x == w + 1)
      printf("\noptions:\n");
    print_option(x->name, x->dflt, x->doc);
  }
}

static bool in_language(const OpDef *op)
{
  return op->flags & (OP_LAYER | OP_LOSS | OP_OPTIMIZER);
}

static void print_list(void)
{
  const OpTable *ops = ops_table();
  static const char *const kinds[] = { "layer", "loss", "optimizer" };
  for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
    printf("%s%s:", k ? "\n" : "", kinds[k]);
    for (int i = 0; i < ops->n; i++)
      if (in_language(ops->at[i]) && str_eq(kind_of(ops->at[i]), kinds[k]))
        printf(" %s", ops->at[i]->name);
  }
  const char *kind = "";
  for (size_t i = 0; i < ARRAY_LEN(words); i++)
    if (words[i].kind) {
      if (!str_eq(kind, words[i].kind))
        printf("\n%s:", words[i].kind);
      printf(" %s", words[i].name);
      kind = words[i].kind;
    }
  printf("\ncodes:\n");
  for (size_t i = 0; i < ARRAY_LEN(pages); i++)
    printf("  %s  %s\n", pages[i].code, pages[i].title);
}

/* ---- what is asked for ---- */

static bool print_named(const char *name)
{
  const OpDef *op = op_find(ops_table(), name);
  bool found = op && in_language(op);
  if (found)
    print_operation(op);
  for (size_t i = 0; i < ARRAY_LEN(words); i++)
    if (words[i].kind && str_eq(words[i].name, name)) {
      if (found)
        printf("\n");
      print_word(&words[i]);
      found = true;
    }
  return found;
}

/* A word that Keras or PyTorch have for an operation. */
static bool print_alias(const char *name)
{
  const OpTable *ops = ops_table();
  for (int i = 0; i < ops->n; i++)
    if (in_language(ops->at[i]) && ops->at[i]->aliases && str_in_words(name, ops->at[i]->aliases)) {
      print_operation(ops->at[i]);
      return true;
    }
  return false;
}

static int unknown_word(const char *name)
{
  const char *names[ARRAY_LEN(pages) + ARRAY_LEN(words) + 512];
  const OpTable *ops = ops_table();
  int n = 0;
  for (size_t i = 0; i < ARRAY_LEN(pages); i++)
    names[n++] = pages[i].code;
  for (size_t i = 0; i < ARRAY_LEN(words); i++)
    if (words[i].kind)
      names[n++] = words[i].name;
  for (int i = 0; i < ops->n && n < (int)ARRAY_LEN(names); i++)
    if (in_language(ops->at[i]))
      names[n++] = ops->at[i]->name;
  const char *near = str_closest(name, names, n);
  gradrt_error(EXIT_USAGE, "there is nothing to explain about '%s'%s%s%s", name,
               near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
  gradrt_note("'gradc explain' lists all codes and words");
  return EXIT_USAGE;
}

int cmd_explain(const CmdOptions *o)
{
  const char *name = o->driver.file;
  if (!name) {
    print_list();
    return EXIT_OK;
  }
  for (size_t i = 0; i < ARRAY_LEN(pages); i++)
    if (str_eq(pages[i].code, name)) {
      print_page(&pages[i]);
      return EXIT_OK;
    }
  return print_named(name) || print_alias(name) ? EXIT_OK : unknown_word(name);
}
