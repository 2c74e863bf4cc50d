#include <array>

#include "cli/verb.h"
#include "cli/verbs/verbs.h"

namespace martlet::cli {
namespace {

constexpr std::array kVerbs{
    Verb{"quickstart", "from nothing to a conversation with a small model", run_quickstart},
    Verb{"chat", "talk with a model", run_chat},
    Verb{"run", "continue a prompt, or a file of prompts", run_run},
    Verb{"logits", "next-token scores at every position of given token ids", run_logits},
    Verb{"tokenize", "text to token ids and back", run_tokenize},
    Verb{"inspect", "the model as a tree: shapes, types, parameters, bytes", run_inspect},
    Verb{"tensor", "one weight of a model, dequantised", run_tensor},
    Verb{"pull", "bring a model from a hub, a package or a folder to the local store", run_pull},
    Verb{"models", "list the local store, or remove a model from it", run_models},
};

}  // namespace

std::span<const Verb> verbs() {
  return kVerbs;
}

const Verb* find_verb(std::string_view name) {
  for (const Verb& verb : verbs())
    if (verb.name == name) return &verb;
  return nullptr;
}

}  // namespace martlet::cli
