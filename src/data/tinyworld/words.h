#pragma once

// The vocabulary of the world in both languages. Nothing here depends on a seed.

#include <array>
#include <span>
#include <string>
#include <string_view>

namespace martlet::data::tinyworld {

enum class Language { kEnglish, kChinese };
inline constexpr std::array kLanguages{Language::kEnglish, Language::kChinese};

/// "en" or "zh".
std::string_view code_of(Language language);
/// The language of a code; throws kUsage naming those that there are.
Language language_of(std::string_view code);

struct Word {
  std::string_view english;
  std::string_view chinese;

  std::string_view in(Language language) const { return language == Language::kEnglish ? english : chinese; }
};

/// Something that can be counted, sold and carried.
struct Thing {
  Word name;
  std::string_view plural;
  std::string_view classifier;  ///< the Chinese measure word
};

/// What people do, and where they do it.
struct Job {
  Word name;
  Word workplace;
};

std::span<const Word> men();
std::span<const Word> women();
std::span<const Word> town_beginnings();
std::span<const Word> town_endings();
std::span<const Word> family_syllables();
std::span<const Word> countries();
std::span<const Job> jobs();
std::span<const Word> colours();
std::span<const Word> foods();
std::span<const Word> animals();
std::span<const Word> months();
std::span<const Word> days();
std::span<const Word> landmarks();
std::span<const Word> rooms();
std::span<const Thing> things();

/// `pattern` with {0} to {9} replaced by the arguments.
std::string fill(std::string_view pattern, std::span<const std::string> arguments);
std::string fill(std::string_view pattern, std::initializer_list<std::string> arguments);

/// The first letter in capitals, as a sentence begins; Chinese stays as it is.
std::string sentence_case(std::string text);
/// Sentences in one paragraph: with a space between them in English, without in Chinese. Empty parts vanish.
std::string join_sentences(std::span<const std::string> sentences, Language language);
/// "3 lamps", "1 lamp", "3盏灯".
std::string counted(int64_t count, const Thing& thing, Language language);

}  // namespace martlet::data::tinyworld
