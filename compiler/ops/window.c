/* Geometry of sliding windows, and the messages about windows that do not fit. */
#include "ops/window.h"

/* Larger options make no sense and keep all products far from overflow. */
enum { OPTION_MAX = 1 << 24 };

static int64_t pick(Ints v, int i, int64_t none)
{
  return v.n == 0 ? none : v.n == 1 ? v.at[0] : v.at[i];
}

/* Output size on one axis; *before and *after receive the padding. */
static int64_t axis(PadMode mode, int64_t size, int64_t k, int64_t s, int64_t d, int64_t *before,
                    int64_t *after)
{
  int64_t reach = d * (k - 1) + 1;
  if (mode == PAD_SAME) {
    int64_t total = max_i64(((size + s - 1) / s - 1) * s + reach - size, 0);
    *before = total / 2;
    *after = total - *before;
  } else if (mode == PAD_VALID) {
    *before = *after = 0;
  }
  int64_t room = size + *before + *after - reach;
  return room < 0 ? 0 : room / s + 1;
}

Window window_make(Ints kernel, Ints stride, Ints dilation, Pad pad, int64_t ih, int64_t iw)
{
  Window w = {
    .ih = ih, .iw = iw,
    .kh = pick(kernel, 0, 1), .kw = pick(kernel, 1, 1),
    .sh = pick(stride, 0, 1), .sw = pick(stride, 1, 1),
    .dh = pick(dilation, 0, 1), .dw = pick(dilation, 1, 1),
    .top = pad.top, .bottom = pad.bottom, .left = pad.left, .right = pad.right,
  };
  w.oh = axis(pad.mode, ih, w.kh, w.sh, w.dh, &w.top, &w.bottom);
  w.ow = axis(pad.mode, iw, w.kw, w.sw, w.dw, &w.left, &w.right);
  return w;
}

static Ints two(int64_t y, int64_t x) { return (Ints){ .n = 2, .at = { y, x } }; }
Ints window_kernel(const Window *w) { return two(w->kh, w->kw); }
Ints window_stride(const Window *w) { return two(w->sh, w->sw); }
Ints window_dilation(const Window *w) { return two(w->dh, w->dw); }
Ints window_image(const Window *w) { return two(w->ih, w->iw); }
Pad window_pad(const Window *w)
{
  return (Pad){ PAD_EXPLICIT, w->top, w->bottom, w->left, w->right };
}

int64_t window_row(const Window *w, int64_t oy, int64_t u)
{
  int64_t y = oy * w->sh + u * w->dh - w->top;
  return y < 0 || y >= w->ih ? -1 : y;
}

int64_t window_col(const Window *w, int64_t ox, int64_t v)
{
  int64_t x = ox * w->sw + v * w->dw - w->left;
  return x < 0 || x >= w->iw ? -1 : x;
}

/* ---- messages ---- */

static bool check_ints(Infer *c, const Node *n, const char *name, Ints v)
{
  if (v.n > 2)
    return infer_error(c, n, "E0304", "`%s` takes one number or [height, width], not %d numbers",
                       name, v.n);
  for (int i = 0; i < v.n; i++)
    if (v.at[i] < 1 || v.at[i] > OPTION_MAX)
      return infer_error(c, n, "E0304", "`%s` must be at least 1 and at most %d, not %lld", name,
                         OPTION_MAX, (long long)v.at[i]);
  return true;
}

static bool check_pad(Infer *c, const Node *n, Pad pad)
{
  int64_t all[] = { pad.top, pad.bottom, pad.left, pad.right };
  for (size_t i = 0; i < ARRAY_LEN(all) && pad.mode == PAD_EXPLICIT; i++)
    if (all[i] < 0 || all[i] > OPTION_MAX)
      return infer_error(c, n, "E0304", "`pad` must be at least 0 and at most %d, not %lld",
                         OPTION_MAX, (long long)all[i]);
  return true;
}

static bool check_image(Infer *c, const Node *n)
{
  if (!want_operands(c, n, 1) || !want_real(c, n, 0) || !want_batched(c, n, 0))
    return false;
  const Type *x = &c->in[0];
  if (x->rank == 3)
    return true;
  infer_error(c, n, "E0202", "needs an image [channels, height, width], but its input is %s",
              shape_text(c, x));
  if (x->rank == 2)
    return infer_help(c, "give it one channel first: reshape([1, %lld, %lld])",
                      (long long)x->dim[0], (long long)x->dim[1]);
  return infer_help(c, x->rank == 1
                           ? "use it before `flatten`, or give the vector a shape by `reshape`"
                           : "give it such a shape by `reshape`");
}

/* One axis of a window: what is added before and after, and the arithmetic of its output size. */
typedef struct {
  const char *what;
  int64_t size, before, after, reach, step, out;
} Axis;

