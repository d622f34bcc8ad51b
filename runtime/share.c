/* The share of targets that count: where lines are documents, what lies behind their ends is -1. A
 * step divides its loss by this share, and so takes the mean over the targets that are there, as
 * PyTorch's ignore_index does. */
#include "internal.h"

#include <string.h>

/* Of rows ids[0] .. ids[n - 1]: 0 to 1; 1 where all count and where the targets are not there. */
static double share_of(const gradrt_net *net, const void *const *rows, const uint32_t *ids,
                       int64_t n)
{
  int counted = net->training ? net->training->counted : 0;
  if (!counted || !rows[counted - 1])
    return 1;
  const gradrt_field *f = &net->field[counted - 1];
  const char *targets = rows[counted - 1];      /* i32, unaligned */
  int64_t each = 1, count = 0;
  for (int i = 0; i < f->rank; i++)
    each *= f->dim[i];
  for (int64_t i = 0; i < n; i++)
    for (int64_t k = 0; k < each; k++) {
      int32_t target;
      memcpy(&target, targets + ((int64_t)ids[i] * each + k) * (int64_t)sizeof target,
             sizeof target);
      count += target >= 0;
    }
  return (double)count / (double)(n * each);
}

static bool share_is_sum(const gradrt_net *net) { return net->training && net->training->loss_sum; }

double gradrt_counted_share(const gradrt_net *net, const void *const *rows, const uint32_t *ids,
                            int64_t n)
{
  double share = share_is_sum(net) ? 1 : share_of(net, rows, ids, n);
  return share > 0 ? share : 1;
}

double gradrt_loss_samples(const gradrt_net *net, const void *const *rows, const uint32_t *ids,
                           int64_t n)
{
  return share_is_sum(net) ? share_of(net, rows, ids, n) * (double)n : (double)n;
}
