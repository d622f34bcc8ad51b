/* Text from a net that predicts tokens: the last tokens go through the infer function, the next
 * one is drawn from the scores it gives, and so on.
 *
 * The net's input is a window of tokens. Where its output has a row of scores for each place of
 * the window, the row of the last token counts: what stands behind it is not known yet, and a
 * causal net does not look there. Where it has one row, the window must be full, unless the text
 * was read line by line: then the line's beginning fills it up, as in training.
 *
 * The probability of token k is exp(score[k] / temperature), or for an output of probabilities
 * their power 1 / temperature, divided by the sum over the top_k largest; at temperature 0 the
 * largest is taken. Draws come from Philox, keyed by the seed. */
#include "data_text.h"
#include "run.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GENERATE_SHOWN = 40 };

/* A token that may be drawn. */
typedef struct { double score; int64_t token; } generate_choice;

typedef struct {
  gradrt_session *s;
  const gradrt_generation *g;
  const gradrt_field *field;    /* of the window */
  gradrt_tokens tokens;
  bool lines;                   /* lines are documents: each begins anew */
  int input, output;            /* field and output of infer */
  int64_t window, newline;      /* newline: its number, or -1 */
  bool each;                    /* the output has a row for each place */
  int64_t *text;                /* the last tokens, at most window of them */
  int64_t n;
  void *rows;                   /* one sample of the input */
  generate_choice *choice;
  gradrt_stream draw;
  bool begun, after_mark;       /* words: whether a blank goes before the next one */
} generate_job;

/* ---- what the net takes and gives ---- */

static int generate_refuse(const gradrt_net *net, const char *what)
{
  return gradrt_error(GRADRT_USAGE, "%s cannot generate text: %s", net->name, what);
}

static const gradrt_source *generate_source(const gradrt_net *net)
{
  for (int i = 0; i < net->nsource; i++)
    if (strcmp(net->source[i].kind, "text") == 0)
      return &net->source[i];
  return NULL;
}

/* The output with one score a token, or one for each place of the window. */
static int generate_find_output(generate_job *j)
{
  const gradrt_function *f = &j->s->net->infer;
  for (int o = 0; o < f->noutput; o++) {
    int64_t elems = gradrt_output_elems(&f->output[o]);
    j->each = elems == j->window * j->field->classes && f->output[o].rank > 1;
    if (f->output[o].batched && (j->each || elems == j->field->classes))
      return o;
  }
  return -1;
}

static int generate_open(generate_job *j)
{
  const gradrt_net *net = j->s->net;
  const gradrt_source *source = generate_source(net);
  j->input = -1;
  for (int i = 0; i < net->nfield; i++)
    if (net->field[i].token && !net->field[i].next_of && net->field[i].rank == 1)
      j->input = i;
  if (!source || j->input < 0 || !net->infer.fn)
    return generate_refuse(net, "it reads no text");
  j->field = &net->field[j->input];
  j->window = j->field->dim[0];
  j->tokens = gradrt_tokens_of(source);
  j->lines = gradrt_prop_number(source, "lines", 0) != 0;
  j->output = generate_find_output(j);
  if (j->output < 0)
    return generate_refuse(net, "no output of infer has a score for each token");
  j->newline = gradrt_token_number(j->field, j->tokens, "\n", 1);
  j->text = gradrt_alloc((size_t)j->window * sizeof *j->text);
  j->rows = gradrt_alloc((size_t)j->window * gradrt_dtype_size(j->field->dtype));
  j->choice = gradrt_alloc((size_t)j->field->classes * sizeof *j->choice);
  if (!j->text || !j->rows || !j->choice)
    return gradrt_error(GRADRT_LIMIT, "out of memory for the text");
  gradrt_stream_start(&j->draw, j->g->seed, GRADRT_PURPOSE_DATA, gradrt_hash_name("generate"));
  return GRADRT_OK;
}

/* ---- tokens ---- */

