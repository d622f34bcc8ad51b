/* Pooling. maxpool keeps which cell of the window won (one byte, row-major in the window, padding
 * counted); the first maximum wins and takes all the gradient, NaN wins over numbers, padding never
 * wins. avgpool divides by the cells of the window, with padding unless count_include_pad is false,
 * as PyTorch does. Both gradients are gathers over the windows that see a cell. Windows may overlap
 * (stride < kernel). */
#include "kernel/pool.h"
#include "ops/window.h"

#define MAXPOOL(A, op)                                                                          \
  A(op, ints, kernel, "!", "window, one number or [height, width]")                             \
  A(op, ints, stride, "",  "step between windows; the window's size when not given")            \
  A(op, pad,  pad,    "0", \
    "border that never wins: n, [h, w], [top, bottom, left, right], same or valid")              \
  A(op, flag, ceil, "false", "a result for the rows and columns left at the end too")
ATTRS(maxpool, MAXPOOL)

#define AVGPOOL(A, op)                                                                          \
  A(op, ints, kernel, "!", "window, one number or [height, width]")                             \
  A(op, ints, stride, "",  "step between windows; the window's size when not given")            \
  A(op, pad,  pad,    "0", \
    "border of zeros: n, [h, w], [top, bottom, left, right], same or valid")                    \
  A(op, flag, count_include_pad, "true", "the border counts in the divisor")                    \
  A(op, flag, ceil, "false", "a result for the rows and columns left at the end too")
ATTRS(avgpool, AVGPOOL)

ATTRS(maxpool_dx, WINDOW_BACK)

#define AVGPOOL_DX(A, op) \
  WINDOW_BACK(A, op)      \
  A(op, flag, count_include_pad, "true", "the border counts in the divisor") \
  A(op, flag, ceil, "false", "sizes of results are rounded up")
ATTRS(avgpool_dx, AVGPOOL_DX)

enum { CELLS_MAX = 255 };       /* a cell's number fits a byte */

/* Windows of pooling x, whose step is their size when no other is given. */
static Window pool_window(const Type *x, Ints kernel, Ints stride, Pad pad, bool ceil)
{
  Window w = window_make(kernel, stride.n ? stride : kernel, (Ints){ 0 }, pad, x->dim[1],
                         x->dim[2]);
  if (ceil)
    window_round_up(&w);
  return w;
}

/* What lies behind the image is padding, which never wins. */
static Window max_window(const Node *n)
{
  const maxpool_attrs *a = n->attrs;
  Window w = pool_window(value_type(n->in[0]), a->kernel, a->stride, a->pad, a->ceil);
  w.bottom = max_i64(w.bottom, (w.oh - 1) * w.sh + w.kh - w.top - w.ih);
  w.right = max_i64(w.right, (w.ow - 1) * w.sw + w.kw - w.left - w.iw);
  return w;
}

static Window avg_window(const Node *n)
{
  const avgpool_attrs *a = n->attrs;
  return pool_window(value_type(n->in[0]), a->kernel, a->stride, a->pad, a->ceil);
}

/* The windows of a mean whose gradient n is. */
static Window avg_back_window(const Node *n)
{
  const avgpool_dx_attrs *a = n->attrs;
  Window w = window_make(a->kernel, a->stride, a->dilation, a->pad, a->image.at[0],
                         a->image.at[1]);
  if (a->ceil)
    window_round_up(&w);
  return w;
}

static bool pool_infer(Infer *c, const Node *n, Ints kernel, Ints stride, Pad pad, bool ceil,
                       Type *out)
{
  if (!window_check(c, n, kernel, stride.n ? stride : kernel, (Ints){ 0 }, pad))
    return false;
  Window w = pool_window(&c->in[0], kernel, stride, pad, ceil);
  if (!window_fits(c, n, &w))
    return false;
  if (w.top >= w.kh || w.bottom >= w.kh || w.left >= w.kw || w.right >= w.kw)
    return infer_error(c, n, "E0304",
                       "`pad` must be smaller than the window, else windows see only padding");
  *out = type_make(c->in[0].dtype, true, 3, (int64_t[]){ c->in[0].dim[0], w.oh, w.ow });
  window_warn_dropped(c, n, &w);
  return want_elems(c, n, out);
}

Value g_maxpool(const GBuild *b, Value x, const Window *w)
{
  maxpool_attrs a = { window_kernel(w), window_stride(w), window_pad(w), false };
  return g_op(b, &op_maxpool, &a, &x, 1);
}

