/* The data block: sources, splits and fields. A field becomes an input of the program and, after
 * its conversions, a value that models, losses and metrics name. */
#include "sema/sema.h"

#include <math.h>

enum { FIELDS_MAX = 8, DIM_MAX = 2147483647 };

typedef struct { const char *name; int64_t inputs; bool columns; } SourceRow;

static const SourceRow source_facts[] = {
#define SOURCE(name, unnamed, inputs, columns, doc) { #name, inputs, columns },
#define OPTION(kind, name, dflt, low, high, doc)
#include "sema/sources.def"
#undef SOURCE
#undef OPTION
};

static const Row source_rows[] = {
#define SOURCE(name, unnamed, inputs, columns, doc) { ROW_HEAD, #name, "", unnamed, 0, doc },
#define OPTION(kind, name, dflt, low, high, doc) { ROW_##kind, #name, dflt, low, high, doc },
#include "sema/sources.def"
#undef SOURCE
#undef OPTION
};

typedef struct {
  Sema *s;
  Data *data;
  VEC(SourceSpec) sources;
  VEC(SplitSpec) splits;
  VEC(FieldSpec) fields;
  const Ast *pipe[FIELDS_MAX];  /* conversions of each field */
} Block;

/* ---- sources and splits ---- */

static const SourceRow *facts(const char *kind)
{
  for (size_t i = 0; i < ARRAY_LEN(source_facts); i++)
    if (str_eq(source_facts[i].name, kind))
      return &source_facts[i];
  ice("no facts about source `%s`", kind);
}

/* The options; those of a list are called size, size_2, size_3. */
static Prop *source_props(Sema *s, const Options *o, int *n)
{
  VEC(Prop) props = { 0 };
  for (uint32_t i = 0; i < o->n; i++) {
    vec_push(s->arena, &props, o->at[i].prop);
    for (int k = 1; k < o->at[i].nlist; k++) {
      Prop p = o->at[i].prop;
      p.name = arena_printf(s->arena, "%s_%d", p.name, k + 1);
      p.number = o->at[i].list[k];
      vec_push(s->arena, &props, p);
    }
  }
  *n = (int)props.n;
  return props.at;
}

/* Reads `train: idx(..)`; returns the source's number or -1. */
static int add_source(Block *b, const Ast *value)
{
  Sema *s = b->s;
  const Ast *callee = value->kind == AST_CALL ? value->call.callee : value;
  if (callee->kind == AST_ERROR)
    return -1;
  if (callee->kind != AST_NAME || (value->kind == AST_CALL && callee->kind != AST_NAME)) {
    diag_error(s->diag, value->at, "E0511", "a source of data is needed here");
    diag_help(s->diag, "for example csv(\"table.csv\") or digits(samples=1000); there is: %s",
              sema_row_names(s, source_rows, (int)ARRAY_LEN(source_rows)));
    return -1;
  }
  const Row *row = sema_row(source_rows, (int)ARRAY_LEN(source_rows), callee->name.text);
  if (!row) {
    sema_unknown_row(s, source_rows, (int)ARRAY_LEN(source_rows), callee->name.text, callee->at,
                     "source of data", "E0511");
    return -1;
  }
  Options o = { 0 };
  if (!sema_options(s, row, source_rows + ARRAY_LEN(source_rows),
                    value->kind == AST_CALL ? value->call.args : NULL, value->at, &o))
    return -1;
  SourceSpec spec = { .kind = row->name, .at = value->at };
  spec.prop = source_props(s, &o, &spec.nprop);
  vec_push(s->arena, &b->sources, spec);
  return (int)b->sources.n - 1;
}

static int find_split(const Block *b, const char *name)
{
  for (uint32_t i = 0; i < b->splits.n; i++)
    if (str_eq(b->splits.at[i].name, name))
      return (int)i;
  return -1;
}

