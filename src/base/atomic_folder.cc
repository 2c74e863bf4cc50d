#include "base/atomic_folder.h"

#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

#include "base/error.h"
#include "base/files.h"

namespace martlet {
namespace {

namespace fs = std::filesystem;

constexpr mode_t kFolderMode = 0755;

void sync_folder(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::fsync(descriptor);
  ::close(descriptor);
}

[[noreturn]] void fail_to_make(const std::string& path, const char* what, int error) {
  fail(error == ENOSPC || error == EDQUOT ? ErrorCode::kExhausted : ErrorCode::kBadInput,
       "{}: the folder cannot be {}: {}", path, what, std::generic_category().message(error));
}

/// The path without trailing slashes, and the folder that holds it.
fs::path plain(const std::string& path) {
  fs::path result = fs::path(path).lexically_normal();
  return result.has_filename() ? result : result.parent_path();
}

}  // namespace

AtomicFolder::AtomicFolder(const std::string& path) : path_(plain(path).string()) {
  std::error_code error;
  if (fs::exists(path_, error) && !(fs::is_directory(path_, error) && fs::is_empty(path_, error)))
    bad_input("{}: this is there already; name a folder that does not exist yet", path_);
  const fs::path parent = fs::path(path_).parent_path();
  if (!parent.empty()) make_directories(parent.string());
  temporary_ = path_ + ".XXXXXX";
  if (::mkdtemp(temporary_.data()) == nullptr) {
    const int reason = errno;
    temporary_.clear();
    fail_to_make(path_, "made", reason);
  }
  ::chmod(temporary_.c_str(), kFolderMode);
}

AtomicFolder::~AtomicFolder() {
  std::error_code ignored;
  if (!temporary_.empty()) fs::remove_all(temporary_, ignored);
}

void AtomicFolder::commit() {
  sync_folder(temporary_);
  std::error_code error;
  fs::rename(temporary_, path_, error);
  if (error) fail_to_make(path_, "put in place", error.value());
  temporary_.clear();
  const fs::path parent = fs::path(path_).parent_path();
  sync_folder(parent.empty() ? fs::path(".") : parent);
}

}  // namespace martlet
