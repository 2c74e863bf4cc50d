#include "text/vocabulary.h"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

namespace martlet::text {

void Vocabulary::reserve(size_t tokens, size_t bytes) {
  bytes_.reserve(bytes);
  entries_.reserve(tokens);
  if (tokens * 3 > slots_.size() * 2) grow(std::bit_ceil(tokens * 3 / 2 + 16));
}

size_t Vocabulary::slot_of(std::string_view token, uint64_t hash) const {
  const size_t mask = slots_.size() - 1;
  const auto tag = static_cast<uint32_t>(hash);
  size_t at = home(hash);
  while (slots_[at].id != kNone) {
    if (slots_[at].tag == tag && this->token(slots_[at].id) == token) break;
    at = (at + 1) & mask;
  }
  return at;
}

void Vocabulary::grow(size_t slots) {
  std::vector<Slot> old = std::exchange(slots_, std::vector<Slot>(slots));
  for (const Slot& slot : old) {
    if (slot.id == kNone) continue;
    const std::string_view known = token(slot.id);
    slots_[slot_of(known, hash_bytes(known))] = slot;
  }
}

bool Vocabulary::add(std::string_view token, int64_t id) {
  return insert(token, hash_bytes(token), id, false);
}
bool Vocabulary::add_again(std::string_view token, int64_t id) {
  return insert(token, hash_bytes(token), id, true);
}

size_t Vocabulary::add_all(std::span<const std::string_view> tokens) {
  size_t bytes = bytes_.size();
  for (const std::string_view token : tokens) bytes += token.size();
  reserve(entries_.size() + tokens.size(), bytes);
  std::array<uint64_t, kBlock> hashes;
  for (size_t begin = 0; begin < tokens.size(); begin += kBlock) {
    const size_t count = std::min(kBlock, tokens.size() - begin);
    for (size_t i = 0; i < count; ++i) {
      hashes[i] = hash_bytes(tokens[begin + i]);
      __builtin_prefetch(&slots_[home(hashes[i])]);
    }
    for (size_t i = 0; i < count; ++i) {
      if (!insert(tokens[begin + i], hashes[i], size(), false)) return begin + i;
    }
  }
  return tokens.size();
}

bool Vocabulary::insert(std::string_view token, uint64_t hash, int64_t id, bool again) {
  if (id < 0 || id >= kIdLimit || has(id)) return false;
  if (static_cast<size_t>(count_ + 1) * 3 > slots_.size() * 2) grow(std::max<size_t>(64, slots_.size() * 2));
  const size_t at = slot_of(token, hash);
  if (slots_[at].id != kNone && !again) return false;
  if (id >= size()) entries_.resize(static_cast<size_t>(id) + 1);
  entries_[static_cast<size_t>(id)] = {bytes_.size(), static_cast<uint32_t>(token.size())};
  bytes_.append(token);
  slots_[at] = {static_cast<uint32_t>(hash), static_cast<int32_t>(id)};
  ++count_;
  return true;
}

int32_t Vocabulary::find(std::string_view token) const {
  if (slots_.empty()) return kNone;
  return slots_[slot_of(token, hash_bytes(token))].id;
}

void Vocabulary::find_all(std::span<const std::string_view> tokens, std::span<int32_t> ids) const {
  if (slots_.empty()) return std::fill(ids.begin(), ids.end(), kNone);
  std::array<uint64_t, kBlock> hashes;
  for (size_t begin = 0; begin < tokens.size(); begin += kBlock) {
    const size_t count = std::min(kBlock, tokens.size() - begin);
    for (size_t i = 0; i < count; ++i) {
      hashes[i] = hash_bytes(tokens[begin + i]);
      __builtin_prefetch(&slots_[home(hashes[i])]);
    }
    for (size_t i = 0; i < count; ++i) {
      const Slot& slot = slots_[home(hashes[i])];
      if (slot.id != kNone) __builtin_prefetch(&entries_[static_cast<size_t>(slot.id)]);
    }
    for (size_t i = 0; i < count; ++i) ids[begin + i] = slots_[slot_of(tokens[begin + i], hashes[i])].id;
  }
}

std::string_view Vocabulary::token(int64_t id) const {
  if (!has(id)) return {};
  const Entry& entry = entries_[static_cast<size_t>(id)];
  return std::string_view(bytes_).substr(entry.begin, entry.length);
}

PairTable::PairTable(size_t pairs) : slots_(std::bit_ceil(pairs * 2 + 16)), mask_(slots_.size() - 1) {}

void PairTable::set(int32_t left, int32_t right, uint32_t rank) {
  size_t at = home(left, right);
  while (slots_[at].rank != kNone && (slots_[at].left != left || slots_[at].right != right))
    at = (at + 1) & mask_;
  slots_[at] = {left, right, rank};
}

}  // namespace martlet::text
