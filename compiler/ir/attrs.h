/* Attributes: a typed struct and a generic table from one list.
 *
 * ATTRS(conv2d, CONV2D) declares `conv2d_attrs` and `conv2d_attr_defs` from the X-list CONV2D, whose
 * rows are A(op, type, name, default, doc). Operation code writes a->stride; parser, defaults, printer,
 * reader, hashing and `explain` walk the table. These are the only clever macros of the project. */
#ifndef GRADC_IR_ATTRS_H
#define GRADC_IR_ATTRS_H

#include "ir/type.h"
#include <stddef.h>

typedef enum { PAD_EXPLICIT, PAD_SAME, PAD_VALID } PadMode;
typedef struct { int n; int64_t at[RANK_MAX]; } Ints;           /* n == 0: not given */
typedef struct { PadMode mode; int64_t top, bottom, left, right; } Pad;
typedef struct { int rank; int64_t dim[RANK_MAX]; const double *value; } Literal;  /* value NULL: not given */

/* How a parameter starts. Formulas: PyTorch's torch.nn.init; fans follow the weight's shape. */
#define INIT_KINDS(X)                                                                       \
  X(DEFAULT, "default") X(ZEROS, "zeros") X(ONES, "ones") X(CONSTANT, "constant")           \
  X(UNIFORM, "uniform") X(NORMAL, "normal") X(XAVIER_UNIFORM, "xavier_uniform")             \
  X(XAVIER_NORMAL, "xavier_normal") X(KAIMING_UNIFORM, "kaiming_uniform")                   \
  X(KAIMING_NORMAL, "kaiming_normal") X(GIVEN, "given")
typedef enum {
#define X(k, text) INIT_##k,
  INIT_KINDS(X)
#undef X
  INIT_COUNT
} InitKind;
typedef struct { InitKind kind; double a, b; } Init;    /* constant a; uniform [a,b]; normal mean a std b;
                                                           xavier and kaiming: gain a (kaiming: slope a) */

typedef enum { ATTR_int, ATTR_real, ATTR_flag, ATTR_name, ATTR_ints, ATTR_pad, ATTR_literal, ATTR_init } AttrKind;
typedef int64_t attr_int;
typedef double attr_real;
typedef bool attr_flag;
typedef const char *attr_name;          /* one of the words in the row's doc after "one of: " */
typedef Ints attr_ints;
typedef Pad attr_pad;
typedef Literal attr_literal;
typedef Init attr_init;

typedef struct {
  const char *name;
  AttrKind kind;
  size_t offset;
  const char *dflt;             /* in the language's spelling; "!" = the user must give it;
                                   "" = absent (zero value), for options that may be left out */
  const char *doc;
} AttrDef;

#define ATTR_FIELD(op, type, name, dflt, doc) attr_##type name;
#define ATTR_ENTRY(op, type, name, dflt, doc) { #name, ATTR_##type, offsetof(op##_attrs, name), dflt, doc },
#define ATTRS(op, LIST)                                 \
  typedef struct { LIST(ATTR_FIELD, op) } op##_attrs;   \
  static const AttrDef op##_attr_defs[] = { LIST(ATTR_ENTRY, op) { 0 } };

#endif
