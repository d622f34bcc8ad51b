/* Look-up in the table of operations and in an operation's lists of operands and results. */
#include "ir/op.h"
#include "base/str.h"

#include <string.h>

const OpDef *op_find(const OpTable *t, const char *name)
{
  for (int i = 0; i < t->n; i++)
    if (str_eq(t->at[i]->name, name))
      return t->at[i];
  return NULL;
}

/* ---- lists of words separated by blanks ---- */

/* The word that starts at or after *at; moves *at behind it. NULL: no more words. */
static const char *next_word(const char **at, size_t *n)
{
  const char *word = *at + strspn(*at, " ");
  *n = strcspn(word, " ");
  *at = word + *n;
  return *n ? word : NULL;
}

static int count_words(const char *words)
{
  size_t length;
  int n = 0;
  while (words && next_word(&words, &length))
    n++;
  return n;
}

int op_operand_count(const OpDef *op) { return count_words(op->operands); }
int op_result_count(const OpDef *op) { return count_words(op->results); }

const char *op_operand_name(const OpDef *op, Arena *a, uint32_t i)
{
  const char *at = op->operands ? op->operands : "", *word;
  size_t n;
  uint32_t k = 0;
  for (; (word = next_word(&at, &n)); k++) {
    if (word[n - 1] == '*')
      return i == k ? arena_strndup(a, word, n - 1)
                    : arena_printf(a, "%.*s%u", (int)n - 1, word, i - k + 1);
    if (k == i)
      return arena_strndup(a, word, word[n - 1] == '?' ? n - 1 : n);
  }
  return arena_printf(a, "operand %u", i + 1);
}

/* ---- suggestions ---- */

enum { WORD_MAX = 64 };

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; }

static bool same_word(const char *a, const char *b, size_t nb)
{
  size_t i = 0;
  while (i < nb && a[i] && lower(a[i]) == lower(b[i]))
    i++;
  return i == nb && !a[i];
}

static bool has_alias(const OpDef *op, const char *name)
{
  const char *at = op->aliases ? op->aliases : "", *word;
  size_t n;
  while ((word = next_word(&at, &n)))
    if (same_word(name, word, n))
      return true;
  return false;
}

/* Distance to the nearest alias. */
static int alias_distance(const OpDef *op, const char *name, int limit)
{
  const char *at = op->aliases ? op->aliases : "", *word;
  char copy[WORD_MAX + 1];
  size_t n;
  int best = limit + 1;
  while ((word = next_word(&at, &n)))
    if (n <= WORD_MAX) {
      memcpy(copy, word, n);
      copy[n] = '\0';
      int d = str_distance(name, copy);
      best = d < best ? d : best;
    }
  return best;
}

const OpDef *op_suggest(const OpTable *t, const char *name, unsigned flags, bool *alias)
{
  int length = (int)min_i64((int64_t)strlen(name), WORD_MAX), limit = (length > 3 ? length : 3) / 3;
  const OpDef *near = NULL, *other = NULL;
  int best = limit + 1, best_other = limit + 1;
  *alias = false;
  for (int i = 0; i < t->n; i++) {
    const OpDef *op = t->at[i];
    if ((op->flags & flags) != flags)
      continue;
    if (has_alias(op, name)) {
      *alias = true;
      return op;
    }
    int d = str_distance(name, op->name), e = alias_distance(op, name, limit);
    if (d < best) {
      best = d;
      near = op;
    }
    if (e < best_other) {
      best_other = e;
      other = op;
    }
  }
  *alias = best_other < best;
  return *alias ? other : near;
}

int op_word_index(const char *words, const char *word, size_t n)
{
  const char *at = words ? words : "", *w;
  size_t len;
  for (int i = 0; (w = next_word(&at, &len)); i++)
    if (strcspn(w, " ?*") == n && !strncmp(w, word, n))
      return i;
  return -1;
}
