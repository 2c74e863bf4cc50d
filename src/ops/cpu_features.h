#pragma once

#include <string>

namespace martlet::ops {

/// Instruction sets that this process may use: what the processor and the system support, less what was
/// switched off.
struct CpuFeatures {
  bool avx2 = false;         ///< AVX2, FMA, F16C, BMI2
  bool avx512 = false;       ///< AVX-512 F, BW, DQ, VL
  bool avx512_vnni = false;  ///< and VNNI, VBMI
  bool avx512_bf16 = false;  ///< and BF16
  bool amx_int8 = false;     ///< AVX-512 VNNI and tiles of bytes
  bool amx_bf16 = false;     ///< AVX-512 VNNI, BF16 and tiles of bf16
  /// Additions of 512-bit vectors take the pipes of products here, cores want every line of memory called,
  /// and pairs of bf16 are multiplied in vectors at half the speed of f32.
  bool is_intel = false;

  /// "AVX-512 BF16 VNNI".
  std::string to_string() const;
  bool operator==(const CpuFeatures&) const = default;
};

const CpuFeatures& cpu_features();

/// Lowers what `cpu_features` reports (never raises, but for `is_intel`, which is taken as it is where there
/// is a choice), so that tests can run every kernel the machine has. Not while operations run.
void limit_cpu_features(const CpuFeatures& at_most);

}  // namespace martlet::ops
