/* CIFAR's binary files: records of one label byte (CIFAR-10) or a coarse and a fine one (CIFAR-100;
 * the fine one is used), then 3 x 32 x 32 bytes, colour planes one after another. Several files
 * make one source. */
#include "data.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { CIFAR_PIXELS = 3072, CIFAR_FILES_MAX = 64, CIFAR_BATCH = 64 };

typedef struct {
  const gradrt_ask *ask;
  int field[2];                 /* images, labels; -1: none */
  int head;                     /* label bytes of a record */
  int nfile;
  int64_t n[CIFAR_FILES_MAX];   /* records of each file */
  char path[GRADRT_DATA_PATH];  /* names of the files, each ended by 0 */
} cifar_job;

/* Adds `n` letters, the number unless it is negative, and `rest` letters of `end` to job->path. */
static int cifar_add_name(cifar_job *j, size_t *at, const char *name, size_t n, int number,
                          const char *end, size_t rest)
{
  const char *place = j->ask->source->place ? j->ask->source->place : j->ask->net->file;
  char digits[16] = "";
  if (number >= 0)
    snprintf(digits, sizeof digits, "%d", number);
  if (j->nfile++ == CIFAR_FILES_MAX)
    return gradrt_error(GRADRT_DATA, "%s: more than %d files", place, CIFAR_FILES_MAX);
  if (n + rest + sizeof digits >= sizeof j->path - *at)
    return gradrt_error(GRADRT_DATA, "%s: the list of files is too long", place);
  *at += (size_t)snprintf(j->path + *at, sizeof j->path - *at, "%.*s%s%.*s", (int)n, name, digits,
                          (int)rest, end) + 1;
  return GRADRT_OK;
}

/* One item of the list, n letters: a name, or those of "batch_1..5.bin". */
static int cifar_item(cifar_job *j, size_t *at, const char *item, size_t n)
{
  size_t first = 0;
  while (first < n && !(item[first] >= '0' && item[first] <= '9' &&
                        strncmp(item + first + 1, "..", 2) == 0 && item[first + 3] >= '0' &&
                        item[first + 3] <= '9'))
    first++;
  if (first + 4 > n)
    return cifar_add_name(j, at, item, n, -1, "", 0);
  int code = GRADRT_OK;
  for (int k = item[first] - '0'; k <= item[first + 3] - '0' && code == GRADRT_OK; k++)
    code = cifar_add_name(j, at, item, first, k, item + first + 4, n - first - 4);
  return code;
}

/* Splits "a.bin, b.bin" into job->path. */
static int cifar_names(cifar_job *j)
{
  const char *list = gradrt_prop_text(j->ask->source, "path", "");
  const char *place = j->ask->source->place ? j->ask->source->place : j->ask->net->file;
  size_t at = 0;
  for (const char *p = list; *p; p += *p == ',') {
    p += strspn(p, " ");
    size_t n = strcspn(p, ","), used = n;
    while (used > 0 && p[used - 1] == ' ')
      used--;
    int code = used > 0 ? cifar_item(j, &at, p, used) : GRADRT_OK;
    if (code != GRADRT_OK)
      return code;
    p += n;
  }
  return j->nfile > 0 ? GRADRT_OK
                      : gradrt_error(GRADRT_DATA, "%s: cifar(..) needs the path of a file", place);
}

/* Counts the records of a file; a file that is no whole number of them is refused. */
static int cifar_count(const cifar_job *j, const char *name, int64_t *n)
{
  gradrt_file f;
  int record = j->head + CIFAR_PIXELS, other = record == 3073 ? 3074 : 3073;
  int code = gradrt_file_open(&f, j->ask, name);
  if (code != GRADRT_OK)
    return code;
  *n = f.size / record;
  if (f.size == 0 || f.size % record != 0) {
    code = gradrt_error(
        GRADRT_DATA, "%s: %" PRId64 " bytes are not a whole number of CIFAR-%d records of %d bytes",
        f.path, f.size, j->head == 1 ? 10 : 100, record);
    if (f.size > 0 && f.size % other == 0)
      gradrt_note("they are %" PRId64 " records of CIFAR-%d: write classes=%d", f.size / other,
                  j->head == 1 ? 100 : 10, j->head == 1 ? 100 : 10);
    else if (f.size > record)
      gradrt_note("%" PRId64 " records and %" PRId64 " bytes more: the file seems cut short",
                  f.size / record, f.size % record);
  }
  gradrt_file_close(&f);
  return code;
}

