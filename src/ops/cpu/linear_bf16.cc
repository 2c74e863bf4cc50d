// The outer loops of products of bf16 on tiles: how work is cut for the caches and threads.
//
// Up to 32 tokens multiply weights where they are stored: memory is the limit, each thread reads a run of
// rows front to back. More go through panels of 32 rows, copied out of the weights a slice of columns at a
// time: tiles whose rows lie a power of two apart fall on one set of a cache. A panel's slice stays in the L1
// cache while all tokens of a block are multiplied with it; sums of a run of panels, and a slice of the
// block's activations, stay in the L2 cache from one slice to the next.

#include "ops/cpu/linear_bf16.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/thread_pool.h"
#include "ops/cpu/linear_bf16_tiles.h"
#include "ops/cpu/panel_runs.h"
#include "ops/cpu/shares.h"
#include "ops/cpu/transpose.h"
#include "ops/cpu_features.h"

namespace martlet::ops::cpu {
namespace {

// As many multiply weights where they are stored.
constexpr int64_t kStoredTokens = 2 * kTileSide;
constexpr int64_t kSliceSteps = 8;  // a panel's slice: 16 KiB
constexpr int64_t kBlockTokens = 256;
constexpr int64_t kRunPanels = 8;  // their sums with a block: 256 KiB
// Less weight than this is not worth waking a thread for; activations, in elements.
constexpr int64_t kLeastBytes = 64 << 10;
constexpr int64_t kLeastElements = 32 << 10;
constexpr int64_t kPanelSums = kWeightPanelRows * kTileSide;

int64_t divided_up(int64_t count, int64_t by) {
  return (count + by - 1) / by;
}

/// All tokens' activations as bf16, in tiles of `width` tokens, slice by slice of the steps.
class Pairs {
 public:
  Pairs(const ActivationRows& x, int64_t width, int64_t slice_steps)
      : width_(width),
        slice_(std::max<int64_t>(1, slice_steps)),
        tiles_(divided_up(x.tokens, width)),
        steps_(divided_up(x.columns, kStepColumns)),
        memory_(allocate(Device::kCpu, tiles_ * steps_ * step_bytes())) {
    const int64_t grain = divided_up(kLeastElements, std::max<int64_t>(1, width_ * x.columns));
    parallel_for(tiles_, grain, [&](int64_t begin, int64_t end) {
      for (int64_t tile = begin; tile < end; ++tile) {
        const int64_t first = tile * width_;
        round_tile(x, first, std::min(width_, x.tokens - first), tile);
      }
    });
  }

  int64_t width() const { return width_; }
  int64_t tiles() const { return tiles_; }
  int64_t steps() const { return steps_; }
  const std::byte* at(int64_t tile, int64_t step) const { return mutable_at(tile, step); }

 private:
  // Columns of a tile that are normed at a time: 16 KiB.
  static constexpr int64_t kNormedColumns = 8 * kStepColumns;

  /// Tokens [first, first + tokens), or their norm.
  void round_tile(const ActivationRows& x, int64_t first, int64_t tokens, int64_t tile) const {
    const float* rows = x.values + first * x.columns;
    if (x.norm == nullptr) return round_columns(rows, x.columns, tokens, 0, x.columns, tile);
    float scales[kTileSide];
    for (int64_t token = 0; token < tokens; ++token) scales[token] = x.norm->scale(rows + token * x.columns);
    alignas(64) float normed[kTileSide * kNormedColumns];
    for (int64_t column = 0; column < x.columns; column += kNormedColumns) {
      const int64_t columns = std::min(kNormedColumns, x.columns - column);
      for (int64_t token = 0; token < tokens; ++token)
        x.norm->normalise(rows + token * x.columns + column, scales[token], column, columns,
                          normed + token * kNormedColumns);
      round_columns(normed, kNormedColumns, tokens, column, columns, tile);
    }
  }

  /// `columns` of each row from `column` on, which stand at `rows`.
  void round_columns(const float* rows, int64_t stride, int64_t tokens, int64_t column, int64_t columns,
                     int64_t tile) const {
    for (int64_t done = 0; done < columns; done += kStepColumns)
      round_to_pairs(rows + done, stride, tokens, std::min(kStepColumns, columns - done), width_,
                     mutable_at(tile, (column + done) / kStepColumns));
  }

  int64_t step_bytes() const { return kTileSide * width_ * 4; }
  std::byte* mutable_at(int64_t tile, int64_t step) const {
    const int64_t first = step / slice_ * slice_, steps = std::min(slice_, steps_ - first);
    return memory_.get() + (first * tiles_ + tile * steps + step - first) * step_bytes();
  }

