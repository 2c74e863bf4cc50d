#include "base/file_reader.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

#include "base/error.h"

namespace martlet {

FileReader::FileReader(std::string path, Way way) : path_(std::move(path)) {
  const int flags = O_RDONLY | O_CLOEXEC;
  if (way == Way::kPastCache) descriptor_ = ::open(path_.c_str(), flags | O_DIRECT);
  past_cache_ = descriptor_ >= 0;
  if (descriptor_ < 0) descriptor_ = ::open(path_.c_str(), flags);
  if (descriptor_ < 0) bad_input("{}: cannot be opened: {}", path_, std::generic_category().message(errno));
}

FileReader::~FileReader() {
  ::close(descriptor_);
}

uint64_t FileReader::inode() const {
  struct stat status {};
  return ::fstat(descriptor_, &status) == 0 ? status.st_ino : 0;
}

size_t FileReader::read(uint64_t offset, std::span<std::byte> bytes) const {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got =
        ::pread(descriptor_, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) bad_input("{}: cannot be read: {}", path_, std::generic_category().message(errno));
    if (got == 0) break;
    done += static_cast<size_t>(got);
    if (past_cache_ && got % kAlignment != 0) break;  // the end
  }
  return done;
}

bool mend_file(const std::string& path, uint64_t inode, uint64_t offset, std::span<const std::byte> bytes) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (descriptor < 0) return false;
  struct stat status {};
  bool good = ::fstat(descriptor, &status) == 0 && status.st_ino == inode;
  while (good && !bytes.empty()) {
    const ssize_t written = ::pwrite(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    good = written > 0;
    if (!good) break;
    bytes = bytes.subspan(static_cast<size_t>(written));
    offset += static_cast<uint64_t>(written);
  }
  good = good && ::fsync(descriptor) == 0;
  ::close(descriptor);
  return good;
}

}  // namespace martlet
