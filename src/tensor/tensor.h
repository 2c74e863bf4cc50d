#pragma once

// `Tensor`: a small value, a counted reference to storage plus an offset, shape, strides, dtype and device.
// Views share storage; nothing copies in silence. Only kernels touch elements.

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tensor/allocator.h"
#include "tensor/device.h"
#include "tensor/dtype.h"
#include "tensor/gradient_link.h"
#include "tensor/shape.h"

namespace martlet {

class Tensor {
 public:
  /// No tensor; `defined()` is false.
  Tensor() = default;

  /// Uninitialised, dense.
  static Tensor empty(const Shape& shape, DType dtype, Device device = Device::kCpu);
  static Tensor zeros(const Shape& shape, DType dtype, Device device = Device::kCpu);
  /// A copy of `values` (as many as `shape` has elements).
  template <typename T>
  static Tensor from(std::span<const T> values, const Shape& shape, Device device = Device::kCpu) {
    return copy_from(std::as_bytes(values), shape, kDTypeOf<T>, device);
  }
  template <typename T>
  static Tensor from(const std::vector<T>& values, const Shape& shape, Device device = Device::kCpu) {
    return from(std::span<const T>(values), shape, device);
  }
  /// A copy of dense row-major bytes.
  static Tensor copy_from(std::span<const std::byte> bytes, const Shape& shape, DType dtype,
                          Device device = Device::kCpu);
  /// Read-only elements that live elsewhere (a mapped file) for as long as `data` is shared. On `kCpu`,
  /// dense. `data` must be aligned to the dtype's size.
  static Tensor borrow(std::shared_ptr<const std::byte> data, const Shape& shape, DType dtype);

  bool defined() const { return storage_ != nullptr; }
  const Shape& shape() const { return shape_; }
  const Shape& strides() const { return strides_; }  // in elements
  int rank() const { return shape_.rank(); }
  int64_t dim(int dim) const { return shape_.dim(dim); }
  DType dtype() const { return dtype_; }
  Device device() const { return device_; }
  int64_t element_count() const { return element_count_; }
  /// Bytes of the elements, without what views of a larger storage hold.
  int64_t byte_count() const { return element_count_ * size_of(dtype_); }
  /// Row-major without gaps.
  bool is_contiguous() const;
  bool is_read_only() const { return read_only_; }
  bool shares_storage_with(const Tensor& other) const { return storage_ == other.storage_; }
  /// "f32[2, 3] on cpu".
  std::string to_string() const;

  /// The tape's node of this value; null where no gradient is recorded.
  const std::shared_ptr<autograd::Node>& node() const { return node_; }
  /// For the room `autograd`: from here on this tensor is the value of `node`.
  void set_node(std::shared_ptr<autograd::Node> node) { node_ = std::move(node); }
  /// The same elements without a node: nothing computed from it has a gradient by it.
  Tensor detach() const;
  /// Whether no other tensor shares the storage.
  bool owns_storage_alone() const { return storage_.use_count() == 1; }

  // Views, of which a gradient passes on to what they show. Each throws when the shape does not allow it.
  /// One size may be -1. Throws when the elements are not laid out so that a view can serve.
  Tensor reshape(const Shape& shape) const;
  Tensor transpose(int a, int b) const;
  Tensor permute(std::span<const int> order) const;
  /// Elements begin, begin+step, ... below end of one dimension; 0 <= begin <= end <= size, step >= 1.
  Tensor slice(int dim, int64_t begin, int64_t end, int64_t step = 1) const;
  /// One index of a dimension, which goes away.
  Tensor select(int dim, int64_t index) const;
  Tensor squeeze(int dim) const;
  Tensor unsqueeze(int dim) const;
  /// Broadcast to `shape` with zero strides; the result must not be written.
  Tensor expand(const Shape& shape) const;

  // Copies; the first three pass a gradient on.
  /// Itself when contiguous, else a dense copy.
  Tensor contiguous() const;
  /// A dense copy, always.
  Tensor clone() const;
  /// Itself when already there, else a dense copy on `device`.
  Tensor to(Device device) const;
  /// The elements in row-major order, from any device and layout. T must be the dtype's type.
  template <typename T>
  std::vector<T> to_vector() const {
    require(kDTypeOf<T>);
    std::vector<T> values(static_cast<size_t>(element_count_));
    copy_to(std::as_writable_bytes(std::span(values)));
    return values;
  }
  /// The elements in row-major order into `bytes` (exactly byte_count() of them).
  void copy_to(std::span<std::byte> bytes) const;
  /// Overwrites the elements with those of `source` (same shape and dtype, any device and layout).
  void copy_elements(const Tensor& source) const;

  // For kernels. The first element; throws unless on `kCpu` and of that type.
  template <typename T>
  const T* data() const {
    require(kDTypeOf<T>);
    return reinterpret_cast<const T*>(host_bytes());
  }
  template <typename T>
  T* mutable_data() const {
    require(kDTypeOf<T>);
    return reinterpret_cast<T*>(mutable_host_bytes());
  }
  const std::byte* host_bytes() const;
  std::byte* mutable_host_bytes() const;

 private:
  friend struct ReferenceAccess;  // tensor/reference_access.h: for the kernels of the reference device only

  void require(DType dtype) const;
  std::byte* bytes() const { return storage_.get() + offset_ * size_of(dtype_); }
  Tensor view(const Shape& shape, const Shape& strides, int64_t offset) const;

  std::shared_ptr<std::byte> storage_;
  std::shared_ptr<autograd::Node> node_;
  int64_t offset_ = 0;  // in elements
  Shape shape_;
  Shape strides_;
  int64_t element_count_ = 0;
  DType dtype_ = DType::kF32;
  Device device_ = Device::kCpu;
  bool read_only_ = false;
};

}  // namespace martlet
