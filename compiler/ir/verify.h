/* Checks programs and graphs: order, operands, types against inference, state, writes, outputs. */
#ifndef GRADC_IR_VERIFY_H
#define GRADC_IR_VERIFY_H

#include "ir/graph.h"

/* Each returns NULL when all is well, else a message that names graph and node. */
const char *graph_verify(const Graph *g, Arena *a);
const char *program_verify(const Program *p, Arena *a); /* state, fields, and the graphs it has */

#endif
