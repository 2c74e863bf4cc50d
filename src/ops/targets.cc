#include "ops/targets.h"

#include "base/error.h"
#include "ops/indices.h"

namespace martlet::ops {

std::vector<int64_t> checked_targets(std::string_view operation, const Tensor& targets, int64_t classes,
                                     int64_t ignore_index) {
  std::vector<int64_t> numbers = indices_of(operation, targets);
  for (size_t i = 0; i < numbers.size(); ++i) {
    if (numbers[i] == ignore_index) {
      numbers[i] = kIgnoredClass;
    } else if (numbers[i] < 0 || numbers[i] >= classes) {
      failed("{} has target {} at place {}, outside [0, {}) and not {}, which is ignored", operation,
             numbers[i], i, classes, ignore_index);
    }
  }
  return numbers;
}

}  // namespace martlet::ops
