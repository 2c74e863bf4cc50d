// Recipes name neither verbs nor build optimisers: what reads them needs the names alone.

#include "cli/verb.h"
#include "train/optimizer.h"

namespace martlet {

namespace cli {
const Verb* find_verb(std::string_view) {
  return nullptr;
}
}  // namespace cli

namespace train {
std::vector<std::string> optimizer_names() {
  return {"adamw", "sgd"};
}
}  // namespace train

}  // namespace martlet
