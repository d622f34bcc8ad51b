/* The average of the weights. A training step keeps it in a slot, "unaveraged.<parameter>" or one
 * of the optimizer, and moves the parameter itself. Between steps the two are exchanged:
 * evaluation, checkpoints and results read the average under the parameter's name. */
#include "run.h"

#include <string.h>

enum { AVERAGE_CHUNK = 1024 };

/* The parameter that belongs to tensor i, a slot of averages; NULL: it is none. */
static const gradrt_tensor *average_param(const gradrt_net *net, int i)
{
  const char *slot = net->training ? net->training->average_slot : NULL;
  size_t n = slot ? strlen(slot) : 0;
  if (!slot || net->tensor[i].role != GRADRT_SLOT || strncmp(net->tensor[i].name, slot, n) != 0) {
    return NULL;
  }
  for (int k = 0; k < net->ntensor; k++) {
    if (strcmp(net->tensor[k].name, net->tensor[i].name + n) == 0) {
      return &net->tensor[k];
    }
  }
  return NULL;
}

static void average_swap(const gradrt_net *net, const gradrt_tensor *x, const gradrt_tensor *y,
                         void *state, bool both)
{
  double a[AVERAGE_CHUNK], b[AVERAGE_CHUNK];
  int64_t total = gradrt_tensor_elems(x);
  for (int64_t at = 0; at < total; at += AVERAGE_CHUNK) {
    int64_t n = total - at < AVERAGE_CHUNK ? total - at : AVERAGE_CHUNK;
    gradrt_tensor_get(net, x, state, at, n, a);
    gradrt_tensor_get(net, y, state, at, n, b);
    gradrt_tensor_put(net, y, state, at, n, a);
    if (both) {
      gradrt_tensor_put(net, x, state, at, n, b);
    }
  }
}

void gradrt_average_exchange(const gradrt_net *net, void *state)
{
  for (int i = 0; i < net->ntensor; i++) {
    const gradrt_tensor *param = average_param(net, i);
    if (param) {
      average_swap(net, param, &net->tensor[i], state, true);
    }
  }
}

void gradrt_average_start(const gradrt_net *net, void *state)
{
  for (int i = 0; i < net->ntensor; i++) {
    const gradrt_tensor *param = average_param(net, i);
    if (param) {
      average_swap(net, param, &net->tensor[i], state, false);
    }
  }
}

double gradrt_average_share(const gradrt_train *t, int64_t step, int64_t steps_per_epoch)
{
  int64_t first = ((int64_t)t->average_from - 1) * steps_per_epoch;
  if (t->average == GRADRT_AVERAGE_NONE || step < first) {
    return 1;
  }
  double n = (double)(step - first + 1);
  return t->average == GRADRT_AVERAGE_EMA ? 1 - t->average_keep : 1 / (n + 1);
}
