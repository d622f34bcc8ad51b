/* Text form of the loop IR: print(read(print(m))) == print(m).
 *
 *   loop 1
 *   module "lenet" f32 batch 128 state 4096
 *   state f32 c1_weight[160] at 0 : f32[6,1,5,5] layout 0/1:6 1/1:1 2/1:5 3/1:5
 *   func softplus_16(f32x16 x) "log(1 + e^x)" {
 *     return max(x, splat(0.0, 16)) + log1p_16(exp_16(-abs(x)))
 *   }
 *   kernel scale {
 *     in f32 x[1024]
 *     out f32 y[1024]
 *     registers f32x16 acc[2]
 *     for i = lo .. hi step 16 {
 *       let v = x[i : 16]
 *       acc[0] = fma(v, v, acc[0])
 *       y[i : 16] = v * splat(2.0, 16)
 *     }
 *   }
 *   host train arena 4096 worker 0 {
 *     call scale(h, c1_weight) 0 .. n
 *     barrier
 *   }
 *
 * An access in several lanes names them after a colon; u32 constants end in u, i32 ones in s; #
 * starts a comment. Names are made unique where the module repeats them. */
#ifndef GRADC_LOOP_TEXT_H
#define GRADC_LOOP_TEXT_H

#include "base/out.h"
#include "diag/diag.h"
#include "loop/loop.h"

void loop_print(const Module *m, Out *o);
void loop_print_kernel(const Module *m, const Kernel *k, Out *o);       /* one kernel, for people */
/* The module is in a and passes loop_verify; NULL: the first error is in d. The text is at base. */
Module *loop_read(const char *text, uint32_t length, uint32_t base, Arena *a, Diag *d);
bool loop_text_reserved(const char *word);              /* no variable or buffer has this name */
bool loop_text_builtin(const char *word);               /* no function may have this name */

#endif
