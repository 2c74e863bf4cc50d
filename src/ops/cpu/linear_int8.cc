// The outer loops of products with int8 activations: how work is cut for the caches and threads.
//
// Activations stand in tiles of a few rows, a slice of columns after the other. A slice of a group stays in
// the L1 cache while every tile is multiplied with it. Where tokens are few, memory is the limit: each thread
// reads a run of groups, which lie one after another, front to back. Many: threads take groups as they come,
// and tiles in blocks that stay in a cache.

#include "ops/cpu/linear_int8.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <vector>

#include "base/error.h"
#include "base/thread_pool.h"
#include "ops/cpu/linear_int8_activations.h"
#include "ops/cpu/linear_int8_kernels.h"
#include "ops/cpu/linear_order.h"
#include "ops/cpu/shares.h"
#include "ops/cpu_features.h"

namespace martlet::ops::cpu {
namespace {

// Weight that a thread reads at a time; less is not worth waking one for.
constexpr int64_t kLeastBytes = 32 << 10;
// Of activations that every group of weights goes through: what stays in a third-level cache beside others'.
constexpr int64_t kBlockBytes = 2 << 20;
// Their sums of a few groups, 16 KiB each, stay in the L2 cache.
constexpr int64_t kMostBlockColumns = 256;
constexpr int64_t kLineBytes = 64;
// How far ahead of use weights are called into the L2 cache where tokens are few.
constexpr int64_t kStreamAhead = 6 << 10;
// Groups that a thread takes at a time.
constexpr int64_t kGroupsAtOnce = 2;

/// One product with its kernels and its x.
struct Part {
  const WeightProduct& product;
  const Int8Kernels& kernels;
  const Int8Loops& loops;
  const ManyRowsInt8Kernels* many;  ///< or null
  const Activations& x;
  int64_t groups;
  int64_t first_group;  ///< counted over all products
  int64_t group_bytes;
  const std::byte* weights = product.weight->storage().host_bytes();
  ActivationTile first_tile = x.tile(0, 0);

  int64_t rows() const { return product.weight->rows(); }
  const std::byte* group(int64_t index) const { return weights + index * group_bytes; }
};

/// Around a thread's loops for many rows.
class ManyRowsLoops {
 public:
  explicit ManyRowsLoops(const Int8KernelSet& set) : end_(set.end_many) {
    if (set.begin_many != nullptr) set.begin_many();
  }
  ~ManyRowsLoops() {
    if (end_ != nullptr) end_();
  }
  ManyRowsLoops(const ManyRowsLoops&) = delete;
  ManyRowsLoops& operator=(const ManyRowsLoops&) = delete;

 private:
  void (*end_)();
};

class Product {
 public:
  Product(const ActivationRows& x, std::span<const WeightProduct> products)
      : set_(int8_kernels()), tokens_(x.tokens), columns_(x.columns) {
    activations_.reserve(products.size());
    parts_.reserve(products.size());
    int64_t most_bytes = 1;
    for (const WeightProduct& product : products) {
      const InterleavedFormat& format = product.weight->interleaved_format();
      const Int8Kernels& kernels = set_.of(format);
      const Int8Loops& loops = kernels.of(format.activations());
      const ManyRowsInt8Kernels* many = tokens_ <= kFewTokens ? nullptr : set_.many_of(format, tokens_);
      const int64_t most = many == nullptr ? loops.most_columns : many->most_columns;
      const int64_t bytes = format.group_bytes(columns_);
      parts_.push_back({product, kernels, loops, many,
                        rounded(x, format.activations(), most, many == nullptr ? nullptr : many->move),
                        divided_up(product.weight->rows(), kGroupRows), groups_, bytes});
      groups_ += parts_.back().groups;
      most_bytes = std::max(most_bytes, bytes);
    }
    grain_ = std::max<int64_t>(1, kLeastBytes / most_bytes);
  }

  void run() const {
    if (tokens_ <= kFewTokens) return run_few();
    run_many(divided_up(groups_, kGroupsAtOnce), 1, [&](int64_t run, const Block& block) {
      const int64_t begin = run * kGroupsAtOnce;
      each_group(begin, std::min(groups_, begin + kGroupsAtOnce), [&](const Part& part, int64_t group) {
        multiply_group(part, group, block, block.sums, part.group(group + 1),
                       [&](int64_t token, int64_t tokens, float* sums) {
                         finish(part, group, token, tokens, sums, part.product.bias);
                       });
      });
    });
  }