Value g_avgpool(const GBuild *b, Value x, const Window *w)
{
  avgpool_attrs a = { window_kernel(w), window_stride(w), window_pad(w), true, false };
  return g_op(b, &op_avgpool, &a, &x, 1);
}

Value g_avgpool_dx(const GBuild *b, Value dy, const Window *w)
{
  avgpool_dx_attrs a = { window_kernel(w), window_stride(w), window_dilation(w), window_pad(w),
                         window_image(w), true, false };
  return g_op(b, &op_avgpool_dx, &a, &dy, 1);
}

/* ---- maxpool ---- */
static bool too_many_cells(Infer *c, const Node *n, const Window *w)
{
  infer_error(c, n, "E0304", "the window %lldx%lld has more than %d cells", (long long)w->kh,
              (long long)w->kw, CELLS_MAX);
  return infer_help(c, "`global_maxpool` takes the largest of a channel, `max(axis=[..])` of axes");
}

static bool maxpool_infer(Infer *c, const Node *n, Type *out)
{
  const maxpool_attrs *a = n->attrs;
  Window w = window_make(a->kernel, a->stride, (Ints){ 0 }, a->pad, 1, 1);
  if (w.kh > CELLS_MAX || w.kw > CELLS_MAX || w.kh * w.kw > CELLS_MAX)
    return too_many_cells(c, n, &w);
  if (!pool_infer(c, n, a->kernel, a->stride, a->pad, a->ceil, &out[0]))
    return false;
  out[1] = out[0];
  out[1].dtype = DT_U8;
  return true;
}

static void maxpool_grad(Grad *g, const Node *n, const Value *dy)
{
  GBuild b = g_in_grad(g);
  if (!dy[0].node || !grad_wanted(g, n, 0))
    return;
  Window w = max_window(n);
  maxpool_dx_attrs a = { window_kernel(&w), window_stride(&w), window_dilation(&w), window_pad(&w),
                         window_image(&w) };
  Value idx = { (Node *)(uintptr_t)n, 1 };
  grad_add(g, n, 0, g_op(&b, &op_maxpool_dx, &a, (Value[]){ dy[0], idx }, 2));
}

static void maxpool_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  Window w = max_window(n);
  int64_t planes = in[0]->n * in[0]->type.dim[0];
  (void)c;
  for (int64_t k = 0; k < planes * w.oh * w.ow; k++) {
    int64_t oy = k / w.ow % w.oh, ox = k % w.ow, best = -1;
    const double *plane = in[0]->v + k / (w.oh * w.ow) * w.ih * w.iw;
    double top = 0;
    for (int64_t cell = 0; cell < w.kh * w.kw; cell++) {
      int64_t y = window_row(&w, oy, cell / w.kw), x = window_col(&w, ox, cell % w.kw);
      if (y < 0 || x < 0)
        continue;
      double v = plane[y * w.iw + x];
      if (best < 0 || v > top || v != v) {      /* of several NaN the last, as in PyTorch */
        top = v;
        best = cell;
      }
    }
    out[0]->v[k] = top;
    out[1]->v[k] = (double)best;
  }
}

static double maxpool_flops(const Node *n)
{
  Window w = max_window(n);
  return flops_elems(n) * (double)(w.kh * w.kw);
}

static PoolShape kernel_shape(const Window *w)
{
  return (PoolShape){ .k = { w->kh, w->kw }, .stride = { w->sh, w->sw }, .dilation = { w->dh, w->dw },
                      .pad = { w->top, w->left }, .in = { w->ih, w->iw }, .out = { w->oh, w->ow } };
}

static void maxpool_lower(Lower *l, const Node *n, const Plan *p)
{
  Window w = max_window(n);
  PoolShape s = kernel_shape(&w);
  (void)p;
  pool_max(l, n, &s, n->in[0]);
}

/* Where each result has cells of its own, all of them in the image. */
static bool windows_apart(const Window *w, int64_t k[2])
{
  PoolShape s = kernel_shape(w);
  k[0] = w->kh;
  k[1] = w->kw;
  return pool_apart(&s);
}

static bool maxpool_windows(const Node *n, int64_t k[2])
{
  Window w = max_window(n);
  return windows_apart(&w, k);
}

static void maxpool_combine(Lower *l, const Node *n, LExpr *const *cell, LExpr **result)
{
  Window w = max_window(n);
  bool argmax = lower_is_stored(l, (Value){ (Node *)(uintptr_t)n, 1 });
  pool_combine_max(l, cell, w.kh * w.kw, argmax, result);
}

