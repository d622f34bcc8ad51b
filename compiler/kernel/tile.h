/* Register tiles: nv vectors times ns scalars make nv * ns accumulators, the heart of every template. */
#ifndef GRADC_KERNEL_TILE_H
#define GRADC_KERNEL_TILE_H

#include "lower/lower.h"

typedef LExpr *(*TileLoad)(void *ctx, int i);

/* acc[v * ns + s] := fma(scalar(s), vector(v), acc[..]) for the pairs that live() allows (NULL: all).
 * Vectors are loaded once, each scalar is broadcast from memory where it is used; on targets with narrower
 * registers the scalars are, and vectors are loaded where they are used. */
typedef bool (*TileLive)(void *ctx, int v, int s);
void tile_multiply(Lower *l, Buffer *acc, Tile t, TileLoad vector, TileLoad scalar, TileLive live, void *ctx);

/* Loops over a reduced index of `extent` block by block, the last one short; body emits what happens
 * at place `in` of a block. */
void tile_reduce(Lower *l, int64_t extent, void (*body)(void *ctx, LExpr *block, LExpr *in),
                 void *ctx);

bool tile_fits(const Lower *l, int nv, int ns);         /* do a tile's values have room in the target's registers? */

/* The cheapest tile for nvec vectors by nscal scalars on l's target: cycles of a whole reduction step on the
 * reference core (2 FMA, 2 loads a cycle, latency 4), a little more where a shorter last tile needs code of
 * its own. max_v, max_s: limits, 0 = none; a negative limit -k also wants an exact division. A legal
 * tile that l->tiles has for this kernel goes before; the choice is recorded there. */
Tile tile_choose(Lower *l, int64_t nvec, int64_t nscal, int max_v, int max_s);

/* Scratch of a worker for the kernel being built: so many vectors. */
Buffer *tile_scratch(Lower *l, const char *name, int64_t vectors);

LExpr *reg_get(Lower *l, Buffer *acc, int i);
void reg_set(Lower *l, Buffer *acc, int i, LExpr *value);

/* Opens a kernel loop over work items and splits the item number into digits of the given extents, outermost
 * first; extent[0] only matters when it is 1. digit[i] receives an expression. A kernel of a single
 * item gets a branch instead of the loop. Close with one l_end. */
void items_begin(Lower *l, const char *const *name, const int64_t *extent, int n, LExpr **digit);

#endif
