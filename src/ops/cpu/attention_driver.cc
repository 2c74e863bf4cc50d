// Cuts attention into units of work and shares them out between threads.
//
// A unit is a run of queries of one sequence with all the query heads that share one key/value head, so that
// a tile of keys is prepared once for all of them. Usually a thread takes a unit and walks its chunks of keys
// in order. When there are too few units to occupy the threads (decoding one long sequence), a piece of work
// is one chunk of one unit: a thread walks neighbouring chunks, since each calls for the memory of the next,
// and merges them as it goes; what others computed of a unit is merged afterwards. Always in the order of the
// chunks: the same steps in the same order, so the same bits.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "ops/attention_problem.h"
#include "ops/cpu/attention_tiles.h"
#include "ops/cpu/row_kernels.h"
#include "ops/cpu/shares.h"

namespace martlet::ops::cpu {
namespace {

/// Rows of a unit: enough to hide the preparation of a tile (a tenth of a multiply-add per row and element),
/// few enough that queries, accumulators and scores of head_dim 128 stay in a second-level cache of 512 KiB.
/// A multiple of 6 and 8, the heights of register blocks.
constexpr int64_t kUnitRows = 96;
/// Partial results that may wait to be merged, in floats.
constexpr int64_t kWaitingFloats = int64_t{4} << 20;
/// Products (of a key or value element with a row, and of reading one, weighed as four) worth a thread's
/// waking: some 10 microseconds.
constexpr double kThreadProducts = 3e5;

struct Unit {
  const AttentionSequence* sequence;
  int64_t head;                    // key/value head
  int64_t query_begin, queries;    // within the sequence
  int64_t chunk_begin, chunk_end;  // keys that any of its queries sees
};

/// One block of memory, handed out in pieces that start on a cache line.
class Arena {
 public:
  explicit Arena(int64_t floats)
      : memory_(allocate(Device::kCpu, floats * static_cast<int64_t>(sizeof(float)))),
        next_(reinterpret_cast<float*>(memory_.get())) {}
  float* take(int64_t floats) {
    float* result = next_;
    next_ += rounded_to_lanes(floats);
    return result;
  }

 private:
  std::shared_ptr<std::byte> memory_;
  float* next_;
};

class Run {
 public:
  Run(const AttentionProblem& problem, const AttentionKernels& kernels)
      : problem_(problem),
        kernels_(kernels),
        group_(problem.q.dim(1) / problem.key_value_heads),
        head_dim_(problem.q.dim(2)),
        pitch_(rounded_to_lanes(problem.value_dim)) {
    list_units();
  }

  void run() {
    if (units_.empty()) return;
    const int64_t units = static_cast<int64_t>(units_.size());
    int64_t chunks = 0;
    double products = 0;
    for (const Unit& unit : units_) {
      const int64_t unit_chunks = unit.chunk_end - unit.chunk_begin;
      chunks += unit_chunks;
      products += static_cast<double>(unit_chunks * kChunkKeys * (head_dim_ + problem_.value_dim)) *
                  static_cast<double>(unit.queries * group_ + 4);
    }
    const int64_t worth = static_cast<int64_t>(products / kThreadProducts) + 1;
    const int64_t threads = std::min<int64_t>(thread_count(), worth);
    if (threads > 1 && units < 4 * threads && chunks > units) {
      run_by_chunks(std::min(threads, chunks));
    } else {
      run_by_units(std::min(threads, units));
    }
  }

 private:
  void list_units() {
    const AttentionOptions& options = problem_.options;
    const int64_t most_queries = std::max<int64_t>(1, kUnitRows / group_);
    for (const AttentionSequence& sequence : problem_.sequences) {
      const int64_t keys = sequence.key_count();
      const int64_t offset = keys - sequence.query_count;
      // Later queries see more: they come first, so that no thread is left with a long one at the end.
      const int64_t runs = (sequence.query_count + most_queries - 1) / most_queries;
      for (int64_t run = runs - 1; run >= 0; --run) {
        const int64_t begin = run * most_queries;
        const int64_t end = std::min(begin + most_queries, sequence.query_count);
        const int64_t key_begin = std::min(keys, visible_begin(offset + begin, options.window));
        const int64_t key_end = visible_end(offset + end - 1, options.window, options.causal, keys);
        const int64_t chunk_begin = key_begin / kChunkKeys;
        const int64_t chunk_end = std::max(chunk_begin, (key_end + kChunkKeys - 1) / kChunkKeys);
        for (int64_t head = 0; head < problem_.key_value_heads; ++head)
          units_.push_back({&sequence, head, begin, end - begin, chunk_begin, chunk_end});
        most_rows_ = std::max(most_rows_, (end - begin) * group_);
      }
    }
  }

