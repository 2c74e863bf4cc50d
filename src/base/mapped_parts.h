#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace martlet {

/// Where bytes lie on disk.
struct FilePart {
  std::string path;
  uint64_t inode = 0;   ///< of the file that was mapped: by now another one may have its name
  uint64_t offset = 0;  ///< of the first byte
};

/// Which files this process has mapped where, as it was when this was made (proc(5), /proc/self/maps).
class MappedParts {
 public:
  MappedParts();
  /// The part of a file that these bytes are mapped from, shared; nothing for memory that is none, or of a
  /// file that was removed.
  std::optional<FilePart> find(std::span<const std::byte> bytes) const;
  /// Calls `visit` with every part that may only be read.
  void each_read_only(const std::function<void(std::span<std::byte> bytes)>& visit) const;

 private:
  struct Mapping {
    uintptr_t begin, end;
    FilePart part;
    bool read_only;
  };
  std::vector<Mapping> mappings_;  // by address
};

/// Lets go of the memory that holds these bytes, whole pages of it, where they are mapped from a file: they
/// are read again when somebody asks for them. Bytes of anything else are left alone.
void forget_mapped(std::span<const std::byte> bytes);

/// The same of every file that is mapped shared and read-only. What was read of one part maps its neighbours
/// again, so that letting go of parts alone leaves some.
void forget_mapped_files();

}  // namespace martlet
