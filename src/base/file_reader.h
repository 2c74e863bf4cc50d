#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace martlet {

/// A file whose parts are read into memory of the caller's. Safe from many threads at once.
class FileReader {
 public:
  /// Where a part goes on its way. Past the page cache the disk writes into the caller's memory itself: no
  /// copy, and nothing that others keep in memory makes room; not every file system can, and then it is as
  /// kCached.
  enum class Way : uint8_t { kCached, kPastCache };

  /// Throws BadInput when the file cannot be opened.
  explicit FileReader(std::string path, Way way = Way::kCached);
  ~FileReader();
  FileReader(const FileReader&) = delete;
  FileReader& operator=(const FileReader&) = delete;

  const std::string& path() const { return path_; }
  uint64_t inode() const;
  /// Past the cache, `offset`, the address and the size are multiples of this; the file's end may come
  /// sooner.
  static constexpr int64_t kAlignment = 4096;
  /// Fills `bytes` with what lies at `offset`; how many there are, fewer than asked for only at the end of
  /// the file. Throws BadInput when the disk fails.
  size_t read(uint64_t offset, std::span<std::byte> bytes) const;

 private:
  std::string path_;
  int descriptor_ = -1;
  bool past_cache_ = false;
};

/// Puts `bytes` at `offset` of a file that is there and has this inode, for a part of it that was found
/// damaged. False where that cannot be done.
bool mend_file(const std::string& path, uint64_t inode, uint64_t offset, std::span<const std::byte> bytes);

}  // namespace martlet
