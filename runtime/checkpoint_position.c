/* The position of a run as the text of a checkpoint's metadata, and back. Each value has exactly
 * one spelling, the same on every machine and in every locale; any other one is refused. */
#include "checkpoint.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CKPOS_POWER = 5000 };    /* beyond the exponents of any double */

const char *gradrt_checkpoint_key(int i)
{
  static const char *const keys[] = {
#define X(k, text) text,
    CHECKPOINT_KEYS(X)
#undef X
  };
  return keys[i];
}

bool gradrt_checkpoint_digits(const char *text, uint32_t *out)
{
  uint32_t v = 0;
  for (int i = 0; i < CHECKPOINT_DIGITS; i++) {
    char c = text[i];
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
      return false;
    v = v << 4 | (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
  }
  *out = v;
  return text[CHECKPOINT_DIGITS] == '\0';
}

const char *gradrt_checkpoint_real_text(char text[CHECKPOINT_REAL_TEXT], double v)
{
  uint64_t bits;
  memcpy(&bits, &v, sizeof bits);
  const char *minus = bits >> 63 ? "-" : "";
  int power = (int)(bits >> 52 & 0x7FF);
  uint64_t digits = bits & ((UINT64_C(1) << 52) - 1);
  if (power == 0x7FF) {
    snprintf(text, CHECKPOINT_REAL_TEXT, "%s%s", digits ? "" : minus, digits ? "nan" : "inf");
    return text;
  }
  char tail[CHECKPOINT_REAL_TEXT];
  int shown = power ? power - 1023 : digits ? -1022 : 0, width = 13;
  snprintf(tail, sizeof tail, "%013" PRIx64, digits);
  while (width > 0 && tail[width - 1] == '0')
    width--;
  snprintf(text, CHECKPOINT_REAL_TEXT, "%s0x%d%s%.*sp%+d", minus, power ? 1 : 0, width ? "." : "",
           width, tail, shown);
  return text;
}

/* A whole number in its only form: no sign but '-', no leading zeros, at least `least`. */
static bool ckpos_integer(const char *text, int64_t least, int64_t *out)
{
  char again[32];
  errno = 0;
  long long v = strtoll(text, NULL, 10);
  snprintf(again, sizeof again, "%lld", v);
  *out = v;
  return errno == 0 && strcmp(again, text) == 0 && *out >= least;
}

static bool ckpos_unsigned(const char *text, uint64_t *out)
{
  char again[32];
  errno = 0;
  unsigned long long v = strtoull(text, NULL, 10);
  snprintf(again, sizeof again, "%llu", v);
  *out = v;
  return errno == 0 && strcmp(again, text) == 0;
}

/* Bits of a number's text, without the locale's help; what is accepted is decided by writing it
 * again. */
static double ckpos_hex_real(const char *p)
{
  bool minus = *p == '-';
  uint64_t digits = 0;
  int scale = 0;
  p += minus;
  if (strncmp(p, "0x", 2) != 0)
    return strcmp(p, "inf") == 0 ? (minus ? -HUGE_VAL : HUGE_VAL) : NAN;
  for (p += 2; *p && *p != 'p' && digits >> 56 == 0; p++) {
    if (*p == '.') {
      scale = 1;
      continue;
    }
    digits = digits << 4 | (uint64_t)(*p <= '9' ? *p - '0' : *p - 'a' + 10);
    scale += scale ? 4 : 0;
  }
  long power = *p == 'p' ? strtol(p + 1, NULL, 10) : 0;
  power = power < -CKPOS_POWER ? -CKPOS_POWER : power > CKPOS_POWER ? CKPOS_POWER : power;
  double v = ldexp((double)digits, (int)power - (scale ? scale - 1 : 0));
  return minus ? -v : v;
}

static bool ckpos_real(const char *text, double *out)
{
  char again[CHECKPOINT_REAL_TEXT];
  *out = ckpos_hex_real(text);
  return strcmp(gradrt_checkpoint_real_text(again, *out), text) == 0;
}

/* The next word of a list separated by single blanks; "" when there is none or it is too long. */
static const char *ckpos_next_word(const char **at, char word[CHECKPOINT_REAL_TEXT])
{
  size_t n = strcspn(*at, " ");
  bool fits = n < CHECKPOINT_REAL_TEXT;
  memcpy(word, *at, fits ? n : 0);
  word[fits ? n : 0] = '\0';
  *at += n;
  *at += **at == ' ' && (*at)[1] != '\0';
  return word;
}

static bool ckpos_reals(const char *text, double *out, int n)
{
  char word[CHECKPOINT_REAL_TEXT];
  for (int i = 0; i < n; i++)
    if (!ckpos_real(ckpos_next_word(&text, word), &out[i]))
      return false;
  return *text == '\0';
}

static bool ckpos_torch(const char *text, gradrt_torch *t)
{
  char word[CHECKPOINT_REAL_TEXT];
  int64_t at, has;
  for (int i = 0; i < CHECKPOINT_TORCH_WORDS; i++, text += CHECKPOINT_DIGITS) {
    char digits[CHECKPOINT_DIGITS + 1] = "";
    for (int k = 0; k < CHECKPOINT_DIGITS && text[k]; k++)
      digits[k] = text[k];
    if (!gradrt_checkpoint_digits(digits, &t->mt[i]))
      return false;
  }
  if (*text++ != ' ' || !ckpos_integer(ckpos_next_word(&text, word), 0, &at) ||
      at > CHECKPOINT_TORCH_WORDS || !ckpos_integer(ckpos_next_word(&text, word), 0, &has) ||
      has > 1 || !ckpos_real(ckpos_next_word(&text, word), &t->next_normal))
    return false;
  t->at = (int)at;
  t->has_normal = has == 1;
  return *text == '\0';
}

static bool ckpos_hex_text(const char *text, char out[65])
{
  size_t n = strspn(text, "0123456789abcdef");
  if (text[n] != '\0' || n > 64)
    return false;
  memcpy(out, text, n + 1);
  return true;
}

bool gradrt_checkpoint_position(const char *const *v, gradrt_position *p, gradrt_refusal *why)
{
  const struct { int key; bool good; } fields[] = {
    { CHECKPOINT_DATA, ckpos_hex_text(v[CHECKPOINT_DATA], p->data_text) },
    { CHECKPOINT_EPOCH, ckpos_integer(v[CHECKPOINT_EPOCH], 0, &p->epoch) },
    { CHECKPOINT_STEP, ckpos_integer(v[CHECKPOINT_STEP], 0, &p->step) },
    { CHECKPOINT_BATCH, ckpos_integer(v[CHECKPOINT_BATCH], 0, &p->batch_in_epoch) },
    { CHECKPOINT_BEST, ckpos_real(v[CHECKPOINT_BEST], &p->best) },
    { CHECKPOINT_BEST_EPOCH, ckpos_integer(v[CHECKPOINT_BEST_EPOCH], -1, &p->best_epoch) },
    { CHECKPOINT_STALLED, ckpos_integer(v[CHECKPOINT_STALLED], 0, &p->stalled) },
    { CHECKPOINT_SEED, ckpos_unsigned(v[CHECKPOINT_SEED], &p->seed) },
    { CHECKPOINT_LOSS_SUM, ckpos_real(v[CHECKPOINT_LOSS_SUM], &p->loss_sum) },
    { CHECKPOINT_SEEN, ckpos_real(v[CHECKPOINT_SEEN], &p->seen) && p->seen >= 0 },
    { CHECKPOINT_COUNTERS, ckpos_reals(v[CHECKPOINT_COUNTERS], p->counters,
                                       CHECKPOINT_COUNTER_MAX) },
    { CHECKPOINT_TORCH, ckpos_torch(v[CHECKPOINT_TORCH], &p->torch) },
    { CHECKPOINT_KEPT,
      !v[CHECKPOINT_KEPT] || ckpos_reals(v[CHECKPOINT_KEPT], p->kept, GRADRT_KEPT) },
  };
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
    if (!fields[i].good)
      return gradrt_refuse(why, GRADRT_CHECKPOINT, "its metadata '%s' has the wrong form: '%.40s'",
                           gradrt_checkpoint_key(fields[i].key), v[fields[i].key]);
  p->data_fingerprint = p->data_text;
  return true;
}

bool gradrt_checkpoint_vocabulary(const gradrt_net *net, char text[CHECKPOINT_VOCABULARY_TEXT])
{
  const gradrt_field *f = net->field;
  int n = 0;
  while (n < net->nfield && !f[n].token)
    n++;
  if (n == net->nfield)
    return false;
  uint32_t crc = 0;
  for (int64_t i = 0; f[n].class_name && i < f[n].classes; i++)
    crc = gradrt_crc32c(crc, f[n].class_name[i], strlen(f[n].class_name[i]) + 1);
  snprintf(text, CHECKPOINT_VOCABULARY_TEXT, "%" PRId64 ":%08" PRIx32, f[n].classes, crc);
  return true;
}