static void add_split(Block *b, SplitSpec split)
{
  int old = find_split(b, split.name);
  if (old >= 0) {
    diag_error(b->s->diag, split.at, "E0306", "there are two splits called `%s`", split.name);
    diag_note(b->s->diag, b->splits.at[old].at, "the first one is here");
    return;
  }
  vec_push(b->s->arena, &b->splits, split);
}

static void source_property(Block *b, const Ast *item)
{
  const char *name = item->property.name;
  if (!item->property.values)
    return;
  if (item->property.values->next) {
    diag_error(b->s->diag, item->property.values->next->at, "E0511", "`%s` has one source", name);
    b->s->splits_broken = true;
    return;
  }
  int source = add_source(b, item->property.values);
  if (source < 0) {
    b->s->splits_broken = true;
    return;
  }
  if (!str_eq(name, "source"))
    add_split(b, (SplitSpec){ name, source, SPLIT_ALL, 0, item->property.name_at });
}

/* The source that a split takes its rows from, or -1. */
static int split_source(Block *b, const Ast *item)
{
  if (item->split_item.of) {
    int of = find_split(b, item->split_item.of);
    if (of >= 0 && b->splits.at[of].how == SPLIT_ALL)
      return b->splits.at[of].source;
    const char **words = ARENA_ARRAY(b->s->arena, const char *, b->splits.n + 1);
    int n = 0;
    for (uint32_t i = 0; i < b->splits.n; i++)
      if (b->splits.at[i].how == SPLIT_ALL)
        words[n++] = b->splits.at[i].name;
    diag_error(b->s->diag, item->split_item.of_at, "E0512",
               of >= 0 ? "`%s` is itself taken from another split"
                       : "there is no source called `%s`",
               item->split_item.of);
    sema_suggest(b->s, item->split_item.of, words, n, "rows may come from");
    return -1;
  }
  if (b->sources.n == 1)
    return 0;
  diag_error(b->s->diag, item->at, "E0512",
             "split `%s` does not say which source it takes rows from", item->split_item.name);
  diag_help(b->s->diag, "write `%s = .. of train`", item->split_item.name);
  return -1;
}

static void split_item(Block *b, const Ast *item)
{
  const Ast *amount = item->split_item.amount;
  double v;
  if (b->s->splits_broken)
    return;
  int source = sema_number(b->s, amount, &v) ? split_source(b, item) : -1;
  if (source < 0) {
    b->s->splits_broken = true;
    return;
  }
  bool fraction = v > 0 && v < 1;
  if (!fraction && (v < 1 || v != floor(v) || v > UINT32_MAX)) {
    diag_error(b->s->diag, amount->at, "E0512",
               "split `%s` needs a number of rows or a share such as 10%%, not %g",
               item->split_item.name, v);
    b->s->splits_broken = true;
    return;
  }
  bool all = amount->kind == AST_NUMBER && !amount->number.is_int && v == 1;
  add_split(b, (SplitSpec){ item->split_item.name, source,
                            all        ? SPLIT_ALL
                            : fraction ? SPLIT_FRACTION
                                       : SPLIT_COUNT,
                            all ? 0 : v, item->split_item.name_at });
}

/* Shares of one source: more than everything is an error; exactly everything: the largest takes
 * the rest, so that rounding can neither lose nor double a row. */
static void check_shares(Block *b, int source)
{
  double sum = 0;
  int largest = -1, rest = 0;
  for (uint32_t i = 0; i < b->splits.n; i++) {
    const SplitSpec *p = &b->splits.at[i];
    if (p->source != source)
      continue;
    rest += p->how == SPLIT_ALL;
    sum += p->how == SPLIT_FRACTION ? p->amount : 0;
    if (p->how == SPLIT_FRACTION && (largest < 0 || p->amount > b->splits.at[largest].amount))
      largest = (int)i;
  }
  if (largest < 0)
    return;
  if (sum > 1 + 1e-9 || (rest && sum > 1 - 1e-9)) {
    diag_error(b->s->diag, b->splits.at[largest].at, "E0512", "the splits take %g %% of the rows%s",
               100 * sum, rest ? ", which leaves none" : "");
    return;
  }
  if (!rest && sum > 1 - 1e-9)
    b->splits.at[largest] =
        (SplitSpec){ b->splits.at[largest].name, source, SPLIT_ALL, 0, b->splits.at[largest].at };
}

