#include "data/tinyworld/kinds.h"

namespace martlet::data::tinyworld {
namespace {

// Two weights: of the documents that are made, and in the training of a first model, which is to know the
// world after a million tokens. There statements and questions come first; stories, calls of tools and
// diaries are several times as long and would take half of the tokens, and of the labelled kinds some say
// what is false.
constexpr Kind kKinds[] = {
    {"fact", "statements about one or two subjects, true in the world", 0.24, 0.28, make_fact},
    {"story", "a small journey among true facts", 0.08, 0.02, make_story},
    {"question", "one question with its answer: facts, kinship, comparison, time, reading", 0.22, 0.28,
     make_question},
    {"multi_hop", "a question that two facts answer together, with the steps", 0.08, 0.12, make_multi_hop},
    {"arithmetic", "sums in stories and bare, prices of several things, with the steps", 0.10, 0.14,
     make_arithmetic},
    {"instruction", "small tasks with one right result: translate, count, sort, reverse, repeat", 0.04, 0.03,
     make_instruction},
    {"dialogue", "a conversation of several turns with follow-up questions", 0.10, 0.10, make_dialogue},
    {"preference", "a prompt with a better and a worse answer", 0.03, 0, make_preference},
    {"tool_call", "a question that needs a tool, the call, its result, the answer", 0.03, 0.01,
     make_tool_call},
    {"multiple_choice", "a question with four choices", 0.03, 0, make_multiple_choice},
    {"topic", "a text with its topic", 0.015, 0, make_topic},
    {"sentiment", "a text with its sentiment", 0.015, 0, make_sentiment},
    {"entailment", "two sentences and whether the second follows", 0.01, 0, make_entailment},
    {"long_document", "a long diary with questions about single days", 0.01, 0, make_long_document},
};

}  // namespace

std::span<const Kind> kinds() {
  return kKinds;
}

Json message(std::string_view role, std::string content) {
  Json result;
  result.set("role", role);
  result.set("content", std::move(content));
  return result;
}

}  // namespace martlet::data::tinyworld
