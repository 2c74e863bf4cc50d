#include "infer/weight_stream.h"

#include <algorithm>
#include <chrono>
#include <numeric>

#include "base/checksum.h"
#include "base/error.h"
#include "base/sequential_scope.h"

namespace martlet::infer {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kPage = FileReader::kAlignment;
// One read: large enough for the disk's own bandwidth, small enough for a stop to be seen.
constexpr int64_t kReadBytes = int64_t{4} << 20;
// While one waits for a processor that computes, the disk has the read of the other. Measured with both
// processors busy: one reader 4.8 and 4.4 tokens/s, two 5.6 and 5.4.
constexpr int kReaders = 2;
// Weights that lie no further apart are read together.
constexpr uint64_t kGap = uint64_t{64} << 10;
// From so many bytes on, the allocator gives whole pages.
constexpr int64_t kLeastPlace = int64_t{1} << 20;

int64_t rounded_up(int64_t bytes) {
  return (bytes + kPage - 1) / kPage * kPage;
}

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// The same weight, its bytes at `at` of a place.
ops::Weight moved(const ops::Weight& weight, const Tensor& place, int64_t at) {
  const auto keeps = std::make_shared<Tensor>(place);
  const std::shared_ptr<const std::byte> bytes(keeps, place.host_bytes() + at);
  const Tensor storage = Tensor::borrow(bytes, weight.storage().shape(), weight.storage().dtype());
  if (weight.is_interleaved())
    return ops::Weight(weight.interleaved_format(), storage, weight.rows(), weight.columns());
  return weight.is_packed() ? ops::Weight(weight.format(), storage, weight.columns()) : ops::Weight(storage);
}

}  // namespace

StoredBlock::StoredBlock(std::vector<StoredWeight> weights) {
  std::sort(weights.begin(), weights.end(), [](const StoredWeight& a, const StoredWeight& b) {
    return a.file != b.file ? a.file < b.file : a.offset < b.offset;
  });
  for (StoredWeight& stored : weights) {
    const ops::Weight mapped = stored.parameter->weight();
    const uint64_t end = stored.offset + static_cast<uint64_t>(mapped.byte_count());
    Run* last = runs_.empty() ? nullptr : &runs_.back();
    if (last == nullptr || last->file != stored.file.get() ||
        stored.offset > last->offset + static_cast<uint64_t>(last->bytes) + kGap) {
      const uint64_t begin = stored.offset / kPage * kPage;
      runs_.push_back({stored.file.get(), begin, 0, byte_count_});
      last = &runs_.back();
    }
    last->bytes = std::max(last->bytes, rounded_up(static_cast<int64_t>(end - last->offset)));
    byte_count_ = last->at + last->bytes;
    const int64_t at = last->at + static_cast<int64_t>(stored.offset - last->offset);
    parts_.push_back({std::move(stored), mapped, at, runs_.size() - 1});
  }
}

void StoredBlock::read(const Tensor& place) {
  std::vector<int64_t> bytes_of_runs;
  for (const Run& run : runs_) bytes_of_runs.push_back(read_run(run, place.mutable_host_bytes() + run.at));
  check(place, bytes_of_runs);
}

int64_t StoredBlock::read_run(const Run& run, std::byte* to) const {
  int64_t done = 0;
  while (done < run.bytes) {
    const int64_t now = std::min(kReadBytes, run.bytes - done);
    const size_t got =
        run.file->read(run.offset + static_cast<uint64_t>(done), {to + done, static_cast<size_t>(now)});
    done += static_cast<int64_t>(got);
    if (static_cast<int64_t>(got) < now) break;
  }
  return done;
}

void StoredBlock::check(const Tensor& place, std::span<const int64_t> bytes_of_runs) {
  bool good = true;
  for (const Part& part : parts_) {
    const StoredWeight& stored = part.stored;
    const std::span bytes(place.host_bytes() + part.at, static_cast<size_t>(part.mapped.byte_count()));
    // The last page of a file may be short.
    const Run& run = runs_[part.run];
    const bool is_short = part.at + part.mapped.byte_count() > run.at + bytes_of_runs[part.run];
    const bool is_damaged = !checked_ && stored.checksum && checksum(bytes) != *stored.checksum;
    if (!is_short && !is_damaged) continue;
    if (stored.remake)
      good &= mend(part, place);
    else if (is_short)
      bad_input("{}: ends at byte {}, and weights are expected behind it", stored.file->path(),
                run.offset + static_cast<uint64_t>(bytes_of_runs[part.run]));
    else
      bad_input("{}: {} bytes at {} are not what was written; remove the file, and it is made again",
                stored.file->path(), bytes.size(), stored.offset);
  }
  checked_ = good;
}

bool StoredBlock::mend(const Part& part, const Tensor& place) const {
  const StoredWeight& stored = part.stored;
  const Tensor bytes = place.slice(0, part.at, part.at + part.mapped.byte_count());
  const std::span made(bytes.host_bytes(), static_cast<size_t>(bytes.byte_count()));
  const SequentialScope alone;  // others compute meanwhile
  stored.remake(bytes);
  if (stored.checksum && checksum(made) != *stored.checksum)
    bad_input("{}: {} bytes at {} are not what was written, and the model's files give others by now",
              stored.file->path(), made.size(), stored.offset);
  return mend_file(stored.file->path(), stored.file->inode(), stored.offset, made);
}

