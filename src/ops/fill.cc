#include "ops/fill.h"

#include "base/function_ref.h"
#include "ops/check.h"
#include "ops/cpu/row_access.h"
#include "ops/cpu/walk.h"
#include "ops/reference.h"

namespace martlet::ops {
namespace {

/// value(number), where an element's number is `first` + its indices times `strides`.
struct FillProblem {
  Tensor x;
  DrawNumbers numbers;
  FunctionRef<double(int64_t number)> value;
};

Cost cost_of(const FillProblem& problem) {
  const double count = static_cast<double>(problem.x.element_count());
  return {count, 0, count * static_cast<double>(size_of(problem.x.dtype()))};
}

void run_reference(const FillProblem& problem) {
  Elements x(problem.x);
  for (int64_t i = 0; i < x.count(); ++i) {
    int64_t number = problem.numbers.first;
    int64_t rest = i;
    for (int dim = problem.x.rank() - 1; dim >= 0; --dim) {
      number += rest % problem.x.shape()[dim] * problem.numbers.strides[dim];
      rest /= problem.x.shape()[dim];
    }
    // By way of f32, as kernels compute; integers are whole already.
    const double value = problem.value(number);
    x.set(i, is_floating(problem.x.dtype()) ? static_cast<double>(static_cast<float>(value)) : value);
  }
}

void run_cpu(const FillProblem& problem) {
  const cpu::RowKernels& kernels = cpu::row_kernels();
  const DType dtype = problem.x.dtype();
  std::byte* to = problem.x.mutable_host_bytes();
  const cpu::Walk walk(problem.x.shape(), {problem.x.strides(), problem.numbers.strides});
  walk.parallel([&](const cpu::Walk::Offsets& offsets, int64_t count) {
    std::byte* place = to + offsets[0] * size_of(dtype);
    const int64_t first = problem.numbers.first + offsets[1];
    if (!is_floating(dtype)) {
      int64_t values[cpu::kPiece];
      for (int64_t i = 0; i < count; ++i)
        values[i] = static_cast<int64_t>(problem.value(first + i * walk.stride(1)));
      return cpu::write_integers(values, count, dtype, place, walk.stride(0));
    }
    float values[cpu::kPiece];
    for (int64_t i = 0; i < count; ++i)
      values[i] = static_cast<float>(problem.value(first + i * walk.stride(1)));
    cpu::write_floats(kernels, values, count, dtype, place, walk.stride(0));
  });
}

constexpr Kernel<FillProblem> kKernels[] = {
    {"rows", Device::kCpu, nullptr, run_cpu},
    {"reference", Device::kReference, nullptr, run_reference},
};

void fill(std::string_view operation, const Tensor& x, const DrawNumbers& numbers,
          FunctionRef<double(int64_t number)> value) {
  if (x.is_read_only()) failed("{} cannot write {}: it is read-only", operation, x.to_string());
  const FillProblem problem{
      x, {numbers.first, numbers.strides.rank() == 0 ? x.shape().dense_strides() : numbers.strides}, value};
  if (problem.numbers.strides.rank() != x.rank())
    failed("{} takes {} strides of draw numbers for {}, got {}", operation, x.rank(), x.to_string(),
           numbers.strides.rank());
  choose<FillProblem>(operation, kKernels, x.device(), problem).run(problem);
}

/// A double as an integer dtype can take it, without rounding surprises.
void require_whole(std::string_view operation, const Tensor& x, double value) {
  constexpr double kExact = 9007199254740992;  // 2^53
  if (!is_floating(x.dtype()) && !(value >= -kExact && value <= kExact))
    failed("{} takes values within 2^53 for {}, got {}", operation, x.to_string(), value);
}

}  // namespace

void fill_in_place(const Tensor& x, float value) {
  if (!x.defined()) failed("fill takes a tensor x, got nothing");
  const double wide = static_cast<double>(value);
  require_whole("fill", x, wide);
  fill("fill", x, {}, [wide](int64_t) { return wide; });
}

Tensor full(const Shape& shape, float value, DType dtype, Device device) {
  Tensor x = Tensor::empty(shape, dtype, device);
  fill_in_place(x, value);
  return x;
}

Tensor arange(int64_t count, DType dtype, Device device, double begin, double step) {
  if (count < 0) failed("arange takes a count of at least 0, got {}", count);
  if (!is_floating(dtype) && dtype != DType::kI64 && dtype != DType::kI32)
    failed("arange gives i64, i32 or a floating dtype, asked for {}", name_of(dtype));
  Tensor x = Tensor::empty({count}, dtype, device);
  const auto value = [=](int64_t number) { return begin + step * static_cast<double>(number); };
  require_whole("arange", x, value(0));
  require_whole("arange", x, value(count));
  fill("arange", x, {}, value);
  return x;
}

void fill_uniform(const Tensor& x, const Philox& random, double low, double high, const DrawNumbers& draws) {
  require_floating("fill_uniform", "x", x);
  fill("fill_uniform", x, draws,
       [&](int64_t number) { return low + (high - low) * random.uniform(static_cast<uint64_t>(number)); });
}

void fill_normal(const Tensor& x, const Philox& random, double mean, double deviation,
                 const DrawNumbers& draws) {
  require_floating("fill_normal", "x", x);
  fill("fill_normal", x, draws,
       [&](int64_t number) { return mean + deviation * random.normal(static_cast<uint64_t>(number)); });
}

}  // namespace martlet::ops
