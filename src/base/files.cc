#include "base/files.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <sys/mman.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "base/error.h"
#include "base/uncached_writes.h"

namespace martlet {
namespace {

// Of what has no size to tell, so much is read at a time.
constexpr size_t kBufferBytes = size_t{1} << 16;
// Files are written in parts that end at multiples of this, small writes gathered: few system calls, and a
// large file lies in the page cache in whole large pages, where the system has such, as it does when mapped.
constexpr size_t kPart = size_t{2} << 20;
// Uncached writes are sent off and forgotten in parts of this size.
constexpr size_t kUncachedPart = size_t{16} << 20;
// What is no regular file (a pipe, a terminal) has no size to check first, and may never end.
constexpr size_t kMaximumStreamBytes = size_t{1} << 32;

std::string reason(int error) {
  return std::generic_category().message(error);
}

/// Begins to send the part that ends at `end` to the disk; waits for the one before, and forgets it. A file
/// system that cannot keeps its pages.
void forget_behind(int descriptor, off_t end) {
  const auto part = static_cast<off_t>(kUncachedPart);
  ::sync_file_range(descriptor, end - part, part, SYNC_FILE_RANGE_WRITE);
  if (end < 2 * part) return;
  const off_t before = end - 2 * part;
  ::sync_file_range(descriptor, before, part,
                    SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
  ::posix_fadvise(descriptor, before, part, POSIX_FADV_DONTNEED);
}

/// A descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return value_; }

 private:
  int value_;
};

int open_to_read(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) bad_input("{}: cannot be opened: {}", path, reason(errno));
  return descriptor;
}

struct stat status_of(int descriptor, const std::string& path) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) bad_input("{}: cannot be examined: {}", path, reason(errno));
  if (S_ISDIR(status.st_mode)) bad_input("{}: this is a folder, a file was expected", path);
  return status;
}

/// A write that failed is the disk's fault (kExhausted) when room or quota ran out, else the path's.
[[noreturn]] void fail_to_write(const std::string& path, int error) {
  const bool no_room = error == ENOSPC || error == EDQUOT || error == EFBIG;
  fail(no_room ? ErrorCode::kExhausted : ErrorCode::kBadInput, "{}: cannot be written: {}", path,
       reason(error));
}

std::string folder_of(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

/// Follows symbolic links, so that what they point at is replaced and not the link.
std::string resolved(const std::string& path) {
  std::error_code error;
  const std::filesystem::path real = std::filesystem::canonical(path, error);
  return error ? path : real.string();
}

std::string temporary_name(const std::string& path) {
  static std::atomic<uint64_t> next{0};
  return fmt::format("{}.partial-{}-{}", path, ::getpid(), next.fetch_add(1));
}

void sync_folder(const std::string& folder) {
  const Descriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // Some file systems cannot sync a folder; the file itself is safe by now.
  if (descriptor.get() >= 0) ::fsync(descriptor.get());
}

}  // namespace

MappedFile::MappedFile(const std::string& path) : path_(path) {
  const Descriptor descriptor(open_to_read(path));
  const struct stat status = status_of(descriptor.get(), path);
  if (!S_ISREG(status.st_mode)) bad_input("{}: this is not a regular file", path);
  size_ = static_cast<size_t>(status.st_size);
  if (size_ == 0) return;
  void* address = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, descriptor.get(), 0);
  if (address == MAP_FAILED) {
    fail(errno == ENOMEM ? ErrorCode::kExhausted : ErrorCode::kBadInput, "{}: cannot be mapped: {}", path,
         reason(errno));
  }
  const size_t size = size_;
  data_ = std::shared_ptr<const std::byte>(static_cast<const std::byte*>(address),
                                           [address, size](const std::byte*) { ::munmap(address, size); });
}

void want_large_pages(std::span<const std::byte> mapped) {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const uintptr_t from = reinterpret_cast<uintptr_t>(mapped.data()) / page * page;
  const uintptr_t to = reinterpret_cast<uintptr_t>(mapped.data()) + mapped.size();
  ::madvise(reinterpret_cast<void*>(from), to - from, MADV_HUGEPAGE);
}

std::string read_file(const std::string& path) {
  const Descriptor descriptor(open_to_read(path));
  const struct stat status = status_of(descriptor.get(), path);
  std::string content;
  // One byte more than the size, so that the end is seen without growing.
  size_t room = S_ISREG(status.st_mode) ? static_cast<size_t>(status.st_size) + 1 : kBufferBytes;
  size_t used = 0;
  while (true) {
    content.resize(used + room);
    const ssize_t got = ::read(descriptor.get(), content.data() + used, room);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) bad_input("{}: cannot be read: {}", path, reason(errno));
    if (got == 0) break;
    used += static_cast<size_t>(got);
    if (!S_ISREG(status.st_mode) && used > kMaximumStreamBytes) {
      bad_input("{}: more than {} bytes came and no end; give a regular file", path, kMaximumStreamBytes);
    }
    room = std::max(kBufferBytes, content.size() - used);
  }
  content.resize(used);
  return content;
}

