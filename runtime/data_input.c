/* Samples to predict on, from one file of any format a field can be read from. The bytes decide:
 * npy, IDX (also .gz), pictures (PGM, PPM, PNG, JPEG), else a table of text or raw samples. Labels
 * and other targets are not there; their rows are zero. */
#include "data.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { INPUT_PEEK = 512, INPUT_PROPS_MAX = 16, INPUT_SIDE_MAX = 1 << 15 };

typedef enum {
  INPUT_NPY, INPUT_IDX, INPUT_PNM, INPUT_CSV, INPUT_RAW, INPUT_PICTURE, INPUT_OTHER,
  INPUT_TEXT
} input_format;

/* ---- PGM and PPM: P2 P3 (numbers) P5 P6 (bytes); several pictures may follow one another ---- */

typedef struct {
  const char *path;
  const unsigned char *at, *end;
  int kind;                     /* '2' '3' '5' '6' */
  int64_t width, height, max;
} input_picture;

static int64_t input_planes(const input_picture *p)
{
  return p->kind == '3' || p->kind == '6' ? 3 : 1;
}

/* Skips blanks and # comments, reads a number up to 2^24; -1: there is none. */
static int64_t input_number(input_picture *p)
{
  int64_t v = 0;
  bool comment = false;
  while (p->at < p->end && (comment || *p->at <= ' ' || *p->at == '#')) {
    comment = *p->at == '\n' ? false : comment || *p->at == '#';
    p->at++;
  }
  if (p->at == p->end || *p->at < '0' || *p->at > '9')
    return -1;
  for (; p->at < p->end && *p->at >= '0' && *p->at <= '9'; p->at++)
    v = v < 1 << 24 ? 10 * v + (*p->at - '0') : v;
  return v;
}

static int input_picture_error(const input_picture *p, const char *what)
{
  return gradrt_error(GRADRT_DATA, "%s: not a readable PGM or PPM picture: %s", p->path, what);
}

/* Reads the header of the next picture; at ends on the first sample. */
static int input_picture_head(input_picture *p)
{
  if (p->end - p->at < 3 || p->at[0] != 'P' || !strchr("2356", p->at[1]) || !p->at[1])
    return input_picture_error(p, "it does not begin with P2, P3, P5 or P6");
  p->kind = p->at[1];
  p->at += 2;
  p->width = input_number(p);
  p->height = input_number(p);
  p->max = input_number(p);
  if (p->width < 1 || p->height < 1 || p->width > INPUT_SIDE_MAX || p->height > INPUT_SIDE_MAX)
    return input_picture_error(p, "its sides are not between 1 and 32768");
  if (p->max < 1 || p->max > 65535)
    return input_picture_error(p, "its largest value is not between 1 and 65535");
  p->at += p->at < p->end;
  return GRADRT_OK;
}

/* The sides must be those of the field: [.., height, width], or [height, width] times 3 for
 * colours. */
static int input_picture_fits(const input_picture *p, const gradrt_field *f)
{
  char shape[GRADRT_DATA_SHAPE];
  int64_t planes = input_planes(p), elems = gradrt_field_elems(f);
  bool sides = f->rank < 2 || (f->dim[f->rank - 2] == p->height && f->dim[f->rank - 1] == p->width);
  if (sides && elems == planes * p->width * p->height)
    return GRADRT_OK;
  int code = gradrt_error(GRADRT_DATA,
                          "%s: a picture of %" PRId64 " x %" PRId64
                          " pixels in %s does not fit field '%s' %s",
                          p->path, p->width, p->height, planes == 3 ? "colour" : "grey", f->name,
                          gradrt_shape_text(shape, f->rank, f->dim));
  gradrt_note("pictures are not resized; width x height is the end of the field's shape");
  return code;
}

