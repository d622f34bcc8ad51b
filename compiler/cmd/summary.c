/* summary: what the net is (layers, shapes, parameters, arithmetic) and what it became (kernels with their
 * templates, what backward needs of forward, memory). */
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

static int64_t buffer_bytes(const Buffer *b) { return b->extent * dtype_bytes(b->dtype); }

/* A forward call writes it and a later one, backward or update, reads it. */
static bool is_saved(const Host *h, const Buffer *b)
{
  bool written = false;
  for (const LStmt *s = b->role == BUF_ARENA ? h->body : NULL; s; s = s->next)
    for (uint32_t i = 0; s->kind == LS_CALL && i < s->call.kernel->formal.n; i++) {
      bool stores = s->call.kernel->formal.at[i]->written;
      if (s->call.arg[i] != b)
        continue;
      if (s->call.direction == DIRECTION_FORWARD)
        written = written || stores;
      else if (written && !stores)
        return true;
    }
  return false;
}

int64_t cmd_saved_bytes(const Compilation *c, const char *layer)
{
  const Host *h = c->module->host[HOST_TRAIN];
  int64_t sum = 0;
  for (uint32_t i = 0; h && i < h->buffers.n; i++) {
    const Buffer *b = h->buffers.at[i];
    if ((!layer || str_eq(b->layer, layer)) && is_saved(h, b))
      sum += buffer_bytes(b);
  }
  return sum;
}

static void print_saved(const Compilation *c)
{
  char a[32], b[32];
  int64_t all = cmd_saved_bytes(c, NULL), rest = all;
  for (int i = 0; i < c->net->nlayer; i++)
    rest -= cmd_saved_bytes(c, c->net->layer[i].name);
  printf("saved       %s for the backward pass, for a batch of %" PRId64,
         str_bytes(a, (double)all), c->program->batch);
  if (rest)
    printf("; %s of them of inputs, targets and the loss", str_bytes(b, (double)rest));
  printf("\n");
}

