#include "cli/prompt_cache_flags.h"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "cli/store.h"
#include "ops/cpu_features.h"

namespace martlet::cli {
namespace {

namespace fs = std::filesystem;

/// A file as it is now: a changed one has another size or time.
std::string state_of(const fs::path& file) {
  std::error_code error;
  const auto written = fs::last_write_time(file, error).time_since_epoch().count();
  return fmt::format("{} {} {}\n", file.string(), fs::file_size(file, error), written);
}

std::string state_of_model(const std::string& path) {
  const fs::path model = fs::weakly_canonical(path);
  if (!fs::is_directory(model)) return state_of(model);
  std::vector<std::string> files;
  for (const fs::directory_entry& file : fs::directory_iterator(model))
    if (file.is_regular_file()) files.push_back(state_of(file.path()));
  std::sort(files.begin(), files.end());
  return fmt::format("{}", fmt::join(files, ""));
}

/// What keys and values depend on beside the ids. The program counts as a file: another build may add up in
/// another order.
std::string reader_of(const infer::LanguageModel& model, const std::string& path) {
  std::string reader = state_of(fs::read_symlink("/proc/self/exe")) + state_of_model(path);
  for (const nn::AppliedRewrite& rewrite : model.files().rewrites)
    reader += fmt::format("{} {}\n", rewrite.skipped ? "without" : "with", rewrite.to_string());
  return reader + ops::cpu_features().to_string();
}

}  // namespace

void PromptCacheFlags::declare(Options& options) {
  options
      .text("--prompt-cache", "off|on|FOLDER", where_,
            "keep what was read of prompts on disk, so that a later call reads on from there")
      .size("--prompt-cache-size", "SIZE", size_, "what that folder may take; the longest unused goes");
}

void PromptCacheFlags::apply(const infer::LanguageModel& model, const std::string& path,
                             infer::GenerationOptions& generation) {
  if (where_ == "off") return;
  const std::string folder = where_ == "on" ? cache_folder() + "/prompts" : where_;
  if (name_exists(folder) && !is_directory(folder))
    fail(ErrorCode::kUsage, "--prompt-cache wants a folder, and {} is none", folder);
  cache_.emplace(folder, reader_of(model, path), static_cast<int64_t>(std::min(size_, uint64_t{1} << 62)));
  generation.prompt_cache = &*cache_;
}

}  // namespace martlet::cli
