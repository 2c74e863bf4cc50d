// What reads a recipe runs no verb, opens no store and builds no optimiser.

#include "cli/store.h"
#include "cli/verb.h"
#include "train/optimizer.h"

namespace martlet {

namespace cli {
std::span<const Verb> verbs() {
  static constexpr Verb kVerbs[] = {{"train", "", nullptr}, {"run", "", nullptr}};
  return kVerbs;
}
const Verb* find_verb(std::string_view) {
  return nullptr;
}
std::string data_folder() {
  return "none";
}
}  // namespace cli

namespace train {
std::vector<std::string> optimizer_names() {
  return {"adamw", "sgd"};
}
}  // namespace train

}  // namespace martlet
