#include "cli/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fmt/ranges.h>

#include "base/error.h"
#include "base/human.h"
#include "base/log.h"
#include "base/thread_pool.h"
#include "cli/verb.h"

namespace martlet::cli {
namespace {

/// "--learning-rate" of "-l,--learning-rate".
std::string long_name(const std::string& names) {
  const size_t comma = names.rfind(',');
  return comma == std::string::npos ? names : names.substr(comma + 1);
}

std::string key_of(const std::string& names) {
  std::string key = long_name(names);
  key.erase(0, key.find_first_not_of('-'));
  for (char& c : key)
    if (c == '-') c = '_';
  return key;
}

std::string joined(std::span<const std::string> words, std::string_view separator) {
  return fmt::format("{}", fmt::join(words, separator));
}

/// What a recipe calls it; empty where it has no place in one.
std::string key_in_recipe(const Option& option) {
  if (option.about) return "";
  if (!option.positional) return option.key;
  std::string key = option.metavar;
  for (char& c : key) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return key;
}

/// The table of a recipe that a dotted name means, or null.
const Json* table_of(const Json& recipe, std::string_view name) {
  const Json* table = &recipe;
  while (table != nullptr && !name.empty()) {
    const size_t dot = std::min(name.find('.'), name.size());
    table = table->is_object() ? table->find(name.substr(0, dot)) : nullptr;
    name.remove_prefix(std::min(dot + 1, name.size()));
  }
  return table != nullptr && table->is_object() ? table : nullptr;
}

/// A real number written whole; nothing else in the text.
bool parse_real(const std::string& text, double& value) {
  char* end = nullptr;
  value = std::strtod(text.c_str(), &end);
  return !text.empty() && end == text.c_str() + text.size() && std::isfinite(value);
}

/// The text of a recipe's value as the command line would write it.
std::string as_word(const Json& value) {
  return value.is_string() ? value.string() : value.dump();
}

std::string describe(const CLI::ParseError& error) {
  std::string text = error.what();
  for (char& c : text)
    if (c == '\n') c = ' ';
  return text;
}

}  // namespace

void refuse_unknown_tables(const Json& recipe, std::string_view file) {
  // Parts of a training, and what quickstart must know to go on.
  std::vector<std::string> known{"model", "data", "quickstart"};
  for (const Verb& verb : verbs()) known.emplace_back(verb.name);
  for (const auto& [name, table] : recipe.object()) {
    if (!table.is_object()) bad_input("{}, line {}: '{}' stands in no table", file, table.line(), name);
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    const std::optional<std::string> nearest = nearest_name(name, known);
    bad_input("{}, line {}: no verb has the table [{}]{}", file, table.line(), name,
              nearest ? fmt::format("; did you mean [{}]?", *nearest) : "");
  }
}

Options::Options(std::string_view verb, std::string_view example) : verb_(verb), example_(example) {
  count("--threads", "N", threads_, "threads to use; 0 takes all that the machine grants", 0, 4096);
  choice("--log", log_, {"off", "warning", "info", "debug"},
         "what to tell of the inner work, on standard error");
  text("--recipe", "FILE.toml", recipe_, "take what is not given here from the recipe's table of this verb");
  options_.back().about = true;
  flag("--check", check_, "read the options, say what is wrong with them, and do nothing");
  options_.back().about = true;
  // "eval loss" has the table [eval.loss].
  tables_ = {verb_};
  for (char& c : tables_.front())
    if (c == ' ') c = '.';
}

Options& Options::recipe(std::string_view metavar, std::string& into, std::string_view help,
                         std::vector<std::string> tables) {
  positional(metavar, into, help, false);
  options_.back().about = true;
  recipe_word_ = &into;
  tables_ = std::move(tables);
  return *this;
}

Options& Options::add(Option option) {
  if (!option.positional) option.key = key_of(option.names);
  options_.push_back(std::move(option));
  return *this;
}

Options& Options::positional(std::string_view metavar, std::string& into, std::string_view help,
                             bool required) {
  Option option;
  option.names = option.metavar = metavar;
  option.help = help;
  option.default_text = into;
  option.positional = true;
  option.required = required;
  option.assign = [&into](const std::string& value) { into = value; };
  option.read = [&into] { return Json(into); };
  return add(std::move(option));
}

Options& Options::positionals(std::string_view metavar, std::vector<std::string>& into, std::string_view help,
                              bool required) {
  Option option;
  option.names = option.metavar = metavar;
  option.help = help;
  option.positional = option.repeats = true;
  option.required = required;
  option.assign = [&into](const std::string& value) { into.push_back(value); };
  option.read = [&into] { return Json(Json::Array(into.begin(), into.end())); };
  return add(std::move(option));
}

Options& Options::flag(std::string_view names, bool& into, std::string_view help) {
  Option option;
  option.names = names;
  option.help = help;
  option.read = [&into] { return Json(into); };
  option.assign = [&into, name = long_name(option.names)](const std::string& value) {
    if (value != "true" && value != "false")
      fail(ErrorCode::kUsage, "{} is on or off; expected true or false, got '{}'", name, value);
    into = value == "true";
  };
  return add(std::move(option));
}

Options& Options::count(std::string_view names, std::string_view metavar, int64_t& into,
                        std::string_view help, int64_t low, int64_t high) {
  Option option;
  option.names = names;
  option.metavar = metavar;
  option.help = help;
  option.default_text = std::to_string(into);
  option.read = [&into] { return Json(into); };
  option.assign = [&into, name = long_name(option.names), low, high](const std::string& value) {
    const std::optional<int64_t> number = parse_count(value);
    if (!number || *number < low || *number > high)
      fail(ErrorCode::kUsage, "{} wants a whole number{}, got '{}'", name,
           high == std::numeric_limits<int64_t>::max() ? fmt::format(" of at least {}", low)
                                                       : fmt::format(" from {} to {}", low, high),
           value);
    into = *number;
  };
  return add(std::move(option));
}

Options& Options::size(std::string_view names, std::string_view metavar, uint64_t& into,
                       std::string_view help) {
  Option option;
  option.names = names;
  option.metavar = metavar;
  option.help = help;
  option.default_text = into == 0 ? "" : format_bytes(into);
  option.read = [&into] { return Json(static_cast<int64_t>(into)); };
  option.assign = [&into, name = long_name(option.names)](const std::string& value) {
    const std::optional<uint64_t> bytes = parse_size(value);
    if (!bytes) fail(ErrorCode::kUsage, "{} wants a size such as 512M or 6G, got '{}'", name, value);
    into = *bytes;
  };
  return add(std::move(option));
}

Options& Options::real(std::string_view names, std::string_view metavar, double& into, std::string_view help,
                       double low, double high) {
  Option option;
  option.names = names;
  option.metavar = metavar;
  option.help = help;
  option.default_text = fmt::format("{}", into);
  option.read = [&into] { return Json(into); };
  option.assign = [&into, name = long_name(option.names), low, high](const std::string& value) {
    double number = 0;
    if (!parse_real(value, number) || number < low || number > high)
      fail(ErrorCode::kUsage, "{} wants a number from {} to {}, got '{}'", name, low, high, value);
    into = number;
  };
  return add(std::move(option));
}

Options& Options::text(std::string_view names, std::string_view metavar, std::string& into,
                       std::string_view help) {
  Option option;
  option.names = names;
  option.metavar = metavar;
  option.help = help;
  option.default_text = into;
  option.assign = [&into](const std::string& value) { into = value; };
  option.read = [&into] { return Json(into); };
  return add(std::move(option));
}

Options& Options::texts(std::string_view names, std::string_view metavar, std::vector<std::string>& into,
                        std::string_view help) {
  Option option;
  option.names = names;
  option.metavar = metavar;
  option.help = help;
  option.repeats = true;
  option.assign = [&into](const std::string& value) { into.push_back(value); };
  option.read = [&into] { return Json(Json::Array(into.begin(), into.end())); };
  return add(std::move(option));
}

Options& Options::choice(std::string_view names, std::string& into, std::vector<std::string> choices,
                         std::string_view help) {
  Option option;
  option.names = names;
  option.metavar = joined(choices, "|");
  option.help = help;
  option.default_text = into;
  option.read = [&into] { return Json(into); };
  option.assign = [&into, name = long_name(option.names),
                   choices = std::move(choices)](const std::string& value) {
    const auto known = std::find(choices.begin(), choices.end(), CLI::ignore_case(value));
    if (known != choices.end()) {
      into = *known;
      return;
    }
    fail(ErrorCode::kUsage, "{} is one of {}, got '{}'", name, joined(choices, ", "), value);
  };
  return add(std::move(option));
}

std::vector<std::vector<std::string>> Options::words_by_option(std::span<const std::string> arguments,
                                                               bool& wants_help) {
  CLI::App app;
  app.set_help_flag();
  app.add_flag("-h,--help", wants_help);
  std::vector<std::vector<std::string>> values(options_.size());
  std::vector<std::string> names{"--help"};
  for (size_t i = 0; i < options_.size(); ++i) {
    const Option& option = options_[i];
    if (option.positional) continue;
    names.push_back(long_name(option.names));
    if (option.metavar.empty())
      app.add_flag_callback(option.names, [&values, i] { values[i].emplace_back("true"); });
    else  // one word each time it is written
      app.add_option(option.names, values[i])->expected(1)->take_all()->allow_extra_args(false);
  }
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.allow_extras();
    app.parse(std::move(reversed));
  } catch (const CLI::ParseError& error) {
    fail(ErrorCode::kUsage, "{}: {}; `martlet {} --help` lists the options", verb_, describe(error), verb_);
  }
  if (wants_help) return values;
  // What is no option fills the positional words in order.
  size_t place = 0;
  for (const std::string& word : app.remaining()) {
    const bool is_option = word.size() > 1 && word.front() == '-';
    while (place < options_.size() &&
           (!options_[place].positional || (!options_[place].repeats && !values[place].empty())))
      ++place;
    if (!is_option && place < options_.size()) {
      values[place].push_back(word);
      continue;
    }
    const std::optional<std::string> nearest = is_option ? nearest_name(word, names) : std::nullopt;
    fail(ErrorCode::kUsage, "{} has no place for '{}'{}; `martlet {} --help` lists the options", verb_, word,
         nearest ? fmt::format(" (did you mean {}?)", *nearest) : "", verb_);
  }
  return values;
}