  /// A group of the first product and that of the second: the sums of one wait in the L2 cache for the
  /// other's.
  void run_joined(Int8Join join) const {
    const Part& first = parts_.front();
    const Part& second = parts_.back();
    run_many(first.groups, 2, [&](int64_t group, const Block& block) {
      float* sums_of_first = block.sums + block.rows * kGroupRows;
      multiply_group(first, group, block, sums_of_first, second.group(group), [](auto...) {});
      multiply_group(second, group, block, block.sums, first.group(group + 1),
                     [&](int64_t token, int64_t tokens, float* sums) {
                       float* joined = sums_of_first + (sums - block.sums);
                       add_bias(first, group, tokens, joined);
                       add_bias(second, group, tokens, sums);
                       join(joined, sums, tokens * kGroupRows);
                       finish(first, group, token, tokens, joined, nullptr);
                     });
    });
  }

 private:
  const Activations& rounded(const ActivationRows& x, const ActivationForm& form, int64_t most,
                             MoveInt8Codes move) {
    for (const Activations& known : activations_)
      if (known.form() == form && known.most() == most && known.moved_by() == move) return known;
    return activations_.emplace_back(set_, x, form, most, move);
  }

  /// Calls take(part, group of the part) for groups [begin, end) of all parts.
  template <typename Take>
  void each_group(int64_t begin, int64_t end, const Take& take) const {
    for (const Part& part : parts_) {
      const int64_t last = std::min(end - part.first_group, part.groups);
      for (int64_t group = std::max<int64_t>(0, begin - part.first_group); group < last; ++group)
        take(part, group);
    }
  }

  void run_few() const {
    const int64_t runs = divided_up(groups_, grain_);
    const int64_t shares = std::min<int64_t>(thread_count(), runs);
    if (shares > 1) call_next(runs, shares);
    walk_shares(runs, shares, [&](int64_t run, int64_t) {
      alignas(64) float factors[kChunkFactors];
      alignas(64) float sums[kFewTokens * kGroupRows];
      each_group(run * grain_, std::min(groups_, (run + 1) * grain_), [&](const Part& part, int64_t group) {
        if (tokens_ == 1)
          part.loops.row(part.group(group), columns_, part.first_tile, sums);
        else
          stream_group(part, group, factors, sums);
        finish(part, group, 0, tokens_, sums, part.product.bias);
      });
    });
  }

  /// sums [tokens][16] = a group, which is read from memory, times the few tiles. A tile keeps the processor
  /// from running ahead by itself: it multiplies for hundreds of cycles with what a few lines hold.
  void stream_group(const Part& part, int64_t group, float* factors, float* sums) const {
    std::memset(sums, 0, static_cast<size_t>(tokens_ * kGroupRows * 4));
    const Activations& x = part.x;
    const std::byte* chunk = part.group(group);
    const int64_t all = columns_ / kCodesBlock, tiles = x.tiles();
    for (int64_t block = 0; block < all; block += kChunkBlocks) {
      const ChunkRun run{chunk, factors, std::min(kChunkBlocks, all - block)};
      chunk = read_factors(part, run, factors);
      const std::byte* ahead = run.chunks + kStreamAhead;
      const int64_t lines = divided_up(divided_up(chunk - run.chunks, kLineBytes), tiles);
      for (int64_t tile = 0, first = 0; tile < tiles; ++tile) {
        for (int64_t line = 0; line < lines; ++line, ahead += kLineBytes) __builtin_prefetch(ahead, 0, 2);
        const int64_t next = x.first(tile + 1);
        part.loops.tile[next - first - 1](run, x.tile(tile, block), sums + first * kGroupRows);
        first = next;
      }
    }
  }

  /// factors = those of the chunks; where the next one stands.
  static const std::byte* read_factors(const Part& part, const ChunkRun& run, float* factors) {
    const std::byte* chunk = run.chunks;
    for (int64_t done = 0; done < run.blocks; done += kChunkBlocks, factors += kChunkFactors) {
      const int64_t now = std::min(kChunkBlocks, run.blocks - done);
      part.kernels.read_factors(chunk, now, factors);
      chunk += part.kernels.format->chunk_bytes(now);
    }
    return chunk;
  }

  /// Tells the workers what they will read after this product.
  void call_next(int64_t runs, int64_t shares) const {
    const auto reads_of = [&](int64_t worker) {
      return first_reads(share_begin(runs, shares, worker + 1) * grain_);
    };
    begin_product(parts_.front().weights, shares - 1, reads_of,
                  [](int64_t range, const FirstReads& next) { read_ahead(range, next); });
  }

