/* MD5 as RFC 1321 describes it: four rounds of sixteen steps a block. */
#include "cmd/md5.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static uint32_t turn(uint32_t v, int by) { return v << by | v >> (32 - by); }

/* Which word of the block a step takes, and the round's function. */
static uint32_t mix(int step, uint32_t b, uint32_t c, uint32_t d, int *word)
{
  switch (step / 16) {
  case 0: *word = step; return (b & c) | (~b & d);
  case 1: *word = (5 * step + 1) % 16; return (d & b) | (~d & c);
  case 2: *word = (3 * step + 5) % 16; return b ^ c ^ d;
  default: *word = 7 * step % 16; return c ^ (b | ~d);
  }
}

static void block(Md5 *m)
{
  static const int turns[4][4] = {
    { 7, 12, 17, 22 }, { 5, 9, 14, 20 }, { 4, 11, 16, 23 }, { 6, 10, 15, 21 }
  };
  uint32_t x[16], a = m->state[0], b = m->state[1], c = m->state[2], d = m->state[3];
  for (int i = 0; i < 16; i++) {
    const unsigned char *p = m->block + 4 * i;
    x[i] = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
  }
  for (int i = 0; i < 64; i++) {
    int word;
    uint32_t f = mix(i, b, c, d, &word);
    uint32_t sine = (uint32_t)(4294967296.0 * fabs(sin(i + 1.0)));
    uint32_t next = b + turn(a + f + sine + x[word], turns[i / 16][i % 4]);
    a = d;
    d = c;
    c = b;
    b = next;
  }
  m->state[0] += a;
  m->state[1] += b;
  m->state[2] += c;
  m->state[3] += d;
}

void md5_start(Md5 *m)
{
  *m = (Md5){ .state = { 0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476 } };
}

void md5_add(Md5 *m, const void *bytes, size_t n)
{
  const unsigned char *p = bytes;
  while (n) {
    size_t have = (size_t)(m->bytes % 64), some = 64 - have < n ? 64 - have : n;
    memcpy(m->block + have, p, some);
    m->bytes += some;
    p += some;
    n -= some;
    if (have + some == 64)
      block(m);
  }
}

void md5_finish(Md5 *m, char hex[33])
{
  unsigned char tail[72] = { 0x80 };
  uint64_t bits = 8 * m->bytes;
  size_t n = (size_t)((119 - m->bytes % 64) % 64) + 1;
  for (int i = 0; i < 8; i++)
    tail[n + (size_t)i] = (unsigned char)(bits >> 8 * i);
  md5_add(m, tail, n + 8);
  for (int i = 0; i < 16; i++)
    snprintf(hex + 2 * i, 3, "%02x", m->state[i / 4] >> 8 * (i % 4) & 0xFF);
}