  int64_t width_, slice_, tiles_, steps_;
  std::shared_ptr<std::byte> memory_;
};

/// One product, and where its panels stand among all.
struct Part {
  const WeightProduct& product;
  int64_t row_bytes;
  int64_t first_panel;
  const std::byte* weights = product.weight->storage().host_bytes();
  int64_t rows = product.weight->rows();
  int64_t panels = divided_up(rows, kWeightPanelRows);
};

/// Some columns of a panel where they are stored.
struct StoredPanel {
  const std::byte* weights;
  int64_t row_bytes, rows, bytes;
};

/// Around a thread's loops over tiles.
class Tiles {
 public:
  explicit Tiles(int64_t tokens) { begin_bf16_tiles(tokens); }
  ~Tiles() { end_bf16_tiles(); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;
};

class Product {
 public:
  Product(const ActivationRows& x, std::span<const WeightProduct> products)
      : tokens_(x.tokens),
        columns_(x.columns),
        is_few_(tokens_ <= kStoredTokens),
        x_(x, std::min(tokens_, kTileSide), is_few_ ? divided_up(columns_, kStepColumns) : kSliceSteps) {
    parts_.reserve(products.size());
    for (const WeightProduct& product : products) {
      parts_.push_back({product, columns_ * 2, panels_});
      panels_ += parts_.back().panels;
    }
  }

  void run() const { is_few_ ? run_few() : run_many(); }

 private:
  const Part& part_of(int64_t panel) const {
    const Part* found = &parts_.front();
    for (const Part& part : parts_)
      if (part.first_panel <= panel && panel < part.first_panel + part.panels) found = &part;
    return *found;
  }

  /// Steps [step, step + steps) of a panel.
  StoredPanel stored(int64_t panel, int64_t step, int64_t steps) const {
    const Part& part = part_of(panel);
    const int64_t row = (panel - part.first_panel) * kWeightPanelRows, byte = step * kStepBytes;
    return {part.weights + row * part.row_bytes + byte, part.row_bytes,
            std::min(kWeightPanelRows, part.rows - row), std::min(steps * kStepBytes, part.row_bytes - byte)};
  }

  /// Panels that take kLeastBytes.
  int64_t grain() const {
    return divided_up(kLeastBytes, std::max<int64_t>(1, kWeightPanelRows * columns_ * 2));
  }

  void run_few() const {
    const int64_t runs = divided_up(panels_, grain());
    const int64_t shares = std::min<int64_t>(thread_count(), runs);
    walk_shares(runs, shares, [&](int64_t run, int64_t) {
      const Tiles tiles(x_.width());
      alignas(64) float sums[2 * kPanelSums];
      const int64_t end = std::min(panels_, (run + 1) * grain());
      for (int64_t panel = run * grain(); panel < end; ++panel) {
        multiply_few(panel, sums);
        finish(panel, 0, x_.tiles(), sums);
      }
    });
  }

  /// sums [tiles][32][width] of a panel with all tokens.
  void multiply_few(int64_t panel, float* sums) const {
    const StoredPanel from = stored(panel, 0, x_.steps());
    if (from.rows == kWeightPanelRows && from.bytes == x_.steps() * kStepBytes)
      return multiply_stored(
          {from.weights, from.row_bytes, x_.steps(), x_.at(0, 0), x_.tiles(), x_.width(), sums});
    // Rows that are not whole, or fewer: from a copy with zeros, whose rows lie a step apart.
    const auto copy = allocate(Device::kCpu, x_.steps() * kPanelStepBytes);
    const int64_t row_bytes = x_.steps() * kStepBytes;
    for (int64_t row = 0; row < kWeightPanelRows; ++row) {
      std::byte* to = copy.get() + row * row_bytes;
      const int64_t used = row < from.rows ? from.bytes : 0;
      if (used > 0) std::memcpy(to, from.weights + row * from.row_bytes, static_cast<size_t>(used));
      std::memset(to + used, 0, static_cast<size_t>(row_bytes - used));
    }
    multiply_stored({copy.get(), row_bytes, x_.steps(), x_.at(0, 0), x_.tiles(), x_.width(), sums});
  }

  void run_many() const {
    PanelRuns runs(x_.tiles(), panels_, kBlockTokens / kTileSide, 2, 1, kRunPanels);
    const int64_t panel_bytes = kSliceSteps * kPanelStepBytes;
    const int64_t sums = std::min(runs.most_rows(), x_.tiles()) * kPanelSums;
    const int64_t threads = std::min<int64_t>(thread_count(), divided_up(panels_, grain()));
    parallel_for(threads, 1, [&](int64_t, int64_t) {
      const Tiles tiles(kTileSide);
      const auto memory = allocate(Device::kCpu, panel_bytes + kRunPanels * sums * 4);
      float* all_sums = reinterpret_cast<float*>(memory.get() + panel_bytes);
      for (PanelRuns::Run run = runs.take(); run.panels > 0; run = runs.take())
        multiply_run(run, memory.get(), all_sums);
    });
  }