static void print_layers(const Compilation *c)
{
  const gradrt_net *net = c->net;
  char a[32], b[32];
  double flops = 0;
  printf("%-20s %-12s %-18s %12s %14s %10s  %s\n", "layer", "type", "output", "parameters",
         "MFLOP/sample", "saved", "line");
  for (int i = 0; i < net->nlayer; i++) {
    const gradrt_layer *l = &net->layer[i];
    printf("%-20s %-12s %-18s %12s %14.4f %10s  %s\n", l->name, l->type, l->shape,
           with_commas(a, l->params), l->flops / 1e6,
           str_bytes(b, (double)cmd_saved_bytes(c, l->name)), l->place);
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
  printf("\nparameters  %s (%s)", with_commas(a, params), str_bytes(b, (double)params * (double)real));
  if (fixed)
    printf(", %s of them fixed", with_commas(a, fixed));
  printf("\nforward     %.3f MFLOP per sample\n", flops / 1e6);
  if (slots > 0)
    printf("optimizer   %s of state\n", str_bytes(b, slots));
}

static int by_size(const void *x, const void *y)
{
  const Buffer *a = *(Buffer *const *)x, *b = *(Buffer *const *)y;
  int64_t na = buffer_bytes(a), nb = buffer_bytes(b);
  return na != nb ? (na < nb ? 1 : -1) : a->id < b->id ? -1 : 1;
}

static void print_memory(const Compilation *c, const Host *h)
{
  char a[32];
  uint32_t n = h->buffers.n;
  Buffer **order = arena_copy(c->arena, h->buffers.at, n * sizeof *order);
  if (n)
    qsort(order, n, sizeof *order, by_size);
  printf("memory      %s of activations and gradients for a batch of %" PRId64 "; largest:", str_bytes(a, (double)h->arena_bytes),
         c->program->batch);
  for (uint32_t i = 0; i < n && i < 3; i++)
    printf("%s %s %s", i ? "," : "", order[i]->name, str_bytes(a, (double)buffer_bytes(order[i])));
  printf("\n");
}

static void print_kernels(const Compilation *c, const Tiles *tiles)
{
  const Host *h = c->module->host[HOST_TRAIN] ? c->module->host[HOST_TRAIN] : c->module->host[HOST_INFER];
  int always = 0, uneven = 0;
  if (!h)
    return;
  printf("\nkernels of %s, in order (a rule marks a barrier, a dot one for uneven shares)\n%-28s %-24s %10s  %s\n", h->name, "kernel", "template", "MFLOP",
         "how");
  for (const LStmt *s = h->body; s; s = s->next) {
    if (s->kind == LS_BARRIER) {
      *(s->barrier.when ? &uneven : &always) += 1;
      printf(s->barrier.when ? "  .\n" : "  --\n");
    } else if (s->kind == LS_CALL) {
      const Kernel *k = s->call.kernel;
      bool shared = s->call.layer && k->layer && !str_eq(s->call.layer, k->layer);
      printf("%-28s %-24s %10.3f  %s%s%s%s\n", k->name, k->template_name, k->flops / 1e6, k->about,
             shared ? "; here for " : "", shared ? s->call.layer : "",
             tiles_tuned(tiles, k->name) ? " [tuned]" : "");
    }
  }
  printf("%d barriers a step, and %d when the workers' shares of the batch differ; layout family %s\n",
         always, uneven,
         (c->decisions[HOST_TRAIN] ? c->decisions[HOST_TRAIN] : c->decisions[HOST_INFER])->family == FAMILY_LANES
             ? "lanes (batch in lanes)" : "channels (channel blocks)");
}

/* The layers with nodes that are computed again, each once: put between, and around each, are given. */
static void print_again(const Recomputed *r, const char *between, const char *around)
{
  bool any = false;
  for (uint32_t i = 0; i < r->nodes.n; i++) {
    const char *layer = r->nodes.at[i]->name;
    bool seen = !layer;
    for (uint32_t k = 0; k < i && !seen; k++)
      seen = str_eq(r->nodes.at[k]->name, layer);
    if (!seen)
      printf("%s%s%s%s", any ? between : "", around, layer, around);
    any = any || !seen;
  }
}

static void print_budget(const Budget *b)
{
  char limit[32], before[32], after[32];
  printf("budget      %s; ", str_bytes(limit, (double)b->limit));
  if (b->after < b->before)
    printf("%s a step, instead of %s\n", str_bytes(after, (double)b->after),
           str_bytes(before, (double)b->before));
  else
    printf("nothing has to be computed again\n");
  if (!b->again.nodes.n)
    return;
  printf("recomputed  %.3f MFLOP a step: ", b->again.flops / 1e6);
  print_again(&b->again, ", ", "");
  printf("\n");
}

static void print_json_memory(const Compilation *c)
{
  const Host *h = c->module->host[HOST_TRAIN];
  const Budget *b = c->budget;
  if (h)
    printf("\"arena\":%zu,", h->arena_bytes);
  if (!b)
    return;
  printf("\"budget\":{\"bytes\":%" PRId64 ",\"before\":%" PRId64 ",\"flops\":%.0f,\"layers\":[",
         b->limit, b->before, b->again.flops);
  print_again(&b->again, ",", "\"");
  printf("]},");
}

static int print_json(const Compilation *c)
{
  const gradrt_net *net = c->net;
  printf("{\"v\":1,\"net\":\"%s\",\"batch\":%" PRId64 ",", net->name, net->batch);
  print_json_memory(c);
  printf("\"layers\":[");
  for (int i = 0; i < net->nlayer; i++)
    printf("%s{\"name\":\"%s\",\"type\":\"%s\",\"shape\":\"%s\",\"params\":%" PRId64
           ",\"flops\":%.0f,\"saved\":%" PRId64 "}", i ? "," : "", net->layer[i].name, net->layer[i].type,
           net->layer[i].shape, net->layer[i].params, net->layer[i].flops, cmd_saved_bytes(c, net->layer[i].name));
  printf("],\"saved\":%" PRId64 ",\"kernels\":[", cmd_saved_bytes(c, NULL));
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
  DriverOptions driver = o->driver;
  driver.tiles = cmd_tiles(o, c->arena);
  int code = compile_module(c, &driver);
  if (c->stopped)
    ;
  else if (!code && o->json)
    code = print_json(c);
  else if (!code) {
    print_layers(c);
    if (c->module->host[HOST_TRAIN])
      print_saved(c);
    const Host *h = c->module->host[HOST_TRAIN] ? c->module->host[HOST_TRAIN] : c->module->host[HOST_INFER];
    if (h)
      print_memory(c, h);
    if (c->budget)
      print_budget(c->budget);
    print_kernels(c, driver.tiles);
  }
  compilation_free(&c);
  return code;
}
