#include "ops/cpu_features.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace martlet::ops {
namespace {

struct TileProducts {
  bool of_bytes = false, of_bf16 = false;
};

/// What tiles the processor multiplies, if the system lets this process use them: a tile's data are state
/// that Linux keeps for those processes alone that ask ("Using XSTATE features in user space applications",
/// Documentation/arch/x86/xstate.rst).
TileProducts tile_products() {
#if defined(__x86_64__) && defined(__linux__)
  constexpr unsigned kAmxBF16 = 1u << 22, kAmxTile = 1u << 24, kAmxInt8 = 1u << 25;  // CPUID leaf 7, EDX
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d & kAmxTile) == 0) return {};
  if (syscall(SYS_arch_prctl, kRequestPermission, kTileData) != 0) return {};
  return {(d & kAmxInt8) != 0, (d & kAmxBF16) != 0};
#else
  return {};
#endif
}

CpuFeatures detect() {
  CpuFeatures features;
#if defined(__x86_64__)
  __builtin_cpu_init();
  features.avx2 =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
  features.avx512 = features.avx2 && __builtin_cpu_supports("avx512f") &&
                    __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512vl");
  features.avx512_vnni =
      features.avx512 && __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vbmi");
  features.avx512_bf16 = features.avx512 && __builtin_cpu_supports("avx512bf16");
  const TileProducts tiles = features.avx512 ? tile_products() : TileProducts{};
  features.amx_int8 = features.avx512_vnni && tiles.of_bytes;
  features.amx_bf16 = features.avx512_vnni && features.avx512_bf16 && tiles.of_bf16;
  features.is_intel = features.avx512 && __builtin_cpu_is("intel") != 0;
#endif
  return features;
}

CpuFeatures& current() {
  static CpuFeatures features = detect();
  return features;
}

}  // namespace

std::string CpuFeatures::to_string() const {
  if (!avx2) return "baseline";
  std::string text = avx512 ? "AVX-512" : "AVX2";
  if (avx512_bf16) text += " BF16";
  if (avx512_vnni) text += " VNNI";
  if (amx_int8 || amx_bf16) text += " AMX";
  return text;
}

const CpuFeatures& cpu_features() {
  return current();
}

void limit_cpu_features(const CpuFeatures& at_most) {
  const CpuFeatures detected = detect();
  current() = {detected.avx2 && at_most.avx2,
               detected.avx512 && at_most.avx512,
               detected.avx512_vnni && at_most.avx512_vnni,
               detected.avx512_bf16 && at_most.avx512_bf16,
               detected.amx_int8 && at_most.amx_int8,
               detected.amx_bf16 && at_most.amx_bf16,
               detected.avx512 && at_most.avx512 && at_most.is_intel};
}

}  // namespace martlet::ops
