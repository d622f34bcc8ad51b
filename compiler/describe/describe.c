/* The net's description: tensors with their stored layouts and initial distributions, data, functions,
 * training, metrics. Initial bounds follow torch.nn.init, computed in double and rounded to float there. */
#include "describe/describe.h"
#include "base/str.h"
#include <math.h>
#include <string.h>

/* ---- outputs ---- */

static void want_output(int *index, int *n, int output)
{
  for (int i = 0; i < *n; i++)
    if (index[i] == output)
      return;
  if (output >= 0 && *n < GRADRT_OUTPUTS_MAX - 1)
    index[(*n)++] = output;
}

int describe_outputs(const Model *m, int *index, Arena *a)
{
  int n = 0;
  (void)a;
  for (int i = 0; m->train && i < m->train->nmetric; i++) {
    want_output(index, &n, m->train->metric[i].output);
    want_output(index, &n, m->train->metric[i].target);
  }
  for (int e = 0; e < m->neval; e++)
    for (int i = 0; i < m->eval[e].nmetric; i++) {
      want_output(index, &n, m->eval[e].metric[i].output);
      want_output(index, &n, m->eval[e].metric[i].target);
    }
  return n;
}

/* Place of Model.output i among the outputs of the train and eval functions. */
static int output_place(const DescribeArgs *d, int output)
{
  int index[GRADRT_OUTPUTS_MAX], n = describe_outputs(d->model, index, d->arena);
  for (int i = 0; i < n; i++)
    if (index[i] == output)
      return i + 1;
  return -1;
}

/* ---- tensors ---- */

static gradrt_dtype dtype_of(DType t)
{
  switch (t) {
  case DT_F32: return GRADRT_F32;
  case DT_F64: return GRADRT_F64;
  case DT_U8: return GRADRT_U8;
  case DT_I32: return GRADRT_I32;
  case DT_U32: return GRADRT_U32;
  case DT_I64: return GRADRT_I64;
  case DT_COUNT: break;
  }
  ice("no element type %d", (int)t);
}

static double uniform_bound(double std) { return sqrt(3.0) * std; }

static void set_init(const StateVar *v, gradrt_tensor *t)
{
  double in = (double)max_i64(v->fan_in, 1), out = (double)max_i64(v->fan_out, 1), a = v->init.a, std = 0;
  t->init = GRADRT_INIT_CONSTANT;
  switch (v->init.kind) {
  case INIT_DEFAULT:
    if (v->role == STATE_PARAM && v->fan_in > 0) {
      t->init = GRADRT_INIT_UNIFORM;
      t->b = uniform_bound(sqrt(2.0 / 6.0) / sqrt(in));
      t->a = -t->b;
    }
    return;
  case INIT_ZEROS: t->init = GRADRT_INIT_ZEROS; return;
  case INIT_ONES: t->a = 1; return;
  case INIT_CONSTANT: t->a = a; return;
  case INIT_UNIFORM: t->init = GRADRT_INIT_UNIFORM; t->a = a; t->b = v->init.b; return;
  case INIT_NORMAL: t->init = GRADRT_INIT_NORMAL; t->a = a; t->b = v->init.b; return;
  case INIT_XAVIER_UNIFORM:
  case INIT_XAVIER_NORMAL: std = a * sqrt(2.0 / (in + out)); break;
  case INIT_KAIMING_UNIFORM:
  case INIT_KAIMING_NORMAL: std = sqrt(2.0 / (1.0 + a * a)) / sqrt(in); break;
  case INIT_GIVEN: t->init = GRADRT_INIT_GIVEN; t->given = v->given.value; return;
  case INIT_COUNT: ice("no such initialiser");
  }
  if (v->init.kind == INIT_XAVIER_UNIFORM || v->init.kind == INIT_KAIMING_UNIFORM) {
    t->init = GRADRT_INIT_UNIFORM;
    t->b = uniform_bound(std);
    t->a = -t->b;
  } else {
    t->init = GRADRT_INIT_NORMAL;
    t->a = 0;
    t->b = std;
  }
}

