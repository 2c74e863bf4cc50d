#include "ops/op_testing.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/error.h"
#include "base/thread_pool.h"
#include "ops/cast.h"

namespace martlet::ops::testing {
namespace {

const CpuFeatures kMachine = cpu_features();
constexpr CpuFeatures kLevels[] = {
    {.avx2 = true,
     .avx512 = true,
     .avx512_vnni = true,
     .avx512_bf16 = true,
     .amx_int8 = true,
     .amx_bf16 = true,
     .is_intel = true},
    {.avx2 = true, .avx512 = true, .avx512_vnni = true, .avx512_bf16 = true, .is_intel = true},
    {.avx2 = true, .avx512 = true, .avx512_vnni = true, .avx512_bf16 = true},
    {.avx2 = true},
    {}};

template <typename T>
Tensor drawn_integers(Draws& draws, const Shape& shape, int64_t least, int64_t most) {
  const auto count = static_cast<size_t>(shape.element_count());
  std::vector<T> values;
  for (size_t i = 0; i < count; ++i) values.push_back(static_cast<T>(draws.between(least, most)));
  return Tensor::from(values, shape);
}

}  // namespace

Tensor Draws::dense(const Shape& shape, DType dtype, float scale) {
  switch (dtype) {
    case DType::kI64:
      return drawn_integers<int64_t>(*this, shape, -100, 100);
    case DType::kI32:
      return drawn_integers<int32_t>(*this, shape, -100, 100);
    case DType::kI8:
      return drawn_integers<int8_t>(*this, shape, -100, 100);
    case DType::kU8:
      return drawn_integers<uint8_t>(*this, shape, 0, 200);
    case DType::kBool: {
      const Tensor bits = drawn_integers<uint8_t>(*this, shape, 0, 1);
      return cast(bits, DType::kBool);
    }
    default: {
      std::vector<float> values(static_cast<size_t>(shape.element_count()));
      for (float& value : values) value = scale * normal();
      return cast(Tensor::from(values, shape), dtype);
    }
  }
}

Tensor Draws::any_layout(const Shape& shape, DType dtype, float scale) {
  const int64_t kind = shape.rank() == 0 ? 0 : below(4);
  const int dim = shape.rank() == 0 ? 0 : static_cast<int>(below(shape.rank()));
  if (kind == 1) {
    Shape turned = shape;
    std::swap(turned[dim], turned[shape.rank() - 1]);
    return dense(turned, dtype, scale).transpose(dim, -1);
  }
  if (kind == 2) {
    Shape larger = shape;
    const int64_t begin = below(3);
    const int64_t step = between(1, 3);
    larger[dim] = begin + shape[dim] * step;
    return dense(larger, dtype, scale).slice(dim, begin, begin + shape[dim] * step, step);
  }
  if (kind == 3 && shape[dim] > 0) {
    Shape one = shape;
    one[dim] = 1;
    return dense(one, dtype, scale).expand(shape);
  }
  return dense(shape, dtype, scale);
}

std::vector<double> as_doubles(const Tensor& tensor) {
  std::vector<double> values;
  switch (tensor.dtype()) {
    case DType::kF32:
      for (float value : tensor.to_vector<float>()) values.push_back(static_cast<double>(value));
      break;
    case DType::kBF16:
      for (BF16 value : tensor.to_vector<BF16>()) values.push_back(static_cast<double>(to_float(value)));
      break;
    case DType::kF16:
      for (F16 value : tensor.to_vector<F16>()) values.push_back(static_cast<double>(to_float(value)));
      break;
    default:
      for (int64_t value : cast(tensor, DType::kI64).to_vector<int64_t>())
        values.push_back(static_cast<double>(value));
  }
  return values;
}

Weight drawn_weight(Draws& draws, const PackedFormat& format, int64_t rows, int64_t columns) {
  std::vector<uint8_t> bytes(static_cast<size_t>(rows * format.row_bytes(columns)));
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(draws.below(0x7c) + 0x80 * draws.below(2));
  return Weight(format, Tensor::from(bytes, {rows, format.row_bytes(columns)}), columns);
}

OpTest::~OpTest() {
  limit_cpu_features(kMachine);
  set_thread_count(0);
}

void at_every_level(const std::function<void()>& body) {
  std::optional<CpuFeatures> before;
  for (const CpuFeatures& level : kLevels) {
    limit_cpu_features(level);
    if (before == cpu_features()) continue;  // this machine has no more
    before = cpu_features();
    SCOPED_TRACE(cpu_features().to_string());
    body();
  }
  limit_cpu_features(kMachine);
}

std::vector<std::byte> bits_of(const Tensor& tensor) {
  std::vector<std::byte> bytes(static_cast<size_t>(tensor.byte_count()));
  tensor.copy_to(bytes);
  return bytes;
}

void expect_close(const Tensor& actual, const Tensor& expected, const Tolerance& tolerance) {
  ASSERT_EQ(actual.shape(), expected.shape()) << actual.to_string() << " against " << expected.to_string();
  ASSERT_EQ(actual.dtype(), expected.dtype());
  // A result next to the middle of two narrow numbers may round to either: one unit of the last place,
  // seldom.
  const bool narrow = actual.dtype() == DType::kBF16 || actual.dtype() == DType::kF16;
  const double rounding = actual.dtype() == DType::kBF16 ? 1.0 / 128 : narrow ? 1.0 / 1024 : 0;
  const double smallest = actual.dtype() == DType::kF16 ? 6e-8 : 0;
  const std::vector<double> got = as_doubles(actual);
  const std::vector<double> wanted = as_doubles(expected);
  size_t different = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    if (got[i] == wanted[i] || (std::isnan(got[i]) && std::isnan(wanted[i]))) continue;
    ++different;
    const double allowed =
        tolerance.absolute + smallest + (tolerance.relative + rounding) * std::fabs(wanted[i]);
    ASSERT_LE(std::fabs(got[i] - wanted[i]), allowed)
        << "element " << i << ": " << got[i] << " against " << wanted[i] << " of " << expected.to_string();
  }
  if (!narrow) return;
  EXPECT_LE(different, 2 + got.size() / 20) << "results that rounded to a neighbour";
}

