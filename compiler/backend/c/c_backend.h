/* What the driver asks of the C back end besides its row in the registry. */
#ifndef GRADC_BACKEND_C_C_BACKEND_H
#define GRADC_BACKEND_C_C_BACKEND_H

#include "backend/backend.h"

/* The command that builds the program, as its banner shows it:
 * "cc -O3 -march=native lenet.c -o lenet -lm -lpthread". Lives in args->arena. */
const char *c_compile_command(const EmitArgs *args);

#endif
