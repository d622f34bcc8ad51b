/* A small net with every kind of tensor, and files that are forged on purpose. For the tests of
 * checkpoints. */
#ifndef GRADRT_TEST_CHECKPOINT_NET_H
#define GRADRT_TEST_CHECKPOINT_NET_H

#include <inttypes.h>
#include <math.h>

#include "checkpoint.h"
#include "files.h"

enum { NET_BYTES = 1024, NET_TENSORS = 6, NET_COUNTER = 2 };

static const gradrt_tensor net_tensors[NET_TENSORS] = {
  { .name = "c1.weight",
    .role = GRADRT_PARAM,
    .trainable = true,
    .rank = 3,
    .dim = { 3, 2, 2 },
    .ndigit = 4,
    .digit = { { 0, 16, 1 }, { 1, 1, 2 }, { 2, 1, 2 }, { 0, 1, 16 } },
    .offset = 0,
    .stored = 64 },
  { .name = "c1.bias",
    .role = GRADRT_PARAM,
    .trainable = true,
    .rank = 1,
    .dim = { 3 },
    .ndigit = 1,
    .digit = { { 0, 1, 16 } },
    .offset = 512,
    .stored = 16 },
  { .name = "bn.num_batches_tracked", .role = GRADRT_STAT, .rank = 0, .offset = 640, .stored = 8 },
  { .name = "f.weight",
    .role = GRADRT_PARAM,
    .trainable = true,
    .rank = 2,
    .dim = { 2, 3 },
    .ndigit = 2,
    .digit = { { 1, 1, 3 }, { 0, 1, 2 } },
    .offset = 704,
    .stored = 6 },
  { .name = "bn.running_mean",
    .role = GRADRT_STAT,
    .rank = 1,
    .dim = { 3 },
    .ndigit = 1,
    .digit = { { 0, 1, 3 } },
    .offset = 768,
    .stored = 3 },
  { .name = "momentum.c1.bias",
    .role = GRADRT_SLOT,
    .rank = 1,
    .dim = { 3 },
    .ndigit = 1,
    .digit = { { 0, 1, 3 } },
    .offset = 832,
    .stored = 3 },
};

#define NET_FINGERPRINT "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

/* A description that a test may change: its tensors are in `own`. */
static inline gradrt_net small_net(gradrt_dtype real, gradrt_tensor own[NET_TENSORS])
{
  memcpy(own, net_tensors, sizeof net_tensors);
  return (gradrt_net){ .abi = GRADRT_ABI,
                       .name = "small \"net\"",
                       .file = "small.nn",
                       .version = "0.1.0",
                       .fingerprint = NET_FINGERPRINT,
                       .real = real,
                       .ntensor = NET_TENSORS,
                       .tensor = own,
                       .state_bytes = NET_BYTES };
}

static inline void fill_state(const gradrt_net *net, void *state, double base)
{
  memset(state, 0, NET_BYTES);
  for (int i = 0; i < net->ntensor; i++) {
    double v[64];
    for (int k = 0; k < 64; k++) {
      v[k] = (base + i) * 1.2345678901234567 * pow(-1.7, k) * (k == 1 ? 0x1p-130 : 1);
    }
    v[0] = gradrt_checkpoint_is_counter(&net->tensor[i]) ? 123457 + base : v[0];
    gradrt_tensor_store(net, &net->tensor[i], state, v);
  }
}

static inline gradrt_position some_position(void)
{
  gradrt_position p = { .epoch = 3, .step = 1234567890123, .batch_in_epoch = 17, .best = 0.1,
                        .best_epoch = 2, .stalled = 1, .seed = UINT64_MAX - 5, .loss_sum = 1.0 / 3,
                        .seen = 544, .data_fingerprint = "89abcdef" };
  gradrt_torch_seed(&p.torch, 42);
  gradrt_torch_u32(&p.torch);
  p.torch.has_normal = true;
  p.torch.next_normal = -0x1.8p-70;
  for (int i = 0; i < 64; i++) {
    p.counters[i] = i % 5 == 0 ? 0 : pow(-3.3, i);
  }
  return p;
}

