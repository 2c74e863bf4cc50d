#include "text/normalizers.h"

#include <algorithm>
#include <utf8proc.h>
#include <utility>

#include "base/error.h"
#include "base/fields.h"
#include "base/utf8.h"
#include "text/byte_alphabet.h"
#include "text/charsmap.h"
#include "text/json_parts.h"
#include "text/normal_form.h"
#include "text/regex.h"

namespace martlet::text {

namespace {

/// Rewrites the text character by character.
template <typename Step>
void rewrite(AlignedText& text, Step&& step) {
  Rewriter rewriter(text);
  for (std::string_view rest = rewriter.rest(); !rest.empty(); rest = rewriter.rest()) {
    step(rewriter, character_at(rest.data()));
  }
  rewriter.finish();
}

/// Writes `c` in place of the next character.
void replace_character(Rewriter& rewriter, Utf8Character old, char32_t c) {
  if (c == old.value) {
    rewriter.keep(old.length);
  } else {
    rewriter.put(c, 0);
  }
}

bool is_ascii(std::string_view text) {
  return ascii_prefix(text) == text.size();
}

void make_lower_case(AlignedText& text) {
  if (is_ascii(text.text)) {
    for (char& c : text.text) {
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
    }
    return;
  }
  rewrite(text, [](Rewriter& rewriter, Utf8Character old) {
    const LowerCase lower = lower_case(old.value);
    replace_character(rewriter, old, lower.first);
    if (lower.second != 0) rewriter.put(lower.second, 1);
  });
}

bool has_trait(std::string_view text, unsigned trait) {
  const CodePointTable& table = code_points();
  for (size_t at = 0; at < text.size();) {
    const Utf8Character character = character_at(text.data() + at);
    if (table.has(character.value, trait)) return true;
    at += character.length;
  }
  return false;
}

void remove_trait(AlignedText& text, unsigned trait) {
  if (is_ascii(text.text) || !has_trait(text.text, trait)) return;
  const CodePointTable& table = code_points();
  rewrite(text, [&](Rewriter& rewriter, Utf8Character old) {
    if (table.has(old.value, trait)) {
      rewriter.drop(old.length);
    } else {
      rewriter.keep(old.length);
    }
  });
}

class FormNormalizer : public Normalizer {
 public:
  explicit FormNormalizer(NormalForm form) : form_(form) {}
  bool may_change(std::string_view text) const override { return text::may_change(form_, text); }
  void apply(AlignedText& text) const override {
    if (may_change(text.text)) normalise(form_, text);
  }

 private:
  NormalForm form_;
};

class LowercaseNormalizer : public Normalizer {
 public:
  bool may_change(std::string_view) const override { return true; }
  void apply(AlignedText& text) const override { make_lower_case(text); }
};

class StripAccentsNormalizer : public Normalizer {
 public:
  bool may_change(std::string_view text) const override { return !is_ascii(text); }
  void apply(AlignedText& text) const override { remove_trait(text, kCombiningMark); }
};

class StripNormalizer : public Normalizer {
 public:
  StripNormalizer(bool left, bool right) : left_(left), right_(right) {}
  bool may_change(std::string_view text) const override { return !text.empty(); }
  void apply(AlignedText& text) const override {
    const CodePointTable& table = code_points();
    const std::string_view all = text.text;
    size_t begin = 0, end = all.size();
    while (left_ && begin < end && table.has(character_at(all.data() + begin).value, kSpace)) {
      begin += character_length(all[begin]);
    }
    while (right_ && end > begin) {
      const uint32_t length = character_length_before(all, end);
      if (!table.has(character_at(all.data() + end - length).value, kSpace)) break;
      end -= length;
    }
    if (begin == 0 && end == all.size()) return;
    Rewriter rewriter(text);
    rewriter.drop(begin);
    rewriter.keep(end - begin);
    rewriter.finish();
  }

 private:
  bool left_;
  bool right_;
};

class PrependNormalizer : public Normalizer {
 public:
  explicit PrependNormalizer(std::string prefix) : prefix_(std::move(prefix)) {}
  bool may_change(std::string_view text) const override { return !text.empty(); }
  void apply(AlignedText& text) const override { prepend(text, prefix_); }

