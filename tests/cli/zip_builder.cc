#include "zip_builder.h"

#include <cstdint>
#include <zlib.h>

namespace martlet::cli {
namespace {

void put(std::string& out, uint64_t value, int width) {
  for (int i = 0; i < width; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
}

std::string deflated(std::string text) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(text.data());
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(out.size() - stream.avail_out);
  deflateEnd(&stream);
  return out;
}

}  // namespace

std::string zip_of(const std::vector<NewMember>& members) {
  std::string file, list;
  for (const NewMember& member : members) {
    const std::string packed = member.deflated ? deflated(member.content) : member.content;
    const uint64_t offset = file.size();
    const uint64_t crc =
        crc32_z(0, reinterpret_cast<const Bytef*>(member.content.data()), member.content.size());
    std::string common;
    put(common, 20, 2), put(common, 0, 2), put(common, member.deflated ? 8 : 0, 2), put(common, 0, 4);
    put(common, crc, 4), put(common, packed.size(), 4), put(common, member.content.size(), 4);
    put(common, member.name.size(), 2), put(common, 0, 2);
    put(file, 0x04034b50, 4);
    file += common + member.name + packed;
    put(list, 0x02014b50, 4), put(list, 20, 2);
    list += common;
    put(list, 0, 6), put(list, 0, 4), put(list, offset, 4);
    list += member.name;
  }
  const uint64_t at = file.size();
  file += list;
  put(file, 0x06054b50, 4), put(file, 0, 4), put(file, members.size(), 2), put(file, members.size(), 2);
  put(file, list.size(), 4), put(file, at, 4), put(file, 0, 2);
  return file;
}

}  // namespace martlet::cli
