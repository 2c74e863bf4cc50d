#include "ops/scatter.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "autograd/backward.h"
#include "autograd/record.h"
#include "base/thread_pool.h"
#include "ops/binary.h"
#include "ops/cast.h"
#include "ops/check.h"
#include "ops/cpu/row_access.h"
#include "ops/cpu/walk.h"
#include "ops/fill.h"
#include "ops/gather.h"
#include "ops/indices.h"
#include "ops/reference.h"
#include "ops/where.h"

namespace martlet::ops {
namespace {

/// The indexed dimension comes first in both tensors; their other sizes are equal. Sums go to f32.
struct ScatterProblem {
  Tensor x;
  Tensor source;
  std::vector<int64_t> indices;  ///< of source's elements; of its slices where `slices`
  bool slices;
  bool adds;
};

Cost cost_of(const ScatterProblem& problem) {
  return scatter_cost(problem.source.shape(), problem.source.dtype());
}

int64_t slice_size(const ScatterProblem& problem) {
  return problem.source.element_count() / problem.source.dim(0);
}

void run_reference(const ScatterProblem& problem) {
  Elements x(problem.x);
  const Elements source(problem.source);
  const int64_t slice = slice_size(problem);
  std::vector<double> sums;
  for (int64_t i = 0; problem.adds && i < x.count(); ++i) sums.push_back(x[i]);
  for (int64_t i = 0; i < source.count(); ++i) {
    const int64_t index = problem.indices[static_cast<size_t>(problem.slices ? i / slice : i)];
    const int64_t to = index * slice + i % slice;
    if (problem.adds) {
      sums[static_cast<size_t>(to)] += source[i];
    } else if (is_floating(problem.x.dtype())) {
      x.set(to, source[i]);
    } else {
      x.set_integer(to, source.integer(i));
    }
  }
  for (int64_t i = 0; problem.adds && i < x.count(); ++i) x.set(i, sums[static_cast<size_t>(i)]);
}

/// One element after another, as the order asks.
void run_elements(const ScatterProblem& problem) {
  const DType dtype = problem.x.dtype();
  const int64_t bytes = size_of(dtype);
  std::byte* to = problem.x.mutable_host_bytes();
  const std::byte* from = problem.source.host_bytes();
  const Tensor first = problem.x.slice(0, 0, 1).expand(problem.source.shape());
  const int64_t step = problem.x.strides()[0];
  const cpu::Walk walk(problem.source.shape(), {&problem.source, &first});
  const int64_t* index = problem.indices.data();
  walk.pieces(0, walk.count(), [&](const cpu::Walk::Offsets& offsets, int64_t count) {
    for (int64_t i = 0; i < count; ++i, ++index) {
      std::byte* place = to + (offsets[1] + i * walk.stride(1) + *index * step) * bytes;
      const std::byte* value = from + (offsets[0] + i * walk.stride(0)) * bytes;
      if (problem.adds) {
        *reinterpret_cast<float*>(place) += *reinterpret_cast<const float*>(value);
      } else {
        std::memcpy(place, value, static_cast<size_t>(bytes));
      }
    }
  });
}

/// Slices that are added: threads share the elements of a slice, so that each place's order stays.
void run_slices(const ScatterProblem& problem) {
  const cpu::RowKernels& kernels = cpu::row_kernels();
  const int64_t slice = slice_size(problem);
  const int64_t count = problem.source.dim(0);
  const Tensor target = problem.x.select(0, 0);
  const Tensor added = problem.source.select(0, 0);
  float* to = problem.x.mutable_data<float>();
  const float* from = problem.source.data<float>();
  const int64_t to_step = problem.x.strides()[0];
  const int64_t from_step = problem.source.strides()[0];
  const cpu::Walk walk(target.shape(), {&target, &added});
  parallel_for(slice, std::max<int64_t>(64, cpu::kGrain / count), [&](int64_t begin, int64_t end) {
    walk.pieces(begin, end, [&](const cpu::Walk::Offsets& offsets, int64_t length) {
      for (int64_t i = 0; i < count; ++i) {
        float* sums = to + problem.indices[static_cast<size_t>(i)] * to_step + offsets[0];
        const float* values = from + i * from_step + offsets[1];
        if (walk.stride(0) == 1 && walk.stride(1) == 1) {
          kernels.binary(Binary::kAdd, sums, values, sums, length);
          continue;
        }
        for (int64_t k = 0; k < length; ++k) sums[k * walk.stride(0)] += values[k * walk.stride(1)];
      }
    });
  });
}

std::string_view added_slices_only(const ScatterProblem& problem) {
  return problem.slices && problem.adds ? "" : "no sums of whole slices";
}

constexpr Kernel<ScatterProblem> kKernels[] = {
    {"slices", Device::kCpu, added_slices_only, run_slices},
    {"elements", Device::kCpu, nullptr, run_elements},
    {"reference", Device::kReference, nullptr, run_reference},
};

void check(std::string_view operation, const Tensor& x, const Tensor& index, const Tensor& source) {
  if (!source.defined()) failed("{} takes a tensor source, got nothing", operation);
  require_one_device(operation, {&x, &index, &source});
  require_one_dtype(operation, {&x, &source});
  if (x.is_read_only()) failed("{} cannot write {}: it is read-only", operation, x.to_string());
}

/// Where the elements of `index` are the ones that stayed: bool of index's shape. Each element's number is
/// scattered in the same order, and whoever finds its own number was the last.
Tensor stayed(const Shape& shape, int dim, const Tensor& index) {
  const Tensor numbers = arange(index.element_count(), DType::kI64, index.device()).reshape(index.shape());
  Tensor places = Tensor::zeros(shape, DType::kI64, index.device());
  scatter_in_place(places, dim, index, numbers);
  return equal(gather(places, dim, index), numbers);
}

void record_scatter(Tensor& x, int dim, const Tensor& index, const Tensor& source) {
  autograd::record(
      x, "scatter", {&x, &source}, [dim, index](const Tensor& gradient, autograd::Gradients& inputs) {
        const Tensor none = Tensor::zeros({}, gradient.dtype(), gradient.device());
        if (inputs.needs(0)) {
          Tensor rest = gradient.clone();
          scatter_in_place(rest, dim, index, none.expand(index.shape()));
          inputs.add(0, rest);
        }
        if (inputs.needs(1))
          inputs.add(1, where(stayed(gradient.shape(), dim, index), gather(gradient, dim, index), none));
      });
}

void record_add(Tensor& x, int dim, const Tensor& index, const Tensor& source, bool slices) {
  autograd::record(x, slices ? "index_add" : "scatter_add", {&x, &source},
                   [dim, index, slices](const Tensor& gradient, autograd::Gradients& inputs) {
                     inputs.add(0, gradient);
                     if (inputs.needs(1))
                       inputs.add(1,
                                  slices ? index_select(gradient, dim, index) : gather(gradient, dim, index));
                   });
}

/// x with elements of its own, where its old ones may be needed.
void make_writable(Tensor& x) {
  if (autograd::may_overwrite(x)) return;
  const std::shared_ptr<autograd::Node> node = x.node();
  x = x.detach().clone();
  x.set_node(node);
}

void run(std::string_view operation, const Tensor& x, ScatterProblem problem) {
  if (problem.source.element_count() == 0) return;
  if (problem.source.shares_storage_with(problem.x)) problem.source = problem.source.clone();
  const Kernel<ScatterProblem>& kernel = choose<ScatterProblem>(operation, kKernels, x.device(), problem);
  const bool narrow = problem.adds && x.device() == Device::kCpu && x.dtype() != DType::kF32;
  if (!narrow) return kernel.run(problem);
  // Sums of narrow numbers are f32 until the last.
  const Tensor target = problem.x;
  problem.x = cast(target, DType::kF32);
  problem.source = cast(problem.source, DType::kF32);
  kernel.run(problem);
  target.copy_elements(cast(problem.x, target.dtype()));
}

void scatter(std::string_view operation, Tensor& x, int dim, const Tensor& index, const Tensor& source,
             bool adds) {
  const int along = require_dimension(operation, x, dim);
  check(operation, x, index, source);
  require_shape(operation, "index", index, source.shape());
  if (source.rank() != x.rank())
    failed("{} takes a source of {} dimensions, got {}", operation, x.rank(), source.to_string());
  make_writable(x);
  Tensor target = x.detach();
  for (int d = 0; d < x.rank(); ++d) {
    if (d == along) continue;
    if (source.shape()[d] > x.shape()[d])
      failed("{} takes a source no larger than {} in dimension {}, got {}", operation, x.to_string(), d,
             source.to_string());
    target = target.slice(d, 0, source.shape()[d]);
  }
  run(operation, x,
      {target.transpose(0, along), source.detach().transpose(0, along),
       checked_indices(operation, index.transpose(0, along), x.shape()[along]), false, adds});
  if (!is_floating(x.dtype()) || !autograd::needed(x, source)) return;
  adds ? record_add(x, along, index, source, false) : record_scatter(x, along, index, source);
}

}  // namespace

void scatter_in_place(Tensor& x, int dim, const Tensor& index, const Tensor& source) {
  scatter("scatter", x, dim, index, source, false);
}

void scatter_add_in_place(Tensor& x, int dim, const Tensor& index, const Tensor& source) {
  require_floating("scatter_add", "x", x);
  scatter("scatter_add", x, dim, index, source, true);
}

void index_add_in_place(Tensor& x, int dim, const Tensor& index, const Tensor& source) {
  require_floating("index_add", "x", x);
  const int along = require_dimension("index_add", x, dim);
  check("index_add", x, index, source);
  if (!index.defined() || index.rank() != 1)
    failed("index_add takes an index of one dimension, got {}", index.to_string());
  Shape shape = x.shape();
  shape[along] = index.dim(0);
  require_shape("index_add", "source", source, shape);
  make_writable(x);
  run("index_add", x,
      {x.detach().transpose(0, along), source.detach().transpose(0, along),
       checked_indices("index_add", index, x.shape()[along]), true, true});
  if (autograd::needed(x, source)) record_add(x, along, index, source, true);
}

Cost scatter_cost(const Shape& source, DType dtype) {
  const double count = static_cast<double>(source.element_count());
  const double bytes = count * static_cast<double>(size_of(dtype));
  return {count, 2 * bytes + 8 * count, bytes};
}

}  // namespace martlet::ops
