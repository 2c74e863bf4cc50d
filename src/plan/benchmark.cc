#include "plan/benchmark.h"

#include <algorithm>
#include <chrono>
#include <set>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/random.h"
#include "infer/generate.h"
#include "infer/stream.h"
#include "nn/sparse_experts.h"
#include "nn/tree.h"
#include "ops/cpu/linear_bf16.h"
#include "ops/packed/interleaved.h"

namespace martlet::plan {
namespace {

using ops::cpu::Arithmetic;
using ops::cpu::kArithmeticCount;

using Clock = std::chrono::steady_clock;

// Enough to start threads and to touch every weight once.
constexpr int64_t kWarmingTokens = 16;

/// What one forward of so many tokens reads and computes with the weights of linear layers.
struct LinearWork {
  double bytes = 0;
  double layer_operations[kArithmeticCount] = {};  ///< of one token
  double head_operations[kArithmeticCount] = {};   ///< of one row of scores
};

LinearWork linear_work(const nn::ModulePtr& tree, double tokens) {
  LinearWork work;
  std::set<const void*> seen;
  nn::walk_with_use(tree, [&](const std::string& path, const nn::ModulePtr& module, double use) {
    if (dynamic_cast<const nn::Linear*>(module.get()) == nullptr) return;
    for (const nn::Parameter* parameter : module->parameters()) {
      if (parameter->shape().rank() != 2) continue;
      if (seen.insert(parameter->identity()).second)
        work.bytes += nn::part_in_use(use, tokens) * static_cast<double>(parameter->byte_count());
      const ops::Weight& weight = parameter->weight();
      const Arithmetic arithmetic = weight.is_interleaved()                            ? Arithmetic::kInt8
                                    : weight.takes_bf16() && ops::cpu::has_fast_bf16() ? Arithmetic::kBF16
                                                                                       : Arithmetic::kF32;
      const int codes = weight.is_interleaved() ? weight.interleaved_format().activation_codes : 1;
      double* operations = path.starts_with("layers.") ? work.layer_operations : work.head_operations;
      operations[static_cast<size_t>(arithmetic)] +=
          2.0 * use * codes * static_cast<double>(parameter->element_count());
    }
  });
  return work;
}

/// Elements of queries, and of keys and values, of one position in all layers.
struct AttentionWork {
  double query = 0;
};

AttentionWork attention_work(const nn::ModulePtr& tree) {
  AttentionWork work;
  nn::walk(tree, [&](const std::string&, const nn::ModulePtr& module) {
    const auto* attention = dynamic_cast<const nn::Attention*>(module.get());
    if (attention == nullptr) return;
    const nn::AttentionShape& shape = attention->shape();
    work.query += static_cast<double>(shape.heads * shape.head_dim);
  });
  return work;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

class Bench {
 public:
  Bench(nn::Model& model, int64_t batch) : model_(model), batch_(batch), random_(1) {
    for (int64_t i = 0; i < batch; ++i)
      caches_.emplace_back(model.shape().layers, model.shape().lead_positions);
  }

  /// One forward of so many new tokens for every sequence, in pieces; then the scores of the last ones.
  void read(int64_t tokens) {
    Tensor hidden;
    // As many sequences together as fit, each in pieces that fit.
    for (int64_t first = 0; first < batch_;) {
      const int64_t together = std::clamp<int64_t>(infer::kPrefillTokens / tokens, 1, batch_ - first);
      for (int64_t done = 0; done < tokens; done += infer::kPrefillTokens) {
        throw_if_interrupted();
        nn::Batch step;
        const int64_t now = std::min(infer::kPrefillTokens, tokens - done);
        for (int64_t i = first; i < first + together; ++i)
          step.add(drawn_ids(now), &caches_[static_cast<size_t>(i)]);
        hidden = model_.last_hidden(step);
      }
      model_.logits(hidden);
      first += together;
    }
  }

  void truncate(int64_t length) {
    for (infer::GrowingKvCache& cache : caches_) cache.truncate(length);
  }

  /// Seconds of `call`, each time from `depth` held positions on: the median.
  template <typename Call>
  double seconds(int64_t runs, int64_t depth, const Call& call) {
    std::vector<double> all;
    for (int64_t run = 0; run < runs; ++run) {
      truncate(depth);
      const Clock::time_point start = Clock::now();
      call();
      all.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    }
    truncate(depth);
    return median(std::move(all));
  }

 private:
  std::vector<int32_t> drawn_ids(int64_t count) {
    std::vector<int32_t> ids;
    const auto vocabulary = static_cast<uint64_t>(model_.shape().vocabulary_size);
    for (int64_t i = 0; i < count; ++i)
      ids.push_back(static_cast<int32_t>(random_.below(drawn_++, vocabulary)));
    return ids;
  }

  nn::Model& model_;
  int64_t batch_;
  Philox random_;
  uint64_t drawn_ = 0;
  std::vector<infer::GrowingKvCache> caches_;
};

void check(const nn::ModelShape& shape, const BenchmarkRequest& request) {
  if (!shape.generates) bad_input("this model has no head that predicts tokens: there is nothing to measure");
  int64_t longest = std::max<int64_t>(request.decode, 0);
  for (const int64_t tokens : request.prefill) longest = std::max(longest, tokens);
  for (const int64_t depth : request.depths)
    if (shape.max_positions > 0 && depth + longest > shape.max_positions)
      fail(ErrorCode::kUsage, "{} tokens at depth {} are more than the model's context of {}", longest, depth,
           shape.max_positions);
}

}  // namespace

double least_seconds(const std::shared_ptr<nn::Model>& tree, const MachineLimits& limits, int64_t tokens,
                     int64_t depth, int64_t batch) {
  const LinearWork linear = linear_work(tree, static_cast<double>(tokens * batch));
  const AttentionWork attention = attention_work(tree);
  const double count = static_cast<double>(tokens), sequences = static_cast<double>(batch);
  const double held = static_cast<double>(depth);
  const double bytes = linear.bytes + sequences * held * static_cast<double>(nn::cache_tile_bytes(tree)) /
                                          static_cast<double>(ops::KeyValueTiles::kPositions);
  // The last layer's rows but the last serve as keys and values alone, which count as nothing here.
  const auto layers = static_cast<double>(tree->shape().layers);
  const double rows = (count * (layers - 1) + 1) / layers;
  double seconds = 0;
  for (int i = 0; i < kArithmeticCount; ++i) {
    double operations = sequences * (rows * linear.layer_operations[i] + linear.head_operations[i]);
    // Scores and sums over values of every earlier position, half of the new ones.
    if (static_cast<Arithmetic>(i) == Arithmetic::kF32)
      operations += sequences * 4 * attention.query * rows * (held + (count + 1) / 2);
    if (operations > 0) seconds += operations / limits.operations[static_cast<size_t>(i)];
  }
  return std::max(seconds, bytes / limits.bandwidth);
}

Benchmark run_benchmark(const std::shared_ptr<nn::Model>& tree, const BenchmarkRequest& request,
                        const MachineLimits& limits, Progress& progress) {
  check(tree->shape(), request);
  Benchmark result;
  const infer::WeightStream* stream = infer::stream_of(tree);
  // Every forward reads what is not held, whatever its tokens.
  const auto from_disk = [&](int64_t forwards) {
    if (stream == nullptr || request.disk_bandwidth <= 0) return 0.0;
    return static_cast<double>(forwards * stream->bytes_a_pass()) / request.disk_bandwidth;
  };
  progress.start("Measuring", request.depths.size() * request.batches.size(), "settings");
  uint64_t done = 0;
  for (const int64_t batch : request.batches) {
    Bench bench(*tree, batch);
    bench.read(kWarmingTokens);
    std::vector<int64_t> depths = request.depths;
    std::sort(depths.begin(), depths.end());
    int64_t held = 0;
    bench.truncate(0);
    for (const int64_t depth : depths) {
      if (depth > held) bench.read(depth - held);
      held = depth;
      const auto row = [&](int64_t tokens, double seconds, double least) {
        return BenchmarkRow{tokens, depth, batch, static_cast<double>(tokens * batch) / seconds,
                            least / seconds};
      };
      for (const int64_t tokens : request.prefill) {
        const double seconds = bench.seconds(request.runs, depth, [&] { bench.read(tokens); });
        const int64_t forwards = (batch * tokens + infer::kPrefillTokens - 1) / infer::kPrefillTokens;
        const double least = std::max(least_seconds(tree, limits, tokens, depth, batch), from_disk(forwards));
        result.prefill.push_back(row(tokens, seconds, least));
      }
      if (request.decode > 0) {
        const double seconds = bench.seconds(request.runs, depth, [&] {
          for (int64_t i = 0; i < request.decode; ++i) bench.read(1);
        });
        const double least =
            std::max(least_seconds(tree, limits, 1, depth + request.decode / 2, batch), from_disk(1));
        result.decode.push_back(row(request.decode, seconds, least * static_cast<double>(request.decode)));
      }
      progress.advance(++done);
    }
  }
  return result;
}

}  // namespace martlet::plan
