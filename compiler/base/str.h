/* Text helpers: comparison, edit distance for suggestions, safe quoting. */
#ifndef GRADC_BASE_STR_H
#define GRADC_BASE_STR_H

#include "base/arena.h"
#include <stdbool.h>
#include <stdint.h>

bool str_eq(const char *a, const char *b);              /* NULL equals only NULL */
int str_distance(const char *a, const char *b);         /* Damerau-Levenshtein, case counts half a step up */
/* The best of names[0..n) for a misspelt word by distance <= max(len, 3) / 3, or NULL. */
const char *str_closest(const char *word, const char *const *names, int n);
bool str_in_words(const char *word, const char *words); /* words: separated by single blanks */
/* s with control bytes, quotes and backslashes escaped as in C, at most max source bytes. */
const char *str_escape(Arena *a, const char *s, size_t max);
/* "1.5 MiB", "12.0 KiB", "40 B". */
const char *str_bytes(char buf[32], double bytes);
/* The bytes that "8MB", "512KB", "1GB" or "4096" names, powers of 1024 as in a spec; 0: none. */
int64_t str_to_bytes(const char *text);
/* Decodes the well-formed UTF-8 sequence at s, at most n bytes; returns its length, or 0 if there is none. */
int str_utf8(const char *s, size_t n, uint32_t *code);

#endif
