/* Writing weights: a safetensors file is a header of JSON and then the values; an .npz file is a
 * zip archive of .npy files, here stored without compression, so that the values of each array lie
 * in one piece. */
#include "cmd/arrays.h"
#include "base/str.h"
#include "checkpoint.h"
#include "internal.h"
#include "run.h"
#include <stdio.h>
#include <string.h>
#include <zlib.h>

enum { CHUNK = 8192 };          /* elements at a time */

Arrays *arrays_new(Arena *a, const gradrt_net *net)
{
  Arrays *w = ARENA_NEW(a, Arrays);
  *w = (Arrays){ .net = net, .arena = a, .state = arena_alloc(a, net->state_bytes + 1) };
  w->array = ARENA_ARRAY(a, Array, net->ntensor + 1);
  for (int i = 0; i < net->ntensor; i++) {
    const gradrt_tensor *t = &net->tensor[i];
    bool counter = gradrt_checkpoint_is_counter(t), wide = net->real == GRADRT_F64;
    if (!gradrt_tensor_is_weight(t))
      continue;
    w->array[w->narray++] = (Array){
      .name = t->name, .dtype = counter ? "I64" : wide ? "F64" : "F32", .rank = t->rank,
      .dim = t->dim, .bytes = gradrt_tensor_elems(t) * (counter || wide ? 8 : 4), .tensor = t,
    };
  }
  gradrt_torch *torch = ARENA_NEW(a, gradrt_torch);
  uint64_t seed = net->training ? (uint64_t)net->training->seed : 0;
  bool as_torch = net->training && net->training->torch_rng;
  return gradrt_state_init(net, w->state, seed, as_torch, torch) ? NULL : w;
}

int arrays_load(Arrays *w, const CmdOptions *o)
{
  gradrt_options how = { .called = o->driver.file, .weights = o->weights,
                         .untrained = o->untrained };
  gradrt_session *s = ARENA_NEW(w->arena, gradrt_session);
  char *path = arena_alloc(w->arena, GRADRT_PATH_MAX);
  *s = (gradrt_session){ .net = w->net, .options = &how, .state = w->state };
  snprintf(s->dir, sizeof s->dir, "runs/%s", w->net->name);
  int code = gradrt_session_weights(s, path);
  if (!code && !o->quiet)
    fprintf(stderr, "weights: %s\n", path);
  return code;
}

static void put_little(unsigned char *out, uint64_t v, int bytes)
{
  for (int i = 0; i < bytes; i++)
    out[i] = (unsigned char)(v >> (8 * i));
}

/* Element values as a file holds them. */
static void encode(const Array *x, const double *value, int64_t n, unsigned char *out)
{
  for (int64_t i = 0; i < n; i++) {
    uint64_t bits = (uint64_t)(int64_t)value[i];
    uint32_t narrow;
    if (str_eq(x->dtype, "F64"))
      memcpy(&bits, &value[i], sizeof bits);
    if (str_eq(x->dtype, "F32")) {
      memcpy(&narrow, &(float){ (float)value[i] }, sizeof narrow);
      put_little(out + 4 * i, narrow, 4);
    } else {
      put_little(out + 8 * i, bits, 8);
    }
  }
}

/* All bytes of an array, to file where there is one; returns their CRC-32. */
static uint32_t put_values(const Arrays *w, const Array *x, gradrt_writer *file)
{
  double value[CHUNK];
  unsigned char bytes[8 * CHUNK];
  int64_t total = gradrt_tensor_elems(x->tensor), size = total ? x->bytes / total : 0;
  uLong crc = crc32(0, NULL, 0);
  for (int64_t at = 0; at < total; at += CHUNK) {
    int64_t n = min_i64(CHUNK, total - at);
    gradrt_tensor_get(w->net, x->tensor, w->state, at, n, value);
    encode(x, value, n, bytes);
    crc = crc32(crc, bytes, (uInt)(n * size));
    if (file)
      gradrt_writer_put(file, bytes, (size_t)(n * size));
  }
  return (uint32_t)crc;
}

/* ---- safetensors ---- */

/* The arrays by the size of their elements, wide ones first, so that all are aligned. */
static void sort_by_size(Arrays *w)
{
  Array *sorted = ARENA_ARRAY(w->arena, Array, w->narray + 1);
  int n = 0;
  for (int narrow = 0; narrow < 2; narrow++)
    for (int i = 0; i < w->narray; i++)
      if (str_eq(w->array[i].dtype, "F32") == narrow)
        sorted[n++] = w->array[i];
  w->array = sorted;
}

static void print_shape(Out *out, const Array *x)
{
  for (int k = 0; k < x->rank; k++)
    out_printf(out, "%s%lld", k ? "," : "", (long long)x->dim[k]);
}