  int64_t state_floats() const { return most_rows_ * pitch_ + 2 * rounded_to_lanes(most_rows_); }
  int64_t query_floats() const { return rounded_to_lanes(most_rows_ * head_dim_); }
  int64_t scratch_floats() const {
    return rounded_to_lanes(attention_scratch(most_rows_, head_dim_, problem_.value_dim));
  }

  AttentionState take_state(Arena& arena) const {
    AttentionState state;
    state.maximum = arena.take(most_rows_);
    state.sum = arena.take(most_rows_);
    state.accumulator = arena.take(most_rows_ * pitch_);
    state.pitch = pitch_;
    return state;
  }

  /// Calls work(job, thread) for every job, each on whichever thread is free.
  template <typename Work>
  static void share(int64_t jobs, int64_t threads, const Work& work) {
    std::atomic<int64_t> next{0};
    parallel_for(threads, 1, [&](int64_t begin, int64_t) {
      for (int64_t job = next++; job < jobs; job = next++) work(job, begin);
    });
  }

  void run_by_units(int64_t threads) {
    const int64_t floats = query_floats() + 2 * state_floats() + scratch_floats();
    Arena arena(threads * floats);
    struct Place {
      float* q;
      AttentionState total, part;
      float* scratch;
    };
    std::vector<Place> places;
    for (int64_t thread = 0; thread < threads; ++thread) {
      float* q = arena.take(query_floats());
      const AttentionState total = take_state(arena);
      const AttentionState part = take_state(arena);
      places.push_back({q, total, part, arena.take(scratch_floats())});
    }
    share(static_cast<int64_t>(units_.size()), threads, [&](int64_t job, int64_t thread) {
      const Unit& unit = units_[static_cast<size_t>(job)];
      Place place = places[static_cast<size_t>(thread)];
      place.total.rows = place.part.rows = unit.queries * group_;
      gather(unit, place.q);
      int64_t chunk = unit.chunk_begin;
      if (!problem_.options.sinks.defined() && chunk < unit.chunk_end) {
        // Merging the first part into nothing gives the part.
        kernels_.attend(describe(unit, chunk++, place.q, place.total, place.scratch));
      } else {
        start(unit, place.total);
      }
      for (; chunk < unit.chunk_end; ++chunk) {
        kernels_.attend(describe(unit, chunk, place.q, place.part, place.scratch));
        kernels_.merge(place.total, place.part);
      }
      finish(unit, place.total);
    });
  }

