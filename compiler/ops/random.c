/* Dropout. A layer's mask is a pure function of (seed, layer name, epoch, row number of the sample,
 * element), so that it is the same for any batch split, thread count or resume, and backward draws
 * it again instead of storing it: dx = mask(dy).
 *
 *   word w of Philox4x32-10 with counter {epoch, sample, element / 4, 0}, w = element % 4,
 *   key {seed_lo ^ hash(layer name), seed_hi ^ purpose}
 *   kept when its upper 24 bits are below (1 - p) * 2^24, then scaled by 1 / (1 - p); NaN stays.
 *
 * Philox: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011. */
#include "ops/family.h"
#include <math.h>

enum { PURPOSE_DROPOUT = 4 };   /* sets this stream apart from the runtime's: shuffling .. */

#define DROPOUT(A, op) A(op, real, p, "0.5", "probability of dropping an element")
ATTRS(dropout, DROPOUT)

#define MASK(A, op)                                             \
  A(op, real, p,   "0.5", "probability of dropping an element") \
  A(op, int,  key, "0",   "hash of the layer's name")
ATTRS(dropout_mask, MASK)

/* 32-bit FNV-1a. */
static uint32_t name_hash(const char *s)
{
  uint32_t h = 2166136261u;
  for (; s && *s; s++)
    h = (h ^ (unsigned char)*s) * 16777619u;
  return h;
}

/* ---- dropout ---- */
static bool dropout_infer(Infer *c, const Node *n, Type *out)
{
  const dropout_attrs *a = n->attrs;
  return want_fraction(c, n, "`p`", a->p) && want_operands(c, n, 1) && want_batched(c, n, 0) &&
         infer_like_first(c, n, out);
}

Value g_dropout(const GBuild *b, Value x, double p)
{
  return g_op(b, &op_dropout, &(dropout_attrs){ p }, &x, 1);
}

static bool dropout_expand(Expand *e, const Node *n, Value *out)
{
  const dropout_attrs *a = n->attrs;
  GBuild b = g_in_expand(e);
  out[0] = n->in[0];
  if ((e->mode == MODE_TRAIN || e->mode == MODE_SAMPLE) && a->p > 0)
    out[0] =
        g_op(&b, &op_dropout_mask, &(dropout_mask_attrs){ a->p, name_hash(n->name) }, n->in, 1);
  return true;
}

const OpDef op_dropout = {
  .name = "dropout",
  .doc = "in training drops elements with probability p and scales the rest by 1/(1-p)",
  .aliases = "Dropout", .formula = "$y = $x * mask / (1-p)", .cls = OP_MACRO,
  .flags = OP_LAYER | OP_MODAL | OP_RANDOM, .operands = "x", .results = "y",
  .attrs = dropout_attr_defs, .attrs_size = sizeof(dropout_attrs), .positional = 1,
  .infer = dropout_infer, .expand = dropout_expand,
  .samples = (const OpSample[]){ { "", "x=f32[n,7]" }, { "p=0.2", "x=f32[n,2,3,5]" }, { 0 } },
};

/* ---- dropout_mask ---- */
static double threshold(double p) { return ceil((1 - p) * 16777216); }

static void mask_grad(Grad *g, const Node *n, const Value *dy)
{
  GBuild b = g_in_grad(g);
  if (grad_wanted(g, n, 0))
    grad_add(g, n, 0, g_op(&b, &op_dropout_mask, n->attrs, dy, 1));
}

/* The upper 24 bits of each word of the element's block. */
static void draw_block(Scalar *s, const Node *n, const RandomPlace *at, LExpr **drawn)
{
  static const char *const words[] = { "philox0", "philox1", "philox2", "philox3" };
  const dropout_mask_attrs *a = n->attrs;
  Build *b = s->b;
  LExpr *sample = s->sample_id(s);
  LExpr *arg[] = {
    s->arg_u32(s, ARG_EPOCH), sample, at->block, l_u32(b, 0),
    l_op(b, SC_xor, s->arg_u32(s, ARG_SEED_LO), l_u32(b, (uint32_t)a->key), NULL),
    l_op(b, SC_xor, s->arg_u32(s, ARG_SEED_HI), l_u32(b, PURPOSE_DROPOUT), NULL),
  };
  int lanes = sample->lanes > at->block->lanes ? sample->lanes : at->block->lanes;
  for (int i = 0; i < (int)ARRAY_LEN(words); i++) {
    LExpr *bits = l_call(b, l_math(b, words[i], lanes), arg, ARRAY_LEN(arg));
    drawn[i] = l_cast(b, l_op(b, SC_shr, bits, l_u32(b, 8), NULL), s->real);
    if (at->drawn)
      drawn[i] = l_let(b, "drawn", drawn[i]);
  }
}

