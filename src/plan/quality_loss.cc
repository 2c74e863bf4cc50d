#include "plan/quality_loss.h"

#include <algorithm>

#include "base/error.h"

namespace martlet::plan {
namespace {

// Greater of SmolLM2 135M (from Q4_1) and Gemma 3 270M (from Q4_K_M), 8 windows of 512 tokens
// (docs/quantisation.md). Five bits are missing: they hold the grids of four bits on which these models'
// weights lie already, so that their loss cannot be told from them.
constexpr std::string_view kPacked[] = {"q8_0", "q6_k", "q4_k_m"};
constexpr double kPackingLoss[std::size(kPacked)] = {2.3e-3, 4.9e-3, 0.043};

}  // namespace

double cache_loss(ops::CacheFormat format) {
  switch (format) {
    case ops::CacheFormat::kF32:
      return 0;
    case ops::CacheFormat::kF16:
      return 3.7e-7;
    case ops::CacheFormat::kQ8:
      return 5.6e-4;
    case ops::CacheFormat::kQ4:
      return 0.21;
  }
  failed("no such format of keys and values");
}

std::span<const std::string_view> packed_choices() {
  return kPacked;
}

double packing_loss(std::string_view choice) {
  const auto found = std::find(std::begin(kPacked), std::end(kPacked), choice);
  if (found == std::end(kPacked)) failed("the loss of weights in {} was not measured", choice);
  return kPackingLoss[found - std::begin(kPacked)];
}

}  // namespace martlet::plan
