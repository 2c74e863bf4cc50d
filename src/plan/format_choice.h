#pragma once

// Which formats weights and keys and values get, so that a model runs within a budget of memory.
//
// Nothing changes that memory does not ask for: a model that fits as it is stays so. Else the plans that cost
// no more quality than was allowed are weighed, least loss first. One that loses more is taken only where it
// reads a fifth less from disk for every token, so that what fits whole comes before what is streamed, and
// keys and values are not rounded for a few megabytes.
//
// The choice depends on the model, the budget and the request alone. Measured speeds have no say, so that the
// same call gives the same reply on any day.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "plan/memory_plan.h"

namespace martlet::plan {

/// What may be changed.
struct FormatFreedom {
  double most_loss = 0;  ///< of quality, as plan/quality_loss.h counts it
  bool cache = false;    ///< keys and values may be rounded
  bool weights = false;  ///< unpacked matrices of blocks may be packed
};

struct Formats {
  std::string weights = {};                    ///< to which blocks are packed; empty: as they are
  std::optional<ops::CacheFormat> cache = {};  ///< nothing: as they are
  double loss = 0;

  bool change() const { return !weights.empty() || cache.has_value(); }
  /// "weights as they are, keys and values in q8".
  std::string to_string() const;
};

struct WeighedFormats {
  Formats formats;
  MemoryPlan plan;
};

struct FormatChoice {
  std::vector<WeighedFormats> weighed;  ///< by growing loss; the first is the model as it is
  size_t chosen = 0;
  double most_loss = 0;

  const WeighedFormats& best() const { return weighed[chosen]; }
  bool fits() const { return best().plan.fits(); }
  /// The smallest memory in which any plan of an allowed loss would do.
  int64_t least() const;
};

/// `tree`: as it was opened. `goal.memory`: the budget.
FormatChoice choose_formats(const std::shared_ptr<nn::Model>& tree, const RunGoal& goal,
                            const FormatFreedom& freedom);

/// One sentence for a choice of which nothing fits: what is needed for what, what would do, and the loss at
/// which something would fit.
std::string why_not(const FormatChoice& choice, const RunGoal& goal);

/// Why `weighed[index]` was not taken, or what it is when it was.
std::string verdict(const FormatChoice& choice, size_t index, const RunGoal& goal);

/// The rewrites that bring formats about, in order.
std::vector<nn::RewriteRequest> requests_of(const Formats& formats);

}  // namespace martlet::plan
