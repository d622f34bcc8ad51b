/* Attributes by their tables: defaults, text form, comparison. One switch over AttrKind per
 * question. */
#include "ir/attr_text.h"
#include "base/str.h"
#include "base/util.h"
#include "base/vec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LITERAL_MAX = 1 << 26, WORD_MAX = 4096 };

static void *field(void *attrs, const AttrDef *d) { return (char *)attrs + d->offset; }
static const void *field_of(const void *attrs, const AttrDef *d)
{
  return (const char *)attrs + d->offset;
}

int attrs_count(const AttrDef *defs)
{
  int n = 0;
  while (defs && defs[n].name)
    n++;
  return n;
}

const AttrDef *attrs_find(const AttrDef *defs, const char *name)
{
  for (int i = 0; i < attrs_count(defs); i++)
    if (str_eq(defs[i].name, name))
      return &defs[i];
  return NULL;
}

/* ---- comparison ---- */

static bool same_bits(double x, double y) { return memcmp(&x, &y, sizeof x) == 0; }

static int64_t literal_elems(const Literal *l)
{
  int64_t n = 1;
  for (int i = 0; i < l->rank; i++)
    n *= l->dim[i];
  return l->value ? n : 0;
}

static bool literal_equal(const Literal *x, const Literal *y)
{
  if (x->rank != y->rank || !x->value != !y->value)
    return false;
  if (memcmp(x->dim, y->dim, (size_t)x->rank * sizeof x->dim[0]) != 0)
    return false;
  return !x->value || memcmp(x->value, y->value, (size_t)literal_elems(x) * sizeof(double)) == 0;
}

static bool value_same(const AttrDef *d, const void *x, const void *y)
{
  switch (d->kind) {
  case ATTR_int: return *(const attr_int *)x == *(const attr_int *)y;
  case ATTR_real: return same_bits(*(const attr_real *)x, *(const attr_real *)y);
  case ATTR_flag: return *(const attr_flag *)x == *(const attr_flag *)y;
  case ATTR_name: return str_eq(*(const attr_name *)x, *(const attr_name *)y);
  case ATTR_ints: {
    const Ints *p = x, *q = y;
    return p->n == q->n && memcmp(p->at, q->at, (size_t)p->n * sizeof p->at[0]) == 0;
  }
  case ATTR_pad: {
    const Pad *p = x, *q = y;
    return p->mode == q->mode && p->top == q->top && p->bottom == q->bottom && p->left == q->left &&
           p->right == q->right;
  }
  case ATTR_literal: return literal_equal(x, y);
  case ATTR_init: {
    const Init *p = x, *q = y;
    return p->kind == q->kind && same_bits(p->a, q->a) && same_bits(p->b, q->b);
  }
  }
  ice("attribute '%s' has no kind", d->name);
}

bool attrs_equal(const AttrDef *defs, const void *x, const void *y)
{
  if (!x || !y)
    return x == y || !attrs_count(defs);
  for (int i = 0; i < attrs_count(defs); i++)
    if (!value_same(&defs[i], field_of(x, &defs[i]), field_of(y, &defs[i])))
      return false;
  return true;
}

/* FNV-1a over 64 bits. */
static uint64_t mix(uint64_t h, const void *bytes, size_t n)
{
  for (size_t i = 0; i < n; i++)
    h = (h ^ ((const unsigned char *)bytes)[i]) * 1099511628211u;
  return h;
}

static uint64_t value_hash(const AttrDef *d, const void *x, uint64_t h)
{
  switch (d->kind) {
  case ATTR_int: return mix(h, x, sizeof(attr_int));
  case ATTR_real: return mix(h, x, sizeof(attr_real));
  case ATTR_flag: return mix(h, x, sizeof(attr_flag));
  case ATTR_name:
    return *(const attr_name *)x ? mix(h, *(const attr_name *)x, strlen(*(const attr_name *)x)) : h;
  case ATTR_ints:
    return mix(h, ((const Ints *)x)->at, (size_t)((const Ints *)x)->n * sizeof(int64_t));
  case ATTR_pad: {
    const Pad *p = x;
    return mix(h, (const int64_t[]){ p->mode, p->top, p->bottom, p->left, p->right },
               5 * sizeof(int64_t));
  }
  case ATTR_literal: {
    const Literal *l = x;
    h = mix(h, l->dim, (size_t)l->rank * sizeof l->dim[0]);
    return l->value ? mix(h, l->value, (size_t)literal_elems(l) * sizeof(double)) : h;
  }
  case ATTR_init: {
    const Init *p = x;
    return mix(h, (const double[]){ p->kind, p->a, p->b }, 3 * sizeof(double));
  }
  }
  ice("attribute '%s' has no kind", d->name);
}

