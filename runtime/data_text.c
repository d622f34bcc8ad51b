/* Texts as numbers of tokens. A token is a character (a code point of UTF-8), a byte or a word; its
 * number is its place in the sorted vocabulary that the compiler made, which is the names of the
 * field's classes. Words are runs of letters, digits, ' and bytes of other alphabets; any other
 * character but blanks is a word of its own, so is the end of a line. A word that the vocabulary
 * lacks is <unk>, its first entry; a character that it lacks is an error.
 *
 * With lines=true each line that is not empty is a document of its own, between two line ends:
 * the first says that it begins, the second that it ends. */
#include "data_text.h"
#include "run.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- tokens ---- */

gradrt_tokens gradrt_tokens_of(const gradrt_source *s)
{
  const char *kind = gradrt_prop_text(s, "tokens", "chars");
  return strcmp(kind, "bytes") == 0   ? GRADRT_TOKEN_BYTES
         : strcmp(kind, "words") == 0 ? GRADRT_TOKEN_WORDS
                                      : GRADRT_TOKEN_CHARS;
}

static bool text_is_blank(unsigned char c) { return c == ' ' || c == '\t' || c == '\r'; }

static bool text_in_word(unsigned char c)
{
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
         c == '\'' || c >= 128;
}

static size_t text_word(const char *at, const char *end)
{
  size_t n = 0;
  while (at + n < end && text_in_word((unsigned char)at[n]))
    n++;
  return n ? n : 1;
}

bool gradrt_text_next(gradrt_text *t, const char **token, size_t *length)
{
  while (t->at < t->end && t->tokens == GRADRT_TOKEN_WORDS &&
         text_is_blank((unsigned char)*t->at))
    t->at++;
  if (t->at == t->end)
    return false;
  *token = t->at;
  *length = t->tokens == GRADRT_TOKEN_BYTES   ? 1
            : t->tokens == GRADRT_TOKEN_WORDS ? text_word(t->at, t->end)
                                              : (size_t)gradrt_text_utf8(
                                                    (const unsigned char *)t->at);
  t->at += *length;
  return true;
}

/* The line, from 1, of a place in the text. */
static int64_t text_line(const char *text, const char *at)
{
  int64_t line = 1;
  for (const char *p = text; p < at; p++)
    line += *p == '\n';
  return line;
}

/* Characters and words are UTF-8 without NUL; bytes may be anything. */
static int text_check(const char *path, const char *text, size_t size, gradrt_tokens tokens)
{
  const char *end = text + size;
  if (size == 0)
    return gradrt_error(GRADRT_DATA, "%s: the file is empty", path);
  for (const char *p = text; p < end && tokens != GRADRT_TOKEN_BYTES;) {
    int n = *p ? gradrt_text_utf8((const unsigned char *)p) : 0;
    if (n < 1 || p + n > end) {
      int code = gradrt_error(GRADRT_DATA, "%s: line %" PRId64 ": byte 0x%02x at %" PRId64
                              " is %s", path, text_line(text, p), (unsigned char)*p,
                              (int64_t)(p - text), *p ? "no UTF-8" : "no character of a text");
      gradrt_note("tokens=bytes reads any file");
      return code;
    }
    p += n;
  }
  return GRADRT_OK;
}

int gradrt_text_open(const gradrt_ask *a, gradrt_text *t)
{
  size_t size = 0;
  *t = (gradrt_text){ .tokens = gradrt_tokens_of(a->source),
                      .lines = gradrt_prop_number(a->source, "lines", 0) != 0 };
  int code =
      gradrt_file_slurp(a, gradrt_prop_text(a->source, "path", ""), &t->text, &size, t->path);
  if (code != GRADRT_OK)
    return code;
  t->at = t->text;
  t->end = t->text + size;
  return text_check(t->path, t->text, size, t->tokens);
}

void gradrt_text_close(gradrt_text *t)
{
  gradrt_free(t->text);
  t->text = NULL;
}

/* ---- numbers of tokens ---- */

/* Compares a vocabulary's entry with a token that no NUL ends. */
static int text_compare(const char *entry, const char *token, size_t length)
{
  int d = strncmp(entry, token, length);
  return d ? d : entry[length] != 0;
}

int64_t gradrt_token_number(const gradrt_field *f, gradrt_tokens tokens, const char *token,
                            size_t length)
{
  if (tokens == GRADRT_TOKEN_BYTES)
    return (unsigned char)*token;
  int64_t low = tokens == GRADRT_TOKEN_WORDS, high = f->classes - 1;
  while (low <= high) {
    int64_t middle = (low + high) / 2;
    int d = text_compare(f->class_name[middle], token, length);
    if (d == 0)
      return middle;
    if (d < 0)
      low = middle + 1;
    else
      high = middle - 1;
  }
  return tokens == GRADRT_TOKEN_WORDS ? 0 : -1;
}

