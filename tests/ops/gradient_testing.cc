#include "ops/gradient_testing.h"

#include <algorithm>
#include <cmath>

#include "autograd/backward.h"
#include "autograd/leaf.h"
#include "base/thread_pool.h"
#include "ops/cast.h"

namespace martlet::ops::testing {
namespace {

bool learns(const Tensor& tensor) {
  return tensor.defined() && is_floating(tensor.dtype());
}

/// The result's gradient: the same for every call with a result of that shape.
Tensor gradient_for(const Tensor& result) {
  Draws draws(977);
  return draws.dense(result.shape(), result.dtype()).to(result.device());
}

std::vector<Tensor> gradients_of(std::vector<Tensor> inputs, const Operation& operation) {
  for (Tensor& input : inputs)
    if (learns(input)) autograd::require_gradient(input);
  const Tensor result = operation(inputs);
  if (result.node() != nullptr) autograd::backward(result, gradient_for(result));
  std::vector<Tensor> gradients;
  for (const Tensor& input : inputs) {
    if (!learns(input)) {
      gradients.emplace_back();
      continue;
    }
    const Tensor& gradient = autograd::gradient_of(input);
    gradients.push_back(gradient.defined() ? gradient
                                           : Tensor::zeros(input.shape(), input.dtype(), input.device()));
    EXPECT_TRUE(gradients.back().is_contiguous());
  }
  return gradients;
}

/// sum(result * r) in double.
double weighted_sum(const Tensor& result) {
  const std::vector<float> values = cast(result, DType::kF32).to_vector<float>();
  const std::vector<float> weights = cast(gradient_for(result), DType::kF32).to_vector<float>();
  double sum = 0;
  for (size_t i = 0; i < values.size(); ++i)
    sum += static_cast<double>(values[i]) * static_cast<double>(weights[i]);
  return sum;
}

/// The derivative with respect to one element, exact to the fourth power of the step.
double difference(std::vector<Tensor> inputs, size_t which, size_t element, const Operation& operation) {
  constexpr float kStep = 1.0f / 32;
  const std::vector<float> values = inputs[which].to_vector<float>();
  const Shape shape = inputs[which].shape();
  const auto at = [&](float steps) {
    std::vector<float> moved = values;
    moved[element] += steps * kStep;
    inputs[which] = Tensor::from(moved, shape, Device::kReference);
    return weighted_sum(operation(inputs));
  };
  return (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * static_cast<double>(kStep));
}

void expect_differences(const std::vector<Tensor>& inputs, const std::vector<Tensor>& gradients,
                        const Operation& operation, double tolerance) {
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!learns(inputs[i]) || inputs[i].dtype() != DType::kF32) continue;
    const std::vector<float> gradient = gradients[i].to_vector<float>();
    std::vector<double> differences;
    double largest = 0;
    for (size_t k = 0; k < gradient.size(); ++k) {
      differences.push_back(difference(inputs, i, k, operation));
      largest = std::max(largest, std::fabs(differences.back()));
    }
    for (size_t k = 0; k < gradient.size(); ++k)
      ASSERT_NEAR(static_cast<double>(gradient[k]), differences[k], tolerance * (1 + largest))
          << "element " << k << " of input " << i << ", " << inputs[i].to_string();
  }
}

void expect_same_bits(const std::vector<Tensor>& actual, const std::vector<Tensor>& expected,
                      std::string_view what) {
  for (size_t i = 0; i < actual.size(); ++i) {
    if (!actual[i].defined()) continue;
    EXPECT_EQ(bits_of(actual[i]), bits_of(expected[i])) << what << ", gradient of input " << i;
  }
}

}  // namespace

Tensor on_grid(const Tensor& tensor) {
  std::vector<float> values = tensor.to_vector<float>();
  for (float& value : values) value = std::round(value * 1024) / 1024;
  return Tensor::from(values, tensor.shape(), tensor.device());
}

void expect_gradient(const std::vector<Tensor>& inputs, const Operation& operation,
                     const GradientTolerance& tolerance) {
  std::vector<Tensor> given;
  std::vector<Tensor> on_reference;
  for (const Tensor& input : inputs) {
    Tensor rounded = input;
    if (learns(input) && input.dtype() == DType::kF32) {
      rounded = on_grid(input);
      // A view keeps its layout: the rounded values go where its elements are.
      if (!input.is_read_only()) {
        input.copy_elements(rounded);
        rounded = input;
      }
    }
    given.push_back(rounded);
    on_reference.push_back(rounded.defined() ? rounded.to(Device::kReference) : rounded);
  }
  const std::vector<Tensor> expected = gradients_of(on_reference, operation);
  expect_differences(on_reference, expected, operation, tolerance.differences);
  expect_same_gradient(given, operation, tolerance.devices);
}

namespace {

/// Calls check(at the processor's level, gradients there, the reference device's) at every instruction set.
template <typename Check>
void compare_gradients(const std::vector<Tensor>& inputs, const Operation& operation, const Check& check) {
  std::vector<Tensor> on_reference;
  std::vector<Tensor> dense;
  for (const Tensor& input : inputs) {
    on_reference.push_back(input.defined() ? input.to(Device::kReference) : input);
    dense.push_back(input.defined() ? input.clone() : input);
  }
  const std::vector<Tensor> expected = gradients_of(on_reference, operation);
  at_every_level([&] {
    set_thread_count(1);
    const std::vector<Tensor> actual = gradients_of(inputs, operation);
    for (size_t i = 0; i < actual.size(); ++i) {
      if (!actual[i].defined()) continue;
      SCOPED_TRACE("gradient of input " + std::to_string(i));
      check(actual[i], expected[i].to(Device::kCpu));
    }
    expect_same_bits(gradients_of(dense, operation), actual, "another layout");
    set_thread_count(2);
    expect_same_bits(gradients_of(inputs, operation), actual, "two threads");
  });
}

}  // namespace

void expect_same_gradient(const std::vector<Tensor>& inputs, const Operation& operation,
                          const Tolerance& tolerance, bool fused_agree) {
  compare_gradients(inputs, operation, [&](const Tensor& actual, const Tensor& expected) {
    expect_close(actual, expected, tolerance);
  });
  if (!fused_agree) return;
  std::vector<Tensor> fused;
  at_every_level([&] {
    if (!cpu_features().avx2) return;
    std::vector<Tensor> actual = gradients_of(inputs, operation);
    if (!fused.empty()) expect_same_bits(actual, fused, "against AVX-512");
    fused = std::move(actual);
  });
}

void expect_gradient_within(const std::vector<Tensor>& inputs, const Operation& operation, double relative,
                            double relative_of_pairs) {
  compare_gradients(inputs, operation, [&](const Tensor& actual, const Tensor& expected) {
    const std::vector<double> got = as_doubles(actual);
    const std::vector<double> wanted = as_doubles(expected);
    double distance = 0;
    double norm = 0;
    for (size_t i = 0; i < got.size(); ++i) {
      distance += (got[i] - wanted[i]) * (got[i] - wanted[i]);
      norm += wanted[i] * wanted[i];
    }
    const double allowed = cpu_features().avx512_bf16 ? relative_of_pairs : relative;
    EXPECT_LE(std::sqrt(distance), allowed * std::sqrt(norm));
  });
}

}  // namespace martlet::ops::testing
