// Products of many rows with packed weights and activations of one int8 code, for every interleaved format:
// how near each comes to the peak of int8 products, the rounding of x and the writing of y included.
//
//   bench_packed_products [threads] [turns] [part of a format's name]

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <fmt/core.h>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/thread_pool.h"
#include "ops/linear.h"
#include "ops/machine_limits.h"
#include "ops/packed/interleaved.h"

namespace martlet::ops {
namespace {

constexpr int64_t kColumns = 2048;
constexpr int64_t kRows = 5632;
constexpr std::array<int64_t, 3> kTokens = {64, 256, 512};

Tensor numbers(const Shape& shape, uint64_t seed) {
  const Philox random(seed);
  std::vector<float> values(static_cast<size_t>(shape.element_count()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(random.uniform(i)) - 0.5f;
  return Tensor::from(values, shape);
}

/// Bits drawn at random: what the values are does not matter to the time, unless they are not finite.
Weight weight_of(const PackedFormat& format) {
  const Philox random(7);
  std::vector<uint8_t> bytes(static_cast<size_t>(kRows * format.row_bytes(kColumns)));
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(random.uniform(i) * 64);
  return Weight(format, Tensor::from(bytes, {kRows, format.row_bytes(kColumns)}), kColumns).interleaved();
}

double seconds_of(const Tensor& x, const Weight& weight) {
  const auto start = std::chrono::steady_clock::now();
  const Tensor y = linear(x, weight);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void measure(const InterleavedFormat& format, int turns, double peak) {
  const Weight weight = weight_of(*format.source);
  fmt::print("{:10}", format.source->name);
  for (const int64_t tokens : kTokens) {
    const Tensor x = numbers({tokens, kColumns}, 1);
    std::vector<double> times;
    for (int turn = 0; turn < turns; ++turn) times.push_back(seconds_of(x, weight));
    const double rate = linear_cost(tokens, weight).operations / median(times);
    fmt::print("  {} rows {:5.0f} GOP/s {:4.1f} %", tokens, rate * 1e-9, rate / peak * 100);
  }
  fmt::print("\n");
  std::fflush(stdout);
}

}  // namespace
}  // namespace martlet::ops

int main(int count, char** arguments) {
  using namespace martlet;
  const int threads = count > 1 ? std::atoi(arguments[1]) : available_cpus();
  const int turns = count > 2 ? std::atoi(arguments[2]) : 15;
  const std::string_view part = count > 3 ? arguments[3] : "";
  set_thread_count(threads);
  const double peak = ops::cpu::multiply_add_peak(ops::cpu::Arithmetic::kInt8);
  fmt::print("{} threads, {} columns, {} rows of weights: peak {:.0f} GOP/s\n", threads, ops::kColumns,
             ops::kRows, peak * 1e-9);
  for (const ops::InterleavedFormat* format : ops::interleaved_formats())
    if (format->source->name.find(part) != std::string_view::npos) ops::measure(*format, turns, peak);
}
