#include "data/encoder.h"

#include <algorithm>

#include "base/error.h"

namespace martlet::data {
namespace {

Hash128 hash_of(const text::Tokenizer& tokenizer) {
  std::string all;
  for (int64_t id = 0; id < tokenizer.vocabulary_size(); ++id) {
    std::string token;
    try {
      token = tokenizer.token(id);
    } catch (const Error&) {
      // An id without a token: a hole in the vocabulary.
    }
    all += fmt::format("{} {} ", id, token.size());
    all += token;
  }
  return hash128(all);
}

}  // namespace

DocumentEncoder::DocumentEncoder(EncodeRules rules) : rules_(rules) {}

DocumentEncoder::DocumentEncoder(text::Tokenizer tokenizer, std::optional<text::ChatFormat> format,
                                 EncodeRules rules)
    : tokenizer_(std::move(tokenizer)),
      format_(std::move(format)),
      rules_(rules),
      vocabulary_hash_(hash_of(*tokenizer_)) {}

int64_t DocumentEncoder::vocabulary_size() const {
  if (rules_.vocabulary > 0) return rules_.vocabulary;
  return tokenizer_ ? tokenizer_->vocabulary_size() : 0;
}

EncodedDocument DocumentEncoder::encode(const Document& document) const {
  EncodedDocument encoded;
  if (document.form == Document::Form::kIds) {
    if (document.ids.size() < 2)
      bad_input("{}: a row needs two ids or more, one to read and one to predict; this has {}",
                document.where, document.ids.size());
    encoded.ids = document.ids;
  } else {
    if (!tokenizer_)
      bad_input("{}: this is text, and the model has no tokenizer; give rows of ids", document.where);
    encoded = document.form == Document::Form::kText ? encode_text(document) : encode_messages(document);
  }
  check(encoded, document);
  return encoded;
}

void DocumentEncoder::check(const EncodedDocument& encoded, const Document& document) const {
  const int64_t size = vocabulary_size();
  if (size == 0) return;
  for (size_t i = 0; i < encoded.ids.size(); ++i)
    if (encoded.ids[i] < 0 || encoded.ids[i] >= size)
      bad_input("{}: id {} at place {} is outside the vocabulary of {} tokens", document.where,
                encoded.ids[i], i, size);
}

EncodedDocument DocumentEncoder::encode_text(const Document& document) const {
  EncodedDocument encoded;
  encoded.ids = tokenizer_->encode(document.text);
  const std::optional<int32_t> end = tokenizer_->eos();
  if (rules_.end_token && end && (encoded.ids.empty() || encoded.ids.back() != *end))
    encoded.ids.push_back(*end);
  return encoded;
}

EncodedDocument DocumentEncoder::encode_messages(const Document& document) const {
  if (!format_ || format_->templates.empty())
    bad_input("{}: this is a conversation, and the model has no chat template; add one, or give text",
              document.where);
  const text::ChatTemplate& chat_template = format_->choose(!document.tools.is_null());
  text::RenderOptions options;
  options.bos_token = format_->bos_token;
  options.eos_token = format_->eos_token;
  options.tools = document.tools;
  EncodedDocument encoded;
  try {
    const bool by_blocks = rules_.assistant_only && chat_template.marks_generation();
    const text::RenderedChat rendered =
        by_blocks ? chat_template.render_with_spans(document.messages, options)
                  : text::RenderedChat{chat_template.render(document.messages, options), {}};
    text::Encoding encoding = tokenizer_->encode_with_offsets(rendered.text, {.add_special_tokens = false});
    encoded.ids = std::move(encoding.ids);
    if (!rules_.assistant_only) return encoded;
    const std::vector<text::TextSpan> spans =
        by_blocks ? rendered.generation : assistant_spans(document, chat_template, options, rendered.text);
    encoded.learns.assign(encoded.ids.size(), 0);
    size_t span = 0;
    for (size_t i = 0; i < encoded.ids.size(); ++i) {
      // A token belongs to the span that its first byte lies in.
      const text::Offset& offset = encoding.offsets[i];
      while (span < spans.size() && offset.begin >= spans[span].end) ++span;
      encoded.learns[i] =
          span < spans.size() && offset.begin >= spans[span].begin && offset.end > offset.begin;
    }
  } catch (Error& error) {
    if (std::string_view(error.what()).starts_with(document.where)) throw;
    throw error.within(document.where);
  }
  return encoded;
}

std::vector<text::TextSpan> DocumentEncoder::assistant_spans(const Document& document,
                                                             const text::ChatTemplate& chat_template,
                                                             const text::RenderOptions& options,
                                                             const std::string& full) const {
  std::vector<text::TextSpan> spans;
  Json::Array before;
  const Json::Array& messages = document.messages.array();
  text::RenderOptions asking = options;
  asking.add_generation_prompt = true;
  for (size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].at("role").string() == "assistant") {
      std::string begin = before.empty() ? std::string() : chat_template.render(before, asking);
      // A template may open the assistant's turn in two ways (with or without room to think): what both share
      // counts.
      const auto [differs, unused] = std::mismatch(begin.begin(), begin.end(), full.begin(), full.end());
      const auto shared = static_cast<int64_t>(differs - begin.begin());
      before.push_back(messages[i]);
      const std::string end = chat_template.render(before, options);
      const bool is_prefix = full.starts_with(end);
      // Some templates write the last turn differently; then the turn ends where the two begin to differ.
      const auto [last, ignored] = std::mismatch(end.begin(), end.end(), full.begin(), full.end());
      const int64_t stop =
          is_prefix ? static_cast<int64_t>(end.size()) : static_cast<int64_t>(last - end.begin());
      if (stop <= shared)
        bad_input(
            "{}: the chat template writes message {} differently when others follow, so what the assistant "
            "said cannot "
            "be told; use a template with generation blocks",
            document.where, i + 1);
      spans.push_back({shared, stop});
    } else {
      before.push_back(messages[i]);
    }
  }
  return spans;
}

}  // namespace martlet::data
