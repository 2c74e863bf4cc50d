#pragma once

#include "base/random.h"
#include "ops/kernel.h"
#include "tensor/tensor.h"

namespace martlet::ops {

/// Every element becomes `value`, rounded to x's dtype as `cast` does. Any dtype and layout.
void fill_in_place(const Tensor& x, float value);
/// A dense tensor of one value.
Tensor full(const Shape& shape, float value, DType dtype, Device device = Device::kCpu);
/// begin, begin + step, ..., `count` of them: i64, i32, or a floating dtype (each computed in double).
Tensor arange(int64_t count, DType dtype, Device device = Device::kCpu, double begin = 0, double step = 1);

/// What draw each element takes: number `first` + the sum of its indices times `strides`. Of a shard of a
/// larger parameter these are its offset and strides in the whole, so that every sharding starts from the
/// same model.
struct DrawNumbers {
  int64_t first = 0;
  Shape strides;  ///< as many as x has dimensions; none: dense, row-major
};

/// Uniform in [low, high), or normal; drawn in double, rounded to x's dtype (f32, bf16 or f16; rounding may
/// give `high` itself). Which number an element gets depends on the Philox (seed, and stream: stream_of(a
/// parameter's name)) and its draw number only: not on device, dtype, layout or threads.
void fill_uniform(const Tensor& x, const Philox& random, double low, double high,
                  const DrawNumbers& draws = {});
void fill_normal(const Tensor& x, const Philox& random, double mean, double deviation,
                 const DrawNumbers& draws = {});

}  // namespace martlet::ops
