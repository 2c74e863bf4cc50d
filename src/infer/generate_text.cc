#include "infer/generate_text.h"

#include <optional>

#include "infer/stop_texts.h"

namespace martlet::infer {
namespace {

/// The text of one reply while it grows.
class GrowingText {
 public:
  GrowingText(const LanguageModel& model, const std::vector<std::string>& stop_texts) : stops_(stop_texts) {
    if (model.has_tokenizer() || !stop_texts.empty())
      decoder_.emplace(model.tokenizer(), text::DecodeOptions{.skip_special_tokens = true});
  }

  std::string add(int32_t id) { return decoder_ ? keep(stops_.add(decoder_->add(id))) : ""; }
  std::string finish() {
    if (!decoder_) return "";
    std::string last = stops_.add(decoder_->finish());
    return keep(last + stops_.finish());
  }
  bool stopped() const { return stops_.stopped(); }
  Reply reply(Generated generated) {
    return {std::move(generated.ids), std::move(text_), stopped() ? Finish::kStop : generated.finish,
            generated.drafted, generated.accepted};
  }

 private:
  std::string keep(std::string piece) {
    text_ += piece;
    return piece;
  }

  std::optional<text::StreamingDecoder> decoder_;
  StopTexts stops_;
  std::string text_;
};

/// What `generate` calls: decodes, shows, and ends the sequence at a stop text.
OnToken listener(std::vector<GrowingText>& texts, const OnText& on_text) {
  return [&texts, &on_text](size_t sequence, int32_t id) {
    const std::string piece = texts[sequence].add(id);
    const bool go_on = !on_text || on_text(sequence, piece);
    return go_on && !texts[sequence].stopped();
  };
}

void finish(GrowingText& text, size_t sequence, const OnText& on_text) {
  const std::string last = text.finish();
  if (on_text && !last.empty()) on_text(sequence, last);
}

}  // namespace

std::vector<Reply> generate_text(const LanguageModel& model, std::span<const std::vector<int32_t>> prompts,
                                 const GenerationOptions& options, const std::vector<std::string>& stop_texts,
                                 const OnText& on_text) {
  std::vector<GrowingText> texts(prompts.size(), GrowingText(model, stop_texts));
  std::vector<Generated> results = generate(model.tree(), prompts, options, listener(texts, on_text));
  std::vector<Reply> replies;
  for (size_t i = 0; i < results.size(); ++i) {
    finish(texts[i], i, on_text);
    replies.push_back(texts[i].reply(std::move(results[i])));
  }
  return replies;
}

Reply generate_text_on(const LanguageModel& model, ReadContext& context, const std::vector<int32_t>& prompt,
                       const GenerationOptions& options, const std::vector<std::string>& stop_texts,
                       const OnText& on_text) {
  std::vector<GrowingText> texts(1, GrowingText(model, stop_texts));
  Generated result;
  try {
    result = generate_on(model.tree(), context, prompt, options, listener(texts, on_text));
  } catch (...) {
    finish(texts[0], 0, on_text);
    throw;
  }
  finish(texts[0], 0, on_text);
  return texts[0].reply(std::move(result));
}

}  // namespace martlet::infer
