#include "tensor/allocator.h"

#include <algorithm>
#include <bit>
#include <deque>
#include <map>
#include <mutex>
#include <new>
#include <sys/mman.h>

#include "base/error.h"
#include "tensor/allocator_limit.h"
#include "tensor/spill.h"

namespace martlet {
namespace {

thread_local Owner current_owner = Owner::kActivations;

// Blocks of 2^n and 3*2^(n-1) bytes: at most a third is lost to rounding, and a freed block serves the next
// request of a similar size. From kMappedFrom bytes on, blocks are whole pages of their own and carry no
// rounding beyond the page.
constexpr size_t kSmallestBlock = 256;
constexpr size_t kMappedFrom = size_t{1} << 20;
constexpr size_t kPage = 4096;
constexpr size_t kHugePage = size_t{2} << 20;
// What a device keeps for reuse beyond what was in use at once before: a step of training finds the last
// one's blocks again, and the process never holds more than its own high-water mark and this.
constexpr int64_t kAlwaysCached = int64_t{512} << 20;

size_t rounded_size(size_t bytes) {
  if (bytes <= kSmallestBlock) return kSmallestBlock;
  if (bytes >= kMappedFrom) return (bytes + kPage - 1) / kPage * kPage;
  const size_t power = std::bit_ceil(bytes);
  return bytes <= power / 4 * 3 ? power / 4 * 3 : power;
}

/// Blocks of one size, the longest unused first. A size below kMappedFrom keeps its place once it had one:
/// there are few, and each comes again within microseconds.
struct FreeBlock {
  std::byte* data;
  uint64_t freed;  // counts up
};
using FreeBlocks = std::map<size_t, std::deque<FreeBlock>>;

class DeviceMemory {
 public:
  std::byte* take(size_t size, Owner owner) {
    {
      const std::lock_guard lock(mutex_);
      count(owner, static_cast<int64_t>(size));
      if (const auto found = free_.find(size); found != free_.end() && !found->second.empty()) {
        std::byte* data = found->second.back().data;
        found->second.pop_back();
        if (found->second.empty() && size >= kMappedFrom) free_.erase(found);
        cached_ -= static_cast<int64_t>(size);
        note_held();
        return data;
      }
      make_room();
      note_held();
    }
    if (std::byte* data = from_system(size)) return data;
    release();
    if (std::byte* data = from_system(size)) return data;
    {
      const std::lock_guard lock(mutex_);
      count(owner, -static_cast<int64_t>(size));
    }
    fail(ErrorCode::kExhausted,
         "out of memory: {} bytes more were asked for; use a smaller model, context or batch", size);
  }

  void give(std::byte* data, size_t size, Owner owner) noexcept {
    const std::lock_guard lock(mutex_);
    count(owner, -static_cast<int64_t>(size));
    if (static_cast<int64_t>(size) > room()) {
      to_system(data, size);
      return;
    }
    free_[size].push_back({data, ++freed_});
    cached_ += static_cast<int64_t>(size);
  }

  void release() noexcept {
    const std::lock_guard lock(mutex_);
    for (const auto& [size, blocks] : free_)
      for (const FreeBlock& block : blocks) to_system(block.data, size);
    free_.clear();
    cached_ = 0;
  }

  std::array<MemoryUse, kOwnerCount> use() {
    const std::lock_guard lock(mutex_);
    return use_;
  }
  MemoryUse total() {
    const std::lock_guard lock(mutex_);
    return total_;
  }
  MemoryUse system() {
    const std::lock_guard lock(mutex_);
    return {held(), most_held_};
  }
  void keep_within(int64_t bytes) noexcept {
    const std::lock_guard lock(mutex_);
    always_cached_ = bytes;
    make_room();
  }
  void forget_high_water() {
    const std::lock_guard lock(mutex_);
    most_used_ = total_.now;
  }
  void reset_peaks() {
    const std::lock_guard lock(mutex_);
    most_held_ = held();
    for (MemoryUse& use : use_) use.peak = use.now;
    total_.peak = total_.now;
  }

 private:
  /// Bytes taken from the system.
  int64_t held() const { return total_.now + cached_; }
  void note_held() { most_held_ = std::max(most_held_, held()); }

