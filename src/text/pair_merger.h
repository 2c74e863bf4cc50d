#pragma once

// Byte-pair merging of one word: again and again the pair of neighbours of lowest rank merges, the leftmost
// of equal ones first (Sennrich, Haddow and Birch, "Neural Machine Translation of Rare Words with Subword
// Units", 2016).
//
// Short words look for the lowest rank among all pairs each time: quadratic, but in a few cache lines. Long
// words keep the positions of each rank in a bucket and the ranks that occur in a heap. A vocabulary learned
// by merging gives every new pair a higher rank than the merge that made it, so that positions come in order
// within a bucket and the whole takes linear time (a word of ten million letters is merged in about a
// second); ranks in any other order are still merged rightly, through a heap of late positions.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

namespace martlet::text {

/// A token of the word so far; [begin, end) are its bytes in the word.
struct Symbol {
  int32_t id = -1;
  uint32_t begin = 0;
  uint32_t end = 0;
};

/// What two neighbours become.
struct Merge {
  static constexpr uint32_t kNone = UINT32_MAX;
  uint32_t rank = kNone;  ///< kNone when they do not merge
  int32_t id = -1;
};

/// Memory that merging uses, kept from word to word.
struct MergeScratch {
  struct Bucket {
    std::vector<uint32_t> run;   // positions; sorted once the bucket is being emptied
    std::vector<uint32_t> late;  // a heap of positions that came after that
    size_t head = 0;
    bool started = false;
  };
  std::vector<Symbol> symbols;  ///< the word: in and out
  std::vector<Merge> merges;    // of each symbol with the next one
  std::vector<uint32_t> previous, next;
  std::vector<Bucket> buckets;
  std::vector<uint32_t> free_buckets;
  std::vector<uint32_t> bucket_of_rank;
  std::vector<uint32_t> open_ranks;  // a heap, lowest first
};

namespace merging {

constexpr uint32_t kNowhere = UINT32_MAX;
/// Above this many symbols the buckets are faster than searching all pairs (measured; 40 to 100 are alike).
constexpr size_t kShort = 64;

template <typename Oracle>
void merge_short(const Oracle& oracle, MergeScratch& scratch) {
  std::vector<Symbol>& symbols = scratch.symbols;
  std::vector<Merge>& merges = scratch.merges;
  size_t count = symbols.size();
  merges.resize(count);
  for (size_t i = 0; i + 1 < count; ++i) merges[i] = oracle(symbols[i], symbols[i + 1]);
  merges[count - 1] = {};
  while (count > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < count; ++i) {
      if (merges[i].rank < merges[best].rank) best = i;
    }
    if (merges[best].rank == Merge::kNone) break;
    symbols[best].id = merges[best].id;
    symbols[best].end = symbols[best + 1].end;
    for (size_t i = best + 1; i + 1 < count; ++i) {
      symbols[i] = symbols[i + 1];
      merges[i] = merges[i + 1];
    }
    --count;
    merges[best] = best + 1 < count ? oracle(symbols[best], symbols[best + 1]) : Merge{};
    if (best > 0) merges[best - 1] = oracle(symbols[best - 1], symbols[best]);
  }
  symbols.resize(count);
}

/// The positions that wait for their merge, lowest rank first and leftmost first within a rank.
class MergeQueue {
 public:
  MergeQueue(MergeScratch& scratch, uint32_t ranks) : scratch_(scratch) {
    if (scratch.bucket_of_rank.size() < ranks) scratch.bucket_of_rank.resize(ranks, kNowhere);
  }

  void push(uint32_t rank, uint32_t position) {
    uint32_t& place = scratch_.bucket_of_rank[rank];
    if (place == kNowhere) {
      place = take_bucket();
      scratch_.open_ranks.push_back(rank);
      std::push_heap(scratch_.open_ranks.begin(), scratch_.open_ranks.end(), std::greater<>());
    }
    MergeScratch::Bucket& bucket = scratch_.buckets[place];
    if (!bucket.started) {
      bucket.run.push_back(position);
    } else {
      bucket.late.push_back(position);
      std::push_heap(bucket.late.begin(), bucket.late.end(), std::greater<>());
    }
  }