/* ---- types and fields ---- */

bool sema_type(Sema *s, const Ast *type, Type *out)
{
  static const char *const words[] = { "f32", "f64", "u8", "i32", "token" };
  DType dtype;
  int rank = 0;
  int64_t dim[RANK_MAX] = { 0 };
  *out = type_scalar(DT_F32, true);
  if (type->kind == AST_ERROR)
    return false;
  if (sema_is_token(type))
    dtype = DT_I32;
  else if (!dtype_parse(type->type.name, &dtype) ||
           !str_in_words(type->type.name, "f32 f64 u8 i32")) {
    diag_error(s->diag, type->at, "E0301", "there is no type called `%s`", type->type.name);
    sema_suggest(s, type->type.name, words, (int)ARRAY_LEN(words), "types");
    return false;
  }
  if (type->type.dims && !type->type.has_dims) {
    diag_error(s->diag, type->at, "E0304", "the dimensions of `%s` stand in brackets: %s[..]",
               type->type.name, type->type.name);
    return false;
  }
  for (const Ast *d = type->type.dims; d; d = d->next) {
    if (rank == RANK_MAX) {
      diag_error(s->diag, type->at, "E0602", "a tensor has at most %d dimensions", RANK_MAX);
      return false;
    }
    const Name *pack = d->kind == AST_PACK ? sema_find(s, d->name.text, NAME_PACK) : NULL;
    for (int i = 0; pack && i < pack->pack.rank && rank < RANK_MAX; i++)
      dim[rank++] = pack->pack.dim[i];
    if (!pack && !sema_int(s, d, "a dimension", 1, DIM_MAX, &dim[rank++]))
      return false;
  }
  *out = type_make(dtype, true, rank, dim);
  if (type_elems(out) >= 0)
    return true;
  diag_error(s->diag, type->at, "E0602", "a tensor %s has too many elements",
             type_user(s->arena, out));
  return false;
}

static bool is_label_type(const Ast *type)
{
  return type && type->kind == AST_TYPE && str_eq(type->type.name, "label");
}

/* names="cat,dog" or names=["cat", "dog"]: the words; -1: reported. */
static int class_names(Sema *s, const Ast *e, const char *const **out)
{
  VEC(const char *) names = { 0 };
  if (e->kind == AST_LIST) {
    for (const Ast *x = e->list.items; x; x = x->next) {
      const char *text;
      if (!sema_text(s, x, "the name of a class", &text))
        return -1;
      vec_push(s->arena, &names, text);
    }
  } else {
    const char *text;
    if (!sema_text(s, e, "option `names` of label", &text))
      return -1;
    for (const char *p = text;; p++) {
      const char *start = p;
      while (*p && *p != ',')
        p++;
      vec_push(s->arena, &names, arena_strndup(s->arena, start, (size_t)(p - start)));
      if (!*p)
        break;
    }
  }
  for (uint32_t i = 0; i < names.n; i++)
    for (uint32_t k = 0; k <= i; k++)
      if (!*names.at[i] || (k < i && str_eq(names.at[i], names.at[k]))) {
        diag_error(s->diag, e->at, "E0513",
                   *names.at[i] ? "two classes are called `%s`" : "the name of a class is empty%s",
                   names.at[i]);
        return -1;
      }
  *out = names.at;
  return (int)names.n;
}

