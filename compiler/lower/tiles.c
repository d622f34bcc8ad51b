/* The record of register tiles. Knows neither cost models nor files. */
#include "lower/tiles.h"
#include "base/str.h"

Tiles *tiles_new(Arena *a)
{
  Tiles *t = ARENA_NEW(a, Tiles);
  t->arena = a;
  return t;
}

const TileEntry *tiles_find(const Tiles *t, const char *key)
{
  for (uint32_t i = t->wanted.n; i-- > 0;)
    if (str_eq(t->wanted.at[i].key, key))
      return &t->wanted.at[i];
  return NULL;
}

void tiles_want(Tiles *t, const char *key, Tile tile, double gain)
{
  TileEntry e = { arena_strdup(t->arena, key), tile, gain };
  vec_push(t->arena, &t->wanted, e);
}

TileChoice *tiles_choice(Tiles *t, const char *key)
{
  for (uint32_t i = 0; i < t->made.n; i++)
    if (str_eq(t->made.at[i].key, key))
      return &t->made.at[i];
  TileChoice c = { .group = arena_strdup(t->arena, t->group),
                   .key = arena_strdup(t->arena, key) };
  vec_push(t->arena, &t->made, c);
  return &t->made.at[t->made.n - 1];
}

static bool has_kernel(const TileChoice *c, const char *kernel)
{
  for (uint32_t i = 0; i < c->kernels.n; i++)
    if (str_eq(c->kernels.at[i], kernel))
      return true;
  return false;
}

void tiles_add_kernel(Tiles *t, const char *kernel)
{
  for (uint32_t i = 0; i < t->made.n; i++) {
    TileChoice *c = &t->made.at[i];
    if (str_eq(c->group, t->group) && !has_kernel(c, kernel))
      vec_push(t->arena, &c->kernels, arena_strdup(t->arena, kernel));
  }
}

bool tiles_tuned(const Tiles *t, const char *kernel)
{
  for (uint32_t i = 0; t && i < t->made.n; i++) {
    const TileChoice *c = &t->made.at[i];
    if ((c->used.nv != c->standard.nv || c->used.ns != c->standard.ns) && has_kernel(c, kernel))
      return true;
  }
  return false;
}
