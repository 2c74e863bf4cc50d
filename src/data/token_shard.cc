#include "data/token_shard.h"

#include <bit>
#include <cstring>

#include "base/error.h"

namespace martlet::data {
namespace {

static_assert(std::endian::native == std::endian::little, "shards are mapped as they are");

constexpr char kMagic[8] = {'M', 'a', 'r', 't', 'l', 'e', 't', 'T'};
constexpr uint32_t kVersion = 1;
constexpr uint32_t kHasMask = 1;
constexpr int64_t kNarrowVocabulary = 65536;

struct Header {
  char magic[8];
  uint32_t version;
  uint32_t id_bytes;
  uint32_t flags;
  uint32_t padding;
  uint64_t documents;
  uint64_t tokens;
  uint64_t vocabulary_hash[2];
  uint64_t checksum[2];
  uint64_t header_checksum[2];
};
static_assert(sizeof(Header) == 88);

Hash128 checksum_of(const Header& header) {
  return hash128(std::as_bytes(std::span(&header, 1)).first(offsetof(Header, header_checksum)));
}

uint64_t padded(uint64_t bytes) {
  return (bytes + 7) / 8 * 8;
}

Header header_of(const MappedFile& file) {
  const std::span<const std::byte> bytes = file.bytes();
  Header header{};
  if (bytes.size() < sizeof header)
    bad_input("{}: a token shard has {} bytes at least", file.path(), sizeof header);
  std::memcpy(&header, bytes.data(), sizeof header);
  if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0)
    bad_input("{}: this is no token shard", file.path());
  if (header.version != kVersion)
    bad_input("{}: this token shard has version {}, and this program reads {}", file.path(), header.version,
              kVersion);
  if (checksum_of(header) != Hash128{header.header_checksum[0], header.header_checksum[1]})
    bad_input("{}: the token shard's header is damaged; make the shard again", file.path());
  if (header.id_bytes != 2 && header.id_bytes != 4)
    bad_input("{}: ids have 2 or 4 bytes, not {}", file.path(), header.id_bytes);
  return header;
}

/// A part of the file as numbers; the sizes were compared before.
template <typename Number>
std::span<const Number> part(std::span<const std::byte> bytes, uint64_t offset, uint64_t count) {
  return {reinterpret_cast<const Number*>(bytes.data() + offset), static_cast<size_t>(count)};
}

}  // namespace

TokenShard::TokenShard(const std::string& path) : file_(path) {
  const Header header = header_of(file_);
  const std::span<const std::byte> bytes = file_.bytes();
  // Each count is bounded by the size first, so that no sum below overflows.
  const uint64_t size = bytes.size();
  const bool has_mask = (header.flags & kHasMask) != 0;
  const bool plausible = header.documents <= size / 8 && header.tokens <= size / header.id_bytes;
  const uint64_t ids_at = sizeof(Header) + (plausible ? header.documents * 8 : 0);
  const uint64_t mask_at = ids_at + (plausible ? padded(header.tokens * header.id_bytes) : 0);
  const uint64_t mask_bytes = plausible && has_mask ? (header.tokens + 7) / 8 : 0;
  if (!plausible || mask_at + padded(mask_bytes) != size)
    bad_input("{}: the token shard has {} bytes, which do not fit its header; it may be cut", path, size);
  checksum_ = hash128(bytes.subspan(sizeof(Header)));
  if (checksum_ != Hash128{header.checksum[0], header.checksum[1]})
    bad_input("{}: the token shard is damaged (its checksum differs); make it again", path);
  vocabulary_hash_ = {header.vocabulary_hash[0], header.vocabulary_hash[1]};
  tokens_ = static_cast<int64_t>(header.tokens);
  ends_ = part<uint64_t>(bytes, sizeof(Header), header.documents);
  uint64_t before = 0;
  for (const uint64_t end : ends_) {
    if (end < before || end > header.tokens) bad_input("{}: the token shard's documents overlap", path);
    before = end;
  }
  if (before != header.tokens) bad_input("{}: the token shard has tokens outside of its documents", path);
  if (header.id_bytes == 2)
    narrow_ = part<uint16_t>(bytes, ids_at, header.tokens);
  else
    wide_ = part<uint32_t>(bytes, ids_at, header.tokens);
  for (const uint32_t id : wide_)
    if (id > INT32_MAX) bad_input("{}: {} is not a token id", path, id);
  if (has_mask) mask_ = part<uint8_t>(bytes, mask_at, mask_bytes);
}

TokenShardWriter::TokenShardWriter(int64_t vocabulary, Hash128 vocabulary_hash)
    : wide_(vocabulary == 0 || vocabulary > kNarrowVocabulary), vocabulary_hash_(vocabulary_hash) {}

void TokenShardWriter::add(const EncodedDocument& document) {
  int64_t token = tokens();
  if (!with_mask_ && !document.learns.empty()) {
    // All before it is learnt.
    with_mask_ = true;
    mask_.assign(static_cast<size_t>(token / 8), 0xFF);
    if (token % 8 != 0) mask_.push_back(static_cast<uint8_t>((1u << (token % 8)) - 1));
  }
  if (with_mask_) mask_.resize((static_cast<size_t>(token) + document.ids.size() + 7) / 8, 0);
  for (size_t i = 0; i < document.ids.size(); ++i, ++token) {
    if (wide_)
      wide_ids_.push_back(static_cast<uint32_t>(document.ids[i]));
    else
      narrow_ids_.push_back(static_cast<uint16_t>(document.ids[i]));
    if (with_mask_ && (document.learns.empty() || document.learns[i] != 0))
      mask_[static_cast<size_t>(token / 8)] |= static_cast<uint8_t>(1u << (token % 8));
  }
  ends_.push_back(static_cast<uint64_t>(token));
}

Hash128 TokenShardWriter::write(const std::string& path) {
  std::string body;
  const auto append = [&](const auto& numbers) {
    const std::span<const std::byte> bytes = std::as_bytes(std::span(numbers));
    body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    body.resize(padded(body.size()), '\0');
  };
  append(ends_);
  if (wide_)
    append(wide_ids_);
  else
    append(narrow_ids_);
  if (with_mask_) append(mask_);
  const Hash128 checksum = hash128(body);
  Header header{};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.version = kVersion;
  header.id_bytes = wide_ ? 4 : 2;
  header.flags = with_mask_ ? kHasMask : 0;
  header.documents = ends_.size();
  header.tokens = static_cast<uint64_t>(tokens());
  header.vocabulary_hash[0] = vocabulary_hash_.low;
  header.vocabulary_hash[1] = vocabulary_hash_.high;
  header.checksum[0] = checksum.low;
  header.checksum[1] = checksum.high;
  const Hash128 own = checksum_of(header);
  header.header_checksum[0] = own.low;
  header.header_checksum[1] = own.high;
  AtomicFile file(path);
  file.write(std::as_bytes(std::span(&header, 1)));
  file.write(body);
  file.commit();
  ends_.clear();
  narrow_ids_.clear();
  wide_ids_.clear();
  mask_.clear();
  with_mask_ = false;
  return checksum;
}

}  // namespace martlet::data
