#pragma once

// --speculate of `run`, `chat` and `explain run`.

#include <optional>
#include <string>

#include "cli/options.h"
#include "infer/language_model.h"
#include "plan/run_plan.h"

namespace martlet::cli {

class SpeculationFlags {
 public:
  /// Adds --speculate and --draft; *this must outlive `options`.
  void declare(Options& options);
  /// Opens the model that guesses for the one at `path`, where --speculate names one: before the other's
  /// place in memory is planned. What is made of its weights is kept in `weight_cache`, if any; so before the
  /// other is opened, whose file there may be read while it runs and must not make room for this one's.
  /// Throws BadInput for one of another vocabulary, with both sizes, before its weights are touched.
  void open(const std::string& path, const std::optional<models::WeightCachePlace>& weight_cache);
  /// Bytes that guessing takes beside the run: 0 without another model.
  int64_t memory(const plan::RunGoal& goal) const;
  /// What --speculate asks for, for replies of `tree`, after `open`; *this must outlive `generation`. Throws
  /// BadInput for more early layers than there are.
  void apply(const nn::Model& tree, infer::GenerationOptions& generation);
  bool is_on() const { return speculate_ != "off"; }

 private:
  bool is_early() const { return speculate_ == "early" || speculate_.starts_with("early:"); }

  std::string speculate_ = "off";
  int64_t draft_ = 16;
  std::optional<infer::LanguageModel> draft_model_;
  std::shared_ptr<nn::Model> first_layers_;
};

}  // namespace martlet::cli
