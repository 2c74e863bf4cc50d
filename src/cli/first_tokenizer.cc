#include "cli/first_tokenizer.h"

#include <algorithm>

#include "base/files.h"
#include "base/json.h"
#include "data/source.h"
#include "text/tokenizer_trainer.h"

namespace martlet::cli {
namespace {

constexpr std::string_view kEndOfText = "<|endoftext|>", kEndOfTurn = "<|end|>";

// One token a role, none for line ends: a tenth of the tokens of a short question are its frame. A message in
// letters begins with a space, as its other words do; the decoder takes that away again.
constexpr std::string_view kChatTemplate =
    "{% for message in messages %}"
    "{{ '<|' + message.role + '|>' }}"
    "{% if message.role == 'assistant' %}{% generation %}"
    "{% if message.content %}{{ ' ' if message.content[:1] < '~' }}{{ message.content }}{% endif %}"
    "{% for call in message.tool_calls or [] %}{{ ' ' + (call.function | tojson) }}{% endfor %}"
    "{{ '<|end|>' }}{% endgeneration %}"
    "{% else %}{{ ' ' if message.content[:1] < '~' }}{{ message.content }}{{ '<|end|>' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}";

Json object(std::initializer_list<Json::Member> members) {
  return Json(Json::Object(members));
}

/// Words as GPT-2 cuts them: a space goes with the letters or digits behind it, punctuation stands alone, so
/// that a name is mostly the same token wherever it stands.
text::TokenizerDesign design() {
  text::TokenizerDesign design = text::byte_level_design(
      text::WordPattern::kGpt2, {std::string(kEndOfText), "<|system|>", "<|user|>", "<|assistant|>",
                                 "<|tool|>", std::string(kEndOfTurn)});
  const Json strip = object({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  const Json letters = design.skeleton.at("decoder");
  design.skeleton.set("decoder",
                      object({{"type", "Sequence"}, {"decoders", Json(Json::Array{letters, strip})}}));
  return design;
}

}  // namespace

std::vector<std::string> texts_of(const data::Document& document) {
  std::vector<std::string> texts;
  if (document.form == data::Document::Form::kText) texts.push_back(document.text);
  if (document.form != data::Document::Form::kMessages) return texts;
  for (const Json& message : document.messages.array()) {
    const Json* content = message.find("content");
    if (content == nullptr || !content->is_string() || content->string().empty()) continue;
    // As the template prints it.
    texts.push_back((static_cast<unsigned char>(content->string().front()) < '~' ? " " : "") +
                    content->string());
  }
  return texts;
}

void make_first_tokenizer(const std::vector<std::string>& words, int64_t vocabulary,
                          const std::string& folder, Progress& progress) {
  constexpr size_t kAtOnce = 4096;  // documents
  text::BpeTrainerOptions options;
  options.vocabulary_size = vocabulary;
  options.least_count = 2;
  text::TokenizerTrainer trainer(design(), std::move(options));
  data::ReadReport report;
  data::Corpus corpus(words, {}, report);
  std::vector<std::string> texts;
  const auto hand_over = [&] {
    const std::vector<std::string_view> views(texts.begin(), texts.end());
    trainer.add(views);
    texts.clear();
  };
  progress.start("Counting words", 0, "documents");
  for (data::Document document; corpus.next(document);) {
    for (std::string& text : texts_of(document)) texts.push_back(std::move(text));
    if (texts.size() >= kAtOnce) hand_over();
    progress.advance(static_cast<uint64_t>(report.documents));
  }
  hand_over();
  progress.finish();
  const Json tokenizer = trainer.train(progress);
  make_directories(folder);
  write_file(folder + "/tokenizer.json", tokenizer.dump(2) + "\n");
  const Json configuration = object({{"tokenizer_class", "PreTrainedTokenizerFast"},
                                     {"eos_token", kEndOfText},
                                     {"clean_up_tokenization_spaces", false}});
  write_file(folder + "/tokenizer_config.json", configuration.dump(2) + "\n");
  write_file(folder + "/chat_template.jinja", kChatTemplate);
  const Json& vocabulary_of = tokenizer.at("model").at("vocab");
  const Json ends(Json::Array{vocabulary_of.at(kEndOfTurn), vocabulary_of.at(kEndOfText)});
  write_file(folder + "/generation_config.json", object({{"eos_token_id", ends}}).dump(2) + "\n");
}

}  // namespace martlet::cli