static bool label_type(Sema *s, const Ast *type, FieldSpec *f)
{
  int named = 0;
  bool ok = true, counted = false;
  for (const Ast *arg = type->type.dims; arg; arg = arg->next) {
    const char *name = arg->kind == AST_ARG ? arg->arg.name : NULL;
    const Ast *e = sema_arg_value(arg);
    if (e->kind == AST_ERROR) {
      ok = false;
    } else if (!name || str_eq(name, "classes")) {
      ok = sema_int(s, e, "the number of classes", 2, DIM_MAX, &f->classes) && ok;
      counted = true;
    } else if (str_eq(name, "names")) {
      named = class_names(s, e, &f->class_name);
    } else {
      diag_error(s->diag, arg->at, "E0302", "`label` has no option `%s`", name);
      diag_help(s->diag, "write label(10) or label(3, names=\"red,green,blue\")");
      ok = false;
    }
  }
  if (!ok || named < 0)
    return false;
  if (!counted && named < 2) {
    diag_error(s->diag, type->at, "E0303", "`label` needs the number of classes");
    diag_help(s->diag, "write label(10)");
    return false;
  }
  if (named && counted && named != f->classes) {
    diag_error(s->diag, type->at, "E0513", "%d names for %lld classes", named,
               (long long)f->classes);
    return false;
  }
  f->classes = counted ? f->classes : named;
  return true;
}

/* The element type and shape of the rows, before conversion. */
static bool stored_type(Sema *s, const Ast *item, FieldSpec *f, Type *out)
{
  const Ast *type = item->field.type, *as = item->field.as;
  f->is_label = is_label_type(type) || is_label_type(as);
  if (is_label_type(type)) {
    *out = type_scalar(DT_I32, true);
    if (as) {
      diag_error(s->diag, as->at, "E0513", "field `%s` is a label already", f->name);
      return false;
    }
    return label_type(s, type, f);
  }
  if (!sema_type(s, type, out))
    return false;
  if (out->dtype == DT_F32)
    out->dtype = s->program->real;
  if (!f->is_label)
    return true;
  if (out->rank || dtype_is_real(out->dtype)) {
    diag_error(s->diag, type->at, "E0513", "field `%s`: a label is one whole number, not %s",
               f->name, type_user(s->arena, out));
    diag_help(s->diag, "write `field %s: u8 as label(..)` or `field %s: label(..)`", f->name,
              f->name);
    return false;
  }
  return label_type(s, as, f);
}

/* `as f32[1,28,28]`: the converted type; its elements are those of the rows. */
static bool converted_type(Sema *s, const Ast *item, const Type *stored, Type *out)
{
  const Ast *as = item->field.as;
  *out = *stored;
  if (as && !sema_type(s, as, out))
    return false;
  if (!as) {
    if (item->field.pipe || dtype_is_real(stored->dtype))
      out->dtype = s->program->real;
    return true;
  }
  if (!dtype_is_real(out->dtype)) {
    diag_error(s->diag, as->at, "E0513", "a field becomes real numbers, or a label");
    diag_help(s->diag, "write `as f32[..]`");
    return false;
  }
  out->dtype = s->program->real;
  if (type_elems(out) == type_elems(stored))
    return true;
  diag_error(s->diag, as->at, "E0211", "field `%s`: %s has %lld numbers, but %s has %lld",
             item->field.name, type_user(s->arena, stored), (long long)type_elems(stored),
             type_user(s->arena, out), (long long)type_elems(out));
  return false;
}

static Value field_value(Block *b, const Ast *item, int index, Value v, const Type *want)
{
  Sema *s = b->s;
  FieldSpec *f = &b->fields.at[index];
  if (f->is_label || f->token) {
    if (item->field.pipe) {
      diag_error(s->diag, item->field.pipe->at, "E0514",
                 "field `%s` is %s: it has no conversions", f->name,
                 f->token ? "tokens" : "a label");
      v.node = NULL;
    }
    return v;
  }
  bool bytes = value_type(v)->dtype == DT_U8 && dtype_is_real(want->dtype);
  v = sema_reshape(s, v, want, f->name, item->at);
  v = sema_cast(s, v, want->dtype, f->name, item->at);
  if (bytes && !item->field.pipe) {
    diag_warn(s->diag, item->at, "W0401", "field `%s` enters the model with values from 0 to 255",
              f->name);
    diag_help(s->diag, "scale it: add `-> div(255)`");
  }
  b->data->field = b->fields.at;
  b->data->nfield = (int)b->fields.n;
  const Ast *pipe = f->next_of ? b->pipe[f->next_of - 1] : item->field.pipe;
  b->pipe[index] = pipe;
  return sema_pipe(s, pipe, index, v, b->data);
}

