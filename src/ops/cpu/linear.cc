// The outer loops of products on the CPU: what is unpacked, how work is cut for the caches and threads.
//
// Few x rows multiply the weight as it is stored. With more, x is cut into blocks of rows; over each, slice
// by slice of k (linear_kernels.h), go panels of a few weight rows, unpacked to f32 (bf16) once for the whole
// block. A slice of a block stays in the L2 cache, a panel in the L1.

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/thread_pool.h"
#include "ops/cpu/linear_kernels.h"
#include "ops/cpu/panel_runs.h"
#include "ops/cpu_features.h"

namespace martlet::ops::cpu {
namespace {

constexpr int64_t kPanelRows = 8;
// What a slice of a block of x rows takes of an L2 cache of 512 KiB or more.
constexpr int64_t kBlockBytes = 384 << 10;
// A multiple of the tiles' rows, 3 and 4.
constexpr int64_t kRowsMultiple = 12;
// Panels that are not worth taking alone: the first one of a run is not called for ahead.
constexpr int64_t kLeastPanels = 4;
constexpr int64_t kStepBytes = 64;  // one vector of x or of a panel, whatever its elements
// Less weight than this, in bytes as it is stored, is not worth waking a thread for.
constexpr int64_t kLeastBytes = 32 << 10;

int64_t rounded_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// A product with everything at hand.
struct Work {
  const LinearKernels& kernels;
  const std::byte* x;  // [tokens, steps of kStepBytes]
  int64_t x_stride;    // elements
  int64_t tokens;
  int64_t steps;
  const std::byte* weight;
  int64_t rows;
  int64_t columns;
  int64_t row_bytes;
  const float* bias;
  std::byte* y;  // [tokens, rows]
  DType y_dtype;
  bool add;  // to what y holds
};

int64_t row_bytes(const Weight& weight) {
  return weight.is_packed() ? weight.format().row_bytes(weight.columns())
                            : weight.columns() * size_of(weight.storage().dtype());
}

/// x with elements of the kernels' type and rows of whole steps, padded with zeros: itself where it is so
/// already. Rows of x may lie apart.
Tensor prepared(const LinearKernels& kernels, const Tensor& x) {
  const int64_t tokens = x.dim(0);
  const int64_t columns = x.dim(1);
  const int64_t stride = rounded_up(std::max<int64_t>(1, columns), kernels.vector);
  if (x.dtype() == kernels.element && stride == columns && x.strides()[1] == 1) return x;
  // bf16 elements widen as a bf16 weight's do.
  const auto copy = linear_kernels(name_of(x.dtype()), kernels.element).unpack;
  Tensor result = Tensor::empty({tokens, stride}, kernels.element);
  std::byte* to = result.mutable_host_bytes();
  const std::byte* from = x.host_bytes();
  const int64_t size = size_of(kernels.element);
  const int64_t x_row_bytes = x.strides()[0] * size_of(x.dtype());
  parallel_for(tokens, std::max<int64_t>(1, kLeastBytes / (stride * size)), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      std::byte* out = to + row * stride * size;
      copy(from + row * x_row_bytes, columns, out);
      std::memset(out + columns * size, 0, static_cast<size_t>((stride - columns) * size));
    }
  });
  return result;
}

/// Sums [count, columns] plus bias to rows [row, ...) and columns [column, ...) of y, which the sums may
/// already be.
void finish(const Work& work, const float* sums, int64_t sums_stride, int64_t row, int64_t count,
            int64_t column, int64_t columns) {
  const float* bias = work.bias == nullptr ? nullptr : work.bias + column;
  for (int64_t i = 0; i < count; ++i) {
    const float* from = sums + i * sums_stride;
    const int64_t at = (row + i) * work.rows + column;
    if (work.y_dtype == DType::kBF16) {
      work.kernels.to_bf16(from, bias, columns, reinterpret_cast<BF16*>(work.y) + at);
    } else if (bias != nullptr) {
      float* out = reinterpret_cast<float*>(work.y) + at;
      for (int64_t j = 0; j < columns; ++j) out[j] = from[j] + bias[j];
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
    work.kernels.few_rows({work.x, work.tokens, work.x_stride, work.weight + begin * work.row_bytes,
                           end - begin, work.row_bytes, work.columns,
                           slice_steps(work.steps) * work.kernels.vector, sums.at, sums.stride});
    finish(work, sums.at, sums.stride, 0, work.tokens, begin, end - begin);
  });
}

/// A slice of k: vectors [step, step + steps), elements [element, element + elements) of stored rows.
struct Slice {
  int64_t step;
  int64_t steps;
  int64_t elements;
  int64_t byte;  // of a stored row
  int64_t bytes;
};

/// What a thread computes at once: x rows and weight rows.
struct Piece {
  int64_t row;
  int64_t rows;
  int64_t column;
  int64_t columns;
};

