#include "cli/run_model_flags.h"

#include <algorithm>

#include "base/error.h"
#include "base/files.h"
#include "cli/store.h"

namespace martlet::cli {

void RunModelFlags::declare(Options& options) {
  ModelFlags::declare(options);
  declare_weight_cache(options);
}

void RunModelFlags::declare_for_generating(Options& options) {
  ModelFlags::declare_for_generating(options);
  declare_weight_cache(options);
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
  if (weight_cache == "off") return options;
  const std::string folder = weight_cache == "on" ? cache_folder() + "/weights" : weight_cache;
  if (name_exists(folder) && !is_directory(folder))
    fail(ErrorCode::kUsage, "--weight-cache wants a folder, and {} is none", folder);
  options.weight_cache = {folder, static_cast<int64_t>(std::min(weight_cache_size, uint64_t{1} << 62))};
  return options;
}

}  // namespace martlet::cli
