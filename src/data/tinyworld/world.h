#pragma once

// The world itself: who lives in it and what is true there. Everything follows from a seed and a size.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/tinyworld/words.h"

namespace martlet::data::tinyworld {

/// What a name or value stands for. `World::name` turns (category, index) into words.
enum class Category {
  kPerson,
  kTown,
  kCountry,
  kJob,
  kWorkplace,
  kColour,
  kFood,
  kAnimal,
  kMonth,
  kDay,
  kLandmark,
  kThing,
  kRoom,
  kNumber,
  kHour
};

/// Kinship as exactly as Chinese tells it apart; English says several of them with one word.
enum class Kin {
  kFather,
  kMother,
  kHusband,
  kWife,
  kSon,
  kDaughter,
  kOlderBrother,
  kYoungerBrother,
  kOlderSister,
  kYoungerSister,
  kFathersFather,
  kFathersMother,
  kMothersFather,
  kMothersMother,
  kFathersOlderBrother,
  kFathersYoungerBrother,
  kFathersSister,
  kMothersBrother,
  kMothersSister
};
constexpr int kKinCount = 19;

struct Person {
  bool female;
  int32_t name;  ///< index into men() or women()
  int32_t age;
  int32_t town, job, colour, food, animal, month;
};

struct Town {
  int32_t beginning, ending;
  int32_t country, landmark, day, hour;
};

/// Families of eight over three generations: 0 grandfather, 1 grandmother, 2 their child, 3 its spouse, 4 a
/// sibling of 2, 5 to 7 the children of 2 and 3. Person p is member p % 8 of family p / 8.
class World {
 public:
  static constexpr int64_t kFamily = 8;
  static constexpr int64_t kMaximumPeople = 1'000'000;

  /// `people` is rounded up to whole families. Throws kUsage outside [1, kMaximumPeople].
  World(uint64_t seed, int64_t people);

  int64_t people() const { return static_cast<int64_t>(people_.size()); }
  int64_t towns() const { return static_cast<int64_t>(towns_.size()); }
  const Person& person(int64_t index) const { return people_[static_cast<size_t>(index)]; }
  const Town& town(int64_t index) const { return towns_[static_cast<size_t>(index)]; }
  /// Coins that one costs.
  int64_t price(int64_t thing) const { return prices_[static_cast<size_t>(thing)]; }

  /// Everyone who is this to the person, in order of their numbers.
  std::vector<int64_t> relatives(int64_t person, Kin kin) const;

  /// How many there are to choose from; numbers and hours are not a list and give 0.
  int64_t count(Category category) const;
  std::string name(Category category, int64_t index, Language language) const;

 private:
  struct Parents {
    int64_t father = -1;
    int64_t mother = -1;
  };
  Parents parents(int64_t person) const;
  std::vector<int64_t> children(int64_t person) const;
  /// Brothers (or sisters) of a person, older (or younger) than `person`; `older` unset: of any age.
  std::vector<int64_t> siblings(int64_t person, bool sisters, std::optional<bool> older) const;
  std::string person_name(int64_t index, Language language) const;

  std::vector<Person> people_;
  std::vector<Town> towns_;
  std::vector<int32_t> prices_;
  bool surnames_ = false;
  uint64_t surname_offset_ = 0;
};

}  // namespace martlet::data::tinyworld
