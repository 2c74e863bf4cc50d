#include "base/crc32c.h"

#include <array>

namespace martlet {
namespace {

constexpr uint32_t kReflectedPolynomial = 0x82F63B78;

constexpr std::array<uint32_t, 256> make_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? kReflectedPolynomial : 0);
    table[byte] = value;
  }
  return table;
}

constexpr std::array<uint32_t, 256> kTable = make_table();

uint32_t extended(uint32_t value, std::string_view bytes) {
  for (const char byte : bytes) value = (value >> 8) ^ kTable[(value ^ static_cast<uint8_t>(byte)) & 0xFF];
  return value;
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  return ~extended(~uint32_t{0}, bytes);
}

uint32_t crc32c_of_word(uint32_t before, const char* bytes) {
  return extended(before, {bytes, 8});
}

}  // namespace martlet
