#include "plan/alternatives.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <map>

#include "base/human.h"
#include "nn/tree.h"
#include "plan/run_speed.h"

namespace martlet::plan {
namespace {

std::string bytes_text(int64_t bytes) {
  return format_bytes(static_cast<uint64_t>(std::max<int64_t>(bytes, 0)));
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

/// The type that most bytes of the blocks' matrices have.
std::string usual_type(const nn::Model& tree) {
  std::map<std::string, int64_t> bytes;
  nn::walk_parameters(tree, [&](const std::string& path, nn::Parameter& parameter) {
    if (path.starts_with("layers.") && parameter.shape().rank() == 2 && parameter.defined())
      bytes[std::string(parameter.type_name())] += parameter.byte_count();
  });
  const auto most = std::max_element(bytes.begin(), bytes.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == bytes.end() ? std::string() : most->first;
}

}  // namespace

std::vector<std::string> alternative_types() {
  return {"q8_0", "q6_k", "q5_k", "q4_k"};
}

std::vector<Alternative> alternatives(const std::shared_ptr<nn::Model>& tree, const MemoryPlan& plan,
                                      const RunGoal& goal, const MachineProfile& machine) {
  std::vector<Alternative> all;
  const ops::Weight sample = sample_weight(tree);
  if (!sample.defined() || !sample.is_packed()) return all;
  const int64_t rows = std::min<int64_t>(sample.rows(), 64);
  const Tensor values = sample.rows(0, rows == sample.rows() ? rows : rows / 16 * 16).unpack();
  int64_t elements = 0;
  nn::walk_parameters(*tree, [&](const std::string& path, nn::Parameter& parameter) {
    if (path.starts_with("layers.") && parameter.shape().rank() == 2) elements += parameter.element_count();
  });
  const std::string own = usual_type(*tree);
  for (const std::string& type : alternative_types()) {
    if (type == own) continue;
    const ops::PackedFormat& format = *ops::find_packed_format(type);
    const int64_t bytes = elements / format.block_elements * format.block_bytes;
    // A tenth less at least: between formats of as many bits there is nothing to be had.
    if (bytes * 10 > plan.needs.block_bytes() * 9 || sample.columns() % format.block_elements != 0) continue;
    const int64_t total = plan.needs.others() + bytes + plan.spare;
    std::string text =
        fmt::format("takes {}, {}", bytes_text(total),
                    static_cast<uint64_t>(total) <= goal.memory ? "which fits" : "too much to hold");
    text += fmt::format(", {:.1f} tokens/s held",
                        static_cast<double>(goal.batch) / decode_seconds(tree, goal, machine, {type, bytes}));
    text += fmt::format("; changes the weights by {:.2g} % (`martlet quantize --to {}` makes it)",
                        100 * packing_error(values, format), type);
    all.push_back({fmt::format("weights in {}", type), std::move(text)});
  }
  return all;
}

}  // namespace martlet::plan
