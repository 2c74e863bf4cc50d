// The outer loops of matmul_kernels.h: what is packed, how work is cut for the caches and threads.
//
// Rows of a are cut into blocks. Over each, slice by slice of k, go panels of a few columns of b, packed (and
// rounded) once for the whole block. A slice of a block stays in the L2 cache, a panel in the L1. Rows that
// run along k are read where they are, unless they are of another type or lie so that they would evict each
// other; others are packed in strips.

#include <algorithm>
#include <cstring>

#include "base/thread_pool.h"
#include "ops/cpu/matmul_kernels.h"
#include "ops/cpu/panel_runs.h"
#include "ops/cpu/row_kernels.h"
#include "ops/cpu/transpose.h"
#include "ops/cpu_features.h"

namespace martlet::ops::cpu {
namespace {

constexpr int64_t kWordBytes = 4;
// Panels that are worth packing rows of a for.
constexpr int64_t kLeastPanels = 2;
constexpr int64_t kScratchPanels = 16;
constexpr int64_t kPackedSteps = 16;
// What a slice of a block of rows may take: most of an L2 cache of 1 MiB. From a smaller one lines are
// missing, but in the order of their addresses, so that the processor brings them ahead of their use.
constexpr int64_t kBlockBytes = 800 << 10;

int64_t rounded_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// A factor seen from y: `across` is the direction of y's rows (a) or columns (b), the other is k.
struct Factor {
  const std::byte* data;
  DType dtype;
  int64_t across;         // how many
  int64_t across_stride;  // elements
  int64_t k;
  int64_t k_stride;

  const std::byte* at(int64_t index, int64_t step) const {
    return data + (index * across_stride + step * k_stride) * size_of(dtype);
  }
};

struct Work {
  const MatmulKernels& kernels;
  Factor a;
  Factor b;
  const float* bias;
  std::byte* y;
  DType y_dtype;
  int64_t y_stride;  // elements
  bool add;
  int64_t steps;  // of the whole k
  int64_t elements_a_step;

  bool narrow() const { return y_dtype == DType::kBF16; }
  int64_t panels() const { return (b.across + kernels.tile_columns - 1) / kernels.tile_columns; }
};

/// Steps [begin, begin + count) of k.
struct Slice {
  int64_t begin;
  int64_t count;
};

/// A strip of a slice to words [steps, width]: `count` <= width indices from `first` on, zeros behind them.
class Packer {
 public:
  Packer(const Work& work, const Factor& factor, int64_t width)
      : work_(work), factor_(factor), width_(width), buffer_(allocate(Device::kCpu, kSquare * kRowBytes)) {}

  void pack(int64_t first, int64_t count, const Slice& slice, std::byte* to) const {
    if (count < width_) std::memset(to, 0, static_cast<size_t>(slice.count * width_ * kWordBytes));
    const int64_t k = slice.begin * work_.elements_a_step;
    const int64_t used = std::min(slice.count * work_.elements_a_step, factor_.k - k);
    if (factor_.across_stride == 1) {
      const MatmulRows rows{factor_.at(first, k), factor_.dtype, factor_.k_stride * size_of(factor_.dtype),
                            count, used};
      return work_.kernels.pack(rows, width_, to);
    }
    for (int64_t i = 0; i < count; i += kSquare)
      turn(first + i, std::min(kSquare, count - i), slice, to + i * kWordBytes);
  }

  /// Whether elements of one index lie beside each other: then rows need not be packed.
  bool runs_along_k() const { return factor_.across_stride != 1 || factor_.k == 1; }

  /// Whether rows can be read where they are: whole words of the kernels' type, not in the same few sets of
  /// the L1 cache.
  bool stands_well() const {
    const int64_t stride = factor_.across_stride * size_of(factor_.dtype);
    return runs_along_k() && factor_.dtype == work_.kernels.element &&
           factor_.k % work_.elements_a_step == 0 && stride % kWordBytes == 0 && stride % kConflict != 0;
  }

  /// Words of indices from `first` on, a row of kRowBytes each, with zeros behind an odd last element.
  void copy(int64_t first, int64_t count, const Slice& slice, std::byte* to) const {
    const int64_t k = slice.begin * work_.elements_a_step;
    const int64_t used = std::min(slice.count * work_.elements_a_step, factor_.k - k);
    const int64_t used_bytes = used * size_of(work_.kernels.element);
    for (int64_t i = 0; i < count; ++i, to += kRowBytes) {
      if (factor_.dtype == work_.kernels.element)
        std::memcpy(to, factor_.at(first + i, k), static_cast<size_t>(used_bytes));
      else
        work_.kernels.convert(factor_.at(first + i, k), factor_.dtype, used, to);
      std::memset(to + used_bytes, 0, static_cast<size_t>(slice.count * kWordBytes - used_bytes));
    }
  }

