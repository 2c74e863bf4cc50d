#include <array>

#include "cli/verb.h"

namespace martlet::cli {
namespace {

constexpr std::array<Verb, 0> kVerbs{};

}  // namespace

std::span<const Verb> verbs() { return kVerbs; }

const Verb* find_verb(std::string_view name) {
  for (const Verb& verb : verbs())
    if (verb.name == name) return &verb;
  return nullptr;
}

}  // namespace martlet::cli
