#pragma once

// A caching allocator per device that knows, for every owner, how much is held and how much was held at most.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "tensor/device.h"

namespace martlet {

/// What memory is for. `explain --analyze` prints one line for each.
enum class Owner : uint8_t { kWeights, kGradients, kOptimiser, kActivations, kCache, kOther };
inline constexpr int kOwnerCount = 6;
std::string_view name_of(Owner owner);

/// While it lives, memory that this thread allocates belongs to `owner`. Scopes nest. The default is
/// kActivations.
class OwnerScope {
 public:
  explicit OwnerScope(Owner owner);
  ~OwnerScope();
  OwnerScope(const OwnerScope&) = delete;
  OwnerScope& operator=(const OwnerScope&) = delete;

 private:
  Owner before_;
};

/// Every block starts on a cache line (64 bytes); large blocks on a page.
inline constexpr size_t kBlockAlignment = 64;

/// Uninitialised bytes of the device; given back to the device's cache when the last copy goes. Zero bytes
/// give a valid non-null pointer. Throws kExhausted when the system has no memory left.
std::shared_ptr<std::byte> allocate(Device device, int64_t bytes);

struct MemoryUse {
  int64_t now = 0;   ///< bytes held
  int64_t peak = 0;  ///< most bytes held since the last reset
};

/// Use by owner on a device, without what the cache keeps for reuse.
std::array<MemoryUse, kOwnerCount> memory_use(Device device);
/// All owners together; its peak is that of the sum.
MemoryUse total_memory_use(Device device);
/// What was taken from the system: what is held and what the cache keeps for reuse.
MemoryUse system_memory_use(Device device);
/// Peaks start again from what is held now.
void reset_memory_peaks(Device device);
/// The cache keeps as much as was in use at once before; that begins again from what is held now. For memory
/// that was asked for and never touched.
void forget_high_water(Device device);
/// Gives the cache's free blocks back to the system.
void release_cached_memory();

}  // namespace martlet
