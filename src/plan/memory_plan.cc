#include "plan/memory_plan.h"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <fstream>
#include <numeric>

#include "base/error.h"
#include "base/file_reader.h"
#include "base/human.h"
#include "base/process_memory.h"
#include "nn/tree.h"

namespace martlet::plan {
namespace {

constexpr std::string_view kBlocks = "layers.*";
constexpr int64_t kPlaces = 2;
constexpr int64_t kSpareShare = 50;  // a fiftieth

std::string bytes_text(int64_t bytes) {
  return format_bytes(static_cast<uint64_t>(std::max<int64_t>(bytes, 0)));
}

/// What whoever asked can do; a verb that makes no text has no --kv-cache.
std::string_view what_would_save(const RunGoal& goal) {
  if (goal.new_tokens > 0) return "a shorter text, a smaller --batch or --kv-cache q8 takes";
  return goal.batch > 1 ? "a shorter text or a smaller --batch takes" : "a shorter text takes";
}

}  // namespace

int64_t MemoryNeeds::block_bytes() const {
  return std::accumulate(blocks.begin(), blocks.end(), int64_t{0});
}

MemoryNeeds memory_needs(const std::shared_ptr<nn::Model>& tree, const RunGoal& goal) {
  const RunForecast forecast = forecast_memory(tree, goal);
  MemoryNeeds needs;
  needs.blocks = infer::streamable_bytes(tree, kBlocks);
  needs.outside = std::max<int64_t>(0, forecast.weight_bytes - needs.block_bytes());
  needs.cache = forecast.cache_bytes;
  needs.activations = forecast.activation_bytes;
  needs.beside = goal.beside;
  const int64_t weights = memory_use(Device::kCpu)[static_cast<size_t>(Owner::kWeights)].now;
  needs.program = std::max<int64_t>(0, process_memory().anonymous - weights) + kCode;
  return needs;
}

MemoryPlan plan_memory(const std::shared_ptr<nn::Model>& tree, const RunGoal& goal) {
  return plan_memory(memory_needs(tree, goal), goal);
}

MemoryPlan plan_memory(MemoryNeeds needs, const RunGoal& goal) {
  MemoryPlan plan;
  plan.needs = std::move(needs);
  const auto memory = static_cast<int64_t>(std::min<uint64_t>(goal.memory, uint64_t{1} << 62));
  plan.spare = std::max(kLeastSpare, memory / kSpareShare);
  plan.resident = memory - plan.needs.others() - plan.spare;
  const std::vector<int64_t>& blocks = plan.needs.blocks;
  plan.residency = infer::choose_residency(blocks, plan.resident, kPlaces);
  const int64_t largest = blocks.empty() ? 0 : *std::max_element(blocks.begin(), blocks.end());
  const int64_t needed = plan.needs.others() + std::min(plan.needs.block_bytes(), kPlaces * largest);
  plan.least = std::max(needed + kLeastSpare, needed * kSpareShare / (kSpareShare - 1));
  return plan;
}

std::string why_not(const MemoryPlan& plan, const RunGoal& goal) {
  const MemoryNeeds& needs = plan.needs;
  return fmt::format(
      "{} of memory are too little: the smallest that would do is {} ({} the program, {} weights outside of "
      "blocks, {} keys and values of {} tokens, {} activations, {}two blocks of weights that are streamed); "
      "{} less",
      format_bytes(goal.memory), bytes_text(plan.least), bytes_text(needs.program), bytes_text(needs.outside),
      bytes_text(needs.cache), goal.batch * (goal.prompt_tokens + goal.new_tokens),
      bytes_text(needs.activations),
      needs.beside > 0 ? fmt::format("{} {}, ", bytes_text(needs.beside), goal.beside_is) : "",
      what_would_save(goal));
}

nn::RewriteRequest request_of(const MemoryPlan& plan) {
  return {"stream", Json().set("resident", plan.resident).set("places", kPlaces)};
}

uint64_t budget_without_asking(uint64_t model_bytes, std::optional<uint64_t> available) {
  // An eighth and 256 MiB: keys and values, activations and the program of a usual run.
  const uint64_t usual = model_bytes + model_bytes / 8 + (uint64_t{256} << 20);
  if (!available || usual <= *available) return 0;
  return *available - *available / 16;  // others on the machine move, too
}

double measure_disk(const std::string& path) {
  using Clock = std::chrono::steady_clock;
  constexpr int64_t kPiece = int64_t{4} << 20;
  constexpr int64_t kPieces = 16;  // as far apart as places of blocks, which no cache of the processor holds
  constexpr double kSeconds = 0.4;
  constexpr double kLeastSeconds = 1e-4;
  try {
    const FileReader file(path, FileReader::Way::kPastCache);
    const Tensor place = Tensor::zeros({kPieces * kPiece}, DType::kU8);
    const auto piece = [&](int64_t index) {
      return std::span(place.mutable_host_bytes() + index % kPieces * kPiece, static_cast<size_t>(kPiece));
    };
    file.read(0, piece(0));
    const Clock::time_point start = Clock::now();
    double seconds = 0;
    int64_t bytes = 0;
    for (int64_t i = 0; seconds < kSeconds; ++i) {
      const size_t got = file.read(static_cast<uint64_t>(bytes), piece(i));
      bytes += static_cast<int64_t>(got);
      seconds = std::chrono::duration<double>(Clock::now() - start).count();
      if (got < static_cast<size_t>(kPiece)) break;
    }
    return static_cast<double>(bytes) / std::max(seconds, kLeastSeconds);
  } catch (const Error&) {
    return 0;
  }
}

}  // namespace martlet::plan