/// One slice of one panel for all rows of the piece.
void multiply_panel(const Work& work, const Slice& slice, const Piece& piece, const Sums& sums,
                    std::byte* panel) {
  const LinearKernels& kernels = work.kernels;
  const std::byte* weight = work.weight + piece.column * work.row_bytes + slice.byte;
  const int64_t used = slice.elements * size_of(kernels.element);
  for (int64_t i = 0; i < piece.columns; ++i) {
    std::byte* row = panel + i * slice.steps * kStepBytes;
    kernels.unpack(weight + i * work.row_bytes, slice.elements, row);
    std::memset(row + used, 0, static_cast<size_t>(slice.steps * kStepBytes - used));
  }
  const std::byte* x =
      work.x + piece.row * work.x_stride * size_of(kernels.element) + slice.step * kStepBytes;
  kernels.panel(
      {x, piece.rows, work.x_stride, panel, piece.columns, slice.steps * kernels.vector, slice.steps,
       slice.step > 0 || work.add, sums.at, sums.stride, weight + piece.columns * work.row_bytes,
       std::min(kPanelRows, work.rows - piece.column - piece.columns), work.row_bytes, slice.bytes});
}

/// The piece's outputs, slice by slice. `panel` holds kPanelRows rows of a slice, `scratch` the sums on their
/// way to bf16.
void multiply_piece(const Work& work, const Piece& piece, std::byte* panel, float* scratch) {
  const Sums sums = sums_for(work, piece.row, piece.column, piece.columns, scratch);
  const int64_t steps = slice_steps(work.steps);
  const int64_t row_elements_bytes = work.row_bytes;
  for (int64_t step = 0; step < work.steps; step += steps) {
    const int64_t begin = step * work.kernels.vector;
    const int64_t end = std::min(begin + steps * work.kernels.vector, work.columns);
    const int64_t byte = work.columns == 0 ? 0 : row_elements_bytes * begin / work.columns;
    const Slice slice{step, std::min(steps, work.steps - step), end - begin, byte,
                      work.columns == 0 ? 0 : row_elements_bytes * end / work.columns - byte};
    for (int64_t column = 0; column < piece.columns; column += kPanelRows) {
      const Piece panel_piece{piece.row, piece.rows, piece.column + column,
                              std::min(kPanelRows, piece.columns - column)};
      multiply_panel(work, slice, panel_piece, {sums.at + column, sums.stride}, panel);
    }
  }
  finish(work, sums.at, sums.stride, piece.row, piece.rows, piece.column, piece.columns);
}

void multiply_many(const Work& work) {
  const int64_t slice_bytes = slice_steps(work.steps) * kStepBytes;
  PanelRuns runs(work.tokens, (work.rows + kPanelRows - 1) / kPanelRows, kBlockBytes / slice_bytes,
                 kRowsMultiple, kLeastPanels);
  parallel_for(std::min<int64_t>(runs.units(), thread_count()), 1, [&](int64_t, int64_t) {
    const auto panel = allocate(Device::kCpu, kPanelRows * slice_bytes);
    const int64_t outputs =
        work.y_dtype == DType::kF32 ? 0 : runs.most_rows() * PanelRuns::kMostPanels * kPanelRows;
    const auto scratch = allocate(Device::kCpu, outputs * size_of(DType::kF32));
    for (PanelRuns::Run run = runs.take(); run.panels > 0; run = runs.take()) {
      const int64_t column = run.panel * kPanelRows;
      const Piece piece{run.row, run.rows, column, std::min(run.panels * kPanelRows, work.rows - column)};
      multiply_piece(work, piece, panel.get(), reinterpret_cast<float*>(scratch.get()));
    }
  });
}

const LinearKernels* find(std::span<const TypedLinearKernels> all, std::string_view type_name) {
  for (const TypedLinearKernels& each : all)
    if (each.type_name == type_name) return &each.kernels;
  return nullptr;
}

}  // namespace

int64_t slice_steps(int64_t steps) {
  const int64_t slices = (steps + 47) / 48;
  return rounded_up((steps + slices - 1) / slices, 16);
}

const LinearKernels& linear_kernels(std::string_view type_name, DType x) {
  const CpuFeatures& features = cpu_features();
  if (x == DType::kBF16 && features.avx512_bf16)
    if (const LinearKernels* pairs = find(linear_kernels_avx512bf16(), type_name)) return *pairs;
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
              const Tensor& y, bool add) {
  if (y.element_count() == 0) return;
  const Tensor padded = prepared(kernels, x);
  Tensor out = y;
  const Work work{kernels,
                  padded.host_bytes(),
                  padded.strides()[0],
                  x.dim(0),
                  padded.dim(1) / kernels.vector,
                  weight.storage().host_bytes(),
                  weight.rows(),
                  weight.columns(),
                  row_bytes(weight),
                  bias,
                  out.mutable_host_bytes(),
                  y.dtype(),
                  add};
  if (work.tokens <= kFewRows && !add) return multiply_few(work);
  multiply_many(work);
}

}  // namespace martlet::ops::cpu
