#pragma once

// The model of a verb that runs it, and what that may take of the machine.

#include "cli/model_flags.h"
#include "plan/format_choice.h"

namespace martlet::cli {

struct RunModelFlags : ModelFlags {
  // *this must outlive `options`.
  /// MODEL and its rewrites, and the weight cache.
  void declare_running(Options& options);
  /// These, --kv-cache, --memory and --loss, for a verb that makes text.
  void declare_generating(Options& options);
  /// --memory alone, for a verb that measures the model: nothing of what it computes may change.
  void declare_memory(Options& options);
  void declare_memory(Options& options, std::string_view help);

  /// For a verb that only runs the model: products of packed weights take activations as int8, and what
  /// rewrites make of the weights is kept for the next start.
  models::OpenOptions run_options();
  /// Where that is kept; none with --weight-cache off.
  std::optional<models::WeightCachePlace> weight_cache_place() const;

  /// Keeps an opened model within --memory, and where that was not given and the model is larger than what is
  /// free, within that, by what leaves every reply as it is. To be called before anything holds its tree.
  /// `goal` says what it is to do. Tells people in a line on standard error. Throws kExhausted where no plan
  /// fits, with the smallest memory that would do.
  void fit(models::OpenModel& opened, plan::RunGoal goal);
  /// The same of two models that run in turns, each within half of --memory or, where that was not given and
  /// both are larger than what is free, half of that. `other_name`: as it was given.
  void fit_both(models::OpenModel& opened, const std::string& other_name, models::OpenModel& other,
                const plan::RunGoal& goal);

  // The parts of `fit`, for a verb that tells more of them.
  /// What it may take; 0: as much as it wants.
  uint64_t budget();
  plan::FormatChoice choose(const models::OpenModel& opened, const plan::RunGoal& goal) const;
  /// Brings a choice about that fits; the plan of the model as it is then.
  plan::MemoryPlan take(models::OpenModel& opened, const plan::FormatChoice& choice,
                        const plan::RunGoal& goal);

  std::string kv_cache = "auto";  ///< a format's name, or "auto"
  std::string weight_cache = "on";
  uint64_t weight_cache_size = uint64_t{32} << 30;
  uint64_t memory = 0;  ///< 0: not given
  double loss = 0;      ///< of quality that keeping within `memory` may cost

 private:
  plan::FormatFreedom freedom(const models::OpenModel& opened) const;

  bool plans_memory_ = false;  // the verb calls `fit`
  std::optional<uint64_t> budget_;
};

}  // namespace martlet::cli
