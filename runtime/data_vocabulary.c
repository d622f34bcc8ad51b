/* The vocabulary of a text, made when a spec is compiled: all characters that occur, or all words,
 * or the most frequent ones. Sorted by bytes, so that it depends on the set of tokens alone;
 * between equally frequent words the one that sorts first is kept. */
#include "data_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct { const char *at; size_t length; int64_t count; } vocabulary_token;

typedef struct {
  vocabulary_token *at;
  int64_t n, cap;
} vocabulary_list;

static int vocabulary_by_bytes(const void *x, const void *y)
{
  const vocabulary_token *a = x, *b = y;
  size_t n = a->length < b->length ? a->length : b->length;
  int d = memcmp(a->at, b->at, n);
  return d ? d : (a->length > b->length) - (a->length < b->length);
}

static int vocabulary_by_count(const void *x, const void *y)
{
  const vocabulary_token *a = x, *b = y;
  if (a->count != b->count)
    return a->count > b->count ? -1 : 1;
  return vocabulary_by_bytes(x, y);
}

/* Sorts, and counts equal tokens as one. */
static void vocabulary_unite(vocabulary_list *l)
{
  int64_t n = 0;
  qsort(l->at, (size_t)l->n, sizeof *l->at, vocabulary_by_bytes);
  for (int64_t i = 0; i < l->n; i++) {
    if (n > 0 && vocabulary_by_bytes(&l->at[n - 1], &l->at[i]) == 0)
      l->at[n - 1].count += l->at[i].count;
    else
      l->at[n++] = l->at[i];
  }
  l->n = n;
}

/* Full lists are united first, and grow only when that did not make half of them free. */
static bool vocabulary_room(vocabulary_list *l)
{
  if (l->n < l->cap)
    return true;
  if (l->n > 0)
    vocabulary_unite(l);
  if (l->cap > 0 && l->n <= l->cap / 2)
    return true;
  int64_t cap = l->cap ? 2 * l->cap : 1 << 16;
  vocabulary_token *more = gradrt_alloc((size_t)cap * sizeof *more);
  if (more && l->n > 0)
    memcpy(more, l->at, (size_t)l->n * sizeof *more);
  if (more) {
    gradrt_free(l->at);
    l->at = more;
    l->cap = cap;
  }
  return more != NULL;
}

static int vocabulary_collect(gradrt_text *t, vocabulary_list *l)
{
  vocabulary_token token = { .count = 1 };
  while (gradrt_text_next(t, &token.at, &token.length)) {
    bool dropped = t->lines && *token.at == '\r';
    if (!dropped && !vocabulary_room(l))
      return gradrt_error(GRADRT_LIMIT, "%s: out of memory for its vocabulary", t->path);
    if (!dropped)
      l->at[l->n++] = token;
  }
  if (t->lines && !vocabulary_room(l))
    return gradrt_error(GRADRT_LIMIT, "%s: out of memory for its vocabulary", t->path);
  if (t->lines)
    l->at[l->n++] = (vocabulary_token){ "\n", 1, INT64_MAX / 2 };
  vocabulary_unite(l);
  return GRADRT_OK;
}

/* Keeps the most frequent words where the source says how many; else refuses what is too much. */
static int vocabulary_limit(const gradrt_ask *a, const gradrt_text *t, vocabulary_list *l)
{
  bool words = t->tokens == GRADRT_TOKEN_WORDS;
  int64_t keep = (int64_t)gradrt_prop_number(a->source, "vocab", 0) - words;
  if (words && keep > 0 && l->n > keep) {
    qsort(l->at, (size_t)l->n, sizeof *l->at, vocabulary_by_count);
    l->n = keep;
    vocabulary_unite(l);
  }
  if (l->n + words > GRADRT_VOCABULARY_MAX) {
    int code = gradrt_error(GRADRT_LIMIT, "%s: %" PRId64 " different %s, but a vocabulary has at "
                            "most %d", t->path, l->n, words ? "words" : "characters",
                            GRADRT_VOCABULARY_MAX);
    gradrt_note(words ? "vocab=10000 keeps the most frequent ones; the others become <unk>"
                      : "tokens=bytes needs 256 for any text");
    return code;
  }
  if (l->n >= 2)
    return GRADRT_OK;
  return gradrt_error(GRADRT_DATA, "%s: the text has only %s %s: there is nothing to learn",
                      t->path, l->n ? "one" : "no", words ? "word" : "character");
}

/* Entries and their texts in one block. */
static int vocabulary_copy(const vocabulary_list *l, bool words, char ***entry, int64_t *n)
{
  size_t bytes = 0;
  *n = l->n + words;
  for (int64_t i = 0; i < l->n; i++)
    bytes += l->at[i].length + 1;
  char **out = gradrt_alloc((size_t)*n * sizeof *out + bytes + sizeof "<unk>");
  if (!out)
    return gradrt_error(GRADRT_LIMIT, "out of memory for a vocabulary");
  char *text = (char *)(out + *n);
  if (words) {
    out[0] = memcpy(text, "<unk>", sizeof "<unk>");
    text += sizeof "<unk>";
  }
  for (int64_t i = 0; i < l->n; i++) {
    out[i + words] = memcpy(text, l->at[i].at, l->at[i].length);
    text += l->at[i].length + 1;
  }
  *entry = out;
  return GRADRT_OK;
}

int gradrt_vocabulary(const gradrt_ask *a, char ***entry, int64_t *n)
{
  vocabulary_list list = { 0 };
  gradrt_text t;
  *entry = NULL;
  *n = 256;
  int code = gradrt_text_open(a, &t);
  if (code == GRADRT_OK && t.tokens != GRADRT_TOKEN_BYTES) {
    code = vocabulary_collect(&t, &list);
    code = code == GRADRT_OK ? vocabulary_limit(a, &t, &list) : code;
    if (code == GRADRT_OK)
      code = vocabulary_copy(&list, t.tokens == GRADRT_TOKEN_WORDS, entry, n);
  }
  gradrt_free(list.at);
  gradrt_text_close(&t);
  return code;
}
