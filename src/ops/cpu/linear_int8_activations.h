#pragma once

// Activations of a product, rounded to codes and laid out for the loops of linear_int8.cc: in tiles of a few
// rows, a slice of columns after the other.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/thread_pool.h"
#include "ops/cpu/linear_int8.h"
#include "ops/cpu/linear_int8_kernels.h"
#include "tensor/allocator.h"

namespace martlet::ops::cpu {
namespace {

// Chunks of a slice: it and a tile's share of it take 4 to 14 KiB of an L1 cache of 32 KiB, 23 of one of 48.
constexpr int64_t kSliceChunks = 2;
constexpr int64_t kSliceBlocks = kSliceChunks * kChunkBlocks;
// Loops that take sixteen rows at once read the codes of as many behind a narrower tile.
constexpr int64_t kReadBeyond = 16 * kCodesBlock;
// Activations that are worth a thread, in elements.
constexpr int64_t kLeastElements = 32 << 10;

int64_t divided_up(int64_t count, int64_t by) {
  return (count + by - 1) / by;
}

/// All rows of x in one form, as tiles of nearly equal width.
class Activations {
 public:
  /// move: of columns that are multiplied in pairs, or null.
  Activations(const Int8KernelSet& kernels, const ActivationRows& x, const ActivationForm& form, int64_t most,
              MoveInt8Codes move)
      : form_(form),
        most_(most),
        moved_by_(move),
        tokens_(x.tokens),
        columns_(x.columns),
        tiles_(divided_up(tokens_, most)),
        scale_shift_(std::countr_zero(static_cast<uint64_t>(form.scale_columns() / kCodesBlock))) {
    const int64_t codes = tokens_ * columns_ * form.codes;
    const int64_t scales = tokens_ * (columns_ / form.scale_columns());
    const int64_t side = tokens_ * side_words(form, columns_) * form.codes;
    const int64_t pairs = move == nullptr ? 0 : tokens_ * blocks();
    memory_ = allocate(Device::kCpu, codes + (scales + side + pairs) * 4 + kReadBeyond);
    all_.codes = reinterpret_cast<int8_t*>(memory_.get());
    all_.scales = reinterpret_cast<float*>(memory_.get() + codes);  // codes are whole blocks of 32
    all_.side = reinterpret_cast<int32_t*>(all_.scales + scales);
    if (move != nullptr) all_.pairs = all_.side + side;
    // A division for each tile and slice would cost a twentieth of the product.
    for (int64_t tile = 0; tile <= tiles_; ++tile) firsts_.push_back(tokens_ * tile / tiles_);
    const int64_t grain = std::max<int64_t>(1, kLeastElements / std::max<int64_t>(1, columns_));
    parallel_for(tokens_, grain, [&](int64_t begin, int64_t end) {
      alignas(64) float normed[kSliceBlocks * kCodesBlock];  // stays in the L1 cache
      for (int64_t token = begin, tile = tile_of(begin); token < end; ++token) {
        while (first(tile + 1) <= token) ++tile;
        const float* row = x.values + token * columns_;
        const float norm_scale = x.norm == nullptr ? 1 : x.norm->scale(row);
        for (int64_t block = 0; block < blocks(); block += kSliceBlocks) {
          const int64_t columns = slice_blocks(block) * kCodesBlock;
          const ActivationColumn to = slice(block).column(first(tile), first(tile + 1), token - first(tile));
          const float* from = row + block * kCodesBlock;
          if (x.norm != nullptr) {
            x.norm->normalise(from, norm_scale, block * kCodesBlock, columns, normed);
            from = normed;
          }
          kernels.quantise(from, columns, form_, to);
          if (move != nullptr) move(columns, form_, to);
        }
      }
    });
  }

  const ActivationForm& form() const { return form_; }
  int64_t most() const { return most_; }
  MoveInt8Codes moved_by() const { return moved_by_; }
  int64_t tiles() const { return tiles_; }
  /// The first row of a tile.
  int64_t first(int64_t tile) const { return firsts_[static_cast<size_t>(tile)]; }

  /// Some neighbouring blocks of all rows, which lie in one piece, tile after tile.
  struct Slice {
    ActivationColumn all;
    int64_t codes, scales, side, pairs;  // entries of a row

    /// Row `in_tile` of the tile of rows [begin, end).
    ActivationColumn column(int64_t begin, int64_t end, int64_t in_tile) const {
      return {all.codes + (begin * codes + in_tile * kCodesBlock * all.width),
              all.scales + (begin * scales + in_tile), all.side + (begin * side + in_tile * all.width),
              all.pairs == nullptr ? nullptr : all.pairs + (begin * pairs + in_tile), end - begin};
    }
    ActivationTile tile(int64_t begin, int64_t end) const {
      const ActivationColumn first = column(begin, end, 0);
      return {first.codes, first.scales, first.side, first.pairs, first.width};
    }
  };

  /// The slice that begins at `block`. Its `width` is the codes of an activation.
  Slice slice(int64_t block) const {
    const int64_t count = slice_blocks(block), before = block * tokens_;
    const auto words = [&](int64_t blocks) { return side_words(form_, blocks * kCodesBlock) * form_.codes; };
    return {{all_.codes + before * kCodesBlock * form_.codes, all_.scales + (before >> scale_shift_),
             all_.side + words(block) * tokens_, all_.pairs == nullptr ? nullptr : all_.pairs + before,
             form_.codes},
            count * kCodesBlock * form_.codes,
            count >> scale_shift_,
            words(count),
            all_.pairs == nullptr ? 0 : count};
  }
  /// Of any block that a scale begins with; of codes that are not moved.
  ActivationTile tile(int64_t index, int64_t block) const {
    const int64_t before = block % kSliceBlocks, width = first(index + 1) - first(index);
    ActivationTile tile = slice(block - before).tile(first(index), first(index + 1));
    tile.codes += before * kCodesBlock * form_.codes * width;
    tile.scales += (before >> scale_shift_) * width;
    tile.side += side_words(form_, before * kCodesBlock) * form_.codes * width;
    return tile;
  }

 private:
  int64_t tile_of(int64_t token) const { return token * tiles_ / tokens_; }
  int64_t blocks() const { return columns_ / kCodesBlock; }
  int64_t slice_blocks(int64_t block) const { return std::min(kSliceBlocks, blocks() - block); }

  ActivationForm form_;
  int64_t most_;  // rows of a tile
  MoveInt8Codes moved_by_;
  int64_t tokens_, columns_, tiles_;
  int scale_shift_;  // 1 << it blocks share a scale; a division for each tile would cost a tenth of it
  std::shared_ptr<std::byte> memory_;
  struct {
    int8_t* codes;
    float* scales;
    int32_t* side;
    int32_t* pairs;
  } all_ = {};  // where they begin
  std::vector<int64_t> firsts_;
};

}  // namespace
}  // namespace martlet::ops::cpu
