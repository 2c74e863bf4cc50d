#include "ops/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "autograd/record.h"
#include "ops/attention_backward.h"
#include "ops/attention_problem.h"
#include "ops/cpu/attention_tiles.h"
#include "ops/cpu_features.h"

namespace martlet::ops {
namespace {

constexpr Kernel<AttentionProblem> kKernels[] = {
    {"avx512", Device::kCpu,
     [](const AttentionProblem&) -> std::string_view { return cpu_features().avx512 ? "" : "no AVX-512"; },
     [](const AttentionProblem& problem) { cpu::run_attention(problem, cpu::attention_kernels_avx512()); }},
    {"avx2", Device::kCpu,
     [](const AttentionProblem&) -> std::string_view { return cpu_features().avx2 ? "" : "no AVX2"; },
     [](const AttentionProblem& problem) { cpu::run_attention(problem, cpu::attention_kernels_avx2()); }},
    {"portable", Device::kCpu, nullptr,
     [](const AttentionProblem& problem) { cpu::run_attention(problem, cpu::attention_kernels_portable()); }},
    {"reference", Device::kReference, nullptr, attention_reference},
};

bool dense_rows(const Tensor& tensor) {
  return tensor.dim(-1) <= 1 || tensor.strides()[tensor.rank() - 1] == 1;
}

void check_cache(const Tensor& q, const Tensor& cache, std::string_view name) {
  if (!cache.defined() || cache.rank() != 3 || !is_floating(cache.dtype()))
    failed("attention takes {} [keys, heads, size] of f32, bf16 or f16, got {}", name, cache.to_string());
  if (cache.device() != q.device())
    failed("attention of {} takes {} on {}, got {}", q.to_string(), name, name_of(q.device()),
           cache.to_string());
  if (!dense_rows(cache)) failed("attention takes {} that are dense in their last dimension", name);
}

void check_tiles(const Tensor& q, const KeyValueTiles& tiles) {
  const auto fits = [&](const Tensor& tensor, int64_t tile_bytes) {
    return tensor.defined() && tensor.rank() == 3 && tensor.dtype() == DType::kU8 && tensor.is_contiguous() &&
           tensor.device() == Device::kCpu && tensor.dim(1) == tiles.keys.dim(1) &&
           tensor.dim(2) == tile_bytes && tiles.count >= 0 &&
           tiles.count <= tensor.dim(0) * KeyValueTiles::kPositions;
  };
  if (!fits(tiles.keys, key_tile_bytes(tiles.format, tiles.head_dim)) ||
      !fits(tiles.values, value_tile_bytes(tiles.format, tiles.value_dim)))
    failed("attention's tiles of {} positions of {} do not have their layout: keys {}, values {}",
           tiles.count, name_of(tiles.format), tiles.keys.to_string(), tiles.values.to_string());
  if (tiles.head_dim != q.dim(2))
    failed("attention's queries have head_dim {}, its keys {}", q.dim(2), tiles.head_dim);
}

void check_keys(const Tensor& q, const AttentionSequence& sequence) {
  check_cache(q, sequence.keys, "keys");
  check_cache(q, sequence.values, "values");
  const Shape& keys = sequence.keys.shape();
  const Shape& values = sequence.values.shape();
  if (keys[0] != values[0] || keys[1] != values[1])
    failed("attention takes as many keys as values, got {} and {}", keys.to_string(), values.to_string());
  if (keys[2] != q.dim(2)) failed("attention's queries have head_dim {}, its keys {}", q.dim(2), keys[2]);
}

void check_sequence(const Tensor& q, const AttentionSequence& sequence, const AttentionSequence& first,
                    int64_t next_query) {
  sequence.tiles.defined() ? check_tiles(q, sequence.tiles) : check_keys(q, sequence);
  if (sequence.query_begin < next_query || sequence.query_count < 0 ||
      sequence.query_count > q.dim(0) - sequence.query_begin)
    failed("attention's sequence of {} queries from {} does not lie behind its predecessor's in [{}, {})",
           sequence.query_count, sequence.query_begin, next_query, q.dim(0));
  const int64_t heads = sequence.key_value_heads();
  if (heads == 0 || q.dim(1) % heads != 0)
    failed("attention's {} query heads are no multiple of {} key/value heads", q.dim(1), heads);
  if (heads != first.key_value_heads() || sequence.value_dim() != first.value_dim())
    failed("attention's sequences must agree in heads and value_dim, got {} of {} and {} of {}",
           first.key_value_heads(), first.value_dim(), heads, sequence.value_dim());
}

void check_options(const Tensor& q, const AttentionOptions& options, int64_t longest) {
  if (options.window < 0 || !(options.soft_cap >= 0))
    failed("attention's window and soft cap are 0 or more, got {} and {}", options.window, options.soft_cap);
  const auto ready = [&](const Tensor& tensor, int rank) {
    return tensor.rank() == rank && tensor.dtype() == DType::kF32 && tensor.device() == q.device() &&
           dense_rows(tensor);
  };
  const Tensor& sinks = options.sinks;
  if (sinks.defined() && (!ready(sinks, 1) || sinks.dim(0) != q.dim(1)))
    failed("attention takes sinks f32[{}] on {}, got {}", q.dim(1), name_of(q.device()), sinks.to_string());
  const Tensor& bias = options.bias;
  if (bias.defined() && (!ready(bias, 3) || (bias.dim(0) != 1 && bias.dim(0) != q.dim(1)) ||
                         bias.dim(1) != q.dim(0) || bias.dim(2) < longest))
    failed("attention takes a bias f32[1 or {}, {}, {} or more] on {}, dense in its last dimension, got {}",
           q.dim(1), q.dim(0), longest, name_of(q.device()), bias.to_string());
}

/// Whether a gradient is recorded. Nothing is copied where nothing has one.
bool is_recorded(const Tensor& q, std::span<const AttentionSequence> sequences,
                 const AttentionOptions& options) {
  bool any = q.node() != nullptr || options.sinks.node() != nullptr || options.bias.node() != nullptr;
  for (const AttentionSequence& sequence : sequences) {
    if (sequence.tiles.defined()) return false;
    any = any || sequence.keys.node() != nullptr || sequence.values.node() != nullptr;
  }
  if (!any) return false;
  std::vector<Tensor> inputs{q, options.sinks, options.bias};
  for (const AttentionSequence& sequence : sequences) {
    inputs.push_back(sequence.keys);
    inputs.push_back(sequence.values);
  }
  return autograd::needed(inputs);
}

/// Every sequence's keys and values as tensors on `device`.
std::vector<AttentionSequence> unpacked(std::span<const AttentionSequence> sequences, Device device) {
  std::vector<AttentionSequence> result(sequences.begin(), sequences.end());
  for (AttentionSequence& sequence : result) {
    if (!sequence.tiles.defined()) continue;
    sequence.keys = read_keys(sequence.tiles).to(device);
    sequence.values = read_values(sequence.tiles).to(device);
    sequence.tiles = {};
  }
  return result;
}

/// Pairs of a query and a key that it sees.
double visible_pairs(const AttentionSequence& sequence, const AttentionOptions& options) {
  const int64_t keys = sequence.key_count();
  double pairs = 0;
  for (int64_t query = 0; query < sequence.query_count; ++query) {
    const int64_t position = keys - sequence.query_count + query;
    const int64_t end = cpu::visible_end(position, options.window, options.causal, keys);
    pairs += static_cast<double>(std::max<int64_t>(0, end - cpu::visible_begin(position, options.window)));
  }
  return pairs;
}

}  // namespace

Tensor attention(const Tensor& q, std::span<const AttentionSequence> sequences,
                 const AttentionOptions& options, Tensor* log_sum_exp) {
  if (!q.defined() || q.rank() != 3 || (q.dtype() != DType::kF32 && q.dtype() != DType::kBF16) ||
      !dense_rows(q))
    failed("attention takes q [tokens, heads, head_dim] of f32 or bf16, dense in head_dim, got {}",
           q.to_string());
  if (sequences.empty() && q.dim(0) > 0) failed("attention of {} takes at least one sequence", q.to_string());
  int64_t covered = 0;
  int64_t longest = 0;
  int64_t next_query = 0;
  for (const AttentionSequence& sequence : sequences) {
    check_sequence(q, sequence, sequences.front(), next_query);
    next_query = sequence.query_begin + sequence.query_count;
    covered += sequence.query_count;
    longest = std::max(longest, sequence.key_count());
  }
  check_options(q, options, longest);
  std::vector<AttentionSequence> plain;
  if (q.device() != Device::kCpu) sequences = plain = unpacked(sequences, q.device());

  const int64_t value_dim = sequences.empty() ? q.dim(2) : sequences.front().value_dim();
  const Shape shape{q.dim(0), q.dim(1), value_dim};
  const bool whole = covered == q.dim(0);
  Tensor result =
      whole ? Tensor::empty(shape, q.dtype(), q.device()) : Tensor::zeros(shape, q.dtype(), q.device());
  AttentionProblem problem{q, sequences, options, result, Tensor(), 0, value_dim};
  const bool records = is_recorded(q, sequences, options);
  if (log_sum_exp != nullptr || records) {
    const std::vector<float> nothing(static_cast<size_t>(q.dim(0) * q.dim(1)),
                                     -std::numeric_limits<float>::infinity());
    problem.log_sum_exp = Tensor::from(nothing, {q.dim(0), q.dim(1)}, q.device());
    if (log_sum_exp != nullptr) *log_sum_exp = problem.log_sum_exp;
  }
  if (covered == 0 || q.dim(1) == 0) return result;
  problem.key_value_heads = sequences.front().key_value_heads();
  choose<AttentionProblem>("attention", kKernels, q.device(), problem).run(problem);
  if (records) record_attention(problem, result);
  return result;
}

Cost attention_cost(const Shape& q, std::span<const AttentionSequence> sequences,
                    const AttentionOptions& options) {
  Cost cost;
  const double heads = static_cast<double>(q.dim(1));
  cost.bytes_read = static_cast<double>(q.element_count()) * 4;
  for (const AttentionSequence& sequence : sequences) {
    const double value_dim = static_cast<double>(sequence.value_dim());
    const double pairs = visible_pairs(sequence, options) * heads;
    cost.operations += 2 * pairs * (static_cast<double>(q.dim(2)) + value_dim);
    const KeyValueTiles& tiles = sequence.tiles;
    cost.bytes_read +=
        static_cast<double>(tiles.defined() ? tiles.keys.byte_count() + tiles.values.byte_count()
                                            : sequence.keys.byte_count() + sequence.values.byte_count());
    cost.bytes_written += static_cast<double>(sequence.query_count) * heads * value_dim * 4;
  }
  return cost;
}

}  // namespace martlet::ops
