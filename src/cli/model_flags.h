#pragma once

// The model that a verb works on, and the rewrites asked for on the command line.

#include <span>
#include <string>
#include <vector>

#include "cli/options.h"
#include "models/open.h"

namespace martlet::cli {

/// "low_rank", "rank=32", "cast", "to=bf16" as two requests. Throws kUsage for a word with '=' before the
/// first name.
std::vector<nn::RewriteRequest> rewrite_requests(std::span<const std::string> words);

/// The same of option values that each name a rewrite: "low_rank rank=32".
std::vector<nn::RewriteRequest> rewrites_of(std::span<const std::string> values);

struct ModelFlags {
  std::string model;                  ///< as it was given
  std::vector<std::string> rewrites;  ///< each "NAME KEY=VALUE ..."
  std::vector<std::string> skip;

  /// MODEL, --rewrite and --skip-rewrite.
  void declare(Options& options);
  /// The path that the model's name means. Throws as resolve_model does.
  std::string path() const;
  models::OpenOptions open_options() const;
};

/// Names of the rewrites that running a model with packed weights brings along.
std::vector<std::string> rewrites_of_packed();
/// Likewise one with bf16 weights, on this machine.
std::vector<std::string> rewrites_of_bf16();

/// What the model's rewrites gathered while it ran, as tables on standard error; nothing when there is none.
void show_rewrite_reports(const models::OpenModel& model);
/// One rewrite's report as a table, with the keys of its longest row as columns.
std::string report_table(const Json& rows);

}  // namespace martlet::cli