static const gradrt_tensor *tensors(const DescribeArgs *d)
{
  static const gradrt_role role[] = {
    [STATE_PARAM] = GRADRT_PARAM, [STATE_SLOT] = GRADRT_SLOT, [STATE_STAT] = GRADRT_STAT,
    [STATE_CARRIED] = GRADRT_CARRIED
  };
  const Program *p = d->model->program;
  gradrt_tensor *t = ARENA_ARRAY(d->arena, gradrt_tensor, p->state.n + 1);
  for (uint32_t i = 0; i < p->state.n; i++) {
    const StateVar *v = &p->state.at[i];
    const Layout *l = &d->state[i];
    t[i].name = v->name;
    t[i].role = role[v->role];
    t[i].trainable = v->trainable;
    t[i].rank = v->type.rank;
    memcpy(t[i].dim, v->type.dim, sizeof t[i].dim);
    t[i].ndigit = l->n;
    for (int k = 0; k < l->n; k++)
      t[i].digit[k] = (gradrt_digit){ l->digit[k].axis, l->digit[k].div, l->digit[k].extent };
    set_init(v, &t[i]);
  }
  for (uint32_t i = 0; i < d->module->buffers.n; i++) {
    const Buffer *b = d->module->buffers.at[i];
    if (b->role == BUF_STATE) {
      t[b->index].offset = (size_t)b->offset;
      t[b->index].stored = (size_t)b->extent;
    }
  }
  return t;
}

/* ---- data ---- */

static const gradrt_prop *props(const DescribeArgs *d, const Prop *p, int n)
{
  gradrt_prop *r = ARENA_ARRAY(d->arena, gradrt_prop, n + 1);
  for (int i = 0; i < n; i++)
    r[i] = (gradrt_prop){ p[i].name, p[i].number, p[i].text };
  return r;
}

/* "lenet.nn:12": the folder is left out, so that equal specs give equal bytes wherever they lie. */
static const char *place(const DescribeArgs *d, Span at)
{
  const char *text = source_at(d->sources, d->arena, at), *slash = strrchr(text, '/');
  return slash ? slash + 1 : text;
}

/* Images are the last two dimensions that the model sees; planes may be stored as one list. */
static void set_augments(const DescribeArgs *d, const FieldSpec *f, gradrt_field *out)
{
  const Type *t = f->naugment ? value_type(f->value) : NULL;
  gradrt_augment *a = ARENA_ARRAY(d->arena, gradrt_augment, f->naugment + 1);
  if (!t)
    return;
  for (int i = 0; i < f->naugment; i++)
    a[i] = (gradrt_augment){ f->augment[i].kind, f->augment[i].nprop,
                             props(d, f->augment[i].prop, f->augment[i].nprop) };
  out->height = t->rank >= 2 ? t->dim[t->rank - 2] : 0;
  out->width = t->rank >= 2 ? t->dim[t->rank - 1] : 0;
  out->naugment = f->naugment;
  out->augment = a;
}

static void set_data(const DescribeArgs *d, gradrt_net *net)
{
  const Data *m = d->model->data;
  const Program *p = d->model->program;
  Arena *a = d->arena;
  if (!m)
    return;
  gradrt_source *source = ARENA_ARRAY(a, gradrt_source, m->nsource + 1);
  for (int i = 0; i < m->nsource; i++)
    source[i] = (gradrt_source){ m->source[i].kind, m->source[i].nprop, props(d, m->source[i].prop, m->source[i].nprop),
                                 place(d, m->source[i].at) };
  gradrt_split *split = ARENA_ARRAY(a, gradrt_split, m->nsplit + 1);
  for (int i = 0; i < m->nsplit; i++)
    split[i] = (gradrt_split){ m->split[i].name, m->split[i].source, (gradrt_split_how)m->split[i].how, m->split[i].amount };
  gradrt_field *field = ARENA_ARRAY(a, gradrt_field, p->fields.n + 1);
  for (uint32_t i = 0; i < p->fields.n; i++) {
    const Type *t = &p->fields.at[i].type;
    field[i].name = p->fields.at[i].name;
    field[i].dtype = dtype_of(t->dtype);
    field[i].rank = t->rank;
    memcpy(field[i].dim, t->dim, sizeof field[i].dim);
    field[i].place = place(d, p->fields.at[i].at);
  }
  for (int i = 0; i < m->nfield; i++) {
    const FieldSpec *f = &m->field[i];
    field[f->field].columns = f->columns;
    field[f->field].is_label = f->is_label;
    field[f->field].stratify = f->stratify;
    field[f->field].classes = f->classes;
    field[f->field].class_name = f->class_name;
    field[f->field].token = f->token;
    field[f->field].next_of = f->next_of ? m->field[f->next_of - 1].field + 1 : 0;
    set_augments(d, f, &field[f->field]);
  }
  gradrt_fit *fit = ARENA_ARRAY(a, gradrt_fit, m->nfit + 1);
  for (int i = 0; i < m->nfit; i++)
    fit[i] = (gradrt_fit){ m->fit[i].field, (int)m->fit[i].mean, (int)m->fit[i].std, m->fit[i].scale, m->fit[i].offset };
  net->nsource = m->nsource;
  net->source = source;
  net->nsplit = m->nsplit;
  net->split = split;
  net->nfield = (int)p->fields.n;
  net->field = field;
  net->nfit = m->nfit;
  net->fit = fit;
  net->window = m->window;
  net->stride = m->window ? m->stride : 0;
  net->streams = m->streams;
  net->next_output = d->model->next_output;
  net->next_field = d->model->next_field ? m->field[d->model->next_field - 1].field + 1 : 0;
}