  void run_by_chunks(int64_t threads) {
    struct Job {
      int64_t unit, chunk;
    };
    std::vector<Job> jobs;
    for (size_t unit = 0; unit < units_.size(); ++unit)
      for (int64_t chunk = units_[unit].chunk_begin; chunk < units_[unit].chunk_end; ++chunk)
        jobs.push_back({static_cast<int64_t>(unit), chunk});
    const int64_t units = static_cast<int64_t>(units_.size());
    const int64_t wave =
        std::clamp<int64_t>(kWaitingFloats / state_floats(), threads, static_cast<int64_t>(jobs.size()));
    Arena arena(units * (query_floats() + state_floats()) + wave * state_floats() +
                threads * scratch_floats());
    std::vector<float*> queries;
    std::vector<AttentionState> totals;
    for (const Unit& unit : units_) {
      queries.push_back(arena.take(query_floats()));
      totals.push_back(take_state(arena));
      totals.back().rows = unit.queries * group_;
      gather(unit, queries.back());
      start(unit, totals.back());
    }
    std::vector<AttentionState> parts;
    for (int64_t i = 0; i < wave; ++i) parts.push_back(take_state(arena));
    std::vector<float*> scratch;
    for (int64_t thread = 0; thread < threads; ++thread) scratch.push_back(arena.take(scratch_floats()));

    std::vector<uint8_t> merged(static_cast<size_t>(wave));
    std::vector<int64_t> last_merged(static_cast<size_t>(threads));  // job of the wave, by each thread
    for (size_t first = 0; first < jobs.size(); first += static_cast<size_t>(wave)) {
      const std::span<const Job> wave_jobs =
          std::span(jobs).subspan(first).first(std::min(static_cast<size_t>(wave), jobs.size() - first));
      std::fill(merged.begin(), merged.end(), 0);
      std::fill(last_merged.begin(), last_merged.end(), -1);
      walk_shares(static_cast<int64_t>(wave_jobs.size()), threads, [&](int64_t i, int64_t thread) {
        const auto at = static_cast<size_t>(i);
        const Job& job = wave_jobs[at];
        const size_t unit = static_cast<size_t>(job.unit);
        parts[at].rows = totals[unit].rows;
        kernels_.attend(describe(units_[unit], job.chunk, queries[unit], parts[at],
                                 scratch[static_cast<size_t>(thread)]));
        // Merged while it is in the cache, if this is the unit's first of the wave or this thread merged the
        // one before. So one thread merges chunks of a unit from the first on, and no other touches its
        // total.
        int64_t& last = last_merged[static_cast<size_t>(thread)];
        const bool is_first = i == 0 || wave_jobs[at - 1].unit != job.unit;
        if (!is_first && last != i - 1) return;
        kernels_.merge(totals[unit], parts[at]);
        merged[at] = 1;
        last = i;
      });
      for (size_t i = 0; i < wave_jobs.size(); ++i)
        if (merged[i] == 0) kernels_.merge(totals[static_cast<size_t>(wave_jobs[i].unit)], parts[i]);
    }
    for (size_t unit = 0; unit < units_.size(); ++unit) finish(units_[unit], totals[unit]);
  }

  /// The unit's rows of q as dense f32: query after query, in each the heads that share. Heads that lie next
  /// to each other are copied in one piece.
  void gather(const Unit& unit, float* rows) const {
    const Tensor& q = problem_.q;
    const int64_t query_stride = q.strides()[0], head_stride = q.strides()[1];
    const int64_t heads = head_stride == head_dim_ ? group_ : 1;
    const int64_t first =
        (unit.sequence->query_begin + unit.query_begin) * query_stride + unit.head * group_ * head_stride;
    const float* floats = q.dtype() == DType::kF32 ? q.data<float>() + first : nullptr;
    const BF16* narrow = floats == nullptr ? q.data<BF16>() + first : nullptr;
    const int64_t count = heads * head_dim_;
    for (int64_t query = 0; query < unit.queries; ++query)
      for (int64_t head = 0; head < group_; head += heads, rows += count) {
        const int64_t at = query * query_stride + head * head_stride;
        if (floats != nullptr)
          std::copy_n(floats + at, count, rows);
        else
          rows_.widen_bf16(narrow + at, rows, count);
      }
  }

  /// Nothing seen yet, or the sinks alone: a logit without a value.
  void start(const Unit& unit, const AttentionState& total) const {
    const Tensor& sinks = problem_.options.sinks;
    const float* sink = sinks.defined() ? sinks.data<float>() + unit.head * group_ : nullptr;
    for (int64_t row = 0; row < total.rows; ++row) {
      total.maximum[row] = sink == nullptr ? -INFINITY : sink[row % group_];
      total.sum[row] = total.maximum[row] == -INFINITY ? 0.0f : 1.0f;
    }
    std::fill_n(total.accumulator, total.rows * total.pitch, 0.0f);
  }