  /// What `pack` will read.
  void announce(int64_t first, int64_t count, const Slice& slice, MatmulPanel& panel) const {
    const int64_t k = slice.begin * work_.elements_a_step;
    const int64_t used = std::min(slice.count * work_.elements_a_step, factor_.k - k);
    const int64_t size = size_of(factor_.dtype);
    const bool along = factor_.across_stride != 1;
    panel.next = {factor_.at(first, k), (along ? factor_.across_stride : factor_.k_stride) * size,
                  along ? count : used, (along ? used : count) * size};
  }

  // Not a multiple of a page: rows would share a few sets of the L1 cache.
  static constexpr int64_t kRowBytes = kMostMatmulSteps * kWordBytes + 64;

 private:
  static constexpr int64_t kSquare = 16;  // words a side
  static constexpr int64_t kConflict = 1024;

  /// Steps of one index lie beside each other: squares are turned.
  void turn(int64_t first, int64_t count, const Slice& slice, std::byte* to) const {
    const int64_t size = size_of(work_.kernels.element);
    const int64_t steps = slice.count;
    const int64_t k = slice.begin * work_.elements_a_step;
    const int64_t used = std::min(steps * work_.elements_a_step, factor_.k - k);
    const std::byte* from = factor_.at(first, k);
    int64_t stride = factor_.across_stride * size;
    if (factor_.dtype != work_.kernels.element || used != steps * work_.elements_a_step) {
      copy(first, count, slice, buffer_.get());
      from = buffer_.get();
      stride = kRowBytes;
    }
    turn_words(from, stride, count, steps, to);
  }

  void turn_words(const std::byte* from, int64_t stride, int64_t count, int64_t steps, std::byte* to) const {
    const TransposeSquare turn_square = transpose_square();
    int64_t step = 0;
    if (count == kSquare)
      for (; step + kSquare <= steps; step += kSquare)
        turn_square(from + step * kWordBytes, stride, to + step * width_ * kWordBytes, width_ * kWordBytes);
    for (; step < steps; ++step)
      for (int64_t i = 0; i < count; ++i)
        std::memcpy(to + (step * width_ + i) * kWordBytes, from + i * stride + step * kWordBytes, kWordBytes);
  }

  const Work& work_;
  const Factor& factor_;
  int64_t width_;
  std::shared_ptr<std::byte> buffer_;
};

/// What a thread needs beside the factors, for one run of panels after another.
class Worker {
 public:
  Worker(const Work& work, int64_t most_rows)
      : work_(work),
        pack_a_(work, work.a, work.kernels.tile_rows),
        pack_b_(work, work.b, work.kernels.tile_columns),
        panel_(allocate(Device::kCpu, kMostMatmulSteps * work.kernels.tile_columns * kWordBytes)),
        turned_(allocate(Device::kCpu, kPackedSteps * work.kernels.tile_rows * kWordBytes)),
        scratch_(allocate(Device::kCpu, most_rows * scratch_stride() * kWordBytes)) {
    if (pack_a_.stands_well()) return;
    const int64_t rows = rounded_up(most_rows, work.kernels.tile_rows);
    rows_ = allocate(Device::kCpu, rows * (in_strips() ? kMostMatmulSteps * kWordBytes : Packer::kRowBytes));
  }

  void run(const PanelRuns::Run& run) {
    if (run.rows == 0) return;  // blocks of fewer rows than a tile
    // Sums on their way to bf16 stand in scratch memory until they are whole: a few panels at a time.
    const int64_t most = sums_in_place() ? run.panels : kScratchPanels;
    for (int64_t panel = 0; panel < run.panels; panel += most)
      over_slices(run, panel, std::min(panel + most, run.panels));
  }

 private:
  bool in_strips() const { return !pack_a_.runs_along_k() && !work_.kernels.rows_along_k; }
  bool sums_in_place() const { return !work_.narrow() && work_.bias == nullptr; }

  void over_slices(const PanelRuns::Run& run, int64_t begin, int64_t end) {
    const int64_t slice_steps = matmul_slice_steps(work_.steps);
    for (int64_t step = 0; step < work_.steps; step += slice_steps) {
      const Slice slice{step, std::min(slice_steps, work_.steps - step)};
      take_rows(run, slice);
      for (int64_t panel = begin; panel < end; ++panel) multiply(run, panel, slice);
    }
  }

