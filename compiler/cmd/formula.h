/* Formulas that simplify themselves: sums of products of powers. They show gradients. */
#ifndef GRADC_CMD_FORMULA_H
#define GRADC_CMD_FORMULA_H

#include "base/arena.h"

#include <stdbool.h>

typedef struct Formula Formula;

/* What a marked word ($x) or a bare one (slope) stands for; NULL: a bare word stays as it is. */
typedef const Formula *(*Meaning)(void *ctx, const char *word, bool marked);

const Formula *formula_number(Arena *a, double v);
/* An atom; text with blanks or operators is put in brackets where a product needs it. */
const Formula *formula_symbol(Arena *a, const char *text);
/* x + y, x * y, x^p; equal terms and factors are put together. */
const Formula *formula_add(Arena *a, const Formula *x, const Formula *y);
const Formula *formula_multiply(Arena *a, const Formula *x, const Formula *y);
const Formula *formula_power(Arena *a, const Formula *x, double p);
/* "$dy * (1 - $y^2)": + - * / ^, calls, |x|, comparisons and c ? x : y. NULL: something else. */
const Formula *formula_parse(Arena *a, const char *text, Meaning meaning, void *ctx);
const char *formula_text(Arena *a, const Formula *f);

#endif
