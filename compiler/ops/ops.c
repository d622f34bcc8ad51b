/* The table of operations, made from ops.def. */
#include "ops/ops.h"

static const OpDef *const all[] = {
#define OP(name, file) &op_##name,
#include "ops/ops.def"
#undef OP
};

static const OpTable table = { all, ARRAY_LEN(all) };

const OpTable *ops_table(void) { return &table; }