  /// Takes the first; false when none is left.
  bool pop(uint32_t& rank, uint32_t& position) {
    std::vector<uint32_t>& open = scratch_.open_ranks;
    while (!open.empty()) {
      rank = open.front();
      MergeScratch::Bucket& bucket = scratch_.buckets[scratch_.bucket_of_rank[rank]];
      if (!bucket.started) {
        if (!std::is_sorted(bucket.run.begin(), bucket.run.end()))
          std::sort(bucket.run.begin(), bucket.run.end());
        bucket.started = true;
      }
      const bool more = bucket.head < bucket.run.size();
      if (more && (bucket.late.empty() || bucket.run[bucket.head] <= bucket.late.front())) {
        position = bucket.run[bucket.head++];
        return true;
      }
      if (!bucket.late.empty()) {
        std::pop_heap(bucket.late.begin(), bucket.late.end(), std::greater<>());
        position = bucket.late.back();
        bucket.late.pop_back();
        return true;
      }
      give_back_bucket(rank);
      std::pop_heap(open.begin(), open.end(), std::greater<>());
      open.pop_back();
    }
    return false;
  }

 private:
  uint32_t take_bucket() {
    if (scratch_.free_buckets.empty()) {
      scratch_.buckets.emplace_back();
      return static_cast<uint32_t>(scratch_.buckets.size() - 1);
    }
    const uint32_t place = scratch_.free_buckets.back();
    scratch_.free_buckets.pop_back();
    return place;
  }
  void give_back_bucket(uint32_t rank) {
    const uint32_t place = scratch_.bucket_of_rank[rank];
    MergeScratch::Bucket& bucket = scratch_.buckets[place];
    constexpr size_t kKept = 1 << 16;  // positions; a bucket that grew beyond gives its memory back
    if (bucket.run.capacity() > kKept) bucket.run = {};
    bucket.run.clear();
    bucket.head = 0;
    bucket.started = false;
    scratch_.bucket_of_rank[rank] = kNowhere;
    scratch_.free_buckets.push_back(place);
  }

  MergeScratch& scratch_;
};

template <typename Oracle>
void merge_long(const Oracle& oracle, uint32_t ranks, MergeScratch& scratch) {
  std::vector<Symbol>& symbols = scratch.symbols;
  std::vector<Merge>& merges = scratch.merges;
  std::vector<uint32_t>& previous = scratch.previous;
  std::vector<uint32_t>& next = scratch.next;
  const auto count = static_cast<uint32_t>(symbols.size());
  merges.assign(count, {});
  previous.resize(count);
  next.resize(count);
  MergeQueue queue(scratch, ranks);
  const auto look = [&](uint32_t at) {
    merges[at] = next[at] == kNowhere ? Merge{} : oracle(symbols[at], symbols[next[at]]);
    if (merges[at].rank != Merge::kNone) queue.push(merges[at].rank, at);
  };
  for (uint32_t i = 0; i < count; ++i) {
    previous[i] = i == 0 ? kNowhere : i - 1;
    next[i] = i + 1 == count ? kNowhere : i + 1;
    look(i);
  }
  uint32_t rank = 0, at = 0;
  while (queue.pop(rank, at)) {
    if (merges[at].rank != rank) continue;  // one of the pair has merged otherwise since
    const uint32_t right = next[at];
    symbols[at].id = merges[at].id;
    symbols[at].end = symbols[right].end;
    merges[right] = {};
    next[at] = next[right];
    if (next[at] != kNowhere) previous[next[at]] = at;
    if (previous[at] != kNowhere) look(previous[at]);
    look(at);
  }
  size_t kept = 0;
  for (uint32_t i = 0; i != kNowhere; i = next[i]) symbols[kept++] = symbols[i];
  symbols.resize(kept);
}

}  // namespace merging

/// Merges `scratch.symbols` in place. `oracle(left, right)` says what two neighbours become; ranks are below
/// `ranks`.
template <typename Oracle>
void merge_symbols(const Oracle& oracle, uint32_t ranks, MergeScratch& scratch) {
  if (scratch.symbols.size() < 2) return;
  if (scratch.symbols.size() <= merging::kShort) {
    merging::merge_short(oracle, scratch);
  } else {
    merging::merge_long(oracle, ranks, scratch);
  }
}

}  // namespace martlet::text
