#pragma once

// What `train` and `explain train` are asked for: one declaration of options, recipe keys and checks.

#include <string>
#include <vector>

#include "cli/options.h"
#include "cli/record_options.h"
#include "data/batches.h"
#include "train/run.h"

namespace martlet::cli {

/// What the command line or a recipe says.
struct TrainRequest {
  std::string recipe;
  std::vector<std::string> change;  ///< keys that may differ from the run so far
  std::string init, shape, tokenizer, dtype = "f32", out;
  std::vector<std::string> data, eval_data, rewrites, skip;
  uint64_t memory = 0;    ///< most that the run may take; 0: what there is
  double validation = 0;  ///< share of the data that is held out
  int64_t eval_batches = 32;
  std::string sample_prompt;
  int64_t sample_tokens = 48;
  data::BatchOptions batches;
  std::string order = "shuffle", pack = "documents";
  int64_t seed = 1;
  std::string optimizer = "adamw", schedule = "cosine", on_spike = "skip";
  train::OptimizerOptions optimizer_options;
  train::TrainerOptions trainer{.schedule = {.peak = 1e-3}};
  train::RunOptions run;
  RecordOptions record;

  /// The options, whose values go into this request.
  void declare(Options& options);
  /// After the options: checks what must hold before anything is read. `out` may stay empty when nothing is
  /// written. Throws.
  void finish(bool writes);
  /// Whether a loss on held-out data is wanted.
  bool evaluates() const { return !eval_data.empty() || validation > 0 || run.eval_every > 0; }

 private:
  void take_dtype();
  void check();
  void check_out() const;
};

}  // namespace martlet::cli
