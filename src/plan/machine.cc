#include "plan/machine.h"

#include <algorithm>
#include <chrono>

#include "base/interrupt.h"
#include "base/machine_facts.h"
#include "base/random.h"
#include "base/thread_pool.h"
#include "ops/linear.h"
#include "ops/packed/interleaved.h"

namespace martlet::plan {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kColumns = 2048;  // whole blocks of every format
// So much more than the caches of this class of machine hold (32 MiB, and on some more than 100) that what
// they keep of it from one pass to the next says little.
constexpr int64_t kColdBytes = int64_t{192} << 20;
constexpr int64_t kPromptRows = 256;
constexpr int64_t kPromptWeightRows = 2048;
constexpr double kSecondsEach = 0.2;

/// A weight whose bytes are all small numbers; how fast it multiplies does not depend on them.
ops::Weight weight_of(std::string_view type, int64_t rows) {
  if (const ops::PackedFormat* format = ops::find_packed_format(type)) {
    Tensor bytes = Tensor::zeros({rows, format->row_bytes(kColumns)}, DType::kU8);
    return ops::Weight(*format, bytes, kColumns).interleaved();  // as models run
  }
  const DType dtype = type == "bf16" ? DType::kBF16 : type == "f16" ? DType::kF16 : DType::kF32;
  return ops::Weight(Tensor::zeros({rows, kColumns}, dtype));
}

/// The median time of one call, over calls that take kSecondsEach together: memory is shared with others, and
/// its best moment is no forecast.
template <typename Call>
double usual_seconds(const Call& call) {
  call();
  std::vector<double> all;
  const Clock::time_point start = Clock::now();
  while (std::chrono::duration<double>(Clock::now() - start).count() < kSecondsEach) {
    const Clock::time_point begin = Clock::now();
    call();
    all.push_back(std::chrono::duration<double>(Clock::now() - begin).count());
  }
  std::nth_element(all.begin(), all.begin() + static_cast<int64_t>(all.size() / 2), all.end());
  return all[all.size() / 2];
}

ProductSpeed measure_products(const std::string& type) {
  const ops::Weight row(weight_of(type, ops::kGroupRows));
  const ops::Weight cold =
      weight_of(type, std::max<int64_t>(1, kColdBytes / row.byte_count()) * ops::kGroupRows);
  const Tensor token = Tensor::zeros({1, kColumns}, DType::kF32);
  ProductSpeed speed{type};
  speed.one_row_bytes_per_s =
      static_cast<double>(cold.byte_count()) / usual_seconds([&] { ops::linear(token, cold); });
  const ops::Weight weight = cold.rows(0, std::min(kPromptWeightRows, cold.rows()));
  const Tensor prompt = Tensor::zeros({kPromptRows, kColumns}, DType::kF32);
  speed.many_rows_operations_per_s =
      ops::linear_cost(kPromptRows, weight).operations / usual_seconds([&] { ops::linear(prompt, weight); });
  return speed;
}

}  // namespace

const ProductSpeed* MachineProfile::find(std::string_view type) const {
  for (const ProductSpeed& speed : products)
    if (speed.type == type) return &speed;
  return nullptr;
}

Json MachineProfile::to_json() const {
  Json rows{Json::Array{}};
  for (const ProductSpeed& speed : products) {
    Json row;
    row.set("type", speed.type).set("one_row_bytes_per_s", speed.one_row_bytes_per_s);
    row.set("many_rows_operations_per_s", speed.many_rows_operations_per_s);
    rows.push_back(std::move(row));
  }
  Json profile;
  profile.set("processor", processor).set("threads", threads).set("products", std::move(rows));
  return profile;
}

MachineProfile measure_machine(std::span<const std::string> types) {
  MachineProfile profile{processor_name(), thread_count(), {}};
  for (const std::string& type : types) {
    throw_if_interrupted();
    profile.products.push_back(measure_products(type));
  }
  return profile;
}

}  // namespace martlet::plan
