#include "ops/weight.h"

#include "base/error.h"
#include "base/thread_pool.h"
#include "ops/cpu/linear_int8.h"
#include "ops/cpu/linear_kernels.h"
#include "ops/packed/interleaved.h"

namespace martlet::ops {

Weight::Weight(Tensor dense) : tensor_(std::move(dense)) {
  if (!tensor_.defined() || tensor_.rank() != 2)
    failed("a dense weight is a matrix [rows, columns], got {}", tensor_.to_string());
  if (!is_floating(tensor_.dtype()))
    failed("a dense weight holds f32, bf16 or f16, got {}", tensor_.to_string());
  if (!tensor_.is_contiguous()) failed("a dense weight is contiguous; make {} so", tensor_.to_string());
  rows_ = tensor_.dim(0);
  columns_ = tensor_.dim(1);
}

Weight::Weight(const PackedFormat& format, Tensor bytes, int64_t columns)
    : tensor_(std::move(bytes)), format_(&format), columns_(columns) {
  if (!tensor_.defined() || tensor_.rank() != 2 || tensor_.dtype() != DType::kU8 || !tensor_.is_contiguous())
    failed("a packed weight is contiguous u8 [rows, bytes of a row], got {}", tensor_.to_string());
  if (columns < 0 || columns % format.block_elements != 0)
    bad_input("{} packs {} elements at a time, which {} columns do not fill", format.name,
              format.block_elements, columns);
  if (tensor_.dim(1) != format.row_bytes(columns))
    bad_input("a row of {} {} elements takes {} bytes, got {}", columns, format.name,
              format.row_bytes(columns), tensor_.dim(1));
  rows_ = tensor_.dim(0);
}

Weight::Weight(const InterleavedFormat& format, Tensor bytes, int64_t rows, int64_t columns)
    : tensor_(std::move(bytes)),
      format_(format.source),
      interleaved_(&format),
      rows_(rows),
      columns_(columns) {
  const Shape expected{(rows + kGroupRows - 1) / kGroupRows, format.group_bytes(columns)};
  if (!tensor_.defined() || tensor_.shape() != expected || tensor_.dtype() != DType::kU8 ||
      !tensor_.is_contiguous())
    failed("an interleaved {} weight of {} rows and {} columns is contiguous u8 {}, got {}",
           format.source->name, rows, columns, expected.to_string(), tensor_.to_string());
}

Weight Weight::interleaved() const {
  const InterleavedFormat* format = is_packed() && !is_interleaved() && device() == Device::kCpu
                                        ? ops::interleaved_format(*format_)
                                        : nullptr;
  if (format == nullptr) return *this;
  const Tensor groups =
      Tensor::empty({(rows_ + kGroupRows - 1) / kGroupRows, format->group_bytes(columns_)}, DType::kU8);
  interleave(*format, tensor_.host_bytes(), rows_, columns_, groups.mutable_host_bytes());
  return Weight(*format, groups, rows_, columns_);
}

Weight Weight::taking_bf16() const {
  Weight marked = *this;
  marked.takes_bf16_ = !is_packed() && tensor_.dtype() == DType::kBF16;
  return marked;
}

const Tensor& Weight::dense() const {
  if (is_packed()) failed("a {} weight has no dense tensor; unpack it first", format_->name);
  return tensor_;
}

std::string_view Weight::type_name() const {
  return is_packed() ? format_->name : name_of(tensor_.dtype());
}

Tensor Weight::unpack() const {
  if (!is_packed() && tensor_.dtype() == DType::kF32) return tensor_;
  const Tensor source = tensor_.to(Device::kCpu);
  Tensor result = Tensor::empty(shape(), DType::kF32);
  Weight here = *this;
  here.tensor_ = source;
  if (is_interleaved())
    parallel_for(rows_, kGroupRows, [&](int64_t begin, int64_t end) {
      cpu::unpack_interleaved_rows(here, begin, end, result.mutable_data<float>() + begin * columns_);
    });
  else
    cpu::unpack_rows(here, result.mutable_data<float>());
  return result.to(device());
}

Weight Weight::rows(int64_t begin, int64_t end) const {
  Weight view = *this;
  view.rows_ = end - begin;
  if (!is_interleaved()) {
    view.tensor_ = tensor_.slice(0, begin, end);
    return view;
  }
  if (begin % kGroupRows != 0 || (end % kGroupRows != 0 && end != rows_))
    failed("rows of an interleaved weight are cut at multiples of {}, got [{}, {})", kGroupRows, begin, end);
  view.tensor_ = tensor_.slice(0, begin / kGroupRows, (end + kGroupRows - 1) / kGroupRows);
  return view;
}

Weight Weight::to(Device device) const {
  Weight moved = *this;
  moved.tensor_ = tensor_.to(device);
  return moved;
}

}  // namespace martlet::ops