int arrays_write_safetensors(Arrays *w, const char *path)
{
  Out *head = out_new(w->arena);
  int64_t end = 0;
  sort_by_size(w);
  out_printf(head, "{\"__metadata__\":{\"format\":\"pt\"}");
  for (int i = 0; i < w->narray; i++) {
    Array *x = &w->array[i];
    x->at = end;
    end += x->bytes;
    out_printf(head, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", x->name, x->dtype);
    print_shape(head, x);
    out_printf(head, "],\"data_offsets\":[%lld,%lld]}", (long long)x->at, (long long)end);
  }
  out_printf(head, "}");
  while (out_length(head) % 8)
    out_printf(head, " ");
  gradrt_writer *file = gradrt_writer_open(path);
  if (!file)
    return EXIT_IO;
  unsigned char length[8];
  put_little(length, out_length(head), 8);
  gradrt_writer_put(file, length, sizeof length);
  gradrt_writer_put(file, out_text(head), out_length(head));
  for (int i = 0; i < w->narray; i++) {
    w->array[i].at += 8 + (int64_t)out_length(head);
    put_values(w, &w->array[i], file);
  }
  return gradrt_writer_commit(file) ? EXIT_IO : EXIT_OK;
}

/* ---- npz ---- */

enum { ZIP_LOCAL = 30, ZIP_CENTRAL = 46, ZIP_END = 22 };

/* The start of a .npy file, as long as a multiple of 64 bytes. */
static Out *npy_head(Arena *a, const Array *x)
{
  Out *text = out_new(a), *head = out_new(a);
  const char *type = str_eq(x->dtype, "F32") ? "<f4" : str_eq(x->dtype, "F64") ? "<f8" : "<i8";
  out_printf(text, "{'descr': '%s', 'fortran_order': False, 'shape': (", type);
  print_shape(text, x);
  out_printf(text, "%s), }", x->rank == 1 ? "," : "");
  while ((out_length(text) + 11) % 64)
    out_printf(text, " ");
  out_printf(text, "\n");
  unsigned char start[10] = { 0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0 };
  put_little(start + 8, out_length(text), 2);
  out_bytes(head, (const char *)start, sizeof start);
  out_bytes(head, out_text(text), out_length(text));
  return head;
}

/* The fields that a local header and the directory share: version to the length of the name. The
 * date is the first one that zip knows. */
static void zip_fields(unsigned char *out, uint32_t crc, uint32_t size, size_t name)
{
  memset(out, 0, 26);
  put_little(out, 20, 2);
  put_little(out + 8, 0x0021, 2);
  put_little(out + 10, crc, 4);
  put_little(out + 14, size, 4);
  put_little(out + 18, size, 4);
  put_little(out + 22, name, 2);
}

/* One member of the archive; its row of the directory goes to list. */
static int64_t zip_member(Arrays *w, Array *x, int64_t at, gradrt_writer *file, Out *list)
{
  Out *head = npy_head(w->arena, x);
  const char *name = arena_printf(w->arena, "%s.npy", x->name);
  unsigned char fields[26], local[4] = { 'P', 'K', 3, 4 }, row[ZIP_CENTRAL] = { 'P', 'K', 1, 2 };
  uLong crc = crc32(0, (const unsigned char *)out_text(head), (uInt)out_length(head));
  crc = crc32_combine(crc, put_values(w, x, NULL), (z_off_t)x->bytes);
  int64_t size = (int64_t)out_length(head) + x->bytes;
  zip_fields(fields, (uint32_t)crc, (uint32_t)size, strlen(name));
  gradrt_writer_put(file, local, sizeof local);
  gradrt_writer_put(file, fields, sizeof fields);
  gradrt_writer_put(file, name, strlen(name));
  gradrt_writer_put(file, out_text(head), out_length(head));
  put_values(w, x, file);
  x->at = at + ZIP_LOCAL + (int64_t)strlen(name) + (int64_t)out_length(head);
  put_little(row + 4, 20, 2);
  memcpy(row + 6, fields, sizeof fields);
  put_little(row + 42, (uint64_t)at, 4);
  out_bytes(list, (const char *)row, sizeof row);
  out_bytes(list, name, strlen(name));
  return x->at + x->bytes;
}

int arrays_write_npz(Arrays *w, const char *path)
{
  int64_t all = 0;
  for (int i = 0; i < w->narray; i++)
    all += w->array[i].bytes + 1024;
  if (all >= UINT32_MAX || w->narray >= UINT16_MAX)
    return gradrt_error(EXIT_LIMIT, "'%s' would hold more than 4 GB or 65,534 arrays; write "
                        ".safetensors", path);
  gradrt_writer *file = gradrt_writer_open(path);
  if (!file)
    return EXIT_IO;
  Out *list = out_new(w->arena);
  int64_t at = 0;
  for (int i = 0; i < w->narray; i++)
    at = zip_member(w, &w->array[i], at, file, list);
  unsigned char end[ZIP_END] = { 'P', 'K', 5, 6 };
  put_little(end + 8, (uint64_t)w->narray, 2);
  put_little(end + 10, (uint64_t)w->narray, 2);
  put_little(end + 12, out_length(list), 4);
  put_little(end + 16, (uint64_t)at, 4);
  gradrt_writer_put(file, out_text(list), out_length(list));
  gradrt_writer_put(file, end, sizeof end);
  return gradrt_writer_commit(file) ? EXIT_IO : EXIT_OK;
}
