#include "nn/made_weights.h"

#include <algorithm>

namespace martlet::nn {
namespace {

// Unless one unit has more.
constexpr int64_t kPartBytes = int64_t{8} << 20;

}  // namespace

int64_t part_bytes(const MadeWeight& weight) {
  const int64_t units = std::max<int64_t>(1, kPartBytes / weight.unit_bytes);
  return std::min(weight.byte_count, units * weight.unit_bytes);
}

void each_part(const MadeWeight& weight, const std::function<void(int64_t begin, int64_t end)>& visit) {
  const int64_t part = part_bytes(weight);
  for (int64_t begin = 0; begin < weight.byte_count; begin += part)
    visit(begin, std::min(begin + part, weight.byte_count));
}

void make_together(std::span<const MadeWeight> weights) {
  const OwnerScope owner(Owner::kWeights);
  int64_t total = 0;
  for (const MadeWeight& weight : weights) total += weight.byte_count;
  const Tensor all = Tensor::empty({total}, DType::kU8);
  int64_t at = 0;
  for (const MadeWeight& weight : weights) {
    const Tensor bytes = all.slice(0, at, at + weight.byte_count);
    at += weight.byte_count;
    each_part(weight, [&](int64_t begin, int64_t end) { weight.make(bytes.slice(0, begin, end), begin); });
    weight.use(bytes);
    release_cached_memory();
  }
}

}  // namespace martlet::nn
