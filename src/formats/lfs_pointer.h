#pragma once

#include <cstddef>
#include <span>

namespace martlet::formats {

/// Throws BadInput when the bytes are the small text that git leaves in place of a large file which was not
/// downloaded.
void refuse_lfs_pointer(std::span<const std::byte> bytes);

}  // namespace martlet::formats
