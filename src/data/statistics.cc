#include "data/statistics.h"

#include <algorithm>
#include <bit>
#include <unordered_set>

#include "base/interrupt.h"
#include "base/utf8.h"

namespace martlet::data {
namespace {

struct ScriptRange {
  char32_t first, last;
  std::string_view script;
};

// Blocks of the Unicode Standard 15 that hold the letters of widely written scripts, in order.
constexpr ScriptRange kScripts[] = {
    {0x41, 0x5A, "Latin"},      {0x61, 0x7A, "Latin"},        {0xC0, 0x24F, "Latin"},
    {0x370, 0x3FF, "Greek"},    {0x400, 0x52F, "Cyrillic"},   {0x590, 0x5FF, "Hebrew"},
    {0x600, 0x6FF, "Arabic"},   {0x900, 0x97F, "Devanagari"}, {0xE00, 0xE7F, "Thai"},
    {0x1100, 0x11FF, "Hangul"}, {0x1E00, 0x1EFF, "Latin"},    {0x1F00, 0x1FFF, "Greek"},
    {0x3040, 0x30FF, "Kana"},   {0x3400, 0x4DBF, "Han"},      {0x4E00, 0x9FFF, "Han"},
    {0xAC00, 0xD7AF, "Hangul"}, {0x20000, 0x2FA1F, "Han"},
};

std::string_view script_of(char32_t point) {
  for (const ScriptRange& range : kScripts)
    if (point <= range.last) return point >= range.first ? range.script : std::string_view();
  return {};
}

std::string_view name_of(Document::Form form) {
  constexpr std::string_view kNames[] = {"text", "ids", "messages"};
  return kNames[static_cast<size_t>(form)];
}

/// The words of a document without the marks of its form.
std::string words_of(const Document& document) {
  if (document.form != Document::Form::kMessages) return document.text;
  std::string words;
  for (const Json& message : document.messages.array())
    if (const Json* content = message.find("content"); content != nullptr && content->is_string())
      words += content->string() + "\n";
  return words;
}

}  // namespace

std::string_view main_script(std::string_view text) {
  std::map<std::string_view, int64_t> letters;
  for (size_t i = 0; i < text.size();) {
    const CodePoint point = decode_utf8(text, i);
    i += static_cast<size_t>(point.length);
    const std::string_view script = script_of(point.value);
    if (!script.empty()) ++letters[script];
  }
  const auto most = std::max_element(letters.begin(), letters.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == letters.end() ? "none" : most->first;
}

CorpusStatistics statistics_of(DocumentReader& reader, const DocumentEncoder* encoder) {
  CorpusStatistics statistics;
  std::unordered_set<Hash128, Hash128Hasher> seen;
  for (Document document; reader.next(document);) {
    throw_if_interrupted();
    const std::string content = content_of(document);
    const auto bytes = static_cast<int64_t>(content.size());
    ++statistics.documents;
    statistics.bytes += bytes;
    statistics.longest = std::max(statistics.longest, bytes);
    ++statistics.forms[std::string(name_of(document.form))];
    if (document.form != Document::Form::kIds)
      ++statistics.languages[std::string(main_script(words_of(document)))];
    if (!seen.insert(hash128(content)).second) ++statistics.duplicates;
    int64_t length = bytes;
    if (encoder != nullptr) {
      length = static_cast<int64_t>(encoder->encode(document).ids.size());
      statistics.tokens += length;
    }
    ++statistics
          .lengths[length == 0 ? 0 : static_cast<size_t>(std::bit_width(static_cast<uint64_t>(length)) - 1)];
  }
  return statistics;
}

}  // namespace martlet::data
