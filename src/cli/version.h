#pragma once

#include <string_view>

namespace martlet::cli {

/// The program's version and, where it was built in a clone, the commit: "0.1.0 (04bdc3d)", with "-dirty" for
/// changes that were not committed. Made by cmake/Version.cmake at every build.
std::string_view code_version();

}  // namespace martlet::cli
