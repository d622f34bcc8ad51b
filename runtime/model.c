/* A net in a program of one's own: a state and workers that the caller trains and asks. Uses no
 * data set, no command line and no run directory; every step is the same code on the same numbers
 * as in `train` and `predict`, and so are the bits. */
#include "model.h"
#include "run.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { MODEL_CHUNK = 512, MODEL_GROUP = 16, MODEL_THREADS_MAX = 256 };

struct gradrt_model {
  const gradrt_net *net;
  gradrt_pool *pool;
  void *state, *arena, *worker;
  uint32_t *ids;                /* batch rounded up to MODEL_GROUP */
  void *out[GRADRT_OUTPUTS_MAX];        /* as many rows of each output; of train and of infer */
  uint64_t seed;
  int64_t steps;                /* training steps so far */
  int64_t parts;                /* batches since the last update: fewer than `accumulate` */
};

static size_t model_real(const gradrt_net *net)
{
  return net->real == GRADRT_F64 ? sizeof(double) : sizeof(float);
}

static size_t model_rows(const gradrt_net *net)
{
  return ((size_t)net->batch + MODEL_GROUP - 1) / MODEL_GROUP * MODEL_GROUP;
}

/* Bytes of one row of an output; or of the whole of one that is not per sample. */
static bool model_output_bytes(const gradrt_net *net, const gradrt_output *o, size_t *bytes)
{
  *bytes = model_real(net);
  for (int d = 0; d < o->rank; d++)
    if (!gradrt_mul_size(*bytes, (size_t)o->dim[d], bytes))
      return false;
  return true;
}

/* ---- making ---- */

static size_t model_max(size_t a, size_t b) { return a > b ? a : b; }

/* Room for output i of both functions; false: no memory. */
static bool model_make_output(gradrt_model *m, int i)
{
  const gradrt_function *f[] = { &m->net->train, &m->net->infer };
  size_t most = 0, bytes;
  for (int k = 0; k < 2; k++) {
    if (!f[k]->fn || i >= f[k]->noutput)
      continue;
    size_t rows = f[k]->output[i].batched ? model_rows(m->net) : 1;
    if (!model_output_bytes(m->net, &f[k]->output[i], &bytes) ||
        !gradrt_mul_size(bytes, rows, &bytes))
      return false;
    most = model_max(most, bytes);
  }
  m->out[i] = most ? gradrt_alloc(most) : NULL;
  return !most || m->out[i];
}

static bool model_make_memory(gradrt_model *m)
{
  const gradrt_net *net = m->net;
  size_t worker = model_max(64, model_max(net->train.worker_bytes, net->infer.worker_bytes));
  if (!gradrt_mul_size(worker, (size_t)gradrt_pool_size(m->pool), &worker))
    return false;
  m->state = gradrt_alloc(model_max(64, net->state_bytes));
  m->arena =
      gradrt_alloc(model_max(64, model_max(net->train.arena_bytes, net->infer.arena_bytes)));
  m->worker = gradrt_alloc(worker);
  m->ids = gradrt_alloc(model_rows(net) * sizeof *m->ids);
  bool ok = m->state && m->arena && m->worker && m->ids;
  for (int i = 0; i < GRADRT_OUTPUTS_MAX; i++)
    ok = ok && model_make_output(m, i);
  return ok;
}

gradrt_model *gradrt_model_new(const gradrt_net *net, int threads, uint64_t seed)
{
  gradrt_torch torch;
  if (net->abi != GRADRT_ABI) {
    gradrt_error(GRADRT_USAGE, "the net has ABI %d, this runtime %d: build both with one gradc",
                 net->abi, GRADRT_ABI);
    return NULL;
  }
  if (threads < 0 || threads > MODEL_THREADS_MAX) {
    gradrt_error(GRADRT_USAGE, "%d threads: it must be 0 to %d", threads, MODEL_THREADS_MAX);
    return NULL;
  }
  gradrt_model *m = gradrt_alloc(sizeof *m);
  if (m) {
    m->net = net;
    m->seed = seed;
    m->pool = gradrt_pool_start(threads ? threads : gradrt_default_threads());
  }
  if (!m || !m->pool || !model_make_memory(m)) {
    gradrt_error(GRADRT_LIMIT, "out of memory or threads for a model of %s", net->name);
    gradrt_model_free(m);
    return NULL;
  }
  bool drawn_as_torch = net->training && net->training->torch_rng;
  if (gradrt_state_init(net, m->state, seed, drawn_as_torch, &torch) != GRADRT_OK) {
    gradrt_model_free(m);
    return NULL;
  }
  gradrt_average_start(net, m->state);
  return m;
}

