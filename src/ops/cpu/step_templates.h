#pragma once

// The rows of step_kernels.h over sixteen lanes. Include one of floats_*.h first.

#include "ops/cpu/step_kernels.h"

namespace martlet::ops::cpu {
namespace {

/// Calls `lanes(i, load, store)` for sixteen elements at a time; the last ones go through the same code.
template <typename Lanes>
void each_sixteen(int64_t count, Lanes lanes) {
  int64_t i = 0;
  for (; i + 16 <= count; i += 16)
    lanes(
        i, [](const float* from) { return load(from); }, [](float* to, Floats a) { store(to, a); });
  const int64_t rest = count - i;
  if (rest > 0)
    lanes(
        i, [rest](const float* from) { return load(from, rest); },
        [rest](float* to, Floats a) { store(to, a, rest); });
}

void adamw_row(const AdamWRow& row, float* p, const float* g, float* m, float* v, int64_t count) {
  const Floats keep = all(row.keep), scale = all(row.gradient_scale);
  const Floats fresh1 = all(row.fresh1), beta2 = all(row.beta2), fresh2 = all(row.fresh2);
  const Floats rate = all(row.rate), root_scale = all(row.root_scale), epsilon = all(row.epsilon);
  each_sixteen(count, [&](int64_t i, auto read, auto write) {
    const Floats gradient = read(g + i) * scale;
    const Floats before = read(m + i);
    const Floats first = multiply_add(fresh1, gradient - before, before);
    const Floats second = multiply_add(fresh2 * gradient, gradient, beta2 * read(v + i));
    const Floats root = multiply_add(square_root(second), root_scale, epsilon);
    write(m + i, first);
    write(v + i, second);
    write(p + i, read(p + i) * keep - rate * first / root);
  });
}

void sgd_row(const SgdRow& row, float* p, const float* g, float* b, int64_t count) {
  const Floats keep = all(row.keep), scale = all(row.gradient_scale);
  const Floats momentum = all(row.momentum), rate = all(row.rate);
  each_sixteen(count, [&](int64_t i, auto read, auto write) {
    Floats step = read(g + i) * scale;
    if (b != nullptr) {
      const Floats velocity = multiply_add(momentum, read(b + i), step);
      write(b + i, velocity);
      step = row.nesterov ? multiply_add(momentum, velocity, step) : velocity;
    }
    write(p + i, read(p + i) * keep - rate * step);
  });
}

void lion_row(const LionRow& row, float* p, const float* g, float* m, int64_t count) {
  const Floats keep = all(row.keep), scale = all(row.gradient_scale), rate = all(row.rate);
  const Floats beta1 = all(row.beta1), fresh1 = all(row.fresh1);
  const Floats beta2 = all(row.beta2), fresh2 = all(row.fresh2);
  const Floats nought = all(0.0f);
  each_sixteen(count, [&](int64_t i, auto read, auto write) {
    const Floats gradient = read(g + i) * scale;
    const Floats moment = read(m + i);
    const Floats direction = multiply_add(beta1, moment, fresh1 * gradient);
    const Floats step = select(nought < direction, rate, select(direction < nought, nought - rate, nought));
    write(p + i, read(p + i) * keep - step);
    write(m + i, multiply_add(beta2, moment, fresh2 * gradient));
  });
}

constexpr StepKernels kStepKernels{adamw_row, sgd_row, lion_row};

}  // namespace
}  // namespace martlet::ops::cpu
