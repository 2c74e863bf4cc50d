#include "ops/embedding.h"

#include <algorithm>
#include <vector>

#include "autograd/backward.h"
#include "autograd/record.h"
#include "base/thread_pool.h"
#include "ops/cast.h"
#include "ops/cpu/linear_int8.h"
#include "ops/cpu/linear_kernels.h"
#include "ops/reference.h"
#include "ops/scatter.h"

namespace martlet::ops {
namespace {

struct EmbeddingProblem {
  std::span<const int32_t> ids;
  const Weight& table;
  Tensor out;  ///< [ids, columns]
};

Cost cost_of(const EmbeddingProblem& problem) {
  return embedding_cost(static_cast<int64_t>(problem.ids.size()), problem.table);
}

void run_reference(const EmbeddingProblem& problem) {
  const Tensor unpacked = problem.table.is_packed() ? problem.table.unpack() : problem.table.dense();
  const Elements rows(unpacked);
  Elements out(problem.out);
  const int64_t columns = problem.table.columns();
  for (int64_t i = 0; i < out.count(); ++i)
    out.set(i, rows[problem.ids[static_cast<size_t>(i / columns)] * columns + i % columns]);
}

void run_cpu(const EmbeddingProblem& problem) {
  const cpu::LinearKernels& kernels = cpu::linear_kernels(problem.table.type_name(), DType::kF32);
  const int64_t columns = problem.table.columns();
  const int64_t row_bytes = problem.table.byte_count() / std::max<int64_t>(1, problem.table.rows());
  const std::byte* table = problem.table.storage().host_bytes();
  Tensor out = problem.out;
  std::byte* to = out.mutable_host_bytes();
  const bool narrow = out.dtype() == DType::kBF16;
  // 64 KiB of result are worth a thread.
  const int64_t grain = std::max<int64_t>(1, (16 << 10) / std::max<int64_t>(1, columns));
  parallel_for(static_cast<int64_t>(problem.ids.size()), grain, [&](int64_t begin, int64_t end) {
    std::vector<float> wide(static_cast<size_t>(narrow ? columns : 0));
    for (int64_t i = begin; i < end; ++i) {
      std::byte* at = to + i * columns * size_of(out.dtype());
      float* values_of_row = narrow ? wide.data() : reinterpret_cast<float*>(at);
      const int32_t id = problem.ids[static_cast<size_t>(i)];
      if (problem.table.is_interleaved())
        cpu::unpack_interleaved_rows(problem.table, id, id + 1, values_of_row);
      else
        kernels.unpack(table + id * row_bytes, columns, values_of_row);
      if (!narrow) continue;
      BF16* values = reinterpret_cast<BF16*>(at);
      for (int64_t k = 0; k < columns; ++k) values[k] = to_bf16(wide[static_cast<size_t>(k)]);
    }
  });
}

constexpr Kernel<EmbeddingProblem> kKernels[] = {
    {"cpu", Device::kCpu, nullptr, run_cpu},
    {"reference", Device::kReference, nullptr, run_reference},
};

void record(std::span<const int32_t> ids, const Tensor& table, Tensor& out) {
  const Tensor index = Tensor::from(ids, {static_cast<int64_t>(ids.size())}, table.device());
  autograd::record(out, "embedding", {&table},
                   [index, dtype = table.dtype()](const Tensor& gradient, autograd::Gradients& inputs) {
                     inputs.add_into(
                         0, [&](Tensor& sum) { index_add_in_place(sum, 0, index, cast(gradient, dtype)); });
                   });
}

}  // namespace

Tensor embedding(std::span<const int32_t> ids, const Weight& table, DType dtype) {
  if (!table.defined()) failed("embedding takes a table, got nothing");
  if (dtype != DType::kF32 && dtype != DType::kBF16)
    failed("embedding gives f32 or bf16, not {}", name_of(dtype));
  for (size_t i = 0; i < ids.size(); ++i)
    if (ids[i] < 0 || ids[i] >= table.rows())
      failed("embedding of {} rows has no row {} (id number {})", table.rows(), ids[i], i);
  Tensor out = Tensor::empty({static_cast<int64_t>(ids.size()), table.columns()}, dtype, table.device());
  const EmbeddingProblem problem{ids, table, out};
  choose<EmbeddingProblem>("embedding", kKernels, table.device(), problem).run(problem);
  if (autograd::needed(table.storage())) record(ids, table.storage(), out);
  return out;
}

Cost embedding_cost(int64_t ids, const Weight& table) {
  const double rows = static_cast<double>(std::max<int64_t>(1, table.rows()));
  const double count = static_cast<double>(ids);
  return {0, count * static_cast<double>(table.byte_count()) / rows,
          4 * count * static_cast<double>(table.columns())};
}

}  // namespace martlet::ops
