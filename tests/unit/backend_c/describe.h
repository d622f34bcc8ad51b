/* Prints every field of a net's description: the test prints the original, the driver the compiled
 * copy. */
#ifndef GRADC_TESTS_UNIT_BACKEND_C_DESCRIBE_H
#define GRADC_TESTS_UNIT_BACKEND_C_DESCRIBE_H

#include "gradrt.h"
#include <inttypes.h>
#include <stdio.h>

static void describe_text(FILE *f, const char *name, const char *s)
{
  fprintf(f, "%s=%s\n", name, s ? s : "(null)");
}

static void describe_dims(FILE *f, int rank, const int64_t *dim)
{
  for (int i = 0; i < rank; i++)
    fprintf(f, " dim %" PRId64, dim[i]);
  fprintf(f, "\n");
}

static void describe_props(FILE *f, int n, const gradrt_prop *p)
{
  for (int i = 0; i < n; i++) {
    describe_text(f, "prop", p[i].name);
    fprintf(f, "%a\n", p[i].number);
    describe_text(f, "text", p[i].text);
  }
}

static void describe_metrics(FILE *f, int n, const gradrt_metric *m)
{
  for (int i = 0; i < n; i++) {
    describe_text(f, m[i].kind, m[i].name);
    fprintf(f, "%d %d %" PRId64 "\n", m[i].output, m[i].target, m[i].k);
  }
}

static void describe_tensor(FILE *f, const gradrt_tensor *t)
{
  int64_t n = 1;
  for (int i = 0; i < t->rank; i++)
    n *= t->dim[i];
  describe_text(f, "tensor", t->name);
  fprintf(f, "%d %d %d %d %zu %zu %d %a %a\n", t->role, t->trainable, t->rank, t->ndigit, t->offset,
          t->stored, t->init, t->a, t->b);
  describe_dims(f, t->rank, t->dim);
  for (int i = 0; i < t->ndigit; i++)
    fprintf(f, "digit %d %" PRId64 " %" PRId64 "\n", t->digit[i].axis, t->digit[i].div,
            t->digit[i].extent);
  for (int64_t i = 0; t->given && i < n; i++)
    fprintf(f, "given %a\n", t->given[i]);
}

static void describe_data(FILE *f, const gradrt_net *net)
{
  for (int i = 0; i < net->nsource; i++) {
    describe_text(f, net->source[i].kind, net->source[i].place);
    describe_props(f, net->source[i].nprop, net->source[i].prop);
  }
  for (int i = 0; i < net->nsplit; i++)
    fprintf(f, "split %s %d %d %a\n", net->split[i].name, net->split[i].source, net->split[i].how,
            net->split[i].amount);
  for (int i = 0; i < net->nfield; i++) {
    const gradrt_field *x = &net->field[i];
    describe_text(f, x->name, x->columns);
    describe_text(f, "place", x->place);
    fprintf(f, "%d %d %d %" PRId64 "\n", x->dtype, x->rank, x->is_label, x->classes);
    describe_dims(f, x->rank, x->dim);
    for (int64_t k = 0; x->class_name && k < x->classes; k++)
      describe_text(f, "class", x->class_name[k]);
  }
  for (int i = 0; i < net->nfit; i++)
    fprintf(f, "fit %d %d %d %a %a\n", net->fit[i].field, net->fit[i].mean, net->fit[i].std,
            net->fit[i].scale, net->fit[i].offset);
}

static void describe_function(FILE *f, const gradrt_function *fn)
{
  fprintf(f, "function %d %zu %zu\n", fn->noutput, fn->arena_bytes, fn->worker_bytes);
  for (int i = 0; i < fn->noutput; i++) {
    describe_text(f, "output", fn->output[i].name);
    fprintf(f, "%d %d\n", fn->output[i].batched, fn->output[i].rank);
    describe_dims(f, fn->output[i].rank, fn->output[i].dim);
  }
}

static void describe_training(FILE *f, const gradrt_train *t)
{
  fprintf(f, "training %a %a %a %a %a %d %d %d %d %d %d %d\n", t->lr, t->epochs, t->seed, t->beta1,
          t->beta2, t->shuffle, t->torch_rng, t->loss_sum, t->train_split, t->best_split,
          t->best_metric, t->best_low);
  for (int i = 0; i < t->npiece; i++) {
    fprintf(f, "piece %s %a %d\n", t->piece[i].kind, t->piece[i].span, t->piece[i].in_epochs);
    describe_props(f, t->piece[i].nprop, t->piece[i].prop);
  }
  describe_metrics(f, t->nmetric, t->metric);
  for (int i = 0; i < t->nstop; i++)
    fprintf(f, "stop %d %d %d %d %a %a\n", t->stop[i].how, t->stop[i].split, t->stop[i].metric,
            t->stop[i].want_low, t->stop[i].patience, t->stop[i].threshold);
}

static void describe_every(FILE *f, const gradrt_train *t)
{
  fprintf(f, "average %d %s %a %a, accumulate %lld\n", t->average,
          t->average_slot ? t->average_slot : "-", t->average_keep, t->average_from,
          (long long)t->accumulate);
  fprintf(f, "spreads %s, init %s\n", t->spreads ? t->spreads : "-", t->init ? t->init : "-");
  for (int e = 0; e < t->nevery; e++) {
    fprintf(f, "every %a %d %d\n", t->every[e].count, t->every[e].in_epochs, t->every[e].naction);
    for (int i = 0; i < t->every[e].naction; i++) {
      const gradrt_action *a = &t->every[e].action[i];
      fprintf(f, "action %d %d %d %d %d %s\n", a->how, a->split, a->metric, a->want_low, a->best,
              a->file ? a->file : "-");
      for (int k = 0; k < a->nprint; k++)
        fprintf(f, "print %d %d %s\n", a->print[k].how, a->print[k].tensor, a->print[k].name);
    }
  }
}

static void describe(FILE *f, const gradrt_net *net)
{
  describe_text(f, "name", net->name);
  describe_text(f, "file", net->file);
  describe_text(f, "version", net->version);
  describe_text(f, "fingerprint", net->fingerprint);
  describe_text(f, "cpu", net->cpu);
  describe_text(f, "spec", net->spec);
  fprintf(f, "%d %d %" PRId64 " %zu\n", net->abi, net->real, net->batch, net->state_bytes);
  for (int i = 0; i < net->ntensor; i++)
    describe_tensor(f, &net->tensor[i]);
  describe_data(f, net);
  describe_function(f, &net->train);
  describe_function(f, &net->eval);
  describe_function(f, &net->infer);
  if (net->training) {
    describe_training(f, net->training);
    describe_every(f, net->training);
  }
  for (int i = 0; i < net->neval; i++) {
    fprintf(f, "eval %d\n", net->evals[i].split);
    describe_metrics(f, net->evals[i].nmetric, net->evals[i].metric);
  }
  for (int i = 0; i < net->nparam; i++) {
    describe_text(f, net->param[i].name, net->param[i].setting);
    fprintf(f, "%a %d\n", net->param[i].value, net->param[i].run_time);
  }
  for (int i = 0; i < net->nlayer; i++) {
    const gradrt_layer *l = &net->layer[i];
    describe_text(f, l->name, l->type);
    describe_text(f, l->shape, l->place);
    fprintf(f, "%" PRId64 " %a\n", l->params, l->flops);
  }
}

#endif
