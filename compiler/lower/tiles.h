/* Register tiles of a program's kernels: what was chosen for each, what else would be legal, and
 * what measuring found to be faster. A tile decides speed alone: every legal one gives the
 * same bits. */
#ifndef GRADC_LOWER_TILES_H
#define GRADC_LOWER_TILES_H

#include "base/vec.h"
#include "loop/loop.h"

/* Vectors of the vector operand; values of the scalar operand. */
typedef struct { int nv, ns; } Tile;

enum { TILE_OTHERS_MAX = 8 };

/* A tile that the table of measured ones gives to a key. */
typedef struct { const char *key; Tile tile; double gain; } TileEntry;

/* A choice that was made while lowering. Kernels with equal groups are the same operation on the
 * same shapes; a group makes a choice for each of its loop nests. */
typedef struct {
  const char *group, *key;      /* one line each, no tabs; key: the group, then the nest */
  Tile standard, used;          /* of the cost model; the one that code was made for */
  Tile other[TILE_OTHERS_MAX];  /* further legal ones, the cheapest by the model first */
  int nother;
  VEC(const char *) kernels;    /* names of the group's kernels */
} TileChoice;

typedef struct {
  Arena *arena;
  VEC(TileEntry) wanted;        /* read when choosing */
  VEC(TileChoice) made;         /* written when choosing, one for each key */
  const char *group;            /* of the operation being lowered; NULL: none */
  bool smallest;                /* no tiles: one accumulator at a time, for comparison */
} Tiles;

Tiles *tiles_new(Arena *a);
const TileEntry *tiles_find(const Tiles *t, const char *key);   /* NULL: the model decides */
/* Gives a tile to a key; text is copied. The last one counts. */
void tiles_want(Tiles *t, const char *key, Tile tile, double gain);
/* The choice of a key, made on demand for the current group; texts are copied. */
TileChoice *tiles_choice(Tiles *t, const char *key);
/* The kernel belongs to the choices of the group being lowered. */
void tiles_add_kernel(Tiles *t, const char *kernel);
/* Does a tile other than the cost model's work in this kernel? t may be NULL. */
bool tiles_tuned(const Tiles *t, const char *kernel);

#endif
