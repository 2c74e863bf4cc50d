#pragma once

#include "cli/options.h"
#include "infer/language_model.h"

namespace martlet::cli {

/// What `run` and `chat` share: how many tokens, how each is chosen, and what ends a reply.
struct SamplingFlags {
  int64_t tokens = 256;
  int64_t seed = 0;
  infer::SamplingOptions sampling;
  std::vector<std::string> stop_texts;
  std::vector<std::string> stop_tokens;  ///< as the vocabulary writes them, or ids
  bool ignore_eos = false;

  /// Adds -n, --temp, --top-k, --top-p, --min-p, --seed, the penalties and the stops; *this must outlive
  /// `options`.
  void declare(Options& options);
  /// Throws kUsage for a stop token that the model does not have.
  infer::GenerationOptions generation(const infer::LanguageModel& model) const;
};

}  // namespace martlet::cli
