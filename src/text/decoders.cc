#include "text/decoders.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/fields.h"
#include "base/utf8.h"
#include "text/byte_alphabet.h"
#include "text/json_parts.h"
#include "text/unicode.h"

namespace martlet::text {

namespace {

constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";

/// Replaces every `from` in `text`; an empty `from` stands between any two characters.
void replace_all(std::string& text, std::string_view from, std::string_view to) {
  if (!from.empty() && text.find(from) == std::string::npos) return;
  std::string out;
  size_t done = 0;
  Pattern::literal(from).for_each(text, [&](size_t begin, size_t end) {
    out.append(text, done, begin - done).append(to);
    done = end;
  });
  out.append(text, done);
  text = std::move(out);
}

class ByteLevelDecoder : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::string bytes;
    for (const std::string& token : tokens) bytes += byte_level_bytes(token);
    tokens = {is_valid_utf8(bytes) ? std::move(bytes) : replace_invalid_utf8(bytes)};
  }
  bool is_byte_level() const override { return true; }
};

class MetaspaceDecoder : public Decoder {
 public:
  MetaspaceDecoder(char32_t replacement, bool prepends) : prepends_(prepends) {
    append_utf8(replacement_, replacement);
  }
  void apply(std::vector<std::string>& tokens) const override {
    for (size_t i = 0; i < tokens.size(); ++i)
      replace_all(tokens[i], replacement_, i == 0 && prepends_ ? "" : " ");
  }

 private:
  std::string replacement_;
  bool prepends_;
};

/// Takes back the spaces that splitting English text put in.
void clean_up(std::string& text) {
  constexpr std::pair<std::string_view, std::string_view> kSteps[] = {
      {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
      {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& [from, to] : kSteps) replace_all(text, from, to);
}

class WordPieceDecoder : public Decoder {
 public:
  WordPieceDecoder(std::string prefix, bool cleans) : prefix_(std::move(prefix)), cleans_(cleans) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (i != 0 && tokens[i].starts_with(prefix_)) {
        tokens[i].erase(0, prefix_.size());
      } else if (i != 0) {
        tokens[i].insert(0, 1, ' ');
      }
      if (cleans_) clean_up(tokens[i]);
    }
  }

 private:
  std::string prefix_;
  bool cleans_;
};

class BytePairDecoder : public Decoder {
 public:
  explicit BytePairDecoder(std::string suffix) : suffix_(std::move(suffix)) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (size_t i = 0; i < tokens.size(); ++i)
      replace_all(tokens[i], suffix_, i + 1 == tokens.size() ? "" : " ");
  }

 private:
  std::string suffix_;
};

/// Joins runs of tokens <0x..> to characters. A run that is not valid UTF-8 as a whole becomes one U+FFFD a
/// byte.
class ByteFallbackDecoder : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::vector<std::string> out;
    std::string run;
    const auto finish_run = [&] {
      if (run.empty()) return;
      if (is_valid_utf8(run)) {
        out.push_back(std::move(run));
      } else {
        for (size_t i = 0; i < run.size(); ++i) out.emplace_back(kReplacementCharacter);
      }
      run.clear();
    };
    for (std::string& token : tokens) {
      if (const auto byte = byte_of_token(token)) {
        run.push_back(static_cast<char>(*byte));
      } else {
        finish_run();
        out.push_back(std::move(token));
      }
    }
    finish_run();
    tokens = std::move(out);
  }

 private:
  static std::optional<int> hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return std::nullopt;
  }
  static std::optional<int> byte_of_token(std::string_view token) {
    if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return std::nullopt;
    const auto low = hex_digit(token[4]);
    const auto high = token[3] == '+' ? std::optional<int>(0) : hex_digit(token[3]);
    if (!high || !low) return std::nullopt;
    return *high * 16 + *low;
  }
};

class FuseDecoder : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::string all;
    for (const std::string& token : tokens) all += token;
    tokens = {std::move(all)};
  }
};

/// Takes up to `start` and `stop` times one character off the ends of every token.
class StripDecoder : public Decoder {
 public:
  StripDecoder(char32_t character, int64_t start, int64_t stop) : start_(start), stop_(stop) {
    append_utf8(character_, character);
  }
  void apply(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens) {
      size_t begin = 0, end = token.size();
      for (int64_t i = 0; i < start_ && token.compare(begin, character_.size(), character_) == 0; ++i)
        begin += character_.size();
      const std::string_view all = token;
      for (int64_t i = 0; i < stop_ && all.substr(begin, end - begin).ends_with(character_); ++i)
        end -= character_.size();
      token = token.substr(begin, end - begin);
    }
  }

 private:
  std::string character_;
  int64_t start_, stop_;
};