static int cifar_read_file(const cifar_job *j, const char *name, int64_t first, int64_t n,
                           gradrt_rows *out)
{
  const gradrt_wire byte = { 'u', 1, false };
  const gradrt_field *field = j->ask->net->field;
  unsigned char buffer[CIFAR_BATCH * (CIFAR_PIXELS + 2)];
  int record = j->head + CIFAR_PIXELS;
  gradrt_file f;
  int code = gradrt_file_open(&f, j->ask, name);
  if (code == GRADRT_OK && f.size != n * record)
    code = gradrt_error(GRADRT_DATA, "%s: the file changed while it was read", f.path);
  for (int64_t i = 0; i < n && code == GRADRT_OK; i += CIFAR_BATCH) {
    int64_t some = n - i < CIFAR_BATCH ? n - i : CIFAR_BATCH;
    code = gradrt_file_read(&f, buffer, (size_t)(some * record));
    for (int64_t k = 0; k < some && code == GRADRT_OK; k++) {
      const unsigned char *at = buffer + k * record;
      if (j->field[0] >= 0)
        gradrt_wire_copy(field[j->field[0]].dtype, out->rows[j->field[0]],
                         (first + i + k) * CIFAR_PIXELS, byte, at + j->head, CIFAR_PIXELS);
      if (j->field[1] >= 0)
        gradrt_wire_copy(field[j->field[1]].dtype, out->rows[j->field[1]], first + i + k, byte,
                         at + j->head - 1, 1);
    }
  }
  if (code == GRADRT_OK && j->field[1] >= 0 && field[j->field[1]].is_label) {
    const gradrt_field *y = &field[j->field[1]];
    const char *labels = out->rows[j->field[1]];
    code = gradrt_labels_check(y, f.path, "record",
                               labels + (size_t)first * gradrt_dtype_size(y->dtype), n);
  }
  int end = code == GRADRT_OK ? gradrt_file_finish(&f) : code;
  gradrt_file_close(&f);
  return end;
}

static int cifar_fields(const cifar_job *j)
{
  const gradrt_net *net = j->ask->net;
  const int64_t want[2] = { CIFAR_PIXELS, 1 };
  for (int k = 0; k < 2; k++) {
    const gradrt_field *f = j->field[k] >= 0 ? &net->field[j->field[k]] : NULL;
    if (f && gradrt_field_elems(f) != want[k])
      return gradrt_error(
          GRADRT_DATA, "%s: CIFAR gives %" PRId64 " number%s for field '%s', which has %" PRId64,
          f->place ? f->place : net->file, want[k], k ? "" : "s", f->name, gradrt_field_elems(f));
  }
  return GRADRT_OK;
}

int gradrt_read_cifar(const gradrt_ask *a, gradrt_rows *out)
{
  cifar_job j = { .ask = a, .head = gradrt_prop_number(a->source, "classes", 10) > 10 ? 2 : 1 };
  int code = gradrt_fields_pair(a, &j.field[0], &j.field[1]);
  code = code == GRADRT_OK ? cifar_fields(&j) : code;
  code = code == GRADRT_OK ? cifar_names(&j) : code;
  const char *name = j.path;
  for (int i = 0; i < j.nfile && code == GRADRT_OK; i++, name += strlen(name) + 1) {
    code = cifar_count(&j, name, &j.n[i]);
    out->n += j.n[i];
  }
  for (int k = 0; k < 2 && code == GRADRT_OK; k++)
    code = j.field[k] >= 0 ? gradrt_rows_alloc(a, out, j.field[k]) : GRADRT_OK;
  int64_t first = 0;
  name = j.path;
  for (int i = 0; i < j.nfile && code == GRADRT_OK; i++, name += strlen(name) + 1) {
    code = cifar_read_file(&j, name, first, j.n[i], out);
    first += j.n[i];
  }
  return code;
}
