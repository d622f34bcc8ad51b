/* Nets without a program around them, files in a folder of their own, and the messages that reading
 * them prints. For the tests of the data readers. */
#ifndef GRADC_TESTS_RUNTIME_FIXTURE_H
#define GRADC_TESTS_RUNTIME_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data.h"

typedef struct {
  char dir[64];                 /* a new folder */
  const char *root;             /* --data-root, or NULL */
  char said[8192];              /* what the last load printed on standard error */
  gradrt_prop prop[2][8];
  gradrt_source source[2];
  gradrt_split split[4];
  gradrt_field field[3];
  gradrt_net net;
  gradrt_data *data;            /* of the last load, or NULL */
} Fixture;

/* One source of the kind, one split "all" of it, no fields yet. */
static inline void fixture_start(Fixture *f, const char *kind)
{
  memset(f, 0, sizeof *f);
  strcpy(f->dir, "/tmp/gradrt-test-XXXXXX");
  assert_non_null(mkdtemp(f->dir));
  f->source[0] = (gradrt_source){ .kind = kind, .prop = f->prop[0], .place = "a.nn:2" };
  f->split[0] = (gradrt_split){ "all", 0, GRADRT_SPLIT_ALL, 0 };
  f->net = (gradrt_net){ .abi = GRADRT_ABI,
                         .name = "a",
                         .file = "a.nn",
                         .nsource = 1,
                         .source = f->source,
                         .nsplit = 1,
                         .split = f->split,
                         .field = f->field };
}

static inline void fixture_text(Fixture *f, int source, const char *name, const char *text)
{
  f->prop[source][f->source[source].nprop++] = (gradrt_prop){ name, 0, text };
}

static inline void fixture_number(Fixture *f, int source, const char *name, double v)
{
  f->prop[source][f->source[source].nprop++] = (gradrt_prop){ name, v, NULL };
}

/* classes 0: no label. dims end with 0. */
static inline gradrt_field *fixture_field(Fixture *f, const char *name, gradrt_dtype dtype,
                                          int64_t classes, const char *columns, const int64_t *dims)
{
  gradrt_field *x = &f->field[f->net.nfield++];
  *x = (gradrt_field){ .name = name,
                       .dtype = dtype,
                       .columns = columns,
                       .is_label = classes > 0,
                       .classes = classes,
                       .place = "a.nn:3" };
  while (dims && dims[x->rank])
    x->rank++;
  for (int i = 0; i < x->rank; i++)
    x->dim[i] = dims[i];
  return x;
}

static inline void fixture_file(const Fixture *f, const char *name, const void *bytes, size_t n)
{
  char path[128];
  snprintf(path, sizeof path, "%s/%s", f->dir, name);
  FILE *h = fopen(path, "wb");
  assert_non_null(h);
  assert_int_equal(fwrite(bytes, 1, n, h), n);
  fclose(h);
}

static inline void fixture_write(const Fixture *f, const char *name, const char *text)
{
  fixture_file(f, name, text, strlen(text));
}

/* Standard error goes to a file until fixture_hear, which keeps it in said. */
static inline int fixture_listen(const Fixture *f)
{
  char path[128];
  snprintf(path, sizeof path, "%s/.said", f->dir);
  fflush(stderr);
  int kept = dup(2), file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
  assert_true(kept >= 0 && file >= 0);
  dup2(file, 2);
  close(file);
  return kept;
}

static inline void fixture_hear(Fixture *f, int kept)
{
  fflush(stderr);
  ssize_t n = pread(2, f->said, sizeof f->said - 1, 0);
  f->said[n > 0 ? n : 0] = 0;
  dup2(kept, 2);
  close(kept);
}

static inline int fixture_load(Fixture *f)
{
  gradrt_data_options o = { .dir = f->dir, .root = f->root };
  gradrt_data_free(f->data);
  int kept = fixture_listen(f);
  int code = gradrt_data_load(&f->net, &o, &f->data);
  fixture_hear(f, kept);
  return code;
}

/* Loading fails with this code and says this. */
static inline void fixture_refused(Fixture *f, int code, const char *said)
{
  int got = fixture_load(f);
  if (got != code || !strstr(f->said, said))
    fail_msg("expected %d and \"%s\", got %d and:\n%s", code, said, got, f->said);
}

static inline void fixture_loads(Fixture *f)
{
  int got = fixture_load(f);
  if (got != GRADRT_OK)
    fail_msg("expected success, got %d and:\n%s", got, f->said);
}

static inline double fixture_at(const Fixture *f, int split, int field, int64_t i)
{
  return gradrt_dtype_get(f->field[field].dtype, gradrt_data_set(f->data, split)->rows[field], i);
}

static inline void fixture_end(Fixture *f)
{
  char command[128];
  gradrt_data_free(f->data);
  snprintf(command, sizeof command, "rm -rf '%s'", f->dir);
  assert_int_equal(system(command), 0);
}

#endif
