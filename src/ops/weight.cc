#include "ops/weight.h"

#include "base/error.h"
#include "ops/cpu/linear_kernels.h"

namespace martlet::ops {

Weight::Weight(Tensor dense) : tensor_(std::move(dense)) {
  if (!tensor_.defined() || tensor_.rank() != 2)
    failed("a dense weight is a matrix [rows, columns], got {}", tensor_.to_string());
  if (!is_floating(tensor_.dtype()))
    failed("a dense weight holds f32, bf16 or f16, got {}", tensor_.to_string());
  if (!tensor_.is_contiguous()) failed("a dense weight is contiguous; make {} so", tensor_.to_string());
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
  cpu::unpack_rows(is_packed() ? Weight(*format_, source, columns_) : Weight(source),
                   result.mutable_data<float>());
  return result.to(device());
}

Weight Weight::rows(int64_t begin, int64_t end) const {
  Weight view = *this;
  view.tensor_ = tensor_.slice(0, begin, end);
  return view;
}

Weight Weight::to(Device device) const {
  Weight moved = *this;
  moved.tensor_ = tensor_.to(device);
  return moved;
}

}  // namespace martlet::ops
