#include "tensor/spill.h"

#include <fcntl.h>
#include <filesystem>
#include <sys/mman.h>
#include <unistd.h>

namespace martlet {
namespace {

constexpr int64_t kPage = 4096;

thread_local SpillScope* innermost = nullptr;

}  // namespace

/// Grows by a block at its end; a block that is given back leaves a hole. Blocks keep it alive.
class SpillScope::File : public std::enable_shared_from_this<File> {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  ~File() { ::close(descriptor_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  std::shared_ptr<std::byte> take(int64_t bytes) {
    const int64_t size = (bytes + kPage - 1) / kPage * kPage;
    const int64_t begin = end_;
    // Reserved, so that no write to the mapping finds the disk full.
    if (::fallocate(descriptor_, 0, begin, size) != 0) return nullptr;
    void* data =
        ::mmap(nullptr, static_cast<size_t>(size), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_, begin);
    if (data == MAP_FAILED) return nullptr;
    end_ += size;
    hand_over();
    const std::shared_ptr<std::byte> block(
        static_cast<std::byte*>(data), [file = shared_from_this(), begin, size](std::byte* at) {
          ::munmap(at, static_cast<size_t>(size));
          ::fallocate(file->descriptor_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, begin, size);
        });
    newest_ = block;
    newest_begin_ = begin;
    newest_size_ = size;
    return block;
  }

 private:
  /// The one before has its values by now: the disk may begin to write it, and this process lets go of it.
  void hand_over() {
    const std::shared_ptr<std::byte> block = newest_.lock();
    if (block == nullptr) return;
    ::sync_file_range(descriptor_, newest_begin_, newest_size_, SYNC_FILE_RANGE_WRITE);
    ::madvise(block.get(), static_cast<size_t>(newest_size_), MADV_DONTNEED);
  }

  int descriptor_;
  int64_t end_ = 0;
  std::weak_ptr<std::byte> newest_;
  int64_t newest_begin_ = 0;
  int64_t newest_size_ = 0;
};

SpillScope::SpillScope(const std::string& folder) : before_(innermost) {
  innermost = this;
  std::error_code ignored;
  std::filesystem::create_directories(folder, ignored);
  const int descriptor = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (descriptor >= 0) file_ = std::make_shared<File>(descriptor);
}

SpillScope::~SpillScope() {
  innermost = before_;
}

std::shared_ptr<std::byte> spilled(int64_t bytes) {
  return innermost == nullptr || innermost->file_ == nullptr ? nullptr : innermost->file_->take(bytes);
}

}  // namespace martlet