static int split_index(const DescribeArgs *d, const char *name)
{
  const Data *m = d->model->data;
  for (int i = 0; m && name && i < m->nsplit; i++)
    if (str_eq(m->split[i].name, name))
      return i;
  return -1;
}

/* ---- functions ---- */

static gradrt_function function(const DescribeArgs *d, const Graph *g, HostKind h)
{
  gradrt_function f = { 0 };
  if (!g || !d->module->host[h])
    return f;
  gradrt_output *o = ARENA_ARRAY(d->arena, gradrt_output, g->outputs.n + 1);
  for (uint32_t i = 0; i < g->outputs.n; i++) {
    const Type *t = value_type(g->outputs.at[i].value);
    o[i].name = g->outputs.at[i].name;
    o[i].batched = t->batched;
    o[i].rank = t->rank;
    memcpy(o[i].dim, t->dim, sizeof o[i].dim);
  }
  f.noutput = (int)g->outputs.n;
  f.output = o;
  f.arena_bytes = d->module->host[h]->arena_bytes;
  f.worker_bytes = d->module->host[h]->worker_bytes;
  return f;
}

/* ---- training ---- */

static const gradrt_metric *metrics(const DescribeArgs *d, const MetricSpec *m, int n)
{
  gradrt_metric *r = ARENA_ARRAY(d->arena, gradrt_metric, n + 1);
  for (int i = 0; i < n; i++)
    r[i] = (gradrt_metric){ m[i].kind, m[i].name, output_place(d, m[i].output), output_place(d, m[i].target), m[i].k };
  return r;
}

/* A number among an operation's attributes by name; 0 when there is none. */
static double rule_number(const OpDef *op, const void *attrs, const char *name)
{
  for (const AttrDef *a = op->attrs; a && a->name; a++)
    if (a->kind == ATTR_real && str_eq(a->name, name))
      return *(const double *)((const char *)attrs + a->offset);
  return 0;
}

/* Metrics that count errors are better when low. */
static bool wants_low(const Train *t, int metric)
{
  const char *kind = metric < 0 ? "loss" : t->metric[metric].kind;
  return str_in_words(kind, "loss mse mae perplexity bits_per_char");
}

/* What an item of `print` shows; tensors are the parameter, or the slot of its gradient. */
static gradrt_printed printed(const DescribeArgs *d, const PrintSpec *p)
{
  gradrt_printed r = { .how = GRADRT_PRINT_TENSOR, .name = p->name };
  const char *slot = p->name;
  switch (p->how) {
  case PRINT_LOSS: return (gradrt_printed){ .how = GRADRT_PRINT_LOSS, .name = "loss" };
  case PRINT_LR: return (gradrt_printed){ .how = GRADRT_PRINT_LR, .name = "lr" };
  case PRINT_NORM:
    slot = "gradient_norm";
    r.name = "grad_norm";
    break;
  case PRINT_VALUE: break;
  case PRINT_GRADIENT:
    slot = arena_printf(d->arena, "gradient.%s", p->name);
    r.name = arena_printf(d->arena, "grad %s", p->name);
    break;
  }
  const StateVar *v = program_find_state(d->model->program, slot);
  r.tensor = v ? (int)v->id : -1;       /* gradcheck's program keeps no gradients to print */
  return r;
}

