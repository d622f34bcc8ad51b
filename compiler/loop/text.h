/* Text form of the loop IR: print(read(print(m))) == print(m). */
#ifndef GRADC_LOOP_TEXT_H
#define GRADC_LOOP_TEXT_H

#include "base/out.h"
#include "diag/diag.h"
#include "loop/loop.h"

void loop_print(const Module *m, Out *o);
void loop_print_kernel(const Module *m, const Kernel *k, Out *o);
Module *loop_read(const char *text, uint32_t length, uint32_t base, Arena *a, Diag *d);        /* NULL: errors in diag */

#endif
