/* Random numbers: Philox4x32-10 (counter based, the same on every machine and for every number of
 * threads) and PyTorch's mt19937 for runs that are compared with it one to one. */
#include "internal.h"

#include <math.h>
#include <string.h>

/* ---- Philox: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011 ----
 */

void gradrt_philox(const uint32_t ctr[4], const uint32_t key[2], uint32_t out[4])
{
  uint32_t c0 = ctr[0], c1 = ctr[1], c2 = ctr[2], c3 = ctr[3], k0 = key[0], k1 = key[1];
  for (int round = 0; round < 10; round++) {
    uint64_t a = UINT64_C(0xD2511F53) * c0, b = UINT64_C(0xCD9E8D57) * c2;
    c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
    c1 = (uint32_t)b;
    c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
    c3 = (uint32_t)a;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

uint32_t gradrt_hash_name(const char *s)
{
  uint32_t h = 0x811C9DC5u;
  for (; *s; s++)
    h = (h ^ (unsigned char)*s) * 0x01000193u;
  return h;
}

/* The key of dropout in generated code has the same form: {seed low ^ name, seed high ^ purpose}.
 */
void gradrt_stream_start(gradrt_stream *s, uint64_t seed, uint32_t purpose, uint32_t name)
{
  *s = (gradrt_stream){ .key = { (uint32_t)seed ^ name, (uint32_t)(seed >> 32) ^ purpose } };
}

uint32_t gradrt_stream_u32(gradrt_stream *s)
{
  if (s->left == 0) {
    gradrt_philox(s->ctr, s->key, s->have);
    s->left = 4;
    if (++s->ctr[0] == 0)
      s->ctr[1]++;
  }
  return s->have[4 - s->left--];
}

double gradrt_stream_uniform(gradrt_stream *s)
{
  return (double)(gradrt_stream_u32(s) >> 8) * 0x1p-24;
}

/* Box and Muller's cosine branch; the radius uses 32 bits, so values reach 6.66 standard
 * deviations. */
double gradrt_stream_normal(gradrt_stream *s)
{
  double u = ((double)gradrt_stream_u32(s) + 1) * 0x1p-32;
  double v = (double)gradrt_stream_u32(s) * 0x1p-32;
  return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

/* ---- keyed permutation ---- */

enum { RANDOM_ROUNDS = 8 };

static uint32_t random_mix(uint32_t x)
{
  x = (x ^ x >> 16) * 0x7FEB352Du;
  x = (x ^ x >> 15) * 0x846CA68Bu;
  return x ^ x >> 16;
}

/* A balanced Feistel network on 2 h bits is a bijection whatever its round function is. Positions
 * it moves outside 0..n-1 are moved again until they return, which keeps it one; that takes less
 * than 4 moves on average, as 2^(2 h) < 4 n. */
uint64_t gradrt_permute(uint64_t i, uint64_t n, uint64_t seed, uint32_t purpose, uint32_t epoch)
{
  if (n < 2)
    return 0;
  int h = 1;
  while (h < 32 && (UINT64_C(1) << 2 * h) < n)
    h++;
  uint32_t mask = h == 32 ? 0xFFFFFFFFu : (UINT32_C(1) << h) - 1;
  uint32_t key[2] = { (uint32_t)seed, (uint32_t)(seed >> 32) ^ purpose }, word[RANDOM_ROUNDS];
  for (uint32_t block = 0; block < RANDOM_ROUNDS / 4; block++)
    gradrt_philox((uint32_t[4]){ epoch, block, 0, 0x5EEDF157u }, key, word + 4 * block);
  do {
    uint32_t left = (uint32_t)(i >> h) & mask, right = (uint32_t)i & mask;
    for (int r = 0; r < RANDOM_ROUNDS; r++) {
      uint32_t next = left ^ (random_mix(right + word[r]) & mask);
      left = right;
      right = next;
    }
    i = (uint64_t)left << h | right;
  } while (i >= n);
  return i;
}

/* ---- PyTorch's CPU generator: mt19937 (Matsumoto, Nishimura 1998) and the draws PyTorch makes of
 * it ---- */

void gradrt_torch_seed(gradrt_torch *t, uint64_t seed)
{
  *t = (gradrt_torch){ .at = 624 };
  t->mt[0] = (uint32_t)seed;
  for (uint32_t i = 1; i < 624; i++)
    t->mt[i] = 1812433253u * (t->mt[i - 1] ^ t->mt[i - 1] >> 30) + i;
}

static void random_torch_refill(gradrt_torch *t)
{
  uint32_t *mt = t->mt;
  for (int i = 0; i < 624; i++) {
    uint32_t y = (mt[i] & 0x80000000u) | (mt[(i + 1) % 624] & 0x7FFFFFFFu);
    mt[i] = mt[(i + 397) % 624] ^ y >> 1 ^ (y & 1 ? 0x9908B0DFu : 0);
  }
  t->at = 0;
}

uint32_t gradrt_torch_u32(gradrt_torch *t)
{
  if (t->at >= 624 || t->at < 0)
    random_torch_refill(t);
  uint32_t y = t->mt[t->at++];
  y ^= y >> 11;
  y ^= y << 7 & 0x9D2C5680u;
  y ^= y << 15 & 0xEFC60000u;
  return y ^ y >> 18;
}

uint64_t gradrt_torch_u64(gradrt_torch *t)
{
  uint64_t high = gradrt_torch_u32(t);
  return high << 32 | gradrt_torch_u32(t);
}

/* tensor.uniform_(a, b) of floats. */
void gradrt_torch_uniform(gradrt_torch *t, double *out, int64_t n, double a, double b)
{
  float low = (float)a, span = (float)b - (float)a;
  for (int64_t i = 0; i < n; i++)
    out[i] = (double)fmaf((float)(gradrt_torch_u32(t) & 0xFFFFFFu) * 0x1p-24f, span, low);
}

/* Turns 16 uniforms into 16 normals: j and j + 8 are a Box-Muller pair. */
static void random_torch_block(double *x, double mean, double std)
{
  for (int j = 0; j < 8; j++) {
    float u1 = 1 - (float)x[j], u2 = (float)x[j + 8];
    float radius = sqrtf(-2 * logf(u1)), angle = (float)(2 * 3.14159265358979323846 * (double)u2);
    x[j] = (double)(radius * cosf(angle) * (float)std + (float)mean);
    x[j + 8] = (double)(radius * sinf(angle) * (float)std + (float)mean);
  }
}

static double random_torch_double(gradrt_torch *t)
{
  return (double)(gradrt_torch_u64(t) & ((UINT64_C(1) << 53) - 1)) * 0x1p-53;
}

static double random_torch_normal_one(gradrt_torch *t)
{
  if (t->has_normal) {
    t->has_normal = false;
    return t->next_normal;
  }
  double u1 = random_torch_double(t), u2 = random_torch_double(t);
  double radius = sqrt(-2 * log1p(-u2)), angle = 2 * 3.14159265358979323846 * u1;
  t->has_normal = true;
  t->next_normal = radius * sin(angle);
  return radius * cos(angle);
}

/* tensor.normal_(mean, std) of floats: blocks of 16 from 16 elements on, single draws below. */
void gradrt_torch_normal(gradrt_torch *t, double *out, int64_t n, double mean, double std)
{
  if (n < 16) {
    for (int64_t i = 0; i < n; i++)
      out[i] = (double)(float)(random_torch_normal_one(t) * std + mean);
    return;
  }
  gradrt_torch_uniform(t, out, n, 0, 1);
  for (int64_t i = 0; i + 16 <= n; i += 16)
    random_torch_block(out + i, mean, std);
  if (n % 16) {
    gradrt_torch_uniform(t, out + n - 16, 16, 0, 1);
    random_torch_block(out + n - 16, mean, std);
  }
}

/* torch.randperm(n); from 2^32 / 20 elements on it shuffles inside out with 64-bit draws. */
void gradrt_torch_randperm(gradrt_torch *t, uint32_t *out, int64_t n)
{
  bool large = n >= (int64_t)(UINT32_MAX / 20);
  for (int64_t i = 0; i < n; i++)
    out[i] = (uint32_t)i;
  for (int64_t i = 0; i < n - 1 && !large; i++) {
    int64_t z = i + (int64_t)(gradrt_torch_u32(t) % (uint64_t)(n - i));
    uint32_t kept = out[i];
    out[i] = out[z];
    out[z] = kept;
  }
  for (int64_t i = 0; i < n && large; i++) {
    int64_t z = (int64_t)(gradrt_torch_u64(t) % (uint64_t)(i + 1));
    out[i] = out[z];
    out[z] = (uint32_t)i;
  }
}
