/* The table of layers: parameters and work, memory kept for the backward pass, and the time of a
 * step where the net measures its kernels. */
#include "base/str.h"
#include "cmd/report.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { TIMED_STEPS = 20 };

/* Steps on the first rows of the training split with a learning rate of 0; the state stays. */
static int time_steps(ReportPage *p)
{
  const gradrt_net *net = p->net;
  const gradrt_set *set = gradrt_data_set(p->s.data, net->training->train_split);
  void *kept = gradrt_alloc(net->state_bytes + 64);
  gradrt_step step;
  if (!kept || !set)
    return gradrt_error(EXIT_LIMIT, "out of memory for a copy of the weights");
  memcpy(kept, p->s.state, net->state_bytes);
  gradrt_session_bind(&p->s, GRADRT_FN_TRAIN, set->rows, &step);
  step.n = set->n < net->batch ? set->n : net->batch;
  step.args[GRADRT_ARG_BC1] = step.args[GRADRT_ARG_BC2] = 1;
  memcpy(p->s.ids, set->row, (size_t)step.n * sizeof *p->s.ids);
  int code = gradrt_set_want(set, NULL, 0, step.n, step.rows);
  if (code) {
    gradrt_free(kept);
    return code;
  }
  gradrt_session_run(&p->s, GRADRT_FN_TRAIN, &step);
  gradrt_profile_reset(&p->s);
  for (int i = 0; i < TIMED_STEPS; i++)
    gradrt_session_run(&p->s, GRADRT_FN_TRAIN, &step);
  memcpy(p->s.state, kept, net->state_bytes);
  gradrt_free(kept);
  return EXIT_OK;
}

static void put_time(ReportPage *p, const char *layer)
{
  double forward = gradrt_profile_layer(&p->s, GRADRT_FN_TRAIN, layer, GRADRT_FORWARD);
  double backward = gradrt_profile_layer(&p->s, GRADRT_FN_TRAIN, layer, GRADRT_BACKWARD) +
                    gradrt_profile_layer(&p->s, GRADRT_FN_TRAIN, layer, GRADRT_UPDATE);
  gradrt_writer_printf(p->w, "<td class=\"n\">%.4g</td><td class=\"n\">%.4g</td>", 1e3 * forward,
                       1e3 * backward);
}

static void put_layer(ReportPage *p, const gradrt_layer *l, bool timed)
{
  char count[32], bytes[32];
  const char *cell[] = { l->name, l->type, l->shape };
  gradrt_writer_printf(p->w, "<tr>");
  for (int k = 0; k < 3; k++) {
    gradrt_writer_printf(p->w, "<td>");
    gradrt_report_text(p->w, cell[k]);
    gradrt_writer_printf(p->w, "</td>");
  }
  gradrt_writer_printf(p->w, "<td class=\"n\">%s</td><td class=\"n\">%.4g</td><td class=\"n\">%s"
                             "</td>",
                       gradrt_text_count(count, sizeof count, l->params), l->flops / 1e6,
                       str_bytes(bytes, (double)cmd_saved_bytes(p->c, l->name)));
  if (timed)
    put_time(p, l->name);
  gradrt_writer_printf(p->w, "<td>");
  gradrt_report_text(p->w, l->place);
  gradrt_writer_printf(p->w, "</td></tr>\n");
}

static void put_total(ReportPage *p, bool timed)
{
  char count[32], bytes[32];
  int64_t params = 0;
  double flops = 0;
  for (int i = 0; i < p->net->nlayer; i++) {
    params += p->net->layer[i].params;
    flops += p->net->layer[i].flops;
  }
  gradrt_writer_printf(p->w, "<tr><th>total</th><td></td><td></td><th class=\"n\">%s</th>"
                             "<th class=\"n\">%.4g</th><th class=\"n\">%s</th>%s<td></td></tr>\n",
                       gradrt_text_count(count, sizeof count, params), flops / 1e6,
                       str_bytes(bytes, (double)cmd_saved_bytes(p->c, NULL)),
                       timed ? "<td></td><td></td>" : "");
}

int report_layers(ReportPage *p)
{
  char bytes[32];
  bool timed = p->net->profiled && p->net->training;
  int code = timed ? time_steps(p) : EXIT_OK;
  if (code || p->net->nlayer == 0)
    return code;
  gradrt_writer_printf(p->w, "<h2>Layers</h2>\n<div class=\"scroll\"><table class=\"small\"><thead>"
                             "<tr><th>layer</th><th>type</th><th>output shape</th><th class=\"n\">"
                             "parameters</th><th class=\"n\">MFLOP</th><th class=\"n\">kept</th>%s"
                             "<th>defined at</th></tr></thead><tbody>\n",
                       timed ? "<th class=\"n\">forward ms</th><th class=\"n\">backward ms</th>"
                             : "");
  for (int i = 0; i < p->net->nlayer; i++)
    put_layer(p, &p->net->layer[i], timed);
  put_total(p, timed);
  gradrt_writer_printf(p->w, "</tbody></table></div>\n<p class=\"soft\">MFLOP: forward, a sample. "
                             "Kept: for the backward pass, a batch of %" PRId64 "; a step uses %s "
                             "in all.%s</p>\n",
                       p->net->batch,
                       str_bytes(bytes, (double)(p->net->training ? p->net->train.arena_bytes
                                                                  : p->net->infer.arena_bytes)),
                       timed ? " Milliseconds: a training step and worker; what is fused into a "
                               "kernel counts there." : "");
  return EXIT_OK;
}