  /// From a group on, of all parts.
  FirstReads first_reads(int64_t begin) const {
    FirstReads reads;
    size_t count = 0;
    for (const Part& part : parts_) {
      const int64_t group = std::max<int64_t>(0, begin - part.first_group);
      if (group < part.groups && count < reads.size())
        reads[count++] = {part.group(group), (part.groups - group) * part.group_bytes};
    }
    return reads;
  }

  /// Tiles that a thread takes, and its scratch: factors and codes of a slice, and sums [rows][16].
  struct Block {
    int64_t index, count;  ///< of all blocks
    int64_t rows;          ///< at most
    float* factors;
    std::byte* codes;
    float* sums;
  };

  /// Threads take jobs, a run with a block of tiles each, as they come. `sums`: how many sums [rows][16] a
  /// block has.
  template <typename Take>
  void run_many(int64_t runs, int64_t sums, const Take& take) const {
    const int64_t rows = std::clamp<int64_t>(kBlockBytes / std::max<int64_t>(1, columns_), kMostTileColumns,
                                             kMostBlockColumns);
    const int64_t blocks = divided_up(tokens_, rows), most = rows + kMostTileColumns;
    constexpr int64_t kFactors = kSliceChunks * kChunkFactors;
    constexpr int64_t kCodes = kSliceBlocks * kCodesBlock * kGroupRows;
    std::atomic<int64_t> next{0};
    const int64_t threads = std::min<int64_t>(thread_count(), divided_up(groups_, grain_));
    parallel_for(threads, 1, [&](int64_t, int64_t) {
      const ManyRowsLoops loops(set_);
      const auto memory = allocate(Device::kCpu, (kFactors + sums * most * kGroupRows) * 4 + kCodes);
      float* scratch = reinterpret_cast<float*>(memory.get());
      std::byte* codes = memory.get() + kFactors * 4;
      for (int64_t job = next++; job < runs * blocks; job = next++)
        take(job % runs,
             Block{job / runs, blocks, most, scratch, codes, reinterpret_cast<float*>(codes + kCodes)});
    });
  }

  /// What tiles need of the chunks that stand at `chunk`, which goes on to the next one.
  static ChunkRun read_slice(const Part& part, const std::byte*& chunk, int64_t blocks,
                             const Block& scratch) {
    const ChunkRun run{chunk, scratch.factors, blocks};
    if (part.many == nullptr) {
      chunk = read_factors(part, run, scratch.factors);
      return run;
    }
    float* factors = scratch.factors;
    for (int64_t done = 0; done < blocks; done += kChunkBlocks, factors += kChunkFactors) {
      const int64_t now = std::min(kChunkBlocks, blocks - done);
      part.many->read(chunk, now, factors, scratch.codes + done * kCodesBlock * kGroupRows);
      chunk += part.many->format->chunk_bytes(now);
    }
    return {scratch.codes, scratch.factors, blocks};
  }

  /// sums [rows][16] = a group times a block's tiles. `after`: what will be multiplied next.
  /// finished(first row, rows, sums) is called for each tile as soon as its last slice is multiplied: stores
  /// that miss the caches then pass while others multiply.
  template <typename Finished>
  void multiply_group(const Part& part, int64_t group, const Block& of, float* sums, const std::byte* after,
                      const Finished& finished) const {
    const Activations& x = part.x;
    const int64_t begin = x.tiles() * of.index / of.count, end = x.tiles() * (of.index + 1) / of.count;
    const int64_t row = x.first(begin), rows = x.first(end) - row;
    std::memset(sums, 0, static_cast<size_t>(rows * kGroupRows * 4));
    const std::byte* chunk = part.group(group);
    const Int8Tile* tiles = part.many == nullptr ? part.loops.tile : part.many->tile;
    const int64_t all = columns_ / kCodesBlock;
    for (int64_t block = 0; block < all; block += kSliceBlocks) {
      const std::byte* slice_of_weights = chunk;
      const ChunkRun run = read_slice(part, chunk, std::min(kSliceBlocks, all - block), of);
      const bool is_last = block + run.blocks == all;
      // Among many tiles the next slice is called for meanwhile.
      const int64_t lines =
          end - begin == 1 ? 0 : divided_up(divided_up(chunk - slice_of_weights, kLineBytes), end - begin);
      const Activations::Slice slice = x.slice(block);
      const std::byte* ahead = is_last ? after : chunk;
      for (int64_t tile = begin, first = row; tile < end; ++tile) {
        for (int64_t line = 0; line < lines; ++line, ahead += kLineBytes) __builtin_prefetch(ahead);
        const int64_t next = x.first(tile + 1);
        float* its = sums + (first - row) * kGroupRows;
        tiles[next - first - 1](run, slice.tile(first, next), its);
        if (is_last) finished(first, next - first, its);
        first = next;
      }
    }
    if (all == 0) finished(row, rows, sums);
  }

