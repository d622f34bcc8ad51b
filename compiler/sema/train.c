/* The train block: one handler per line, then what only the whole block shows. */
#include "sema/sema.h"

#include <math.h>
#include <string.h>

enum { BATCH_MAX = 1 << 20, ACCUMULATE_MAX = 1 << 20, PART = 256 };

typedef struct {
  Sema *s;
  Train *t;
  const Ast *metrics, *freeze;  /* read after the loss */
  bool loss_given, optimizer_given, epochs_given, seed_given;
  bool whole;                   /* an epoch is one step, of batches that are its parts */
} Block;

/* ---- loss ---- */

static bool is_reduction(const Ast *stage, const char *word)
{
  return stage->kind == AST_STAGE && !stage->stage.has_args && !stage->stage.as &&
         str_eq(stage->stage.callee, word);
}

/* The last stage when it is `sum` or `mean`, or NULL. */
static const Ast *reduction(const Ast *e)
{
  const Ast *last = e->kind == AST_CHAIN ? e->chain.stages : NULL;
  while (last && last->next)
    last = last->next;
  return last && (is_reduction(last, "sum") || is_reduction(last, "mean")) ? last : NULL;
}

static void loss(Block *b, const Ast *e)
{
  Sema *s = b->s;
  const Ast *last = reduction(e);
  b->loss_given = true;
  b->t->loss_sum = last && is_reduction(last, "sum");
  sema_statement(s, "loss", e);
  Value v =
      last ? sema_chain(s, e, last, OP_LAYER | OP_LOSS) : sema_value(s, e, OP_LAYER | OP_LOSS);
  b->t->loss = v;
  if (!v.node)
    return;
  const Type *t = value_type(v);
  if (t->batched && t->rank == 0 && dtype_is_real(t->dtype))
    return;
  diag_error(s->diag, e->at, "E0405", "the loss is one number per sample, but this is %s%s",
             type_user(s->arena, t), t->batched ? "" : " for all samples together");
  diag_help(s->diag, "call a loss, as in `loss: %s(%s, target);`",
            sema_known(s, t->rank == 1 ? "class loss" : "number loss")->name,
            t->rank ? "prediction" : "x");
  b->t->loss = (Value){ NULL, 0 };
}

/* What would fit: the model's first result against a field that is no input. */
static void missing_loss(Block *b)
{
  Sema *s = b->s;
  diag_error(s->diag, b->t->at, "E0402", "the train block has no loss");
  const FieldSpec *target = NULL;
  for (int i = 0; i < s->data->nfield; i++)
    if (!target || (s->data->field[i].is_label && !target->is_label) || i == s->data->nfield - 1)
      target = target && target->is_label ? target : &s->data->field[i];
  if (!target || !s->outputs.n)
    return;
  diag_note(s->diag, (Span){ 0, 0 }, "the model gives `%s` %s and the data has %s `%s`",
            s->outputs.at[0].name, type_user(s->arena, value_type(s->outputs.at[0].value)),
            target->is_label ? "labels" : "numbers", target->name);
  diag_help(s->diag, "add `loss: %s(%s, %s);`",
            sema_known(s, target->is_label ? "class loss" : "number loss")->name,
            s->outputs.at[0].name, target->name);
}

/* ---- lines ---- */

static void optimizer(Block *b, const Ast *e)
{
  b->optimizer_given = true;
  sema_optimizer(b->s, e, b->t);
}

static void epochs(Block *b, const Ast *e)
{
  b->epochs_given = true;
  sema_setting(b->s, e, "epochs", 1, 1e9, true, &b->t->epochs);
}

static void seed(Block *b, const Ast *e)
{
  b->seed_given = true;
  sema_setting(b->s, e, "seed", 0, 9007199254740992.0, true, &b->t->seed);
}

static void shuffle(Block *b, const Ast *e)
{
  bool ok = sema_flag(b->s, e, "`shuffle`", &b->t->shuffle);
  if (!ok || !b->t->shuffle || !b->s->data || !b->s->data->streams)
    return;
  diag_error(b->s->diag, e->at, "E0520",
             "streams are read in their order: they cannot be shuffled");
  diag_help(b->s->diag, "leave out `shuffle` or `streams`");
}