  /// `run.rows` are tiles of tokens. `panel`: memory for a slice of one; `sums`: of each panel
  /// [tiles][32][16].
  void multiply_run(const PanelRuns::Run& run, std::byte* panel, float* sums) const {
    const int64_t end = run.panel + run.panels;
    int64_t step = 0;
    do {
      const int64_t steps = std::min(kSliceSteps, x_.steps() - step);
      const bool is_last = step + steps == x_.steps();
      for (int64_t index = run.panel; index < end; ++index) {
        const StoredPanel from = stored(index, step, steps);
        pack_panel(from.weights, from.row_bytes, from.rows, from.bytes, panel);
        float* its_sums = sums + (index - run.panel) * run.rows * kPanelSums;
        multiply_panel({panel, steps, x_.at(run.row, step), run.rows, step > 0, its_sums,
                        next_of(run, index, step + (index + 1 < end ? 0 : steps))});
        if (is_last) finish(index, run.row, run.rows, its_sums);
      }
      step += steps;
    } while (step < x_.steps());
  }

  /// What is multiplied after a panel of the run: the next one's slice at `step`, or the first one's.
  NextRows next_of(const PanelRuns::Run& run, int64_t panel, int64_t step) const {
    const bool goes_on = panel + 1 < run.panel + run.panels;
    if (step >= x_.steps()) return {};
    const StoredPanel next =
        stored(goes_on ? panel + 1 : run.panel, step, std::min(kSliceSteps, x_.steps() - step));
    return {next.weights, next.row_bytes, next.rows, next.bytes};
  }

  /// Sums [tiles][32][width] of a panel and of tiles of tokens from `tile` on to rows of y.
  void finish(int64_t panel, int64_t tile, int64_t tiles, const float* sums) const {
    const Part& part = part_of(panel);
    const int64_t width = x_.width();
    for (int64_t i = tile; i < tile + tiles; ++i, sums += kWeightPanelRows * width) {
      const int64_t row = (panel - part.first_panel) * kWeightPanelRows;
      for (int64_t first = 0; first < kWeightPanelRows && row + first < part.rows; first += kTileSide)
        finish_tile(part, i * width, row + first, sums + first * width);
    }
  }

  /// Sums [16 rows][width] to up to sixteen outputs of each token.
  void finish_tile(const Part& part, int64_t token, int64_t row, const float* sums) const {
    const int64_t width = x_.width(), tokens = std::min(width, tokens_ - token);
    const bool is_whole = tokens == kTileSide && row + kTileSide <= part.rows;
    if (is_whole && part.product.bias == nullptr && !part.product.adds)
      return turn(sums, part.product.y + token * part.rows + row, part.rows);
    alignas(64) float turned[kTileSide * kTileSide];
    turn(sums, turned, kTileSide);
    write(part, token, tokens, row, turned);
  }

  /// [16 rows][width] to [width][16], rows `stride` apart.
  void turn(const float* sums, float* turned, int64_t stride) const {
    const int64_t width = x_.width();
    if (width == kTileSide)
      return transpose_square()(reinterpret_cast<const std::byte*>(sums), kTileSide * 4,
                                reinterpret_cast<std::byte*>(turned), stride * 4);
    for (int64_t token = 0; token < width; ++token)
      for (int64_t row = 0; row < kTileSide; ++row) turned[token * stride + row] = sums[row * width + token];
  }

  /// Up to sixteen outputs of each token.
  static void write(const Part& part, int64_t token, int64_t tokens, int64_t row, const float* sums) {
    const int64_t count = std::min(kTileSide, part.rows - row);
    const float* bias = part.product.bias == nullptr ? nullptr : part.product.bias + row;
    for (int64_t i = 0; i < tokens; ++i, sums += kTileSide) {
      float* y = part.product.y + (token + i) * part.rows + row;
      if (bias == nullptr && !part.product.adds) {
        std::memcpy(y, sums, static_cast<size_t>(count) * sizeof(float));
        continue;
      }
      for (int64_t j = 0; j < count; ++j) {
        const float sum = bias == nullptr ? sums[j] : sums[j] + bias[j];
        y[j] = part.product.adds ? y[j] + sum : sum;
      }
    }
  }

  int64_t tokens_, columns_;
  bool is_few_;
  Pairs x_;
  std::vector<Part> parts_;
  int64_t panels_ = 0;
};

}  // namespace

bool has_bf16_tiles() {
  return cpu_features().amx_bf16;
}

bool has_fast_bf16() {
  return has_bf16_tiles() || (cpu_features().avx512_bf16 && !cpu_features().is_intel);
}

void multiply_bf16(const ActivationRows& x, std::span<const WeightProduct> products) {
  if (x.tokens == 0 || products.empty()) return;
  Product(x, products).run();
}

}  // namespace martlet::ops::cpu