  /// The group's part of the bias, added to sums [tokens][16].
  static void add_bias(const Part& part, int64_t group, int64_t tokens, float* sums) {
    if (part.product.bias == nullptr) return;
    const float* bias = part.product.bias + group * kGroupRows;
    const int64_t count = std::min(kGroupRows, part.rows() - group * kGroupRows);
    for (int64_t i = 0; i < tokens; ++i, sums += kGroupRows)
      for (int64_t j = 0; j < count; ++j) sums[j] += bias[j];
  }

  /// Sums [tokens][16] of a group to rows [token, ...) of y, the product's bias added if not null.
  static void finish(const Part& part, int64_t group, int64_t token, int64_t tokens, const float* sums,
                     const float* bias) {
    const int64_t rows = part.rows();
    const int64_t row = group * kGroupRows;
    const int64_t count = std::min(kGroupRows, rows - row);
    for (int64_t i = 0; i < tokens; ++i, sums += kGroupRows) {
      float* y = part.product.y + (token + i) * rows + row;
      if (count == kGroupRows)
        write_row<true>(sums, bias == nullptr ? nullptr : bias + row, kGroupRows, part.product.adds, y);
      else
        write_row<false>(sums, bias == nullptr ? nullptr : bias + row, count, part.product.adds, y);
    }
  }

  /// y = sums + bias, or y += that. kWhole: of a count that the compiler knows.
  template <bool kWhole>
  static void write_row(const float* sums, const float* bias, int64_t some, bool adds, float* y) {
    const int64_t count = kWhole ? kGroupRows : some;
    if (bias == nullptr && adds)
      for (int64_t j = 0; j < count; ++j) y[j] += sums[j];
    else if (bias == nullptr)
      std::memcpy(y, sums, static_cast<size_t>(count) * sizeof(float));
    else if (adds)
      for (int64_t j = 0; j < count; ++j) y[j] += sums[j] + bias[j];
    else
      for (int64_t j = 0; j < count; ++j) y[j] = sums[j] + bias[j];
  }

  const Int8KernelSet& set_;
  int64_t tokens_, columns_;
  int64_t groups_ = 0, grain_ = 1;
  std::vector<Activations> activations_;
  std::vector<Part> parts_;
};

}  // namespace

int64_t side_words(const ActivationForm& form, int64_t columns) {
  const int64_t blocks = columns / kCodesBlock;
  if (form.form == CodesForm::kSubScales) return 2 * blocks;
  return form.form == CodesForm::kSubScalesAndMinima ? blocks / 4 * 3 : blocks;
}

const Int8Kernels& Int8KernelSet::of(const InterleavedFormat& format) const {
  for (const Int8Kernels& kernels : formats)
    if (kernels.format->source == format.source) return kernels;
  failed("there is no int8 kernel for {} weights", format.source->name);
}

const ManyRowsInt8Kernels* Int8KernelSet::many_of(const InterleavedFormat& format, int64_t tokens) const {
  if (format.activation_codes != 1) return nullptr;
  for (const ManyRowsInt8Kernels& each : many)
    if (each.format->source == format.source &&
        tokens / divided_up(tokens, each.most_columns) >= each.least_columns)
      return &each;
  return nullptr;
}

const Int8KernelSet& int8_kernels() {
  const CpuFeatures& features = cpu_features();
  if (features.amx_int8) return int8_kernels_amx();
  if (features.avx512_vnni)
    return features.is_intel ? int8_kernels_avx512vnni() : int8_kernels_avx512vnni_in_pairs();
  return features.avx2 ? int8_kernels_avx2() : int8_kernels_portable();
}

void multiply_int8(const ActivationRows& x, std::span<const WeightProduct> products) {
  if (x.tokens == 0 || products.empty()) return;
  Product(x, products).run();
}

void multiply_int8_joined(const ActivationRows& x, std::span<const WeightProduct, 2> products,
                          Int8Join join) {
  Product(x, products).run_joined(join);
}

}  // namespace martlet::ops::cpu