const OpDef op_maxpool = {
  .name = "maxpool", .doc = "largest value of each window; the first one on ties",
  .aliases = "MaxPooling2D MaxPool2d max_pool2d max_pool MaxPool",
  .formula = "$y[c,i,j] = max_{u,v} $x[c, i*s+u-p, j*s+v-p], $idx[c,i,j] = u*kw+v", .cls = OP_NEST,
  .flags = OP_LAYER | OP_PICKS, .operands = "x", .results = "y idx", .attrs = maxpool_attr_defs,
  .attrs_size = sizeof(maxpool_attrs), .positional = 1, .infer = maxpool_infer,
  .grad = maxpool_grad, .ref = maxpool_ref, .flops = maxpool_flops, .plans = pool_plans,
  .lower = maxpool_lower, .windows = maxpool_windows, .combine = maxpool_combine,
  .samples = (const OpSample[]){
    { "kernel=2", "x=f32[n,2,4,6]" }, { "kernel=3, stride=2, pad=1", "x=f32[n,1,5,6]" },
    { "kernel=[2, 3], stride=[3, 1], pad=[0, 1, 2, 0]", "x=f32[n,3,5,4]" },
    { "kernel=3, stride=2", "x=f32[n,1,7,7]" },
    { "kernel=3, stride=2, pad=1, ceil=true", "x=f32[n,2,6,4]" },
    { "kernel=[3, 4], stride=[2, 3], ceil=true", "x=f32[n,1,2,9]" }, { 0 }
  },
};

/* ---- maxpool_dx ---- */
static bool maxpool_dx_infer(Infer *c, const Node *n, Type *out)
{
  const maxpool_dx_attrs *a = n->attrs;
  if (!want_operands(c, n, 2) || !want_real(c, n, 0) || !want_batched(c, n, 0))
    return false;
  if (c->in[0].rank != 3 || !type_same_shape(&c->in[0], &c->in[1]) || c->in[1].dtype != DT_U8 ||
      a->image.n != 2)
    return infer_error(c, n, "E0201", "dy and idx do not belong to one maxpool");
  *out = type_make(c->in[0].dtype, true, 3,
                   (int64_t[]){ c->in[0].dim[0], a->image.at[0], a->image.at[1] });
  return true;
}

static void maxpool_dx_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  const maxpool_dx_attrs *a = n->attrs;
  Window w = window_make(a->kernel, a->stride, a->dilation, a->pad, a->image.at[0], a->image.at[1]);
  int64_t planes = in[0]->n * in[0]->type.dim[0];
  (void)c;
  for (int64_t k = 0; k < ref_elems(out[0]); k++)
    out[0]->v[k] = 0;
  for (int64_t k = 0; k < planes * w.oh * w.ow; k++) {
    int64_t cell = (int64_t)in[1]->v[k];
    int64_t y = window_row(&w, k / w.ow % w.oh, cell / w.kw),
            x = window_col(&w, k % w.ow, cell % w.kw);
    if (y >= 0 && x >= 0)
      out[0]->v[(k / (w.oh * w.ow) * w.ih + y) * w.iw + x] += in[0]->v[k];
  }
}

/* Windows that see one cell. */
static double gather_flops(const Node *n)
{
  const maxpool_dx_attrs *a = n->attrs;
  Window w = window_make(a->kernel, a->stride, a->dilation, a->pad, a->image.at[0], a->image.at[1]);
  return flops_elems(n) * (double)(ceil_div(w.kh, w.sh) * ceil_div(w.kw, w.sw));
}

static void maxpool_dx_lower(Lower *l, const Node *n, const Plan *p)
{
  const maxpool_dx_attrs *a = n->attrs;
  Window w = window_make(a->kernel, a->stride, a->dilation, a->pad, a->image.at[0], a->image.at[1]);
  PoolShape s = kernel_shape(&w);
  (void)p;
  pool_max_grad(l, n, &s, n->in[0], n->in[1]);
}

const OpDef op_maxpool_dx = {
  .name = "maxpool_dx", .doc = "gradient of maxpool: each cell gathers from the windows it won",
  .formula = "$dx[c,y,x] = sum_{i,j where $idx[c,i,j] points to y,x} $dy[c,i,j]", .cls = OP_NEST,
  .operands = "dy idx", .results = "dx", .attrs = maxpool_dx_attr_defs,
  .attrs_size = sizeof(maxpool_dx_attrs), .infer = maxpool_dx_infer, .ref = maxpool_dx_ref,
  .flops = gather_flops, .plans = pool_plans, .lower = maxpool_dx_lower,
  .samples = (const OpSample[]){
    { "kernel=[2, 2], stride=[2, 2], image=[4, 6]", "dy=f32[n,2,2,3], idx=u8[n,2,2,3]" },
    { "kernel=[3, 3], stride=[2, 2], pad=[1, 1, 1, 1], image=[5, 6]",
      "dy=f32[n,1,3,3], idx=u8[n,1,3,3]" }, { 0 }
  },
};