  AttentionChunk describe(const Unit& unit, int64_t chunk, const float* q, const AttentionState& state,
                          float* scratch) const {
    const AttentionSequence& sequence = *unit.sequence;
    const AttentionOptions& options = problem_.options;
    AttentionChunk result;
    result.q = q;
    result.queries = unit.queries;
    result.group = group_;
    result.head_dim = head_dim_;
    result.value_dim = problem_.value_dim;
    describe_keys(sequence, unit.head, result);
    result.key_count = sequence.key_count();
    result.key_begin = chunk * kChunkKeys;
    result.key_end = std::min(result.key_begin + kChunkKeys, result.key_count);
    result.first_position = result.key_count - sequence.query_count + unit.query_begin;
    result.causal = options.causal;
    result.window = options.window;
    result.scale = options.scale;
    result.soft_cap = options.soft_cap;
    if (options.bias.defined()) {
      const Shape& strides = options.bias.strides();
      result.bias_query_stride = strides[1];
      result.bias_head_stride = options.bias.dim(0) == 1 ? 0 : strides[0];
      result.bias = options.bias.data<float>() + unit.head * group_ * result.bias_head_stride +
                    (sequence.query_begin + unit.query_begin) * strides[1];
    }
    result.state = state;
    result.scratch = scratch;
    return result;
  }

  static const std::byte* head_of(const Tensor& tensor, int64_t head) {
    return tensor.host_bytes() + head * tensor.strides()[1] * size_of(tensor.dtype());
  }

  static void describe_keys(const AttentionSequence& sequence, int64_t head, AttentionChunk& chunk) {
    if (const KeyValueTiles& tiles = sequence.tiles; tiles.defined()) {
      chunk.format = tiles.format;
      chunk.key_tiles = head_of(tiles.keys, head);
      chunk.value_tiles = head_of(tiles.values, head);
      chunk.key_tile_stride = tiles.keys.strides()[0];
      chunk.value_tile_stride = tiles.values.strides()[0];
      return;
    }
    chunk.key_dtype = sequence.keys.dtype();
    chunk.value_dtype = sequence.values.dtype();
    chunk.keys = head_of(sequence.keys, head);
    chunk.values = head_of(sequence.values, head);
    chunk.key_stride = sequence.keys.strides()[0];
    chunk.value_stride = sequence.values.strides()[0];
  }

  void finish(const Unit& unit, const AttentionState& total) const {
    kernels_.finish(total);
    const Tensor& result = problem_.result;  // its heads lie next to each other
    const int64_t heads = problem_.q.dim(1), value_dim = problem_.value_dim;
    const int64_t token = unit.sequence->query_begin + unit.query_begin, first_head = unit.head * group_;
    const int64_t together = pitch_ == value_dim ? group_ : 1, count = together * value_dim;
    float* floats = result.dtype() == DType::kF32 ? result.mutable_data<float>() : nullptr;
    BF16* narrow = floats == nullptr ? result.mutable_data<BF16>() : nullptr;
    const float* from = total.accumulator;
    for (int64_t query = 0; query < unit.queries; ++query)
      for (int64_t head = 0; head < group_; head += together, from += together * pitch_) {
        const int64_t at = ((token + query) * heads + first_head + head) * value_dim;
        if (floats != nullptr)
          std::copy_n(from, count, floats + at);
        else
          rows_.narrow_bf16(from, narrow + at, count);
      }
    if (!problem_.log_sum_exp.defined()) return;
    float* log_sum_exp = problem_.log_sum_exp.mutable_data<float>() + token * heads + first_head;
    for (int64_t row = 0; row < total.rows; ++row)
      log_sum_exp[row / group_ * heads + row % group_] =
          total.sum[row] == 0 ? -INFINITY : total.maximum[row] + std::log(total.sum[row]);
  }

  const AttentionProblem& problem_;
  const AttentionKernels& kernels_;
  const RowKernels& rows_ = row_kernels();
  int64_t group_;
  int64_t head_dim_;
  int64_t pitch_;
  int64_t most_rows_ = 0;
  std::vector<Unit> units_;
};

}  // namespace

void run_attention(const AttentionProblem& problem, const AttentionKernels& kernels) {
  Run(problem, kernels).run();
}

}  // namespace martlet::ops::cpu