bool Options::parse(std::span<const std::string> arguments) {
  bool wants_help = false;
  std::vector<std::vector<std::string>> values = words_by_option(arguments, wants_help);
  if (wants_help) {
    fmt::print("{}", help());
    return false;
  }
  for (size_t i = 0; i < options_.size(); ++i) {
    Option& option = options_[i];
    option.given = !values[i].empty();
    if (option.given && !option.repeats) values[i] = {values[i].back()};
    for (const std::string& value : values[i]) option.assign(value);
  }
  if (recipe_.empty() && recipe_word_ != nullptr) recipe_ = *recipe_word_;
  if (!recipe_.empty()) fill_from_recipe(recipe_);
  for (const Option& option : options_)
    if (option.required && !option.given && !option.filled)
      fail(ErrorCode::kUsage, "{} needs {}: {}; for example: {}", verb_, option.metavar, option.help,
           example_);
  if (check_) return false;
  set_thread_count(static_cast<int>(threads_));
  log::set_level(log_ == "debug"     ? log::Level::kDebug
                 : log_ == "info"    ? log::Level::kInfo
                 : log_ == "warning" ? log::Level::kWarning
                                     : log::Level::kOff);
  return true;
}

void Options::fill_from_recipe(const std::string& file) {
  const Json recipe = parse_toml_file(file);
  refuse_unknown_tables(recipe, file);
  bool found = false;
  for (const std::string& name : tables_) {
    const Json* table = table_of(recipe, name);
    if (table == nullptr) continue;
    found = true;
    fill_from(*table, fmt::format("{} [{}]", file, name));
  }
  if (!found)
    bad_input("{} has no table [{}], from which {} takes its options", file, joined(tables_, "] or ["),
              verb_);
}

