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
// Where processors are busy a thread waits for one between two reads, and the disk waits with it, unless
// others have reads under way: measured 1.3 and 1.8 GB/s by one reader, 1.9 and 2.5 by two, 2.7 and 2.6 by
// four (docs/performance.md).
constexpr int kReaders = 4;
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
  if (weight.is_packed()) return ops::Weight(weight.format(), storage, weight.columns());
  return weight.takes_bf16() ? ops::Weight(storage).taking_bf16() : ops::Weight(storage);
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
  for (size_t run = 0; run < runs_.size(); ++run)
    for (int64_t begin = 0; begin < runs_[run].bytes; begin += kReadBytes)
      pieces_.push_back({run, begin, std::min(kReadBytes, runs_[run].bytes - begin)});
}

void StoredBlock::read(const Tensor& place) {
  std::vector<int64_t> bytes;
  for (size_t piece = 0; piece < pieces_.size(); ++piece) bytes.push_back(read_piece(piece, place));
  check(place, bytes);
}

int64_t StoredBlock::read_piece(size_t piece, const Tensor& place) const {
  const Run& run = runs_[pieces_[piece].run];
  const auto begin = pieces_[piece].begin;
  return static_cast<int64_t>(run.file->read(
      run.offset + static_cast<uint64_t>(begin),
      {place.mutable_host_bytes() + run.at + begin, static_cast<size_t>(pieces_[piece].bytes)}));
}

void StoredBlock::check(const Tensor& place, std::span<const int64_t> bytes_of_pieces) {
  std::vector<int64_t> bytes_of_runs(runs_.size());
  for (size_t piece = 0; piece < pieces_.size(); ++piece)
    bytes_of_runs[pieces_[piece].run] += bytes_of_pieces[piece];
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
  for (int64_t i = 0; i < places; ++i) places_.push_back({Tensor::empty({most}, DType::kU8)});
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
    changed_.wait(lock, [&] {
      place = place_begun();
      if (place == nullptr) place = place_for_next();
      return stop_ || place != nullptr;
    });
    if (stop_) return;
    if (place->state == State::kFree) {
      *place = {place->memory, State::kReading, next_};
      place->turn = turn_++;
      place->bytes_of_pieces.resize(blocks_[next_].piece_count());
      next_ = (next_ + 1) % blocks_.size();
      changed_.notify_all();  // others take pieces of it
    }
    read_piece(*place, lock);
  }
}

void WeightStream::read_piece(Place& place, std::unique_lock<std::mutex>& lock) {
  StoredBlock& block = blocks_[place.block];
  const size_t piece = place.begun++;
  // A block without weights has no pieces.
  const bool is_any = piece < block.piece_count();
  ++place.readers;
  if (reading_++ == 0) reading_since_ = Clock::now();
  lock.unlock();
  int64_t bytes = 0;
  std::exception_ptr error;
  try {
    if (is_any) bytes = block.read_piece(piece, place.memory);
  } catch (...) {
    error = std::current_exception();
  }
  lock.lock();
  if (--reading_ == 0) traffic_.reading_seconds += seconds_since(reading_since_);
  traffic_.bytes += bytes;
  if (is_any) place.bytes_of_pieces[piece] = bytes;
  if (error) place.error = error;
  if (place.readers == 1 && !has_more(place)) finish(place, lock);
  --place.readers;
}

void WeightStream::finish(Place& place, std::unique_lock<std::mutex>& lock) {
  if (!place.in_vain && !place.error) {
    lock.unlock();
    std::exception_ptr error;
    try {
      blocks_[place.block].check(place.memory, place.bytes_of_pieces);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    place.error = error;
  }
  place.state = place.in_vain ? State::kFree : State::kReady;
  changed_.notify_all();
}

bool WeightStream::has_more(const Place& place) {
  return place.state == State::kReading && !place.in_vain && !place.error &&
         place.begun < place.bytes_of_pieces.size();
}

WeightStream::Place* WeightStream::place_begun() {
  Place* first = nullptr;
  for (Place& each : places_)
    if (has_more(each) && (first == nullptr || each.turn < first->turn)) first = &each;
  return first;
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
    if (place.state != State::kReading) continue;
    // Between two pieces nobody is there who would free it.
    place.in_vain = place.readers > 0;
    if (!place.in_vain) place.state = State::kFree;
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
