/* Text in a report: what a net that predicts tokens writes, from cautious to free. */
#include "base/str.h"
#include "cmd/report.h"
#include "data_text.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { TOKENS = 240 };

static const gradrt_source *text_source(const gradrt_net *net)
{
  for (int i = 0; i < net->nsource; i++)
    if (str_eq(net->source[i].kind, "text"))
      return &net->source[i];
  return NULL;
}

static const gradrt_field *window_field(const gradrt_net *net, int *field)
{
  for (*field = 0; *field < net->nfield; ++*field) {
    const gradrt_field *f = &net->field[*field];
    if (f->token && !f->next_of && f->rank == 1)
      return f;
  }
  return NULL;
}

/* The window of the shown sample, to go on from; NULL: texts that begin anew with each line. */
static const char *prompt_of(ReportPage *p)
{
  int field;
  const gradrt_source *source = text_source(p->net);
  const gradrt_field *f = window_field(p->net, &field);
  const gradrt_set *set = gradrt_data_set(p->s.data, p->score[0].split);
  if (!source || !f || !set || gradrt_prop_number(source, "lines", 0) != 0)
    return NULL;
  gradrt_tokens tokens = gradrt_tokens_of(source);
  Out *text = out_new(p->c->arena);
  for (int64_t i = 0; i < f->dim[0]; i++) {
    int64_t at = (int64_t)set->row[p->sample] * f->dim[0] + i;
    int64_t token = (int64_t)gradrt_dtype_get(f->dtype, set->rows[field], at);
    if (tokens == GRADRT_TOKEN_BYTES)
      out_printf(text, "%c", (int)token);
    else
      out_printf(text, "%s%s", tokens == GRADRT_TOKEN_WORDS && i ? " " : "",
                 f->class_name[token]);
  }
  return out_text(text);
}

static int put_text(ReportPage *p, double temperature)
{
  gradrt_generation g = { .prompt = prompt_of(p), .length = TOKENS, .temperature = temperature,
                          .seed = 1 };
  FILE *f = tmpfile();
  if (!f)
    return gradrt_error(EXIT_IO, "cannot make a temporary file: %s", strerror(errno));
  int code = gradrt_generate(&p->s, &g, f);
  long size = ftell(f);
  char *text = arena_alloc(p->c->arena, (size_t)(size > 0 ? size : 0) + 1);
  rewind(f);
  bool read = size >= 0 && fread(text, 1, (size_t)size, f) == (size_t)size;
  fclose(f);
  if (!code && !read)
    code = gradrt_error(EXIT_IO, "cannot read a temporary file");
  if (code)
    return code;
  gradrt_writer_printf(p->w, "<h4>temperature %g</h4>\n<pre class=\"text\">", temperature);
  gradrt_report_text(p->w, text);
  gradrt_writer_printf(p->w, "</pre>\n");
  return code;
}

int report_text(ReportPage *p)
{
  static const double temperature[] = { 0.5, 1 };
  int code = EXIT_OK;
  if (!p->net->infer.fn || !gradrt_generate_wanted(p->net))
    return code;
  gradrt_writer_printf(p->w, "<h2>Generated text</h2>\n");
  for (size_t i = 0; i < ARRAY_LEN(temperature) && !code; i++)
    code = put_text(p, temperature[i]);
  return code;
}
