#pragma once

// Tinyworld: documents about a small closed world, in English and Chinese, whose truth is known exactly.
// docs/tinyworld.md says every rule.

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "data/tinyworld/question.h"

namespace martlet::data {

struct TinyworldOptions {
  uint64_t seed = 1;                                  ///< of the documents
  uint64_t world_seed = 0;                            ///< of the world; 0: the documents' seed
  int64_t people = 24;                                ///< rounded up to families of eight; towns grow with it
  std::vector<std::string> languages = {"en", "zh"};  ///< each as often
  /// Kinds and their weights, which need not add up to 1; empty: all, with the weights of the catalogue.
  std::vector<std::pair<std::string, double>> kinds;
  tinyworld::Split split = tinyworld::Split::kTrain;
  int64_t long_sentences = 40;  ///< length of a long document
};

/// Immutable; every function may be called from several threads at once.
class Tinyworld {
 public:
  /// Throws kUsage for an unknown kind or language, weights that leave nothing, and sizes out of range.
  explicit Tinyworld(TinyworldOptions options);

  /// Row `index` of the options' split: kind, language and the kind's members (see docs/tinyworld.md).
  /// Depends on the options and the index alone. `index` is below 2^43.
  Json document(uint64_t index) const;
  /// Rows [first, first + count) as JSON lines, made on all threads.
  std::string lines(uint64_t first, uint64_t count) const;

  /// `count` questions of the options' split, no two of which ask the same, languages and skills mixed by
  /// their shares. Asked of Split::kTest they are questions that no training document asks, in any wording or
  /// language.
  std::vector<tinyworld::Question> questions(int64_t count) const;

  const tinyworld::World& world() const { return world_; }
  const TinyworldOptions& options() const { return options_; }

 private:
  TinyworldOptions options_;
  tinyworld::World world_;
  std::vector<tinyworld::Language> languages_;
  std::vector<double> weights_;  // by number of the kind
};

/// The kinds to train a first model on, with their weights there: mostly statements and questions.
std::vector<std::pair<std::string, double>> tinyworld_training_kinds();

/// Kinds as people choose them: "story" with the catalogue's weight, "story=2" with another. Throws kUsage.
std::vector<std::pair<std::string, double>> tinyworld_kinds_of(std::span<const std::string> words);

}  // namespace martlet::data