/* A character that is not in the vocabulary. */
static int text_unknown(const gradrt_ask *a, const gradrt_text *t, const gradrt_field *f,
                        const char *token, size_t length)
{
  char shown[8] = "", plain[32];
  memcpy(shown, token, length < sizeof shown ? length : sizeof shown - 1);
  int code = gradrt_error(GRADRT_DATA,
                          "%s: line %" PRId64 ": the character '%s' is not in the vocabulary of "
                          "field '%s' (%" PRId64 " characters)",
                          t->path, text_line(t->text, token),
                          gradrt_text_plain(plain, sizeof plain, shown), f->name, f->classes);
  gradrt_note(a->named ? "the net knows the characters of the text it was trained on"
                       : "the text has changed since the program was built: build it again");
  return code;
}

/* What the passes over the text share: the first counts, the second stores. */
typedef struct {
  const gradrt_ask *a;
  gradrt_rows *out;
  const gradrt_field *field;
  int64_t newline;              /* number of the line end; -1: not needed */
  int64_t n, documents;
  bool store;
} text_pass;

static void text_put(text_pass *p, int64_t number)
{
  for (int f = 0; p->store && f < p->a->net->nfield; f++)
    gradrt_dtype_put(p->a->net->field[f].dtype, p->out->rows[f], p->n, (double)number);
  p->n++;
}

static int text_tokens(text_pass *p, gradrt_text t)
{
  const char *token;
  size_t length;
  while (gradrt_text_next(&t, &token, &length)) {
    int64_t number = gradrt_token_number(p->field, t.tokens, token, length);
    if (number < 0)
      return text_unknown(p->a, &t, p->field, token, length);
    text_put(p, number);
  }
  return GRADRT_OK;
}

/* One document for each line that holds a token. */
static int text_documents(text_pass *p, gradrt_text t)
{
  int code = GRADRT_OK;
  const char *end = t.end;
  while (t.at < end && code == GRADRT_OK) {
    const char *stop = memchr(t.at, '\n', (size_t)(end - t.at));
    stop = stop ? stop : end;
    int64_t begin = p->n;
    t.end = stop > t.at && stop[-1] == '\r' ? stop - 1 : stop;
    text_put(p, p->newline);
    code = text_tokens(p, t);
    if (p->n == begin + 1) {
      p->n = begin;
    } else {
      text_put(p, p->newline);
      if (p->store)
        p->out->document[p->documents] = begin;
      p->documents++;
    }
    t.at = stop + 1;
  }
  return code;
}

static int text_pass_over(text_pass *p, const gradrt_text *t)
{
  p->n = p->documents = 0;
  return t->lines ? text_documents(p, *t) : text_tokens(p, *t);
}

static int text_read(text_pass *p, const gradrt_text *t)
{
  int code = text_pass_over(p, t);
  if (code == GRADRT_OK && p->n == 0)
    code = gradrt_error(GRADRT_DATA, "%s: there is no text in the file", t->path);
  p->out->n = p->n;
  for (int f = 0; f < p->a->net->nfield && code == GRADRT_OK; f++)
    code = gradrt_rows_alloc(p->a, p->out, f);
  if (code == GRADRT_OK && t->lines) {
    p->out->document = gradrt_alloc((size_t)(p->documents + 1) * sizeof *p->out->document);
    p->out->ndocument = p->documents;
    if (!p->out->document)
      code = gradrt_error(GRADRT_LIMIT, "%s: out of memory for %" PRId64 " lines", t->path,
                          p->documents);
  }
  p->store = true;
  return code == GRADRT_OK ? text_pass_over(p, t) : code;
}

int gradrt_read_text(const gradrt_ask *a, gradrt_rows *out)
{
  const gradrt_field *f = a->net->field;
  gradrt_text t;
  if (a->net->nfield < 1 || !f->token)
    return gradrt_error(GRADRT_DATA, "%s: a text needs a field of tokens",
                        a->source->place ? a->source->place : a->net->file);
  int code = gradrt_text_open(a, &t);
  if (code == GRADRT_OK) {
    text_pass p = { .a = a, .out = out, .field = f,
                    .newline = t.lines ? gradrt_token_number(f, t.tokens, "\n", 1) : -1 };
    code = text_read(&p, &t);
    if (t.lines && code == GRADRT_OK)
      out->document[out->ndocument] = out->n;
  }
  gradrt_text_close(&t);
  return code;
}