  /// Bytes that may be cached beside those that are; negative when too many are.
  int64_t room() const { return always_cached_ + most_used_ - total_.now - cached_; }

  /// Gives the longest unused blocks back until the rest fits.
  void make_room() noexcept {
    while (cached_ > 0 && room() < 0) {
      const auto age = [](const auto& blocks) {
        return blocks.second.empty() ? UINT64_MAX : blocks.second.front().freed;
      };
      const auto oldest = std::min_element(free_.begin(), free_.end(),
                                           [&](const auto& a, const auto& b) { return age(a) < age(b); });
      to_system(oldest->second.front().data, oldest->first);
      cached_ -= static_cast<int64_t>(oldest->first);
      oldest->second.pop_front();
      if (oldest->second.empty()) free_.erase(oldest);
    }
  }

  static std::byte* from_system(size_t size) noexcept {
    if (size >= kMappedFrom) {
      void* data = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (data == MAP_FAILED) return nullptr;
      // Fewer faults, and products reach rows that lie pages apart. Without huge pages nothing is lost.
      if (size >= kHugePage) madvise(data, size, MADV_HUGEPAGE);
      return static_cast<std::byte*>(data);
    }
    return static_cast<std::byte*>(::operator new(size, std::align_val_t{kBlockAlignment}, std::nothrow));
  }

  static void to_system(std::byte* data, size_t size) noexcept {
    if (size >= kMappedFrom) {
      munmap(data, size);
    } else {
      ::operator delete(data, std::align_val_t{kBlockAlignment});
    }
  }

  void count(Owner owner, int64_t bytes) noexcept {
    for (MemoryUse* use : {&use_[static_cast<size_t>(owner)], &total_}) {
      use->now += bytes;
      if (use->now > use->peak) use->peak = use->now;
    }
    most_used_ = std::max(most_used_, total_.now);
  }

  std::mutex mutex_;
  FreeBlocks free_;
  uint64_t freed_ = 0;
  int64_t cached_ = 0;
  int64_t most_used_ = 0;  // ever, whatever was reset
  int64_t always_cached_ = kAlwaysCached;
  std::array<MemoryUse, kOwnerCount> use_{};
  MemoryUse total_{};
  int64_t most_held_ = 0;
};

// Never destroyed: tensors with static lifetime may give their memory back after it would be.
DeviceMemory& memory_of(Device device) {
  static auto* const memories = new std::array<DeviceMemory, 2>;
  return (*memories)[static_cast<size_t>(device)];
}

}  // namespace

std::string_view name_of(Owner owner) {
  constexpr std::string_view kNames[kOwnerCount] = {"weights",     "gradients", "optimiser",
                                                    "activations", "cache",     "other"};
  return kNames[static_cast<size_t>(owner)];
}

OwnerScope::OwnerScope(Owner owner) : before_(current_owner) {
  current_owner = owner;
}
OwnerScope::~OwnerScope() {
  current_owner = before_;
}

std::shared_ptr<std::byte> allocate(Device device, int64_t bytes) {
  if (bytes < 0) failed("cannot allocate {} bytes", bytes);
  const size_t size = rounded_size(static_cast<size_t>(bytes));
  const Owner owner = current_owner;
  if (owner == Owner::kWeights && device == Device::kCpu && size >= kMappedFrom)
    if (std::shared_ptr<std::byte> block = spilled(bytes)) return block;
  DeviceMemory& memory = memory_of(device);
  std::byte* data = memory.take(size, owner);
  return {data, [&memory, size, owner](std::byte* block) { memory.give(block, size, owner); }};
}

std::array<MemoryUse, kOwnerCount> memory_use(Device device) {
  return memory_of(device).use();
}
MemoryUse total_memory_use(Device device) {
  return memory_of(device).total();
}
MemoryUse system_memory_use(Device device) {
  return memory_of(device).system();
}
void forget_high_water(Device device) {
  memory_of(device).forget_high_water();
}
void reset_memory_peaks(Device device) {
  memory_of(device).reset_peaks();
}

void keep_cached_memory_within(int64_t bytes) {
  memory_of(Device::kCpu).keep_within(bytes);
  memory_of(Device::kReference).keep_within(bytes);
}

void release_cached_memory() {
  memory_of(Device::kCpu).release();
  memory_of(Device::kReference).release();
}

}  // namespace martlet
