// Interleaved weights: made, taken over from bytes that were kept, and unpacked.

#include <algorithm>

#include "ops/cpu/linear_int8.h"
#include "ops/packed/interleaved.h"

namespace martlet::ops::cpu {
namespace {

int64_t groups_of(const Weight& weight) {
  return (weight.rows() + kGroupRows - 1) / kGroupRows;
}

}  // namespace

int64_t interleaved_bytes(const Weight& weight) {
  if (!weight.is_packed() || weight.is_interleaved() || weight.device() != Device::kCpu) return 0;
  const InterleavedFormat* format = interleaved_format(weight.format());
  if (format == nullptr) return 0;
  return groups_of(weight) * format->group_bytes(weight.columns());
}

void interleave_groups(const Weight& weight, int64_t begin, const Tensor& bytes) {
  const InterleavedFormat& format = *interleaved_format(weight.format());
  const int64_t groups = bytes.byte_count() / format.group_bytes(weight.columns());
  const int64_t end = std::min(weight.rows(), (begin + groups) * kGroupRows);
  const Tensor rows = weight.storage().slice(0, begin * kGroupRows, end);
  interleave(format, rows.host_bytes(), rows.dim(0), weight.columns(), bytes.mutable_host_bytes());
}

Weight interleaved_from(const Weight& weight, const Tensor& bytes, int activation_codes) {
  const InterleavedFormat& one = *interleaved_format(weight.format());
  const InterleavedFormat& format = activation_codes == 2 ? with_two_codes(one) : one;
  return Weight(format, bytes.reshape({groups_of(weight), format.group_bytes(weight.columns())}),
                weight.rows(), weight.columns());
}

void unpack_interleaved_rows(const Weight& weight, int64_t begin, int64_t end, float* out) {
  const InterleavedFormat& format = weight.interleaved_format();
  const int64_t columns = weight.columns();
  const int64_t bytes = format.group_bytes(columns);
  for (int64_t row = begin; row < end; ++row)
    unpack_interleaved_row(format, weight.storage().host_bytes() + row / kGroupRows * bytes, row % kGroupRows,
                           columns, out + (row - begin) * columns);
}

}  // namespace martlet::ops::cpu
