/* States that go on from batch to batch: those of recurrent layers with `carry`. They lie among the
 * tensors of the state block, [batch, ..], and checkpoints keep them; they are no weights. */
#include "run.h"

#include <string.h>

static size_t carried_size(const gradrt_net *net, const gradrt_tensor *t)
{
  size_t real = net->real == GRADRT_F64 ? sizeof(double) : sizeof(float);
  return t->role == GRADRT_CARRIED ? t->stored * real : 0;
}

size_t gradrt_carried_bytes(const gradrt_net *net)
{
  size_t bytes = 0;
  for (int i = 0; i < net->ntensor; i++) {
    bytes += carried_size(net, &net->tensor[i]);
  }
  return bytes;
}

void gradrt_carried_clear(const gradrt_net *net, void *state)
{
  for (int i = 0; i < net->ntensor; i++) {
    const gradrt_tensor *t = &net->tensor[i];
    memset((char *)state + t->offset, 0, carried_size(net, t));
  }
}

void gradrt_carried_put_aside(const gradrt_net *net, void *state, void *aside)
{
  char *to = aside;
  for (int i = 0; i < net->ntensor; i++) {
    const gradrt_tensor *t = &net->tensor[i];
    memcpy(to, (const char *)state + t->offset, carried_size(net, t));
    to += carried_size(net, t);
  }
  gradrt_carried_clear(net, state);
}

void gradrt_carried_bring_back(const gradrt_net *net, void *state, const void *aside)
{
  const char *from = aside;
  for (int i = 0; i < net->ntensor; i++) {
    const gradrt_tensor *t = &net->tensor[i];
    memcpy((char *)state + t->offset, from, carried_size(net, t));
    from += carried_size(net, t);
  }
}
