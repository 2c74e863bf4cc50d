#pragma once

namespace martlet {

/// While it lives, what this thread writes to files (AtomicFile) does not stay in the system's page cache:
/// each part is sent to the disk and forgotten while the next one is written. For large files that nobody
/// reads soon: finding new pages for gigabytes costs the processor several times what copying into the same
/// few megabytes again does, and other files keep their place in the cache. Scopes nest.
class UncachedWrites {
 public:
  UncachedWrites();
  ~UncachedWrites();
  UncachedWrites(const UncachedWrites&) = delete;
  UncachedWrites& operator=(const UncachedWrites&) = delete;

  /// Whether this thread's writes are such now.
  static bool wanted();
};

}  // namespace martlet
