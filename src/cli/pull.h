#pragma once

#include <string>

namespace martlet::cli {

struct Pulled {
  std::string name;  ///< in the store
  std::string licence;
  bool was_there = false;  ///< nothing was fetched
};

/// Brings a model into the store: a short name, or what a source understands. `store_name` "" takes the
/// source's. What is there already, from the same place and not of this machine, is fetched only `again`.
/// Throws Error.
Pulled pull_model(const std::string& name, std::string store_name, bool again = false);

}  // namespace martlet::cli