void gradrt_model_free(gradrt_model *m)
{
  if (!m)
    return;
  if (m->pool)
    gradrt_pool_stop(m->pool);
  for (int i = 0; i < GRADRT_OUTPUTS_MAX; i++)
    gradrt_free(m->out[i]);
  gradrt_free(m->ids);
  gradrt_free(m->worker);
  gradrt_free(m->arena);
  gradrt_free(m->state);
  gradrt_free(m);
}

/* ---- steps ---- */

static double model_label(const gradrt_field *f, const void *rows, int64_t i)
{
  switch (f->dtype) {
  case GRADRT_U8: return ((const uint8_t *)rows)[i];
  case GRADRT_I32: return ((const int32_t *)rows)[i];
  case GRADRT_U32: return ((const uint32_t *)rows)[i];
  case GRADRT_I64: return (double)((const int64_t *)rows)[i];
  case GRADRT_F32: return (double)((const float *)rows)[i];
  case GRADRT_F64: return ((const double *)rows)[i];
  }
  return NAN;
}

/* Labels choose elements of arrays: none may lie outside. Targets of -1 are those that do not
 * count, in the field where there are such. */
static int model_check_labels(const gradrt_net *net, int field, const void *rows, int64_t n)
{
  const gradrt_field *f = &net->field[field];
  int64_t each = 1, low = net->training->counted == field + 1 ? -1 : 0;
  for (int d = 0; d < f->rank; d++)
    each *= f->dim[d];
  for (int64_t i = 0; f->is_label && rows && i < n * each; i++) {
    double v = model_label(f, rows, i);
    if (!(v >= (double)low && v < (double)f->classes))
      return gradrt_error(GRADRT_DATA, "sample %" PRId64 ": the label %g of '%s' is not one of %"
                          PRId64 " to %" PRId64, i / each, v, f->name, low, f->classes - 1);
  }
  return GRADRT_OK;
}

/* Runs f on samples first .. first + n - 1 of the rows. */
static void model_step(gradrt_model *m, const gradrt_function *f, gradrt_step *s,
                       const void *const *rows, int64_t first, int64_t n)
{
  int64_t all = (n + MODEL_GROUP - 1) / MODEL_GROUP * MODEL_GROUP;
  for (int64_t i = 0; i < all; i++)
    m->ids[i] = (uint32_t)(first + (i < n ? i : n - 1));
  s->state = m->state;
  s->arena = m->arena;
  s->worker = m->worker;
  s->ids = m->ids;
  s->n = n;
  s->args[GRADRT_ARG_N] = (double)n;
  s->args[GRADRT_ARG_SHARE] = gradrt_counted_share(m->net, rows, m->ids, n);
  s->args[GRADRT_ARG_SEED_LO] = (double)(m->seed & 0xFFFFFFFFu);
  s->args[GRADRT_ARG_SEED_HI] = (double)(m->seed >> 32);
  memcpy(s->out, m->out, sizeof s->out);
  for (int i = 0; i < m->net->nfield; i++)
    s->rows[i] = rows[i];
  gradrt_pool_run(m->pool, f->fn, s);
}

int gradrt_model_train(gradrt_model *m, const void *const *rows, int64_t n, double lr,
                       double *loss)
{
  const gradrt_net *net = m->net;
  gradrt_step s = { .n = 0 };
  if (!net->train.fn || !net->training)
    return gradrt_error(GRADRT_USAGE, "%s cannot be trained: its spec has no train block",
                        net->name);
  if (n < 1 || n > net->batch)
    return gradrt_error(GRADRT_USAGE, "%" PRId64 " samples in a step: it must be 1 to %" PRId64, n,
                        net->batch);
  for (int i = 0; i < net->nfield; i++)
    if (model_check_labels(net, i, rows[i], n) != GRADRT_OK)
      return GRADRT_DATA;
  int64_t given = net->training->accumulate;    /* a caller's epoch has no end to wait for */
  int64_t accumulate = given > 1 && given != GRADRT_WHOLE_EPOCH ? given : 1;
  bool updates = m->parts + 1 >= accumulate;
  s.args[GRADRT_ARG_LR] = lr;
  s.args[GRADRT_ARG_STEP] = (double)m->steps;
  /* Dropout is keyed by epoch and sample, and samples are numbered from 0 in every step. */
  s.args[GRADRT_ARG_EPOCH] = (double)(m->steps * accumulate + m->parts);
  s.args[GRADRT_ARG_BC1] = 1 - gradrt_power(net->training->beta1, m->steps + 1);
  s.args[GRADRT_ARG_BC2] = 1 - gradrt_power(net->training->beta2, m->steps + 1);
  s.args[GRADRT_ARG_GROUP] = (double)(n * accumulate);
  s.args[GRADRT_ARG_UPDATE] = updates;
  s.args[GRADRT_ARG_AVERAGE] = gradrt_average_share(net->training, m->steps, 0);
  gradrt_average_exchange(net, m->state);
  model_step(m, &net->train, &s, rows, 0, n);
  m->parts = updates ? 0 : m->parts + 1;
  m->steps += updates;
  double value = net->real == GRADRT_F64 ? *(const double *)m->out[0]
                                         : (double)*(const float *)m->out[0];
  if (loss)
    *loss = value;
  gradrt_average_exchange(net, m->state);
  return value - value == 0 ? GRADRT_OK
                            : gradrt_error(GRADRT_NONFINITE, "the loss of step %" PRId64 " is %g",
                                           m->steps, value);
}

