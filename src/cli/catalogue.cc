#include <array>

#include "cli/verb.h"
#include "cli/verbs/verbs.h"

namespace martlet::cli {
namespace {

constexpr std::array kVerbs{
    Verb{"quickstart", "from nothing to a conversation with a small model", run_quickstart},
    Verb{"train", "train a model from scratch, or go on from one", run_train},
    Verb{"do", "a recipe's tables in order, each what its verb is to do", run_do},
    Verb{"runs", "training runs so far: list, curves, comparisons", run_runs},
    Verb{"chat", "talk with a model", run_chat},
    Verb{"run", "continue a prompt, or a file of prompts", run_run},
    Verb{"data", "make a small world, count a corpus, cut it into token shards", run_data},
    Verb{"embed", "texts as vectors", run_embed},
    Verb{"eval", "how good a model is: loss of a text, questions of the small world", run_eval},
    Verb{"logits", "next-token scores at every position of given token ids", run_logits},
    Verb{"tokenize", "text to token ids and back", run_tokenize},
    Verb{"tokenizer", "train a tokenizer on text", run_tokenizer},
    Verb{"inspect", "the model as a tree: shapes, types, parameters, bytes", run_inspect},
    Verb{"tensor", "one weight of a model, dequantised", run_tensor},
    Verb{"apply", "rewrite a model and write it as a new one", run_apply},
    Verb{"convert", "a model as a GGUF file or as a Hugging Face directory", run_convert},
    Verb{"quantize", "a model in blocks of 4 to 8 bits, as a GGUF file", run_quantize},
    Verb{"perplexity", "how well a model predicts a text, and how far another is from it", run_perplexity},
    Verb{"rewrites", "every rewrite, with its arguments", run_rewrites},
    Verb{"probe", "statistics of what modules put out for a prompt", run_probe},
    Verb{"explain", "the plan of a verb: what it would do, take and leave out", run_explain},
    Verb{"bench", "how fast a model runs here, and what share of the machine's limit that is", run_bench},
    Verb{"profile", "what this machine does in a second", run_profile},
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
