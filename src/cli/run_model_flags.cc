#include "cli/run_model_flags.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "base/error.h"
#include "base/files.h"
#include "base/human.h"
#include "base/mapped_parts.h"
#include "base/memory_limit.h"
#include "cli/explain_memory.h"
#include "cli/store.h"
#include "compress/kv_cache.h"
#include "formats/gguf.h"
#include "plan/catalogue.h"
#include "tensor/allocator_limit.h"

namespace martlet::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kAutomatic = "auto";
// Eight bits and as many for keys and values lose less (plan/quality_loss.h), four bits more.
constexpr double kUsualLoss = 0.01;

/// Bytes of the files with weights; 0 where they cannot be told, which opening the model will say better.
uint64_t weight_bytes(const std::string& path) {
  try {
    const formats::ModelFiles files = formats::find_model_files(path);
    uint64_t bytes = 0;
    if (files.kind == formats::ModelKind::kGguf) {
      for (const std::string& part : formats::GgufFile(path).paths()) bytes += fs::file_size(part);
    } else {
      for (const fs::directory_entry& file : fs::directory_iterator(path))
        if (file.path().extension() == ".safetensors") bytes += file.file_size();
    }
    return bytes;
  } catch (const std::exception&) {
    return 0;
  }
}

}  // namespace

void RunModelFlags::declare_running(Options& options) {
  declare(options);
  options
      .text("--weight-cache", "off|on|FOLDER", weight_cache,
            "keep packed weights on disk as processors want them, so that the next start need not rearrange "
            "them; takes as much disk as they do")
      .size("--weight-cache-size", "SIZE", weight_cache_size,
            "what that folder may take; the longest unused goes");
}

void RunModelFlags::declare_generating(Options& options) {
  declare_running(options);
  std::vector<std::string> formats{std::string(kAutomatic)};
  for (const ops::CacheFormat format : ops::kAllCacheFormats) formats.emplace_back(ops::name_of(format));
  options.choice(
      "--kv-cache", kv_cache, formats,
      "how keys and values of earlier tokens are kept; auto: f16 for packed weights, else f32, and "
      "less where --memory wants it");
  declare_memory(options);
  loss = kUsualLoss;
  options.real("--loss", "NATS", loss,
               "what keeping within --memory may cost in quality: the mean KL divergence of the next token's "
               "probabilities, as measured for each format; 0: nothing, replies stay as they are",
               0, 100);
}

void RunModelFlags::declare_memory(Options& options) {
  declare_memory(options,
                 "memory that it may take, such as 6G: weights beyond it are read from disk while it runs");
}

void RunModelFlags::declare_memory(Options& options, std::string_view help) {
  plans_memory_ = true;
  options.size("--memory", "SIZE", memory, help);
}

models::OpenOptions RunModelFlags::run_options() {
  models::OpenOptions options = open_options();
  options.rewrites_of_packed = rewrites_of_packed();
  options.rewrites_of_bf16 = rewrites_of_bf16();
  if (kv_cache != kAutomatic)
    options.rewrites.push_back({std::string(compress::kKvCache.name), Json().set("format", kv_cache)});
  if (budget() > 0) options.check_kept_weights = models::WeightCache::Check::kLater;
  options.weight_cache = weight_cache_place();
  return options;
}

std::optional<models::WeightCachePlace> RunModelFlags::weight_cache_place() const {
  if (weight_cache == "off") return std::nullopt;
  const std::string folder = weight_cache == "on" ? cache_folder() + "/weights" : weight_cache;
  if (name_exists(folder) && !is_directory(folder))
    fail(ErrorCode::kUsage, "--weight-cache wants a folder, and {} is none", folder);
  return models::WeightCachePlace{folder,
                                  static_cast<int64_t>(std::min(weight_cache_size, uint64_t{1} << 62))};
}

uint64_t RunModelFlags::budget() {
  if (memory > 0 || !plans_memory_) return memory;
  // Once: what the opened model takes is no longer free.
  if (!budget_) budget_ = plan::budget_without_asking(weight_bytes(path()), available_memory());
  return *budget_;
}

plan::FormatFreedom RunModelFlags::freedom(const models::OpenModel& opened) const {
  // Who asks for rewrites has chosen, and so has whoever saved the model with some.
  if (memory == 0 || !rewrites.empty() || !skip.empty() || !opened.files.rewrites.empty()) return {};
  return {loss, kv_cache == kAutomatic, weight_cache != "off"};
}

plan::FormatChoice RunModelFlags::choose(const models::OpenModel& opened, const plan::RunGoal& goal) const {
  release_cached_memory();
  return plan::choose_formats(opened.tree, goal, freedom(opened));
}

plan::MemoryPlan RunModelFlags::take(models::OpenModel& opened, const plan::FormatChoice& choice,
                                     const plan::RunGoal& goal) {
  keep_cached_memory_within(0);
  const plan::Formats& formats = choice.best().formats;
  const bool streams = choice.best().plan.streams();
  // Packed anew, or held whole from the weight cache: mapped, and checked at once.
  if (!formats.weights.empty() || (!streams && !opened.kept.empty())) {
    models::OpenOptions options = run_options();
    const std::vector<nn::RewriteRequest> requests = plan::requests_of(formats);
    options.rewrites.insert(options.rewrites.end(), requests.begin(), requests.end());
    if (!streams) options.check_kept_weights = models::WeightCache::Check::kNow;
    opened = {};
    opened = models::open_model(path(), options);
  } else {
    for (const nn::RewriteRequest& request : plan::requests_of(formats))
      models::rewrite(opened, request, plan::rewrites());
  }
  forget_high_water(Device::kCpu);
  release_cached_memory();
  plan::MemoryPlan plan = plan::plan_memory(opened.tree, goal);
  if (!plan.fits()) fail(ErrorCode::kExhausted, "{}: {}", model, plan::why_not(plan, goal));
  if (plan.streams()) models::rewrite(opened, plan::request_of(plan), plan::rewrites());
  forget_mapped_files();
  return plan;
}

void RunModelFlags::fit(models::OpenModel& opened, plan::RunGoal goal) {
  goal.memory = budget();
  if (goal.memory == 0) return;
  const plan::FormatChoice choice = choose(opened, goal);
  if (!choice.fits())
    fail(ErrorCode::kExhausted, "{}: {}{}{}", model, plan::why_not(choice, goal),
         weight_cache == "off" && choice.best().plan.needs.block_bytes() == 0
             ? "; with --weight-cache on, packed weights can be read from disk while it runs"
             : "",
         memory > 0 ? "" : "; --memory SIZE says what may be taken, free or not");
  const plan::MemoryPlan plan = take(opened, choice, goal);
  if (memory > 0 || plan.streams())
    fmt::print(stderr, "{}\n", line_of(choice.best().formats, plan, goal, memory > 0));
}

void RunModelFlags::fit_both(models::OpenModel& opened, const std::string& other_name,
                             models::OpenModel& other, const plan::RunGoal& goal) {
  RunModelFlags half = *this, others_half = *this;
  others_half.model = other_name;
  others_half.rewrites.clear();
  others_half.skip.clear();
  half.memory = others_half.memory = memory / 2;
  if (memory == 0) {
    const uint64_t bytes = weight_bytes(path()) + weight_bytes(others_half.path());
    half.budget_ = others_half.budget_ = plan::budget_without_asking(bytes, available_memory()) / 2;
  }
  half.fit(opened, goal);
  others_half.fit(other, goal);
}

}  // namespace martlet::cli
