#pragma once

#include "cli/options.h"
#include "infer/generate.h"

namespace martlet::cli {

/// What `run` and `chat` share: how many tokens, and how each is chosen.
struct SamplingFlags {
  int64_t tokens = 256;
  int64_t seed = 0;
  infer::SamplingOptions sampling;

  /// Adds -n, --temp, --top-k, --top-p, --min-p, --seed and the penalties; *this must outlive `options`.
  void declare(Options& options);
  infer::GenerationOptions generation() const;
};

}  // namespace martlet::cli