uint64_t attrs_hash(const AttrDef *defs, const void *attrs)
{
  uint64_t h = 14695981039346656037u;
  for (int i = 0; attrs && i < attrs_count(defs); i++)
    h = value_hash(&defs[i], field_of(attrs, &defs[i]), h);
  return h;
}

/* ---- initialisers: how many numbers each kind shows ---- */

static const char *const inits[] = {
#define X(k, text) [INIT_##k] = text,
  INIT_KINDS(X)
#undef X
};

static int init_numbers(InitKind k)
{
  switch (k) {
  case INIT_DEFAULT: case INIT_ZEROS: case INIT_ONES: case INIT_GIVEN: return 0;
  case INIT_UNIFORM: case INIT_NORMAL: return 2;
  case INIT_CONSTANT: case INIT_XAVIER_UNIFORM: case INIT_XAVIER_NORMAL: case INIT_KAIMING_UNIFORM:
  case INIT_KAIMING_NORMAL: return 1;
  case INIT_COUNT: break;
  }
  ice("there is no initialiser number %d", (int)k);
}

void init_print(const Init *i, Arena *tmp, Out *o)
{
  int numbers = init_numbers(i->kind);
  out_printf(o, "%s", inits[i->kind]);
  if (numbers)
    out_printf(o, "(%s", attr_real_text(tmp, i->a));
  if (numbers == 2)
    out_printf(o, ", %s", attr_real_text(tmp, i->b));
  if (numbers)
    out_printf(o, ")");
}

bool init_scan(Scan *s, Init *out)
{
  const char *word;
  *out = (Init){ INIT_DEFAULT, 0, 0 };
  if (!scan_word(s, &word))
    return false;
  for (int k = 0; k < INIT_COUNT; k++)
    if (str_eq(inits[k], word)) {
      int numbers = init_numbers((InitKind)k);
      out->kind = (InitKind)k;
      if (!numbers)
        return true;
      return scan_need(s, "(") && scan_real(s, &out->a) &&
             (numbers == 1 || (scan_need(s, ",") && scan_real(s, &out->b))) && scan_need(s, ")");
    }
  return scan_fail(s, "there is no initialiser '%s'", word);
}

/* ---- numbers and literals ---- */

const char *attr_real_text(Arena *a, double v)
{
  char text[40];
  if (v != v)
    return "nan";
  if (v > -1e15 && v < 1e15 && v == (double)(int64_t)v)
    return arena_printf(a, "%.0f", v);
  for (int digits = 1; digits <= 17; digits++) {
    snprintf(text, sizeof text, "%.*g", digits, v);
    if (strtod(text, NULL) == v)
      break;
  }
  return arena_strdup(a, text);
}

static const double *print_axis(const Literal *l, int axis, const double *next, Arena *tmp, Out *o)
{
  if (axis == l->rank) {
    out_printf(o, "%s", attr_real_text(tmp, *next));
    return next + 1;
  }
  out_printf(o, "[");
  for (int64_t i = 0; i < l->dim[axis]; i++) {
    if (i)
      out_printf(o, ", ");
    next = print_axis(l, axis + 1, next, tmp, o);
  }
  out_printf(o, "]");
  return next;
}

void literal_print(const Literal *l, Arena *tmp, Out *o)
{
  if (l->value)
    print_axis(l, 0, l->value, tmp, o);
  else
    out_printf(o, "none");
}

typedef VEC(double) Reals;

/* Reads one axis; the first list met on an axis sets its length. */
static bool scan_axis(Scan *s, Literal *l, int axis, int64_t *length, Reals *v)
{
  if (!scan_take(s, "[")) {
    double x;
    if (l->rank >= 0 && axis != l->rank)
      return scan_fail(s, "a list mixes numbers and lists");
    l->rank = axis;
    if (v->n == LITERAL_MAX)
      return scan_fail(s, "a list has too many numbers");
    if (!scan_real(s, &x))
      return false;
    vec_push(s->arena, v, x);
    return true;
  }
  if (axis == RANK_MAX || (l->rank >= 0 && axis >= l->rank))
    return scan_fail(s, axis == RANK_MAX ? "lists are nested too deeply"
                                         : "a list mixes numbers and lists");
  int64_t n = 0;
  do {
    if (!scan_axis(s, l, axis + 1, length, v))
      return false;
    n++;
  } while (scan_take(s, ","));
  if (length[axis] && length[axis] != n)
    return scan_fail(s, "lists of one axis have %lld and %lld entries", (long long)length[axis],
                     (long long)n);
  length[axis] = n;
  return scan_need(s, "]");
}

