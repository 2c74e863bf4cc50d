#pragma once

// The model of a verb that runs it, and what that may take of the machine.

#include "cli/model_flags.h"
#include "plan/run_plan.h"

namespace martlet::cli {

struct RunModelFlags : ModelFlags {
  // As those of ModelFlags, with --weight-cache and --weight-cache-size, and --memory where text is made;
  // *this must outlive `options`.
  void declare(Options& options);
  void declare_for_generating(Options& options);
  /// What rewrites make of the weights is kept for the next start.
  models::OpenOptions run_options() const;
  void declare_memory(Options& options);
  /// Keeps an opened model within --memory, where that was given: blocks that do not fit will be streamed. To
  /// be called before anything holds its tree. `goal` says what it is to do. Throws kExhausted where no plan
  /// fits, with the smallest memory that would do.
  void fit(models::OpenModel& opened, plan::RunGoal goal) const;

  std::string weight_cache = "on";
  uint64_t weight_cache_size = uint64_t{32} << 30;
  uint64_t memory = 0;  ///< 0: as much as it takes

 private:
  void declare_weight_cache(Options& options);
};

}  // namespace martlet::cli