  /// Brings a slice of the run's rows together, unless they are those of the last call.
  void take_rows(const PanelRuns::Run& run, const Slice& slice) {
    if (pack_a_.stands_well() || (row_ == run.row && step_ == slice.begin)) return;
    row_ = run.row;
    step_ = slice.begin;
    if (pack_a_.runs_along_k()) return pack_a_.copy(run.row, run.rows, slice, rows_.get());
    // A few steps of all strips after another: whole lines are read, from a few pages at once.
    const int64_t strip = work_.kernels.tile_rows;
    for (int64_t step = 0; step < slice.count; step += kPackedSteps) {
      const Slice steps{slice.begin + step, std::min(kPackedSteps, slice.count - step)};
      for (int64_t row = 0; row < run.rows; row += strip) {
        const int64_t count = std::min(strip, run.rows - row);
        if (in_strips())
          pack_a_.pack(run.row + row, count, steps,
                       rows_.get() + (row * slice.count + step * strip) * kWordBytes);
        else
          turn_rows(run.row + row, count, steps, rows_.get() + row * Packer::kRowBytes + step * kWordBytes);
      }
    }
  }

  /// Rows whose neighbours lie beside each other, to rows along k, kRowBytes apart; up to kPackedSteps.
  void turn_rows(int64_t first, int64_t count, const Slice& steps, std::byte* to) const {
    const int64_t strip = work_.kernels.tile_rows, strip_bytes = strip * kWordBytes;
    pack_a_.pack(first, count, steps, turned_.get());
    const int64_t used = steps.count * strip_bytes;
    std::memset(turned_.get() + used, 0, static_cast<size_t>(kPackedSteps * strip_bytes - used));
    for (int64_t row = 0; row < strip; row += kPackedSteps)
      transpose_square()(turned_.get() + row * kWordBytes, strip_bytes, to + row * Packer::kRowBytes,
                         Packer::kRowBytes);
  }

  void multiply(const PanelRuns::Run& run, int64_t panel, const Slice& slice) {
    const int64_t width = work_.kernels.tile_columns;
    const int64_t column = (run.panel + panel) * width;
    const int64_t columns = std::min(width, work_.b.across - column);
    pack_b_.pack(column, columns, slice, panel_.get());
    const bool direct = sums_in_place() && columns == width;
    const bool is_first = slice.begin == 0;
    const bool is_last = slice.begin + slice.count == work_.steps;
    const bool rounded = is_last && work_.narrow() && work_.bias == nullptr && columns == width;
    float* out =
        direct ? reinterpret_cast<float*>(work_.y) + run.row * work_.y_stride + column : scratch_of(panel);
    const bool in_place = pack_a_.stands_well();
    MatmulPanel call{
        in_place ? work_.a.at(run.row, slice.begin * work_.elements_a_step) : rows_.get(),
        run.rows,
        in_place ? work_.a.across_stride / work_.elements_a_step : Packer::kRowBytes / kWordBytes,
        in_strips(),
        panel_.get(),
        slice.count,
        !is_first || (direct && work_.add),
        out,
        direct ? work_.y_stride : scratch_stride(),
        rounded ? reinterpret_cast<BF16*>(work_.y) + run.row * work_.y_stride + column : nullptr,
        work_.y_stride,
        {}};
    if (const int64_t next = column + columns; next < work_.b.across)
      pack_b_.announce(next, std::min(width, work_.b.across - next), slice, call);
    work_.kernels.panel(call);
    if (!direct && !rounded && is_last) finish(run, column, columns, out);
  }

  int64_t scratch_stride() const {
    return work_.kernels.tile_columns * (sums_in_place() ? 1 : std::min(kScratchPanels, work_.panels()));
  }
  float* scratch_of(int64_t panel) const {
    const int64_t place = sums_in_place() ? 0 : panel % kScratchPanels;
    return reinterpret_cast<float*>(scratch_.get()) + place * work_.kernels.tile_columns;
  }

  /// Sums [rows, scratch_stride] to their place in y.
  void finish(const PanelRuns::Run& run, int64_t column, int64_t columns, float* sums) const {
    const RowKernels& rows = row_kernels();
    for (int64_t i = 0; i < run.rows; ++i, sums += scratch_stride()) {
      if (work_.bias != nullptr)
        for (int64_t j = 0; j < columns; ++j) sums[j] += work_.bias[column + j];
      std::byte* to = work_.y + ((run.row + i) * work_.y_stride + column) * size_of(work_.y_dtype);
      if (work_.narrow()) {
        // The kernels' own rounding where they have one.
        work_.kernels.element == DType::kBF16
            ? work_.kernels.convert(reinterpret_cast<const std::byte*>(sums), DType::kF32, columns, to)
            : rows.narrow_bf16(sums, to, columns);
      } else {
        float* out = reinterpret_cast<float*>(to);
        for (int64_t j = 0; j < columns; ++j) out[j] = work_.add ? out[j] + sums[j] : sums[j];
      }
    }
  }