void Options::fill_from(const Json& table, std::string_view source) {
  std::vector<std::string> known;
  for (const Option& option : options_)
    if (const std::string key = key_in_recipe(option); !key.empty()) known.push_back(key);
  for (const auto& [key, value] : table.object()) {
    const auto option = std::find_if(options_.begin(), options_.end(),
                                     [&key = key](const Option& o) { return key_in_recipe(o) == key; });
    if (option == options_.end()) {
      const std::optional<std::string> nearest = nearest_name(key, known);
      bad_input("{}, line {}: unknown key '{}'{}", source, value.line(), key,
                nearest ? fmt::format("; did you mean '{}'?", *nearest) : "");
    }
    if (option->given) continue;
    option->filled = true;
    try {
      if (option->repeats && value.is_array())
        for (const Json& item : value.array()) option->assign(as_word(item));
      else
        option->assign(as_word(value));
    } catch (const Error& error) {
      bad_input("{}, line {}: {}", source, value.line(), error.what());
    }
  }
}

Json Options::values() const {
  Json values{Json::Object{}};
  for (const Option& option : options_)
    if (!option.positional && !option.about) values.set(option.key, option.read());
  return values;
}

bool Options::given(std::string_view key) const {
  for (const Option& option : options_)
    if ((option.positional ? option.metavar : option.key) == key) return option.given;
  return false;
}

std::string Options::help() const {
  // A part of a verb ("data tokens") is summed up as the whole.
  const Verb* verb = find_verb(std::string_view(verb_).substr(0, verb_.find(' ')));
  std::string usage = fmt::format("Usage: martlet {}", verb_);
  std::string words, options;
  for (const Option& option : options_) {
    if (option.positional) {
      const std::string shown = option.metavar + (option.repeats ? "..." : "");
      usage += option.required ? " " + shown : " [" + shown + "]";
    }
    std::string left = option.names;
    if (!option.positional) {
      if (const size_t comma = left.find(','); comma != std::string::npos) left.insert(comma + 1, " ");
      if (!option.metavar.empty()) left += " " + option.metavar;
    }
    std::string right = option.help;
    if (!option.default_text.empty() && !option.required) right += fmt::format(" [{}]", option.default_text);
    // A long left column puts its help on the next line.
    std::string line = left.size() <= 26 ? fmt::format("  {:<28}{}\n", left, right)
                                         : fmt::format("  {}\n  {:<28}{}\n", left, "", right);
    (option.positional ? words : options) += line;
  }
  return fmt::format("{} [options]\n\n{}\n\n{}{}Options:\n{}  {:<28}{}\n\nExample:\n  {}\n", usage,
                     verb != nullptr ? verb->summary : "", words, words.empty() ? "" : "\n", options,
                     "-h, --help", "show this", example_);
}

}  // namespace martlet::cli
