#include "models/row_parts.h"

#include <algorithm>
#include <numeric>

#include "base/mapped_parts.h"
#include "base/thread_pool.h"
#include "ops/packed/interleaved.h"

namespace martlet::models {
namespace {

// Of an element, when it is unpacked, and then cast: no type that is read or written is wider.
constexpr int64_t kBytesAnElement = 3 * sizeof(float);
// Rows that a thread unpacks at once, twice, when it packs (compress/quantize.cc).
constexpr int64_t kRowsOfThread = 16;

std::span<const std::byte> bytes_of(const Tensor& tensor) {
  return {tensor.host_bytes(), static_cast<size_t>(tensor.byte_count())};
}

int64_t rows_of_part(int64_t columns, int64_t unit) {
  return std::max<int64_t>(kPartElements / std::max<int64_t>(columns, 1) / unit, 1) * unit;
}

/// A file's pages come back with their neighbours, so that letting go of parts alone leaves some.
void let_go(std::span<const std::byte> read) {
  const MappedParts mapped;
  mapped.forget(read);
  mapped.forget_read_only({});
}

}  // namespace

void take_in_parts(const ops::Weight& weight, int64_t unit,
                   const std::function<Tensor(const ops::Weight& rows)>& make,
                   const formats::TakeBytes& take) {
  const int64_t step =
      rows_of_part(weight.columns(), weight.is_interleaved() ? std::lcm(unit, ops::kGroupRows) : unit);
  for (int64_t first = 0; first < weight.rows(); first += step) {
    const ops::Weight rows = weight.rows(first, std::min(first + step, weight.rows()));
    take(bytes_of(make(rows).to(Device::kCpu).contiguous()));
    if (rows.device() == Device::kCpu) let_go(bytes_of(rows.storage()));
  }
}

void take_in_parts(std::span<const std::byte> bytes, const formats::TakeBytes& take) {
  constexpr size_t kStep = kPartElements * sizeof(float);
  for (size_t first = 0; first < bytes.size(); first += kStep) {
    const std::span part = bytes.subspan(first, std::min(kStep, bytes.size() - first));
    take(part);
    let_go(part);
  }
}

int64_t bytes_of_part(const Shape& matrix, int64_t unit) {
  const int64_t columns = matrix.rank() == 0 ? 1 : matrix.dim(-1);
  const int64_t elements = std::min(matrix.element_count(), rows_of_part(columns, unit) * columns);
  const int64_t of_threads = thread_count() * kRowsOfThread * columns * static_cast<int64_t>(sizeof(float));
  return elements * kBytesAnElement + std::min(of_threads, elements * kBytesAnElement);
}

}  // namespace martlet::models