static void generate_push(generate_job *j, int64_t token)
{
  bool full = j->n == j->window;
  for (int64_t i = 0; full && i + 1 < j->n; i++)
    j->text[i] = j->text[i + 1];
  j->n += !full;
  j->text[j->n - 1] = token;
}

static int generate_prompt(generate_job *j)
{
  const char *prompt = j->g->prompt ? j->g->prompt : "", *token;
  size_t length;
  gradrt_text t = { .at = prompt, .end = prompt + strlen(prompt), .tokens = j->tokens };
  char plain[GENERATE_SHOWN + 8], shown[GENERATE_SHOWN];
  for (const char *p = prompt; *p && j->tokens != GRADRT_TOKEN_BYTES;) {
    int n = gradrt_text_utf8((const unsigned char *)p);
    if (n < 1)
      return gradrt_error(GRADRT_USAGE, "the prompt is no UTF-8 text");
    p += n;
  }
  if (j->lines || (!*prompt && j->newline >= 0))
    generate_push(j, j->newline);
  while (gradrt_text_next(&t, &token, &length)) {
    int64_t number = gradrt_token_number(j->field, j->tokens, token, length);
    snprintf(shown, sizeof shown, "%.*s", (int)(length < sizeof shown ? length : 8), token);
    if (number < 0)
      return gradrt_error(GRADRT_USAGE, "the prompt: the character '%s' is not in the vocabulary",
                          gradrt_text_plain(plain, sizeof plain, shown));
    generate_push(j, number);
  }
  bool full = j->each || j->lines || j->n == j->window;
  if (j->n > 0 && full)
    return GRADRT_OK;
  return gradrt_error(GRADRT_USAGE,
                      "the prompt has %" PRId64 " token%s, but this net needs %" PRId64
                      " to go on from", *prompt ? j->n : 0, j->n == 1 && *prompt ? "" : "s",
                      j->each ? (int64_t)1 : j->window);
}

static bool generate_is_mark(const char *word)
{
  return !word[1] && strchr(".,;:!?)\n", *word) && *word;
}

static void generate_put(generate_job *j, int64_t token, FILE *out)
{
  if (j->tokens == GRADRT_TOKEN_BYTES) {
    fputc((int)token, out);
    return;
  }
  const char *word = j->field->class_name[token];
  bool blank = j->tokens == GRADRT_TOKEN_WORDS && j->begun && !j->after_mark;
  if (blank && !generate_is_mark(word))
    fputc(' ', out);
  fputs(word, out);
  j->begun = true;
  j->after_mark = *word == '\n' || *word == '(';
}

/* ---- one step ---- */

/* Fills the window; returns the place of the last token. */
static int64_t generate_window(generate_job *j)
{
  int64_t before = j->each ? 0 : j->window - j->n;
  for (int64_t i = 0; i < j->window; i++) {
    int64_t at = i - before;
    double token = at < 0 ? (double)j->text[0] : at < j->n ? (double)j->text[at] : 0;
    gradrt_dtype_put(j->field->dtype, j->rows, i, token);
  }
  return j->n - 1;
}

static int generate_compare(const void *x, const void *y)
{
  const generate_choice *a = x, *b = y;
  if (a->score != b->score)
    return a->score > b->score ? -1 : 1;
  return (a->token > b->token) - (a->token < b->token);
}

/* Scores as logarithms, largest first; false: they are not numbers. */
static bool generate_scores(generate_job *j, const void *row, int64_t first)
{
  gradrt_dtype real = j->s->net->real;
  double sum = 0;
  bool share = true;
  for (int64_t k = 0; k < j->field->classes; k++) {
    double v = gradrt_dtype_get(real, row, first + k);
    if (isnan(v))
      return false;
    j->choice[k] = (generate_choice){ v, k };
    share = share && v >= 0;
    sum += v;
  }
  share = share && fabs(sum - 1) < 1e-3;
  for (int64_t k = 0; k < j->field->classes && share; k++)
    j->choice[k].score = log(j->choice[k].score);
  qsort(j->choice, (size_t)j->field->classes, sizeof *j->choice, generate_compare);
  return true;
}

