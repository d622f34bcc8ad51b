/* Element types and tensor types. Shapes are static; a batched tensor has a leading axis of the
 * run-time n <= batch samples, which is not among its dims. */
#ifndef GRADC_IR_TYPE_H
#define GRADC_IR_TYPE_H

#include "base/arena.h"
#include <stdbool.h>
#include <stdint.h>

/*   kind   text   bytes  C name */
#define DTYPES(X)                \
  X(F32, "f32", 4, "float")      \
  X(F64, "f64", 8, "double")     \
  X(U8,  "u8",  1, "uint8_t")    \
  X(I32, "i32", 4, "int32_t")    \
  X(U32, "u32", 4, "uint32_t")   \
  X(I64, "i64", 8, "int64_t")

typedef enum {
#define X(k, text, bytes, c) DT_##k,
  DTYPES(X)
#undef X
  DT_COUNT
} DType;

enum { RANK_MAX = 8 };

typedef struct {
  DType dtype;
  bool batched;                 /* one tensor of this shape per sample */
  int rank;
  int64_t dim[RANK_MAX];
} Type;

const char *dtype_text(DType t);
const char *dtype_c(DType t);
int dtype_bytes(DType t);
bool dtype_parse(const char *text, DType *out);
bool dtype_is_real(DType t);

Type type_make(DType dtype, bool batched, int rank, const int64_t *dim);
Type type_scalar(DType dtype, bool batched);
bool type_equal(const Type *a, const Type *b);
bool type_same_shape(const Type *a, const Type *b);     /* batched, rank and dims; not dtype */
int64_t type_elems(const Type *t);              /* per sample; -1 on overflow; 1 for rank 0 */
const char *type_text(Arena *a, const Type *t); /* "f32[n,6,28,28]", n marking a batched tensor */
const char *type_user(Arena *a, const Type *t); /* as the language writes it: "f32[6,28,28]" */
/* Reads what type_text writes from the front of text[0..n); returns the bytes read, 0: no type there. */
size_t type_parse(const char *text, size_t n, Type *out);

#endif
