// The element-wise operations of a decoder against the memory they move. Each is measured on one row
// (decoding) and on 512 rows (prefill), beside a plain loop over the same elements as a compiler makes it
// without these kernels. `bytes_per_second` is what the operation's cost says that it reads and writes;
// compare it with the copy at the top, which is the machine's own limit for one read and one write.

#include <benchmark/benchmark.h>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/thread_pool.h"
#include "ops/activation.h"
#include "ops/binary.h"
#include "ops/cast.h"
#include "ops/fill.h"
#include "ops/layer_norm.h"
#include "ops/rms_norm.h"
#include "ops/softmax.h"

namespace martlet::ops {
namespace {

Tensor numbers(const Shape& shape, DType dtype) {
  Tensor x = Tensor::empty(shape, dtype);
  fill_normal(x, Philox(1), 0, 1);
  return x;
}

void report(benchmark::State& state, const Cost& cost) {
  state.SetBytesProcessed(static_cast<int64_t>(cost.bytes_read + cost.bytes_written) * state.iterations());
}

Shape shape_of(const benchmark::State& state) {
  return {state.range(0), state.range(1)};
}
DType dtype_of(const benchmark::State& state) {
  return state.range(2) == 0 ? DType::kF32 : DType::kBF16;
}

void copy(benchmark::State& state) {
  const auto bytes = static_cast<size_t>(state.range(0) * state.range(1) * (state.range(2) == 0 ? 4 : 2));
  const std::vector<char> from(bytes, 1);
  std::vector<char> to(bytes);
  for (auto _ : state) {
    std::memcpy(to.data(), from.data(), bytes);
    benchmark::DoNotOptimize(to.data());
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(2 * static_cast<int64_t>(bytes) * state.iterations());
}

void rms_norm_rows(benchmark::State& state) {
  const Tensor x = numbers(shape_of(state), dtype_of(state));
  const Tensor weight = numbers({state.range(1)}, DType::kF32);
  for (auto _ : state) benchmark::DoNotOptimize(rms_norm(x, weight, 1e-5f));
  report(state, rms_norm_cost(x.shape(), x.dtype()));
}

void plain_rms_norm(benchmark::State& state) {
  const int64_t rows = state.range(0);
  const int64_t n = state.range(1);
  const std::vector<float> x = numbers(shape_of(state), DType::kF32).to_vector<float>();
  const std::vector<float> weight(static_cast<size_t>(n), 1.5f);
  std::vector<float> y(x.size());
  for (auto _ : state) {
    for (int64_t row = 0; row < rows; ++row) {
      const float* from = x.data() + row * n;
      float squares = 0;
      for (int64_t k = 0; k < n; ++k) squares += from[k] * from[k];
      const float scale = 1 / std::sqrt(squares / static_cast<float>(n) + 1e-5f);
      for (int64_t k = 0; k < n; ++k)
        y[static_cast<size_t>(row * n + k)] = from[k] * scale * weight[static_cast<size_t>(k)];
    }
    benchmark::DoNotOptimize(y.data());
    benchmark::ClobberMemory();
  }
  report(state, rms_norm_cost(shape_of(state), DType::kF32));
}

void layer_norm_rows(benchmark::State& state) {
  const Tensor x = numbers(shape_of(state), dtype_of(state));
  const Tensor weight = numbers({state.range(1)}, DType::kF32);
  for (auto _ : state) benchmark::DoNotOptimize(layer_norm(x, weight, weight, 1e-5f));
  report(state, layer_norm_cost(x.shape(), x.dtype()));
}

void swiglu_rows(benchmark::State& state) {
  const Tensor gate = numbers(shape_of(state), dtype_of(state));
  const Tensor up = numbers(shape_of(state), dtype_of(state));
  for (auto _ : state) benchmark::DoNotOptimize(gated(Unary::kSilu, gate, up));
  report(state, gated_cost(Unary::kSilu, gate.shape(), gate.dtype()));
}

void plain_swiglu(benchmark::State& state) {
  const std::vector<float> gate = numbers(shape_of(state), DType::kF32).to_vector<float>();
  const std::vector<float> up = gate;
  std::vector<float> y(gate.size());
  for (auto _ : state) {
    for (size_t i = 0; i < gate.size(); ++i) y[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
    benchmark::DoNotOptimize(y.data());
    benchmark::ClobberMemory();
  }
  report(state, gated_cost(Unary::kSilu, shape_of(state), DType::kF32));
}

void geglu_rows(benchmark::State& state) {
  const Tensor gate = numbers(shape_of(state), dtype_of(state));
  const Tensor up = numbers(shape_of(state), dtype_of(state));
  for (auto _ : state) benchmark::DoNotOptimize(gated(Unary::kGelu, gate, up));
  report(state, gated_cost(Unary::kGelu, gate.shape(), gate.dtype()));
}

void softmax_rows(benchmark::State& state) {
  const Tensor x = numbers(shape_of(state), dtype_of(state));
  for (auto _ : state) benchmark::DoNotOptimize(softmax(x));
  report(state, softmax_cost(x.shape(), x.dtype()));
}

void plain_softmax(benchmark::State& state) {
  const int64_t rows = state.range(0);
  const int64_t n = state.range(1);
  const std::vector<float> x = numbers(shape_of(state), DType::kF32).to_vector<float>();
  std::vector<float> y(x.size());
  for (auto _ : state) {
    for (int64_t row = 0; row < rows; ++row) {
      const float* from = x.data() + row * n;
      float* to = y.data() + row * n;
      float most = from[0];
      for (int64_t k = 1; k < n; ++k) most = std::fmax(most, from[k]);
      float sum = 0;
      for (int64_t k = 0; k < n; ++k) sum += to[k] = std::exp(from[k] - most);
      for (int64_t k = 0; k < n; ++k) to[k] /= sum;
    }
    benchmark::DoNotOptimize(y.data());
    benchmark::ClobberMemory();
  }
  report(state, softmax_cost(shape_of(state), DType::kF32));
}

void add_rows(benchmark::State& state) {
  Tensor a = numbers(shape_of(state), dtype_of(state));
  const Tensor b = numbers(shape_of(state), dtype_of(state));
  for (auto _ : state) add_in_place(a, b);
  report(state, binary_cost(Binary::kAdd, a.shape(), b.shape(), a.dtype()));
}

void cast_rows(benchmark::State& state) {
  const Tensor x = numbers(shape_of(state), dtype_of(state));
  const DType to = x.dtype() == DType::kF32 ? DType::kBF16 : DType::kF32;
  for (auto _ : state) benchmark::DoNotOptimize(cast(x, to));
  report(state, cast_cost(x.shape(), x.dtype(), to));
}

/// Rows, columns, and 0 for f32 or 1 for bf16: a decoded token, a prompt that fits the caches, and one that
/// does not.
void shapes(benchmark::internal::Benchmark* bench) {
  for (const int64_t dtype : {0, 1})
    for (const int64_t rows : {1, 64, 8192}) bench->Args({rows, 1536, dtype});
}
void plain_shapes(benchmark::internal::Benchmark* bench) {
  for (const int64_t rows : {1, 64, 8192}) bench->Args({rows, 1536, 0});
}

}  // namespace
}  // namespace martlet::ops

int main(int argc, char** argv) {
  using namespace martlet::ops;
  struct Entry {
    const char* name;
    void (*run)(benchmark::State&);
    void (*arguments)(benchmark::internal::Benchmark*);
  };
  const Entry entries[] = {
      {"copy", copy, plain_shapes},
      {"rms_norm", rms_norm_rows, shapes},
      {"rms_norm, plain loop", plain_rms_norm, plain_shapes},
      {"layer_norm", layer_norm_rows, shapes},
      {"swiglu", swiglu_rows, shapes},
      {"swiglu, plain loop", plain_swiglu, plain_shapes},
      {"geglu", geglu_rows, shapes},
      {"softmax", softmax_rows, shapes},
      {"softmax, plain loop", plain_softmax, plain_shapes},
      {"add in place", add_rows, shapes},
      {"cast", cast_rows, shapes},
  };
  benchmark::Initialize(&argc, argv);
  martlet::set_thread_count(1);
  for (const Entry& entry : entries)
    entry.arguments(benchmark::RegisterBenchmark(entry.name, entry.run)->Unit(benchmark::kMicrosecond));
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