static int64_t generate_draw(generate_job *j)
{
  int64_t most = j->g->top > 0 && j->g->top < j->field->classes ? j->g->top : j->field->classes;
  double sum = 0, top = j->choice[0].score, at = gradrt_stream_uniform(&j->draw);
  if (!(j->g->temperature > 0))
    return j->choice[0].token;
  for (int64_t k = 0; k < most; k++) {
    j->choice[k].score = exp((j->choice[k].score - top) / j->g->temperature);
    sum += j->choice[k].score;
  }
  at *= sum;
  for (int64_t k = 0; k < most; k++) {
    at -= j->choice[k].score;
    if (at < 0)
      return j->choice[k].token;
  }
  return j->choice[0].token;
}

static int generate_next(generate_job *j, gradrt_step *step, int64_t *token)
{
  int64_t place = generate_window(j);
  step->n = 1;
  j->s->ids[0] = 0;
  gradrt_session_run(j->s, GRADRT_FN_INFER, step);
  if (!generate_scores(j, step->out[j->output], j->each ? place * j->field->classes : 0))
    return gradrt_error(GRADRT_NONFINITE, "the net's scores are not numbers");
  *token = generate_draw(j);
  generate_push(j, *token);
  return GRADRT_OK;
}

static int generate_tokens(generate_job *j, FILE *out)
{
  const void *rows[GRADRT_FIELDS_MAX];
  for (int f = 0; f < GRADRT_FIELDS_MAX; f++)
    rows[f] = j->rows;
  gradrt_step step;
  gradrt_session_bind(j->s, GRADRT_FN_INFER, rows, &step);
  int code = GRADRT_OK;
  for (int64_t i = 0; i < j->g->length && code == GRADRT_OK; i++) {
    int64_t token = 0;
    code = generate_next(j, &step, &token);
    if (code == GRADRT_OK)
      generate_put(j, token, out);
    if (j->lines && token == j->newline) {
      j->n = 0;
      generate_push(j, token);
    }
  }
  return code;
}

static void generate_close(generate_job *j)
{
  gradrt_free(j->text);
  gradrt_free(j->rows);
  gradrt_free(j->choice);
}

int gradrt_generate_verify(gradrt_session *s, const gradrt_generation *g)
{
  generate_job j = { .s = s, .g = g };
  int code = generate_open(&j);
  code = code == GRADRT_OK ? generate_prompt(&j) : code;
  generate_close(&j);
  return code;
}

int gradrt_generate(gradrt_session *s, const gradrt_generation *g, FILE *out)
{
  generate_job j = { .s = s, .g = g };
  int code = generate_open(&j);
  code = code == GRADRT_OK ? generate_prompt(&j) : code;
  if (code == GRADRT_OK && g->prompt) {
    fputs(g->prompt, out);
    j.begun = *g->prompt;
  }
  code = code == GRADRT_OK ? generate_tokens(&j, out) : code;
  generate_close(&j);
  return code;
}

int gradrt_generate_main(const gradrt_net *net, const gradrt_options *o)
{
  gradrt_session s;
  char path[GRADRT_PATH_MAX], plain[GRADRT_PATH_MAX];
  gradrt_generation g = { .prompt = o->prompt,
                          .length = isnan(o->length) ? 400 : (int64_t)o->length,
                          .temperature = isnan(o->temperature) ? 1 : o->temperature,
                          .top = isnan(o->top_k) ? 0 : (int64_t)o->top_k,
                          .seed = isnan(o->seed) ? 1 : (uint64_t)o->seed };
  int code = gradrt_session_open(&s, net, o);
  code = code == GRADRT_OK ? gradrt_session_weights(&s, path) : code;
  if (code == GRADRT_OK && !o->quiet)
    fprintf(stderr, "weights: %s\n", gradrt_text_plain(plain, sizeof plain, path));
  code = code == GRADRT_OK ? gradrt_generate(&s, &g, stdout) : code;
  if (code == GRADRT_OK)
    fputc('\n', stdout);
  gradrt_session_close(&s);
  return code;
}
