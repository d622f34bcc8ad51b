/* Index notation: the indices of one statement of an `op`, their ranges, and places such as
 * `2*i + j` as rows of coefficients. Shared by index.c and op*.c. */
#ifndef GRADC_SEMA_INDEX_H
#define GRADC_SEMA_INDEX_H

#include "sema/sema.h"

enum { INDICES_MAX = 10, GUARDS_MAX = 16 };

typedef struct {
  const char *name;             /* as written; of a pack `*i`: "i1", "i2" .. */
  Span at;
  int64_t low, extent;          /* values low .. low + extent - 1; extent 0: not known yet */
  bool where;                   /* has a range of its own: places with it may lie outside */
  bool used;                    /* on the right */
} IndexVar;

/* A place along one axis: sum_t c[t] * v[t] + offset, where v counts from 0. */
typedef struct {
  int64_t c[INDICES_MAX], offset, extent;
} AxisPlace;

/* One statement being read. */
typedef struct {
  Sema *s;
  const Ast *st;                /* ASSIGN */
  IndexVar index[INDICES_MAX];
  int n, nleft;                 /* those of the left side come first */
  const Ast *pack[INDICES_MAX]; /* the PACK that index i comes from, or NULL */
} Indices;

/* Finds the indices of a statement and their ranges. want: the type that the signature gives the
 * left side, or NULL. False: reported. */
bool indices_read(Indices *x, Sema *s, const Ast *st, const Type *want);
int indices_find(const Indices *x, const char *name);   /* -1: none */
/* The places of x[..] for a value of this type, one an axis; all but those with an index of
 * `where` are in range. False: reported. */
bool indices_places(Indices *x, const Ast *e, const Type *type, AxisPlace *out);
/* May the place lie outside of its axis? */
bool place_may_miss(const Indices *x, const AxisPlace *p);

#endif
