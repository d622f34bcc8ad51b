/* The share of targets that count: where lines are documents, what lies behind their ends is -1. A
 * step divides its loss by this share, and so takes the mean over the targets that are there, as
 * PyTorch's ignore_index does. */
#include "internal.h"

double gradrt_counted_share(const gradrt_net *net, const void *const *rows, const uint32_t *ids,
                            int64_t n)
{
  int counted = net->training ? net->training->counted : 0;
  if (!counted || net->training->loss_sum || !rows[counted - 1])
    return 1;
  const gradrt_field *f = &net->field[counted - 1];
  const int32_t *target = rows[counted - 1];
  int64_t each = 1, count = 0;
  for (int i = 0; i < f->rank; i++)
    each *= f->dim[i];
  for (int64_t i = 0; i < n; i++)
    for (int64_t k = 0; k < each; k++)
      count += target[(int64_t)ids[i] * each + k] >= 0;
  return count > 0 ? (double)count / (double)(n * each) : 1;
}
