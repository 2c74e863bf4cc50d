#include "text/word_counts.h"

#include <algorithm>

#include "base/error.h"
#include "text/vocabulary.h"

namespace martlet::text {

void WordCounts::grow() {
  slots_.assign(std::max<size_t>(1024, slots_.size() * 2), kFree);
  const size_t mask = slots_.size() - 1;
  for (size_t i = 0; i < entries_.size(); ++i) {
    size_t at = hash_bytes(word(i)) >> 32 & mask;
    while (slots_[at] != kFree) at = (at + 1) & mask;
    slots_[at] = static_cast<uint32_t>(i);
  }
}

void WordCounts::add(std::string_view word, int64_t count) {
  if ((entries_.size() + 1) * 2 > slots_.size()) grow();
  const uint64_t hash = hash_bytes(word);
  const auto tag = static_cast<uint32_t>(hash);
  const size_t mask = slots_.size() - 1;
  size_t at = hash >> 32 & mask;
  for (; slots_[at] != kFree; at = (at + 1) & mask) {
    Entry& entry = entries_[slots_[at]];
    if (entry.tag == tag && this->word(slots_[at]) == word) {
      entry.count += count;
      return;
    }
  }
  if (entries_.size() == kFree) fail(ErrorCode::kExhausted, "there are more than {} distinct words", kFree);
  slots_[at] = static_cast<uint32_t>(entries_.size());
  entries_.push_back({bytes_.size(), count, static_cast<uint32_t>(word.size()), tag});
  bytes_.append(word);
}

void WordCounts::add(const WordCounts& other) {
  for (size_t i = 0; i < other.size(); ++i) add(other.word(i), other.count(i));
}

}  // namespace martlet::text
