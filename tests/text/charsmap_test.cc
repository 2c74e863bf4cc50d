#include "text/charsmap.h"

#include <gtest/gtest.h>
#include <map>

#include "base/error.h"
#include "text/normalizers.h"
#include "text/random_text.h"

namespace martlet::text {
namespace {

void put_u32(std::string& out, uint32_t value) {
  for (int i = 0; i < 4; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
}

/// A map in SentencePiece's format, each node given its own block of 256 units.
std::string build(const std::map<std::string, std::string>& entries) {
  struct Node {
    std::map<unsigned char, size_t> children;
    int64_t value = -1;
  };
  std::vector<Node> nodes(1);
  std::string replacements;
  for (const auto& [key, content] : entries) {
    size_t node = 0;
    for (const char c : key) {
      const auto byte = static_cast<unsigned char>(c);
      if (!nodes[node].children.contains(byte)) {
        nodes[node].children[byte] = nodes.size();
        nodes.emplace_back();
      }
      node = nodes[node].children[byte];
    }
    nodes[node].value = static_cast<int64_t>(replacements.size());
    replacements += content + '\0';
  }
  // Node i keeps its children at 256 (i + 1) + byte; a value stands at byte 0 of the block.
  std::vector<uint32_t> units(256 * (nodes.size() + 1), 0);
  const auto link = [&](size_t at, size_t node) {
    const auto block = static_cast<uint32_t>(256 * (node + 1));
    units[at] |= (block ^ (static_cast<uint32_t>(at) & ~0xFFU) ^ (static_cast<uint32_t>(at) & 0xFFU)) << 10;
    if (nodes[node].value >= 0) units[at] |= 1U << 8;
  };
  link(0, 0);
  for (size_t i = 0; i < nodes.size(); ++i) {
    const size_t block = 256 * (i + 1);
    if (nodes[i].value >= 0) units[block] = static_cast<uint32_t>(nodes[i].value) | 1U << 31;
    for (const auto& [byte, child] : nodes[i].children) {
      units[block + byte] = byte;
      link(block + byte, child);
    }
  }
  std::string out;
  put_u32(out, static_cast<uint32_t>(units.size() * 4));
  for (const uint32_t unit : units) put_u32(out, unit);
  return out + replacements;
}

std::string normalised(const std::map<std::string, std::string>& entries, std::string_view text) {
  AlignedText aligned(text, 0, true);
  make_charsmap_normalizer(Charsmap(build(entries), "test"))->apply(aligned);
  EXPECT_EQ(aligned.origin.size(), aligned.text.size());
  return aligned.text;
}

TEST(Charsmap, FindsTheShortestKey) {
  const Charsmap map(build({{"a", "x"}, {"ab", "y"}, {"cd", "z"}, {"é", "e"}}), "test");
  EXPECT_EQ(map.find("abc"), "x");
  EXPECT_EQ(map.find("cde"), "z");
  EXPECT_EQ(map.find("c"), std::nullopt);
  EXPECT_EQ(map.find("é"), "e");
  EXPECT_EQ(map.find(""), std::nullopt);
  EXPECT_FALSE(map.leaves('a'));
  EXPECT_TRUE(map.leaves('x'));
}

TEST(Charsmap, ReplacesClustersFirstAndCharactersElse) {
  EXPECT_EQ(normalised({{"e\u0301", "é"}, {"\u0301", "'"}, {"ﬁ", "fi"}, {"\u200B", ""}},
                       "e\u0301 a\u0301 ﬁ\u200Bx"),
            "é a' fix");
  EXPECT_EQ(normalised({{"\r", " "}, {"\n", "N"}}, "\r\na\n"), " aN");
}

TEST(Charsmap, AlignsReplacements) {
  AlignedText text("aﬁb\u200Bc", 0, true);
  make_charsmap_normalizer(Charsmap(build({{"ﬁ", "fi"}, {"\u200B", ""}}), "test"))->apply(text);
  ASSERT_EQ(text.text, "afibc");
  EXPECT_EQ(text.origin, (std::vector<Span>{{0, 1}, {1, 4}, {1, 4}, {4, 5}, {8, 9}}));
}

TEST(Charsmap, SurvivesDamage) {
  const std::string good = build({{"a", "x"}, {"bc", "y"}, {"é", "e"}});
  Dice dice(1);
  for (int round = 0; round < 3000; ++round) {
    std::string bad = good;
    for (int i = 0; i < 3; ++i) bad[dice.below(bad.size())] = static_cast<char>(dice.below(256));
    if (dice.below(3) == 0) bad.resize(dice.below(bad.size()));
    try {
      const Charsmap map(bad, "test");
      for (const char* text : {"a", "bc", "b", "é", "zzz"}) map.find(text);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    }
  }
}

TEST(Base64, IsReadWithItsPadding) {
  EXPECT_EQ(decode_base64("TWFydGxldA=="), "Martlet");
  EXPECT_EQ(decode_base64("TWFydGxl"), "Martle");
  EXPECT_EQ(decode_base64(""), "");
  EXPECT_EQ(decode_base64("TWF"), std::nullopt);
  EXPECT_EQ(decode_base64("TW=y"), std::nullopt);
}

}  // namespace
}  // namespace martlet::text
