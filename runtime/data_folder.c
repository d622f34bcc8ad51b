/* What a folder holds, by name: its folders or its pictures, in byte order. Names that begin with a
 * point are left out. Also the classes that folders of pictures stand for. */
#include "data.h"
#include "run.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { FOLDER_NAME_MAX = 1024 };

bool gradrt_name_is_picture(const char *name)
{
  static const char *const endings[] = { "png", "jpg", "jpeg" };
  const char *dot = strrchr(name, '.');
  for (size_t i = 0; dot && i < sizeof endings / sizeof *endings; i++) {
    size_t n = strlen(endings[i]), k = 0;
    while (k < n && (dot[1 + k] | 0x20) == endings[i][k])
      k++;
    if (k == n && !dot[1 + n])
      return true;
  }
  return false;
}

static bool folder_wants(const char *path, const char *name, gradrt_entries kind)
{
  char full[GRADRT_DATA_PATH];
  if (name[0] == '.' || strlen(name) > FOLDER_NAME_MAX)
    return false;
  if (kind == GRADRT_PICTURES)
    return gradrt_name_is_picture(name);
  return gradrt_path_join(full, path, name) == GRADRT_OK && gradrt_path_is_dir(full);
}

/* Counts the wanted entries and the bytes of their names, or stores as many as were counted. */
static void folder_walk(DIR *dir, const char *path, gradrt_entries kind, gradrt_names *out,
                        size_t *bytes, bool store)
{
  int64_t most = out->n;
  size_t room = *bytes, at = 0;
  out->n = 0;
  *bytes = 0;
  for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
    size_t n = strlen(e->d_name) + 1;
    if (!folder_wants(path, e->d_name, kind))
      continue;
    if (store && (out->n == most || n > room - at))
      return;
    if (store) {
      out->name[out->n] = out->text + at;
      memcpy(out->text + at, e->d_name, n);
    }
    at += n;
    *bytes = at;
    out->n++;
  }
}

static int folder_compare(const void *x, const void *y)
{
  return strcmp(*(char *const *)x, *(char *const *)y);
}

bool gradrt_folder_names(const char *path, gradrt_entries kind, gradrt_names *out)
{
  DIR *dir = opendir(path);
  size_t bytes = 0;
  *out = (gradrt_names){ .n = 0 };
  if (!dir)
    return false;
  folder_walk(dir, path, kind, out, &bytes, false);
  out->text = gradrt_alloc(bytes + 1);
  out->name = gradrt_alloc(((size_t)out->n + 1) * sizeof *out->name);
  bool room = out->text && out->name;
  if (room) {
    rewinddir(dir);
    folder_walk(dir, path, kind, out, &bytes, true);
    qsort(out->name, (size_t)out->n, sizeof *out->name, folder_compare);
  } else {
    gradrt_names_free(out);
    errno = ENOMEM;
  }
  int why = errno;
  closedir(dir);
  errno = why;
  return room;
}

void gradrt_names_free(gradrt_names *n)
{
  gradrt_free(n->text);
  gradrt_free(n->name);
  *n = (gradrt_names){ .n = 0 };
}

int gradrt_names_find(const gradrt_names *n, const char *name)
{
  int64_t low = 0, high = n->n;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    int order = strcmp(n->name[middle], name);
    if (order == 0)
      return (int)middle;
    low = order < 0 ? middle + 1 : low;
    high = order < 0 ? high : middle;
  }
  return -1;
}

/* ---- classes ---- */

/* The source whose folders give classes their numbers: that of the training split, else the
 * first. */
static const gradrt_source *folder_reference(const gradrt_net *net)
{
  int train = net->training ? net->training->train_split : -1;
  const gradrt_source *first = NULL;
  if (train >= 0 && train < net->nsplit)
    first = &net->source[net->split[train].source];
  for (int i = 0; i < net->nsource && (!first || strcmp(first->kind, "images") != 0); i++)
    first = &net->source[i];
  return first && strcmp(first->kind, "images") == 0 ? first : NULL;
}

bool gradrt_folder_classes(const gradrt_ask *a, gradrt_names *out)
{
  char path[GRADRT_DATA_PATH];
  const gradrt_source *s = folder_reference(a->net);
  *out = (gradrt_names){ .n = 0 };
  return s && !gradrt_prop_text(s, "labels", NULL) &&
         gradrt_folder_find(a, gradrt_prop_text(s, "path", ""), path) &&
         gradrt_folder_names(path, GRADRT_FOLDERS, out);
}

/* The folder of each class of a label, where some classes are kept by number: of these. false: the
 * folders are not those of its classes. */
static bool folder_name_classes(const gradrt_field *f, const char *only,
                                const gradrt_names *folders, const char **shown)
{
  for (int64_t i = 0; i < f->classes; i++) {
    long number = only ? strtol(only, NULL, 10) : (long)i;
    if (number < 0 || number >= folders->n)
      return false;
    shown[i] = folders->name[number];
    only = only ? strchr(only, '\n') : NULL;
    only = only ? only + 1 : NULL;
  }
  return true;
}

const gradrt_net *gradrt_net_with_names(gradrt_named *n, const gradrt_net *net, const char *dir,
                                        const char *root)
{
  gradrt_ask ask = { .net = net, .dir = dir ? dir : ".", .root = root };
  const gradrt_source *s = folder_reference(net);
  const char *only = s ? gradrt_only(s) : NULL;
  *n = (gradrt_named){ .net = *net };
  if (net->nfield > GRADRT_FIELDS_MAX)
    return net;
  n->net.field = n->field;
  memcpy(n->field, net->field, (size_t)net->nfield * sizeof *n->field);
  if (!gradrt_folder_classes(&ask, &n->names))
    return &n->net;
  for (int f = 0; f < net->nfield; f++) {
    gradrt_field *field = &n->field[f];
    bool fits = field->is_label && !field->class_name && !n->shown &&
                (only ? gradrt_only_numbers(only) : field->classes == n->names.n);
    n->shown = fits ? gradrt_alloc((size_t)field->classes * sizeof *n->shown) : n->shown;
    if (fits && n->shown && folder_name_classes(field, only, &n->names, n->shown))
      field->class_name = n->shown;
  }
  return &n->net;
}

void gradrt_net_forget_names(gradrt_named *n)
{
  for (int f = 0; f < GRADRT_FIELDS_MAX; f++)
    gradrt_free(n->given[f]);
  gradrt_free(n->shown);
  gradrt_names_free(&n->names);
}
