#include "bench/machine_limits.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <immintrin.h>
#include <vector>

#include "base/thread_pool.h"

namespace martlet::bench {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

volatile float sink;

// Half a millisecond: short enough that some run is left alone by other processes.
constexpr int64_t kRounds = 300'000;
constexpr int kChains = 12;  // latency 4 times 2 units, and some

__attribute__((target("avx512f"))) void multiply_add_512() {
  __m512 chains[kChains];
  for (int k = 0; k < kChains; ++k)
    chains[k] = _mm512_set1_ps(static_cast<float>(k));  // none equal to another
  const __m512 factor = _mm512_set1_ps(0.999f);
  for (int64_t i = 0; i < kRounds; ++i)
#pragma GCC unroll 12
    for (int k = 0; k < kChains; ++k) chains[k] = _mm512_fmadd_ps(chains[k], factor, factor);
  __m512 all = chains[0];
  for (const __m512& chain : chains) all = _mm512_add_ps(all, chain);
  sink = _mm512_cvtss_f32(all);
}

__attribute__((target("avx2,fma"))) void multiply_add_256() {
  __m256 chains[kChains];
  for (int k = 0; k < kChains; ++k)
    chains[k] = _mm256_set1_ps(static_cast<float>(k));  // none equal to another
  const __m256 factor = _mm256_set1_ps(0.999f);
  for (int64_t i = 0; i < kRounds; ++i)
#pragma GCC unroll 12
    for (int k = 0; k < kChains; ++k) chains[k] = _mm256_fmadd_ps(chains[k], factor, factor);
  __m256 all = chains[0];
  for (const __m256& chain : chains) all = _mm256_add_ps(all, chain);
  sink = _mm256_cvtss_f32(all);
}

__attribute__((target("avx2"))) float read_all(const float* from, int64_t count) {
  __m256 sums[8] = {};
  for (int64_t i = 0; i < count; i += 64)
    for (int k = 0; k < 8; ++k) sums[k] = _mm256_max_ps(sums[k], _mm256_loadu_ps(from + i + 8 * k));
  for (int k = 1; k < 8; ++k) sums[0] = _mm256_max_ps(sums[0], sums[k]);
  return _mm256_cvtss_f32(sums[0]);
}

}  // namespace

double multiply_add_peak(bool avx512) {
  double best = 0;
  for (int run = 0; run < 200; ++run) {
    const auto start = std::chrono::steady_clock::now();
    parallel_for(thread_count(), 1,
                 [&](int64_t, int64_t) { avx512 ? multiply_add_512() : multiply_add_256(); });
    const double operations = 2.0 * kRounds * kChains * (avx512 ? 16 : 8) * thread_count();
    best = std::max(best, operations / seconds_since(start));
  }
  return best;
}

double read_bandwidth() {
  const int64_t count = int64_t{64} << 20;  // 256 MiB of floats
  const std::vector<float> values(static_cast<size_t>(count), 1.0f);
  double best = 0;
  for (int run = 0; run < 30; ++run) {
    const auto start = std::chrono::steady_clock::now();
    parallel_for(count, 1 << 16,
                 [&](int64_t begin, int64_t end) { sink = read_all(values.data() + begin, end - begin); });
    best = std::max(best, static_cast<double>(count) * 4 / seconds_since(start));
  }
  return best;
}

}  // namespace martlet::bench
