/* Indices of a statement: those of the left side, those after `where`, those that stand alone in a
 * place, and names in places that mean nothing else. Ranges come, in this order, from `where`, the
 * type of the result, a place that is the index alone, a place with one index that is not known
 * yet, and from the dimension of the same name. */
#include "sema/index.h"

#include <limits.h>

int indices_find(const Indices *x, const char *name)
{
  for (int i = 0; i < x->n; i++)
    if (!x->pack[i] && str_eq(x->index[i].name, name))
      return i;
  return -1;
}

static bool add_index(Indices *x, const char *name, Span at, const Ast *pack)
{
  if (x->n == INDICES_MAX) {
    diag_error(x->s->diag, at, "E0602", "a statement has at most %d indices", INDICES_MAX);
    return false;
  }
  x->pack[x->n] = pack;
  x->index[x->n++] = (IndexVar){ .name = name, .at = at };
  return true;
}

/* ---- packs ---- */

static int find_pack(const Indices *x, const char *name)
{
  for (int i = 0; i < x->n; i++)
    if (x->pack[i] && str_eq(x->pack[i]->name.text, name))
      return i;
  return -1;
}

static int pack_width(const Indices *x, const char *name)
{
  int n = 0;
  for (int i = 0; i < x->n; i++)
    n += x->pack[i] && str_eq(x->pack[i]->name.text, name);
  return n;
}

static const Ast *pack_of(const Ast *places)
{
  for (; places; places = places->next)
    if (places->kind == AST_PACK)
      return places;
  return NULL;
}

/* How many axes `*name` takes where the expression reads a tensor with it; -1: nowhere. */
static int width_on_right(Sema *s, const Ast *e, const char *name)
{
  for (; e; e = e->next) {
    Ast *child[CHILDREN_MAX];
    const Ast *pack = e->kind == AST_INDEX ? pack_of(e->index.places) : NULL;
    Name *of = pack && str_eq(pack->name.text, name) ? sema_find(s, e->index.of, NAME_VALUE) : NULL;
    if (of && of->value.node)
      return value_type(of->value)->rank - ast_length(e->index.places) + 1;
    int n = ast_children(e, child);
    for (int i = 0; i < n; i++) {
      int width = width_on_right(s, child[i], name);
      if (width >= 0)
        return width;
    }
  }
  return -1;
}

static bool add_pack(Indices *x, const Ast *pack, const Type *want)
{
  const Ast *st = x->st;
  int width = want ? want->rank - ast_length(st->assign.places) + 1
                   : width_on_right(x->s, st->assign.value, pack->name.text);
  if (width < 0) {
    diag_error(x->s->diag, pack->at, "E0332", "how many indices `*%s` stands for is not known",
               pack->name.text);
    diag_help(x->s->diag, "read a tensor with it on the right: x[*%s]", pack->name.text);
    return false;
  }
  for (int i = 0; i < width; i++) {
    const char *name = width == 1 ? pack->name.text
                                  : arena_printf(x->s->arena, "%s%d", pack->name.text, i + 1);
    if (!add_index(x, name, pack->at, pack))
      return false;
  }
  return true;
}

/* ---- which indices there are ---- */

static bool read_left(Indices *x, const Type *want)
{
  for (const Ast *p = x->st->assign.places; p; p = p->next) {
    if (p->kind == AST_ERROR)
      return false;
    if (p->kind != AST_NAME && p->kind != AST_PACK) {
      diag_error(x->s->diag, p->at, "E0331", "the left side has plain indices");
      diag_help(x->s->diag, "write `%s[i] = ..` and calculate places on the right",
                x->st->assign.name);
      return false;
    }
    bool twice = p->kind == AST_NAME ? indices_find(x, p->name.text) >= 0
                                     : find_pack(x, p->name.text) >= 0;
    if (twice) {
      diag_error(x->s->diag, p->at, "E0331", "index `%s` stands twice on the left", p->name.text);
      return false;
    }
    if (!(p->kind == AST_PACK ? add_pack(x, p, want) : add_index(x, p->name.text, p->at, NULL)))
      return false;
  }
  x->nleft = x->n;
  return true;
}

