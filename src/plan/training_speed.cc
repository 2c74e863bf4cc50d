#include "plan/training_speed.h"

#include <algorithm>
#include <chrono>
#include <unistd.h>

#include "autograd/backward.h"
#include "autograd/leaf.h"
#include "base/interrupt.h"
#include "ops/attention.h"
#include "ops/binary.h"
#include "ops/linear.h"
#include "ops/mixed_linear.h"
#include "ops/unary.h"

namespace martlet::plan {
namespace {

using Clock = std::chrono::steady_clock;

// A batch of a small model: rows enough for the products' full speed, matrices beyond the nearest caches.
constexpr int64_t kTokens = 1024;
constexpr int64_t kIn = 768;
constexpr int64_t kOut = 2048;
constexpr int64_t kSequence = 256;
constexpr int64_t kHeads = 12;
constexpr int64_t kHeadDim = 64;
constexpr int64_t kFarElements = int64_t{16} << 20;
constexpr int64_t kNearElements = int64_t{1} << 18;
constexpr double kSecondsEach = 0.1;

/// The median time of calls that take kSecondsEach together.
template <typename Call>
double seconds_of_call(const Call& call) {
  throw_if_interrupted();
  call();
  std::vector<double> times;
  const Clock::time_point start = Clock::now();
  while (times.size() < 3 || std::chrono::duration<double>(Clock::now() - start).count() < kSecondsEach) {
    const Clock::time_point begin = Clock::now();
    call();
    times.push_back(std::chrono::duration<double>(Clock::now() - begin).count());
  }
  std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2), times.end());
  return times[times.size() / 2];
}

/// Forward and backward of `make`, whose result's gradient is itself.
template <typename Make>
double seconds_of_step(const Make& make) {
  return seconds_of_call([&] {
    const Tensor y = make();
    autograd::backward(y, y.detach());
  });
}

/// Of factors of this dtype; weights are f32 in either case, as they are while training.
double product_speed(DType dtype) {
  Tensor x = Tensor::zeros({kTokens, kIn}, dtype);
  Tensor weight = Tensor::zeros({kOut, kIn}, DType::kF32);
  autograd::require_gradient(x);
  autograd::require_gradient(weight);
  const double seconds = seconds_of_step([&] {
    autograd::clear_gradient(x);
    autograd::clear_gradient(weight);
    const ops::Weight matrix(weight);
    return dtype == DType::kBF16 ? ops::mixed_linear(x, matrix, {}) : ops::linear(x, matrix);
  });
  return 3 * 2.0 * static_cast<double>(kTokens * kIn * kOut) / seconds;
}

double attention_speed() {
  Tensor all[3];
  for (Tensor& each : all) {
    each = Tensor::zeros({kTokens, kHeads, kHeadDim}, DType::kF32);
    autograd::require_gradient(each);
  }
  std::vector<ops::AttentionSequence> sequences;
  const ops::AttentionOptions options{.scale = 0.125f};
  double operations = 0;
  const double seconds = seconds_of_step([&] {
    sequences.clear();
    for (Tensor& each : all) autograd::clear_gradient(each);
    for (int64_t at = 0; at < kTokens; at += kSequence)
      sequences.push_back(
          {at, kSequence, all[1].slice(0, at, at + kSequence), all[2].slice(0, at, at + kSequence)});
    operations = ops::attention_cost(all[0].shape(), sequences, options).operations;
    return ops::attention(all[0], sequences, options);
  });
  // The backward has five products for the forward's two.
  return 3.5 * operations / seconds;
}

double bytes_speed(int64_t elements) {
  Tensor sum = Tensor::zeros({elements}, DType::kF32);
  const Tensor term = Tensor::zeros({elements}, DType::kF32);
  return 12.0 * static_cast<double>(elements) / seconds_of_call([&] { ops::add_in_place(sum, term); });
}

}  // namespace

double TrainingSpeed::seconds_of(const ops::CostRow& row) const {
  const auto calls = static_cast<double>(std::max<int64_t>(1, row.calls));
  const double bytes = row.cost.bytes_read + row.cost.bytes_written;
  const double moving = bytes / (bytes / calls <= cache_bytes ? near_bytes_per_s : far_bytes_per_s);
  double speed = operations_per_s;
  if (!row.kind.empty()) {
    const auto known =
        std::find_if(kinds.begin(), kinds.end(), [&](const Kind& kind) { return kind.kind == row.kind; });
    // Packed and narrow weights are multiplied as f32.
    speed = (known == kinds.end() ? kinds.front() : *known).operations_per_s;
    return row.cost.operations / speed + calls * call_seconds;
  }
  return std::max(moving, row.cost.operations / speed) + calls * call_seconds;
}

double TrainingSpeed::seconds_of(std::span<const ops::CostRow> rows) const {
  double seconds = 0;
  for (const ops::CostRow& row : rows) seconds += seconds_of(row);
  return seconds;
}

Json TrainingSpeed::to_json() const {
  Json json;
  for (const Kind& kind : kinds) json.set(kind.kind + "_operations_per_s", kind.operations_per_s);
  json.set("element_operations_per_s", operations_per_s);
  json.set("near_bytes_per_s", near_bytes_per_s).set("far_bytes_per_s", far_bytes_per_s);
  return json.set("call_s", call_seconds);
}

TrainingSpeed measure_training_speed() {
  TrainingSpeed speed;
  speed.kinds = {{"f32", product_speed(DType::kF32)},
                 {"bf16", product_speed(DType::kBF16)},
                 {"attention", attention_speed()}};
  const Tensor x = Tensor::zeros({kNearElements}, DType::kF32);
  const ops::UnaryCall silu{ops::Unary::kSilu};
  speed.operations_per_s = ops::unary_cost(silu, x.shape(), DType::kF32).operations /
                           seconds_of_call([&] { ops::unary(silu, x); });
  speed.near_bytes_per_s = bytes_speed(kNearElements);
  speed.far_bytes_per_s = bytes_speed(kFarElements);
  const long shared = sysconf(_SC_LEVEL3_CACHE_SIZE);
  // Half of it: the rest is what stood there before.
  speed.cache_bytes = shared > 0 ? static_cast<double>(shared) / 2 : static_cast<double>(int64_t{4} << 20);
  Tensor one = Tensor::zeros({1}, DType::kF32);
  speed.call_seconds = seconds_of_call([&] { ops::add_in_place(one, one); });
  return speed;
}

}  // namespace martlet::plan
