#pragma once

// Weights that stay on disk and come to memory whenever their block runs: threads of their own read the next
// blocks into a few places while this one computes, round and round in the order of the blocks. The reads go
// past the page cache: the disk writes into the places itself, no processor copies, and no other memory has
// to make room.
//
// Invariants: a place is free, being read, ready, or in use; readers alone fill places, piece by piece,
// whoever runs a block alone uses them; no block is read twice at once; blocks that run in another order are
// read when asked for, and reading ahead goes on from there.

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "base/file_reader.h"
#include "nn/parameter.h"

namespace martlet::infer {

/// A weight of the tree that is mapped from a file.
struct StoredWeight {
  nn::Parameter* parameter = nullptr;
  std::shared_ptr<const FileReader> file;  ///< past the page cache
  uint64_t offset = 0;
  std::optional<uint32_t> checksum = {};  ///< checked when it is read for the first time
  /// Makes its bytes anew where those of the file are damaged; the file is mended. May be empty.
  std::function<void(const Tensor& bytes)> remake = {};
};

/// The weights of a block, and how they are read: neighbours in the file together.
class StoredBlock {
 public:
  explicit StoredBlock(std::vector<StoredWeight> weights);

  /// Of a place that takes them.
  int64_t byte_count() const { return byte_count_; }
  /// The file of the first of them; empty without any.
  std::string path() const { return runs_.empty() ? std::string() : runs_.front().file->path(); }
  /// Reads them to `place` u8 [byte_count() or more], on a page. Where the file ends too soon or a checksum
  /// does not agree, they are made anew, or where they cannot be, BadInput is thrown.
  void read(const Tensor& place);
  // The same in pieces, by several threads: all of them, then `check` once with the bytes that each has
  // given.
  size_t piece_count() const { return pieces_.size(); }
  int64_t read_piece(size_t piece, const Tensor& place) const;
  void check(const Tensor& place, std::span<const int64_t> bytes_of_pieces);
  /// Lets the tree use them where `read` put them; the way back is `use_mapped`.
  void use(const Tensor& place) const;
  /// Lets the tree use them as they are mapped: slow, and right at any time.
  void use_mapped() const;

 private:
  struct Run {
    const FileReader* file;
    uint64_t offset;
    int64_t bytes;
    int64_t at;  // in the place
  };
  struct Piece {
    size_t run;
    int64_t begin;  // in the run
    int64_t bytes;
  };
  struct Part {
    StoredWeight stored;
    ops::Weight mapped;
    int64_t at;
    size_t run;
  };
  /// Whether the file has it now, too.
  bool mend(const Part& part, const Tensor& place) const;

  std::vector<Part> parts_;
  std::vector<Run> runs_;
  std::vector<Piece> pieces_;
  int64_t byte_count_ = 0;
  bool checked_ = false;
};

class WeightStream {
 public:
  /// What was read since the last `reset_traffic`.
  struct Traffic {
    int64_t bytes = 0;
    double reading_seconds = 0;  ///< in which something was being read
    double waiting_seconds = 0;  ///< that blocks waited for it
  };

  /// `places`: at least 2. The blocks run in this order, mostly.
  WeightStream(std::vector<StoredBlock> blocks, int64_t places);
  ~WeightStream();
  WeightStream(const WeightStream&) = delete;
  WeightStream& operator=(const WeightStream&) = delete;

  /// While it lives, the tree holds a block's weights in memory. One at a time.
  class Use {
   public:
    /// Waits until they are there; throws what reading them has thrown.
    Use(WeightStream& stream, size_t block);
    ~Use();
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    WeightStream& stream_;
    size_t place_;
  };

  size_t block_count() const { return blocks_.size(); }
  /// The file of the first block.
  std::string path() const { return blocks_.front().path(); }
  /// Of one pass over all blocks.
  int64_t bytes_a_pass() const;
  /// Of all places.
  int64_t place_bytes() const;
  Traffic traffic() const;
  void reset_traffic();

 private:
  enum class State : uint8_t { kFree, kReading, kReady, kInUse };
  struct Place {
    Tensor memory;
    State state = State::kFree;
    size_t block = 0;
    bool in_vain = false;  // nobody waits for what is being read
    std::exception_ptr error = nullptr;
    uint64_t turn = 0;  // blocks that were begun before
    size_t begun = 0;   // pieces
    int readers = 0;    // that read one of them now
    std::vector<int64_t> bytes_of_pieces = {};
  };

  void read_ahead();
  /// Reads the next piece of a block, and whoever has read the last of them makes the block ready.
  void read_piece(Place& place, std::unique_lock<std::mutex>& lock);
  void finish(Place& place, std::unique_lock<std::mutex>& lock);
  static bool has_more(const Place& place);
  /// The earliest that has pieces nobody reads yet; null where there is none.
  Place* place_begun();
  /// Free, for `next_`; null where there is none, or it is being read.
  Place* place_for_next();
  Place* find(size_t block);
  void go_on_from(size_t block);

  std::vector<StoredBlock> blocks_;
  std::vector<Place> places_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  size_t next_ = 0;  // block to be read
  uint64_t turn_ = 0;
  int reading_ = 0;  // readers that read
  std::chrono::steady_clock::time_point reading_since_;
  bool stop_ = false;
  Traffic traffic_;
  std::vector<std::thread> readers_;
};

}  // namespace martlet::infer
