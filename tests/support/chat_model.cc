#include "support/chat_model.h"

#include "base/files.h"
#include "text/sample_tokenizers.h"

namespace martlet::testing {
namespace {

constexpr const char* kTemplate =
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}";

Json config(int64_t vocabulary, int64_t positions) {
  Json result = small_llama_config();
  result.set("vocab_size", vocabulary).set("max_position_embeddings", positions);
  return result;
}

}  // namespace

ChatModelDirectory::ChatModelDirectory(uint64_t seed, int64_t positions)
    : ModelDirectory(
          config(text::Tokenizer::from_json(text::byte_level_json(), "test").vocabulary_size(), positions),
          seed) {
  write_file(path() + "/tokenizer.json", text::byte_level_json().dump());
  Json tokens;
  tokens.set("eos_token", "</s>").set("chat_template", kTemplate);
  write_file(path() + "/tokenizer_config.json", tokens.dump());
}

}  // namespace martlet::testing
