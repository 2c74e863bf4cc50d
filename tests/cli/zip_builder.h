#pragma once

#include <string>
#include <vector>

namespace martlet::cli {

struct NewMember {
  std::string name, content;
  bool deflated = true;
};

/// A zip archive, as a text.
std::string zip_of(const std::vector<NewMember>& members);

}  // namespace martlet::cli
