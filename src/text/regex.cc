#include "text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <array>
#include <cstring>
#include <optional>
#include <pcre2.h>

#include "base/error.h"
#include "text/oniguruma.h"
#include "text/unicode.h"

namespace martlet::text {

namespace {

constexpr size_t kJitStackStart = 64 * 1024, kJitStackMost = 16 * 1024 * 1024;

struct MatchDataDeleter {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};
struct ContextDeleter {
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};
struct StackDeleter {
  void operator()(pcre2_jit_stack* stack) const { pcre2_jit_stack_free(stack); }
};

/// A code point of the same category and the same length in UTF-8 that PCRE2's older tables know.
char32_t twin_of(char32_t c) {
  struct Twin {
    Category category;
    char32_t three_bytes;
    char32_t four_bytes;
  };
  constexpr std::array kTwins = {Twin{Category::kLu, 0x1E00, 0x10400}, Twin{Category::kLl, 0x1E01, 0x10428},
                                 Twin{Category::kLm, 0x1D2C, 0x16B40}, Twin{Category::kLo, 0x0905, 0x10450},
                                 Twin{Category::kMn, 0x0901, 0x11001}, Twin{Category::kMc, 0x0903, 0x11002},
                                 Twin{Category::kNd, 0x0966, 0x104A0}, Twin{Category::kNo, 0x2070, 0x10107},
                                 Twin{Category::kPd, 0x2010, 0x10EAD}, Twin{Category::kPo, 0x2016, 0x10100},
                                 Twin{Category::kSm, 0x2200, 0x1D6C1}, Twin{Category::kSo, 0x2100, 0x1F300},
                                 Twin{Category::kCf, 0x200B, 0x110BD}};
  if (c >= 0x20000) return 0x20000;  // ideographs: the script must stay too
  const Category category = code_points().category(c);
  for (const Twin& twin : kTwins) {
    if (twin.category == category) return c < 0x10000 ? twin.three_bytes : twin.four_bytes;
  }
  return c;
}

/// The text with every code point that PCRE2 does not know in place of one that it does; nothing when there
/// is none.
std::optional<std::string> with_twins(std::string_view text) {
  std::optional<std::string> copy;
  const CodePointTable& table = code_points();
  for (size_t at = ascii_prefix(text); at < text.size();) {
    const Utf8Character character = character_at(text.data() + at);
    if (character.length >= 3 && table.has(character.value, kNewerThanPcre)) {
      const char32_t twin = twin_of(character.value);
      if (!copy) copy.emplace(text);
      char* to = copy->data() + at;
      if (character.length == 4) *to++ = static_cast<char>(0xF0 | twin >> 18);
      *to++ = static_cast<char>(character.length == 4 ? 0x80 | (twin >> 12 & 0x3F) : 0xE0 | twin >> 12);
      *to++ = static_cast<char>(0x80 | (twin >> 6 & 0x3F));
      *to = static_cast<char>(0x80 | (twin & 0x3F));
    }
    at += character.length;
  }
  return copy;
}

std::string pcre_message(int code) {
  std::array<PCRE2_UCHAR, 256> buffer{};
  pcre2_get_error_message(code, buffer.data(), buffer.size());
  return reinterpret_cast<const char*>(buffer.data());
}

}  // namespace

struct Pattern::Compiled {
  pcre2_code* code = nullptr;
  bool compares = false;  // has back references, which twins would deceive
  ~Compiled() { pcre2_code_free(code); }
};

Pattern Pattern::regex(std::string_view expression, std::string_view where) {
  Pattern pattern;
  pattern.expression_ = expression;
  const std::string translated = translate_oniguruma(expression, where);
  auto compiled = std::make_shared<Compiled>();
  int error = 0;
  PCRE2_SIZE offset = 0;
  compiled->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                                 PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE, &error, &offset, nullptr);
  if (compiled->code == nullptr) {
    bad_input("{}: the regular expression \"{}\" is broken: {}", where, expression, pcre_message(error));
  }
  uint32_t references = 0;
  pcre2_pattern_info(compiled->code, PCRE2_INFO_BACKREFMAX, &references);
  compiled->compares = references > 0;
  pcre2_jit_compile(compiled->code, PCRE2_JIT_COMPLETE);  // without it the interpreter serves
  pattern.compiled_ = std::move(compiled);
  return pattern;
}

Pattern Pattern::literal(std::string_view text) {
  Pattern pattern;
  pattern.literal_ = text;
  if (text.empty()) {
    auto compiled = std::make_shared<Compiled>();
    int error = 0;
    PCRE2_SIZE offset = 0;
    compiled->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(""), 0, PCRE2_UTF, &error, &offset, nullptr);
    pattern.compiled_ = std::move(compiled);
  }
  return pattern;
}

void Pattern::for_each(std::string_view text, FunctionRef<void(size_t, size_t)> on_match) const {
  if (compiled_ != nullptr) {
    for_each_regex(text, [&](size_t begin, size_t end) {
      on_match(begin, end);
      return true;
    });
    return;
  }
  for (size_t at = text.find(literal_); at != std::string_view::npos;
       at = text.find(literal_, at + literal_.size())) {
    on_match(at, at + literal_.size());
  }
}

bool Pattern::found_in(std::string_view text) const {
  if (compiled_ == nullptr) return text.find(literal_) != std::string_view::npos;
  bool found = false;
  for_each_regex(text, [&](size_t, size_t) { return !(found = true); });
  return found;
}

void Pattern::for_each_regex(std::string_view text, FunctionRef<bool(size_t, size_t)> on_match) const {
  const std::optional<std::string> twins = compiled_->compares ? std::nullopt : with_twins(text);
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(twins ? twins->data() : text.data());
  const std::unique_ptr<pcre2_match_data, MatchDataDeleter> data(pcre2_match_data_create(1, nullptr));
  std::unique_ptr<pcre2_match_context, ContextDeleter> context;
  std::unique_ptr<pcre2_jit_stack, StackDeleter> stack;
  if (data == nullptr) fail(ErrorCode::kExhausted, "no memory is left to match a regular expression");
  size_t start = 0, last_end = SIZE_MAX;
  while (start <= text.size()) {
    const int found = pcre2_match(compiled_->code, subject, text.size(), start, PCRE2_NO_UTF_CHECK,
                                  data.get(), context.get());
    if (found == PCRE2_ERROR_NOMATCH) return;
    if (found == PCRE2_ERROR_JIT_STACKLIMIT && context == nullptr) {
      context.reset(pcre2_match_context_create(nullptr));
      stack.reset(pcre2_jit_stack_create(kJitStackStart, kJitStackMost, nullptr));
      pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
      continue;
    }
    if (found < 0)
      bad_input("the regular expression \"{}\" gave up on a text of {} bytes: {}", expression_, text.size(),
                pcre_message(found));
    const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(data.get());
    const size_t begin = ends[0], end = ends[1];
    if (begin == end && end == last_end) {
      // An empty match right after a match does not count; the search goes on one character later.
      if (start >= text.size()) return;
      start += character_length(text[start]);
      continue;
    }
    if (!on_match(begin, end)) return;
    start = last_end = end;
  }
}

}  // namespace martlet::text
