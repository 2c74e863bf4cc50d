#include "ops/concat.h"

#include "autograd/backward.h"
#include "autograd/record.h"
#include "ops/check.h"

namespace martlet::ops {
namespace {

void record(std::span<const Tensor> parts, int dim, Tensor& result) {
  std::vector<int64_t> sizes;
  for (const Tensor& part : parts) sizes.push_back(part.dim(dim));
  autograd::record(result, "concat", parts, [=](const Tensor& gradient, autograd::Gradients& inputs) {
    const std::vector<Tensor> gradients = split(gradient, sizes, dim);
    for (size_t i = 0; i < gradients.size(); ++i) inputs.add(i, gradients[i]);
  });
}

}  // namespace

// Both are views and copies, which every device's memory knows by itself: no kernel is needed.

Tensor concat(std::span<const Tensor> parts, int dim) {
  if (parts.empty()) failed("concat takes at least one tensor");
  const Tensor& first = parts.front();
  const int along = require_dimension("concat", first, dim);
  Shape shape = first.shape();
  shape[along] = 0;
  for (const Tensor& part : parts) {
    Shape expected = first.shape();
    if (part.defined() && part.rank() == first.rank()) expected[along] = part.shape()[along];
    require_shape("concat", "parts", part, expected);
    require_one_dtype("concat", {&first, &part});
    require_one_device("concat", {&first, &part});
    if (__builtin_add_overflow(shape[along], expected[along], &shape[along]))
      failed("concat of {} parts is too large", parts.size());
  }
  Tensor result = Tensor::empty(shape, first.dtype(), first.device());
  int64_t begin = 0;
  for (const Tensor& part : parts) {
    const int64_t end = begin + part.shape()[along];
    result.slice(along, begin, end).copy_elements(part);
    begin = end;
  }
  if (autograd::needed(parts)) record(parts, along, result);
  return result;
}

Cost concat_cost(std::span<const Tensor> parts) {
  double bytes = 0;
  for (const Tensor& part : parts) bytes += static_cast<double>(part.byte_count());
  return {0, bytes, bytes};
}

std::vector<Tensor> split(const Tensor& x, std::span<const int64_t> sizes, int dim) {
  const int along = require_dimension("split", x, dim);
  const int64_t whole = x.shape()[along];
  std::vector<Tensor> parts;
  int64_t begin = 0;
  for (const int64_t size : sizes) {
    if (size < 0 || size > whole - begin)
      failed("split takes sizes that add up to {}, dimension {} of {}; size {} does not fit", whole, dim,
             x.to_string(), size);
    parts.push_back(x.slice(along, begin, begin + size));
    begin += size;
  }
  if (begin != whole)
    failed("split takes sizes that add up to {}, dimension {} of {}, got {}", whole, dim, x.to_string(),
           begin);
  return parts;
}

}  // namespace martlet::ops
