/* Texts and their tokens: what the reader, the maker of vocabularies and generation share. */
#ifndef GRADRT_DATA_TEXT_H
#define GRADRT_DATA_TEXT_H

#include "data.h"

typedef enum { GRADRT_TOKEN_CHARS, GRADRT_TOKEN_BYTES, GRADRT_TOKEN_WORDS } gradrt_tokens;

enum { GRADRT_VOCABULARY_MAX = 65536 };

typedef struct {
  char *text;                   /* owned; a 0 follows */
  const char *at, *end;         /* what is still to be read */
  gradrt_tokens tokens;
  bool lines;                   /* each line is a document */
  char path[GRADRT_DATA_PATH];
} gradrt_text;

/* How a source of the kind "text" is cut into tokens. */
gradrt_tokens gradrt_tokens_of(const gradrt_source *s);
/* Reads the file of a source of the kind "text": GRADRT_DATA unless it is there, is not empty and,
 * but for bytes, is UTF-8 without NUL. gradrt_text_close also after an error. */
int gradrt_text_open(const gradrt_ask *a, gradrt_text *t);
void gradrt_text_close(gradrt_text *t);
/* Takes the next token from checked text; false: there is none. */
bool gradrt_text_next(gradrt_text *t, const char **token, size_t *length);
/* Number of a token in the vocabulary of a field; of a word that it lacks that of <unk>; -1: a
 * character that it lacks. */
int64_t gradrt_token_number(const gradrt_field *f, gradrt_tokens tokens, const char *token,
                            size_t length);

/* The vocabulary of a source of the kind "text": *n entries of *entry, sorted by bytes; words begin
 * with <unk>. Bytes have none: *entry is NULL and *n 256. All is one block in *entry, to be freed
 * by gradrt_free. GRADRT_DATA: a file that cannot be used, or fewer than two tokens; GRADRT_LIMIT:
 * more than GRADRT_VOCABULARY_MAX. */
int gradrt_vocabulary(const gradrt_ask *a, char ***entry, int64_t *n);

#endif
