/* Attributes by their tables: defaults, text form, comparison. The text form is the language's
 * spelling:
 *
 *   filters=6, kernel=[5, 5], pad=same, init=normal(0, 0.01), bias=false
 *
 * Attributes that equal their default are left out; options that may be absent are then left out
 * too. */
#ifndef GRADC_IR_ATTR_TEXT_H
#define GRADC_IR_ATTR_TEXT_H

#include "base/out.h"
#include "ir/attrs.h"
#include "ir/scan.h"

/* Sets all defaults; attributes that must be given ("!") or may be absent ("") are zero. */
void attrs_default(Arena *a, const AttrDef *defs, void *attrs);
int attrs_count(const AttrDef *defs);           /* rows; 0 for NULL */
const AttrDef *attrs_find(const AttrDef *defs, const char *name); /* NULL: no such attribute */
bool attrs_equal(const AttrDef *defs, const void *x, const void *y);
uint64_t attrs_hash(const AttrDef *defs, const void *attrs);

/* Writes "a=1, b=true"; returns false when there was nothing to write. */
bool attrs_print(const AttrDef *defs, const void *attrs, Arena *tmp, Out *o);
/* Reads attributes, separated by commas, up to the end or a closing parenthesis. attrs holds the
 * the operation's record; it is set to the defaults first. Errors go to the scanner. */
bool attrs_scan(Scan *s, const AttrDef *defs, void *attrs);
/* The same from a whole text; returns NULL, or a message. */
const char *attrs_parse(Arena *a, const AttrDef *defs, const char *text, void *attrs);

const char *attr_real_text(Arena *a, double v); /* the shortest text that reads back as v */
void literal_print(const Literal *l, Arena *tmp, Out *o); /* [[1, 2], [3, 4]]; none when absent */
bool literal_scan(Scan *s, Literal *out);
void init_print(const Init *i, Arena *tmp, Out *o);             /* zeros, uniform(-0.1, 0.1) */
bool init_scan(Scan *s, Init *out);

#endif
