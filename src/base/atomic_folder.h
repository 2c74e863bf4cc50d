#pragma once

#include <string>

namespace martlet {

/// A folder that appears under its name only when `commit` has succeeded: its files gather in a temporary
/// folder beside it, which is renamed after everything in it is on disk. Destroying it without commit leaves
/// nothing.
class AtomicFolder {
 public:
  /// Throws BadInput when `path` is there already and is not an empty folder.
  explicit AtomicFolder(const std::string& path);
  ~AtomicFolder();
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;

  /// Where to write the files.
  const std::string& path() const { return temporary_; }
  void commit();

 private:
  std::string path_;
  std::string temporary_;  // empty after commit
};

}  // namespace martlet