bool file_exists(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && !S_ISDIR(status.st_mode);
}

bool name_exists(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0;
}

void require_regular_file(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) bad_input("{}: cannot be opened: {}", path, reason(errno));
  if (S_ISDIR(status.st_mode)) bad_input("{}: this is a folder, a file was expected", path);
  if (!S_ISREG(status.st_mode)) bad_input("{}: this is not a regular file", path);
}

bool is_directory(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

void make_directories(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) fail_to_write(path, error.value());
}

AtomicFile::AtomicFile(std::string path) : path_(resolved(path)) {
  struct stat status {};
  if (::stat(path_.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    if (S_ISDIR(status.st_mode)) bad_input("{}: this is a folder, a file was to be written", path_);
    // A device or a pipe cannot be replaced, only written to.
    in_place_ = true;
    descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
    if (descriptor_ < 0) fail_to_write(path_, errno);
    return;
  }
  // Without a name until `commit`, so that a killed process leaves nothing behind; not every file system can.
  if (::access("/proc/self/fd", X_OK) == 0) {
    descriptor_ = ::open(folder_of(path_).c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
  }
  if (descriptor_ < 0) {
    temporary_ = temporary_name(path_);
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ < 0) fail_to_write(path_, errno);
  }
}

AtomicFile::~AtomicFile() {
  discard();
}

void AtomicFile::discard() noexcept {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  temporary_.clear();
}

void AtomicFile::reserve(uint64_t bytes) {
  if (in_place_ || bytes == 0) return;
  if (::fallocate(descriptor_, FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(bytes)) == 0)
    reserved_ = bytes;
  else if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)
    fail_to_write(path_, errno);
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  if (descriptor_ < 0) failed("{}: written to after it was committed", path_);
  // What is missing to the end of the part that the buffer has begun.
  const size_t missing = (kPart - static_cast<size_t>(position_ % kPart)) % kPart;
  position_ += bytes.size();
  if (!buffer_.empty() && bytes.size() >= missing) {
    gather(bytes.first(missing));
    flush();
    bytes = bytes.subspan(missing);
  }
  if (buffer_.empty()) {
    const size_t begun = static_cast<size_t>(position_ % kPart);
    if (bytes.size() > begun) {
      write_through(bytes.first(bytes.size() - begun));
      bytes = bytes.last(begun);
    }
  }
  gather(bytes);
}

void AtomicFile::gather(std::span<const std::byte> bytes) {
  buffer_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

void AtomicFile::write(std::string_view text) {
  write(std::as_bytes(std::span(text)));
}

void AtomicFile::flush() {
  write_through(std::as_bytes(std::span(buffer_)));
  buffer_.clear();
}

void AtomicFile::write_through(std::span<const std::byte> bytes) {
  const bool uncached = UncachedWrites::wanted() && !in_place_;
  // Where the file ends, for the parts that are forgotten behind it.
  off_t end = uncached ? ::lseek(descriptor_, 0, SEEK_CUR) : 0;
  while (!bytes.empty()) {
    const size_t room = kUncachedPart - static_cast<size_t>(end) % kUncachedPart;
    const ssize_t written =
        ::write(descriptor_, bytes.data(), uncached ? std::min(bytes.size(), room) : bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_to_write(path_, errno);
    bytes = bytes.subspan(static_cast<size_t>(written));
    if (!uncached) continue;
    end += written;
    if (static_cast<size_t>(end) % kUncachedPart == 0) forget_behind(descriptor_, end);
  }
}

void AtomicFile::commit() {
  if (descriptor_ < 0) failed("{}: committed twice", path_);
  flush();
  if (in_place_) {
    discard();
    return;
  }
  if (reserved_ > position_ && ::ftruncate(descriptor_, static_cast<off_t>(position_)) != 0)
    fail_to_write(path_, errno);
  if (::fsync(descriptor_) != 0) fail_to_write(path_, errno);
  if (temporary_.empty()) {
    const std::string name = temporary_name(path_);
    const std::string handle = fmt::format("/proc/self/fd/{}", descriptor_);
    if (::linkat(AT_FDCWD, handle.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) != 0) {
      fail_to_write(path_, errno);
    }
    temporary_ = name;
  }
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail_to_write(path_, errno);
  temporary_.clear();
  discard();
  sync_folder(folder_of(path_));
}

void write_file(const std::string& path, std::string_view content) {
  AtomicFile file(path);
  file.write(content);
  file.commit();
}

}  // namespace martlet
