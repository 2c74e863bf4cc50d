#include "ops/cpu_features.h"

namespace martlet::ops {
namespace {

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
  return text;
}

const CpuFeatures& cpu_features() {
  return current();
}

void limit_cpu_features(const CpuFeatures& at_most) {
  const CpuFeatures detected = detect();
  current() = {detected.avx2 && at_most.avx2, detected.avx512 && at_most.avx512,
               detected.avx512_vnni && at_most.avx512_vnni, detected.avx512_bf16 && at_most.avx512_bf16};
}

}  // namespace martlet::ops