static const gradrt_generation *sampled(const DescribeArgs *d, const ActionSpec *a)
{
  const SampleSpec *s = &a->sample;
  gradrt_generation *g = ARENA_NEW(d->arena, gradrt_generation);
  *g = (gradrt_generation){ s->prompt, s->length, s->temperature, s->top_k, (uint64_t)s->seed };
  return g;
}

static const gradrt_every *everies(const DescribeArgs *d, const Train *t)
{
  gradrt_every *every = ARENA_ARRAY(d->arena, gradrt_every, t->nevery + 1);
  int best = 0;
  for (int e = 0; e < t->nevery; e++) {
    const EverySpec *s = &t->every[e];
    gradrt_action *action = ARENA_ARRAY(d->arena, gradrt_action, s->naction + 1);
    for (int i = 0; i < s->naction; i++) {
      const ActionSpec *a = &s->action[i];
      gradrt_printed *print = ARENA_ARRAY(d->arena, gradrt_printed, a->nprint + 1);
      for (int k = 0; k < a->nprint; k++)
        print[k] = printed(d, &a->print[k]);
      action[i] = (gradrt_action){
        .how = (gradrt_action_how)a->how, .nprint = a->nprint, .print = print,
        .split = (int)max_i64(split_index(d, a->split), 0), .metric = a->metric,
        .want_low = a->want_low, .best = a->how == ACTION_SAVE_BEST ? best++ : 0, .file = a->file,
        .nsample = a->how == ACTION_SAMPLE,
        .sample = a->how == ACTION_SAMPLE ? sampled(d, a) : NULL,
      };
    }
    every[e] = (gradrt_every){ s->count, s->in_epochs, s->naction, action };
  }
  return every;
}

static const gradrt_train *training(const DescribeArgs *d)
{
  const Train *t = d->model->train;
  Arena *a = d->arena;
  if (!t)
    return NULL;
  gradrt_piece *piece = ARENA_ARRAY(a, gradrt_piece, t->nschedule + 1);
  for (int i = 0; i < t->nschedule; i++)
    piece[i] = (gradrt_piece){ t->schedule[i].kind, t->schedule[i].nprop, props(d, t->schedule[i].prop, t->schedule[i].nprop),
                               t->schedule[i].span, t->schedule[i].in_epochs };
  gradrt_stop *stop = ARENA_ARRAY(a, gradrt_stop, t->nstop + 1);
  for (int i = 0; i < t->nstop; i++)
    stop[i] = (gradrt_stop){ (gradrt_stop_how)t->stop[i].how, split_index(d, t->stop[i].split), t->stop[i].metric,
                             t->stop[i].want_low, t->stop[i].patience, t->stop[i].threshold };
  const char *own = t->optimizer ? t->optimizer->average : NULL, *slot = NULL;
  gradrt_average average = (gradrt_average)t->average;
  if (average != GRADRT_AVERAGE_NONE)
    slot = "unaveraged.";
  else if (own) {
    average = GRADRT_AVERAGE_OWN;
    slot = arena_printf(a, "%s.%s.", t->optimizer->name, own);
  }
  gradrt_train *r = ARENA_NEW(a, gradrt_train);
  *r = (gradrt_train){
    .lr = t->lr.value, .epochs = t->epochs.value, .seed = t->seed.value,
    .beta1 = rule_number(t->optimizer, t->optimizer_attrs, "beta1"),
    .beta2 = rule_number(t->optimizer, t->optimizer_attrs, "beta2"),
    .shuffle = t->shuffle, .torch_rng = t->rng == RNG_TORCH, .loss_sum = t->loss_sum,
    .counted = d->model->counted, .train_split = (int)max_i64(split_index(d, "train"), 0),
    .npiece = t->nschedule, .piece = piece, .nmetric = t->nmetric, .metric = metrics(d, t->metric, t->nmetric),
    .nstop = t->nstop, .stop = stop, .best_split = split_index(d, t->best_split), .best_metric = t->best_metric,
    .best_low = wants_low(t, t->best_metric),
    .accumulate = t->accumulate == WHOLE_EPOCH ? GRADRT_WHOLE_EPOCH : t->accumulate, .average = average, .average_slot = slot,
    .average_keep = t->average_keep, .average_from = t->average_from,
    .nevery = t->nevery, .every = everies(d, t), .spreads = t->spreads, .init = t->init,
  };
  return r;
}