bool literal_scan(Scan *s, Literal *out)
{
  Reals v = { 0 };
  int64_t length[RANK_MAX] = { 0 };
  *out = (Literal){ .rank = 0 };
  if (scan_take(s, "none"))
    return true;
  Literal l = { .rank = -1 };
  if (!scan_axis(s, &l, 0, length, &v))
    return false;
  memcpy(l.dim, length, sizeof length);
  l.value = v.at;
  *out = l;
  return true;
}

/* ---- values ---- */

static bool is_plain_word(const char *s)
{
  bool plain = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || *s == '_';
  for (; plain && *s; s++)
    plain = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') ||
            *s == '_';
  return plain;
}

static void print_name(const char *name, Arena *tmp, Out *o)
{
  if (!name || (is_plain_word(name) && !str_eq(name, "none")))
    out_printf(o, "%s", name ? name : "none");
  else
    out_printf(o, "\"%s\"", str_escape(tmp, name, WORD_MAX));
}

static void print_pad(const Pad *p, Out *o)
{
  if (p->mode == PAD_EXPLICIT)
    out_printf(o, "[%lld, %lld, %lld, %lld]", (long long)p->top, (long long)p->bottom,
               (long long)p->left, (long long)p->right);
  else
    out_printf(o, "%s", p->mode == PAD_SAME ? "same" : "valid");
}

static void print_ints(const Ints *v, Out *o)
{
  out_printf(o, "[");
  for (int i = 0; i < v->n; i++)
    out_printf(o, "%s%lld", i ? ", " : "", (long long)v->at[i]);
  out_printf(o, "]");
}

static void print_value(const AttrDef *d, const void *v, Arena *tmp, Out *o)
{
  switch (d->kind) {
  case ATTR_int: out_printf(o, "%lld", (long long)*(const attr_int *)v); return;
  case ATTR_real: out_printf(o, "%s", attr_real_text(tmp, *(const attr_real *)v)); return;
  case ATTR_flag: out_printf(o, "%s", *(const attr_flag *)v ? "true" : "false"); return;
  case ATTR_name: print_name(*(const attr_name *)v, tmp, o); return;
  case ATTR_ints: print_ints(v, o); return;
  case ATTR_pad: print_pad(v, o); return;
  case ATTR_literal: literal_print(v, tmp, o); return;
  case ATTR_init: init_print(v, tmp, o); return;
  }
  ice("attribute '%s' has no kind", d->name);
}

static bool scan_flag(Scan *s, attr_flag *out)
{
  *out = scan_take(s, "true");
  return *out || scan_take(s, "false") || scan_fail(s, "true or false is missing here");
}

static bool scan_name(Scan *s, const AttrDef *d, attr_name *out)
{
  const char *words = strstr(d->doc, "one of: "), *word;
  *out = NULL;
  if (scan_take(s, "none"))
    return true;
  if (!(scan_next_is(s, "\"") ? scan_string(s, &word) : scan_word(s, &word)))
    return false;
  if (words && !str_in_words(word, words + sizeof "one of: " - 1))
    return scan_fail(s, "attribute '%s' cannot be '%s'", d->name, word);
  *out = word;
  return true;
}

/* One number, or a list of up to RANK_MAX. */
static bool scan_ints(Scan *s, Ints *out)
{
  *out = (Ints){ 0 };
  if (!scan_take(s, "[")) {
    out->n = 1;
    return scan_int(s, &out->at[0]);
  }
  if (scan_take(s, "]"))
    return true;
  do {
    if (out->n == (int)ARRAY_LEN(out->at))
      return scan_fail(s, "a list has more than %d numbers", (int)ARRAY_LEN(out->at));
    if (!scan_int(s, &out->at[out->n]))
      return false;
    out->n++;
  } while (scan_take(s, ","));
  return scan_need(s, "]");
}

/* A number for all sides, [height, width], or [top, bottom, left, right]. */
static bool scan_pad(Scan *s, Pad *out)
{
  Ints v;
  *out = (Pad){ .mode = PAD_EXPLICIT };
  if (scan_take(s, "same") || scan_next_is(s, "valid")) {
    out->mode = scan_take(s, "valid") ? PAD_VALID : PAD_SAME;
    return true;
  }
  if (!scan_ints(s, &v))
    return false;
  if (v.n == 0 || v.n == 3 || v.n > 4)
    return scan_fail(s, "padding takes 1, 2 or 4 numbers");
  int64_t w = v.at[v.n == 1 ? 0 : 1];
  *out = v.n == 4 ? (Pad){ PAD_EXPLICIT, v.at[0], v.at[1], v.at[2], v.at[3] }
                  : (Pad){ PAD_EXPLICIT, v.at[0], v.at[0], w, w };
  return true;
}

