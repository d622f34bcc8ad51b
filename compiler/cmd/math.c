/* --emit=grad: the user's own net and its backward pass as mathematics, layer by layer, from the graphs that
 * are compiled. Values are named after layers; d_c1_conv_w is the gradient towards operand w of c1.conv,
 * and c1_weight' is what c1_weight becomes. */
#include "base/str.h"
#include "cmd/cmd.h"
#include "cmd/derive.h"
#include "cmd/math.h"
#include <string.h>

static const char *underscored(Arena *a, const char *path)
{
  char *s = arena_strdup(a, path);
  for (char *p = s; *p; p++)
    if (*p == '.')
      *p = '_';
  return s;
}

/* The name of result r of an operation: "y" of a layer is the layer, "dw" is d_<layer>_w. */
static const char *result_word(const OpDef *op, uint32_t r, size_t *n)
{
  const char *w = op->results;
  for (uint32_t i = 0; i < r && *w; i++) {
    w += strcspn(w, " ");
    w += strspn(w, " ");
  }
  *n = strcspn(w, " ");
  return w;
}

static int64_t number_attr(const Node *n, const char *name)
{
  for (const AttrDef *a = n->op->attrs; n->op->cls == OP_SOURCE && a && a->name; a++)
    if (a->kind == ATTR_int && str_eq(a->name, name))
      return *(const int64_t *)((const char *)n->attrs + a->offset);
  return -1;
}

static const char *step_arg_text(int64_t i)
{
  static const char *const names[] = {
#define X(k, text, doc) [ARG_##k] = text,
    STEP_ARGS(X)
#undef X
  };
  return names[i];
}

static const char *value_text(const Compilation *c, Value v)
{
  Arena *a = c->arena;
  const Node *n = v.node;
  const Graph *g = c->program->train ? c->program->train : c->program->infer;
  for (uint32_t i = 0; i < g->writes.n; i++)
    if (value_equal(g->writes.at[i].value, v))
      return arena_printf(a, "%s'", underscored(a, c->program->state.at[g->writes.at[i].state].name));
  int64_t state = number_attr(n, "state"), field = number_attr(n, "field"), which = number_attr(n, "which");
  if (state >= 0)
    return underscored(a, c->program->state.at[state].name);
  if (field >= 0)
    return c->program->fields.at[field].name;
  if (which >= 0)
    return step_arg_text(which);
  for (const AttrDef *d = n->op->cls == OP_SOURCE ? n->op->attrs : NULL; d && d->name; d++)
    if (d->kind == ATTR_literal) {
      const Literal *lit = (const Literal *)((const char *)n->attrs + d->offset);
      return lit->rank == 0 ? arena_printf(a, "%.9g", lit->value[0]) : "constant";
    }
  const char *path = underscored(a, n->name ? n->name : n->op->name);
  size_t len;
  const char *word = result_word(n->op, v.result, &len);
  if (len > 1 && word[0] == 'd')
    return arena_printf(a, "d_%s_%.*s", path, (int)len - 1, word + 1);
  const char *last = n->name ? strrchr(n->name, '.') : NULL;
  bool own = last && !strncmp(last + 1, n->op->name, strlen(n->op->name));
  path = own || !n->name ? path : arena_printf(a, "%s_%s", path, n->op->name);
  return v.result ? arena_printf(a, "%s_%.*s", path, (int)len, word) : path;
}

static void print_formula(const Compilation *c, const Node *n, Out *o)
{
  const char *f = n->op->written ? n->op->written(c->arena, n) : n->op->formula;
  for (; f && *f; f++) {
    if (*f != '$') {
      out_bytes(o, f, 1);
      continue;
    }
    size_t len = strspn(f + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_");
    int in = op_word_index(n->op->operands, f + 1, len);
    int r = op_word_index(n->op->results, f + 1, len);
    const char *text = arena_strndup(c->arena, f + 1, len);
    if (r >= 0)
      text = value_text(c, (Value){ (Node *)(uintptr_t)n, (uint32_t)r });
    else if (in >= 0 && (uint32_t)in < n->nin && n->in[in].node)
      text = value_text(c, n->in[in]);
    out_bytes(o, text, strlen(text));
    f += len;
  }
}

static const char *name_of(void *ctx, Value v) { return value_text(ctx, v); }

void math_print(const Compilation *c, Out *o)
{
  const Graph *g = c->program->train ? c->program->train : c->program->infer;
  const char *layer = NULL;
  out_printf(o, "# %s: the %s step of %s as mathematics\n", c->model->file, g->name,
             c->program->name);
  derive_ops(c, o);
  derive_layers(c, name_of, o);
  out_printf(o, "\n# Every step, in the order of the computation\n");
  for (uint32_t i = 0; i < g->order.n; i++) {
    const Node *n = g->order.at[i];
    if (n->op->cls == OP_SOURCE || !n->op->formula)
      continue;
    if (n->name && !str_eq(n->name, layer)) {
      const char *at = source_at(c->sources, c->arena, n->at), *slash = strrchr(at, '/');
      at = slash ? slash + 1 : at;
      out_printf(o, "\n# %s%s%s\n", n->name, at[0] ? "  " : "", at);
      layer = n->name;
    }
    out_bytes(o, "  ", 2);
    print_formula(c, n, o);
    out_printf(o, "    # %s\n", type_text(c->arena, &n->type[0]));
  }
}
