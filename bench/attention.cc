// Attention against the machine's limits: prefill as a share of the fused multiply-adds that its cores can
// do, decoding as a share of the bandwidth at which they read memory. Both limits are measured in the same
// run.

#include "ops/attention.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <fmt/core.h>
#include <vector>

#include "base/thread_pool.h"
#include "ops/cpu_features.h"
#include "ops/machine_limits.h"

namespace martlet::ops {
namespace {

Tensor numbers(const Shape& shape, DType dtype) {
  std::vector<float> values(static_cast<size_t>(shape.element_count()));
  uint32_t state = 1;
  for (float& value : values) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<float>(state >> 8) * 0x1p-23f - 1.0f;
  }
  if (dtype == DType::kF32) return Tensor::from(values, shape);
  std::vector<BF16> narrow(values.size());
  std::transform(values.begin(), values.end(), narrow.begin(), [](float value) { return to_bf16(value); });
  return Tensor::from(narrow, shape);
}

struct Shapes {
  int64_t heads, key_value_heads, head_dim;
};

/// The best of some runs, seconds.
template <typename Call>
double best_seconds(const Call& call) {
  double best = INFINITY;
  const auto begin = std::chrono::steady_clock::now();
  for (int run = 0; run < 200; ++run) {
    const auto start = std::chrono::steady_clock::now();
    call();
    const auto end = std::chrono::steady_clock::now();
    best = std::min(best, std::chrono::duration<double>(end - start).count());
    if (run >= 4 && end - begin > std::chrono::milliseconds(600)) break;
  }
  return best;
}

void prefill(const Shapes& shapes, int64_t tokens, bool causal, DType cache, double peak) {
  const Tensor q = numbers({tokens, shapes.heads, shapes.head_dim}, DType::kF32);
  const std::vector<AttentionSequence> sequences = {
      {0, tokens, numbers({tokens, shapes.key_value_heads, shapes.head_dim}, cache),
       numbers({tokens, shapes.key_value_heads, shapes.head_dim}, cache)}};
  AttentionOptions options;
  options.scale = 1 / std::sqrt(static_cast<float>(shapes.head_dim));
  options.causal = causal;
  const double seconds = best_seconds([&] { attention(q, sequences, options); });
  const double rate = attention_cost(q.shape(), sequences, options).operations / seconds;
  fmt::print("prefill {:5} tokens, heads {:2}/{} of {:3}, {:4}{:8}: {:8.1f} us, {:6.1f} GFLOP/s, {:4.1f} %\n",
             tokens, shapes.heads, shapes.key_value_heads, shapes.head_dim, name_of(cache),
             causal ? " causal" : "", seconds * 1e6, rate * 1e-9, rate / peak * 100);
  std::fflush(stdout);
}

/// Enough caches that none is read from a cache memory twice in a row.
void decode(const Shapes& shapes, int64_t depth, int64_t batch, CacheFormat format, double bandwidth) {
  const Tensor q = numbers({batch, shapes.heads, shapes.head_dim}, DType::kF32);
  const Tensor rows = numbers({depth, shapes.key_value_heads, shapes.head_dim}, DType::kF32);
  const int64_t bytes =
      batch * depth * shapes.key_value_heads *
      (key_tile_bytes(format, shapes.head_dim) + value_tile_bytes(format, shapes.head_dim)) /
      KeyValueTiles::kPositions;
  const int64_t layers = std::max<int64_t>(1, (int64_t{256} << 20) / bytes);
  std::vector<std::vector<AttentionSequence>> caches;
  for (int64_t layer = 0; layer < layers; ++layer) {
    caches.emplace_back();
    for (int64_t i = 0; i < batch; ++i) {
      const int64_t tiles = (depth + KeyValueTiles::kPositions - 1) / KeyValueTiles::kPositions;
      KeyValueTiles held =
          make_key_value_tiles(format, tiles, shapes.key_value_heads, shapes.head_dim, shapes.head_dim);
      write_key_values(held, 0, rows, rows);
      caches.back().push_back({i, 1, {}, {}, held});
    }
  }
  const double seconds = best_seconds([&] {
    for (const std::vector<AttentionSequence>& sequences : caches) attention(q, sequences, {});
  });
  const double calls = static_cast<double>(layers);
  const double rate = calls * static_cast<double>(bytes) / seconds;
  const double work = calls * attention_cost(q.shape(), caches.front(), {}).operations / seconds;
  fmt::print(
      "decode depth {:5}, batch {:2}, heads {:2}/{} of {:3}, {:3}: {:8.1f} us, {:5.1f} GB/s, {:5.1f} %, "
      "{:6.1f} "
      "GFLOP/s\n",
      depth, batch, shapes.heads, shapes.key_value_heads, shapes.head_dim, name_of(format),
      seconds / calls * 1e6, rate * 1e-9, rate / bandwidth * 100, work * 1e-9);
}

void measure(int threads) {
  set_thread_count(threads);
  const double peak = ops::cpu::multiply_add_peak(ops::cpu::Arithmetic::kF32);
  const double bandwidth = ops::cpu::read_bandwidth();
  fmt::print("{} threads, {}: {:.1f} GFLOP/s, {:.1f} GB/s\n", threads, cpu_features().to_string(),
             peak * 1e-9, bandwidth * 1e-9);
  for (const Shapes& shapes :
       {Shapes{9, 3, 64}, {12, 12, 64}, {4, 1, 256}, {32, 8, 128}, {12, 12, 80}, {12, 4, 96}})
    for (const int64_t tokens : {128, 512, 2048}) prefill(shapes, tokens, true, DType::kF32, peak);
  prefill({12, 12, 64}, 512, false, DType::kF32, peak);
  prefill({9, 3, 64}, 512, true, DType::kBF16, peak);
  for (const CacheFormat format : kAllCacheFormats)
    for (const Shapes& shapes : {Shapes{9, 3, 64}, {32, 4, 64}, {4, 1, 256}, {32, 8, 128}, {12, 12, 64}})
      for (const int64_t depth : {256, 2048, 16384}) decode(shapes, depth, 1, format, bandwidth);
  for (const CacheFormat format : kAllCacheFormats) decode({9, 3, 64}, 2048, 8, format, bandwidth);
}

}  // namespace
}  // namespace martlet::ops

int main(int count, char** arguments) {
  const bool narrow = count > 1 && std::string_view(arguments[1]) == "avx2";
  if (narrow) martlet::ops::limit_cpu_features({.avx2 = true});
  for (const int threads : {1, martlet::available_cpus()}) martlet::ops::measure(threads);
}
