#pragma once

#include <string>

namespace martlet::cli {

/// Brings a model into the store: a short name, or what a source understands. `store_name` "" takes the
/// source's. Returns the name in the store. Throws Error.
struct Pulled {
  std::string name;
  std::string licence;
};
Pulled pull_model(const std::string& name, std::string store_name);

}  // namespace martlet::cli
