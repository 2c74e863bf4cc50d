#include "ops/reference.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "tensor/reference_access.h"

namespace martlet::ops {
namespace {

template <typename T>
T load(const std::byte* bytes, int64_t position) {
  T value;
  std::memcpy(&value, bytes + position * static_cast<int64_t>(sizeof(T)), sizeof(T));
  return value;
}

template <typename T>
void store(std::byte* bytes, int64_t position, T value) {
  std::memcpy(bytes + position * static_cast<int64_t>(sizeof(T)), &value, sizeof(T));
}

/// A double rounded once to the narrow type: rounding to f32 first, to odd, keeps the second rounding exact.
float rounded_to_odd(double value) {
  const float nearest = static_cast<float>(value);
  if (static_cast<double>(nearest) == value || std::isnan(value) || std::isinf(nearest)) return nearest;
  if (std::bit_cast<uint32_t>(nearest) & 1u) return nearest;
  const float direction = value > static_cast<double>(nearest) ? INFINITY : -INFINITY;
  return std::nextafter(nearest, direction);
}

/// Towards zero, into the range of an integer dtype; NaN gives 0.
int64_t saturated(double value, DType dtype) {
  if (std::isnan(value)) return 0;
  const int bits = static_cast<int>(8 * size_of(dtype));
  const double least = dtype == DType::kU8 ? 0.0 : -std::ldexp(1.0, bits - 1);
  const double above = std::ldexp(1.0, dtype == DType::kU8 ? bits : bits - 1);
  if (value < least) return static_cast<int64_t>(least);
  if (value < above) return static_cast<int64_t>(value);
  return bits == 64 ? std::numeric_limits<int64_t>::max() : static_cast<int64_t>(above) - 1;
}

}  // namespace

Elements::Elements(const Tensor& tensor) : tensor_(tensor), contiguous_(tensor.is_contiguous()) {}

int64_t Elements::position(int64_t index) const {
  if (contiguous_) return index;
  int64_t position = 0;
  for (int dim = tensor_.rank() - 1; dim >= 0; --dim) {
    position += index % tensor_.shape()[dim] * tensor_.strides()[dim];
    index /= tensor_.shape()[dim];
  }
  return position;
}

double Elements::operator[](int64_t index) const {
  const std::byte* bytes = ReferenceAccess::read(tensor_);
  const int64_t at = position(index);
  switch (tensor_.dtype()) {
    case DType::kF32:
      return static_cast<double>(load<float>(bytes, at));
    case DType::kBF16:
      return static_cast<double>(to_float(load<BF16>(bytes, at)));
    case DType::kF16:
      return static_cast<double>(to_float(load<F16>(bytes, at)));
    default:
      return static_cast<double>(integer(index));
  }
}

std::vector<double> Elements::all() const {
  std::vector<double> values;
  for (int64_t i = 0; i < count(); ++i) values.push_back((*this)[i]);
  return values;
}

int64_t Elements::integer(int64_t index) const {
  const std::byte* bytes = ReferenceAccess::read(tensor_);
  const int64_t at = position(index);
  switch (tensor_.dtype()) {
    case DType::kI8:
      return load<int8_t>(bytes, at);
    case DType::kI32:
      return load<int32_t>(bytes, at);
    case DType::kI64:
      return load<int64_t>(bytes, at);
    case DType::kU8:
    case DType::kBool:
      return load<uint8_t>(bytes, at);
    default:
      failed("{} holds no integers", tensor_.to_string());
  }
}

void Elements::set(int64_t index, double value) {
  std::byte* bytes = ReferenceAccess::write(tensor_);
  const int64_t at = position(index);
  switch (tensor_.dtype()) {
    case DType::kF32:
      store(bytes, at, static_cast<float>(value));
      break;
    case DType::kBF16:
      store(bytes, at, to_bf16(rounded_to_odd(value)));
      break;
    case DType::kF16:
      store(bytes, at, to_f16(rounded_to_odd(value)));
      break;
    case DType::kBool:
      set_integer(index, value != 0);
      break;
    default:
      set_integer(index, saturated(value, tensor_.dtype()));
  }
}

void Elements::set_integer(int64_t index, int64_t value) {
  std::byte* bytes = ReferenceAccess::write(tensor_);
  const int64_t at = position(index);
  switch (tensor_.dtype()) {
    case DType::kI8:
      store(bytes, at, static_cast<int8_t>(value));
      break;
    case DType::kI32:
      store(bytes, at, static_cast<int32_t>(value));
      break;
    case DType::kI64:
      store(bytes, at, value);
      break;
    case DType::kU8:
      store(bytes, at, static_cast<uint8_t>(value));
      break;
    case DType::kBool:
      store(bytes, at, static_cast<uint8_t>(value != 0));
      break;
    default:
      set(index, static_cast<double>(value));
  }
}

}  // namespace martlet::ops
