#pragma once

// A dry run: operations check, allocate and record as always, and compute nothing. What a whole step takes in
// memory is then what the allocator counted, and what it takes in time is the sum of the costs that its
// operations state, for any model and any rewrites. The planner forecasts with it.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ops/cost.h"
#include "tensor/shapes_only.h"

namespace martlet::ops {

/// Calls of one operation whose arithmetic is of one kind.
struct CostRow {
  std::string operation;
  std::string kind;  ///< of its arithmetic, see Cost
  int64_t calls = 0;
  Cost cost;           ///< of all calls
  bool states = true;  ///< false when the operation states no cost
};

/// While it lives, operations of this thread do as above. One at a time.
class DryRun {
 public:
  DryRun();
  ~DryRun();
  DryRun(const DryRun&) = delete;
  DryRun& operator=(const DryRun&) = delete;

  /// This thread's; null when there is none.
  static DryRun* current();

  void add(std::string_view operation, const Cost& cost);
  /// An operation that states no cost.
  void add_unknown(std::string_view operation);
  /// In the order in which they were first called; then what tensors themselves filled and copied.
  std::vector<CostRow> rows() const;

 private:
  CostRow& row_of(std::string_view operation, std::string_view kind);

  ShapesOnly shapes_;
  std::vector<CostRow> rows_;
};

}  // namespace martlet::ops