static Axis height_of(const Window *w)
{
  return (Axis){ "height", w->ih, w->top, w->bottom, w->dh * (w->kh - 1) + 1, w->sh, w->oh };
}

static Axis width_of(const Window *w)
{
  return (Axis){ "width", w->iw, w->left, w->right, w->dw * (w->kw - 1) + 1, w->sw, w->ow };
}

/* "height: (7 + 2*0 - 2)/2 + 1 = 3.5, rounded down to 3" */
static void note_axis(Infer *c, const Axis *a)
{
  int64_t room = a->size + a->before + a->after - a->reach;
  const char *pads = a->before == a->after
                         ? arena_printf(c->arena, "2*%lld", (long long)a->before)
                         : arena_printf(c->arena, "%lld + %lld", (long long)a->before,
                                        (long long)a->after);
  const char *end = a->out < 1 ? ", but at least 1 is needed"
                    : room % a->step
                        ? arena_printf(c->arena, ", rounded down to %lld", (long long)a->out)
                        : "";
  diag_note(c->diag, (Span){ 0, 0 }, "%s: (%lld + %s - %lld)/%lld + 1 = %.4g%s", a->what,
            (long long)a->size, pads, (long long)a->reach, (long long)a->step,
            (double)room / (double)a->step + 1, end);
}

bool window_check(Infer *c, const Node *n, Ints kernel, Ints stride, Ints dilation, Pad pad)
{
  return check_image(c, n) && check_ints(c, n, "kernel", kernel) &&
         check_ints(c, n, "stride", stride) && check_ints(c, n, "dilation", dilation) &&
         check_pad(c, n, pad);
}

bool window_fits(Infer *c, const Node *n, const Window *w)
{
  if (w->oh >= 1 && w->ow >= 1)
    return true;
  Axis h = height_of(w), v = width_of(w);
  long long room_h = h.size + h.before + h.after, room_w = v.size + v.before + v.after;
  infer_error(c, n, "E0203",
              "the window %lldx%lld is larger than its input %s, %lldx%lld with padding",
              (long long)h.reach, (long long)v.reach, shape_text(c, &c->in[0]), room_h, room_w);
  if (c->diag && w->oh < 1)
    note_axis(c, &h);
  if (c->diag && w->ow < 1)
    note_axis(c, &v);
  return infer_help(c, "use pad=same, or a kernel of at most %lldx%lld", room_h, room_w);
}

bool window_infer(Infer *c, const Node *n, Ints kernel, Ints stride, Ints dilation, Pad pad,
                  Window *out)
{
  if (!window_check(c, n, kernel, stride, dilation, pad))
    return false;
  *out = window_make(kernel, stride, dilation, pad, c->in[0].dim[1], c->in[0].dim[2]);
  return window_fits(c, n, out);
}

static int64_t rounded_up(const Axis *a)
{
  int64_t room = a->size + a->before + a->after - a->reach + a->step - 1;
  int64_t out = room < 0 ? 0 : room / a->step + 1;
  return out > 0 && (out - 1) * a->step >= a->size + a->before ? out - 1 : out;
}

void window_round_up(Window *w)
{
  Axis h = height_of(w), v = width_of(w);
  w->oh = rounded_up(&h);
  w->ow = rounded_up(&v);
}

/* Input cells at the end of an axis that one more window would see; gaps between windows do not
 * count. */
static int64_t dropped(const Axis *a)
{
  if (a->out * a->step - a->before >= a->size)
    return 0;
  return max_i64(a->size + a->before - ((a->out - 1) * a->step + a->reach), 0);
}

static const char *lines_text(Arena *a, int64_t count, const char *what)
{
  return count == 1 ? what : arena_printf(a, "%lld %ss", (long long)count, what);
}

void window_warn_dropped(Infer *c, const Node *n, const Window *w)
{
  Axis h = height_of(w), v = width_of(w);
  int64_t rows = dropped(&h), cols = dropped(&v);
  if (!c->diag || (!rows && !cols))
    return;
  const char *what = "";
  if (rows)
    what = lines_text(c->arena, rows, "row");
  if (cols)
    what = arena_printf(c->arena, "%s%s%s", what, rows ? " and " : "",
                        lines_text(c->arena, cols, "column"));
  diag_warn(c->diag, n->at, "W0203", "%s: drops the last %s of its input %s", n->op->name, what,
            shape_text(c, &c->in[0]));
  if (rows)
    note_axis(c, &h);
  if (cols)
    note_axis(c, &v);
  int64_t bottom = rows ? w->sh - rows : w->bottom, right = cols ? w->sw - cols : w->right;
  diag_help(c->diag,
            "they reach no output and get no gradient; pad=[%lld, %lld, %lld, %lld] keeps them",
            (long long)w->top, (long long)bottom, (long long)w->left, (long long)right);
}
