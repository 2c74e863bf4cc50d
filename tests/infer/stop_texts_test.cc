#include "infer/stop_texts.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/random.h"

namespace martlet::infer {
namespace {

struct Shown {
  std::string text;
  bool stopped = false;
  friend bool operator==(const Shown&, const Shown&) = default;
};

/// Feeds `text` in pieces that end at `cuts`.
Shown feed(const std::vector<std::string>& stops, const std::string& text, const std::vector<size_t>& cuts) {
  StopTexts stop(stops);
  Shown shown;
  size_t begin = 0;
  const auto give = [&](size_t end) {
    shown.text += stop.add(std::string_view(text).substr(begin, end - begin));
    begin = end;
  };
  for (const size_t cut : cuts) give(cut);
  give(text.size());
  shown.text += stop.finish();
  shown.stopped = stop.stopped();
  return shown;
}

/// The definition: the shortest beginning of the text that ends with a stop text, without it.
Shown defined(const std::vector<std::string>& stops, const std::string& text) {
  for (size_t size = 1; size <= text.size(); ++size) {
    size_t longest = 0;
    for (const std::string& stop : stops)
      if (text.substr(0, size).ends_with(stop)) longest = std::max(longest, stop.size());
    if (longest > 0) return {text.substr(0, size - longest), true};
  }
  return {text, false};
}

TEST(StopTexts, HowTheTextIsCutMakesNoDifference) {
  const Philox random(8);
  uint64_t draw = 0;
  const auto word = [&](uint64_t least, uint64_t most) {
    std::string text(least + random.below(draw++, most - least + 1), 'a');
    for (char& letter : text) letter = static_cast<char>('a' + random.below(draw++, 2));
    return text;
  };
  int stopped = 0;
  for (int round = 0; round < 3000; ++round) {
    const std::string text = word(0, 14);
    std::vector<std::string> stops;
    for (uint64_t i = random.below(draw++, 4); i > 0; --i) stops.push_back(word(1, 5));
    std::vector<size_t> cuts;
    for (size_t at = 0; at < text.size(); ++at)
      if (random.below(draw++, 2) == 1) cuts.push_back(at);
    const Shown expected = defined(stops, text);
    EXPECT_EQ(feed(stops, text, cuts), expected) << text;
    stopped += expected.stopped;
  }
  EXPECT_GT(stopped, 500);
}

TEST(StopTexts, APossibleBeginningIsHeldBackAndNothingElse) {
  StopTexts stop({"\n\nUser:"});
  EXPECT_EQ(stop.add("Hello\n"), "Hello");
  EXPECT_EQ(stop.add("you\n\nUs"), "\nyou");
  EXPECT_EQ(stop.add("ed it"), "\n\nUsed it");
  EXPECT_EQ(stop.add("\n\nUser"), "");
  EXPECT_EQ(stop.add(": more"), "");
  EXPECT_TRUE(stop.stopped());
  EXPECT_EQ(stop.add("more"), "");
  EXPECT_EQ(stop.finish(), "");
}

TEST(StopTexts, AnEmptyOneIsRefused) {
  EXPECT_THROW(StopTexts({"a", ""}), Error);
}

}  // namespace
}  // namespace martlet::infer