static LExpr *word_equals(Scalar *s, LExpr *word, int i)
{
  return s_eq(s, word, word->dtype == DT_I64 ? l_int(s->b, i) : s_const(s, i));
}

static LExpr *mask_scalar(Scalar *s, const Node *n, LExpr **x)
{
  const dropout_mask_attrs *a = n->attrs;
  RandomPlace at = s->random(s, n);
  LExpr *own[4], **drawn = at.drawn ? at.drawn : own;
  if (!at.drawn || !drawn[0])
    draw_block(s, n, &at, drawn);
  LExpr *draw = drawn[at.word->kind == LE_INT ? at.word->i : 3];
  for (int i = 2; i >= 0 && at.word->kind != LE_INT; i--)
    draw = s_select(s, word_equals(s, at.word, i), drawn[i], draw);
  LExpr *keep = s_lt(s, draw, s_const(s, threshold(a->p)));
  return s_mul(s, x[0], s_select(s, keep, s_const(s, 1 / (1 - a->p)), s_const(s, 0)));
}

/* The reference's own Philox4x32-10. */
static uint32_t philox_word(const uint32_t counter[4], const uint32_t key[2], int word)
{
  uint32_t c[4] = { counter[0], counter[1], counter[2], counter[3] }, k0 = key[0], k1 = key[1];
  for (int round = 0; round < 10; round++) {
    uint64_t p = (uint64_t)0xD2511F53u * c[0], q = (uint64_t)0xCD9E8D57u * c[2];
    uint32_t high_q = (uint32_t)(q >> 32), high_p = (uint32_t)(p >> 32);
    uint32_t next[4] = { high_q ^ c[1] ^ k0, (uint32_t)q, high_p ^ c[3] ^ k1, (uint32_t)p };
    for (int i = 0; i < 4; i++)
      c[i] = next[i];
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c[word];
}

static void mask_ref(RefCtx *c, const Node *n, RefTensor *const *in, RefTensor *const *out)
{
  const dropout_mask_attrs *a = n->attrs;
  uint32_t key[] = { (uint32_t)c->args[ARG_SEED_LO] ^ (uint32_t)a->key,
                     (uint32_t)c->args[ARG_SEED_HI] ^ PURPOSE_DROPOUT };
  for (int64_t s = 0; s < in[0]->n; s++)
    for (int64_t i = 0; i < in[0]->elems; i++) {
      uint32_t counter[] = { (uint32_t)c->args[ARG_EPOCH], c->sample[s], (uint32_t)(i / 4), 0 };
      bool keep = (philox_word(counter, key, (int)(i % 4)) >> 8) < threshold(a->p);
      out[0]->v[s * in[0]->elems + i] =
          in[0]->v[s * in[0]->elems + i] * (keep ? 1 / (1 - a->p) : 0);
    }
}

static bool mask_infer(Infer *c, const Node *n, Type *out)
{
  return want_operands(c, n, 1) && want_batched(c, n, 0) && infer_like_first(c, n, out);
}

static double mask_flops(const Node *n) { return 50 * flops_elems(n); }

const OpDef op_dropout_mask = {
  .name = "dropout_mask",
  .doc = "x times the random mask of a dropout layer; serves the gradient as well",
  .formula = "$y = $x * mask / (1-p)", .cls = OP_EWISE, .flags = OP_RANDOM | OP_ZERO,
  .operands = "x", .results = "y", .attrs = dropout_mask_attr_defs,
  .attrs_size = sizeof(dropout_mask_attrs), .infer = mask_infer, .grad = mask_grad,
  .scalar = mask_scalar, .ref = mask_ref, .flops = mask_flops,
  .samples = (const OpSample[]){
    { "key=17", "x=f32[n,7]" }, { "p=0.2, key=5", "x=f32[n,2,3,5]" }, { 0 }
  },
};
