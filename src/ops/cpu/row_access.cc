#include "ops/cpu/row_access.h"

#include <cmath>
#include <cstring>
#include <limits>

namespace martlet::ops::cpu {
namespace {

template <typename T>
T load_element(const std::byte* from, int64_t position) {
  T value;
  std::memcpy(&value, from + position * static_cast<int64_t>(sizeof(T)), sizeof(T));
  return value;
}

template <typename T>
void store_element(std::byte* to, int64_t position, T value) {
  std::memcpy(to + position * static_cast<int64_t>(sizeof(T)), &value, sizeof(T));
}

inline float as_float(float value) {
  return value;
}
inline float as_float(BF16 value) {
  return to_float(value);
}
inline float as_float(F16 value) {
  return to_float(value);
}
template <typename T>
float as_float(T value) {
  return static_cast<float>(value);
}

template <typename T>
struct Rounded {
  static T from(float value) {
    if (value != value) return 0;
    // max() of 32 and 64 bits rounds up to 2^31 and 2^63, which are too large already: >= is right.
    if (value >= static_cast<float>(std::numeric_limits<T>::max())) return std::numeric_limits<T>::max();
    if (value <= static_cast<float>(std::numeric_limits<T>::min())) return std::numeric_limits<T>::min();
    return static_cast<T>(value);
  }
};
template <>
struct Rounded<float> {
  static float from(float value) { return value; }
};
template <>
struct Rounded<BF16> {
  static BF16 from(float value) { return to_bf16(value); }
};
template <>
struct Rounded<F16> {
  static F16 from(float value) { return to_f16(value); }
};

template <typename T>
void gather_floats(const std::byte* from, int64_t stride, int64_t count, float* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = as_float(load_element<T>(from, i * stride));
}
template <typename T>
void scatter_floats(const float* from, int64_t count, std::byte* to, int64_t stride) {
  for (int64_t i = 0; i < count; ++i) store_element(to, i * stride, Rounded<T>::from(from[i]));
}
template <typename T>
void gather_integers(const std::byte* from, int64_t stride, int64_t count, int64_t* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = static_cast<int64_t>(load_element<T>(from, i * stride));
}
template <typename T>
void scatter_integers(const int64_t* from, int64_t count, std::byte* to, int64_t stride) {
  for (int64_t i = 0; i < count; ++i) store_element(to, i * stride, static_cast<T>(from[i]));
}

}  // namespace

const float* read_floats(const RowKernels& rows, DType dtype, const std::byte* from, int64_t stride,
                         int64_t count, float* buffer) {
  const bool dense = stride == 1;
  switch (dtype) {
    case DType::kF32:
      if (dense) return reinterpret_cast<const float*>(from);
      gather_floats<float>(from, stride, count, buffer);
      break;
    case DType::kBF16:
      dense ? rows.widen_bf16(from, buffer, count) : gather_floats<BF16>(from, stride, count, buffer);
      break;
    case DType::kF16:
      dense ? rows.widen_f16(from, buffer, count) : gather_floats<F16>(from, stride, count, buffer);
      break;
    case DType::kI8:
      gather_floats<int8_t>(from, stride, count, buffer);
      break;
    case DType::kI32:
      gather_floats<int32_t>(from, stride, count, buffer);
      break;
    case DType::kI64:
      gather_floats<int64_t>(from, stride, count, buffer);
      break;
    case DType::kU8:
    case DType::kBool:
      gather_floats<uint8_t>(from, stride, count, buffer);
      break;
  }
  return buffer;
}

const float* read_parameter(const RowKernels& rows, const Tensor& parameter, std::vector<float>& storage) {
  const Rows row(parameter);
  const bool in_place = parameter.dtype() == DType::kF32 && row.stride() == 1;
  if (!in_place) storage.resize(static_cast<size_t>(row.length()));
  return read_floats(rows, parameter.dtype(), parameter.host_bytes(), row.stride(), row.length(),
                     storage.data());
}

void write_floats(const RowKernels& rows, const float* from, int64_t count, DType dtype, std::byte* to,
                  int64_t stride) {
  const bool dense = stride == 1;
  switch (dtype) {
    case DType::kF32:
      if (!dense) return scatter_floats<float>(from, count, to, stride);
      if (from != reinterpret_cast<const float*>(to) && count > 0)
        std::memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
      return;
    case DType::kBF16:
      return dense ? rows.narrow_bf16(from, to, count) : scatter_floats<BF16>(from, count, to, stride);
    case DType::kF16:
      return dense ? rows.narrow_f16(from, to, count) : scatter_floats<F16>(from, count, to, stride);
    case DType::kI8:
      return scatter_floats<int8_t>(from, count, to, stride);
    case DType::kI32:
      return scatter_floats<int32_t>(from, count, to, stride);
    case DType::kI64:
      return scatter_floats<int64_t>(from, count, to, stride);
    case DType::kU8:
      return scatter_floats<uint8_t>(from, count, to, stride);
    case DType::kBool:
      for (int64_t i = 0; i < count; ++i) store_element(to, i * stride, static_cast<uint8_t>(from[i] != 0));
  }
}

void read_integers(DType dtype, const std::byte* from, int64_t stride, int64_t count, int64_t* buffer) {
  switch (dtype) {
    case DType::kI8:
      return gather_integers<int8_t>(from, stride, count, buffer);
    case DType::kI32:
      return gather_integers<int32_t>(from, stride, count, buffer);
    case DType::kI64:
      return gather_integers<int64_t>(from, stride, count, buffer);
    default:
      return gather_integers<uint8_t>(from, stride, count, buffer);
  }
}

void write_integers(const int64_t* from, int64_t count, DType dtype, std::byte* to, int64_t stride) {
  switch (dtype) {
    case DType::kI8:
      return scatter_integers<int8_t>(from, count, to, stride);
    case DType::kI32:
      return scatter_integers<int32_t>(from, count, to, stride);
    case DType::kI64:
      return scatter_integers<int64_t>(from, count, to, stride);
    case DType::kU8:
      return scatter_integers<uint8_t>(from, count, to, stride);
    default:
      for (int64_t i = 0; i < count; ++i) store_element(to, i * stride, static_cast<uint8_t>(from[i] != 0));
  }
}

Rows::Rows(const Tensor& tensor)
    : shape_(tensor.shape()),
      strides_(tensor.strides()),
      element_bytes_(size_of(tensor.dtype())),
      dense_(tensor.is_contiguous()) {
  if (tensor.rank() == 0) return;
  length_ = tensor.dim(-1);
  stride_ = dense_ ? 1 : strides_[tensor.rank() - 1];
  for (int dim = 0; dim + 1 < tensor.rank(); ++dim) count_ *= shape_[dim];
}

int64_t Rows::offset(int64_t row) const {
  if (dense_) return row * length_ * element_bytes_;
  int64_t offset = 0;
  for (int dim = shape_.rank() - 2; dim >= 0; --dim) {
    offset += row % shape_[dim] * strides_[dim];
    row /= shape_[dim];
  }
  return offset * element_bytes_;
}

}  // namespace martlet::ops::cpu
