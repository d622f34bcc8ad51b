/* Small text: JSON strings, numbers for people, edit distance, paths and class names. The one place
 * through which names from a spec or a file reach a terminal or a JSON stream. */
#include "run.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

int gradrt_text_utf8(const unsigned char *s)
{
  if (s[0] < 0x80) {
    return 1;
  }
  int n = s[0] >= 0xC2 && s[0] < 0xE0   ? 2
          : s[0] >= 0xE0 && s[0] < 0xF0 ? 3
          : s[0] >= 0xF0 && s[0] < 0xF5 ? 4
                                        : 0;
  for (int i = 1; i < n; i++) {
    if ((s[i] & 0xC0) != 0x80) {
      return 0;
    }
  }
  bool overlong = (s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xF0 && s[1] < 0x90);
  bool surrogate = (s[0] == 0xED && s[1] > 0x9F) || (s[0] == 0xF4 && s[1] > 0x8F);
  return overlong || surrogate ? 0 : n;
}

void gradrt_json_string(FILE *f, const char *s)
{
  fputc('"', f);
  for (const unsigned char *p = (const unsigned char *)s; *p;) {
    int n = gradrt_text_utf8(p);
    if (*p == '"' || *p == '\\') {
      fprintf(f, "\\%c", *p);
    } else if (*p < 0x20 || *p == 0x7F) {
      fprintf(f, "\\u%04x", *p);
    } else if (n == 0) {
      fputs("\\ufffd", f);
    } else {
      fwrite(p, 1, (size_t)n, f);
    }
    p += n ? n : 1;
  }
  fputc('"', f);
}

void gradrt_json_number(FILE *f, double v)
{
  if (isnan(v)) {
    fputs("\"nan\"", f);
  } else if (isinf(v)) {
    fputs(v > 0 ? "\"inf\"" : "\"-inf\"", f);
  } else {
    fprintf(f, "%.9g", v);
  }
}

const char *gradrt_text_count(char *buf, size_t size, int64_t n)
{
  char digits[24];
  int length = snprintf(digits, sizeof digits, "%lld", (long long)n);
  size_t at = 0;
  for (int i = 0; i < length && at + 2 < size; i++) {
    buf[at++] = digits[i];
    if (digits[i] != '-' && (length - i - 1) % 3 == 0 && i + 1 < length) {
      buf[at++] = ',';
    }
  }
  buf[at] = 0;
  return buf;
}

const char *gradrt_text_plain(char *buf, size_t size, const char *s)
{
  size_t at = 0;
  for (const unsigned char *p = (const unsigned char *)s; *p;) {
    int n = gradrt_text_utf8(p);
    bool steers =
        n == 3 && p[0] == 0xE2 && /* marks and overrides of direction */
        ((p[1] == 0x80 && ((p[2] >= 0x8B && p[2] <= 0x8F) || (p[2] >= 0xA8 && p[2] <= 0xAE))) ||
         (p[1] == 0x81 && p[2] >= 0xA0 && p[2] <= 0xAF));
    bool control =
        n == 0 || *p < 0x20 || *p == 0x7F || (n == 2 && p[0] == 0xC2 && p[1] < 0xA0) || steers;
    size_t length = control ? 1 : (size_t)n;
    if (at + length + 1 > size) {
      break;
    }
    if (control) {
      buf[at] = '?';
    } else {
      memcpy(buf + at, p, length);
    }
    at += length;
    p += n ? n : 1;
  }
  buf[at] = 0;
  return buf;
}

int gradrt_text_points(const char *s)
{
  int points = 0;
  for (; *s; s++) {
    points += ((unsigned char)*s & 0xC0) != 0x80;
  }
  return points;
}

/* The byte where character `point` begins. */
static size_t text_point(const char *s, int point)
{
  size_t at = 0;
  for (; s[at] && point >= 0; at++) {
    point -= ((unsigned char)s[at] & 0xC0) != 0x80;
    if (point < 0) {
      break;
    }
  }
  return at;
}

const char *gradrt_text_short(char *buf, int most, const char *s)
{
  int points = gradrt_text_points(s), last = (most - 2) / 2;
  if (points <= most) {
    strcpy(buf, s);
    return buf;
  }
  size_t first = text_point(s, most - 2 - last);
  memcpy(buf, s, first);
  strcpy(buf + first, "..");
  strcpy(buf + first + 2, s + text_point(s, points - last));
  return buf;
}

