#include "cli/sources/zip.h"

#include <algorithm>
#include <array>
#include <optional>
#include <zlib.h>

#include "base/error.h"
#include "base/interrupt.h"

namespace martlet::cli {
namespace {

// Signatures and fixed sizes of records, from PKWARE's APPNOTE.TXT sections 4.3.7, 4.3.12 and 4.3.16.
constexpr uint32_t kLocalSignature = 0x04034b50;
constexpr uint32_t kCentralSignature = 0x02014b50;
constexpr uint32_t kEndSignature = 0x06054b50;
constexpr size_t kLocalSize = 30, kCentralSize = 46, kEndSize = 22;
constexpr size_t kMaximumComment = 65535;
constexpr uint32_t kIn64BitRecord = 0xffffffff;

constexpr size_t kChunk = size_t{1} << 20;

uint32_t little(std::span<const std::byte> bytes, size_t offset, size_t width) {
  uint32_t value = 0;
  for (size_t i = 0; i < width; ++i) value |= std::to_integer<uint32_t>(bytes[offset + i]) << (8 * i);
  return value;
}

std::optional<size_t> find_end(std::span<const std::byte> bytes) {
  if (bytes.size() < kEndSize) return std::nullopt;
  const size_t last = bytes.size() - kEndSize;
  const size_t first = last > kMaximumComment ? last - kMaximumComment : 0;
  for (size_t at = last + 1; at-- > first;)
    if (little(bytes, at, 4) == kEndSignature) return at;
  return std::nullopt;
}

struct Inflater {
  z_stream stream{};
  // Negative window bits: raw deflate without zlib's own header.
  Inflater() {
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) throw std::bad_alloc();
  }
  ~Inflater() { inflateEnd(&stream); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
};

/// Calls `take` with the pieces of the unpacked member; false when the stream is damaged or passes `limit`.
template <typename Take>
bool inflate_all(std::span<const std::byte> packed, uint64_t limit, Take&& take) {
  Inflater inflater;
  z_stream& stream = inflater.stream;
  std::vector<std::byte> out(kChunk);
  uint64_t produced = 0;
  int status = Z_OK;
  while (status != Z_STREAM_END) {
    throw_if_interrupted();
    if (stream.avail_in == 0) {
      if (packed.empty()) return false;
      const std::span<const std::byte> piece = packed.first(std::min(packed.size(), kChunk));
      packed = packed.subspan(piece.size());
      // zlib's interface predates const; it does not write its input.
      stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(piece.data()));
      stream.avail_in = static_cast<uInt>(piece.size());
    }
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    status = inflate(&stream, Z_NO_FLUSH);
    if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR) return false;
    const size_t got = out.size() - stream.avail_out;
    produced += got;
    if (produced > limit) return false;
    take(std::span<const std::byte>(out.data(), got));
  }
  return true;
}

}  // namespace

ZipArchive::ZipArchive(const std::string& path) : file_(path) {
  const std::span<const std::byte> bytes = file_.bytes();
  const std::optional<size_t> end = find_end(bytes);
  if (!end) bad_input("{}: not a zip archive, or cut short", path);
  const uint64_t count = little(bytes, *end + 10, 2);
  uint64_t at = little(bytes, *end + 16, 4);
  if (at == kIn64BitRecord || count == 0xffff)
    bad_input("{}: archives of the 64-bit zip form are not read", path);
  for (uint64_t i = 0; i < count; ++i) {
    if (at + kCentralSize > *end || little(bytes, at, 4) != kCentralSignature)
      bad_input("{}: the list of members is damaged at byte {}", path, at);
    ZipMember member;
    member.method = static_cast<uint16_t>(little(bytes, at + 10, 2));
    member.crc = little(bytes, at + 16, 4);
    member.packed_size = little(bytes, at + 20, 4);
    member.size = little(bytes, at + 24, 4);
    member.header_offset = little(bytes, at + 42, 4);
    const uint64_t name_size = little(bytes, at + 28, 2);
    const uint64_t next =
        at + kCentralSize + name_size + little(bytes, at + 30, 2) + little(bytes, at + 32, 2);
    if (next > *end) bad_input("{}: the list of members is damaged at byte {}", path, at);
    for (const std::byte c : bytes.subspan(at + kCentralSize, name_size))
      member.name.push_back(std::to_integer<char>(c));
    members_.push_back(std::move(member));
    at = next;
  }
}

void ZipArchive::extract(const ZipMember& member, AtomicFile& out) const {
  const std::span<const std::byte> bytes = file_.bytes();
  const uint64_t at = member.header_offset;
  if (member.size == kIn64BitRecord || member.packed_size == kIn64BitRecord)
    bad_input("{}: {} is in the 64-bit zip form, which is not read", file_.path(), member.name);
  if (at + kLocalSize > bytes.size() || little(bytes, at, 4) != kLocalSignature)
    bad_input("{}: the header of {} is damaged", file_.path(), member.name);
  const uint64_t begin = at + kLocalSize + little(bytes, at + 26, 2) + little(bytes, at + 28, 2);
  if (begin > bytes.size() || member.packed_size > bytes.size() - begin)
    bad_input("{}: {} reaches past the end of the archive", file_.path(), member.name);
  const std::span<const std::byte> packed = bytes.subspan(begin, member.packed_size);

  uint64_t got = 0;
  uLong crc = crc32(0, nullptr, 0);
  const auto take = [&](std::span<const std::byte> piece) {
    crc = crc32_z(crc, reinterpret_cast<const Bytef*>(piece.data()), piece.size());
    got += piece.size();
    out.write(piece);
  };
  bool whole = true;
  if (member.method == 8) {
    whole = inflate_all(packed, member.size, take);
  } else if (member.method == 0) {
    for (std::span<const std::byte> rest = packed; !rest.empty();) {
      throw_if_interrupted();
      const size_t size = std::min(rest.size(), kChunk);
      take(rest.first(size));
      rest = rest.subspan(size);
    }
  } else {
    bad_input("{}: {} is packed by method {}; stored and deflate are read", file_.path(), member.name,
              member.method);
  }
  if (!whole || got != member.size || crc != member.crc)
    bad_input("{}: {} is damaged (length or CRC differ from the archive's list)", file_.path(), member.name);
}

}  // namespace martlet::cli
