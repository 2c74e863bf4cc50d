#include "cli/writing_memory.h"

#include <algorithm>
#include <filesystem>

#include "base/error.h"
#include "base/files.h"
#include "base/human.h"
#include "base/process_memory.h"
#include "plan/memory_plan.h"
#include "tensor/allocator_limit.h"

namespace martlet::cli {

std::string folder_beside(const std::string& out) {
  const std::filesystem::path path = std::filesystem::absolute(out).lexically_normal();
  // "folder/" names the folder itself.
  std::string folder = (path.has_filename() ? path : path.parent_path()).parent_path().string();
  return is_directory(folder) ? folder : std::string();
}

WritingMemory::WritingMemory(std::string model, uint64_t memory) : model_(std::move(model)), memory_(memory) {
  if (memory == 0) return;
  keep_cached_memory_within(0);
  uncached_ = std::make_unique<UncachedWrites>();
}

void WritingMemory::require(int64_t part) const {
  if (memory_ == 0) return;
  const ProcessMemory now = process_memory();
  const int64_t program = now.anonymous + plan::kCode;
  // Reading the tokenizer may have taken more for a while.
  const int64_t least = std::max(now.peak, program + part + plan::kLeastSpare);
  if (least <= static_cast<int64_t>(std::min<uint64_t>(memory_, uint64_t{1} << 62))) return;
  const auto text = [](int64_t bytes) { return format_bytes(static_cast<uint64_t>(bytes)); };
  fail(ErrorCode::kExhausted,
       "{}: {} of memory are too little: the smallest that would do is {} ({} the program and what it holds, "
       "{} a part of a tensor, {} left alone)",
       model_, format_bytes(memory_), text(least), text(least - part - plan::kLeastSpare), text(part),
       text(plan::kLeastSpare));
}

std::function<void(int64_t part)> WritingMemory::check() const {
  return [this](int64_t part) { require(part); };
}

}  // namespace martlet::cli