static void field(Block *b, const Ast *item)
{
  Sema *s = b->s;
  FieldSpec f = { .name = item->field.name,
                  .columns = item->field.from,
                  .field = (int)s->program->fields.n };
  Type stored = type_scalar(DT_F32, true), want = stored;
  bool ok = stored_type(s, item, &f, &stored);
  b->data->field = b->fields.at;
  b->data->nfield = (int)b->fields.n;
  ok = ok && sema_sequence_field(s, item, b->data, &f, &stored) &&
       (f.is_label || converted_type(s, item, &stored, &want));
  if (b->fields.n == FIELDS_MAX) {
    diag_error(s->diag, item->at, "E0602", "a sample has at most %d fields", FIELDS_MAX);
    return;
  }
  if (f.columns && !*f.columns) {
    diag_error(s->diag, item->field.from_at, "E0513", "field `%s`: no column is named", f.name);
    ok = false;
  }
  vec_push(s->arena, &s->program->fields,
           ((Field){ f.name, stored, item->field.name_at, f.is_label || f.token ? f.classes : 0 }));
  vec_push(s->arena, &b->fields, f);
  int index = (int)b->fields.n - 1;
  Value v = { NULL, 0 };
  if (ok) {
    v = sema_input(s, f.field, item->field.name_at);
    v = v.node ? field_value(b, item, index, v, &want) : v;
  }
  b->fields.at[index].value = v;
  Name n = {
    .text = f.name, .kind = NAME_FIELD, .at = item->field.name_at, .value = v, .index = index
  };
  sema_define(s, n);
}

/* ---- the block ---- */

static void check_columns(Block *b, const Ast *items)
{
  bool table = b->sources.n == 0;
  for (uint32_t i = 0; i < b->sources.n; i++)
    table = table || facts(b->sources.at[i].kind)->columns ||
            sema_images_with_table(&b->sources.at[i]);
  for (const Ast *item = items; item && !table; item = item->next)
    if (item->kind == AST_FIELD && item->field.from) {
      diag_error(b->s->diag, item->field.from_at, "E0513",
                 "field `%s`: only tables (csv) have columns", item->field.name);
      diag_help(b->s->diag, "fields of `%s` follow their order; leave `from` out",
                b->sources.at[0].kind);
    }
}

/* Sources whose second option is a file of labels need it once samples have a second field. */
static void check_label_files(Block *b)
{
  const Row *end = source_rows + ARRAY_LEN(source_rows);
  for (uint32_t i = 0; i < b->sources.n && b->fields.n > 1; i++) {
    const SourceSpec *source = &b->sources.at[i];
    bool known = false, given = false;
    const Row *head = sema_row(source_rows, (int)ARRAY_LEN(source_rows), source->kind);
    for (const Row *r = head + 1; r < end && r <= head + (int)head->low; r++)
      known = known || str_eq(r->name, "labels");
    for (int k = 0; k < source->nprop; k++)
      given = given || str_eq(source->prop[k].name, "labels");
    if (!known || given)
      continue;
    diag_error(b->s->diag, source->at, "E0511",
               "field `%s` has no file: %s needs the path of the labels", b->fields.at[1].name,
               source->kind);
    diag_help(b->s->diag, "write %s(\"samples\", \"labels\")", source->kind);
    return;
  }
}

static const char *plural(int64_t n) { return n == 1 ? "" : "s"; }

