/* The train graph as mathematics, for --emit=grad. */
#ifndef GRADC_CMD_MATH_H
#define GRADC_CMD_MATH_H

#include "driver.h"

/* Prints forward, backward and update of c's graphs, which must not have gone through layouts yet. */
void math_print(const Compilation *c, Out *o);

#endif