static bool read_where(Indices *x)
{
  for (const Ast *w = x->st->assign.ranges; w; w = w->next) {
    int64_t low, high;
    if (w->kind == AST_ERROR)
      return false;
    if (w->over.range->kind != AST_RANGE) {
      diag_error(x->s->diag, w->over.range->at, "E0331",
                 "an index runs from one number to another");
      diag_help(x->s->diag, "write `%s in 0..2`", w->over.var);
      return false;
    }
    const Ast *r = w->over.range;
    if (!sema_int(x->s, r->range.from, "the first value of an index", INT_MIN, INT_MAX, &low) ||
        !sema_int(x->s, r->range.to, "the last value of an index", low, INT_MAX, &high))
      return false;
    int t = indices_find(x, w->over.var);
    if (t < 0 && !add_index(x, w->over.var, w->over.var_at, NULL))
      return false;
    t = t < 0 ? x->n - 1 : t;
    if (x->index[t].where) {
      diag_error(x->s->diag, w->over.var_at, "E0306", "index `%s` has two ranges", w->over.var);
      return false;
    }
    x->index[t].where = true;
    x->index[t].low = low;
    x->index[t].extent = high - low + 1;
  }
  return true;
}

/* A number for good: an option, a param or a const. Names of dimensions may be indices as well. */
static bool is_number(const Indices *x, const char *name, bool alone)
{
  const Name *n = sema_find(x->s, name, NAME_NUMBER);
  return n && !(alone && n->is_dim);
}

static bool names_in_place(Indices *x, const Ast *e, bool alone)
{
  Ast *child[CHILDREN_MAX];
  if (e->kind == AST_NAME && indices_find(x, e->name.text) < 0 &&
      !is_number(x, e->name.text, alone) && !add_index(x, e->name.text, e->at, NULL))
    return false;
  int n = ast_children(e, child);
  for (int i = 0; i < n; i++)
    for (const Ast *c = child[i]; c; c = c->next)
      if (!names_in_place(x, c, false))
        return false;
  return true;
}

/* Indices that the right side brings: first those alone in a place, then the others. */
static bool read_right(Indices *x, const Ast *e, bool alone)
{
  for (; e; e = e->next) {
    Ast *child[CHILDREN_MAX];
    for (const Ast *p = e->kind == AST_INDEX ? e->index.places : NULL; p; p = p->next)
      if ((p->kind == AST_NAME) == alone && p->kind != AST_PACK && !names_in_place(x, p, alone))
        return false;
    int n = e->kind == AST_INDEX ? 0 : ast_children(e, child);
    for (int i = 0; i < n; i++)
      if (!read_right(x, child[i], alone))
        return false;
  }
  return true;
}

/* ---- places ---- */

static bool mentions_index(const Indices *x, const Ast *e)
{
  Ast *child[CHILDREN_MAX];
  if (e->kind == AST_NAME)
    return indices_find(x, e->name.text) >= 0;
  int n = ast_children(e, child);
  for (int i = 0; i < n; i++)
    for (const Ast *c = child[i]; c; c = c->next)
      if (mentions_index(x, c))
        return true;
  return false;
}

static bool affine(Indices *x, const Ast *e, AxisPlace *out);

static bool not_affine(Indices *x, const Ast *e)
{
  diag_error(x->s->diag, e->at, "E0331", "a place is a sum of indices, which numbers may multiply");
  diag_help(x->s->diag, "for example x[2*i + j - 1]");
  return false;
}

static bool product(Indices *x, const Ast *e, AxisPlace *out)
{
  bool left = mentions_index(x, e->binary.x);
  const Ast *number = left ? e->binary.y : e->binary.x, *rest = left ? e->binary.x : e->binary.y;
  int64_t k;
  if (mentions_index(x, number))
    return not_affine(x, e);
  if (!sema_int(x->s, number, "the factor of an index", -1000000, 1000000, &k) ||
      !affine(x, rest, out))
    return false;
  for (int t = 0; t < x->n; t++)
    out->c[t] *= k;
  out->offset *= k;
  return true;
}

static bool affine(Indices *x, const Ast *e, AxisPlace *out)
{
  *out = (AxisPlace){ .offset = 0 };
  if (!mentions_index(x, e))
    return sema_int(x->s, e, "a place", -INT32_MAX, INT32_MAX, &out->offset);
  if (e->kind == AST_NAME) {
    int t = indices_find(x, e->name.text);
    out->c[t] = 1;
    out->offset = x->index[t].low;
    return true;
  }
  if (e->kind == AST_BINARY && str_eq(e->binary.op, "*"))
    return product(x, e, out);
  bool minus = e->kind == AST_UNARY && str_eq(e->unary.op, "-");
  bool sum = e->kind == AST_BINARY && (str_eq(e->binary.op, "+") || str_eq(e->binary.op, "-"));
  if (!minus && !sum)
    return not_affine(x, e);
  AxisPlace right = { .offset = 0 };
  if ((sum && !affine(x, e->binary.x, out)) || !affine(x, sum ? e->binary.y : e->unary.x, &right))
    return false;
  int sign = minus || str_eq(e->binary.op, "-") ? -1 : 1;
  for (int t = 0; t < x->n; t++)
    out->c[t] += sign * right.c[t];
  out->offset += sign * right.offset;
  return true;
}

