/* Names of classes that the spec does not tell: folders and words of a table have them when data
 * are read, weights keep them in their metadata, as a JSON object of lists by field. */
#include "checkpoint.h"
#include "data.h"
#include "run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMES_SHOWN = 256 };

/* ---- a net's own ---- */

void gradrt_named_give(gradrt_named *to, const char *field, const char *const *name, int64_t n)
{
  int f = 0;
  while (to && f < to->net.nfield && strcmp(to->field[f].name, field) != 0)
    f++;
  if (!to || f == to->net.nfield || to->field[f].class_name || !to->field[f].is_label || !name ||
      to->field[f].classes != n)
    return;
  size_t table = (size_t)n * sizeof *name, bytes = table;
  for (int64_t i = 0; i < n; i++)
    bytes += strlen(name[i]) + 1;
  const char **copy = gradrt_alloc(bytes);      /* without it classes stay numbers */
  char *text = (char *)copy + table;
  for (int64_t i = 0; copy && i < n; i++) {
    copy[i] = strcpy(text, name[i]);
    text += strlen(text) + 1;
  }
  gradrt_free(to->given[f]);
  to->given[f] = copy;
  to->field[f].class_name = copy;
}

/* ---- reading ---- */

/* A JSON string at *p, decoded in place; NULL: it is none, or has an escape that checkpoints do not
 * write. */
static char *names_string(char **p)
{
  char *from = *p, *to;
  if (*from != '"')
    return NULL;
  char *start = to = ++from;
  while (*from != '"') {
    if (*from == 0)
      return NULL;
    if (*from != '\\') {
      *to++ = *from++;
      continue;
    }
    static const char letter[] = "\"\\/nrtbf", byte[] = "\"\\/\n\r\t\b\f";
    const char *at = from[1] ? strchr(letter, from[1]) : NULL;
    unsigned code = 0;
    int used = 0;
    if (!at && (sscanf(from, "\\u%4x%n", &code, &used) != 1 || used != 6 || code - 1 > 126))
      return NULL;
    *to++ = at ? byte[at - letter] : (char)code;
    from += at ? 2 : 6;
  }
  *to = 0;
  *p = from + 1;
  return start;
}

/* The list of a field in the text: its strings one after the other, each ended by 0, from *first
 * on; returns how many. 0: there is no such field, or the text is another. */
static int64_t names_find(char *text, const char *field, const char **first)
{
  char *p = text;
  while (*p == '{' || *p == ',') {
    p++;
    char *name = names_string(&p);
    int64_t n = 0;
    if (!name || *p++ != ':' || *p != '[')
      return 0;
    bool wanted = strcmp(name, field) == 0;
    char *end = NULL;
    for (bool more = true; more; n++) {
      p++;
      char *item = names_string(&p);
      if (!item || (*p != ',' && *p != ']'))
        return 0;
      more = *p == ',';
      size_t length = strlen(item) + 1;
      if (n == 0) {
        *first = item;
        end = item;
      }
      memmove(end, item, length);
      end += length;
    }
    p++;
    if (wanted)
      return n;
  }
  return 0;
}

/* "cat, dog, .." into buf. */
static const char *names_list(const char *const *name, int64_t n, char buf[NAMES_SHOWN])
{
  char plain[GRADRT_NAME_MAX];
  size_t at = 0;
  buf[0] = 0;
  for (int64_t i = 0; i < n; i++) {
    gradrt_text_plain(plain, sizeof plain, name[i]);
    if (at + strlen(plain) + 6 > NAMES_SHOWN) {
      strcpy(buf + at, ", ..");
      break;
    }
    at += (size_t)snprintf(buf + at, NAMES_SHOWN - at, "%s%s", i ? ", " : "", plain);
  }
  return buf;
}

static void names_compare(gradrt_named *to, const gradrt_field *f, const char *const *theirs,
                          const char *path)
{
  char have[NAMES_SHOWN], here[NAMES_SHOWN], plain[GRADRT_PATH_MAX];
  bool same = f->class_name;
  for (int64_t i = 0; same && i < f->classes; i++)
    same = strcmp(f->class_name[i], theirs[i]) == 0;
  if (!f->class_name)
    gradrt_named_give(to, f->name, theirs, f->classes);
  else if (!same)
    gradrt_note("warning: the weights of %s know other classes of '%s': %s; here they are %s",
                gradrt_text_plain(plain, sizeof plain, path), f->name,
                names_list(theirs, f->classes, have), names_list(f->class_name, f->classes, here));
}

void gradrt_class_names_meet(gradrt_named *to, const gradrt_net *net, const char *path)
{
  for (int f = 0; f < net->nfield; f++) {
    const gradrt_field *field = &net->field[f];
    const char *at = NULL;
    if (!field->is_label || field->token)
      continue;
    char *text = gradrt_weights_note(path, CHECKPOINT_CLASSES_KEY);
    int64_t n = text ? names_find(text, field->name, &at) : 0;
    const char **name = n == field->classes ? gradrt_alloc((size_t)n * sizeof *name) : NULL;
    for (int64_t i = 0; name && i < n; i++, at += strlen(at) + 1)
      name[i] = at;
    if (name)
      names_compare(to, field, name, path);
    gradrt_free(name);
    free(text);
  }
}
