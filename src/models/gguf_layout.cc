#include "models/gguf_layout.h"

#include <algorithm>
#include <cstring>

#include "ops/cast.h"

namespace martlet::models {
namespace {

/// The row of pairs that holds row `row` of halves.
int64_t row_in_pairs(int64_t row, int64_t head_dim) {
  const int64_t half = head_dim / 2;
  const int64_t within = row % head_dim;
  return row - within + (within < half ? 2 * within : 2 * (within - half) + 1);
}

/// Calls copy(from, to, offset of a row of halves, offset of its row of pairs, bytes) for all rows.
template <typename CopyRow>
Tensor rearranged(const Tensor& storage, int64_t head_dim, CopyRow copy) {
  Tensor result = Tensor::empty(storage.shape(), storage.dtype());
  const int64_t row_bytes = storage.byte_count() / std::max<int64_t>(storage.dim(0), 1);
  const std::byte* from = storage.host_bytes();
  std::byte* to = result.mutable_host_bytes();
  for (int64_t row = 0; row < storage.dim(0); ++row)
    copy(from, to, row * row_bytes, row_in_pairs(row, head_dim) * row_bytes, static_cast<size_t>(row_bytes));
  return result;
}

}  // namespace

Tensor heads_in_pairs(const Tensor& storage, int64_t head_dim) {
  return rearranged(storage, head_dim,
                    [](const std::byte* from, std::byte* to, int64_t halves, int64_t pairs, size_t bytes) {
                      std::memcpy(to + pairs, from + halves, bytes);
                    });
}

Tensor heads_in_halves(const Tensor& storage, int64_t head_dim) {
  return rearranged(storage, head_dim,
                    [](const std::byte* from, std::byte* to, int64_t halves, int64_t pairs, size_t bytes) {
                      std::memcpy(to + halves, from + pairs, bytes);
                    });
}

Tensor plus(const Tensor& weight, float shift) {
  std::vector<float> values = ops::cast(weight, DType::kF32).to_vector<float>();
  for (float& value : values) value += shift;
  return Tensor::from(values, weight.shape());
}

}  // namespace martlet::models
