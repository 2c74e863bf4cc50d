#include "cli/run_model_flags.h"

#include <algorithm>

#include "base/error.h"
#include "base/files.h"
#include "cli/store.h"
#include "plan/catalogue.h"
#include "plan/memory_plan.h"
#include "tensor/allocator_limit.h"

namespace martlet::cli {

void RunModelFlags::declare(Options& options) {
  ModelFlags::declare(options);
  declare_weight_cache(options);
}

void RunModelFlags::declare_for_generating(Options& options) {
  ModelFlags::declare_for_generating(options);
  declare_memory(options);
  declare_weight_cache(options);
}

void RunModelFlags::declare_memory(Options& options) {
  options.size("--memory", "SIZE", memory,
               "memory that it may take, such as 6G: weights beyond it are read from disk while it runs");
}

void RunModelFlags::declare_weight_cache(Options& options) {
  options
      .text("--weight-cache", "off|on|FOLDER", weight_cache,
            "keep packed weights on disk as processors want them, so that the next start need not rearrange "
            "them; takes as much disk as they do")
      .size("--weight-cache-size", "SIZE", weight_cache_size,
            "what that folder may take; the longest unused goes");
}

models::OpenOptions RunModelFlags::run_options() const {
  models::OpenOptions options = ModelFlags::run_options();
  if (memory > 0) options.check_kept_weights = models::WeightCache::Check::kLater;
  if (weight_cache == "off") return options;
  const std::string folder = weight_cache == "on" ? cache_folder() + "/weights" : weight_cache;
  if (name_exists(folder) && !is_directory(folder))
    fail(ErrorCode::kUsage, "--weight-cache wants a folder, and {} is none", folder);
  options.weight_cache = {folder, static_cast<int64_t>(std::min(weight_cache_size, uint64_t{1} << 62))};
  return options;
}

void RunModelFlags::fit(models::OpenModel& opened, plan::RunGoal goal) const {
  if (memory == 0) return;
  release_cached_memory();
  goal.memory = memory;
  const plan::MemoryPlan plan = plan::plan_memory(opened.tree, goal);
  if (!plan.fits()) fail(ErrorCode::kExhausted, "{}: {}", model, plan::why_not(plan, goal));
  keep_cached_memory_within(0);
  if (plan.streams()) {
    models::rewrite(opened, plan::request_of(plan), plan::rewrites());
  } else if (!opened.kept.empty()) {
    // All at once: mapped, and checked.
    models::OpenOptions options = run_options();
    options.check_kept_weights = models::WeightCache::Check::kNow;
    opened = models::open_model(path(), options);
  }
}

}  // namespace martlet::cli
