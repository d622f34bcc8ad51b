/* Layouts as lists of digits. */
#include "base/out.h"
#include "loop/loop.h"

/* One digit an axis, the sample first; the batch digit's extent is 1 because a type does not know
 * the batch: callers that store several samples set it. */
Layout layout_row_major(const Type *t)
{
  Layout l = { 0 };
  if (t->batched)
    l.digit[l.n++] = (Digit){ AXIS_BATCH, 1, 1 };
  for (int i = 0; i < t->rank; i++)
    l.digit[l.n++] = (Digit){ i, 1, t->dim[i] };
  return l;
}

int64_t layout_extent(const Layout *l)
{
  int64_t extent = 1;
  for (int i = 0; i < l->n; i++)
    if (!checked_mul(extent, l->digit[i].extent, &extent))
      ice("layout of more than 2^63 elements");
  return extent;
}

/* The digits without those of extent 1, neighbours that are one run of an axis joined. */
static int plain_digits(const Layout *l, Digit *d)
{
  int n = 0;
  for (int i = 0; i < l->n; i++) {
    const Digit *x = &l->digit[i];
    if (x->extent == 1)
      continue;
    if (n && d[n - 1].axis == x->axis && d[n - 1].div == x->div * x->extent) {
      d[n - 1].div = x->div;
      d[n - 1].extent *= x->extent;
    } else
      d[n++] = *x;
  }
  return n;
}

bool layout_equal(const Layout *a, const Layout *b)
{
  Digit x[DIGITS_MAX], y[DIGITS_MAX];
  int n = plain_digits(a, x);
  if (n != plain_digits(b, y))
    return false;
  for (int i = 0; i < n; i++)
    if (x[i].axis != y[i].axis || x[i].div != y[i].div || x[i].extent != y[i].extent)
      return false;
  return true;
}

bool layout_has_padding(const Layout *l, const Type *t, int64_t batch)
{
  for (int axis = AXIS_BATCH; axis < t->rank; axis++) {
    int64_t stored = 1, dim = axis == AXIS_BATCH ? (t->batched ? batch : 1) : t->dim[axis];
    for (int i = 0; i < l->n; i++)
      if (l->digit[i].axis == axis)
        stored *= l->digit[i].extent;
    if (stored > dim)
      return true;
  }
  return false;
}

/* The batch and axes in blocks by letters, plain axes by their extents: "[n/16][6][28][28][n%16]",
 * "[n][c/16][28][28][c%16]", "[n][784]". The middle of three digits shows both: "[c/5%2]". */
const char *layout_text(Arena *a, const Layout *l)
{
  static const char letter[RANK_MAX + 2] = "ncyxzvwut";
  Out *o = out_new(a);
  for (int i = 0; i < l->n; i++) {
    const Digit *d = &l->digit[i];
    bool cut = false, outermost = true;
    for (int k = 0; k < l->n; k++)
      if (k != i && l->digit[k].axis == d->axis) {
        cut = true;
        outermost &= l->digit[k].div < d->div;
      }
    char c = letter[d->axis + 1];
    if (!cut && d->axis == AXIS_BATCH)
      out_printf(o, "[n]");
    else if (!cut)
      out_printf(o, "[%lld]", (long long)d->extent);
    else if (outermost)
      out_printf(o, "[%c/%lld]", c, (long long)d->div);
    else if (d->div == 1)
      out_printf(o, "[%c%%%lld]", c, (long long)d->extent);
    else
      out_printf(o, "[%c/%lld%%%lld]", c, (long long)d->div, (long long)d->extent);
  }
  return out_text(o);
}
