#include "text/gguf_words.h"

#include <algorithm>
#include <array>
#include <string>

#include "base/error.h"
#include "text/word_patterns.h"

namespace martlet::text {

namespace {

enum Flags : unsigned { kPlain = 0, kWhole = 1, kBos = 2 };

// Expressions that no WordPattern stands for, in Oniguruma's syntax.
constexpr std::string_view kDigit = R"(\p{N})";
constexpr std::string_view kDigits = R"(\p{N}+)";
constexpr std::string_view kThreeDigits = R"(\p{N}{1,3})";
constexpr std::string_view kLines = R"([\r\n])";
constexpr std::string_view kIdeographs = "[一-龥぀-ゟ゠-ヿ]+";
constexpr std::string_view kOldIdeographs = "[一-龥ࠀ-一가-퟿]+";
constexpr std::string_view kBloom = " ?[^(\\s|.,!?…。，、।۔،)]+";
constexpr std::string_view kDeepseekWords =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view
    kDeepseekLetters =  // characters that Unicode normalisation changes stand by number
    "\\s?[A-Za-z\\u00B5À-ÖØ-öø-ƺƼ-ƿ\\u01C4-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-\\u03F5Ϸ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ"
    "-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\\u1F7Dᾀ-ᾴᾶ-ᾼ\\u1FBEῂ-ῄῆ-ῌῐ-\\u1FD3ῖ-\\u1FDBῠ-Ῥῲ-ῴῶ-ῼ\\u2102\\u2107"
    "\\u210A-\\u2113\\u2115\\u2119-\\u211D\\u2124\\u2126\\u2128\\u212A-\\u212D\\u212F-\\u2134\\u2139"
    "\\u213C-\\u213F\\u2145-\\u2149ⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿ\\uFB00-\\uFB06\\uFB13-\\uFB17"
    "\\uFF21-\\uFF3A\\uFF41-\\uFF5A𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+";
constexpr std::string_view kDeepseekSigns = "\\s?[!-/:-~！-／：-～‘-‟　-。]+";
constexpr std::string_view kQwen35 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kBailing =
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr std::string_view kSeedCoder =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kExaoneMoe =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr std::string_view kKimi =
    R"([\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

/// One way of cutting, and every name it goes by.
struct Entry {
  std::string_view names;  // each between spaces
  unsigned flags;
  std::vector<std::string_view> expressions;
};

std::vector<Entry> entries() {
  const std::string_view gpt2 = expression_of(WordPattern::kGpt2),
                         llama3 = expression_of(WordPattern::kLlama3);
  const std::string_view qwen2 = expression_of(WordPattern::kQwen2),
                         gpt4o = expression_of(WordPattern::kGpt4o);
  const std::string_view tekken = expression_of(WordPattern::kTekken);
  return {
      {" default ", kPlain, {R"([\p{P}\$\+<=>\^~\|]+)", gpt2, kDigits, "[0-9][0-9][0-9]"}},
      {" gpt-2 phi-2 jina-es jina-de gigachat jina-v2-es jina-v2-de a.x-4.0 mellum modern-bert exaone4 mpt "
       "olmo jais trillion "
       "granite-docling jina-v1-en jina-v2-code roberta-bpe ",
       kPlain,
       {gpt2}},
      {" starcoder refact command-r smollm codeshell exaone minerva-7b mellum2 ", kPlain, {kDigit, gpt2}},
      {" llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano ",
       kWhole | kBos,
       {llama3}},
      {" dbrx smaug-bpe chatglm-bpe ", kPlain, {llama3}},
      {" glm4 glm5 ", kWhole, {llama3}},
      {" minicpm5 ",
       kWhole,
       {kThreeDigits,
        R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"}},
      {" qwen2 deepseek-r1-qwen kormo f2llmv2 megrez stablelm2 hunyuan solar-open grok-2 ", kPlain, {qwen2}},
      {" qwen35 ", kPlain, {kQwen35}},
      {" gpt-4o llama4 kanana2 talkie minimax-m2 ", kPlain, {gpt4o}},
      {" tekken ", kWhole | kBos, {tekken}},
      {" falcon ", kPlain, {R"([\p{P}\$\+<=>\^~\|`]+)", gpt2, "[0-9][0-9][0-9]"}},
      {" deepseek-llm ",
       kPlain,
       {kLines, kDeepseekLetters, kDeepseekSigns, R"(\s+$)", kOldIdeographs, kDigits}},
      {" deepseek-coder ", kPlain, {kLines, R"(\s?\p{L}+)", R"(\s?\p{P}+)", kOldIdeographs, kDigit}},
      {" deepseek-v3 hunyuan-dense joyai-llm hy_v4 ", kPlain, {kThreeDigits, kIdeographs, kDeepseekWords}},
      {" poro-chat bloom gpt3-finnish ", kPlain, {kBloom}},
      {" viking ", kPlain, {kBloom, kDigit}},
      {" bailingmoe bailingmoe2 llada-moe ", kPlain, {kBailing}},
      {" seed-coder ", kPlain, {kSeedCoder}},
      {" exaone-moe ", kPlain, {kExaoneMoe}},
      {" superbpe ", kPlain, {kDigits, R"((?=(\d{3})+(?!\d)))"}},
      {" kimi-k2 ", kPlain, {kKimi}},
  };
}

}  // namespace

GgufWords gguf_words(std::string_view name) {
  const std::string wanted = " " + std::string(name.empty() ? "default" : name) + " ";
  std::string known;
  for (Entry& entry : entries()) {
    if (entry.names.find(wanted) != std::string_view::npos) {
      return {std::move(entry.expressions), (entry.flags & kWhole) != 0, (entry.flags & kBos) != 0};
    }
    known += entry.names.substr(1);
  }
  bad_input("tokenizer.ggml.pre: the pre-tokenizer \"{}\" is not known; known are {}", name, known);
}

std::optional<std::string_view> gguf_words_name(std::span<const std::string> expressions, bool whole_words) {
  const auto same = [](std::string_view a, std::string_view b) {
    return a == b || (known_word_pattern(a) && known_word_pattern(a) == known_word_pattern(b));
  };
  for (const Entry& entry : entries()) {
    if (((entry.flags & kWhole) != 0) != whole_words) continue;
    // The first name of each is one that readers have known from the beginning.
    if (std::equal(expressions.begin(), expressions.end(), entry.expressions.begin(), entry.expressions.end(),
                   same))
      return entry.names.substr(1, entry.names.find(' ', 1) - 1);
  }
  return std::nullopt;
}

}  // namespace martlet::text