/* ---- avgpool ---- */
static bool avgpool_infer(Infer *c, const Node *n, Type *out)
{
  const avgpool_attrs *a = n->attrs;
  return pool_infer(c, n, a->kernel, a->stride, a->pad, a->ceil, out);
}

static void avgpool_grad(Grad *g, const Node *n, const Value *dy)
{
  const avgpool_attrs *a = n->attrs;
  GBuild b = g_in_grad(g);
  if (!grad_wanted(g, n, 0))
    return;
  Window w = avg_window(n);
  avgpool_dx_attrs d = { window_kernel(&w), window_stride(&w), window_dilation(&w),
                         window_pad(&w),    window_image(&w),  a->count_include_pad,
                         a->ceil };
  grad_add(g, n, 0, g_op(&b, &op_avgpool_dx, &d, dy, 1));
}

/* Cells that share the mean of window (oy, ox). */
static double divisor(const Window *w, int64_t oy, int64_t ox, bool include_pad)
{
  int64_t y0 = oy * w->sh - w->top, x0 = ox * w->sw - w->left;
  int64_t y1 = min_i64(y0 + w->kh, w->ih + w->bottom), x1 = min_i64(x0 + w->kw, w->iw + w->right);
  if (!include_pad) {
    y1 = min_i64(y1, w->ih);
    x1 = min_i64(x1, w->iw);
    y0 = max_i64(y0, 0);
    x0 = max_i64(x0, 0);
  }
  return (double)((y1 - y0) * (x1 - x0));
}

static void avgpool_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  const avgpool_attrs *a = n->attrs;
  Window w = avg_window(n);
  int64_t planes = in[0]->n * in[0]->type.dim[0];
  (void)c;
  for (int64_t k = 0; k < planes * w.oh * w.ow; k++) {
    int64_t oy = k / w.ow % w.oh, ox = k % w.ow;
    const double *plane = in[0]->v + k / (w.oh * w.ow) * w.ih * w.iw;
    double sum = 0;
    for (int64_t cell = 0; cell < w.kh * w.kw; cell++) {
      int64_t y = window_row(&w, oy, cell / w.kw), x = window_col(&w, ox, cell % w.kw);
      sum += y >= 0 && x >= 0 ? plane[y * w.iw + x] : 0;
    }
    out[0]->v[k] = sum / divisor(&w, oy, ox, a->count_include_pad);
  }
}

static double avgpool_flops(const Node *n)
{
  Window w = avg_window(n);
  return flops_elems(n) * (double)(w.kh * w.kw);
}

static void avgpool_lower(Lower *l, const Node *n, const Plan *p)
{
  const avgpool_attrs *a = n->attrs;
  Window w = avg_window(n);
  PoolShape s = kernel_shape(&w);
  (void)p;
  pool_mean(l, n, &s, n->in[0], a->count_include_pad, (int64_t[]){ w.bottom, w.right });
}

static bool avgpool_windows(const Node *n, int64_t k[2])
{
  Window w = avg_window(n);
  return windows_apart(&w, k);
}

static void avgpool_combine(Lower *l, const Node *n, LExpr *const *cell, LExpr **result)
{
  Window w = avg_window(n);
  pool_combine_mean(l, cell, w.kh * w.kw, result);
}

const OpDef op_avgpool = {
  .name = "avgpool", .doc = "mean of each window",
  .aliases = "AveragePooling2D AvgPool2d avg_pool2d avg_pool AveragePool",
  .formula = "$y[c,i,j] = (sum_{u,v} $x[c, i*s+u-p, j*s+v-p]) / cells", .cls = OP_NEST,
  .flags = OP_LAYER, .operands = "x", .results = "y", .attrs = avgpool_attr_defs,
  .attrs_size = sizeof(avgpool_attrs), .positional = 1, .infer = avgpool_infer,
  .grad = avgpool_grad, .ref = avgpool_ref, .flops = avgpool_flops, .plans = pool_plans,
  .lower = avgpool_lower, .windows = avgpool_windows, .combine = avgpool_combine,
  .samples = (const OpSample[]){
    { "kernel=2", "x=f32[n,2,4,6]" }, { "kernel=3, stride=2, pad=1", "x=f32[n,1,5,6]" },
    { "kernel=3, stride=2, pad=1, count_include_pad=false", "x=f32[n,2,5,7]" },
    { "kernel=[2, 3], stride=[3, 1], pad=[0, 1, 2, 0]", "x=f32[n,3,5,4]" },
    { "kernel=3, stride=2, pad=1, ceil=true", "x=f32[n,2,6,4]" },
    { "kernel=[3, 4], stride=[2, 3], ceil=true, count_include_pad=false", "x=f32[n,1,2,9]" },
    { 0 }
  },
};

