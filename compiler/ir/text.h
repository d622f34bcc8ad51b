/* Text form of programs and graphs: print(read(print(p))) == print(p), so a dump is input.
 *
 *   gradc-graph 1
 *   program "lenet" real=f32 batch=128
 *   source "lenet.nn"
 *   field "x" : u8[n,1,28,28] @3:5
 *   state "c1.weight" : f32[6,1,5,5] param init=kaiming_uniform(2.2) fan_in=25 fan_out=150 @9:8
 *   state "c1.running_mean" : f32[6] stat init=zeros
 *   state "sgd.momentum.c1.weight" : f32[6,1,5,5] slot of "c1.weight" init=zeros
 *   graph train {
 *     %0 = input(field=0) : u8[n,1,28,28] "x" @3:5                              # x
 *     %3 = conv(%1, %2, none, filters=6, kernel=[5, 5]) : f32[n,6,24,24] "c1.conv" @9:8
 *     %4 = bn_stats(%3) : f32[6], f32[6]
 *     %5 = sqrt(%4.1) : f32[6]
 *     write "c1.weight" = %9
 *     output "loss" = %8
 *   }
 *
 * %4.1 is result 1 of node 4; `none` is an operand that was not given. A frozen parameter says
 * `param frozen`. Comments run from # to the end of the line. Places are kept for the first file
 * that has one. */
#ifndef GRADC_IR_TEXT_H
#define GRADC_IR_TEXT_H

#include "base/out.h"
#include "diag/diag.h"
#include "ir/op.h"

enum { GRAPH_TEXT_VERSION = 1 };

/* m: where places come from; NULL: print none (two texts are then equal when the programs compute
 * the same). */
void program_print_header(const Program *p, const SourceMap *m, Out *o); /* all but the graphs */
void graph_print(const Graph *g, const SourceMap *m, Out *o);
void program_print(const Program *p, const SourceMap *m, Out *o); /* header, train, eval, infer */

/* Reads a text whose first byte has offset `base` in m. Graphs called train, eval and infer become
 * the program's; one of another name becomes *other. Places of the source become offsets of a blank
 * text of that name in m. The program is verified. NULL: errors (E0901) are in d. */
Program *program_read(const char *text, uint32_t length, uint32_t base, SourceMap *m,
                      const OpTable *ops, Arena *a, Diag *d, Graph **other);

#endif
