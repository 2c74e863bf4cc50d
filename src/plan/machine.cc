#include "plan/machine.h"

#include <algorithm>

#include "base/interrupt.h"
#include "base/machine_facts.h"
#include "base/random.h"
#include "base/thread_pool.h"
#include "ops/linear.h"
#include "ops/packed/interleaved.h"
#include "ops/rms_norm.h"
#include "plan/usual_seconds.h"

namespace martlet::plan {
namespace {

constexpr std::string_view kBF16Products = "bf16 x bf16";
constexpr int64_t kColumns = 2048;  // whole blocks of every format
// So much more than the caches of this class of machine hold (32 MiB, and on some more than 100) that what
// they keep of it from one pass to the next says little.
constexpr int64_t kColdBytes = int64_t{192} << 20;
constexpr int64_t kPromptRows = 256;
constexpr int64_t kPromptWeightRows = 2048;
constexpr int64_t kNarrowRows = 64;
// Matrices of models of a hundred million parameters take so much.
constexpr int64_t kPieceBytes = int64_t{384} << 10;
constexpr double kSecondsEach = 0.4;
constexpr double kSecondsOfElements = 0.02;

/// A weight whose bytes are all small numbers; how fast it multiplies does not depend on them.
ops::Weight weight_of(std::string_view type, int64_t rows) {
  if (const ops::PackedFormat* format = ops::find_packed_format(type)) {
    Tensor bytes = Tensor::zeros({rows, format->row_bytes(kColumns)}, DType::kU8);
    return ops::Weight(*format, bytes, kColumns).interleaved();  // as models run
  }
  const bool takes_bf16 = type == kBF16Products;
  const DType dtype = takes_bf16 || type == "bf16" ? DType::kBF16 : type == "f16" ? DType::kF16 : DType::kF32;
  const ops::Weight weight(Tensor::zeros({rows, kColumns}, dtype));
  return takes_bf16 ? weight.taking_bf16() : weight;
}

/// Products of one row with weights beyond the caches: of all of it at once, and cut as the matrices of small
/// models are.
void measure_one_row(const ops::Weight& cold, int64_t group_bytes, ProductSpeed& speed) {
  const Tensor token = Tensor::zeros({1, kColumns}, DType::kF32);
  const int64_t piece = std::max<int64_t>(1, kPieceBytes / group_bytes) * ops::kGroupRows;
  std::vector<ops::Weight> pieces;
  for (int64_t row = 0; row + piece <= cold.rows(); row += piece)
    pieces.push_back(cold.rows(row, row + piece));
  const ops::Weight whole = cold.rows(0, piece * static_cast<int64_t>(pieces.size()));
  const TwoTimes times = usual_seconds(
      kSecondsEach, [&] { ops::linear(token, whole); },
      [&] {
        for (const ops::Weight& each : pieces) ops::linear(token, each);
      });
  speed.one_row_bytes_per_s = static_cast<double>(whole.byte_count()) / times.first;
  speed.call_seconds = std::max(0.0, times.second - times.first) / static_cast<double>(pieces.size());
}

/// A wide product and a narrow one of the same rows tell operations from what is done with the rows.
void measure_many_rows(const ops::Weight& wide, ProductSpeed& speed) {
  const ops::Weight narrow = wide.rows(0, std::min(kNarrowRows, wide.rows()));
  const Tensor prompt = Tensor::zeros({kPromptRows, kColumns}, DType::kF32);
  const TwoTimes times = usual_seconds(
      kSecondsEach, [&] { ops::linear(prompt, wide); }, [&] { ops::linear(prompt, narrow); });
  const double operations = ops::linear_cost(kPromptRows, wide).operations;
  const double share = static_cast<double>(narrow.rows()) / static_cast<double>(wide.rows());
  const auto row_bytes = [](const ops::Weight& weight) {
    return static_cast<double>(4 * kPromptRows * (kColumns + weight.rows()));
  };
  const double bytes = row_bytes(narrow) - share * row_bytes(wide);
  if (bytes > 0) speed.activation_byte_seconds = std::max(0.0, (times.second - share * times.first) / bytes);
  const double moving = speed.activation_byte_seconds * row_bytes(wide);
  // Half of it at most, whatever two medians of a busy machine say.
  speed.many_rows_operations_per_s = operations / std::max(times.first / 2, times.first - moving);
}

ProductSpeed measure_products(const std::string& type) {
  const ops::Weight group(weight_of(type, ops::kGroupRows));
  const ops::Weight cold =
      weight_of(type, std::max<int64_t>(1, kColdBytes / group.byte_count()) * ops::kGroupRows);
  ProductSpeed speed{type};
  measure_one_row(cold, group.byte_count(), speed);
  measure_many_rows(cold.rows(0, std::min(kPromptWeightRows, cold.rows())), speed);
  return speed;
}

ElementSpeed measure_elements() {
  const Tensor one = Tensor::zeros({1, 64}, DType::kF32);
  const Tensor many = Tensor::zeros({kPromptRows, kColumns}, DType::kF32);
  ElementSpeed speed;
  speed.call_seconds = usual_seconds(kSecondsOfElements, [&] { ops::rms_norm(one, {}, 1e-5f); });
  speed.byte_seconds = usual_seconds(kSecondsOfElements, [&] { ops::rms_norm(many, {}, 1e-5f); }) /
                       static_cast<double>(2 * many.byte_count());
  return speed;
}

}  // namespace

std::string product_type(const ops::Weight& weight) {
  return std::string(weight.takes_bf16() ? kBF16Products : weight.type_name());
}

const ProductSpeed* MachineProfile::find(std::string_view type) const {
  for (const ProductSpeed& speed : products)
    if (speed.type == type) return &speed;
  return nullptr;
}

const AttentionSpeed* MachineProfile::find(const AttentionKind& kind) const {
  for (const AttentionSpeed& speed : attention)
    if (speed.kind == kind) return &speed;
  return nullptr;
}

Json MachineProfile::to_json() const {
  Json rows{Json::Array{}};
  for (const ProductSpeed& speed : products) {
    Json row;
    row.set("type", speed.type).set("one_row_bytes_per_s", speed.one_row_bytes_per_s);
    row.set("many_rows_operations_per_s", speed.many_rows_operations_per_s);
    row.set("call_s", speed.call_seconds).set("activation_byte_s", speed.activation_byte_seconds);
    rows.push_back(std::move(row));
  }
  Json profile;
  profile.set("processor", processor).set("threads", threads).set("products", std::move(rows));
  profile.set("element_call_s", elements.call_seconds).set("element_byte_s", elements.byte_seconds);
  if (attention.empty()) return profile;
  Json kinds{Json::Array{}};
  for (const AttentionSpeed& speed : attention) kinds.push_back(plan::to_json(speed));
  return profile.set("attention", std::move(kinds));
}

MachineProfile measure_machine(std::span<const std::string> types, std::span<const AttentionKind> attention) {
  MachineProfile profile{processor_name(), thread_count(), {}};
  profile.elements = measure_elements();
  if (!attention.empty()) {
    const Tensor memory = Tensor::zeros({kColdBytes}, DType::kU8);
    for (const AttentionKind& kind : attention) {
      throw_if_interrupted();
      profile.attention.push_back(measure_attention(kind, memory));
    }
  }
  for (const std::string& type : types) {
    throw_if_interrupted();
    profile.products.push_back(measure_products(type));
  }
  return profile;
}

}  // namespace martlet::plan
