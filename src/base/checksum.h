#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace martlet {

/// A checksum that keeps up with memory: finds flipped, missing and moved bytes of what this program wrote
/// itself. Words of eight bytes go in turn to four CRC-32C (RFC 3720) that do not wait for each other; the
/// value is the CRC-32C of their values and of the number of bytes. Bytes behind the last whole word are
/// filled up with zeros.
class Checksum {
 public:
  /// Adds bytes: a multiple of 32, except at the last call.
  void add(std::span<const std::byte> bytes);
  uint32_t value() const;

 private:
  uint32_t lanes_[4] = {~0u, ~0u, ~0u, ~0u};
  uint64_t count_ = 0;
};

uint32_t checksum(std::span<const std::byte> bytes);

}  // namespace martlet
