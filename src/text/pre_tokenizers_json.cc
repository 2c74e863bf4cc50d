// Reading the `pre_tokenizer` of a tokenizer.json.

#include <utility>

#include "base/error.h"
#include "base/fields.h"
#include "text/json_parts.h"
#include "text/pre_tokenizers.h"
#include "text/unicode.h"

namespace martlet::text {

namespace {

SplitBehaviour read_behaviour(const Fields& fields, std::string_view fallback) {
  const std::string name = fields.text("behavior", fallback);
  if (name == "Removed") return SplitBehaviour::kRemoved;
  if (name == "Isolated") return SplitBehaviour::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehaviour::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehaviour::kMergedWithNext;
  if (name == "Contiguous") return SplitBehaviour::kContiguous;
  bad_input(
      "{}: \"behavior\" is \"{}\"; it must be Removed, Isolated, MergedWithPrevious, MergedWithNext or "
      "Contiguous",
      fields.source(), name);
}

std::unique_ptr<PreTokenizer> read_metaspace(const Fields& fields) {
  std::string scheme = fields.text("prepend_scheme", "always");
  if (!fields.boolean("add_prefix_space", true)) {
    if (fields.has("prepend_scheme") && scheme != "never") {
      bad_input("{}: \"add_prefix_space\" is false but \"prepend_scheme\" is \"{}\"", fields.source(),
                scheme);
    }
    scheme = "never";
  }
  if (scheme != "always" && scheme != "first" && scheme != "never") {
    bad_input("{}: \"prepend_scheme\" is \"{}\"; it must be always, first or never", fields.source(), scheme);
  }
  return make_metaspace(read_character(fields, "replacement"), scheme == "first", scheme == "always",
                        fields.boolean("split", true));
}

/// Null for a part that does nothing.
std::unique_ptr<PreTokenizer> read_one(const Json& json, const std::string& where, bool alphabet_left_out) {
  const Fields fields(json, where);
  const std::string type = fields.text("type");
  if (type == "ByteLevel") {
    const bool prefix = fields.boolean("add_prefix_space", true), words = fields.boolean("use_regex", true);
    return prefix || words || !alphabet_left_out ? make_byte_level(prefix, words, !alphabet_left_out)
                                                 : nullptr;
  }
  if (type == "Metaspace") return read_metaspace(fields);
  if (type == "Split") {
    return make_split(read_pattern(fields), read_behaviour(fields, "Isolated"),
                      fields.boolean("invert", false));
  }
  if (type == "Digits") {
    const bool single = fields.boolean("individual_digits", false);
    return make_trait_split(kNumeric, single ? SplitBehaviour::kIsolated : SplitBehaviour::kContiguous);
  }
  if (type == "Punctuation") return make_trait_split(kBertPunctuation, read_behaviour(fields, "Isolated"));
  if (type == "Whitespace") return make_whitespace();
  if (type == "WhitespaceSplit") return make_trait_split(kSpace, SplitBehaviour::kRemoved);
  if (type == "CharDelimiterSplit") return make_character_split(read_character(fields, "delimiter"));
  if (type == "UnicodeScripts") return make_unicode_scripts();
  if (type == "FixedLength") return make_fixed_length(fields.integer_within("length", 1, INT32_MAX, 5));
  bad_input(
      "{}: the pre-tokenizer \"{}\" is not known; known are ByteLevel, Metaspace, Split, Digits, "
      "Punctuation, Whitespace, "
      "WhitespaceSplit, BertPreTokenizer, CharDelimiterSplit, UnicodeScripts, FixedLength and Sequence",
      where, type);
}

}  // namespace

PreTokenizerChain read_pre_tokenizers(const Json& json, const std::string& where) {
  std::vector<std::pair<const Json*, std::string>> found;
  for_each_part(json, "pretokenizers", where,
                [&](const Json& part, const std::string& place) { found.emplace_back(&part, place); });
  PreTokenizerChain chain;
  for (const auto& [part, place] : found) {
    const std::string type = Fields(*part, place).text("type");
    if (type == "BertPreTokenizer") {
      chain.parts.push_back(make_trait_split(kSpace, SplitBehaviour::kRemoved));
      chain.parts.push_back(make_trait_split(kBertPunctuation, SplitBehaviour::kIsolated));
      continue;
    }
    chain.bytes_at_end = type == "ByteLevel" && part == found.back().first;
    if (auto made = read_one(*part, place, chain.bytes_at_end)) chain.parts.push_back(std::move(made));
  }
  return chain;
}

}  // namespace martlet::text
