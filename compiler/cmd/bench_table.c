/* gradc bench: the table, as Markdown, CSV or JSON lines. */
#include "base/str.h"
#include "cmd/bench.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static int by_value(const void *x, const void *y)
{
  double a = *(const double *)x, b = *(const double *)y;
  return (a > b) - (a < b);
}

double bench_median(double *x, int n)
{
  qsort(x, (size_t)n, sizeof *x, by_value);
  return x[n / 2];
}

/* What a row says. */
typedef struct {
  double train, infer;          /* seconds */
  double images, gflops, share; /* of the training step, else of the inference; share of the peak;
                                   FLOPs are those of the first row, whatever others do in vain */
  double memory;                /* bytes */
} Figures;

static Figures figures_of(const BenchTable *t, BenchRow *r)
{
  int n = t->options->rounds;
  Figures f = { bench_median(r->train, n), bench_median(r->infer, n), 0, 0, 0, r->memory };
  double seconds = f.train > 0 ? f.train : f.infer;
  double flops = f.train > 0 ? t->row[0].train_flops : t->row[0].infer_flops;
  if (seconds > 0) {
    f.images = (double)t->net->batch / seconds;
    f.gflops = flops / seconds / 1e9;
    f.share = t->peak > 0 ? f.gflops * 1e9 / (t->peak * r->threads) : 0;
  }
  return f;
}

static void print_md(const BenchTable *t)
{
  printf("%s, batch %" PRId64 ", peak %.1f GFLOP/s a thread, median of %d rounds\n\n", t->net->name,
         t->net->batch, t->peak / 1e9, t->options->rounds);
  puts("| variant | instructions | compiler | threads | train ms | images/s | GFLOP/s | % of peak "
       "| inference ms | memory MB |\n|---|---|---|---:|---:|---:|---:|---:|---:|---:|");
  for (int i = 0; i < t->nrow; i++) {
    BenchRow *r = &t->row[i];
    Figures f = figures_of(t, r);
    printf("| %s | %s | %s | %d | %.4f | %.0f | %.1f | %.0f | %.4f | %.1f |\n", r->variant->name,
           r->variant->target->name, r->variant->compiler, r->threads, f.train * 1e3, f.images,
           f.gflops, 100 * f.share, f.infer * 1e3, f.memory / 1e6);
  }
}

static void print_csv(const BenchTable *t)
{
  puts("net,batch,variant,cpu,compiler,threads,train_ms,images_per_s,gflops,peak_share,infer_ms,"
       "memory_bytes,weights");
  for (int i = 0; i < t->nrow; i++) {
    BenchRow *r = &t->row[i];
    Figures f = figures_of(t, r);
    printf("%s,%" PRId64 ",%s,%s,%s,%d,%.6f,%.1f,%.3f,%.4f,%.6f,%.0f,%s\n", t->net->name,
           t->net->batch, r->variant->name, r->variant->target->name, r->variant->compiler,
           r->threads, f.train * 1e3, f.images, f.gflops, f.share, f.infer * 1e3, f.memory,
           r->weights);
  }
}

static void print_json(const BenchTable *t)
{
  for (int i = 0; i < t->nrow; i++) {
    BenchRow *r = &t->row[i];
    Figures f = figures_of(t, r);
    printf("{\"v\":1,\"event\":\"bench\",\"net\":\"%s\",\"batch\":%" PRId64 ",\"variant\":\"%s\","
           "\"cpu\":\"%s\",\"compiler\":\"%s\",\"threads\":%d,\"train_ms\":%.6f,"
           "\"images_per_s\":%.1f,\"gflops\":%.3f,\"peak_share\":%.4f,\"infer_ms\":%.6f,"
           "\"memory_bytes\":%.0f,\"weights\":\"%s\"}\n",
           t->net->name, t->net->batch, r->variant->name, r->variant->target->name,
           r->variant->compiler, r->threads, f.train * 1e3, f.images, f.gflops, f.share,
           f.infer * 1e3, f.memory, r->weights);
  }
}

void bench_print(const BenchTable *t)
{
  switch (t->options->format) {
  case BENCH_MD: print_md(t); break;
  case BENCH_CSV: print_csv(t); break;
  case BENCH_JSON: print_json(t); break;
  }
}