/* Next sample, scaled to 0..255; -1: the file ends or is no number. */
static double input_sample(input_picture *p)
{
  int64_t v;
  if (p->kind == '2' || p->kind == '3') {
    v = input_number(p);
  } else {
    int bytes = p->max > 255 ? 2 : 1;
    if (p->end - p->at < bytes)
      return -1;
    v = bytes == 2 ? p->at[0] << 8 | p->at[1] : p->at[0];
    p->at += bytes;
  }
  if (v < 0 || v > p->max)
    return -1;
  return p->max == 255 ? (double)v : (double)((v * 510 + p->max) / (2 * p->max));
}

/* Pixels hold their colours together; rows hold one plane per colour. */
static int input_picture_row(input_picture *p, const gradrt_field *f, void *rows, int64_t row)
{
  int64_t planes = input_planes(p), pixels = p->width * p->height, from = row * planes * pixels;
  for (int64_t i = 0; i < pixels; i++) {
    for (int64_t c = 0; c < planes; c++) {
      double v = input_sample(p);
      if (v < 0)
        return gradrt_error(GRADRT_DATA,
                            "%s: picture %" PRId64 " ends after %" PRId64 " of %" PRId64
                            " pixels, or a value is "
                            "above %" PRId64,
                            p->path, row, i, pixels, p->max);
      gradrt_dtype_put(f->dtype, rows, from + c * pixels + i, v);
    }
  }
  return GRADRT_OK;
}

static void input_skip_blanks(input_picture *p)
{
  while (p->at < p->end && *p->at <= ' ')
    p->at++;
}

/* Walks the pictures; rows NULL: only counts and checks them. */
static int input_pictures(input_picture p, const gradrt_field *f, void *rows, int64_t *n)
{
  *n = 0;
  for (input_skip_blanks(&p); p.at < p.end; input_skip_blanks(&p)) {
    int code = input_picture_head(&p);
    code = code == GRADRT_OK ? input_picture_fits(&p, f) : code;
    if (code != GRADRT_OK)
      return code;
    int64_t samples = input_planes(&p) * p.width * p.height * (p.max > 255 ? 2 : 1);
    if (rows || p.kind == '2' || p.kind == '3') {
      for (int64_t i = 0; i < gradrt_field_elems(f) && !rows; i++)
        input_number(&p);
      code = rows ? input_picture_row(&p, f, rows, *n) : GRADRT_OK;
    } else if (p.end - p.at < samples) {
      code = gradrt_error(GRADRT_DATA, "%s: picture %" PRId64 " is cut short", p.path, *n);
    } else {
      p.at += samples;
    }
    if (code != GRADRT_OK)
      return code;
    ++*n;
  }
  return GRADRT_OK;
}

static int input_read_pnm(const gradrt_ask *a, gradrt_rows *out)
{
  char path[GRADRT_DATA_PATH], *text = NULL;
  size_t size = 0;
  int field, none, code = gradrt_fields_pair(a, &field, &none);
  if (code == GRADRT_OK && field < 0)
    code = gradrt_error(GRADRT_DATA, "%s has no field that a picture could feed", a->net->file);
  code = code == GRADRT_OK
             ? gradrt_file_slurp(a, gradrt_prop_text(a->source, "path", ""), &text, &size, path)
             : code;
  if (code == GRADRT_OK) {
    const unsigned char *bytes = (const unsigned char *)text;
    input_picture p = { .path = path, .at = bytes, .end = bytes + size };
    code = input_pictures(p, &a->net->field[field], NULL, &out->n);
    code = code == GRADRT_OK ? gradrt_rows_alloc(a, out, field) : code;
    code = code == GRADRT_OK ? input_pictures(p, &a->net->field[field], out->rows[field], &out->n)
                             : code;
  }
  gradrt_free(text);
  return code;
}

#ifndef GRADRT_WITHOUT_IMAGES
static int input_read_picture(const gradrt_ask *a, gradrt_rows *out)
{
  const char *path = gradrt_prop_text(a->source, "path", "");
  int field = 0;
  while (field < a->net->nfield && a->net->field[field].is_label)
    field++;
  if (field == a->net->nfield)
    return gradrt_error(GRADRT_DATA, "%s has no field that a picture could feed", a->net->file);
  out->n = 1;
  int code = gradrt_rows_alloc(a, out, field);
  return code == GRADRT_OK ? gradrt_picture_row(a, path, field, out->rows[field], 0) : code;
}
#endif

