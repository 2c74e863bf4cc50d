#pragma once

#include <cstdint>
#include <string_view>

namespace martlet {

/// The CRC of iSCSI (RFC 3720, appendix B.4): polynomial 0x1EDC6F41, reflected, begun and ended with all
/// ones.
uint32_t crc32c(std::string_view bytes);
/// One step of it: the register after eight more bytes, neither begun nor ended.
uint32_t crc32c_of_word(uint32_t before, const char* bytes);

}  // namespace martlet
