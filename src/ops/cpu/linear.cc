// The outer loops of products on the CPU: what is packed, how it is cut for the caches, who computes what.
//
// Few x rows multiply the weight as it is stored. With more, weight rows are unpacked to f32 panels, each of
// which serves all x rows of a block. Sizes: a slice of a panel (kPanelBytes) and a tile of x rows stay in
// the L1 cache (32 KiB or more), a block of x rows (kBlockBytes) in the L2 (512 KiB or more).

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/thread_pool.h"
#include "ops/cpu/linear_kernels.h"
#include "ops/cpu_features.h"

namespace martlet::ops::cpu {
namespace {

constexpr int64_t kPanelRows = 8;
constexpr int64_t kPanelBytes = 20 << 10;
constexpr int64_t kBlockBytes = 256 << 10;
constexpr int64_t kStepBytes = 64;  // one vector of x or of a panel, whatever its elements
constexpr int64_t kStepSums = 16;   // f32 lanes that a sum is kept in
// Less weight than this, in bytes as it is stored, is not worth waking a thread for.
constexpr int64_t kLeastBytes = 32 << 10;

int64_t rounded_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// A product with everything at hand.
struct Work {
  const LinearKernels& kernels;
  const std::byte* x;  // [tokens, steps of kStepBytes]
  int64_t tokens;
  int64_t steps;
  const std::byte* weight;
  int64_t rows;
  int64_t columns;
  int64_t row_bytes;
  const float* bias;
  std::byte* y;  // [tokens, rows]
  DType y_dtype;

  int64_t stride() const { return steps * kernels.vector; }
};

int64_t row_bytes(const Weight& weight) {
  return weight.is_packed() ? weight.format().row_bytes(weight.columns())
                            : weight.columns() * size_of(weight.storage().dtype());
}

void copy_x_row(const std::byte* from, DType dtype, int64_t columns, DType element, std::byte* to) {
  if (dtype == element) {
    std::memcpy(to, from, static_cast<size_t>(columns * size_of(element)));
    return;
  }
  const BF16* narrow = reinterpret_cast<const BF16*>(from);
  float* wide = reinterpret_cast<float*>(to);
  for (int64_t k = 0; k < columns; ++k) wide[k] = to_float(narrow[k]);
}

/// x with elements of the kernels' type and rows padded with zeros to whole steps: itself where it is so
/// already.
Tensor prepared(const LinearKernels& kernels, const Tensor& x) {
  const int64_t tokens = x.dim(0);
  const int64_t columns = x.dim(1);
  const int64_t stride = rounded_up(std::max<int64_t>(1, columns), kernels.vector);
  if (x.dtype() == kernels.element && stride == columns) return x;
  Tensor result = Tensor::empty({tokens, stride}, kernels.element);
  std::byte* to = result.mutable_host_bytes();
  const std::byte* from = x.host_bytes();
  const int64_t size = size_of(kernels.element);
  parallel_for(tokens, std::max<int64_t>(1, kLeastBytes / (stride * size)), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      std::byte* out = to + row * stride * size;
      copy_x_row(from + row * columns * size_of(x.dtype()), x.dtype(), columns, kernels.element, out);
      std::memset(out + columns * size, 0, static_cast<size_t>((stride - columns) * size));
    }
  });
  return result;
}

/// Sums [count, columns] plus bias to rows [row, ...) and columns [column, ...) of y, which the sums may
/// already be.
void finish(const Work& work, const float* sums, int64_t sums_stride, int64_t row, int64_t count,
            int64_t column, int64_t columns) {
  if (work.y_dtype == DType::kF32 && work.bias == nullptr) return;
  for (int64_t i = 0; i < count; ++i) {
    const float* from = sums + i * sums_stride;
    const int64_t at = (row + i) * work.rows + column;
    if (work.y_dtype == DType::kF32) {
      float* out = reinterpret_cast<float*>(work.y) + at;
      for (int64_t j = 0; j < columns; ++j) out[j] = from[j] + work.bias[column + j];
    } else {
      BF16* out = reinterpret_cast<BF16*>(work.y) + at;
      for (int64_t j = 0; j < columns; ++j)
        out[j] = to_bf16(work.bias == nullptr ? from[j] : from[j] + work.bias[column + j]);
    }
  }
}

/// Where sums of a piece of y go: into y, or into `scratch` [count, columns] on the way to bf16.
struct Sums {
  float* at;
  int64_t stride;
};
Sums sums_for(const Work& work, int64_t row, int64_t column, int64_t columns, float* scratch) {
  if (work.y_dtype != DType::kF32) return {scratch, columns};
  return {reinterpret_cast<float*>(work.y) + row * work.rows + column, work.rows};
}

void multiply_few(const Work& work) {
  const int64_t grain =
      rounded_up(std::max<int64_t>(1, kLeastBytes / std::max<int64_t>(1, work.row_bytes)), 4);
  const bool narrow = work.y_dtype != DType::kF32;
  const Tensor scratch = Tensor::empty({narrow ? work.tokens * work.rows : 0}, DType::kF32);
  float* scratch_data = scratch.mutable_data<float>();
  parallel_for(work.rows, grain, [&](int64_t begin, int64_t end) {
    const Sums sums = sums_for(work, 0, begin, end - begin, scratch_data + work.tokens * begin);
    work.kernels.few_rows({work.x, work.tokens, work.stride(), work.weight + begin * work.row_bytes,
                           end - begin, work.row_bytes, work.columns, sums.at, sums.stride});
    finish(work, sums.at, sums.stride, 0, work.tokens, begin, end - begin);
  });
}

