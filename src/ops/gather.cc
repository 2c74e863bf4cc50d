#include "ops/gather.h"

#include <cstring>
#include <span>
#include <vector>

#include "autograd/backward.h"
#include "autograd/record.h"
#include "base/thread_pool.h"
#include "ops/check.h"
#include "ops/cpu/walk.h"
#include "ops/indices.h"
#include "ops/reference.h"
#include "ops/scatter.h"

namespace martlet::ops {
namespace {

struct GatherProblem {
  Tensor x;                          ///< the indexed dimension first, the others of y's size
  Tensor y;                          ///< likewise
  std::span<const int64_t> indices;  ///< of y's elements; of its slices where `slices`
  bool slices;
};

Cost cost_of(const GatherProblem& problem) {
  return gather_cost(problem.y.shape(), problem.y.dtype());
}

void run_reference(const GatherProblem& problem) {
  const Elements x(problem.x);
  Elements y(problem.y);
  const int64_t slice = problem.y.element_count() / problem.y.dim(0);
  for (int64_t i = 0; i < y.count(); ++i) {
    const int64_t index = problem.indices[static_cast<size_t>(problem.slices ? i / slice : i)];
    const int64_t from = index * slice + i % slice;
    if (is_floating(problem.y.dtype())) {
      y.set(i, x[from]);
    } else {
      y.set_integer(i, x.integer(from));
    }
  }
}

/// Element by element: x walks along with y at index 0, and the index is a step from there.
void run_elements(const GatherProblem& problem) {
  const int64_t bytes = size_of(problem.x.dtype());
  const std::byte* from = problem.x.host_bytes();
  std::byte* to = problem.y.mutable_host_bytes();
  const Tensor first = problem.x.slice(0, 0, 1).expand(problem.y.shape());
  const int64_t step = problem.x.strides()[0];
  const cpu::Walk walk(problem.y.shape(), {&problem.y, &first});
  parallel_for(walk.count(), cpu::kGrain, [&](int64_t begin, int64_t end) {
    const int64_t* index = problem.indices.data() + begin;
    walk.pieces(begin, end, [&](const cpu::Walk::Offsets& offsets, int64_t count) {
      for (int64_t i = 0; i < count; ++i, ++index)
        std::memcpy(to + (offsets[0] + i * walk.stride(0)) * bytes,
                    from + (offsets[1] + i * walk.stride(1) + *index * step) * bytes,
                    static_cast<size_t>(bytes));
    });
  });
}

/// Columns of contiguous rows of f32: x and y are [columns, rows] with the rows one after another.
void run_columns(const GatherProblem& problem) {
  const int64_t columns = problem.y.dim(0), from_columns = problem.x.dim(0);
  const float* from = problem.x.data<float>();
  float* to = problem.y.mutable_data<float>();
  parallel_for(problem.y.dim(1), 1 + cpu::kGrain / columns, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      for (int64_t i = 0; i < columns; ++i)
        to[row * columns + i] = from[row * from_columns + problem.indices[static_cast<size_t>(i)]];
  });
}

std::string_view columns_only(const GatherProblem& problem) {
  const auto is_rows = [](const Tensor& t) { return t.rank() == 2 && t.transpose(0, 1).is_contiguous(); };
  const bool fits =
      problem.slices && problem.y.dtype() == DType::kF32 && is_rows(problem.x) && is_rows(problem.y);
  return fits ? "" : "no columns of contiguous f32 rows";
}

void run_slices(const GatherProblem& problem) {
  const int64_t count = problem.y.dim(0);
  const int64_t slice = problem.y.element_count() / count;
  parallel_for(count, 1 + cpu::kGrain / slice, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      problem.y.select(0, i).copy_elements(problem.x.select(0, problem.indices[static_cast<size_t>(i)]));
  });
}

std::string_view slices_only(const GatherProblem& problem) {
  return problem.slices ? "" : "an index for each element";
}

constexpr Kernel<GatherProblem> kKernels[] = {
    {"columns", Device::kCpu, columns_only, run_columns},
    {"slices", Device::kCpu, slices_only, run_slices},
    {"elements", Device::kCpu, nullptr, run_elements},
    {"reference", Device::kReference, nullptr, run_reference},
};

}  // namespace

Tensor gather(const Tensor& x, int dim, const Tensor& index) {
  const int along = require_dimension("gather", x, dim);
  if (!index.defined() || index.rank() != x.rank())
    failed("gather takes an index of {} dimensions, got {}", x.rank(), index.to_string());
  require_one_device("gather", {&x, &index});
  Tensor source = x.detach();
  for (int d = 0; d < x.rank(); ++d) {
    if (d == along) continue;
    if (index.shape()[d] > x.shape()[d])
      failed("gather takes an index no larger than {} in dimension {}, got {}", x.to_string(), d,
             index.to_string());
    source = source.slice(d, 0, index.shape()[d]);
  }
  Tensor y = Tensor::empty(index.shape(), x.dtype(), x.device());
  // The indexed dimension goes first, in the indices too.
  const std::vector<int64_t> indices = checked_indices("gather", index.transpose(0, along), x.shape()[along]);
  const GatherProblem problem{source.transpose(0, along), y.transpose(0, along), indices, false};
  if (y.element_count() > 0) choose<GatherProblem>("gather", kKernels, x.device(), problem).run(problem);
  if (autograd::needed(x))
    autograd::record(y, "gather", {&x}, [along, index](const Tensor& dy, autograd::Gradients& inputs) {
      inputs.add_into(0, [&](Tensor& sum) { scatter_add_in_place(sum, along, index, dy); });
    });
  return y;
}

Tensor index_select(const Tensor& x, int dim, const Tensor& index) {
  const int along = require_dimension("index_select", x, dim);
  if (!index.defined() || index.rank() != 1)
    failed("index_select takes an index of one dimension, got {}", index.to_string());
  require_one_device("index_select", {&x, &index});
  Shape shape = x.shape();
  shape[along] = index.dim(0);
  Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  const std::vector<int64_t> indices = checked_indices("index_select", index, x.shape()[along]);
  const GatherProblem problem{x.detach().transpose(0, along), y.transpose(0, along), indices, true};
  if (y.element_count() > 0)
    choose<GatherProblem>("index_select", kKernels, x.device(), problem).run(problem);
  if (autograd::needed(x))
    autograd::record(y, "index_select", {&x}, [along, index](const Tensor& dy, autograd::Gradients& inputs) {
      inputs.add_into(0, [&](Tensor& sum) { index_add_in_place(sum, along, index, dy); });
    });
  return y;
}

Cost gather_cost(const Shape& result, DType dtype) {
  const double count = static_cast<double>(result.element_count());
  const double bytes = count * static_cast<double>(size_of(dtype));
  return {0, bytes + 8 * count, bytes};
}

}  // namespace martlet::ops