/* What is known of a source's samples must agree with the first field. */
static void check_shapes(Block *b)
{
  Sema *s = b->s;
  for (uint32_t i = 0; i < b->sources.n && b->fields.n; i++) {
    const SourceRow *row = facts(b->sources.at[i].kind);
    const FieldSpec *x = &b->fields.at[0];
    int64_t have = type_elems(&s->program->fields.at[x->field].type);
    have = b->data->window ? have / b->data->window : have;
    if (x->value.node && row->inputs && have != row->inputs) {
      diag_error(s->diag, s->program->fields.at[x->field].at, "E0513",
                 "source `%s` gives %lld number%s a sample, but field `%s` has %lld", row->name,
                 (long long)row->inputs, plural(row->inputs), x->name, (long long)have);
      diag_note(s->diag, b->sources.at[i].at, "the source is here");
      b->fields.at[0].value.node = NULL;
      Name *n = sema_find(s, x->name, NAME_FIELD);
      if (n)
        n->value.node = NULL;
      return;
    }
  }
}

static int64_t known_samples(const SourceSpec *source)
{
  for (int i = 0; i < source->nprop; i++)
    if (str_eq(source->prop[i].name, "only"))
      return 0;
  for (int i = 0; i < source->nprop; i++)
    if (str_eq(source->prop[i].name, "samples"))
      return (int64_t)source->prop[i].number;
  return 0;
}

/* Rows of a split where its source says how many it has; 0: unknown. */
static int64_t split_rows(const Block *b, int split)
{
  const SplitSpec *p = &b->splits.at[split];
  int64_t all = known_samples(&b->sources.at[p->source]), taken = 0;
  if (p->how == SPLIT_COUNT)
    return (int64_t)p->amount;
  if (p->how == SPLIT_FRACTION || !all)
    return (int64_t)floor(p->amount * (double)all + 0.5);
  for (uint32_t i = 0; i < b->splits.n; i++) {
    const SplitSpec *q = &b->splits.at[i];
    if (q->source == p->source && q->how == SPLIT_COUNT)
      taken += (int64_t)q->amount;
    else if (q->source == p->source && q->how == SPLIT_FRACTION)
      taken += (int64_t)floor(q->amount * (double)all + 0.5);
  }
  return all - taken;
}

static bool split_fits(const Block *b, int split)
{
  int64_t all = known_samples(&b->sources.at[b->splits.at[split].source]),
          rows = split_rows(b, split);
  return !all || (rows >= 1 && rows <= all);
}

/* Whether a split takes what others leave, and one of these is already more than there is. */
static bool rest_of_wrong(const Block *b, int split)
{
  const SplitSpec *p = &b->splits.at[split];
  bool wrong = false;
  for (uint32_t i = 0; i < b->splits.n && p->how == SPLIT_ALL; i++)
    wrong = wrong || (b->splits.at[i].source == p->source && b->splits.at[i].how != SPLIT_ALL &&
                      !split_fits(b, (int)i));
  return wrong;
}

static void check_rows(Block *b)
{
  for (uint32_t i = 0; i < b->splits.n; i++) {
    const SplitSpec *p = &b->splits.at[i];
    if (b->data->window)        /* splits are cut before there are windows */
      return;
    int64_t all = known_samples(&b->sources.at[p->source]), rows = split_rows(b, (int)i);
    if (!split_fits(b, (int)i) && !rest_of_wrong(b, (int)i)) {
      diag_error(b->s->diag, p->at, "E0512", "split `%s` would have %lld of %lld rows", p->name,
                 (long long)rows, (long long)all);
      diag_note(b->s->diag, b->sources.at[p->source].at, "the source is here");
    }
    if (str_eq(p->name, "train"))
      b->s->batch_rows = rows;
  }
}

static bool is_property(const Ast *item, const char *name)
{
  return item->kind == AST_PROPERTY && str_eq(item->property.name, name);
}

/* What is said about fields, once all are known. */
static void read_about_fields(Block *b, const Ast *items)
{
  b->data->field = b->fields.at;
  b->data->nfield = (int)b->fields.n;
  for (const Ast *item = items; item; item = item->next) {
    if (is_property(item, "stratify") && item->property.values)
      sema_stratify(b->s, item->property.values, b->data);
    if (is_property(item, "classes") && item->property.values)
      sema_classes(b->s, item->property.values, b->data, b->sources.at, (int)b->sources.n);
    for (const Ast *chain = is_property(item, "augment") ? item->property.values : NULL; chain;
         chain = chain->next)
      sema_augment(b->s, chain, b->data);
  }
}