class ReplaceDecoder : public Decoder {
 public:
  ReplaceDecoder(Pattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens) {
      if (token.empty() || !pattern_.found_in(token)) continue;
      std::string out;
      size_t done = 0;
      pattern_.for_each(token, [&](size_t begin, size_t end) {
        out.append(token, done, begin - done).append(content_);
        done = end;
      });
      out.append(token, done);
      token = std::move(out);
    }
  }

 private:
  Pattern pattern_;
  std::string content_;
};

/// Connectionist temporal classification: equal neighbours are one, and a token stands for nothing.
class CtcDecoder : public Decoder {
 public:
  CtcDecoder(std::string pad, std::string delimiter, bool cleans)
      : pad_(std::move(pad)), delimiter_(std::move(delimiter)), cleans_(cleans) {}
  void apply(std::vector<std::string>& tokens) const override {
    tokens.erase(std::unique(tokens.begin(), tokens.end()), tokens.end());
    for (std::string& token : tokens) {
      replace_all(token, pad_, "");
      if (!cleans_) continue;
      clean_up(token);
      replace_all(token, delimiter_, " ");
    }
    std::erase_if(tokens, [](const std::string& token) { return token.empty(); });
  }

 private:
  std::string pad_, delimiter_;
  bool cleans_;
};

std::unique_ptr<Decoder> read_one(const Json& json, const std::string& where) {
  const Fields fields(json, where);
  const std::string type = fields.text("type");
  if (type == "ByteLevel") return make_byte_level_decoder();
  if (type == "Metaspace") {
    const bool prepends =
        fields.boolean("add_prefix_space", true) && fields.text("prepend_scheme", "always") != "never";
    return std::make_unique<MetaspaceDecoder>(read_character(fields, "replacement"), prepends);
  }
  if (type == "WordPiece")
    return std::make_unique<WordPieceDecoder>(fields.text("prefix", "##"), fields.boolean("cleanup", true));
  if (type == "BPEDecoder") return std::make_unique<BytePairDecoder>(fields.text("suffix", "</w>"));
  if (type == "ByteFallback") return std::make_unique<ByteFallbackDecoder>();
  if (type == "Fuse") return std::make_unique<FuseDecoder>();
  if (type == "Strip") {
    return std::make_unique<StripDecoder>(read_character(fields, "content"),
                                          fields.integer_within("start", 0, INT32_MAX, 0),
                                          fields.integer_within("stop", 0, INT32_MAX, 0));
  }
  if (type == "Replace")
    return std::make_unique<ReplaceDecoder>(read_pattern(fields), fields.text("content"));
  if (type == "CTC") {
    return std::make_unique<CtcDecoder>(fields.text("pad_token", "<pad>"),
                                        fields.text("word_delimiter_token", "|"),
                                        fields.boolean("cleanup", true));
  }
  bad_input(
      "{}: the decoder \"{}\" is not known; known are ByteLevel, Metaspace, WordPiece, BPEDecoder, "
      "ByteFallback, Fuse, "
      "Strip, Replace, CTC and Sequence",
      where, type);
}

}  // namespace

DecoderChain read_decoders(const Json& json, const std::string& where) {
  DecoderChain chain;
  for_each_part(json, "decoders", where,
                [&](const Json& part, const std::string& place) { chain.push_back(read_one(part, place)); });
  return chain;
}

std::string byte_level_bytes(std::string_view token) {
  return bytes_of_token(token).value_or(std::string(token));
}

std::unique_ptr<Decoder> make_byte_level_decoder() {
  return std::make_unique<ByteLevelDecoder>();
}

DecoderChain make_sentence_piece_decoders(bool strips_first_space) {
  DecoderChain chain;
  chain.push_back(std::make_unique<ReplaceDecoder>(Pattern::literal("\xE2\x96\x81"), " "));
  chain.push_back(std::make_unique<ByteFallbackDecoder>());
  chain.push_back(std::make_unique<FuseDecoder>());
  if (strips_first_space) chain.push_back(std::make_unique<StripDecoder>(' ', 1, 0));
  return chain;
}

}  // namespace martlet::text
