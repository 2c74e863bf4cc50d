#pragma once

// What a verb that writes a model as files may take of memory: a part of one tensor, whatever the model.

#include <functional>
#include <memory>
#include <string>

#include "base/uncached_writes.h"

namespace martlet::cli {

/// The folder of `out`, in which weights that opening makes may lie (models::OpenOptions::spill_folder);
/// empty where it is not there.
std::string folder_beside(const std::string& out);

/// While it lives, the process keeps within a budget as far as writing goes: nothing freed is held, and what
/// is written does not gather in the system's cache.
class WritingMemory {
 public:
  /// `memory`: of the process, in bytes; 0: as much as it wants, and nothing happens.
  WritingMemory(std::string model, uint64_t memory);

  /// Throws kExhausted, with the smallest memory that would do, where a part of a tensor that takes `part`
  /// bytes is more than the budget has left.
  void require(int64_t part) const;
  /// `require`, for models::SaveOptions and models::GgufSaveOptions; *this must outlive it.
  std::function<void(int64_t part)> check() const;

 private:
  std::string model_;
  uint64_t memory_;
  std::unique_ptr<UncachedWrites> uncached_;
};

}  // namespace martlet::cli
