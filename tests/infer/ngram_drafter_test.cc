#include "infer/ngram_drafter.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <numeric>

#include "base/random.h"

namespace martlet::infer {
namespace {

using Ids = std::vector<int32_t>;

/// `count` tokens from `first` on, no two alike.
Ids distinct(int32_t first, size_t count) {
  Ids ids(count);
  std::iota(ids.begin(), ids.end(), first);
  return ids;
}

Ids joined(std::initializer_list<std::span<const int32_t>> parts) {
  Ids ids;
  for (const std::span<const int32_t> part : parts) ids.insert(ids.end(), part.begin(), part.end());
  return ids;
}

Draft draft_of(const Ids& ids, int64_t most) {
  NgramDrafter drafter;
  GrowingKvCache unused(1);
  return drafter.draft(ids, most, unused);
}

TEST(NgramDrafter, GuessesNothingOfNewText) {
  EXPECT_TRUE(draft_of({}, 4).ids.empty());
  EXPECT_TRUE(draft_of({1}, 4).ids.empty());
  EXPECT_TRUE(draft_of(distinct(1, 40), 4).ids.empty());
}

TEST(NgramDrafter, GoesOnAsTheTextDidAndTheSurerTheMoreStoodBefore) {
  const Ids text = distinct(100, 60);
  const Philox random(4);
  for (uint64_t draw = 0; draw < 20; ++draw) {
    const auto again = static_cast<int64_t>(1 + random.below(draw, 40));
    const Draft draft = draft_of(joined({text, std::span(text).first(static_cast<size_t>(again))}), 16);
    EXPECT_EQ(draft.ids, Ids(text.begin() + again, text.begin() + again + 16)) << again;
    ASSERT_EQ(draft.chances.size(), draft.ids.size());
    for (const double chance : draft.chances) EXPECT_TRUE(chance > 0.3 && chance < 1) << chance;
  }
  const auto first_chance = [&](size_t again) {
    return draft_of(joined({text, std::span(text).first(again)}), 1).chances.at(0);
  };
  EXPECT_GT(first_chance(10), first_chance(1) + 0.2);
  EXPECT_GT(first_chance(40), first_chance(10));
}

TEST(NgramDrafter, WhatRepeatsGoesOnRepeating) {
  EXPECT_EQ(draft_of({9, 1, 2, 3, 1, 2, 3}, 8).ids, Ids({1, 2, 3, 1, 2, 3, 1, 2}));
}

TEST(NgramDrafter, TheLongestRunCountsThenTheLatest) {
  EXPECT_EQ(draft_of({1, 2, 4, 9, 2, 5, 8, 1, 2}, 1).ids, Ids({4})) << "1 2 is longer than 2";
  EXPECT_EQ(draft_of({7, 8, 1, 20, 7, 8, 2, 21, 7, 8}, 1).ids, Ids({2}));
}

TEST(NgramDrafter, FollowsACopyPastTokensThatChanged) {
  const Ids text = distinct(100, 60);
  for (size_t changed = 1; changed <= 12; ++changed) {
    const Ids ids = joined({text, std::span(text).first(20), distinct(1000, changed)});
    const Draft draft = draft_of(ids, 5);
    const auto next = text.begin() + static_cast<int64_t>(20 + changed);
    EXPECT_EQ(draft.ids, changed <= 8 ? Ids(next, next + 5) : Ids()) << changed << " tokens changed";
  }
}

TEST(NgramDrafter, ChancesAreWhatBecameOfEarlierGuesses) {
  Ids held, failed;
  for (int32_t i = 0; i < 40; ++i) {
    // 1 is followed by 2, and by something new each time; what follows that is new, too.
    for (const int32_t id : {1, 2, 1000 + i}) held.push_back(id);
    for (const int32_t id : {1, 2000 + i, 1000 + i}) failed.push_back(id);
  }
  held.push_back(1);
  failed.push_back(1);
  ASSERT_EQ(draft_of(held, 1).ids, Ids({2}));
  ASSERT_EQ(draft_of(failed, 1).ids.size(), 1u);
  EXPECT_GT(draft_of(held, 1).chances[0], 0.9);
  EXPECT_LT(draft_of(failed, 1).chances[0], 0.15);
}

TEST(NgramDrafter, GuessingLeavesNoTrace) {
  const Philox random(11);
  uint64_t draw = 0;
  GrowingKvCache unused(1);
  for (int text = 0; text < 20; ++text) {
    NgramDrafter often, once;
    Ids ids;
    for (int token = 0; token < 80; ++token) {
      ids.push_back(static_cast<int32_t>(random.below(draw++, 3)));
      if (random.below(draw++, 2) == 0)
        often.draft(ids, static_cast<int64_t>(random.below(draw++, 9)), unused);
    }
    once.begin(ids);
    const Draft got = often.draft(ids, 7, unused), wanted = once.draft(ids, 7, unused);
    EXPECT_EQ(got.ids, wanted.ids);
    EXPECT_EQ(got.chances, wanted.chances);
    EXPECT_EQ(got.ids.size(), 7u);
  }
}

}  // namespace
}  // namespace martlet::infer