/* The places of x[..] without a test of their ranges. */
static bool raw_places(Indices *x, const Ast *e, const Type *type, AxisPlace *out)
{
  const Ast *pack = pack_of(e->index.places);
  int width = pack ? pack_width(x, pack->name.text) : 0;
  int first = pack ? find_pack(x, pack->name.text) : 0;
  int n = ast_length(e->index.places) + (pack ? width - 1 : 0), axis = 0;
  if (pack && width == 0 && find_pack(x, pack->name.text) < 0) {
    diag_error(x->s->diag, pack->at, "E0331", "`*%s` does not stand on the left", pack->name.text);
    return false;
  }
  if (n != type->rank) {
    diag_error(x->s->diag, e->at, "E0331", "`%s` has %d dimension%s, but %d place%s given",
               e->index.of, type->rank, type->rank == 1 ? "" : "s", n, n == 1 ? " is" : "s are");
    diag_note(x->s->diag, (Span){ 0, 0 }, "`%s` is %s", e->index.of, type_user(x->s->arena, type));
    return false;
  }
  for (const Ast *p = e->index.places; p; p = p->next) {
    if (p->kind == AST_ERROR)
      return false;
    for (int i = 0; p->kind == AST_PACK && i < width; i++, axis++) {
      out[axis] = (AxisPlace){ .extent = type->dim[axis] };
      out[axis].c[first + i] = 1;
    }
    if (p->kind == AST_PACK)
      continue;
    if (!affine(x, p, &out[axis]))
      return false;
    out[axis].extent = type->dim[axis];
    axis++;
  }
  return true;
}

/* ---- ranges ---- */

typedef enum { BY_ALONE, BY_SUM } Inference;

/* Smallest and largest value of the known part of a place. */
static void place_bounds(const Indices *x, const AxisPlace *p, int64_t *low, int64_t *high)
{
  *low = *high = p->offset;
  for (int t = 0; t < x->n; t++) {
    int64_t span = p->c[t] * (x->index[t].extent - 1);
    *low += x->index[t].extent && span < 0 ? span : 0;
    *high += x->index[t].extent && span > 0 ? span : 0;
  }
}

bool place_may_miss(const Indices *x, const AxisPlace *p)
{
  int64_t low, high;
  place_bounds(x, p, &low, &high);
  return low < 0 || high >= p->extent;
}

static bool infer_from(Indices *x, const AxisPlace *p, Inference how)
{
  int open = -1, nopen = 0, terms = 0;
  bool where = false;
  for (int t = 0; t < x->n; t++) {
    if (!p->c[t])
      continue;
    terms++;
    where = where || x->index[t].where;
    if (!x->index[t].extent) {
      open = t;
      nopen++;
    }
  }
  if (nopen != 1 || where || p->c[open] < 1 ||
      (how == BY_ALONE && (terms != 1 || p->c[open] != 1 || p->offset)))
    return false;
  int64_t low, high;
  place_bounds(x, p, &low, &high);
  if (low < 0 || high >= p->extent)
    return false;
  x->index[open].extent = (p->extent - 1 - high) / p->c[open] + 1;
  return true;
}

static bool infer_in(Indices *x, const Ast *e, Inference how)
{
  bool found = false;
  for (; e; e = e->next) {
    Ast *child[CHILDREN_MAX];
    Name *of = e->kind == AST_INDEX ? sema_find(x->s, e->index.of, NAME_VALUE) : NULL;
    AxisPlace p[RANK_MAX];
    const Type *type = of && of->value.node ? value_type(of->value) : NULL;
    if (type && raw_places(x, e, type, p))
      for (int i = 0; i < type->rank && !found; i++)
        found = infer_from(x, &p[i], how);
    int n = e->kind == AST_INDEX ? 0 : ast_children(e, child);
    for (int i = 0; i < n && !found; i++)
      found = infer_in(x, child[i], how);
    if (found)
      return true;
  }
  return false;
}

