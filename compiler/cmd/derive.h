/* Gradients as mathematics: of the ops that a spec writes, and of its dense layers. */
#ifndef GRADC_CMD_DERIVE_H
#define GRADC_CMD_DERIVE_H

#include "cmd/formula.h"
#include "driver.h"

/* Values as formulas: those with a symbol by that, others by the formulas of their operations. */
typedef struct {
  Arena *arena;
  const char **symbol;          /* by node id, of result 0; NULL: none; "1": the number */
  uint32_t nsymbol;
  /* the name of a value that has neither symbol nor formula */
  const char *(*name)(void *ctx, Value v);
  void *ctx;
} Derivation;

/* The value as a formula of symbols. */
const Formula *derive_value(Derivation *d, Value v);
/* Text with `$word` replaced by what the word is for n: a symbol of an operand, or `result`. */
const char *derive_text(Derivation *d, const Node *n, const char *text, const char *result);

/* Every op that the model calls: its statements, and its derivatives by the rules that training
 * uses, simplified. */
void derive_ops(const Compilation *c, Out *o);
/* delta_k = g'(a_k) * W_(k+1)^T delta_(k+1) for the dense layers of the train graph; nothing for
 * other nets. name gives what no symbol stands for. */
void derive_layers(const Compilation *c, const char *(*name)(void *ctx, Value v), Out *o);

#endif
