#pragma once

// --prompt-cache of `run` and `chat`.

#include <optional>
#include <string>

#include "cli/options.h"
#include "infer/language_model.h"

namespace martlet::cli {

class PromptCacheFlags {
 public:
  /// Adds --prompt-cache and --prompt-cache-size; *this must outlive `options`.
  void declare(Options& options);
  /// Lets replies of the model at `path` keep what they read of prompts; *this must outlive `generation`.
  void apply(const infer::LanguageModel& model, const std::string& path,
             infer::GenerationOptions& generation);

 private:
  std::string where_ = "off";
  uint64_t size_ = uint64_t{2} << 30;
  std::optional<infer::PromptCache> cache_;
};

}  // namespace martlet::cli
