#include "tensor/tensor.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "base/error.h"
#include "tensor/shapes_only.h"

namespace martlet {
namespace {

/// Copies `count` elements of `size` bytes between strided rows.
void copy_row(const std::byte* from, int64_t from_stride, std::byte* to, int64_t to_stride, int64_t count,
              int64_t size) {
  if (from_stride == 1 && to_stride == 1) {
    if (count > 0) std::memcpy(to, from, static_cast<size_t>(count * size));
    return;
  }
  for (int64_t i = 0; i < count; ++i)
    std::memcpy(to + i * to_stride * size, from + i * from_stride * size, static_cast<size_t>(size));
}

void copy_strided(const std::byte* from, const Shape& from_strides, std::byte* to, const Shape& to_strides,
                  const Shape& shape, int dim, int64_t size) {
  if (shape.rank() == 0) {
    std::memcpy(to, from, static_cast<size_t>(size));
    return;
  }
  if (dim == shape.rank() - 1) {
    copy_row(from, from_strides[dim], to, to_strides[dim], shape[dim], size);
    return;
  }
  for (int64_t i = 0; i < shape[dim]; ++i)
    copy_strided(from + i * from_strides[dim] * size, from_strides, to + i * to_strides[dim] * size,
                 to_strides, shape, dim + 1, size);
}

/// One size of -1 replaced by what is left of `count`.
Shape completed(const Shape& shape, int64_t count) {
  int unknown = -1;
  int64_t known = 1;
  for (int dim = 0; dim < shape.rank(); ++dim) {
    if (shape[dim] == -1 && unknown < 0) {
      unknown = dim;
    } else {
      known *= shape[dim];
    }
  }
  if (unknown < 0) return shape;
  if (known <= 0 || count % known != 0) failed("cannot reshape {} elements to {}", count, shape.to_string());
  Shape result = shape;
  result[unknown] = count / known;
  return result;
}

/// Strides with which elements laid out as (shape, strides) read as `target` (as many elements, not zero);
/// nothing when no view can. Walks groups of source and target dimensions of equal product; within a group
/// the source must be dense.
std::optional<Shape> strides_for_view(const Shape& shape, const Shape& strides, const Shape& target) {
  std::vector<int64_t> sizes;
  std::vector<int64_t> steps;
  for (int dim = 0; dim < shape.rank(); ++dim) {
    if (shape[dim] == 1) continue;
    sizes.push_back(shape[dim]);
    steps.push_back(strides[dim]);
  }
  Shape result = target.dense_strides();
  int to = 0;
  for (size_t from = 0; from < sizes.size();) {
    size_t from_end = from + 1;
    int to_end = to + 1;
    for (int64_t a = sizes[from], b = target[to]; a != b;) {
      if (a > b) {
        b *= target[to_end++];
        continue;
      }
      if (steps[from_end - 1] != sizes[from_end] * steps[from_end]) return std::nullopt;
      a *= sizes[from_end++];
    }
    int64_t stride = steps[from_end - 1];
    for (int dim = to_end - 1; dim >= to; --dim) {
      result[dim] = stride;
      stride *= target[dim];
    }
    from = from_end;
    to = to_end;
  }
  return result;
}

}  // namespace

Tensor Tensor::empty(const Shape& shape, DType dtype, Device device) {
  Tensor tensor;
  tensor.element_count_ = shape.element_count();
  int64_t bytes = 0;
  if (__builtin_mul_overflow(tensor.element_count_, size_of(dtype), &bytes))
    failed("a tensor of shape {} is too large", shape.to_string());
  tensor.storage_ = allocate(device, bytes);
  tensor.shape_ = shape;
  tensor.strides_ = shape.dense_strides();
  tensor.dtype_ = dtype;
  tensor.device_ = device;
  return tensor;
}

Tensor Tensor::zeros(const Shape& shape, DType dtype, Device device) {
  Tensor tensor = empty(shape, dtype, device);
  if (!skips(tensor.byte_count())) std::memset(tensor.bytes(), 0, static_cast<size_t>(tensor.byte_count()));
  return tensor;
}

Tensor Tensor::copy_from(std::span<const std::byte> bytes, const Shape& shape, DType dtype, Device device) {
  Tensor tensor = empty(shape, dtype, device);
  if (static_cast<int64_t>(bytes.size()) != tensor.byte_count())
    failed("shape {} of {} takes {} bytes, got {}", shape.to_string(), name_of(dtype), tensor.byte_count(),
           bytes.size());
  if (!bytes.empty()) std::memcpy(tensor.bytes(), bytes.data(), bytes.size());
  return tensor;
}

Tensor Tensor::borrow(std::shared_ptr<const std::byte> data, const Shape& shape, DType dtype) {
  Tensor tensor;
  tensor.element_count_ = shape.element_count();
  tensor.storage_ = std::const_pointer_cast<std::byte>(std::move(data));
  tensor.shape_ = shape;
  tensor.strides_ = shape.dense_strides();
  tensor.dtype_ = dtype;
  tensor.read_only_ = true;
  if (reinterpret_cast<uintptr_t>(tensor.storage_.get()) % static_cast<uintptr_t>(size_of(dtype)) != 0)
    failed("borrowed {} elements must be aligned to {} bytes", name_of(dtype), size_of(dtype));
  return tensor;
}

bool Tensor::is_contiguous() const {
  int64_t expected = 1;
  for (int dim = rank() - 1; dim >= 0; --dim) {
    if (shape_[dim] != 1 && strides_[dim] != expected && element_count_ != 0) return false;
    expected *= shape_[dim];
  }
  return true;
}

std::string Tensor::to_string() const {
  if (!defined()) return "no tensor";
  return fmt::format("{}{} on {}", name_of(dtype_), shape_.to_string(), name_of(device_));
}

Tensor Tensor::detach() const {
  Tensor result;
  result.storage_ = storage_;
  result.offset_ = offset_;
  result.shape_ = shape_;
  result.strides_ = strides_;
  result.element_count_ = element_count_;
  result.dtype_ = dtype_;
  result.device_ = device_;
  result.read_only_ = read_only_;
  return result;
}

Tensor Tensor::view(const Shape& shape, const Shape& strides, int64_t offset) const {
  Tensor result = detach();
  result.shape_ = shape;
  result.strides_ = strides;
  result.offset_ = offset;
  result.element_count_ = shape.element_count();
  return result;
}

Tensor Tensor::reshape(const Shape& shape) const {
  const Shape target = completed(shape, element_count_);
  if (target.element_count() != element_count_)
    failed("cannot reshape {} to {}: {} elements against {}", shape_.to_string(), target.to_string(),
           element_count_, target.element_count());
  const std::optional<Shape> strides =
      is_contiguous() ? target.dense_strides() : strides_for_view(shape_, strides_, target);
  if (!strides)
    failed("{} with strides {} has no view of shape {}; make it contiguous first", shape_.to_string(),
           strides_.to_string(), target.to_string());
  Tensor result = view(target, *strides, offset_);
  if (node_ != nullptr)
    autograd::record_rearrangement("reshape", *this, result, [shape = shape_](const Tensor& gradient) {
      return gradient.contiguous().reshape(shape);
    });
  return result;
}

Tensor Tensor::transpose(int a, int b) const {
  Shape shape = shape_;
  Shape strides = strides_;
  const int x = static_cast<int>(shape.normalise(a));
  const int y = static_cast<int>(shape.normalise(b));
  std::swap(shape[x], shape[y]);
  std::swap(strides[x], strides[y]);
  Tensor result = view(shape, strides, offset_);
  if (node_ != nullptr)
    autograd::record_rearrangement("transpose", *this, result,
                                   [x, y](const Tensor& gradient) { return gradient.transpose(x, y); });
  return result;
}

Tensor Tensor::permute(std::span<const int> order) const {
  if (static_cast<int>(order.size()) != rank())
    failed("permute of {} takes {} dimensions, got {}", shape_.to_string(), rank(), order.size());
  Shape shape = shape_;
  Shape strides = strides_;
  std::array<int, kMaxRank> inverse{};
  unsigned seen = 0;
  for (int dim = 0; dim < rank(); ++dim) {
    const size_t from = shape_.normalise(order[static_cast<size_t>(dim)]);
    seen |= 1u << from;
    inverse[from] = dim;
    shape[dim] = shape_[static_cast<int>(from)];
    strides[dim] = strides_[static_cast<int>(from)];
  }
  if (seen != (1u << rank()) - 1) failed("permute of {} names a dimension twice", shape_.to_string());
  Tensor result = view(shape, strides, offset_);
  if (node_ != nullptr)
    autograd::record_rearrangement("permute", *this, result, [inverse](const Tensor& gradient) {
      return gradient.permute(std::span(inverse.data(), static_cast<size_t>(gradient.rank())));
    });
  return result;
}

Tensor Tensor::slice(int dim, int64_t begin, int64_t end, int64_t step) const {
  const int d = static_cast<int>(shape_.normalise(dim));
  if (begin < 0 || begin > end || end > shape_[d] || step < 1)
    failed("slice {}:{}:{} does not fit dimension {} of {}", begin, end, step, dim, shape_.to_string());
  Shape shape = shape_;
  Shape strides = strides_;
  shape[d] = (end - begin + step - 1) / step;
  strides[d] *= step;
  Tensor result = view(shape, strides, offset_ + begin * strides_[d]);
  if (node_ != nullptr)
    autograd::record_part("slice", *this, result,
                          [=](const Tensor& other) { return other.slice(d, begin, end, step); });
  return result;
}

Tensor Tensor::select(int dim, int64_t index) const {
  const int d = static_cast<int>(shape_.normalise(dim));
  if (index < 0 || index >= shape_[d])
    failed("index {} is outside dimension {} of {}", index, dim, shape_.to_string());
  Tensor result = view(shape_.without(d), strides_.without(d), offset_ + index * strides_[d]);
  if (node_ != nullptr)
    autograd::record_part("select", *this, result,
                          [d, index](const Tensor& other) { return other.select(d, index); });
  return result;
}

Tensor Tensor::squeeze(int dim) const {
  const int d = static_cast<int>(shape_.normalise(dim));
  if (shape_[d] != 1) failed("dimension {} of {} is not 1", dim, shape_.to_string());
  Tensor result = view(shape_.without(d), strides_.without(d), offset_);
  if (node_ != nullptr)
    autograd::record_rearrangement("squeeze", *this, result,
                                   [d](const Tensor& gradient) { return gradient.unsqueeze(d); });
  return result;
}

Tensor Tensor::unsqueeze(int dim) const {
  const int d = dim < 0 ? dim + rank() + 1 : dim;
  Tensor result = view(shape_.with_inserted(d, 1), strides_.with_inserted(d, 0), offset_);
  if (node_ != nullptr)
    autograd::record_rearrangement("unsqueeze", *this, result,
                                   [d](const Tensor& gradient) { return gradient.squeeze(d); });
  return result;
}

Tensor Tensor::expand(const Shape& shape) const {
  if (broadcast(shape_, shape) != shape)
    failed("{} does not expand to {}", shape_.to_string(), shape.to_string());
  Shape strides = shape;
  const int added = shape.rank() - rank();
  for (int dim = 0; dim < shape.rank(); ++dim)
    strides[dim] = dim < added || shape_[dim - added] != shape[dim] ? 0 : strides_[dim - added];
  Tensor result = view(shape, strides, offset_);
  result.read_only_ = true;
  if (node_ != nullptr) autograd::record_expansion(*this, result);
  return result;
}

Tensor Tensor::contiguous() const {
  return is_contiguous() ? *this : clone();
}

Tensor Tensor::clone() const {
  Tensor result = empty(shape_, dtype_, device_);
  result.copy_elements(*this);
  if (node_ != nullptr)
    autograd::record_rearrangement("clone", *this, result, [](const Tensor& gradient) { return gradient; });
  return result;
}

Tensor Tensor::to(Device device) const {
  if (device == device_) return *this;
  Tensor result = empty(shape_, dtype_, device);
  result.copy_elements(*this);
  if (node_ != nullptr)
    autograd::record_rearrangement("to", *this, result,
                                   [from = device_](const Tensor& gradient) { return gradient.to(from); });
  return result;
}

void Tensor::copy_to(std::span<std::byte> out) const {
  if (static_cast<int64_t>(out.size()) != byte_count())
    failed("{} takes {} bytes, got {}", to_string(), byte_count(), out.size());
  if (element_count_ > 0)
    copy_strided(bytes(), strides_, out.data(), shape_.dense_strides(), shape_, 0, size_of(dtype_));
}

void Tensor::copy_elements(const Tensor& source) const {
  if (source.shape_ != shape_ || source.dtype_ != dtype_)
    failed("cannot copy {} into {}", source.to_string(), to_string());
  if (read_only_) failed("{} is read-only", to_string());
  if (element_count_ > 0 && !skips(byte_count()))
    copy_strided(source.bytes(), source.strides_, bytes(), strides_, shape_, 0, size_of(dtype_));
}

const std::byte* Tensor::host_bytes() const {
  if (!defined()) failed("there is no tensor here");
  if (device_ != Device::kCpu)
    failed("the elements of {} are not the host's to read; copy it with to(cpu)", to_string());
  return bytes();
}

std::byte* Tensor::mutable_host_bytes() const {
  if (read_only_) failed("{} is read-only", to_string());
  return const_cast<std::byte*>(host_bytes());
}

void Tensor::require(DType dtype) const {
  if (dtype != dtype_) failed("expected {} elements, got {}", name_of(dtype), to_string());
}

}  // namespace martlet
