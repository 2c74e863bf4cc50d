#include <algorithm>
#include <utf8proc.h>
#include <utility>

#include "text/charsmap.h"
#include "text/normalizers.h"

namespace martlet::text {

namespace {

class CharsmapNormalizer : public Normalizer {
 public:
  explicit CharsmapNormalizer(Charsmap map) : map_(std::move(map)) {}
  bool may_change(std::string_view text) const override {
    return !std::all_of(text.begin(), text.end(),
                        [this](char c) { return static_cast<unsigned char>(c) < 0x80 && map_.leaves(c); });
  }
  void apply(AlignedText& text) const override;

 private:
  static size_t cluster_length(std::string_view text);

  Charsmap map_;
};

/// Bytes of the extended grapheme cluster that `text` begins with.
size_t CharsmapNormalizer::cluster_length(std::string_view text) {
  utf8proc_int32_t state = 0;
  Utf8Character last = character_at(text.data());
  size_t length = last.length;
  while (length < text.size()) {
    const Utf8Character next = character_at(text.data() + length);
    if (utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(last.value),
                                         static_cast<utf8proc_int32_t>(next.value), &state) != 0) {
      break;
    }
    length += next.length;
    last = next;
  }
  return length;
}

void CharsmapNormalizer::apply(AlignedText& text) const {
  constexpr size_t kLongestCluster = 5;  // SentencePiece's maps hold no longer keys of several characters
  Rewriter rewriter(text);
  const auto replace = [&](std::string_view old, std::string_view content) {
    int64_t left = count_characters(old);
    for (size_t at = 0; at < content.size();) {
      const Utf8Character character = character_at(content.data() + at);
      rewriter.put(character.value, left > 0 ? 0 : 1);
      if (left > 0) old.remove_prefix(character_length(old.front()));
      --left;
      at += character.length;
    }
    rewriter.drop(old.size());
  };
  for (std::string_view rest = rewriter.rest(); !rest.empty(); rest = rewriter.rest()) {
    const bool alone = rest.size() == 1 || (static_cast<unsigned char>(rest[1]) < 0x80 && rest[0] != '\r');
    if (alone && static_cast<unsigned char>(rest[0]) < 0x80 && map_.leaves(rest[0])) {
      rewriter.keep(1);
      continue;
    }
    std::string_view cluster = rest.substr(0, cluster_length(rest));
    if (cluster.size() <= kLongestCluster) {
      if (const auto content = map_.find(cluster)) {
        replace(cluster, *content);
        continue;
      }
    }
    while (!cluster.empty()) {
      const std::string_view part = cluster.substr(0, character_length(cluster.front()));
      if (const auto content = map_.find(part)) {
        replace(part, *content);
      } else {
        rewriter.keep(part.size());
      }
      cluster.remove_prefix(part.size());
    }
  }
  rewriter.finish();
}

}  // namespace

std::unique_ptr<Normalizer> make_charsmap_normalizer(Charsmap map) {
  return std::make_unique<CharsmapNormalizer>(std::move(map));
}

}  // namespace martlet::text
