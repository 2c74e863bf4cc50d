#pragma once

// Reads members of a zip archive (a wheel is one). Every offset and length is checked against the file.

#include <cstdint>
#include <string>
#include <vector>

#include "base/files.h"

namespace martlet::cli {

struct ZipMember {
  std::string name;
  uint64_t packed_size = 0;
  uint64_t size = 0;
  uint32_t crc = 0;
  uint16_t method = 0;  ///< 0 stored, 8 deflated
  uint64_t header_offset = 0;
};

class ZipArchive {
 public:
  /// Throws kBadInput when it is no zip archive, is damaged, or needs the 64-bit form (members past 4 GiB).
  explicit ZipArchive(const std::string& path);

  const std::vector<ZipMember>& members() const { return members_; }
  /// Appends the member's bytes to `out`; checks its length and CRC. Throws kBadInput, and kInterrupted.
  void extract(const ZipMember& member, AtomicFile& out) const;

 private:
  MappedFile file_;
  std::vector<ZipMember> members_;
};

}  // namespace martlet::cli