/* ---- which format ---- */

static bool input_ends_in(const char *path, const char *end)
{
  size_t n = strlen(path), m = strlen(end);
  return n >= m && strcmp(path + n - m, end) == 0;
}

static bool input_net_reads(const gradrt_net *net, const char *kind)
{
  for (int i = 0; i < net->nsource; i++)
    if (strcmp(net->source[i].kind, kind) == 0)
      return true;
  return false;
}

static input_format input_detect(const gradrt_net *net, const char *path, const unsigned char *b,
                                 size_t n)
{
  bool text = true;
  if (input_net_reads(net, "text"))
    return INPUT_TEXT;
  for (size_t i = 0; i < n; i++)
    text = text && (b[i] >= ' ' || (b[i] >= '\t' && b[i] <= '\r'));
  if (n >= 6 && memcmp(b, "\x93NUMPY", 6) == 0)
    return INPUT_NPY;
  if (n >= 3 && b[0] == 'P' && strchr("2356", b[1]) && b[1] && (b[2] <= ' ' || b[2] == '#'))
    return INPUT_PNM;
  if (n >= 4 && (memcmp(b, "\x89PNG", 4) == 0 || (b[0] == 0xFF && b[1] == 0xD8)))
    return INPUT_PICTURE;
  if (n >= 4 && memcmp(b, "GIF8", 4) == 0)
    return INPUT_OTHER;
  if (input_net_reads(net, "raw") && !input_net_reads(net, "csv"))
    return INPUT_RAW;
  bool idx = n >= 4 && b[0] == 0 && b[1] == 0 && b[2] >= 8 && b[2] <= 14 && b[3] >= 1 && b[3] <= 8;
  if (idx || (n >= 2 && b[0] == 0x1F && b[1] == 0x8B))
    return INPUT_IDX;
  return text || input_ends_in(path, ".csv") ? INPUT_CSV : INPUT_RAW;
}

/* The options of the spec's own source of this kind but its path; -1: there is none. */
static int input_own_props(const gradrt_net *net, const char *kind, gradrt_prop *prop)
{
  for (int i = 0; i < net->nsource; i++) {
    const gradrt_source *s = &net->source[i];
    if (strcmp(s->kind, kind) != 0)
      continue;
    int count = s->nprop < INPUT_PROPS_MAX - 1 ? s->nprop : INPUT_PROPS_MAX - 1, kept = 0;
    for (int k = 0; k < count; k++)
      if (strcmp(s->prop[k].name, "path") != 0)
        prop[kept++] = s->prop[k];
    return kept;
  }
  return -1;
}

/* Those of the spec's own table, so that separator and missing cells mean the same; in a table that
 * is the program's first, a first line of numbers is no header. */
static int input_csv_props(const gradrt_net *net, const unsigned char *b, size_t n,
                           gradrt_prop *prop)
{
  int own = input_own_props(net, "csv", prop);
  if (own >= 0)
    return own;
  size_t at = 0;
  while (at < n && b[at] <= ' ')
    at++;
  bool number = at < n && strchr("+-.0123456789", b[at]) && b[at];
  prop[0] = (gradrt_prop){ .name = "header", .number = number ? 0 : 1 };
  return 1;
}

static int input_peek(const gradrt_ask *a, const char *path, unsigned char *b, size_t *n)
{
  gradrt_file f;
  int code = gradrt_file_open(&f, a, path);
  if (code != GRADRT_OK)
    return code;
  *n = f.size < INPUT_PEEK ? (size_t)f.size : INPUT_PEEK;
  code =
      *n ? gradrt_file_read(&f, b, *n) : gradrt_error(GRADRT_DATA, "%s: the file is empty", f.path);
  gradrt_file_close(&f);
  return code;
}

