#include "plan/memory_plan.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fmt/format.h>
#include <fstream>
#include <numeric>

#include "base/error.h"
#include "base/file_reader.h"
#include "base/human.h"
#include "nn/layers.h"
#include "nn/tree.h"

namespace martlet::plan {
namespace {

constexpr std::string_view kBlocks = "layers.*";
constexpr int64_t kPlaces = 2;
// Of the program and its libraries, those pages that a run touches: measured 21 to 24 MiB.
constexpr int64_t kCode = int64_t{24} << 20;
constexpr int64_t kLeastSpare = int64_t{16} << 20;
constexpr int64_t kSpareShare = 50;  // a fiftieth

std::string bytes_text(int64_t bytes) {
  return format_bytes(static_cast<uint64_t>(std::max<int64_t>(bytes, 0)));
}

/// Memory of this process that is no file's (proc(5)); 0 where it cannot be told.
int64_t anonymous_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("RssAnon:")) return std::stoll(line.substr(8)) * 1024;
  return 0;
}

/// The largest matrix of a block.
ops::Weight sample_weight(const std::shared_ptr<nn::Model>& tree) {
  ops::Weight largest;
  nn::walk_parameters(*tree, [&](const std::string& path, nn::Parameter& parameter) {
    if (!path.starts_with("layers.") || parameter.shape().rank() != 2 || !parameter.defined()) return;
    if (!largest.defined() || parameter.byte_count() > largest.byte_count()) largest = parameter.weight();
  });
  return largest;
}

/// The root of the mean square of what packing changes, over that of the values.
double packing_error(const Tensor& values, const ops::PackedFormat& format) {
  const std::vector<float> before = values.to_vector<float>();
  const auto count = static_cast<int64_t>(before.size());
  std::vector<std::byte> packed(static_cast<size_t>(count / format.block_elements * format.block_bytes));
  std::vector<float> after(before.size());
  format.pack(before.data(), nullptr, count / format.block_elements, packed.data());
  format.unpack(packed.data(), count / format.block_elements, after.data());
  double error = 0, square = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    error += std::pow(double{after[i]} - before[i], 2);
    square += std::pow(double{before[i]}, 2);
  }
  return square > 0 ? std::sqrt(error / square) : 0;
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
  const int64_t weights = memory_use(Device::kCpu)[static_cast<size_t>(Owner::kWeights)].now;
  needs.program = std::max<int64_t>(0, anonymous_memory() - weights) + kCode;
  return needs;
}

MemoryPlan plan_memory(const std::shared_ptr<nn::Model>& tree, const RunGoal& goal) {
  MemoryPlan plan;
  plan.needs = memory_needs(tree, goal);
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
      "blocks, {} keys and values of {} tokens, {} activations, two blocks of weights that are streamed); a "
      "shorter text, a smaller --batch or --kv-cache q8 takes less",
      format_bytes(goal.memory), bytes_text(plan.least), bytes_text(needs.program), bytes_text(needs.outside),
      bytes_text(needs.cache), goal.batch * (goal.prompt_tokens + goal.new_tokens),
      bytes_text(needs.activations));
}

nn::RewriteRequest request_of(const MemoryPlan& plan) {
  return {"stream", Json().set("resident", plan.resident).set("places", kPlaces)};
}

std::vector<std::string> alternative_types() {
  return {"q8_0", "q6_k", "q5_k", "q4_k"};
}

std::vector<Alternative> alternatives(const std::shared_ptr<nn::Model>& tree, const MemoryPlan& plan,
                                      const RunGoal& goal, const MachineProfile& machine) {
  std::vector<Alternative> all;
  const int64_t held = plan.needs.others() + plan.needs.block_bytes();
  if (plan.streams())
    all.push_back({"hold all weights", fmt::format("takes {}", bytes_text(held + plan.spare))});
  const ops::Weight sample = sample_weight(tree);
  if (!sample.defined()) return all;
  const int64_t rows = std::min<int64_t>(sample.rows(), 64);
  const Tensor values = sample.rows(0, rows == sample.rows() ? rows : rows / 16 * 16).unpack();
  int64_t elements = 0;
  nn::walk_parameters(*tree, [&](const std::string& path, nn::Parameter& parameter) {
    if (path.starts_with("layers.") && parameter.shape().rank() == 2) elements += parameter.element_count();
  });
  for (const std::string& type : alternative_types()) {
    const ops::PackedFormat& format = *ops::find_packed_format(type);
    const int64_t bytes = elements / format.block_elements * format.block_bytes;
    if (bytes >= plan.needs.block_bytes() || sample.columns() % format.block_elements != 0) continue;
    const int64_t total = plan.needs.others() + bytes + plan.spare;
    const ProductSpeed* speed = machine.find(type);
    const double seconds = speed == nullptr ? 0 : static_cast<double>(bytes) / speed->one_row_bytes_per_s;
    std::string text =
        fmt::format("takes {}, {}", bytes_text(total),
                    static_cast<uint64_t>(total) <= goal.memory ? "which fits" : "too much to hold");
    if (seconds > 0)
      text += fmt::format(", at most {:.1f} tokens/s held", static_cast<double>(goal.batch) / seconds);
    text += fmt::format("; changes the weights by {:.2g} % (`martlet quantize --to {}` makes it)",
                        100 * packing_error(values, format), type);
    all.push_back({fmt::format("weights in {}", type), std::move(text)});
  }
  return all;
}

double measure_disk(const std::string& path) {
  using Clock = std::chrono::steady_clock;
  constexpr int64_t kPiece = int64_t{4} << 20;
  constexpr double kSeconds = 0.4;
  constexpr double kLeastSeconds = 1e-4;
  try {
    const FileReader file(path, FileReader::Way::kPastCache);
    const Tensor piece = Tensor::empty({kPiece}, DType::kU8);
    const std::span<std::byte> to(piece.mutable_host_bytes(), static_cast<size_t>(kPiece));
    file.read(0, to);
    const Clock::time_point start = Clock::now();
    double seconds = 0;
    int64_t bytes = 0;
    while (seconds < kSeconds) {
      const size_t got = file.read(static_cast<uint64_t>(bytes), to);
      bytes += static_cast<int64_t>(got);
      seconds = std::chrono::duration<double>(Clock::now() - start).count();
      if (got < to.size()) break;
    }
    return static_cast<double>(bytes) / std::max(seconds, kLeastSeconds);
  } catch (const Error&) {
    return 0;
  }
}

}  // namespace martlet::plan
