/* Bump allocation with a lifetime per compiler stage. Nothing below the driver frees memory. */
#ifndef GRADC_BASE_ARENA_H
#define GRADC_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

typedef struct Arena Arena;

Arena *arena_new(const char *name);             /* name: shown when memory runs out */
void arena_free(Arena **a);                     /* frees everything and clears the handle; NULL is fine */
void *arena_alloc(Arena *a, size_t bytes);      /* zeroed, aligned to 16; exits with 6 when memory runs out */
void *arena_copy(Arena *a, const void *src, size_t bytes);
char *arena_strndup(Arena *a, const char *s, size_t n);
char *arena_strdup(Arena *a, const char *s);
char *arena_printf(Arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
size_t arena_bytes(const Arena *a);             /* bytes handed out so far */

#define ARENA_NEW(a, T) ((T *)arena_alloc((a), sizeof(T)))
#define ARENA_ARRAY(a, T, n) ((T *)arena_alloc((a), sizeof(T) * (size_t)(n)))

#endif