/* `batch: all` is one batch of the whole training split; where its rows are only known when they
 * are read, or are too many for one, an epoch is one step that sums the gradients of parts. */
static void batch_all(Block *b, Span at)
{
  Sema *s = b->s;
  if (s->batch_rows > 0 && s->batch_rows <= BATCH_MAX) {
    s->program->batch = s->batch_rows;
  } else if (s->data && s->data->streams) {
    diag_error(s->diag, at, "E0409", "`batch: all`: a batch has as many samples as streams are "
               "read at once, which only a number can tell");
    diag_help(s->diag, "write `batch: 32;`");
  } else {
    s->program->batch = PART;
    b->whole = true;
  }
}

static void batch(Block *b, const Ast *e)
{
  Sema *s = b->s;
  Override *over = sema_override(s, "batch");
  int64_t n = 0;
  if (!over && str_eq(e->kind == AST_NAME ? sema_word(e) : NULL, "all"))
    batch_all(b, e->at);
  else if (!over && sema_int(s, e, "`batch`", 1, BATCH_MAX, &n))
    s->program->batch = n;
}

static void override_batch(Block *b)
{
  Sema *s = b->s;
  Override *over = sema_override(s, "batch");
  Setting n = { 32, NULL };
  if (over && str_eq(over->value, "all"))
    batch_all(b, (Span){ 0, 0 });
  else if (over && sema_setting(s, NULL, "batch", 1, BATCH_MAX, true, &n))
    s->program->batch = (int64_t)n.value;
}

static void warn_batch(Block *b)
{
  Sema *s = b->s;
  if (s->batch_rows <= 0 || s->program->batch <= s->batch_rows)
    return;
  diag_warn(s->diag, b->t->at, "W0403", "a batch of %lld samples is more than the %lld that train",
            (long long)s->program->batch, (long long)s->batch_rows);
  diag_help(s->diag, "write `batch: all` or a smaller number");
}

static void one_value(Block *b, const Node *n, const Type *x)
{
  Diag *d = b->s->diag;
  long long batch = (long long)b->s->program->batch, rows = (long long)b->s->batch_rows;
  if (batch == 1)
    diag_error(d, n->at, "E0415",
               "%s: training needs more than one value a channel, but a batch of 1 gives one",
               n->op->name);
  else
    diag_error(d, n->at, "E0415", "%s: training needs more than one value a channel, but the last "
               "batch of %lld samples in batches of %lld has one", n->op->name, rows, batch);
  diag_note(d, (Span){ 0, 0 }, "its input is %s a sample", type_user(b->s->arena, x));
  if (batch == 1)
    diag_help(d, "write `batch: 2` or more, or leave `%s` out", n->op->name);
  else
    diag_help(d, "write another `batch`, or leave `%s` out", n->op->name);
}

/* One value has no spread: as PyTorch, refused in training. Where the data tell their rows only
 * when they are read, the program looks. */
static void check_spreads(Block *b)
{
  const Graph *g = b->s->forward;
  int64_t batch = b->s->program->batch, rows = b->s->batch_rows;
  for (uint32_t i = 0; i < g->order.n; i++) {
    const Node *n = g->order.at[i];
    const Type *x = n->nin ? value_type(n->in[0]) : NULL;
    if (!(n->op->flags & OP_SPREADS) || !x || type_elems(x) > x->dim[0])
      continue;
    b->t->spreads = n->name ? n->name : n->op->name;
    if (batch == 1 || (rows > 0 && rows % batch == 1))
      one_value(b, n, x);
  }
}

static void metrics(Block *b, const Ast *e) { b->metrics = e; }
static void freeze(Block *b, const Ast *e) { b->freeze = e; }
static void average(Block *b, const Ast *e) { sema_average(b->s, e, b->t); }

static void accumulate(Block *b, const Ast *e)
{
  sema_int(b->s, e, "`accumulate`", 1, ACCUMULATE_MAX, &b->t->accumulate);
}

static void clip(Block *b, const Ast *e) { sema_clip(b->s, e, b->t); }

