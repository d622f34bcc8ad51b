/* gradrt_main: reads the command line of a generated program and runs the command. Also `info`,
 * which says what the program holds and what may be changed without building it again. */
#include "data.h"
#include "run.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static const char *const main_role_name[] = {
  "parameter", "optimizer", "statistic", "carried"
};

static void main_shape(const gradrt_tensor *t, char *buf, size_t size)
{
  size_t at = (size_t)snprintf(buf, size, "[");
  for (int i = 0; i < t->rank && at < size; i++) {
    at += (size_t)snprintf(buf + at, size - at, "%s%" PRId64, i ? "," : "", t->dim[i]);
  }
  if (at < size) {
    snprintf(buf + at, size - at, "]");
  }
}

static void main_info_tensors(const gradrt_net *net)
{
  char shape[96], name[GRADRT_NAME_MAX], count[32];
  int64_t params = 0;
  printf("\n%-32s %-16s %-10s %12s\n", "tensor", "shape", "role", "elements");
  for (int i = 0; i < net->ntensor; i++) {
    const gradrt_tensor *t = &net->tensor[i];
    int64_t elems = gradrt_tensor_elems(t);
    bool frozen = t->role == GRADRT_PARAM && !t->trainable;
    params += t->role == GRADRT_PARAM ? elems : 0;
    main_shape(t, shape, sizeof shape);
    printf("%-32s %-16s %-10s %12s\n", gradrt_text_plain(name, sizeof name, t->name), shape,
           frozen ? "fixed" : main_role_name[t->role],
           gradrt_text_count(count, sizeof count, elems));
  }
  printf("%s parameters\n", gradrt_text_count(count, sizeof count, params));
}

static void main_info_layers(const gradrt_net *net)
{
  char a[GRADRT_NAME_MAX], b[GRADRT_NAME_MAX], c[GRADRT_NAME_MAX], count[32];
  if (net->nlayer == 0) {
    return;
  }
  printf("\n%-24s %-14s %-18s %12s %12s  %s\n", "layer", "type", "shape", "parameters", "MFLOP",
         "defined at");
  for (int i = 0; i < net->nlayer; i++) {
    const gradrt_layer *l = &net->layer[i];
    printf("%-24s %-14s %-18s %12s %12.4f  %s\n", gradrt_text_plain(a, sizeof a, l->name),
           gradrt_text_plain(b, sizeof b, l->type), gradrt_text_plain(c, sizeof c, l->shape),
           gradrt_text_count(count, sizeof count, l->params), l->flops / 1e6,
           l->place ? l->place : "");
  }
}

static void main_info_settings(const gradrt_net *net)
{
  char name[GRADRT_NAME_MAX];
  const gradrt_train *t = net->training;
  puts("\nmay change at run time");
  if (t) {
    printf("  --lr %.9g  --epochs %.9g  --seed %.15g\n", t->lr, t->epochs, t->seed);
  }
  puts("  --threads --data --out --weights");
  for (int i = 0; i < net->nparam; i++) {
    const gradrt_param *p = &net->param[i];
    if (p->run_time && p->setting) {
      printf("  --%s %.9g (%s)\n", gradrt_text_plain(name, sizeof name, p->name), p->value,
             p->setting);
    }
  }
  printf("fixed when built\n  batch = %" PRId64 "\n", net->batch);
  for (int i = 0; i < net->nparam; i++) {
    const gradrt_param *p = &net->param[i];
    if (!p->run_time || !p->setting) {
      printf("  %s = %.9g\n", gradrt_text_plain(name, sizeof name, p->name), p->value);
    }
  }
}

