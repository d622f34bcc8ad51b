/* `sample generate("ROMEO:", length=200);`: a text that training writes every so often. What only
 * the finished net shows, such as an output with a score for each token, the program checks before
 * its first step. */
#include "sema/sema.h"

#include <string.h>

/* Training must read a text, and the model a window of its tokens. */
static bool can_generate(Sema *s, Span at)
{
  const Data *d = s->data;
  bool reads = false;
  for (int i = 0; d && i < d->nfield; i++)
    reads = reads || (d->field[i].token && !d->field[i].next_of);
  if (reads)
    return true;
  diag_error(s->diag, at, "E0432", "only a net that reads tokens of a text can write one");
  diag_help(s->diag, "`source: text(\"input.txt\");` and `field x: token[64];` make such a net");
  return false;
}

static bool option(Sema *s, const Ast *arg, SampleSpec *out)
{
  static const char *const words[] = { "length", "temperature", "top_k", "seed" };
  const char *name = arg->arg.name;
  const Ast *e = arg->arg.value;
  if (str_eq(name, "length"))
    return sema_int(s, e, "`length`", 1, 1000000000, &out->length);
  if (str_eq(name, "temperature"))
    return sema_real(s, e, "`temperature`", 0, 1000, &out->temperature);
  if (str_eq(name, "top_k"))
    return sema_int(s, e, "`top_k`", 1, 65536, &out->top_k);
  if (str_eq(name, "seed"))
    return sema_int(s, e, "`seed`", 0, INT64_C(1) << 53, &out->seed);
  diag_error(s->diag, arg->at, "E0302", "`generate` has no option `%s`", name);
  sema_suggest(s, name, words, (int)ARRAY_LEN(words), "it has");
  return false;
}

bool sema_sample(Sema *s, const Ast *e, SampleSpec *out)
{
  *out = (SampleSpec){ .length = 400, .temperature = 1, .seed = 1 };
  if (e->kind == AST_ERROR)
    return false;
  if (e->kind != AST_CALL || !str_eq(sema_word(e->call.callee), "generate")) {
    diag_error(s->diag, e->at, "E0432", "`sample` takes `generate(..)`");
    diag_help(s->diag, "write `sample generate(\"ROMEO:\", length=200);`");
    return false;
  }
  if (!can_generate(s, e->at))
    return false;
  for (const Ast *a = e->call.args; a; a = a->next) {
    if (a->kind == AST_ARG && a->arg.name) {
      if (!option(s, a, out))
        return false;
    } else if (out->prompt) {
      diag_error(s->diag, a->at, "E0432", "`generate` takes one text");
      diag_help(s->diag, "its options have names: length, temperature, top_k, seed");
      return false;
    } else if (!sema_text(s, sema_arg_value(a), "how the text begins", &out->prompt)) {
      return false;
    }
  }
  return true;
}
