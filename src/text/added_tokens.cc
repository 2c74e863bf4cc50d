#include "text/added_tokens.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <utility>

#include "text/unicode.h"

namespace martlet::text {

namespace {

bool ends_with_word(std::string_view text) {
  return !text.empty() &&
         code_points().has(
             character_at(text.data() + text.size() - character_length_before(text, text.size())).value,
             kWord);
}

bool begins_with_word(std::string_view text) {
  return !text.empty() && code_points().has(character_at(text.data()).value, kWord);
}

/// Where the white space at the end of text[0, end) begins.
size_t before_spaces(std::string_view text, size_t end) {
  while (end > 0) {
    const uint32_t length = character_length_before(text, end);
    if (!code_points().has(character_at(text.data() + end - length).value, kSpace)) break;
    end -= length;
  }
  return end;
}

size_t after_spaces(std::string_view text, size_t at) {
  while (at < text.size() && code_points().has(character_at(text.data() + at).value, kSpace))
    at += character_length(text[at]);
  return at;
}

}  // namespace

AddedTokens::Finder::Finder(const std::vector<std::pair<std::string_view, int32_t>>& entries)
    : trie(entries) {
  for (const auto& [token, place] : entries) lengths.push_back(token.size());
  std::sort(lengths.begin(), lengths.end(), std::greater<>());
  lengths.erase(std::unique(lengths.begin(), lengths.end()), lengths.end());
}

AddedTokens::AddedTokens(std::vector<AddedToken> tokens,
                         const std::function<std::string(std::string_view)>& normalise, MatchOrder order)
    : tokens_(std::move(tokens)), order_(order) {
  std::sort(tokens_.begin(), tokens_.end(),
            [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
  std::vector<std::pair<std::string_view, int32_t>> raw, normalized;
  forms_.reserve(tokens_.size());
  for (const AddedToken& token : tokens_)
    forms_.push_back(token.normalized ? normalise(token.content) : token.content);
  for (size_t i = 0; i < tokens_.size(); ++i) {
    if (forms_[i].empty()) continue;
    (tokens_[i].normalized ? normalized : raw).emplace_back(forms_[i], static_cast<int32_t>(i));
  }
  by_content_.resize(tokens_.size());
  std::iota(by_content_.begin(), by_content_.end(), 0);
  std::sort(by_content_.begin(), by_content_.end(),
            [this](uint32_t a, uint32_t b) { return tokens_[a].content < tokens_[b].content; });
  raw_ = Finder(raw);
  normalized_ = Finder(normalized);
}

const AddedToken* AddedTokens::find(int32_t id) const {
  const auto found =
      std::lower_bound(tokens_.begin(), tokens_.end(), id,
                       [](const AddedToken& token, int32_t wanted) { return token.id < wanted; });
  return found != tokens_.end() && found->id == id ? &*found : nullptr;
}

const AddedToken* AddedTokens::find(std::string_view content) const {
  const auto found = std::lower_bound(
      by_content_.begin(), by_content_.end(), content,
      [this](uint32_t place, std::string_view wanted) { return tokens_[place].content < wanted; });
  return found != by_content_.end() && tokens_[*found].content == content ? &tokens_[*found] : nullptr;
}

void AddedTokens::cut(const Finder& finder, std::string_view text, bool keep_special, Sink sink) const {
  if (text.empty()) return;
  if (finder.lengths.empty()) return sink(0, text.size(), nullptr);
  if (order_ == MatchOrder::kLeftmostLongest) {
    cut_leftmost(finder, text, keep_special, sink);
  } else {
    cut_longest(finder, text, keep_special, sink);
  }
}

void AddedTokens::cut_leftmost(const Finder& finder, std::string_view text, bool keep_special,
                               Sink sink) const {
  size_t done = 0;
  for (size_t at = 0; at < text.size();) {
    if (finder.trie.never_begins(text[at])) {
      ++at;
      continue;
    }
    const auto [length, place] = finder.trie.longest(text.substr(at));
    if (length == 0) {
      ++at;
      continue;
    }
    size_t begin = at, end = at + length;
    at = end;  // a match that does not count is passed over all the same
    const AddedToken& token = tokens_[static_cast<size_t>(place)];
    if (keep_special && token.special) continue;
    if (token.single_word && (ends_with_word(text.substr(0, begin)) || begins_with_word(text.substr(end))))
      continue;
    if (token.lstrip) begin = before_spaces(text, begin);
    if (token.rstrip) end = after_spaces(text, end);
    begin = std::max(begin, done);
    if (begin >= end) continue;
    if (done < begin) sink(done, begin, nullptr);
    sink(begin, end, &token);
    done = end;
  }
  if (done < text.size()) sink(done, text.size(), nullptr);
}

void AddedTokens::cut_longest(const Finder& finder, std::string_view text, bool keep_special,
                              Sink sink) const {
  const auto counts = [&](int32_t place) {
    return !keep_special || !tokens_[static_cast<size_t>(place)].special;
  };
  std::vector<size_t> candidates;  // where some token begins
  for (size_t at = 0; at < text.size(); ++at) {
    if (!finder.trie.never_begins(text[at]) && finder.trie.longest(text.substr(at)).first > 0)
      candidates.push_back(at);
  }
  if (candidates.empty()) return sink(0, text.size(), nullptr);
  std::vector<uint8_t> covered(text.size(), 0);
  std::vector<Found> chosen, found;
  for (const size_t length : finder.lengths) {
    std::erase_if(candidates, [&](size_t at) { return covered[at] != 0; });
    if (candidates.empty()) break;
    found.clear();
    for (const size_t at : candidates) {
      uint32_t node = ByteTrie::kRoot;
      size_t end = at;
      while (end < text.size() && end < at + length && finder.trie.step(node, text[end])) ++end;
      if (end == at + length && finder.trie.value(node) != ByteTrie::kNone &&
          counts(finder.trie.value(node))) {
        found.push_back({at, end, finder.trie.value(node)});
      }
    }
    std::stable_sort(found.begin(), found.end(),
                     [](const Found& a, const Found& b) { return a.place < b.place; });
    for (const Found& match : found) {
      // What is taken is at least as long, so an overlap covers an end.
      if (covered[match.begin] != 0 || covered[match.end - 1] != 0) continue;
      std::fill(covered.begin() + static_cast<std::ptrdiff_t>(match.begin),
                covered.begin() + static_cast<std::ptrdiff_t>(match.end), 1);
      chosen.push_back(match);
    }
  }
  std::sort(chosen.begin(), chosen.end(), [](const Found& a, const Found& b) { return a.begin < b.begin; });
  size_t done = 0;
  for (const Found& match : chosen) {
    if (done < match.begin) sink(done, match.begin, nullptr);
    sink(match.begin, match.end, &tokens_[static_cast<size_t>(match.place)]);
    done = match.end;
  }
  if (done < text.size()) sink(done, text.size(), nullptr);
}

}  // namespace martlet::text