/// What one thread computes panels in.
struct PanelScratch {
  std::shared_ptr<std::byte> panel;
  std::shared_ptr<std::byte> kept;  // lanes between slices of k
  std::shared_ptr<std::byte> sums;  // f32 on the way to bf16
};

/// How a product is cut: blocks of x rows, panels of weight rows, slices of k.
struct Cut {
  int64_t block_rows;
  int64_t blocks;
  int64_t panels;
  int64_t slice_steps;
};

Cut cut_of(const Work& work) {
  const int64_t most_rows = std::max<int64_t>(24, kBlockBytes / (work.steps * kStepBytes));
  const int64_t blocks = (work.tokens + most_rows - 1) / most_rows;
  const int64_t block_rows = rounded_up((work.tokens + blocks - 1) / blocks, 12);  // whole tiles of 3 or 4
  const int64_t most_steps = kPanelBytes / (kPanelRows * kStepBytes);
  const int64_t slices = (work.steps + most_steps - 1) / most_steps;
  return {block_rows, (work.tokens + block_rows - 1) / block_rows, (work.rows + kPanelRows - 1) / kPanelRows,
          (work.steps + slices - 1) / slices};
}

PanelScratch scratch_for(const Work& work, const Cut& cut) {
  PanelScratch scratch;
  scratch.panel = allocate(Device::kCpu, kPanelRows * work.steps * kStepBytes);
  const int64_t outputs = cut.block_rows * kPanelRows;
  const bool sliced = cut.slice_steps < work.steps;
  scratch.kept = allocate(Device::kCpu, sliced ? outputs * kStepSums * size_of(DType::kF32) : 0);
  scratch.sums = allocate(Device::kCpu, work.y_dtype == DType::kF32 ? 0 : outputs * size_of(DType::kF32));
  return scratch;
}

/// Weight rows [begin, begin + count) as padded panel rows.
void fill_panel(const Work& work, int64_t begin, int64_t count, std::byte* panel) {
  const int64_t used = work.columns * size_of(work.kernels.element);
  for (int64_t i = 0; i < count; ++i, panel += work.steps * kStepBytes) {
    work.kernels.unpack(work.weight + (begin + i) * work.row_bytes, work.columns, panel);
    std::memset(panel + used, 0, static_cast<size_t>(work.steps * kStepBytes - used));
  }
}

void multiply_panel(const Work& work, const Cut& cut, int64_t block, int64_t panel,
                    const PanelScratch& scratch) {
  const int64_t row = block * cut.block_rows;
  const int64_t count = std::min(cut.block_rows, work.tokens - row);
  const int64_t column = panel * kPanelRows;
  const int64_t columns = std::min(kPanelRows, work.rows - column);
  fill_panel(work, column, columns, scratch.panel.get());
  const Sums sums = sums_for(work, row, column, columns, reinterpret_cast<float*>(scratch.sums.get()));
  for (int64_t step = 0; step < work.steps; step += cut.slice_steps) {
    const int64_t steps = std::min(cut.slice_steps, work.steps - step);
    work.kernels.panel({work.x + (row * work.steps + step) * kStepBytes, count, work.stride(),
                        scratch.panel.get() + step * kStepBytes, columns, work.stride(), steps,
                        reinterpret_cast<float*>(scratch.kept.get()), step == 0, step + steps == work.steps,
                        sums.at, sums.stride});
  }
  finish(work, sums.at, sums.stride, row, count, column, columns);
}

const LinearKernels* find(std::span<const TypedLinearKernels> all, std::string_view type_name) {
  for (const TypedLinearKernels& each : all)
    if (each.type_name == type_name) return &each.kernels;
  return nullptr;
}

}  // namespace

const LinearKernels& linear_kernels(std::string_view type_name, DType x) {
  static_cast<void>(x);
  const CpuFeatures& features = cpu_features();
  const LinearKernels* found = find(features.avx512 ? linear_kernels_avx512()
                                    : features.avx2 ? linear_kernels_avx2()
                                                    : linear_kernels_portable(),
                                    type_name);
  if (found == nullptr) failed("linear has no kernel for {} weights", type_name);
  return *found;
}

void unpack_rows(const Weight& weight, float* out) {
  const LinearKernels& kernels = linear_kernels(weight.type_name(), DType::kF32);
  const int64_t bytes = row_bytes(weight);
  const int64_t columns = weight.columns();
  const std::byte* from = weight.storage().host_bytes();
  const int64_t grain = std::max<int64_t>(1, kLeastBytes / std::max<int64_t>(1, bytes));
  parallel_for(weight.rows(), grain, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      kernels.unpack(from + row * bytes, columns, out + row * columns);
  });
}

void multiply(const LinearKernels& kernels, const Tensor& x, const Weight& weight, const float* bias,
              const Tensor& y) {
  if (y.element_count() == 0) return;
  const Tensor padded = prepared(kernels, x);
  Tensor out = y;
  const Work work{kernels,
                  padded.host_bytes(),
                  x.dim(0),
                  padded.dim(1) / kernels.vector,
                  weight.storage().host_bytes(),
                  weight.rows(),
                  weight.columns(),
                  row_bytes(weight),
                  bias,
                  out.mutable_host_bytes(),
                  y.dtype()};
  if (work.tokens <= kFewRows) return multiply_few(work);
  const Cut cut = cut_of(work);
  parallel_for(cut.blocks * cut.panels, 1, [&](int64_t begin, int64_t end) {
    const PanelScratch scratch = scratch_for(work, cut);
    for (int64_t item = begin; item < end; ++item)
      multiply_panel(work, cut, item / cut.panels, item % cut.panels, scratch);
  });
}

}  // namespace martlet::ops::cpu
