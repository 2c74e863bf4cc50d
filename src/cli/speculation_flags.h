#pragma once

// --speculate of `run` and `chat`.

#include <optional>
#include <string>

#include "cli/options.h"
#include "infer/language_model.h"

namespace martlet::cli {

class SpeculationFlags {
 public:
  /// Adds --speculate and --draft; *this must outlive `options`.
  void declare(Options& options);
  /// What --speculate asks for, for replies of `model`; *this must outlive `generation`. Throws BadInput for
  /// a draft model of another vocabulary, with both sizes.
  void apply(const infer::LanguageModel& model, infer::GenerationOptions& generation);
  bool is_on() const { return speculate_ != "off"; }

 private:
  std::string speculate_ = "off";
  int64_t draft_ = 16;
  std::optional<infer::LanguageModel> draft_model_;
  std::shared_ptr<nn::Model> first_layers_;
};

}  // namespace martlet::cli