static void main_info_json(const gradrt_net *net)
{
  fputs("{\"v\":1,\"event\":\"info\",\"net\":", stdout);
  gradrt_json_string(stdout, net->name);
  const char *const key[] = { "file", "gradc", "cpu", "fingerprint" };
  const char *const value[] = { net->file, net->version, net->cpu, net->fingerprint };
  for (int i = 0; i < 4; i++) {
    printf(",\"%s\":", key[i]);
    gradrt_json_string(stdout, value[i]);
  }
  printf(",\"real\":\"%s\",\"batch\":%" PRId64 ",\"state_bytes\":%zu,\"tensors\":[",
         net->real == GRADRT_F64 ? "f64" : "f32", net->batch, net->state_bytes);
  for (int i = 0; i < net->ntensor; i++) {
    const gradrt_tensor *t = &net->tensor[i];
    fputs(i ? ",{\"name\":" : "{\"name\":", stdout);
    gradrt_json_string(stdout, t->name);
    printf(",\"role\":\"%s\",\"trainable\":%s,\"shape\":[", main_role_name[t->role],
           t->trainable ? "true" : "false");
    for (int k = 0; k < t->rank; k++) {
      printf("%s%" PRId64, k ? "," : "", t->dim[k]);
    }
    fputs("]}", stdout);
  }
  fputs("],\"params\":[", stdout);
  for (int i = 0; i < net->nparam; i++) {
    fputs(i ? ",{\"name\":" : "{\"name\":", stdout);
    gradrt_json_string(stdout, net->param[i].name);
    printf(",\"value\":%.9g,\"run_time\":%s}", net->param[i].value,
           net->param[i].run_time ? "true" : "false");
  }
  fputs("]}\n", stdout);
}

static int main_info(const gradrt_net *net, const gradrt_options *o)
{
  if (o->json) {
    main_info_json(net);
    return GRADRT_OK;
  }
  char name[GRADRT_NAME_MAX];
  printf("%s, compiled from %s by gradc %s\n", gradrt_text_plain(name, sizeof name, net->name),
         net->file, net->version);
  printf("for %s, %s, batch %" PRId64 ", %.2f MB of state\nfingerprint %s\n", net->cpu,
         net->real == GRADRT_F64 ? "f64" : "f32", net->batch, (double)net->state_bytes / 1e6,
         net->fingerprint);
  main_info_layers(net);
  main_info_tensors(net);
  main_info_settings(net);
  return GRADRT_OK;
}

static int main_verb(const gradrt_net *net, gradrt_options *o)
{
  switch (o->verb) {
  case GRADRT_VERB_TRAIN:
    return gradrt_train_main(net, o);
  case GRADRT_VERB_EVAL:
    return gradrt_eval_main(net, o);
  case GRADRT_VERB_PREDICT:
    return gradrt_predict_main(net, o);
  case GRADRT_VERB_INFO:
    return main_info(net, o);
  case GRADRT_VERB_HELP:
    gradrt_options_help(net, o, stdout);
    return GRADRT_OK;
  case GRADRT_VERB_GRADCHECK:
    return gradrt_gradcheck_main(net, o);
  case GRADRT_VERB_GENERATE:
#ifndef GRADRT_WITHOUT_TEXT
    return gradrt_generate_main(net, o);
#else
    break;
#endif
  case GRADRT_VERB_BENCH:
#ifndef GRADRT_WITHOUT_BENCH
    return gradrt_bench_main(net, o);
#else
    break;
#endif
  }
  return GRADRT_INTERNAL;
}

static int main_command(const gradrt_net *net, int argc, char **argv)
{
  gradrt_options o;
  if (net->abi != GRADRT_ABI) {
    return gradrt_error(GRADRT_INTERNAL,
                        "the net was generated for runtime interface %d, this is %d", net->abi,
                        GRADRT_ABI);
  }
  int code = gradrt_options_parse(net, argc, argv, &o);
  if (code != GRADRT_OK) {
    return code;
  }
  if (o.version) {
    printf("%s (gradc %s, %s)\n", net->name, net->version, net->cpu);
    return GRADRT_OK;
  }
  gradrt_named *named = gradrt_alloc(sizeof *named);
  if (!named) {
    return gradrt_error(GRADRT_LIMIT, "out of memory");
  }
  o.labels = named;
  code = main_verb(gradrt_net_with_names(named, net, o.data, o.data_root), &o);
  gradrt_net_forget_names(named);
  gradrt_free(named);
  return code;
}

/* Results that could not be written (a full disk) are no success. */
int gradrt_main(const gradrt_net *net, int argc, char **argv)
{
  gradrt_limits_are_errors();
  int code = main_command(net, argc, argv);
  if ((fflush(stdout) != 0 || ferror(stdout)) && code == GRADRT_OK) {
    return gradrt_error(GRADRT_IO, "cannot write the results to standard output");
  }
  return code;
}
