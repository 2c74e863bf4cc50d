#include "ops/indices.h"

#include "base/error.h"
#include "tensor/shapes_only.h"

namespace martlet::ops {

std::vector<int64_t> indices_of(std::string_view operation, const Tensor& index) {
  if (!index.defined() || (index.dtype() != DType::kI32 && index.dtype() != DType::kI64))
    failed("{} takes indices of i32 or i64, got {}", operation, index.to_string());
  if (index.dtype() == DType::kI64) return index.to_vector<int64_t>();
  const std::vector<int32_t> narrow = index.to_vector<int32_t>();
  return {narrow.begin(), narrow.end()};
}

std::vector<int64_t> checked_indices(std::string_view operation, const Tensor& index, int64_t size) {
  std::vector<int64_t> indices = indices_of(operation, index);
  // Indices that were not computed are as good as any.
  if (ShapesOnly::active()) indices.assign(indices.size(), 0);
  for (size_t i = 0; i < indices.size(); ++i)
    if (indices[i] < 0 || indices[i] >= size)
      failed("{} has index {} at place {}, outside [0, {})", operation, indices[i], i, size);
  return indices;
}

}  // namespace martlet::ops
