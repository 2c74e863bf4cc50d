#include "formats/byte_reader.h"

#include "base/error.h"

namespace martlet::formats {

std::span<const std::byte> ByteReader::take(uint64_t count, std::string_view what) {
  if (count > remaining())
    bad_input("{} at byte {} takes {} bytes, but only {} are left; the file is cut or damaged", what,
              position_, count, remaining());
  const std::span<const std::byte> taken = bytes_.subspan(position_, count);
  position_ += count;
  return taken;
}

void ByteReader::expect_room(uint64_t count, uint64_t least, std::string_view what) const {
  if (count > remaining() / least)
    bad_input("{} {} announced at byte {} cannot fit in the {} bytes left; the file is cut or damaged", count,
              what, position_, remaining());
}

}  // namespace martlet::formats