static int input_read_rows(const gradrt_ask *a, input_format format, gradrt_rows *out)
{
#ifndef GRADRT_WITHOUT_TEXT
  if (format == INPUT_TEXT)
    return gradrt_read_text(a, out);
#endif
  if (format == INPUT_PNM)
    return input_read_pnm(a, out);
#ifndef GRADRT_WITHOUT_IMAGES
  if (format == INPUT_PICTURE)
    return input_read_picture(a, out);
#endif
#ifndef GRADRT_WITHOUT_IDX
  if (format == INPUT_IDX)
    return gradrt_read_idx(a, out);
#endif
#ifndef GRADRT_WITHOUT_RAW
  if (format == INPUT_NPY || format == INPUT_RAW)
    return format == INPUT_NPY ? gradrt_read_npy(a, out) : gradrt_read_raw(a, out);
#endif
#ifndef GRADRT_WITHOUT_CSV
  if (format == INPUT_CSV)
    return gradrt_read_csv(a, out);
#endif
  int code = gradrt_error(GRADRT_DATA, "%s: this kind of file cannot be read here",
                          gradrt_prop_text(a->source, "path", ""));
  gradrt_note("pictures can be given as PGM or PPM, numbers as .npy, IDX or a CSV table");
  return code;
}

#ifndef GRADRT_WITHOUT_WINDOW
/* The readers by format, as windows want them: one row at a time. */
static int input_read_csv(const gradrt_ask *a, gradrt_rows *out)
{
  return input_read_rows(a, INPUT_CSV, out);
}

static int input_read_text(const gradrt_ask *a, gradrt_rows *out)
{
  return input_read_rows(a, INPUT_TEXT, out);
}
#endif

/* A table or a text gives as many samples as there are windows in it; other files hold samples. */
static int input_read(const gradrt_ask *a, input_format format, gradrt_rows *out)
{
#ifndef GRADRT_WITHOUT_WINDOW
  if (a->net->window && (format == INPUT_CSV || format == INPUT_TEXT))
    return gradrt_read_windows(a, format == INPUT_CSV ? input_read_csv : input_read_text, out);
#endif
  return input_read_rows(a, format, out);
}

int gradrt_data_read_inputs(const gradrt_net *net, const gradrt_data_options *o, const char *path,
                            int64_t *n, void *rows[GRADRT_FIELDS_MAX])
{
  unsigned char head[INPUT_PEEK];
  size_t nhead = 0;
  gradrt_prop prop[INPUT_PROPS_MAX + 2];
  gradrt_source source = { .kind = "predict", .prop = prop };
  gradrt_ask ask = { .net = net, .source = &source, .dir = o->dir, .root = o->root,
                     .named = true, .inputs = true, .ending = o->ending };
  gradrt_rows out = { .n = 0 };
  int code = input_peek(&ask, path, head, &nhead);
  if (code != GRADRT_OK)
    return code;
  input_format format = input_detect(net, path, head, nhead);
  if (format == INPUT_TEXT)
    source.nprop = input_own_props(net, "text", prop);
  if (format == INPUT_CSV)
    source.nprop = input_csv_props(net, head, nhead, prop);
  prop[source.nprop++] = (gradrt_prop){ .name = "path", .text = path };
  prop[source.nprop++] = (gradrt_prop){ .name = "images", .text = path };
  code = input_read(&ask, format, &out);
  for (int i = 0; i < net->nfield && code == GRADRT_OK; i++)
    if (!out.rows[i])
      code = gradrt_rows_alloc(&ask, &out, i);
  if (code != GRADRT_OK) {
    gradrt_rows_free(&out);
    return code;
  }
  *n = out.n;
  for (int i = 0; i < GRADRT_FIELDS_MAX; i++) {
    rows[i] = out.rows[i];
    out.rows[i] = NULL;
  }
  gradrt_rows_free(&out);
  return GRADRT_OK;
}
