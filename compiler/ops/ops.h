/* All operations. The table travels as an argument; only ops/ and pass/ name single ones. */
#ifndef GRADC_OPS_OPS_H
#define GRADC_OPS_OPS_H

#include "ir/op.h"

const OpTable *ops_table(void);         /* in the order of ops.def; lives for ever */

#define OP(name, file) extern const OpDef op_##name;
#include "ops/ops.def"
#undef OP

#endif
