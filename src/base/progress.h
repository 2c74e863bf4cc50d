#pragma once

#include <cstdint>
#include <string_view>

namespace martlet {

/// Long work reports through this; `cli` draws it, a library user may pass their own. Calls come from one
/// thread.
class Progress {
 public:
  virtual ~Progress() = default;
  /// `total` is 0 when unknown. `unit` is "B" for bytes, else a plural noun.
  virtual void start(std::string_view what, uint64_t total, std::string_view unit) = 0;
  virtual void advance(uint64_t done_now) = 0;
  virtual void finish() = 0;
};

/// Reports nowhere.
Progress& no_progress();

}  // namespace martlet
