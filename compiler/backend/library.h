/* The library form of a net: functions by which a program creates, trains, asks, saves and loads it
 * without a command line. Every back end that makes code makes these functions, and one header
 * declares them, whoever made them. They forward to runtime/model.h. */
#ifndef GRADC_BACKEND_LIBRARY_H
#define GRADC_BACKEND_LIBRARY_H

#include "backend/backend.h"

typedef enum {
  LIBRARY_NEW, LIBRARY_FREE, LIBRARY_TRAIN, LIBRARY_INFER, LIBRARY_GET, LIBRARY_SET, LIBRARY_LOAD,
  LIBRARY_SAVE, LIBRARY_COUNT
} LibraryFunction;

/* Does the net have the function? A spec without a train block has no train, one without an infer
 * block no infer. */
bool library_has(const Module *m, LibraryFunction f);
/* Its symbol: "lenet_train"; in a. */
const char *library_symbol(const Module *m, LibraryFunction f, Arena *a);
/* The function of the runtime that it forwards to: "gradrt_model_train". */
const char *library_callee(LibraryFunction f);
/* Does the function (TRAIN or INFER) take the rows of this field? */
bool library_takes(const Module *m, LibraryFunction f, int field);

/* The prototype without a semicolon: "int lenet_train(lenet_model *m, .., double *loss)"; in a. */
const char *library_prototype(const EmitArgs *args, LibraryFunction f);
/* Name of the parameter that brings a field's rows or takes an output's: "x_rows", "prob_out". */
const char *library_rows_name(const gradrt_field *f, Arena *a);
const char *library_out_name(const gradrt_output *o, Arena *a);

/* Libraries that a program of this net needs beside libm and pthreads: zlib for files that end in
 * .gz, libpng and libjpeg for images. The words for the linker: " -lz", or "". */
bool library_needs_zlib(const gradrt_net *net);
bool library_needs_pictures(const gradrt_net *net);
const char *library_links(const gradrt_net *net);

/* The header that declares the functions, with what each needs of its caller. C11 and C++. */
void library_header(const EmitArgs *args, Out *out);
/* The header that declares the one function of a file with inference alone. */
void library_infer_header(const EmitArgs *args, Out *out);

#endif