static int stored_rank(const Block *b, const FieldSpec *f)
{
  return b->s->program->fields.at[f->field].type.rank;
}

/* Windows with a target for each row follow one another; others begin at every row. */
static int64_t default_stride(const Block *b)
{
  for (uint32_t i = 0; i < b->fields.n; i++) {
    const FieldSpec *f = &b->fields.at[i];
    if (f->next_of && stored_rank(b, f) < stored_rank(b, &b->fields.at[f->next_of - 1]))
      return 1;
  }
  return b->data->window;
}

static void read_items(Block *b, const Ast *items)
{
  for (const Ast *item = items; item; item = item->next)
    if (is_property(item, "augment") || is_property(item, "stratify") ||
        is_property(item, "classes") || is_property(item, "window") ||
        is_property(item, "streams"))
      continue;
    else if (item->kind == AST_PROPERTY)
      source_property(b, item);
    else if (item->kind == AST_ERROR)
      b->s->splits_broken = true;
  for (const Ast *item = items; item; item = item->next)
    if (item->kind == AST_SPLIT_ITEM)
      split_item(b, item);
  sema_sequence(b->s, items, b->sources.at, (int)b->sources.n, b->data);
  for (const Ast *item = items; item; item = item->next)
    if (item->kind == AST_FIELD)
      field(b, item);
  b->data->stride = b->data->stride ? b->data->stride : default_stride(b);
  read_about_fields(b, items);
}

/* Fitted statistics come from the split `train`. */
static void check_fits(Sema *s, const Data *d)
{
  if (!d->nfit || s->splits_broken || sema_find_split(d, "train") >= 0)
    return;
  diag_error(s->diag, s->program->state.at[d->fit[0].mean].at, "E0515",
             "data `%s` has no split called `train` to fit on", d->name);
}

void sema_data(Sema *s, const Ast *data, Data *out)
{
  Block b = { .s = s, .data = out };
  *out = (Data){ .name = data->data.name, .at = data->data.name_at };
  s->batch_rows = 0;
  s->splits_broken = false;
  read_items(&b, data->data.items);
  for (uint32_t i = 0; i < b.sources.n; i++)
    check_shares(&b, (int)i);
  check_columns(&b, data->data.items);
  if (!s->splits_broken) {
    if (!b.sources.n)
      diag_error(s->diag, out->at, "E0511", "data `%s` has no source", out->name);
    check_rows(&b);
  }
  if (b.sources.n && !b.fields.n && !s->splits_broken) {
    diag_error(s->diag, out->at, "E0513", "data `%s` has no fields", out->name);
    diag_help(s->diag, "say what a sample holds, as in `field x: f32[2];`");
  }
  check_shapes(&b);
  check_label_files(&b);
  sema_images(s, out, b.sources.at, (int)b.sources.n);
  out->source = b.sources.at;
  out->nsource = (int)b.sources.n;
  out->split = b.splits.at;
  out->nsplit = (int)b.splits.n;
  out->field = b.fields.at;
  out->nfield = (int)b.fields.n;
  check_fits(s, out);
}

int sema_find_split(const Data *d, const char *name)
{
  for (int i = 0; i < d->nsplit; i++)
    if (str_eq(d->split[i].name, name))
      return i;
  return -1;
}

void sema_unknown_split(Sema *s, Span at, const Data *d, const char *name)
{
  if (s->splits_broken)
    return;
  const char **words = ARENA_ARRAY(s->arena, const char *, d->nsplit + 1);
  for (int i = 0; i < d->nsplit; i++)
    words[i] = d->split[i].name;
  diag_error(s->diag, at, "E0411", "data `%s` has no split called `%s`", d->name, name);
  sema_suggest(s, name, words, d->nsplit, "splits");
}
