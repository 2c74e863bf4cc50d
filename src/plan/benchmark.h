#pragma once

// How fast a model reads and writes tokens here, and what share of the machine's limit that is.

#include <span>
#include <vector>

#include "base/progress.h"
#include "nn/roles.h"
#include "ops/machine_limits.h"

namespace martlet::plan {

using ops::cpu::MachineLimits;

struct BenchmarkRequest {
  std::vector<int64_t> prefill = {256};  ///< prompt lengths; none: empty
  int64_t decode = 32;                   ///< tokens written one after another; none: 0
  std::vector<int64_t> depths = {0};     ///< tokens that each sequence holds already
  std::vector<int64_t> batches = {1};    ///< sequences together
  int64_t runs = 3;                      ///< of each; their median counts
  double disk_bandwidth = 0;             ///< of a model whose weights are streamed; 0: of no interest
};

/// Tokens of all sequences in a second.
struct BenchmarkRow {
  int64_t tokens = 0;  ///< of one sequence
  int64_t depth = 0;
  int64_t batch = 1;
  double tokens_per_s = 0;
  double share_of_limit = 0;
};

struct Benchmark {
  std::vector<BenchmarkRow> prefill;
  std::vector<BenchmarkRow> decode;
};

/// The least seconds of one forward of `batch` sequences with `tokens` new tokens each behind `depth` others:
/// the longer of reading the weights of linear layers and the cache once, and computing the products. Scores
/// are those of each sequence's last token, and so is what the last of the layers gives, as nn::DecoderModel
/// does it; of models that compute all rows the bound is lower than it could be.
double least_seconds(const std::shared_ptr<nn::Model>& tree, const MachineLimits& limits, int64_t tokens,
                     int64_t depth, int64_t batch);

/// Runs the model on random ids of seed 1. Throws kUsage where a request is longer than the model's context;
/// kInterrupted.
Benchmark run_benchmark(const std::shared_ptr<nn::Model>& tree, const BenchmarkRequest& request,
                        const MachineLimits& limits, Progress& progress = no_progress());

}  // namespace martlet::plan