void StoredBlock::use(const Tensor& place) const {
  for (const Part& part : parts_) part.stored.parameter->set(moved(part.mapped, place, part.at));
}

void StoredBlock::use_mapped() const {
  for (const Part& part : parts_) part.stored.parameter->set(part.mapped);
}

WeightStream::WeightStream(std::vector<StoredBlock> blocks, int64_t places) : blocks_(std::move(blocks)) {
  if (blocks_.empty() || places < 2)
    failed("a stream takes blocks and two places, got {} and {}", blocks_.size(), places);
  int64_t most = kLeastPlace;
  for (const StoredBlock& block : blocks_) most = std::max(most, block.byte_count());
  const OwnerScope owner(Owner::kWeights);
  for (int64_t i = 0; i < places; ++i)
    places_.push_back({Tensor::empty({most}, DType::kU8), State::kFree, 0, false, nullptr});
  for (int i = 0; i < kReaders; ++i) readers_.emplace_back([this] { read_ahead(); });
}

WeightStream::~WeightStream() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  for (std::thread& reader : readers_) reader.join();
}

void WeightStream::read_ahead() {
  std::unique_lock lock(mutex_);
  while (true) {
    Place* place = nullptr;
    changed_.wait(lock, [&] { return stop_ || (place = place_for_next()) != nullptr; });
    if (stop_) return;
    place->state = State::kReading;
    place->in_vain = false;
    place->error = nullptr;
    place->block = next_;
    next_ = (next_ + 1) % blocks_.size();
    StoredBlock& block = blocks_[place->block];
    if (reading_++ == 0) reading_since_ = Clock::now();
    lock.unlock();
    std::exception_ptr error;
    try {
      block.read(place->memory);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    if (--reading_ == 0) traffic_.reading_seconds += seconds_since(reading_since_);
    place->error = error;
    place->state = place->in_vain ? State::kFree : State::kReady;
    traffic_.bytes += block.byte_count();
    changed_.notify_all();
  }
}

WeightStream::Place* WeightStream::place_for_next() {
  Place* place = nullptr;
  for (Place& each : places_) {
    // Also one that is read in vain: a block is never read twice at once.
    if (each.state == State::kReading && each.block == next_) return nullptr;
    if (each.state == State::kFree) place = &each;
  }
  return place;
}

WeightStream::Place* WeightStream::find(size_t block) {
  for (Place& place : places_)
    if (place.block == block && !place.in_vain &&
        (place.state == State::kReading || place.state == State::kReady))
      return &place;
  return nullptr;
}

void WeightStream::go_on_from(size_t block) {
  for (Place& place : places_) {
    if (place.state == State::kReady) place.state = State::kFree;
    if (place.state == State::kReading) place.in_vain = true;
  }
  next_ = block;
  changed_.notify_all();
}

WeightStream::Use::Use(WeightStream& stream, size_t block) : stream_(stream), place_(0) {
  std::unique_lock lock(stream.mutex_);
  const bool comes_next =
      stream.next_ == block && std::any_of(stream.places_.begin(), stream.places_.end(),
                                           [](const Place& each) { return each.state == State::kFree; });
  if (stream.find(block) == nullptr && !comes_next) stream.go_on_from(block);
  const Clock::time_point start = Clock::now();
  Place* place = nullptr;
  stream.changed_.wait(lock, [&] {
    place = stream.find(block);
    return place != nullptr && place->state == State::kReady;
  });
  stream.traffic_.waiting_seconds += seconds_since(start);
  if (place->error) {
    place->state = State::kFree;
    stream.changed_.notify_all();
    std::rethrow_exception(place->error);
  }
  place->state = State::kInUse;
  place_ = static_cast<size_t>(place - stream.places_.data());
  stream.blocks_[block].use(place->memory);
}

WeightStream::Use::~Use() {
  Place& place = stream_.places_[place_];
  stream_.blocks_[place.block].use_mapped();
  {
    const std::lock_guard lock(stream_.mutex_);
    place.state = State::kFree;
  }
  stream_.changed_.notify_all();
}

int64_t WeightStream::bytes_a_pass() const {
  return std::accumulate(blocks_.begin(), blocks_.end(), int64_t{0},
                         [](int64_t sum, const StoredBlock& block) { return sum + block.byte_count(); });
}

int64_t WeightStream::place_bytes() const {
  return static_cast<int64_t>(places_.size()) * places_.front().memory.byte_count();
}

WeightStream::Traffic WeightStream::traffic() const {
  const std::lock_guard lock(mutex_);
  return traffic_;
}

void WeightStream::reset_traffic() {
  const std::lock_guard lock(mutex_);
  traffic_ = {};
  reading_since_ = Clock::now();
}

}  // namespace martlet::infer