static void set_evals(const DescribeArgs *d, gradrt_net *net)
{
  const Model *m = d->model;
  gradrt_eval *e = ARENA_ARRAY(d->arena, gradrt_eval, m->neval + 1);
  for (int i = 0; i < m->neval; i++)
    e[i] = (gradrt_eval){ split_index(d, m->eval[i].split), m->eval[i].nmetric,
                          metrics(d, m->eval[i].metric, m->eval[i].nmetric) };
  net->neval = m->neval;
  net->evals = e;
}

static const char *setting_of(const Model *m, const char *param)
{
  const Train *t = m->train;
  if (!t)
    return NULL;
  return str_eq(t->lr.param, param) ? "lr" : str_eq(t->epochs.param, param) ? "epochs"
         : str_eq(t->seed.param, param) ? "seed" : NULL;
}

static void set_params(const DescribeArgs *d, gradrt_net *net)
{
  const Model *m = d->model;
  gradrt_param *p = ARENA_ARRAY(d->arena, gradrt_param, m->nparam + 1);
  for (int i = 0; i < m->nparam; i++) {
    const char *setting = setting_of(m, m->param[i].name);
    p[i] = (gradrt_param){ m->param[i].name, setting, m->param[i].value, setting && !m->param[i].reaches_shape };
  }
  net->nparam = m->nparam;
  net->param = p;
}

/* ---- layers ---- */

static int64_t params_of(const Program *p, const Node *n)
{
  int64_t sum = 0;
  for (uint32_t i = 0; i < n->nin; i++) {
    const Node *m = n->in[i].node;
    for (const AttrDef *a = m && m->op->cls == OP_SOURCE ? m->op->attrs : NULL; a && a->name; a++)
      if (str_eq(a->name, "state")) {
        const StateVar *v = &p->state.at[*(const int64_t *)((const char *)m->attrs + a->offset)];
        sum += v->role == STATE_PARAM ? type_elems(&v->type) : 0;
      }
  }
  return sum;
}

/* Nodes of input pipelines carry the name of their field. */
static bool is_layer(const Program *p, const Node *n)
{
  for (uint32_t i = 0; i < p->fields.n; i++)
    if (str_eq(n->name, p->fields.at[i].name))
      return false;
  return n->name && ((n->op->flags & OP_LAYER) || n->op->written);
}

static void set_layers(const DescribeArgs *d, gradrt_net *net)
{
  const Graph *g = d->model->forward;
  gradrt_layer *l = ARENA_ARRAY(d->arena, gradrt_layer, g->order.n + 1);
  int n = 0;
  for (uint32_t i = 0; i < g->order.n; i++) {
    const Node *m = g->order.at[i];
    if (!is_layer(d->model->program, m))
      continue;
    l[n++] = (gradrt_layer){ m->name, m->op->name, type_user(d->arena, &m->type[0]), params_of(d->model->program, m),
                             m->op->flops ? m->op->flops(m) : 0, place(d, m->at) };
  }
  net->nlayer = n;
  net->layer = l;
}

const gradrt_net *describe(const DescribeArgs *d)
{
  const Model *m = d->model;
  const Program *p = m->program;
  gradrt_net *net = ARENA_NEW(d->arena, gradrt_net);
  *net = (gradrt_net){
    .abi = GRADRT_ABI, .name = m->name, .file = m->file, .version = d->version,
    .fingerprint = d->fingerprint ? d->fingerprint : "", .cpu = d->target->name, .real = dtype_of(p->real),
    .batch = p->batch, .threads = (int)m->build.threads, .ntensor = (int)p->state.n, .tensor = tensors(d), .state_bytes = d->module->state_bytes,
    .train = function(d, p->train, HOST_TRAIN), .eval = function(d, p->eval, HOST_EVAL),
    .infer = function(d, p->infer, HOST_INFER), .training = training(d), .spec = d->spec,
    .passes = d->passes, .eval_passes = d->eval_passes,
  };
  set_data(d, net);
  set_evals(d, net);
  set_params(d, net);
  set_layers(d, net);
  return net;
}

const gradrt_net *describe_data(const DescribeArgs *d)
{
  gradrt_net *net = ARENA_NEW(d->arena, gradrt_net);
  *net = (gradrt_net){
    .abi = GRADRT_ABI, .name = d->model->name, .file = d->model->file, .version = d->version,
    .fingerprint = "", .real = dtype_of(d->model->program->real),
    .batch = d->model->program->batch, .training = training(d), .spec = d->spec,
  };
  set_data(d, net);
  net->nfit = 0;
  return net;
}
