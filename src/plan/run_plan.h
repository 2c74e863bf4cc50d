#pragma once

// The plan of `run` and `chat`: what happens to the model, what it will take, and what was not done and why.

#include <string>
#include <string_view>
#include <vector>

#include "nn/apply_rewrite.h"
#include "plan/machine.h"

namespace martlet::plan {

/// What somebody wants to run.
struct RunGoal {
  int64_t prompt_tokens = 512;
  int64_t new_tokens = 256;
  int64_t batch = 1;    ///< sequences that run together
  uint64_t memory = 0;  ///< bytes that may be used; 0: what the machine has
  int64_t scores = 1;   ///< positions of a sequence whose scores are wanted at once
  int64_t beside = 0;   ///< bytes that something else takes meanwhile
  std::string_view beside_is = "the model that guesses";
};

struct RunForecast {
  int64_t weight_bytes = 0;      ///< mapped or held
  int64_t cache_bytes = 0;       ///< keys and values of all sequences at the end
  int64_t activation_bytes = 0;  ///< most at one time
  double prompt_seconds = 0;
  double decode_tokens_per_s = 0;  ///< of all sequences together

  int64_t total_bytes() const { return weight_bytes + cache_bytes + activation_bytes; }
};

/// A rewrite that was weighed and left out.
struct RejectedRewrite {
  nn::RewriteRequest request;
  std::string reason;
};

struct RunPlan {
  RunForecast forecast;
  bool fits = true;
  std::vector<RejectedRewrite> rejected;
};

/// The types of the tree's matrices, each once: what `measure_machine` must have measured.
std::vector<std::string> weight_types(const nn::Module& tree);

/// How many tiles of 64 positions the cache of a sequence has room for at the end (infer/kv_cache.h).
int64_t cache_tiles(const RunGoal& goal, const nn::ModelShape& shape);

/// The bytes alone.
RunForecast forecast_memory(const std::shared_ptr<nn::Model>& tree, const RunGoal& goal);

/// Predicts from shapes and the machine's measured speeds; nothing runs. `run` computes what the model's
/// files say, so rewrites that would change its output are weighed, and left out with their reason.
RunPlan plan_run(const std::shared_ptr<nn::Model>& tree, const RunGoal& goal, const MachineProfile& machine,
                 nn::RewriteCatalogue catalogue);

}  // namespace martlet::plan
