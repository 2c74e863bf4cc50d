#include "data/token_set.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "base/fields.h"
#include "base/json.h"

namespace martlet::data {

std::string text_of(Hash128 hash) {
  return fmt::format("{:016x}{:016x}", hash.high, hash.low);
}

Hash128 hash_of_text(const std::string& text) {
  Hash128 hash;
  const char* middle = text.data() + 16;
  const bool sized = text.size() == 32;
  if (!sized || std::from_chars(text.data(), middle, hash.high, 16).ptr != middle ||
      std::from_chars(middle, middle + 16, hash.low, 16).ptr != middle + 16)
    bad_input("'{}' is no checksum of 32 hexadecimal digits", text);
  return hash;
}

bool is_token_set(const std::string& folder) {
  return file_exists(folder + "/" + kTokenSetList);
}

TokenSet TokenSet::open(const std::string& folder) {
  if (!is_token_set(folder))
    bad_input("{}: there is no {} in this folder; `martlet data tokens` makes one", folder, kTokenSetList);
  const std::string path = folder + "/" + kTokenSetList;
  const Json list = Json::parse_file(path);
  if (!list.is_object()) bad_input("{}: must hold a table, not {}", path, list.kind_name());
  const Fields fields(list, path);
  TokenSet set;
  set.vocabulary_size_ = fields.integer("vocabulary_size");
  const Json* shards = fields.value("shards");
  if (shards == nullptr || !shards->is_array() || shards->array().empty())
    bad_input("{}: 'shards' must be a list of one shard or more", path);
  for (const Json& entry : shards->array()) {
    if (!entry.is_object()) bad_input("{}: a shard must be a table, not {}", path, entry.kind_name());
    const Fields shard_fields(entry, path);
    const std::string name = shard_fields.text("file");
    if (name.empty() || name.find('/') != std::string::npos)
      bad_input("{}: '{}' is no file of this folder", path, name);
    auto shard = std::make_shared<const TokenShard>(folder + "/" + name);
    if (shard->checksum() != hash_of_text(shard_fields.text("checksum")))
      bad_input("{}/{}: this is another shard than the one that {} lists", folder, name, kTokenSetList);
    const bool first = set.shards_.empty();
    if (!first && shard->vocabulary_hash() != set.vocabulary_hash_)
      bad_input("{}/{}: this shard was made with another tokenizer than the first", folder, name);
    set.vocabulary_hash_ = shard->vocabulary_hash();
    set.has_mask_ = set.has_mask_ || shard->has_mask();
    set.tokens_ += shard->tokens();
    set.first_document_.push_back(set.first_document_.back() + shard->documents());
    set.shards_.push_back(std::move(shard));
  }
  return set;
}

Hash128 TokenSet::content_hash() const {
  std::string checksums;
  for (const auto& shard : shards_) checksums += text_of(shard->checksum());
  return hash128(checksums);
}

int64_t TokenSet::mapped_bytes() const {
  int64_t bytes = 0;
  for (const auto& shard : shards_) bytes += shard->mapped_bytes();
  return bytes;
}

TokenSet::Place TokenSet::place(int64_t document) const {
  const auto after = std::upper_bound(first_document_.begin(), first_document_.end(), document);
  const auto shard = static_cast<size_t>(after - first_document_.begin()) - 1;
  return {shards_[shard].get(), document - first_document_[shard]};
}

int64_t TokenSet::length(int64_t document) const {
  const Place at = place(document);
  return at.shard->end(at.document) - at.shard->begin(at.document);
}

void TokenSet::read(int64_t document, int64_t begin, int64_t end, std::vector<int32_t>& ids) const {
  const Place at = place(document);
  const int64_t first = at.shard->begin(at.document);
  for (int64_t token = first + begin; token < first + end; ++token) ids.push_back(at.shard->id(token));
}

bool TokenSet::learns(int64_t document, int64_t token) const {
  const Place at = place(document);
  return at.shard->learns(at.shard->begin(at.document) + token);
}

}  // namespace martlet::data
