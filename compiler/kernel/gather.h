/* Templates that read rows of a table by number, and add to them. */
#ifndef GRADC_KERNEL_GATHER_H
#define GRADC_KERNEL_GATHER_H

#include "lower/lower.h"

/* Plan of either: values lie as the family likes them, tables [rows, width] row by row. */
void gather_plans(Plans *ps, const Node *n);
/* n[.., d] := table[x[..], d]; numbers outside of the table read row 0. */
void gather_rows(Lower *l, const Node *n, Value x, Value table);
/* The table n[v, d] := sum of dy[.., d] over the batch where x[..] = v, in the order of samples and
 * of their elements; numbers outside of the table add nothing. */
void scatter_rows(Lower *l, const Node *n, Value dy, Value x);

#endif
