#pragma once

// The model of a verb that runs it, and what that may take of the machine.

#include "cli/model_flags.h"

namespace martlet::cli {

struct RunModelFlags : ModelFlags {
  // As those of ModelFlags, with --weight-cache and --weight-cache-size; *this must outlive `options`.
  void declare(Options& options);
  void declare_for_generating(Options& options);
  /// What rewrites make of the weights is kept for the next start.
  models::OpenOptions run_options() const;

  std::string weight_cache = "on";
  uint64_t weight_cache_size = uint64_t{32} << 30;

 private:
  void declare_weight_cache(Options& options);
};

}  // namespace martlet::cli