 private:
  std::string prefix_;
};

class ReplaceNormalizer : public Normalizer {
 public:
  ReplaceNormalizer(Pattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  bool may_change(std::string_view text) const override { return pattern_.found_in(text); }
  void apply(AlignedText& text) const override {
    if (text.text.empty()) return;
    Rewriter rewriter(text);
    size_t done = 0;
    pattern_.for_each(text.text, [&](size_t begin, size_t end) {
      rewriter.keep(begin - done);
      rewriter.drop(end - begin);
      rewriter.insert(content_);
      done = end;
    });
    rewriter.keep(text.text.size() - done);
    rewriter.finish();
  }

 private:
  Pattern pattern_;
  std::string content_;
};

// The cleaning that SentencePiece's models for translation were trained with.
class NmtNormalizer : public Normalizer {
 public:
  bool may_change(std::string_view) const override { return true; }
  void apply(AlignedText& text) const override {
    rewrite(text, [](Rewriter& rewriter, Utf8Character old) {
      const char32_t c = old.value;
      const bool removed = (c >= 0x1 && c <= 0x8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F ||
                           c == 0x8F || c == 0x9F;
      const bool space = c == 0x9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 ||
                         (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 || c == 0x2581 ||
                         c == 0xFEFF || c == 0xFFFD;
      if (removed) {
        rewriter.drop(old.length);
      } else {
        replace_character(rewriter, old, space ? U' ' : c);
      }
    });
  }
};

class BertNormalizer : public Normalizer {
 public:
  BertNormalizer(bool clean, bool split_ideographs, bool strip_accents, bool lower)
      : clean_(clean), split_ideographs_(split_ideographs), strip_accents_(strip_accents), lower_(lower) {}
  bool may_change(std::string_view) const override { return true; }
  void apply(AlignedText& text) const override {
    if (clean_) clean(text);
    if (split_ideographs_ && !is_ascii(text.text)) space_out_ideographs(text);
    if (strip_accents_) {
      if (text::may_change(NormalForm::kNfd, text.text)) normalise(NormalForm::kNfd, text);
      remove_trait(text, kBertAccent);
    }
    if (lower_) make_lower_case(text);
  }

 private:
  static void clean(AlignedText& text) {
    const CodePointTable& table = code_points();
    rewrite(text, [&](Rewriter& rewriter, Utf8Character old) {
      const uint16_t traits = table.traits(old.value);
      if ((traits & kBertControl) != 0) {
        rewriter.drop(old.length);
      } else {
        replace_character(rewriter, old, (traits & kSpace) != 0 ? U' ' : old.value);
      }
    });
  }
  static bool is_ideograph(char32_t c) {
    return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
           (c >= 0x2A700 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) || (c >= 0xF900 && c <= 0xFAFF) ||
           (c >= 0x2F800 && c <= 0x2FA1F);
  }
  static void space_out_ideographs(AlignedText& text) {
    rewrite(text, [](Rewriter& rewriter, Utf8Character old) {
      if (is_ideograph(old.value)) {
        rewriter.put(' ', 0);
        rewriter.put(old.value, 1);
        rewriter.put(' ', 1);
      } else {
        rewriter.keep(old.length);
      }
    });
  }

  bool clean_, split_ideographs_, strip_accents_, lower_;
};

class ByteLevelNormalizer : public Normalizer {
 public:
  bool may_change(std::string_view text) const override { return !text.empty(); }
  void apply(AlignedText& text) const override { write_byte_alphabet(text); }
};

class SequenceNormalizer : public Normalizer {
 public:
  explicit SequenceNormalizer(std::vector<std::unique_ptr<Normalizer>> parts) : parts_(std::move(parts)) {}
  bool may_change(std::string_view text) const override {
    return std::any_of(parts_.begin(), parts_.end(),
                       [text](const auto& part) { return part->may_change(text); });
  }
  void apply(AlignedText& text) const override {
    for (const auto& part : parts_) part->apply(text);
  }

 private:
  std::vector<std::unique_ptr<Normalizer>> parts_;
};

std::unique_ptr<Normalizer> read_charsmap(const Fields& fields) {
  const std::optional<std::string> bytes = decode_base64(fields.text("precompiled_charsmap"));
  if (!bytes) bad_input("{}: \"precompiled_charsmap\" is not base64", fields.source());
  return make_charsmap_normalizer(Charsmap(*bytes, fields.source()));
}

std::unique_ptr<Normalizer> read_bert(const Fields& fields) {
  const bool lower = fields.boolean("lowercase", true);
  return std::make_unique<BertNormalizer>(fields.boolean("clean_text", true),
                                          fields.boolean("handle_chinese_chars", true),
                                          fields.boolean("strip_accents", lower), lower);
}

std::unique_ptr<Normalizer> read_one(const Json& json, const std::string& where) {
  const Fields fields(json, where);
  const std::string type = fields.text("type");
  if (type == "NFC") return std::make_unique<FormNormalizer>(NormalForm::kNfc);
  if (type == "NFD") return std::make_unique<FormNormalizer>(NormalForm::kNfd);
  if (type == "NFKC") return std::make_unique<FormNormalizer>(NormalForm::kNfkc);
  if (type == "NFKD") return std::make_unique<FormNormalizer>(NormalForm::kNfkd);
  if (type == "Lowercase") return std::make_unique<LowercaseNormalizer>();
  if (type == "StripAccents") return std::make_unique<StripAccentsNormalizer>();
  if (type == "Strip") {
    return std::make_unique<StripNormalizer>(fields.boolean("strip_left", true),
                                             fields.boolean("strip_right", true));
  }
  if (type == "Prepend") return make_prepend(fields.text("prepend"));
  if (type == "Replace")
    return std::make_unique<ReplaceNormalizer>(read_pattern(fields), fields.text("content"));
  if (type == "Nmt") return std::make_unique<NmtNormalizer>();
  if (type == "ByteLevel") return std::make_unique<ByteLevelNormalizer>();
  if (type == "Precompiled") return read_charsmap(fields);
  if (type == "BertNormalizer") return read_bert(fields);
  bad_input(
      "{}: the normaliser \"{}\" is not known; known are NFC, NFD, NFKC, NFKD, Lowercase, StripAccents, "
      "Strip, "
      "Prepend, Replace, Nmt, ByteLevel, Precompiled, BertNormalizer and Sequence",
      where, type);
}

}  // namespace

void prepend(AlignedText& text, std::string_view prefix) {
  if (text.text.empty() || prefix.empty()) return;
  const Utf8Character first = character_at(text.text.data());
  Rewriter rewriter(text);
  // The prefix stands where the first character stood, and that one counts as inserted after it.
  rewriter.put(character_at(prefix.data()).value, 0);
  rewriter.insert(prefix.substr(character_length(prefix.front())));
  rewriter.put(first.value, 1);
  rewriter.keep(rewriter.rest().size());
  rewriter.finish();
}

std::unique_ptr<Normalizer> make_prepend(std::string text) {
  return std::make_unique<PrependNormalizer>(std::move(text));
}

std::unique_ptr<Normalizer> make_replace(const std::string& from, std::string to) {
  return std::make_unique<ReplaceNormalizer>(Pattern::literal(from), std::move(to));
}

std::unique_ptr<Normalizer> make_sequence(std::vector<std::unique_ptr<Normalizer>> parts) {
  return std::make_unique<SequenceNormalizer>(std::move(parts));
}

std::unique_ptr<Normalizer> read_normalizer(const Json& json, const std::string& where) {
  std::vector<std::unique_ptr<Normalizer>> parts;
  for_each_part(json, "normalizers", where,
                [&](const Json& part, const std::string& place) { parts.push_back(read_one(part, place)); });
  if (parts.empty()) return nullptr;
  return parts.size() == 1 ? std::move(parts.front()) : make_sequence(std::move(parts));
}

}  // namespace martlet::text