int gradrt_model_infer(gradrt_model *m, const void *const *rows, int64_t n, void *const *out)
{
  const gradrt_net *net = m->net;
  size_t bytes;
  if (!net->infer.fn)
    return gradrt_error(GRADRT_USAGE, "%s has no outputs: its spec has no infer block", net->name);
  if (n < 1 || n > UINT32_MAX)
    return gradrt_error(GRADRT_USAGE, "%" PRId64 " samples: it must be 1 to %" PRIu32, n,
                        UINT32_MAX);
  for (int64_t done = 0; done < n; done += net->batch) {
    int64_t part = n - done < net->batch ? n - done : net->batch;
    gradrt_step s = { .n = 0 };
    model_step(m, &net->infer, &s, rows, done, part);
    for (int i = 0; i < net->infer.noutput; i++) {
      const gradrt_output *o = &net->infer.output[i];
      if (!model_output_bytes(net, o, &bytes))
        return gradrt_error(GRADRT_LIMIT, "the output %s is too large", o->name);
      size_t at = o->batched ? (size_t)done * bytes : 0;
      memcpy((char *)out[i] + at, m->out[i], o->batched ? (size_t)part * bytes : bytes);
    }
  }
  return GRADRT_OK;
}

/* ---- tensors and files ---- */

/* The tensor of that name with n elements; NULL: reported. */
static const gradrt_tensor *model_tensor(const gradrt_model *m, const char *name, int64_t n)
{
  const gradrt_net *net = m->net;
  for (int i = 0; i < net->ntensor; i++) {
    const gradrt_tensor *t = &net->tensor[i];
    if (strcmp(t->name, name) != 0)
      continue;
    if (gradrt_tensor_elems(t) == n)
      return t;
    gradrt_error(GRADRT_USAGE, "'%s' has %" PRId64 " elements, not %" PRId64, name,
                 gradrt_tensor_elems(t), n);
    return NULL;
  }
  gradrt_error(GRADRT_USAGE, "%s has no tensor '%s'", net->name, name);
  return NULL;
}

int gradrt_model_get(const gradrt_model *m, const char *name, void *values, int64_t n)
{
  const gradrt_tensor *t = model_tensor(m, name, n);
  double part[MODEL_CHUNK];
  if (!t)
    return GRADRT_USAGE;
  for (int64_t at = 0; at < n; at += MODEL_CHUNK) {
    int64_t count = n - at < MODEL_CHUNK ? n - at : MODEL_CHUNK;
    gradrt_tensor_get(m->net, t, m->state, at, count, part);
    for (int64_t i = 0; i < count; i++)
      if (m->net->real == GRADRT_F64)
        ((double *)values)[at + i] = part[i];
      else
        ((float *)values)[at + i] = (float)part[i];
  }
  return GRADRT_OK;
}

int gradrt_model_set(gradrt_model *m, const char *name, const void *values, int64_t n)
{
  const gradrt_tensor *t = model_tensor(m, name, n);
  double part[MODEL_CHUNK];
  if (!t)
    return GRADRT_USAGE;
  for (int64_t at = 0; at < n; at += MODEL_CHUNK) {
    int64_t count = n - at < MODEL_CHUNK ? n - at : MODEL_CHUNK;
    for (int64_t i = 0; i < count; i++)
      part[i] = m->net->real == GRADRT_F64 ? ((const double *)values)[at + i]
                                           : (double)((const float *)values)[at + i];
    gradrt_tensor_put(m->net, t, m->state, at, count, part);
  }
  return GRADRT_OK;
}

int gradrt_model_load(gradrt_model *m, const char *path)
{
  int code = gradrt_weights_read(m->net, path, m->state);
  gradrt_average_start(m->net, m->state);
  return code;
}

int gradrt_model_save(const gradrt_model *m, const char *path)
{
  gradrt_position at = { .step = m->steps, .best = NAN, .seed = m->seed };
  return gradrt_checkpoint_write(m->net, path, m->state, &at);
}
