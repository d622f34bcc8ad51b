/* State of one parse: the text, the last tokens, open brackets, and tokens that a report puts
 * back. It is apart from context.h because it needs the parser's generated types. Private to
 * syntax. */
#ifndef GRADC_SYNTAX_TOKENS_H
#define GRADC_SYNTAX_TOKENS_H

#include "parser.h"

enum { REPLAY_MAX = 3 };

typedef struct {
  int kind;                     /* TOK_..., or a character */
  GRADC_YYSTYPE value;
  Span at;
} Token;

typedef struct {
  char kind;                    /* ( [ { */
  Span at;
} Bracket;

struct ParseCtx {
  Arena *arena;
  Diag *diag;
  const char *text;             /* whole source; base is the offset of its first byte */
  uint32_t length, base;
  Ast *items;                   /* top-level items so far */
  const Comment *comments;      /* in order */
  Comment *last_comment;
  uint32_t code_end;            /* end of the last token of the scanner; 0: none yet */
  Token now, before;            /* the last two tokens that the parser got */
  VEC(Bracket) open;
  Bracket unclosed;             /* left open by the last `;` or closing bracket; kind 0: none */
  Token replay[REPLAY_MAX];     /* returned before the scanner is asked again */
  int nreplay, replayed;
  int more;                     /* times that the first of them is returned once more */
  bool header;                  /* since `repeat`, `if` or `else`, before their `{` */
  bool skipped_block;           /* the last statement was skipped, with its block */
  bool skipping;                /* the next token is the end of the broken statement or block */
  bool quiet;                   /* what goes wrong at the end of file was reported already */
};

/* Source bytes of a span. */
const char *source_bytes(const ParseCtx *pc, Span at, size_t *length);

#endif
