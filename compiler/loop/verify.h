/* Checks a module: types and lanes of every expression against scalar.def, scopes of variables, constant
 * register indices, argument lists of calls, offsets inside blocks, index ranges where loop bounds are
 * constant, no store to a const formal. */
#ifndef GRADC_LOOP_VERIFY_H
#define GRADC_LOOP_VERIFY_H

#include "loop/loop.h"

/* Returns NULL when the module is well formed, else a message that names kernel and statement. */
const char *loop_verify(const Module *m, Arena *a);

#endif
