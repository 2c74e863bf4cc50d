#include "ops/machine_limits.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <immintrin.h>

#include "base/thread_pool.h"
#include "ops/cpu/amx_tiles.h"
#include "ops/cpu_features.h"
#include "tensor/allocator.h"
#include "tensor/tensor.h"

namespace martlet::ops::cpu {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

volatile float sink;
volatile int int_sink;

// Half a millisecond: short enough that some run is left alone by other processes.
constexpr int64_t kRounds = 100000;
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

__attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16"))) void multiply_add_bf16() {
  __m512 chains[kChains];
  for (int k = 0; k < kChains; ++k) chains[k] = _mm512_set1_ps(static_cast<float>(k));
  const __m512bh factor = _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.5f), _mm512_set1_ps(0.25f));
  for (int64_t i = 0; i < kRounds; ++i)
#pragma GCC unroll 12
    for (int k = 0; k < kChains; ++k) chains[k] = _mm512_dpbf16_ps(chains[k], factor, factor);
  __m512 all = chains[0];
  for (const __m512& chain : chains) all = _mm512_add_ps(all, chain);
  sink = _mm512_cvtss_f32(all);
}

__attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni"))) void multiply_add_int8_512() {
  __m512i chains[kChains];
  for (int k = 0; k < kChains; ++k) chains[k] = _mm512_set1_epi32(k);
  const __m512i factor = _mm512_set1_epi8(1);
  for (int64_t i = 0; i < kRounds; ++i)
#pragma GCC unroll 12
    for (int k = 0; k < kChains; ++k) chains[k] = _mm512_dpbusd_epi32(chains[k], factor, factor);
  int first;
  __m512i all = chains[0];
  // From the second on: the first xor itself would be nothing, and its chain left out.
  for (int k = 1; k < kChains; ++k) all = _mm512_xor_si512(all, chains[k]);
  std::memcpy(&first, &all, sizeof(first));
  int_sink = first;
}

/// A product of tiles counts for as many steps of a chain.
constexpr int kStepsOfTiles = 16;

constexpr TileShapes kWholeTiles{.row_bytes = {64, 64, 64, 64, 64, 64}, .rows = {16, 16, 16, 16, 16, 16}};

void multiply_add_int8_tiles() {
  begin_tiles(kWholeTiles);
  for (int64_t i = 0; i < kRounds * kChains / kStepsOfTiles / 4; ++i) {
    multiply_tiles<0, 4, 5>();
    multiply_tiles<1, 4, 5>();
    multiply_tiles<2, 4, 5>();
    multiply_tiles<3, 4, 5>();
  }
  end_tiles();
}

void multiply_add_bf16_tiles() {
  begin_tiles(kWholeTiles);
  for (int64_t i = 0; i < kRounds * kChains / kStepsOfTiles / 4; ++i) {
    multiply_bf16_tiles<0, 4, 5>();
    multiply_bf16_tiles<1, 4, 5>();
    multiply_bf16_tiles<2, 4, 5>();
    multiply_bf16_tiles<3, 4, 5>();
  }
  end_tiles();
}

__attribute__((target("avx2"))) void multiply_add_int8_256() {
  __m256i chains[kChains];
  for (int k = 0; k < kChains; ++k) chains[k] = _mm256_set1_epi32(k);
  __m256i factor = _mm256_set1_epi8(1);
  const __m256i ones = _mm256_set1_epi16(1);
  for (int64_t i = 0; i < kRounds; ++i)
#pragma GCC unroll 12
    for (int k = 0; k < kChains; ++k) {
      const __m256i pairs = _mm256_maddubs_epi16(factor, _mm256_xor_si256(chains[k], factor));
      chains[k] = _mm256_add_epi32(chains[k], _mm256_madd_epi16(pairs, ones));
    }
  __m256i all = chains[0];
  for (int k = 1; k < kChains; ++k) all = _mm256_xor_si256(all, chains[k]);
  int_sink = _mm256_extract_epi32(all, 0);
}

/// One thread's part of a run, and how many lanes' products each of its steps is.
struct Loop {
  void (*run)() = nullptr;
  int products = 0;
};

Loop loop_of(Arithmetic arithmetic) {
  const CpuFeatures& features = cpu_features();
  switch (arithmetic) {
    case Arithmetic::kF32:
      if (features.avx512) return {multiply_add_512, 16};
      return features.avx2 ? Loop{multiply_add_256, 8} : Loop{};
    case Arithmetic::kBF16:
      if (features.amx_bf16) return {multiply_add_bf16_tiles, 16 * 16 * 32 / kStepsOfTiles};
      return features.avx512_bf16 ? Loop{multiply_add_bf16, 32} : Loop{};
    case Arithmetic::kInt8:
      if (features.amx_int8) return {multiply_add_int8_tiles, 16 * 16 * 64 / kStepsOfTiles};
      if (features.avx512_vnni) return {multiply_add_int8_512, 64};
      return features.avx2 ? Loop{multiply_add_int8_256, 32} : Loop{};
  }
  return {};
}

__attribute__((target("avx2"))) float read_all_256(const float* from, int64_t count) {
  __m256 sums[8] = {};
  for (int64_t i = 0; i < count; i += 64)
    for (int k = 0; k < 8; ++k) sums[k] = _mm256_max_ps(sums[k], _mm256_loadu_ps(from + i + 8 * k));
  for (int k = 1; k < 8; ++k) sums[0] = _mm256_max_ps(sums[0], sums[k]);
  return _mm256_cvtss_f32(sums[0]);
}

float read_all(const float* from, int64_t count) {
  if (cpu_features().avx2) return read_all_256(from, count);
  float most[16] = {};
  for (int64_t i = 0; i < count; i += 16)
    for (int k = 0; k < 16; ++k) most[k] = std::max(most[k], from[i + k]);
  return *std::max_element(most, most + 16);
}

}  // namespace

std::string_view name_of(Arithmetic arithmetic) {
  constexpr std::string_view kNames[] = {"f32", "bf16", "int8"};
  return kNames[static_cast<size_t>(arithmetic)];
}

double multiply_add_peak(Arithmetic arithmetic) {
  const Loop loop = loop_of(arithmetic);
  if (loop.run == nullptr) return 0;
  double best = 0;
  for (int run = 0; run < 100; ++run) {
    const auto start = std::chrono::steady_clock::now();
    parallel_for(thread_count(), 1, [&](int64_t, int64_t) { loop.run(); });
    const double operations = 2.0 * kRounds * kChains * loop.products * thread_count();
    best = std::max(best, operations / seconds_since(start));
  }
  return best;
}

double read_bandwidth() {
  const int64_t count = int64_t{64} << 20;  // 256 MiB of floats
  // Of the allocator: in large pages, as weights are.
  const Tensor memory = Tensor::empty({count}, DType::kF32);
  float* values = memory.mutable_data<float>();
  std::fill_n(values, count, 1.0f);
  double best = 0;
  for (int run = 0; run < 30; ++run) {
    const auto start = std::chrono::steady_clock::now();
    parallel_for(count, 1 << 16,
                 [&](int64_t begin, int64_t end) { sink = read_all(values + begin, end - begin); });
    best = std::max(best, static_cast<double>(count) * 4 / seconds_since(start));
  }
  return best;
}

MachineLimits measure_limits() {
  MachineLimits limits;
  limits.bandwidth = read_bandwidth();
  release_cached_memory();
  for (int i = 0; i < kArithmeticCount; ++i)
    limits.operations[static_cast<size_t>(i)] = multiply_add_peak(static_cast<Arithmetic>(i));
  return limits;
}

}  // namespace martlet::ops::cpu
