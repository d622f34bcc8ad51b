/* Small helpers with no home of their own, and the one way to report a compiler bug. */
#ifndef GRADC_BASE_UTIL_H
#define GRADC_BASE_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* A byte range in the global source space (diag/source.h); {0, 0} means "no place in a source". */
typedef struct {
  uint32_t begin, end;
} Span;

/* Documented exit codes of every gradc command and generated program. */
enum {
  EXIT_OK = 0, EXIT_SPEC = 1, EXIT_USAGE = 2, EXIT_DATA = 3, EXIT_CHECKPOINT = 4, EXIT_IO = 5,
  EXIT_LIMIT = 6, EXIT_NONFINITE = 7, EXIT_QUALITY = 8, EXIT_INTERNAL = 70
};

static inline int64_t align_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }
static inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static inline int64_t min_i64(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t max_i64(int64_t a, int64_t b) { return a > b ? a : b; }

bool checked_mul(int64_t a, int64_t b, int64_t *out);   /* false: overflow; operands are >= 0 */
bool checked_add(int64_t a, int64_t b, int64_t *out);   /* false: overflow */

/* Reports a bug of gradc itself on stderr and exits with 70. */
_Noreturn void ice(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