static void rng(Block *b, const Ast *e)
{
  const char *word = sema_word(e);
  if (e->kind == AST_ERROR)
    return;
  b->t->rng = str_eq(word, "torch") ? RNG_TORCH : RNG_PHILOX;
  if (word && str_in_words(word, "torch philox"))
    return;
  diag_error(b->s->diag, e->at, "E0304", "`rng` is philox or torch");
}

/* Whether a part of the path is `..`. */
static bool climbs(const char *path)
{
  for (const char *p = path; p; p = strchr(p, '/') ? strchr(p, '/') + 1 : NULL)
    if (p[0] == '.' && p[1] == '.' && (p[2] == 0 || p[2] == '/' || p[2] == ':'))
      return true;
  return false;
}

/* Weights to start from, where data lie: below the folder of the spec, or --data. */
static void init(Block *b, const Ast *e)
{
  const char *path = e->kind == AST_STRING ? sema_word(e) : NULL;
  if (e->kind == AST_ERROR)
    return;
  b->t->init = path;
  if (path && *path && *path != '/' && !climbs(path))
    return;
  diag_error(b->s->diag, e->at, "E0304", "`init` names a file or the folder of a run in quotes, "
             "below the folder of the spec");
  diag_help(b->s->diag, "write `init: \"first.safetensors\";`, or \"first.safetensors:c1.*\" for "
            "a part; weights elsewhere: --init FILE");
}

static void real(Block *b, const Ast *e)
{
  (void)b;                      /* read before the model, by sema_real_type */
  (void)e;
}

typedef struct {
  const char *name;
  bool many;                    /* takes a list */
  void (*read)(Block *b, const Ast *e);
} Line;

static const Line lines[] = {
  { "loss", false, loss },       { "optimizer", false, optimizer }, { "epochs", false, epochs },
  { "batch", false, batch },     { "seed", false, seed },           { "shuffle", false, shuffle },
  { "metrics", true, metrics },  { "freeze", true, freeze },        { "clip", false, clip },
  { "rng", false, rng },         { "real", false, real },
  { "average", false, average }, { "accumulate", false, accumulate },
  { "init", false, init },
};

static void unknown_line(Sema *s, const Ast *item)
{
  static const char *const theirs[][2] = {
    { "batch_size", "batch" },    { "criterion", "loss" },    { "optim", "optimizer" },
    { "optimiser", "optimizer" }, { "num_epochs", "epochs" }, { "metric", "metrics" },
    { "clip_norm", "clip" },      { "random_state", "seed" },
  };
  const char *name = item->property.name, *words[ARRAY_LEN(lines) + 4];
  int n = 0;
  for (; n < (int)ARRAY_LEN(lines); n++)
    words[n] = lines[n].name;
  words[n++] = "schedule";
  words[n++] = "stop when";
  words[n++] = "group";
  words[n++] = "every";
  diag_error(s->diag, item->property.name_at, "E0302", "the train block has no line `%s`", name);
  for (size_t i = 0; i < ARRAY_LEN(theirs); i++)
    if (str_eq(theirs[i][0], name)) {
      diag_help(s->diag, "it is called `%s` here", theirs[i][1]);
      return;
    }
  if (str_in_words(name, "lr learning_rate momentum weight_decay"))
    diag_help(s->diag, "it is an option of the optimizer: `optimizer: sgd(lr=0.1);`");
  else
    sema_suggest(s, name, words, n, "lines");
}

static void line(Block *b, const Ast *item, Span *seen)
{
  for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
    if (!str_eq(lines[i].name, item->property.name))
      continue;
    const char *what = arena_printf(b->s->arena, "`%s`", lines[i].name);
    const Ast *values = item->property.values;
    if (!sema_once(b->s, &seen[i], item->property.name_at, what) || !values)
      return;
    if (!lines[i].many && values->next) {
      diag_error(b->s->diag, values->next->at, "E0308", "`%s` takes one value", lines[i].name);
      return;
    }
    lines[i].read(b, values);
    return;
  }
  unknown_line(b->s, item);
}

/* ---- the whole ---- */

/* The best weights are chosen by what training waits for or `save best` says, else by the loss of
 * valid or test. */
