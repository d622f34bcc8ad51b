/* Terms: values of an `op`'s statements, each read at places. op_term.c makes nodes of them,
 * op_expr.c reads expressions, op.c statements. What returns false or no node has reported why. */
#ifndef GRADC_SEMA_OP_H
#define GRADC_SEMA_OP_H

#include "sema/index.h"

enum { FACTORS_MAX = 6, OPERANDS_MAX = 8 };

/* A value read at places: an element for each tuple of indices. */
typedef struct {
  Value v;
  int rank;                     /* of v */
  AxisPlace place[RANK_MAX];
  int nguard;                   /* conditions beside the places, from what was spread */
  AxisPlace guard[GUARDS_MAX];
} Term;

/* Which indices a node runs over, in its own order: those of its result first. */
typedef struct { int at[INDICES_MAX], n, rank; } Space;

/* A node named after the statement; attrs NULL: the operation's defaults. */
bool term_node(Indices *x, const OpDef *op, const void *attrs, const Value *in, int n, Span at,
               Value *out);
/* A constant of rank 0. */
Value term_number(Indices *x, double v, Span at);
/* Adds a condition under which a term counts to the list, once. */
bool term_add_guard(Indices *x, AxisPlace *list, int *n, const AxisPlace *p);
/* Adds all conditions under which t counts: places that may lie outside, and those beside them. */
bool term_guards(Indices *x, const Term *t, AxisPlace *list, int *n);
/* The node of an index map over the space, of the operation that plays this role ("index sum"): the
 * product of at most FACTORS_MAX terms where the conditions hold. */
bool term_map(Indices *x, const char *role, const Space *space, const Term *term, int nterm,
              const AxisPlace *guard, int nguard, Value *out);
/* True when the term is its tensor itself over the space. */
bool term_is_whole(const Indices *x, const Term *t, const Space *space);
/* True when both read at the same places under the same conditions. */
bool term_alike(const Term *a, const Term *b);
/* op of terms, element by element; out may be one of them. */
bool term_apply(Indices *x, const OpDef *op, const void *attrs, Term *term, int n, Span at,
                Term *out);

/* Does the expression read a tensor, or an index as a number? */
bool op_mentions_tensor(Indices *x, const Ast *e);
/* The value of an expression. */
bool op_eval(Indices *x, const Ast *e, Term *out);

#endif
