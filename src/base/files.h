#pragma once

// Files from outside are mapped or read whole; files from here are written whole or not at all.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace martlet {

/// A file mapped read-only. Copies share the mapping, which lives as long as the last copy.
class MappedFile {
 public:
  /// Throws BadInput when the file cannot be opened or is not a regular file. An empty file maps to no bytes.
  explicit MappedFile(const std::string& path);

  std::span<const std::byte> bytes() const { return {data_.get(), size_}; }
  const std::string& path() const { return path_; }
  /// Keeps the mapping alive; points at its first byte.
  std::shared_ptr<const std::byte> share() const { return data_; }

 private:
  std::string path_;
  std::shared_ptr<const std::byte> data_;
  size_t size_ = 0;
};

/// Says of bytes of a mapping that they are to be read from disk in large pages, where the system can.
void want_large_pages(std::span<const std::byte> mapped);

/// The whole file as text; throws BadInput naming the path.
std::string read_file(const std::string& path);
bool file_exists(const std::string& path);
/// True for whatever has this name, a link that leads nowhere included.
bool name_exists(const std::string& path);
/// Throws BadInput, with the reason, unless this is a regular file or a link to one: neither a folder nor
/// what may never end.
void require_regular_file(const std::string& path);
bool is_directory(const std::string& path);
void make_directories(const std::string& path);

/// A file that appears under its name only when `commit` has succeeded: no name or a temporary one beside it,
/// fsync, rename, fsync of the folder. Destroying it without commit leaves nothing, nor does killing the
/// process where the file system has nameless files. A full disk throws kExhausted, at any `write` or at
/// `commit`. A symbolic link is followed; a device or a pipe is written in place.
class AtomicFile {
 public:
  explicit AtomicFile(std::string path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Takes room for so many bytes at once, before they are written, so that a full disk is seen before any
  /// work and the file lies in few pieces. What is not written after all is given back by `commit`. File
  /// systems that cannot are let be.
  void reserve(uint64_t bytes);
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  uint64_t position() const { return position_; }
  void commit();

 private:
  void gather(std::span<const std::byte> bytes);
  void flush();
  void write_through(std::span<const std::byte> bytes);
  void discard() noexcept;

  std::string path_;
  std::string temporary_;  // empty while the file has no name
  std::string buffer_;     // small writes gathered
  int descriptor_ = -1;
  bool in_place_ = false;
  uint64_t position_ = 0;
  uint64_t reserved_ = 0;
};

void write_file(const std::string& path, std::string_view content);

}  // namespace martlet