static void choose_best(Train *t, const Data *d)
{
  for (int i = 0; i < t->nstop; i++)
    if (t->stop[i].how == STOP_STALLED) {
      t->best_split = t->stop[i].split;
      t->best_metric = t->stop[i].metric;
      return;
    }
  static const char *const usual[] = { "valid", "test" };
  for (size_t i = 0; i < ARRAY_LEN(usual) && !t->best_split; i++)
    if (sema_find_split(d, usual[i]) >= 0)
      t->best_split = usual[i];
}

static void check_plateau(Block *b)
{
  const Train *t = b->t;
  for (int i = 0; i < t->nschedule; i++)
    if (str_eq(t->schedule[i].kind, "plateau") && !t->best_split && !b->s->splits_broken) {
      diag_error(b->s->diag, t->at, "E0408", "`plateau` watches the loss of a validation split, "
                 "and the data have none");
      diag_help(b->s->diag, "add `split: valid = 10%% of train;` to the data");
    }
}

static void check_complete(Block *b, bool broken)
{
  Sema *s = b->s;
  if (!b->loss_given && !broken)
    missing_loss(b);
  if (!b->optimizer_given && !broken) {
    diag_error(s->diag, b->t->at, "E0404", "the train block has no optimizer");
    diag_help(s->diag, "add `optimizer: sgd(lr=0.1);`");
  }
  if (!b->epochs_given && sema_override(s, "epochs")) {
    sema_setting(s, NULL, "epochs", 1, 1e9, true, &b->t->epochs);
  } else if (!b->epochs_given && !broken) {
    diag_error(s->diag, b->t->at, "E0401", "the train block does not say how many epochs to train");
    diag_help(s->diag, "add `epochs: 10;`");
  }
  if (!b->seed_given)
    sema_setting(s, NULL, "seed", 0, 9007199254740992.0, true, &b->t->seed);
  if (s->data && sema_find_split(s->data, "train") < 0 && !s->splits_broken) {
    sema_unknown_split(s, s->data->at, s->data, "train");
    diag_note(s->diag, b->t->at, "training reads the split `train`");
  }
}

static void check_trainable(Block *b)
{
  const Program *p = b->s->program;
  int params = 0, trainable = 0;
  for (uint32_t i = 0; i < p->state.n; i++) {
    params += p->state.at[i].role == STATE_PARAM;
    trainable += p->state.at[i].role == STATE_PARAM && p->state.at[i].trainable;
  }
  if (trainable || diag_errors(b->s->diag))
    return;
  diag_error(b->s->diag, b->t->at, "E0410",
             params ? "all parameters are frozen: nothing is left to train"
                    : "the model has no parameters to train");
}

void sema_train(Sema *s, const Ast *train, Train *t)
{
  Span seen[ARRAY_LEN(lines)] = { { 0, 0 } }, schedule = { 0, 0 };
  Block b = { .s = s, .t = t };
  Stops stops = { 0 };
  bool broken = false;
  *t = (Train){
    .seed = { 1, NULL }, .shuffle = !s->data || !s->data->streams,
    .at = train->train.model_at, .best_metric = -1,
    .accumulate = 1, .average_from = 1
  };
  s->visible = NAME_TENSOR;
  for (const Ast *item = train->train.items; item; item = item->next) {
    broken = broken || item->kind == AST_ERROR;
    if (item->kind == AST_PROPERTY)
      line(&b, item, seen);
    else if (item->kind == AST_SCHEDULE && sema_once(s, &schedule, item->at, "`schedule`"))
      sema_schedule(s, item, t);
  }
  override_batch(&b);
  t->accumulate = b.whole ? WHOLE_EPOCH : t->accumulate;
  warn_batch(&b);
  check_spreads(&b);
  t->metric = sema_metrics(s, b.metrics, &t->nmetric);
  for (const Ast *item = train->train.items; item; item = item->next)
    if (item->kind == AST_STOP)
      sema_stop(s, item->stop.cond, t, &stops);
  t->stop = stops.at;
  t->nstop = (int)stops.n;
  if (b.freeze)
    sema_freeze(s, b.freeze, t);
  sema_groups(s, train, t);
  sema_everies(s, train, t);
  check_complete(&b, broken);
  check_trainable(&b);
  if (s->data) {
    choose_best(t, s->data);
    check_plateau(&b);
  }
}
