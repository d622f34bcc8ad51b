/* The table of targets and the choice of the best one for this machine. Rows are ordered best
 * first. */
#include "target/target.h"
#include "base/str.h"
#include "base/util.h"

static const Target v4 = {
  .name = "x86-64-v4",
  .doc = "x86-64 with AVX-512 F, BW, CD, DQ and VL (Skylake server, Zen 4)",
  .vector_bytes = 64,
  .registers = 32,
  .pointer_bytes = 8,
  .fma = true,
  .c_test = "defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && "
            "defined(__AVX512VL__) && defined(__FMA__)",
  .c_flags = "-march=x86-64-v4",
  .arch = "x86_64",
  .llvm_cpu = "x86-64-v4",
  .llvm_features = "",
  .system = "unknown-linux-gnu",
};

static const Target v3 = {
  .name = "x86-64-v3",
  .doc = "x86-64 with AVX2 and FMA (Haswell, Zen)",
  .vector_bytes = 32,
  .registers = 16,
  .pointer_bytes = 8,
  .fma = true,
  .c_test = "defined(__AVX2__) && defined(__FMA__)",
  .c_flags = "-march=x86-64-v3",
  .arch = "x86_64",
  .llvm_cpu = "x86-64-v3",
  .llvm_features = "",
  .system = "unknown-linux-gnu",
};

static const Target v1 = {
  .name = "x86-64",
  .doc = "any x86-64: SSE2, fused multiply-add in software (right, but slow)",
  .vector_bytes = 16,
  .registers = 16,
  .pointer_bytes = 8,
  .fma = false,
  .c_test = "defined(__x86_64__)",
  .c_flags = "-march=x86-64",
  .arch = "x86_64",
  .llvm_cpu = "x86-64",
  .llvm_features = "",
  .system = "unknown-linux-gnu",
};

static const Target aarch64 = {
  .name = "aarch64",
  .doc = "any 64-bit ARM: NEON with fused multiply-add",
  .vector_bytes = 16,
  .registers = 32,
  .pointer_bytes = 8,
  .fma = true,
  .c_test = "defined(__aarch64__)",
  .c_flags = "-march=armv8-a",
  .arch = "aarch64",
  .llvm_cpu = "generic",
  .llvm_features = "",
  .system = "unknown-linux-gnu",
};

/* No vectors that all processors have: a value of 16 bytes becomes two or four scalars. */
static const Target riscv64 = {
  .name = "riscv64",
  .doc = "64-bit RISC-V (rv64gc): scalar code with fused multiply-add; keeps denormals",
  .vector_bytes = 16,
  .registers = 32,
  .pointer_bytes = 8,
  .fma = true,
  .c_test = "defined(__riscv) && __riscv_xlen == 64 && defined(__riscv_flen) && __riscv_flen >= 64",
  .c_flags = "-march=rv64gc -mabi=lp64d",
  .arch = "riscv64",
  .llvm_cpu = "generic-rv64",
  .llvm_features = "+m,+a,+f,+d,+c",
  .system = "unknown-linux-gnu",
};

static const Target wasm32 = {
  .name = "wasm32",
  .doc = "WebAssembly with SIMD; fused multiply-add in software (right, but slow), keeps denormals",
  .vector_bytes = 16,
  .registers = 16,
  .pointer_bytes = 4,
  .fma = false,
  .c_test = "defined(__wasm32__) && defined(__wasm_simd128__)",
  .c_flags = "--target=wasm32 -msimd128",
  .arch = "wasm32",
  .llvm_cpu = "generic",
  .llvm_features = "+simd128",
  .system = "unknown-unknown",
};

static const Target *const targets[] = {&v4, &v3, &v1, &aarch64, &riscv64, &wasm32};

const Target *target_find(const char *name)
{
  for (size_t i = 0; i < ARRAY_LEN(targets); i++)
    if (str_eq(targets[i]->name, name))
      return targets[i];
  return NULL;
}

const Target *target_host(void)
{
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
    return &v1;
  bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
              __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
              __builtin_cpu_supports("avx512vl");
  return wide ? &v4 : &v3;
#elif defined(__aarch64__)
  return &aarch64;
#elif defined(__riscv) && __riscv_xlen == 64
  return &riscv64;
#else
  return NULL;
#endif
}

const Target *const *target_all(int *n)
{
  *n = (int)ARRAY_LEN(targets);
  return targets;
}

const char *target_words(Arena *a)
{
  int n;
  const Target *const *all = target_all(&n);
  const char *words = "native";
  for (int i = 0; i < n; i++)
    words = arena_printf(a, "%s, %s", words, all[i]->name);
  return words;
}
