/* Arenas: chunks that grow geometrically and are freed together. A request larger than a chunk
 * gets a chunk of its own behind the current one, so that the free tail of the current one stays
 * in use. */
#include "base/arena.h"
#include "base/util.h"

#include <inttypes.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN = 16, CHUNK_MIN = 4096, CHUNK_MAX = 1 << 20 };

typedef struct Chunk Chunk;

struct Chunk {
  Chunk *next;                  /* older chunk */
  size_t cap, used;             /* bytes of mem */
  alignas(ALIGN) unsigned char mem[];
};

struct Arena {
  Chunk *top;                   /* chunk that small requests come from; NULL before the first */
  size_t chunk;                 /* size of the next chunk */
  size_t bytes;                 /* handed out, padding included */
  char name[32];
};

_Noreturn static void out_of_memory(const char *name, size_t held, size_t wanted)
{
  fprintf(stderr, "gradc: error: out of memory: %s holds %zu bytes and needs %zu more [E0601]\n",
          name, held, wanted);
  exit(EXIT_LIMIT);
}

Arena *arena_new(const char *name)
{
  Arena *a = calloc(1, sizeof *a);
  if (!a)
    out_of_memory(name, 0, sizeof *a);
  a->chunk = CHUNK_MIN;
  snprintf(a->name, sizeof a->name, "%s", name);
  return a;
}

void arena_free(Arena **a)
{
  if (!a || !*a)
    return;
  for (Chunk *c = (*a)->top, *next; c; c = next) {
    next = c->next;
    free(c);
  }
  free(*a);
  *a = NULL;
}

static Chunk *chunk_new(const Arena *a, size_t cap)
{
  Chunk *c = calloc(1, sizeof *c + cap);
  if (!c)
    out_of_memory(a->name, a->bytes, cap);
  c->cap = cap;
  return c;
}

void *arena_alloc(Arena *a, size_t bytes)
{
  if (bytes > PTRDIFF_MAX / 2)
    out_of_memory(a->name, a->bytes, bytes);
  /* At least one unit, so that every allocation has an address of its own. */
  size_t size = bytes ? (bytes + ALIGN - 1) / ALIGN * ALIGN : ALIGN;
  a->bytes += size;
  if (a->top && size <= a->top->cap - a->top->used) {
    void *p = a->top->mem + a->top->used;
    a->top->used += size;
    return p;
  }
  if (a->top && size > a->chunk / 4) {
    Chunk *own = chunk_new(a, size);
    own->used = size;
    own->next = a->top->next;
    a->top->next = own;
    return own->mem;
  }
  Chunk *c = chunk_new(a, size > a->chunk ? size : a->chunk);
  if (a->chunk < CHUNK_MAX)
    a->chunk *= 2;
  c->used = size;
  c->next = a->top;
  a->top = c;
  return c->mem;
}

void *arena_copy(Arena *a, const void *src, size_t bytes)
{
  void *p = arena_alloc(a, bytes);
  if (bytes)
    memcpy(p, src, bytes);
  return p;
}

char *arena_strndup(Arena *a, const char *s, size_t n)
{
  char *p = arena_alloc(a, n + 1);
  if (n)
    memcpy(p, s, n);
  return p;
}

char *arena_strdup(Arena *a, const char *s)
{
  return arena_strndup(a, s, strlen(s));
}

char *arena_printf(Arena *a, const char *fmt, ...)
{
  va_list ap;
  va_start(ap, fmt);
  int n = vsnprintf(NULL, 0, fmt, ap);
  va_end(ap);
  if (n < 0)
    ice("arena_printf: the format cannot be printed");
  char *p = arena_alloc(a, (size_t)n + 1);
  va_start(ap, fmt);
  vsnprintf(p, (size_t)n + 1, fmt, ap);
  va_end(ap);
  return p;
}

size_t arena_bytes(const Arena *a)
{
  return a->bytes;
}
