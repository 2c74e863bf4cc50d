#include "ops/attention_backward.h"

#include "autograd/arithmetic.h"
#include "autograd/backward.h"
#include "autograd/record.h"
#include "ops/cast.h"
#include "ops/cpu/attention_backward_tiles.h"
#include "ops/cpu_features.h"

namespace martlet::ops {
namespace {

std::string_view pairs_of_bf16(const AttentionBackward& backward) {
  const AttentionProblem& problem = backward.problem;
  bool narrow = problem.q.dtype() == DType::kBF16;
  for (const AttentionSequence& sequence : problem.sequences)
    narrow &= sequence.keys.dtype() == DType::kBF16 && sequence.values.dtype() == DType::kBF16;
  if (!narrow) return "operands of f32";
  return cpu_features().avx512_bf16 ? "" : "no AVX-512 BF16";
}

constexpr Kernel<AttentionBackward> kKernels[] = {
    {"avx512bf16", Device::kCpu, pairs_of_bf16,
     [](const AttentionBackward& backward) {
       cpu::run_attention_backward(backward, cpu::attention_backward_avx512bf16());
     }},
    {"avx512", Device::kCpu,
     [](const AttentionBackward&) -> std::string_view { return cpu_features().avx512 ? "" : "no AVX-512"; },
     [](const AttentionBackward& backward) {
       cpu::run_attention_backward(backward, cpu::attention_backward_avx512());
     }},
    {"avx2", Device::kCpu,
     [](const AttentionBackward&) -> std::string_view { return cpu_features().avx2 ? "" : "no AVX2"; },
     [](const AttentionBackward& backward) {
       cpu::run_attention_backward(backward, cpu::attention_backward_avx2());
     }},
    {"portable", Device::kCpu, nullptr,
     [](const AttentionBackward& backward) {
       cpu::run_attention_backward(backward, cpu::attention_backward_portable());
     }},
    {"reference", Device::kReference, nullptr, attention_backward_reference},
};

Tensor f32_like(const Tensor& x) {
  return Tensor::empty(x.shape(), DType::kF32, x.device());
}

/// What the backward keeps of a forward: everything without nodes.
struct Saved {
  Tensor q;
  std::vector<AttentionSequence> sequences;
  AttentionOptions options;
  Tensor result;
  Tensor log_sum_exp;
  int64_t key_value_heads;
  int64_t value_dim;

  explicit Saved(const AttentionProblem& problem)
      : q(problem.q.detach()),
        sequences(problem.sequences.begin(), problem.sequences.end()),
        options(problem.options),
        result(problem.result.detach()),
        log_sum_exp(problem.log_sum_exp),
        key_value_heads(problem.key_value_heads),
        value_dim(problem.value_dim) {
    options.sinks = options.sinks.detach();
    options.bias = options.bias.detach();
    for (AttentionSequence& sequence : sequences) {
      sequence.keys = sequence.keys.detach();
      sequence.values = sequence.values.detach();
    }
  }

  // Inputs of the record: q, sinks, bias, then keys and values of each sequence.
  static constexpr size_t kFirstKeys = 3;

  void backward(const Tensor& gradient, autograd::Gradients& inputs) const {
    AttentionGradients out;
    if (inputs.needs(0)) out.q = Tensor::zeros(q.shape(), DType::kF32, q.device());
    if (inputs.needs(1)) out.sinks = f32_like(options.sinks);
    if (inputs.needs(2))
      out.bias = Tensor::zeros({q.dim(1), q.dim(0), options.bias.dim(2)}, DType::kF32, q.device());
    for (size_t i = 0; i < sequences.size(); ++i) {
      const size_t at = kFirstKeys + 2 * i;
      out.keys.push_back(inputs.needs(at) ? f32_like(sequences[i].keys) : Tensor());
      out.values.push_back(inputs.needs(at + 1) ? f32_like(sequences[i].values) : Tensor());
    }
    const AttentionProblem problem{q, sequences, options, result, log_sum_exp, key_value_heads, value_dim};
    const Tensor dy = gradient.contiguous();
    const AttentionBackward call{problem, dy, out};
    choose<AttentionBackward>("attention", kKernels, q.device(), call).run(call);
    if (inputs.needs(0)) inputs.add(0, cast(out.q, q.dtype()));
    inputs.add(1, out.sinks);
    if (inputs.needs(2)) inputs.add(2, autograd::sum_to_shape(out.bias, options.bias.shape()));
    for (size_t i = 0; i < sequences.size(); ++i) {
      const size_t at = kFirstKeys + 2 * i;
      if (inputs.needs(at)) inputs.add(at, cast(out.keys[i], sequences[i].keys.dtype()));
      if (inputs.needs(at + 1)) inputs.add(at + 1, cast(out.values[i], sequences[i].values.dtype()));
    }
  }
};

}  // namespace

void record_attention(const AttentionProblem& problem, Tensor& result) {
  std::vector<std::shared_ptr<autograd::Node>> inputs{problem.q.node(), problem.options.sinks.node(),
                                                      problem.options.bias.node()};
  for (const AttentionSequence& sequence : problem.sequences) {
    inputs.push_back(sequence.keys.node());
    inputs.push_back(sequence.values.node());
  }
  autograd::record(result, "attention", std::move(inputs),
                   [saved = Saved(problem)](const Tensor& gradient, autograd::Gradients& gradients) {
                     saved.backward(gradient, gradients);
                   });
}

}  // namespace martlet::ops