/* ---- avgpool_dx ---- */
static bool avgpool_dx_infer(Infer *c, const Node *n, Type *out)
{
  const avgpool_dx_attrs *a = n->attrs;
  if (!want_operands(c, n, 1) || !want_real(c, n, 0) || !want_batched(c, n, 0))
    return false;
  if (c->in[0].rank != 3 || a->image.n != 2)
    return infer_error(c, n, "E0201", "dy does not belong to an avgpool");
  *out = type_make(c->in[0].dtype, true, 3,
                   (int64_t[]){ c->in[0].dim[0], a->image.at[0], a->image.at[1] });
  return true;
}

/* avgpool_dx is linear: the other way round it is the mean itself. */
static void avgpool_dx_grad(Grad *g, const Node *n, const Value *dy)
{
  const avgpool_dx_attrs *a = n->attrs;
  avgpool_attrs forward = { a->kernel, a->stride, a->pad, a->count_include_pad, a->ceil };
  GBuild b = g_in_grad(g);
  if (grad_wanted(g, n, 0))
    grad_add(g, n, 0, g_op(&b, &op_avgpool, &forward, dy, 1));
}

static void avgpool_dx_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  const avgpool_dx_attrs *a = n->attrs;
  Window w = avg_back_window(n);
  int64_t planes = in[0]->n * in[0]->type.dim[0];
  (void)c;
  for (int64_t k = 0; k < ref_elems(out[0]); k++)
    out[0]->v[k] = 0;
  for (int64_t k = 0; k < planes * w.oh * w.ow; k++) {
    int64_t oy = k / w.ow % w.oh, ox = k % w.ow;
    double share = in[0]->v[k] / divisor(&w, oy, ox, a->count_include_pad);
    for (int64_t cell = 0; cell < w.kh * w.kw; cell++) {
      int64_t y = window_row(&w, oy, cell / w.kw), x = window_col(&w, ox, cell % w.kw);
      if (y >= 0 && x >= 0)
        out[0]->v[(k / (w.oh * w.ow) * w.ih + y) * w.iw + x] += share;
    }
  }
}

static double avgpool_dx_flops(const Node *n)
{
  Window w = avg_back_window(n);
  return flops_elems(n) * (double)(ceil_div(w.kh, w.sh) * ceil_div(w.kw, w.sw));
}

static void avgpool_dx_lower(Lower *l, const Node *n, const Plan *p)
{
  const avgpool_dx_attrs *a = n->attrs;
  Window w = avg_back_window(n);
  PoolShape s = kernel_shape(&w);
  (void)p;
  pool_mean_grad(l, n, &s, n->in[0], a->count_include_pad, (int64_t[]){ w.bottom, w.right });
}

const OpDef op_avgpool_dx = {
  .name = "avgpool_dx",
  .doc = "gradient of avgpool: each cell gathers its share of the windows that see it",
  .formula = "$dx[c,y,x] = sum_{i,j whose window sees y,x} $dy[c,i,j] / cells", .cls = OP_NEST,
  .operands = "dy", .results = "dx", .attrs = avgpool_dx_attr_defs,
  .attrs_size = sizeof(avgpool_dx_attrs), .infer = avgpool_dx_infer, .grad = avgpool_dx_grad,
  .ref = avgpool_dx_ref,
  .flops = avgpool_dx_flops, .plans = pool_plans, .lower = avgpool_dx_lower,
  .samples = (const OpSample[]){
    { "kernel=[2, 2], stride=[2, 2], image=[4, 6]", "dy=f32[n,2,2,3]" },
    { "kernel=[3, 3], stride=[2, 2], pad=[1, 1, 1, 1], image=[5, 6], count_include_pad=false",
      "dy=f32[n,1,3,3]" }, { 0 }
  },
};
