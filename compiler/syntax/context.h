/* What the scanner, the parser and their reports share during one parse. Private to syntax. */
#ifndef GRADC_SYNTAX_CONTEXT_H
#define GRADC_SYNTAX_CONTEXT_H

#include "base/vec.h"
#include "diag/diag.h"
#include "syntax/ast.h"

typedef struct ParseCtx ParseCtx;

/* A list under construction; appending at the tail keeps long lists linear. */
typedef struct {
  Ast *head, *tail;
} AstList;

enum {
  DEPTH_MAX = 256,              /* levels of the tree: later stages recurse on it */
  TOKEN_BYTES_MAX = 64 * 1024,  /* of a string or number */
  NAME_BYTES_MAX = 128,         /* names end up in generated C */
  SOURCE_BYTES_MAX = 16 * 1024 * 1024
};

/* Literals. They return NULL after reporting what is wrong. */
Ast *literal_number(ParseCtx *pc, const char *text, size_t length, Span at);
Ast *literal_string(ParseCtx *pc, const char *text, size_t length, Span at); /* quotes included */
const char *literal_name(ParseCtx *pc, const char *text, size_t length, Span at);
void comment_add(ParseCtx *pc, Span at);

/* Mistakes of the scanner. */
void report_stray(ParseCtx *pc, Span at);       /* a run of bytes that begin no token */
void report_slashes(ParseCtx *pc, Span at);
void report_quotes(ParseCtx *pc, Span at);
void report_number(ParseCtx *pc, Span at);
void report_open_string(ParseCtx *pc, Span at);
void report_open_comment(ParseCtx *pc, Span at);
/* Reports NUL and malformed UTF-8, one message a run. False: there is NUL, so this is not a
 * text. */
bool report_bad_text(ParseCtx *pc);

/* Mistakes of the parser; the names of expected tokens come from its tables. */
void report_syntax(ParseCtx *pc, Span at, const char *const *expected, int n);
void report_depth(ParseCtx *pc, Span at);

/* Tree building for the actions of parser.y. */
Span parse_start(const ParseCtx *pc);
Ast *ast_make(ParseCtx *pc, Ast node);
AstList list_of(Ast *item);                     /* NULL: an empty list */
AstList list_add(AstList list, Ast *item);
AstList list_join(AstList first, AstList second);
void keep_items(ParseCtx *pc, AstList items);   /* so that an aborted parse keeps what it has */

#endif
