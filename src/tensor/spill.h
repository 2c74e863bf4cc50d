#pragma once

// Weights that are made on the way to others and need not stay in memory meanwhile.

#include <cstdint>
#include <memory>
#include <string>

namespace martlet {

/// While it lives, blocks of a mebibyte and more that this thread allocates for weights (OwnerScope) lie in a
/// file without a name in `folder`, mapped: the system writes them there and uses their memory for others
/// when it must, and all but the newest are handed to it at once. They count as no memory of the allocator's.
/// Where the folder cannot be made or the disk is full, blocks come from memory as ever. Scopes nest.
class SpillScope {
 public:
  explicit SpillScope(const std::string& folder);
  ~SpillScope();
  SpillScope(const SpillScope&) = delete;
  SpillScope& operator=(const SpillScope&) = delete;

 private:
  class File;
  friend std::shared_ptr<std::byte> spilled(int64_t bytes);

  std::shared_ptr<File> file_;  // null where there is none
  SpillScope* before_;
};

/// A block from the file of this thread's innermost scope; null without one, or where the disk is full.
std::shared_ptr<std::byte> spilled(int64_t bytes);

}  // namespace martlet
