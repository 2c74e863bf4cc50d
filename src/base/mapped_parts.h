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
  /// Lets go of the memory of every page that holds any of these bytes, where they are mapped so: they and
  /// their neighbours are read again when somebody asks for them. Bytes of anything else are left alone.
  void forget(std::span<const std::byte> bytes) const;
  /// Lets go of all that may only be read of one file, or of all files where `path` is empty.
  void forget_read_only(const std::string& path) const;

 private:
  struct Mapping {
    uintptr_t begin, end;
    FilePart part;
    bool read_only;
    bool removed;  // no name leads to it any more
  };
  /// The one that holds all of these bytes, or null.
  const Mapping* mapping_of(std::span<const std::byte> bytes) const;

  std::vector<Mapping> mappings_;  // by address
};

/// `MappedParts::forget` of what is mapped now.
void forget_mapped(std::span<const std::byte> bytes);

/// The same of all that is mapped of one file, shared and read-only.
void forget_mapped_file(const std::string& path);

/// The same of every such file. What was read of one part maps its neighbours
/// again, so that letting go of parts alone leaves some.
void forget_mapped_files();

}  // namespace martlet
