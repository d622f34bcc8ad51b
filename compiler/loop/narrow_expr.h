/* Private to narrow.c: values and their parts. A wide value has several parts of n->lanes lanes,
 * any other one is its own only part. */
#ifndef GRADC_LOOP_NARROW_EXPR_H
#define GRADC_LOOP_NARROW_EXPR_H

#include "loop/expr.h"

typedef enum { FUNC_KEPT, FUNC_LANEWISE, FUNC_INLINED } FuncHow;

typedef struct {
  const LFunc *from;
  FuncHow how;
  const LFunc *to;              /* INLINED: NULL */
} Func;

/* An expression that the parts of a statement share. */
typedef struct {
  const LExpr *from;
  const LStmt *in;
  LExpr **to;                   /* by part */
} Shared;

typedef LExpr *Parts[LANES_MAX];
typedef VEC(Shared) SharedList;

typedef struct {
  const Module *m;
  Build *b;
  Arena *arena;
  int lanes;                    /* of a part */
  Parts *var;                   /* by id of m's variables: their values now */
  Buffer **buf;                 /* by id of m's buffers: formals and registers now */
  VEC(Func) funcs;
  bool *uniform;                /* by id: all parts of the variable are the same */
  SharedList shared;            /* of the current run */
  const LStmt *now;             /* statement being split */
} Narrow;

static inline bool wide(const Narrow *n, int lanes) { return lanes > n->lanes; }

static inline int parts(const Narrow *n, int lanes)
{
  return wide(n, lanes) ? lanes / n->lanes : 1;
}

static inline int part_lanes(const Narrow *n, int lanes)
{
  return wide(n, lanes) ? n->lanes : lanes;
}

/* ---- questions ---- */
typedef bool (*Test)(const Narrow *n, const LExpr *e);

bool narrow_any(const Narrow *n, const LExpr *e, Test test);    /* for e or something in it */
bool narrow_meets(const Narrow *n, const LExpr *e);     /* e itself needs all parts of a value */
bool narrow_uniform(const Narrow *n, const LExpr *e);   /* all parts of e are the same expression */

/* ---- parts ---- */
/* Part p of e, a new expression; may append locals that the parts of the statement n->now share. */
LExpr *narrow_part(Narrow *n, LExpr *e, int p);
LExpr *narrow_same(Narrow *n, LExpr *e);        /* of a uniform value: the part that they all are */
/* Index of part p of an access in `lanes` lanes, before narrowing, to buf at index. */
LExpr *narrow_index(Narrow *n, const Buffer *buf, LExpr *index, int lanes, int p);
/* v is the values by part, or value[0] in all of them. */
typedef enum { PARTS_DIFFER, PARTS_SAME } PartsHow;
void narrow_bind(Narrow *n, const LVar *v, LExpr *const *value, PartsHow how);

/* ---- narrow.c ---- */
void narrow_body(Narrow *n, const LStmt *first);

#endif