  const Work& work_;
  Packer pack_a_;
  Packer pack_b_;
  std::shared_ptr<std::byte> panel_;
  std::shared_ptr<std::byte> rows_;
  std::shared_ptr<std::byte> turned_;  // a few steps of a strip
  int64_t row_ = -1;                   // what `rows_` holds
  int64_t step_ = -1;
  std::shared_ptr<std::byte> scratch_;
};

/// Blocks of rows whose slices fit their cache. Where rows are brought together first, a block is one
/// thread's own, so that this is done once; the blocks are smaller then, and as many for each thread.
PanelRuns runs_of(const Work& work, bool in_place) {
  const int64_t most =
      std::max(work.kernels.tile_rows, kBlockBytes / (matmul_slice_steps(work.steps) * kWordBytes));
  if (in_place) return {work.a.across, work.panels(), most, work.kernels.tile_rows, kLeastPanels};
  const int64_t threads = thread_count();
  const int64_t blocks = rounded_up((work.a.across + most / 2 - 1) / (most / 2), threads);
  return {work.a.across, work.panels(), (work.a.across + blocks - 1) / blocks, work.kernels.tile_rows,
          work.panels()};
}

/// A matrix that packing can read: one of its strides is 1.
Tensor readable(const Tensor& matrix) {
  const bool along = matrix.strides()[1] == 1 || matrix.dim(1) <= 1;
  const bool across = matrix.strides()[0] == 1 || matrix.dim(0) <= 1;
  return along || across ? matrix : matrix.contiguous();
}

/// Dimension `across` of a matrix is y's, the other is k. Strides of a single element are taken as 1.
Factor factor_of(const Tensor& matrix, int across) {
  const auto stride = [&](int dim) { return matrix.dim(dim) <= 1 ? 1 : matrix.strides()[dim]; };
  const int k = 1 - across;
  return {matrix.host_bytes(), matrix.dtype(), matrix.dim(across), stride(across), matrix.dim(k), stride(k)};
}

/// Sums of nothing.
void without_products(const float* bias, Tensor y, bool add) {
  if (add) return;
  const int64_t row_bytes = y.dim(1) * size_of(y.dtype());
  for (int64_t row = 0; row < y.dim(0); ++row) {
    std::byte* to = y.mutable_host_bytes() + row * y.strides()[0] * size_of(y.dtype());
    std::memset(to, 0, static_cast<size_t>(row_bytes));
    if (bias == nullptr) continue;
    if (y.dtype() == DType::kBF16)
      row_kernels().narrow_bf16(bias, to, y.dim(1));
    else
      std::memcpy(to, bias, static_cast<size_t>(row_bytes));
  }
}

}  // namespace

int64_t matmul_slice_steps(int64_t steps) {
  const int64_t slices = std::max<int64_t>(1, (steps + kMostMatmulSteps - 1) / kMostMatmulSteps);
  return std::min(kMostMatmulSteps, rounded_up(std::max<int64_t>(1, (steps + slices - 1) / slices), 16));
}

const MatmulKernels& matmul_kernels(DType factors) {
  const CpuFeatures& features = cpu_features();
  if (factors == DType::kBF16 && features.amx_bf16) return matmul_kernels_amx();
  if (factors == DType::kBF16 && features.avx512_bf16) return matmul_kernels_avx512bf16();
  return features.avx512 ? matmul_kernels_avx512()
         : features.avx2 ? matmul_kernels_avx2()
                         : matmul_kernels_portable();
}

void multiply_matrices(const MatmulKernels& kernels, const Tensor& a, const Tensor& b, const float* bias,
                       const Tensor& y, bool add) {
  if (y.element_count() == 0) return;
  if (a.dim(1) == 0) return without_products(bias, y, add);
  const Tensor left = readable(a);
  const Tensor right = readable(b);
  Tensor out = y;
  const Factor rows = factor_of(left, 0);
  const int64_t elements = kWordBytes / size_of(kernels.element);
  const Work work{kernels,
                  rows,
                  factor_of(right, 1),
                  bias,
                  out.mutable_host_bytes(),
                  y.dtype(),
                  y.strides()[0],
                  add,
                  std::max<int64_t>(1, (rows.k + elements - 1) / elements),
                  elements};
  PanelRuns runs = runs_of(work, Packer(work, work.a, kernels.tile_rows).stands_well());
  parallel_for(std::min<int64_t>(runs.units(), thread_count()), 1, [&](int64_t, int64_t) {
    Worker worker(work, runs.most_rows());
    for (PanelRuns::Run run = runs.take(); run.panels > 0; run = runs.take()) worker.run(run);
  });
}

}  // namespace martlet::ops::cpu