void expect_contract(const std::vector<Tensor>& inputs, const Operation& operation,
                     const Tolerance& tolerance, bool levels_agree) {
  std::vector<Tensor> on_reference;
  std::vector<Tensor> dense;
  for (const Tensor& input : inputs) {
    on_reference.push_back(input.defined() ? input.to(Device::kReference) : input);
    dense.push_back(input.defined() ? input.clone() : input);
  }
  const Tensor result_there = operation(on_reference);
  EXPECT_EQ(result_there.device(), Device::kReference);
  const Tensor expected = result_there.to(Device::kCpu);
  std::vector<std::byte> fused;
  at_every_level([&] {
    set_thread_count(1);
    const Tensor actual = operation(inputs);
    if (cpu_features().avx2 && fused.empty()) fused = bits_of(actual);
    if (cpu_features().avx2 && levels_agree) {
      EXPECT_EQ(bits_of(actual), fused) << "against AVX-512";
    }
    EXPECT_TRUE(actual.is_contiguous());
    expect_close(actual, expected, tolerance);
    EXPECT_EQ(bits_of(operation(dense)), bits_of(actual)) << "another layout";
    set_thread_count(2);
    EXPECT_EQ(bits_of(operation(inputs)), bits_of(actual)) << "two threads";
  });
}

void expect_rows_independent(const Tensor& x, const std::function<Tensor(const Tensor&)>& operation) {
  at_every_level([&] {
    const Tensor together = operation(x);
    for (int64_t row = 0; row < x.dim(0); ++row)
      ASSERT_EQ(bits_of(operation(x.slice(0, row, row + 1))), bits_of(together.slice(0, row, row + 1)))
          << "row " << row << " of " << x.to_string();
  });
}

std::string message_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace martlet::ops::testing
