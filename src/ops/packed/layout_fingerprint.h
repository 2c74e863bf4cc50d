#pragma once

#include <string>

namespace martlet::ops {

/// What interleaving makes of bytes that are always the same, format by format: two programs with equal
/// fingerprints lay weights out alike, whatever was changed in between. Microseconds.
std::string interleaved_layout_fingerprint();

}  // namespace martlet::ops
