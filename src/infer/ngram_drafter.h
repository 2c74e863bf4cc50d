#pragma once

// Guesses from the text so far. What followed the last few tokens when they stood in the text before will
// often follow again (Saxena, "Prompt Lookup Decoding", 2023); this drafter goes two steps further.
//
// It keeps score. At every token that comes, the drafter looks what it would have guessed, guessed ahead or
// not, and so learns for nothing how often guesses hold: for each length of the run of tokens that stood
// before, and by what came of the guess when that run stood there last. A run of twenty that held is worth
// sixteen guesses, a run of two that went wrong none.
//
// It follows a copy. Where a text is repeated with a change, the run ends at the change, and behind it
// nothing is found: "total = a + b" again as "result = a + b" has no run behind "result". But the old text
// goes on one token further on, so a place in the copied text is kept, walks with the reply and offers its
// own guess; that, too, is scored, by how many tokens differed in a row.

#include <array>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "infer/speculation.h"

namespace martlet::infer {

class NgramDrafter final : public Drafter {
 public:
  /// Guesses with their chances; they cost a few microseconds.
  Draft draft(std::span<const int32_t> ids, int64_t most, GrowingKvCache& read) override;
  bool is_free() const override { return true; }
  void begin(std::span<const int32_t> prompt) override { learn(prompt); }

 private:
  static constexpr size_t kLongest = 5;     // run that is looked up
  static constexpr size_t kLengths = 10;    // classes of runs
  static constexpr size_t kMostMisses = 8;  // of a copy, in a row

  enum class Last : uint8_t { kUnknown, kRight, kWrong };
  static constexpr size_t kLasts = 3;

  /// A run of tokens that stood in the text: where it went on, and whether as it had gone on before.
  struct Seen {
    size_t at;
    Last last;
  };
  /// The longest run of last tokens that stood before. length 0: none.
  struct Match {
    size_t at = 0;
    size_t length = 0;
    Last last = Last::kUnknown;
  };
  /// How often guesses of one kind held, the newest weighing most.
  struct Score {
    double holds = 0;
    int64_t count = 0;
    void add(bool held);
  };
  /// A place in the text that the end is a copy of.
  struct Copy {
    size_t at = 0;  // 0: none
    size_t misses = 0;
  };

  void learn(std::span<const int32_t> ids);
  Match find() const;
  Score& score_of(const Match& match);
  Score& score_of(const Copy& copy) { return copied_[copy.misses]; }
  /// Moves the copy behind the token that follows.
  void follow(const Match& match, int32_t id);
  void remember(int32_t id);
  static std::array<uint64_t, kLongest> hashes(std::span<const int32_t> text);

  std::vector<int32_t> text_;
  std::unordered_map<uint64_t, Seen> seen_[kLongest + 1];
  std::array<std::array<Score, kLasts>, kLengths> matched_ = first_scores();
  std::array<Score, kMostMisses + 1> copied_ = first_copied();
  Copy copy_;

  static std::array<std::array<Score, kLasts>, kLengths> first_scores();
  static std::array<Score, kMostMisses + 1> first_copied();
};

}  // namespace martlet::infer
