#pragma once

#include <bit>
#include <cstdint>
#include <string_view>

namespace martlet {

enum class DType : uint8_t { kF32, kBF16, kF16, kI8, kI32, kI64, kU8, kBool };

inline constexpr DType kAllDTypes[] = {DType::kF32, DType::kBF16, DType::kF16, DType::kI8,
                                       DType::kI32, DType::kI64,  DType::kU8,  DType::kBool};

constexpr int64_t size_of(DType dtype) {
  switch (dtype) {
    case DType::kF32:
    case DType::kI32:
      return 4;
    case DType::kI64:
      return 8;
    case DType::kBF16:
    case DType::kF16:
      return 2;
    default:
      return 1;
  }
}

constexpr bool is_floating(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kBF16 || dtype == DType::kF16;
}

/// "f32", "bf16", "f16", "i8", "i32", "i64", "u8", "bool".
std::string_view name_of(DType dtype);

/// The upper 16 bits of an IEEE binary32.
struct BF16 {
  uint16_t bits;
};

/// IEEE binary16.
struct F16 {
  uint16_t bits;
};

constexpr float to_float(BF16 value) {
  return std::bit_cast<float>(uint32_t{value.bits} << 16);
}

/// Rounds to nearest, ties to even; a NaN stays a (quiet) NaN.
constexpr BF16 to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<uint16_t>((bits >> 16) | 0x40u)};
  return {static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}

float to_float(F16 value);
/// Rounds to nearest, ties to even; subnormals kept, overflow gives infinity.
F16 to_f16(float value);

template <typename T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::kF32;
};
template <>
struct DTypeOf<BF16> {
  static constexpr DType value = DType::kBF16;
};
template <>
struct DTypeOf<F16> {
  static constexpr DType value = DType::kF16;
};
template <>
struct DTypeOf<int8_t> {
  static constexpr DType value = DType::kI8;
};
template <>
struct DTypeOf<int32_t> {
  static constexpr DType value = DType::kI32;
};
template <>
struct DTypeOf<int64_t> {
  static constexpr DType value = DType::kI64;
};
template <>
struct DTypeOf<uint8_t> {
  static constexpr DType value = DType::kU8;
};
template <>
struct DTypeOf<bool> {
  static constexpr DType value = DType::kBool;
};

template <typename T>
inline constexpr DType kDTypeOf = DTypeOf<T>::value;

}  // namespace martlet