static int text_least(int a, int b, int c)
{
  int least = a < b ? a : b;
  return least < c ? least : c;
}

int gradrt_text_distance(const char *a, const char *b)
{
  enum { WORD_MAX = 40 };
  size_t na = strlen(a), nb = strlen(b);
  if (na >= WORD_MAX || nb >= WORD_MAX) {
    return 100;
  }
  int d[WORD_MAX][WORD_MAX];
  for (size_t i = 0; i <= na; i++) {
    for (size_t j = 0; j <= nb; j++) {
      if (i == 0 || j == 0) {
        d[i][j] = (int)(i + j);
        continue;
      }
      d[i][j] =
          text_least(d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
      bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped && d[i - 2][j - 2] + 1 < d[i][j]) {
        d[i][j] = d[i - 2][j - 2] + 1;
      }
    }
  }
  return d[na][nb];
}

const char *gradrt_text_nearest(const char *word, const char *const *words, int n)
{
  const char *best = NULL;
  int least = strlen(word) < 4 ? 1 : strlen(word) < 8 ? 2 : 3;
  for (int i = 0; i < n; i++) {
    int d = gradrt_text_distance(word, words[i]);
    if (d < least || (d == least && !best)) {
      least = d;
      best = words[i];
    }
  }
  return best;
}

bool gradrt_text_number(const char *text, double *out)
{
  char *end;
  if (isspace((unsigned char)*text) || *text == 0) {
    return false;
  }
  errno = 0;
  double v = strtod(text, &end);
  if (*end == '%' && end[1] == 0) {
    v /= 100;
    end++;
  }
  if (end == text || *end != 0 || !gradrt_is_finite(v)) {
    return false;
  }
  *out = v;
  return true;
}

int gradrt_path_join(char *out, const char *dir, const char *name)
{
  size_t n = strlen(dir);
  const char *slash = n > 0 && dir[n - 1] == '/' ? "" : "/";
  int length = snprintf(out, GRADRT_PATH_MAX, "%s%s%s", dir, slash, name);
  if (length < 0 || length >= GRADRT_PATH_MAX) {
    return gradrt_error(GRADRT_IO, "the path %.60s.../%s is longer than %d bytes", dir, name,
                        GRADRT_PATH_MAX);
  }
  return GRADRT_OK;
}

bool gradrt_path_is_dir(const char *path)
{
  struct stat st;
  return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool gradrt_path_exists(const char *path)
{
  struct stat st;
  return stat(path, &st) == 0;
}

int gradrt_path_make(const char *dir)
{
  char path[GRADRT_PATH_MAX];
  if (*dir == 0 || strlen(dir) >= sizeof path) {
    return gradrt_error(GRADRT_IO, "cannot create a folder with %s name",
                        *dir ? "so long a" : "an empty");
  }
  strcpy(path, dir);
  for (char *p = path + 1;; p++) {
    if (*p != '/' && *p != 0) {
      continue;
    }
    char kept = *p;
    *p = 0;
    if (mkdir(path, 0777) != 0 && !gradrt_path_is_dir(path)) {
      int why = errno;
      return gradrt_error(GRADRT_IO, "cannot create the folder %s: %s", path,
                          why == EEXIST ? "a file of that name is in the way" : strerror(why));
    }
    *p = kept;
    if (kept == 0) {
      return GRADRT_OK;
    }
  }
}

double gradrt_clock(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

const char *gradrt_class_name(const gradrt_net *net, const char *field, int64_t classes,
                              int64_t cls, char *buf, size_t size)
{
  const gradrt_field *label = NULL;
  int matches = 0;
  for (int i = 0; i < net->nfield; i++) {
    const gradrt_field *f = &net->field[i];
    if (!f->is_label || f->classes != classes) {
      continue;
    }
    if (field && strcmp(f->name, field) == 0) {
      label = f;
      matches = 1;
      break;
    }
    label = f;
    matches++;
  }
  if (matches == 1 && label->class_name && cls >= 0 && cls < classes && label->class_name[cls]) {
    const char *name = label->class_name[cls];
    return gradrt_text_plain(buf, size, strcmp(name, "\n") == 0 ? "\\n" : name);
  }
  snprintf(buf, size, "%lld", (long long)cls);
  return buf;
}