static bool scan_value(Scan *s, const AttrDef *d, void *out)
{
  switch (d->kind) {
  case ATTR_int: return scan_int(s, out);
  case ATTR_real: return scan_real(s, out);
  case ATTR_flag: return scan_flag(s, out);
  case ATTR_name: return scan_name(s, d, out);
  case ATTR_ints: return scan_ints(s, out);
  case ATTR_pad: return scan_pad(s, out);
  case ATTR_literal: return literal_scan(s, out);
  case ATTR_init: return init_scan(s, out);
  }
  ice("attribute '%s' has no kind", d->name);
}

static void set_zero(const AttrDef *d, void *out)
{
  switch (d->kind) {
  case ATTR_int: *(attr_int *)out = 0; return;
  case ATTR_real: *(attr_real *)out = 0; return;
  case ATTR_flag: *(attr_flag *)out = false; return;
  case ATTR_name: *(attr_name *)out = NULL; return;
  case ATTR_ints: *(Ints *)out = (Ints){ 0 }; return;
  case ATTR_pad: *(Pad *)out = (Pad){ .mode = PAD_EXPLICIT }; return;
  case ATTR_literal: *(Literal *)out = (Literal){ 0 }; return;
  case ATTR_init: *(Init *)out = (Init){ INIT_DEFAULT, 0, 0 }; return;
  }
  ice("attribute '%s' has no kind", d->name);
}

/* ---- whole records ---- */

static bool has_default(const AttrDef *d) { return d->dflt[0] && !str_eq(d->dflt, "!"); }

static void set_default(Arena *a, const AttrDef *d, void *out)
{
  set_zero(d, out);
  if (!has_default(d))
    return;
  Scan s = { .arena = a, .text = d->dflt, .n = strlen(d->dflt) };
  if (!scan_value(&s, d, out) || !scan_end(&s))
    ice("the default '%s' of attribute '%s' cannot be read", d->dflt, d->name);
}

void attrs_default(Arena *a, const AttrDef *defs, void *attrs)
{
  for (int i = 0; i < attrs_count(defs); i++)
    set_default(a, &defs[i], field(attrs, &defs[i]));
}

typedef union {
  attr_int i;
  attr_real r;
  attr_flag f;
  attr_name n;
  Ints ints;
  Pad pad;
  Literal literal;
  Init init;
} AnyAttr;

bool attrs_print(const AttrDef *defs, const void *attrs, Arena *tmp, Out *o)
{
  bool any = false;
  for (int i = 0; attrs && i < attrs_count(defs); i++) {
    AnyAttr dflt;
    set_default(tmp, &defs[i], &dflt);
    const void *v = field_of(attrs, &defs[i]);
    if (!str_eq(defs[i].dflt, "!") && value_same(&defs[i], v, &dflt))
      continue;
    out_printf(o, "%s%s=", any ? ", " : "", defs[i].name);
    print_value(&defs[i], v, tmp, o);
    any = true;
  }
  return any;
}

bool attrs_scan(Scan *s, const AttrDef *defs, void *attrs)
{
  int n = attrs_count(defs);
  bool *given = ARENA_ARRAY(s->arena, bool, n + 1);
  attrs_default(s->arena, defs, attrs);
  for (bool first = true; !scan_end(s) && !scan_next_is(s, ")"); first = false) {
    const char *word;
    if ((!first && !scan_need(s, ",")) || !scan_word(s, &word))
      return false;
    const AttrDef *d = attrs_find(defs, word);
    if (!d || given[d - defs])
      return scan_fail(s, d ? "attribute '%s' is given twice" : "there is no attribute '%s'", word);
    given[d - defs] = true;
    if (!scan_need(s, "=") || !scan_value(s, d, field(attrs, d)))
      return false;
  }
  for (int i = 0; i < n; i++)
    if (!given[i] && str_eq(defs[i].dflt, "!"))
      return scan_fail(s, "attribute '%s' is missing", defs[i].name);
  return !s->error;
}

const char *attrs_parse(Arena *a, const AttrDef *defs, const char *text, void *attrs)
{
  Scan s = { .arena = a, .text = text, .n = strlen(text) };
  if (attrs_scan(&s, defs, attrs) && !scan_end(&s))
    scan_fail(&s, "attributes end early");
  return s.error;
}
