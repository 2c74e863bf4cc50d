#pragma once

#include <cstdint>
#include <string_view>

namespace martlet {

/// The CRC of iSCSI (RFC 3720, appendix B.4): polynomial 0x1EDC6F41, reflected, begun and ended with all
/// ones.
uint32_t crc32c(std::string_view bytes);

}  // namespace martlet