static bool from_dimension(Indices *x)
{
  for (int t = 0; t < x->n; t++) {
    const Name *dim = x->index[t].extent || x->pack[t]
                          ? NULL : sema_find(x->s, x->index[t].name, NAME_NUMBER);
    if (!dim || !dim->is_dim)
      continue;
    x->index[t].extent = (int64_t)dim->constant.number;
    return true;
  }
  return false;
}

/* Finds one more range; false: there is none to find, or a mistake was reported. */
static bool find_range(Indices *x)
{
  const Ast *value = x->st->assign.value;
  int errors = diag_errors(x->s->diag);
  bool found = infer_in(x, value, BY_ALONE);
  if (!found && diag_errors(x->s->diag) == errors)
    found = infer_in(x, value, BY_SUM);
  if (!found && diag_errors(x->s->diag) == errors)
    found = from_dimension(x);
  return found && diag_errors(x->s->diag) == errors;
}

/* The side of the first axis in e that is read at a place with index t; 0: there is none. */
static int64_t side_read(Indices *x, const Ast *e, int t)
{
  int64_t side = 0;
  for (; e && !side; e = e->next) {
    Ast *child[CHILDREN_MAX];
    Name *of = e->kind == AST_INDEX ? sema_find(x->s, e->index.of, NAME_VALUE) : NULL;
    AxisPlace p[RANK_MAX];
    const Type *type = of && of->value.node ? value_type(of->value) : NULL;
    if (type && raw_places(x, e, type, p))
      for (int i = 0; i < type->rank && !side; i++)
        side = p[i].c[t] ? p[i].extent : 0;
    int n = e->kind == AST_INDEX ? 0 : ast_children(e, child);
    for (int i = 0; i < n && !side; i++)
      side = side_read(x, child[i], t);
  }
  return side;
}

static void no_range(Indices *x, int t)
{
  int64_t side = side_read(x, x->st->assign.value, t);
  diag_error(x->s->diag, x->index[t].at, "E0332", "the range of index `%s` is not known",
             x->index[t].name);
  diag_help(x->s->diag, "write it behind the statement, both ends counted: where %s in 0..%lld",
            x->index[t].name, (long long)(side ? side - 1 : 9));
}

static bool find_ranges(Indices *x, const Type *want)
{
  int errors = diag_errors(x->s->diag);
  for (int i = 0; want && i < x->nleft && i < want->rank; i++)
    if (!x->index[i].where)
      x->index[i].extent = want->dim[i];
  while (find_range(x))
    ;
  if (diag_errors(x->s->diag) > errors)
    return false;
  for (int t = 0; t < x->n; t++)
    if (!x->index[t].extent) {
      no_range(x, t);
      return false;
    }
  return true;
}

bool indices_read(Indices *x, Sema *s, const Ast *st, const Type *want)
{
  *x = (Indices){ .s = s, .st = st };
  if (!read_left(x, want))
    return false;
  if (want && want->rank != x->nleft) {
    diag_error(s->diag, st->assign.name_at, "E0331", "`%s` has %d dimension%s, but %d %s given",
               st->assign.name, want->rank, want->rank == 1 ? "" : "s", x->nleft,
               x->nleft == 1 ? "index is" : "indices are");
    return false;
  }
  return read_where(x) && read_right(x, st->assign.value, true) &&
         read_right(x, st->assign.value, false) && find_ranges(x, want);
}

bool indices_places(Indices *x, const Ast *e, const Type *type, AxisPlace *out)
{
  if (!raw_places(x, e, type, out))
    return false;
  const Ast *p = e->index.places;
  for (int a = 0; a < type->rank; a++) {
    bool where = false;
    for (int t = 0; t < x->n; t++) {
      where = where || (out[a].c[t] && x->index[t].where);
      x->index[t].used = x->index[t].used || out[a].c[t];
    }
    int64_t low, high;
    place_bounds(x, &out[a], &low, &high);
    if (!where && (low < 0 || high >= out[a].extent)) {
      diag_error(x->s->diag, pack_of(e->index.places) ? e->at : p->at, "E0333",
                 "this place runs from %lld to %lld, but `%s` has the places 0 to %lld here",
                 (long long)low, (long long)high, e->index.of, (long long)out[a].extent - 1);
      for (int t = 0; t < x->n; t++)
        if (out[a].c[t])
          diag_note(x->s->diag, (Span){ 0, 0 }, "index `%s` runs from 0 to %lld",
                    x->index[t].name, (long long)x->index[t].extent - 1);
      diag_help(x->s->diag, "places outside are left out for an index with a range of its own: "
                            "`where i in 0..9`");
      return false;
    }
    p = p->next ? p->next : p;
  }
  return true;
}
