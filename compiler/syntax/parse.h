/* From source text to AST. */
#ifndef GRADC_SYNTAX_PARSE_H
#define GRADC_SYNTAX_PARSE_H

#include "diag/diag.h"

typedef struct Ast Ast;

/* Parses text that source_add placed at base. Returns the file node (never NULL); mistakes went to diag. */
Ast *parse(const char *text, uint32_t length, uint32_t base, Arena *a, Diag *d);

#endif
