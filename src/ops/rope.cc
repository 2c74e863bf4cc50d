#include "ops/rope.h"

#include <cmath>

#include "autograd/backward.h"
#include "autograd/record.h"
#include "base/thread_pool.h"
#include "ops/cpu/rope_kernels.h"
#include "ops/cpu/row_kernels.h"
#include "ops/cpu_features.h"
#include "ops/reference.h"
#include "ops/unary.h"

namespace martlet::ops {
namespace {

struct RopeProblem {
  const Tensor& x;
  const Tensor& result;  // may be x
  const RopeTable& table;
};

Cost cost_of(const RopeProblem& problem) {
  return rope_cost(problem.x.shape(), problem.x.dtype());
}

void rope_reference(const RopeProblem& problem) {
  const Elements x(problem.x);
  Elements result(problem.result);
  const Elements cosine(problem.table.cosine);
  const Elements sine(problem.table.sine);
  const int64_t pairs = problem.table.cosine.dim(1);
  const int64_t heads = problem.x.dim(1);
  const int64_t head_dim = problem.x.dim(2);
  for (int64_t row = 0; row < problem.x.dim(0) * heads; ++row)
    for (int64_t i = 0; i < pairs; ++i) {
      const int64_t angle = row / heads * pairs + i;
      const int64_t first = row * head_dim + i;
      const double a = x[first];
      const double b = x[first + pairs];
      result.set(first, a * cosine[angle] - b * sine[angle]);
      result.set(first + pairs, b * cosine[angle] + a * sine[angle]);
    }
}

/// The heads of one token: f32 where they lie, bf16 by way of a buffer [heads, dimensions].
void rotate_token(const RopeProblem& problem, cpu::RopeKernel kernel, const cpu::RowKernels& rows,
                  int64_t token, float* buffer) {
  const Tensor& x = problem.x;
  const int64_t pairs = problem.table.cosine.dim(1);
  cpu::RopeHeads call{};
  call.heads = x.dim(1);
  call.pairs = pairs;
  call.cosine = problem.table.cosine.data<float>() + token * pairs;
  call.sine = problem.table.sine.data<float>() + token * pairs;
  const int64_t from = token * x.strides()[0];
  const int64_t to = token * problem.result.strides()[0];
  if (x.dtype() == DType::kF32) {
    call.from = x.data<float>() + from;
    call.from_stride = x.strides()[1];
    call.to = problem.result.mutable_data<float>() + to;
    call.to_stride = problem.result.strides()[1];
    return kernel(call);
  }
  for (int64_t head = 0; head < call.heads; ++head)
    rows.widen_bf16(x.data<BF16>() + from + head * x.strides()[1], buffer + head * 2 * pairs, 2 * pairs);
  call.from = call.to = buffer;
  call.from_stride = call.to_stride = 2 * pairs;
  kernel(call);
  for (int64_t head = 0; head < call.heads; ++head)
    rows.narrow_bf16(buffer + head * 2 * pairs,
                     problem.result.mutable_data<BF16>() + to + head * problem.result.strides()[1],
                     2 * pairs);
}

/// Tokens are shared out between threads in runs large enough (64 KiB) to pay for waking one.
void run_tokens(const RopeProblem& problem, cpu::RopeKernel kernel) {
  const Tensor& x = problem.x;
  const cpu::RowKernels& rows = cpu::row_kernels();
  const int64_t token_bytes = x.dim(1) * x.dim(2) * size_of(x.dtype());
  const int64_t buffered = x.dtype() == DType::kF32 ? 0 : x.dim(1) * problem.table.cosine.dim(1) * 2;
  parallel_for(x.dim(0), 65536 / token_bytes + 1, [&](int64_t begin, int64_t end) {
    std::vector<float> buffer(static_cast<size_t>(buffered));
    for (int64_t token = begin; token < end; ++token)
      rotate_token(problem, kernel, rows, token, buffer.data());
  });
}

constexpr Kernel<RopeProblem> kKernels[] = {
    {"avx512", Device::kCpu,
     [](const RopeProblem&) -> std::string_view { return cpu_features().avx512 ? "" : "no AVX-512"; },
     [](const RopeProblem& problem) { run_tokens(problem, cpu::rope_heads_avx512); }},
    {"avx2", Device::kCpu,
     [](const RopeProblem&) -> std::string_view { return cpu_features().avx2 ? "" : "no AVX2"; },
     [](const RopeProblem& problem) { run_tokens(problem, cpu::rope_heads_avx2); }},
    {"portable", Device::kCpu, nullptr,
     [](const RopeProblem& problem) { run_tokens(problem, cpu::rope_heads_portable); }},
    {"reference", Device::kReference, nullptr, rope_reference},
};

void check(const Tensor& x, const RopeTable& table) {
  if (!x.defined() || x.rank() != 3 || (x.dtype() != DType::kF32 && x.dtype() != DType::kBF16))
    failed("rope takes x [tokens, heads, head_dim] of f32 or bf16, got {}", x.to_string());
  const Tensor& cosine = table.cosine;
  if (!cosine.defined() || !table.sine.defined() || cosine.shape() != table.sine.shape() ||
      cosine.rank() != 2)
    failed("rope takes a table of cosines and sines [tokens, dimensions / 2], got {} and {}",
           cosine.to_string(), table.sine.to_string());
  if (cosine.dim(0) != x.dim(0) || 2 * cosine.dim(1) > x.dim(2))
    failed("rope of {} takes a table of {} tokens and at most {} dimensions, got {} and {}", x.to_string(),
           x.dim(0), x.dim(2), cosine.dim(0), 2 * cosine.dim(1));
  if (x.device() != cosine.device() || x.device() != table.sine.device())
    failed("rope of {} takes a table on {}, got {}", x.to_string(), name_of(x.device()), cosine.to_string());
  if (!cosine.is_contiguous() || !table.sine.is_contiguous())
    failed("rope takes a contiguous table of cosines and sines");
  if (x.dim(2) > 1 && x.strides()[2] != 1)
    failed("rope takes heads that are dense in head_dim, got a stride of {}", x.strides()[2]);
}

void run(const Tensor& x, const Tensor& result, const RopeTable& table) {
  if (x.element_count() == 0 || table.cosine.element_count() == 0) return;
  const RopeProblem problem{x, result, table};
  choose<RopeProblem>("rope", kKernels, x.device(), problem).run(problem);
}

/// The gradient is rotated back: by the negative angles.
void record(const Tensor& x, const RopeTable& table, Tensor& result) {
  autograd::record(result, "rope", {&x}, [table](const Tensor& gradient, autograd::Gradients& inputs) {
    inputs.add(0, rope(gradient.contiguous(), {table.cosine, negate(table.sine)}));
  });
}

}  // namespace

RopeTable rope_table(std::span<const int32_t> positions, const RopeFrequencies& frequencies, Device device) {
  const int64_t tokens = static_cast<int64_t>(positions.size());
  const int64_t pairs = static_cast<int64_t>(frequencies.inverse.size());
  const Tensor cosine = Tensor::empty({tokens, pairs}, DType::kF32);
  const Tensor sine = Tensor::empty({tokens, pairs}, DType::kF32);
  float* cosines = cosine.mutable_data<float>();
  float* sines = sine.mutable_data<float>();
  // A pair of library calls takes some 40 ns: 1024 of them are worth a thread.
  parallel_for(tokens, 1024 / (pairs + 1) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t token = begin; token < end; ++token)
      for (int64_t i = 0; i < pairs; ++i) {
        const float position = static_cast<float>(positions[static_cast<size_t>(token)]);
        const double angle = static_cast<double>(position * frequencies.inverse[static_cast<size_t>(i)]);
        cosines[token * pairs + i] = static_cast<float>(std::cos(angle)) * frequencies.attention_scale;
        sines[token * pairs + i] = static_cast<float>(std::sin(angle)) * frequencies.attention_scale;
      }
  });
  return {cosine.to(device), sine.to(device)};
}

Tensor rope(const Tensor& x, const RopeTable& table) {
  check(x, table);
  Tensor result = x.detach().clone();
  run(x, result, table);
  if (autograd::needed(x)) record(x, table, result);
  return result;
}

void rope_in_place(Tensor& x, const RopeTable& table) {
  check(x, table);
  if (x.is_read_only()) failed("rope in place of {}, which is read-only", x.to_string());
  if (!autograd::may_overwrite(x)) {
    x = rope(x, table);
    return;
  }
  run(x, x, table);
  if (autograd::needed(x)) record(x, table, x);
}

Cost rope_cost(const Shape& x, DType dtype) {
  const double elements = static_cast<double>(x.element_count());
  const double bytes = elements * static_cast<double>(size_of(dtype));
  return {3 * elements, bytes, bytes};
}

}  // namespace martlet::ops
