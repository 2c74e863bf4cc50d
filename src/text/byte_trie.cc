#include "text/byte_trie.h"

#include <algorithm>
#include <string>

namespace martlet::text {

uint32_t ByteTrie::find_base(const std::vector<unsigned char>& bytes) {
  // First fit. Places before `search_from_` are nearly all taken; it moves on when a long search found few
  // free ones.
  size_t tried = 0, taken = 0;
  for (size_t first = std::max(search_from_, size_t{bytes.front()} + 1);; ++first) {
    const size_t base = first - bytes.front();
    if (nodes_.size() < base + 512) nodes_.resize(std::max(base + 512, nodes_.size() * 2));
    ++tried;
    if (nodes_[first].parent != UINT32_MAX) {
      ++taken;
      continue;
    }
    const bool fits = std::all_of(bytes.begin(), bytes.end(), [&](unsigned char byte) {
      return nodes_[base + byte].parent == UINT32_MAX;
    });
    if (!fits) continue;
    if (tried > 32 && taken * 20 >= tried * 19) search_from_ = first;
    return static_cast<uint32_t>(base);
  }
}

ByteTrie::ByteTrie(std::vector<std::pair<std::string_view, int32_t>> entries) {
  std::stable_sort(entries.begin(), entries.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  nodes_.resize(512);
  nodes_[kRoot].parent = UINT32_MAX - 1;  // taken, and nobody's child
  std::vector<Range> waiting = {{0, entries.size(), 0, kRoot}};
  std::vector<unsigned char> bytes;
  while (!waiting.empty()) {
    Range range = waiting.back();
    waiting.pop_back();
    for (; range.begin < range.end && entries[range.begin].first.size() == range.depth; ++range.begin) {
      nodes_[range.node].value = entries[range.begin].second;
    }
    if (range.begin == range.end) continue;
    const auto byte_at = [&](size_t entry) {
      return static_cast<unsigned char>(entries[entry].first[range.depth]);
    };
    bytes.clear();
    for (size_t i = range.begin; i < range.end; ++i) {
      if (bytes.empty() || bytes.back() != byte_at(i)) bytes.push_back(byte_at(i));
    }
    const uint32_t base = find_base(bytes);
    nodes_[range.node].base = base;
    for (const unsigned char byte : bytes) nodes_[base + byte].parent = range.node;
    for (size_t begin = range.begin; begin < range.end;) {
      size_t end = begin;
      while (end < range.end && byte_at(end) == byte_at(begin)) ++end;
      waiting.push_back({begin, end, range.depth + 1, base + byte_at(begin)});
      begin = end;
    }
  }
  // Every base has 256 places behind it, so that `step` needs no bound.
  size_t last = 0;
  for (const Node& node : nodes_) last = std::max<size_t>(last, node.base);
  nodes_.resize(last + 256);
  nodes_.shrink_to_fit();
}

std::pair<size_t, int32_t> ByteTrie::longest(std::string_view text, uint32_t node) const {
  std::pair<size_t, int32_t> best = {0, kNone};
  for (size_t at = 0; at < text.size() && step(node, text[at]);) {
    ++at;
    if (value(node) != kNone) best = {at, value(node)};
  }
  return best;
}

}  // namespace martlet::text
