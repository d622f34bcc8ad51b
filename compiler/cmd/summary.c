/* summary: what the net is (layers, shapes, parameters, arithmetic) and what it became (kernels with their
 * templates, memory). */
#include "base/str.h"
#include "cmd/cmd.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *with_commas(char buf[32], int64_t n)
{
  char digits[24];
  int len = snprintf(digits, sizeof digits, "%" PRId64, n), out = 0;
  for (int i = 0; i < len; i++) {
    if (i && (len - i) % 3 == 0)
      buf[out++] = ',';
    buf[out++] = digits[i];
  }
  buf[out] = '\0';
  return buf;
}

static const char *bytes_text(char buf[32], double b)
{
  if (b >= 1 << 20)
    snprintf(buf, 32, "%.1f MiB", b / (1 << 20));
  else if (b >= 1024)
    snprintf(buf, 32, "%.1f KiB", b / 1024);
  else
    snprintf(buf, 32, "%.0f B", b);
  return buf;
}

static void print_layers(const gradrt_net *net)
{
  char a[32], b[32];
  double flops = 0;
  printf("%-20s %-12s %-18s %12s %14s  %s\n", "layer", "type", "output", "parameters", "MFLOP/sample", "line");
  for (int i = 0; i < net->nlayer; i++) {
    const gradrt_layer *l = &net->layer[i];
    printf("%-20s %-12s %-18s %12s %14.4f  %s\n", l->name, l->type, l->shape, with_commas(a, l->params), l->flops / 1e6,
           l->place);
    flops += l->flops;
  }
  int64_t params = 0, fixed = 0;
  double slots = 0;
  size_t real = net->real == GRADRT_F64 ? 8 : 4;
  for (int i = 0; i < net->ntensor; i++) {
    int64_t n = 1;
    for (int k = 0; k < net->tensor[i].rank; k++)
      n *= net->tensor[i].dim[k];
    if (net->tensor[i].role == GRADRT_PARAM) {
      params += n;
      fixed += net->tensor[i].trainable ? 0 : n;
    } else if (net->tensor[i].role == GRADRT_SLOT)
      slots += (double)n * (double)real;
  }
  printf("\nparameters  %s (%s)", with_commas(a, params), bytes_text(b, (double)params * (double)real));
  if (fixed)
    printf(", %s of them fixed", with_commas(a, fixed));
  printf("\nforward     %.3f MFLOP per sample\n", flops / 1e6);
  if (slots > 0)
    printf("optimizer   %s of state\n", bytes_text(b, slots));
}

static int by_size(const void *x, const void *y)
{
  const Buffer *a = *(Buffer *const *)x, *b = *(Buffer *const *)y;
  int64_t na = a->extent * dtype_bytes(a->dtype), nb = b->extent * dtype_bytes(b->dtype);
  return na != nb ? (na < nb ? 1 : -1) : a->id < b->id ? -1 : 1;
}

static void print_memory(const Compilation *c, const Host *h)
{
  char a[32];
  uint32_t n = h->buffers.n;
  Buffer **order = arena_copy(c->arena, h->buffers.at, n * sizeof *order);
  if (n)
    qsort(order, n, sizeof *order, by_size);
  printf("memory      %s of activations and gradients for a batch of %" PRId64 "; largest:", bytes_text(a, (double)h->arena_bytes),
         c->program->batch);
  for (uint32_t i = 0; i < n && i < 3; i++)
    printf("%s %s %s", i ? "," : "", order[i]->name, bytes_text(a, (double)(order[i]->extent * dtype_bytes(order[i]->dtype))));
  printf("\n");
}

static void print_kernels(const Compilation *c)
{
  const Host *h = c->module->host[HOST_TRAIN] ? c->module->host[HOST_TRAIN] : c->module->host[HOST_INFER];
  int phase = 0;
  if (!h)
    return;
  printf("\nkernels of %s, in order (a rule marks a barrier)\n%-28s %-24s %10s  %s\n", h->name, "kernel", "template", "MFLOP",
         "how");
  for (const LStmt *s = h->body; s; s = s->next) {
    if (s->kind == LS_BARRIER) {
      phase++;
      printf("  --\n");
    } else if (s->kind == LS_CALL) {
      const Kernel *k = s->call.kernel;
      printf("%-28s %-24s %10.3f  %s\n", k->name, k->template_name, k->flops / 1e6, k->about);
    }
  }
  printf("%d barriers a step, layout family %s\n", phase,
         (c->decisions[HOST_TRAIN] ? c->decisions[HOST_TRAIN] : c->decisions[HOST_INFER])->family == FAMILY_LANES
             ? "lanes (batch in lanes)" : "channels (channel blocks)");
}

static int print_json(const Compilation *c)
{
  const gradrt_net *net = c->net;
  printf("{\"v\":1,\"net\":\"%s\",\"batch\":%" PRId64 ",\"layers\":[", net->name, net->batch);
  for (int i = 0; i < net->nlayer; i++)
    printf("%s{\"name\":\"%s\",\"type\":\"%s\",\"shape\":\"%s\",\"params\":%" PRId64 ",\"flops\":%.0f}", i ? "," : "",
           net->layer[i].name, net->layer[i].type, net->layer[i].shape, net->layer[i].params, net->layer[i].flops);
  printf("],\"kernels\":[");
  for (uint32_t i = 0; i < c->module->kernels.n; i++) {
    const Kernel *k = c->module->kernels.at[i];
    printf("%s{\"name\":\"%s\",\"template\":\"%s\",\"flops\":%.0f}", i ? "," : "", k->name, k->template_name, k->flops);
  }
  printf("]}\n");
  return EXIT_OK;
}

int cmd_summary(const CmdOptions *o)
{
  Compilation *c = compilation_new();
  int code = compile_module(c, &o->driver);
  if (c->stopped)
    ;
  else if (!code && o->json)
    code = print_json(c);
  else if (!code) {
    print_layers(c->net);
    const Host *h = c->module->host[HOST_TRAIN] ? c->module->host[HOST_TRAIN] : c->module->host[HOST_INFER];
    if (h)
      print_memory(c, h);
    print_kernels(c);
  }
  compilation_free(&c);
  return code;
}
