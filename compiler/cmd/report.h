/* What the files of `gradc report` share: a trained net, its data, and the page being written. */
#ifndef GRADC_CMD_REPORT_H
#define GRADC_CMD_REPORT_H

#include "cmd/load.h"
#include "run.h"

typedef struct {
  const CmdOptions *options;
  Compilation *c;
  const gradrt_net *net;
  gradrt_session s;             /* weights and data are loaded */
  gradrt_score *score;          /* evaluated; the first one's split is what pictures show */
  int nscore;
  int64_t sample;               /* row of that split whose inner values are shown */
  int64_t grid;                 /* points a side of the loss landscape; 0: none */
  gradrt_writer *w;
} ReportPage;

/* A layer's value for one sample: v row-major, of the type without its batch. */
typedef struct { const char *name; Type type; double *v; } InnerValue;

/* The values of all layers, in the order of the spec, for a row of a loaded split: out[0..n) in the
 * compilation's arena. Returns an exit code. */
int report_inner(ReportPage *p, const gradrt_set *set, uint32_t row, InnerValue **out, int *n);
/* What every layer makes of one sample, as pictures. Returns an exit code. */
int report_maps(ReportPage *p);
/* The loss over a plane through the weights. Returns an exit code. */
int report_landscape(ReportPage *p);
/* Samples as training sees them, for fields with random changes. */
void report_augments(ReportPage *p);
/* Text that a net for tokens writes; nothing for other nets. Returns an exit code. */
int report_text(ReportPage *p);
/* Layers with parameters, work, memory and, in nets that measure themselves, time. */
int report_layers(ReportPage *p);
/* Curves of several runs in one picture: dir[0..n). Returns an exit code. */
int report_runs(const CmdOptions *o, const char *const *dir, int n);

#endif
