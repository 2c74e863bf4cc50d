#pragma once

// What this machine can do at most, measured: what every speed is a share of.

#include <array>
#include <cstdint>
#include <string_view>

namespace martlet::ops::cpu {

/// What products are computed in.
enum class Arithmetic : uint8_t { kF32, kBF16, kInt8 };
inline constexpr int kArithmeticCount = 3;
/// "f32", "bf16", "int8".
std::string_view name_of(Arithmetic arithmetic);

/// Multiplications and additions a second of thread_count() threads, nothing read from memory. bf16 is 0
/// where the processor has no products of it.
double multiply_add_peak(Arithmetic arithmetic);

/// Bytes a second that thread_count() threads read from memory beyond the caches.
double read_bandwidth();

struct MachineLimits {
  double bandwidth = 0;
  std::array<double, kArithmeticCount> operations = {};

  double of(Arithmetic arithmetic) const { return operations[static_cast<size_t>(arithmetic)]; }
};

/// All of them: about a second, and 256 MiB of memory for that time.
MachineLimits measure_limits();

}  // namespace martlet::ops::cpu