/* ---- forging ---- */

/* A safetensors file from a header's text and n bytes of data. */
static inline void forge(const char *path, const char *header, const void *data, size_t n)
{
  static unsigned char file[FILES_MAX];
  size_t len = strlen(header);
  for (int i = 0; i < 8; i++) {
    file[i] = (unsigned char)((uint64_t)len >> (8 * i));
  }
  memcpy(file + 8, header, len);
  memcpy(file + 8 + len, data, n);
  files_write(path, file, 8 + len + n);
}

/* Replaces text in a file's header by text of the same length and makes the header's checksum fit
 * again. */
static inline void reseal(const char *path, const char *from, const char *to)
{
  size_t n, keep = strlen(from);
  unsigned char *file = files_text;
  char *place = files_read(path, &n) ? strstr((char *)file + 8, from) : NULL, *crc;
  size_t header = 0;
  if (!place || strlen(to) != keep) {
    fprintf(stderr, "cannot put %s for %s\n", to, from);
    abort();
  }
  for (int i = 7; i >= 0; i--) {
    header = header << 8 | file[i];
  }
  memcpy(place, to, keep);
  crc = strstr((char *)file + 8, "\"gradc.header_crc\":\"");
  if (crc) {
    char digits[9];
    memcpy(crc + 20, "00000000", 8);
    snprintf(digits, sizeof digits, "%08" PRIx32, gradrt_crc32c(0, file, 8 + header));
    memcpy(crc + 20, digits, 8);
  }
  files_write(path, file, n);
}

static inline uint64_t header_length(const unsigned char *file)
{
  uint64_t n = 0;
  for (int i = 7; i >= 0; i--) {
    n = n << 8 | file[i];
  }
  return n;
}

/* ---- reading and writing under watch ---- */

static gradrt_tensor own[NET_TENSORS];
static _Alignas(64) unsigned char before[NET_BYTES], block[NET_BYTES];

typedef enum { RUN, WEIGHTS } Purpose;

/* Reads into a state of known bytes; verifies that a refusal changes none of them and prints one
 * error. */
static inline int load(const gradrt_net *net, const char *path, Purpose purpose)
{
  gradrt_position p, untouched;
  memset(&p, 0x3C, sizeof p);
  untouched = p;
  fill_state(net, before, 99);
  memcpy(block, before, NET_BYTES);
  int kept = files_quiet();
  int code = purpose == RUN ? gradrt_checkpoint_read(net, path, block, &p)
                            : gradrt_weights_read(net, path, block);
  files_loud(kept);
  if (code != GRADRT_OK) {
    assert_memory_equal(block, before, NET_BYTES);
    assert_memory_equal(&p, &untouched, sizeof p);
  }
  return code;
}

static inline void expect(const gradrt_net *net, const char *path, Purpose purpose, int code,
                   const char *message)
{
  int got = load(net, path, purpose);
  const char *err = files_said;
  const char *error = strstr(err, "error: ");
  if (got != code || !strstr(err, message)) {
    fail_msg("%s gives %d, not %d with '%s':\n%s", path, got, code, message, err);
  }
  if (code != GRADRT_OK && (!error || strstr(error + 1, "error: ") || !strstr(error, path))) {
    fail_msg("not one error that names %s:\n%s", path, err);
  }
}

static inline void save(const gradrt_net *net, const char *path, double base)
{
  _Alignas(64) unsigned char state[NET_BYTES];
  gradrt_position p = some_position();
  fill_state(net, state, base);
  assert_int_equal(gradrt_checkpoint_write(net, path, state, &p), GRADRT_OK);
}

static inline unsigned char *copy_of(const char *path, size_t *n)
{
  files_read(path, n);
  unsigned char *bytes = malloc(*n + 1);
  memcpy(bytes, files_text, *n + 1);
  return bytes;
}

#endif
