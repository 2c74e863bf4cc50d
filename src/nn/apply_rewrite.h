#pragma once

// The one function that applies rewrites, whatever they are, and the record of what it did.

#include <optional>
#include <string>
#include <vector>

#include "nn/rewrite.h"

namespace martlet::nn {

/// What somebody asks for: a name and its arguments as a table.
struct RewriteRequest {
  std::string name;
  Json arguments = Json::Object{};
};

/// One rewrite as it was applied, or skipped.
struct AppliedRewrite {
  const Rewrite* rewrite;
  Arguments arguments;
  bool skipped = false;
  std::vector<std::string> changed = {};  ///< paths
  TreeSize before = {};
  TreeSize after = {};
  double seconds = 0;

  /// "low_rank pattern=layers.* rank=32: 14 modules, 134.5M parameters in 513.1 MiB to 98.2M in 374.6 MiB".
  std::string to_string() const;
};

using RewriteHistory = std::vector<AppliedRewrite>;

struct ApplyOptions {
  const SavedTensors* saved = nullptr;                      ///< see RewriteContext
  std::vector<std::string> skip;                            ///< names of rewrites to leave out
  std::function<void(const Tensor& replaced)> forget = {};  ///< see RewriteContext
  std::function<std::optional<uint32_t>(std::string_view path)> checksum = {};  ///< see RewriteContext
  std::function<void(std::string_view path, const Tensor& bytes)> remake = {};  ///< see RewriteContext
  std::function<void(std::span<const MadeWeight> weights)> make = {};           ///< see RewriteContext
};

/// Applies one rewrite to the tree and adds it to the history: checks its name, its arguments, and that it
/// may stand after those before; times it; checks the tree after it (nn/tree_check.h). Throws BadInput when
/// it cannot be applied; the tree may then be half changed and must be thrown away.
void apply_rewrite(const ModulePtr& root, const RewriteRequest& request, RewriteCatalogue catalogue,
                   RewriteHistory& history, const ApplyOptions& options = {});

/// What the applied rewrites' modules gathered: {name: report}; null when there is nothing.
Json rewrite_reports(const ModulePtr& root, const RewriteHistory& history);

}  // namespace martlet::nn
