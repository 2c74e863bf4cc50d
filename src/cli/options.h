#pragma once

// The options of a verb, declared once: help text, checks, defaults and recipe keys all come from here.

#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace martlet::cli {

/// One declared option or positional word.
struct Option {
  std::string names;    ///< "-n,--tokens"; for a positional word its metavar
  std::string metavar;  ///< "N"; empty for a flag
  std::string help;
  std::string default_text;  ///< as a person would write it; empty when there is none to show
  std::string key;  ///< the key of a recipe: "learning_rate" for --learning-rate; empty for positional words
  bool positional = false;
  bool required = false;
  bool repeats = false;  ///< may be given several times
  bool given = false;    ///< set by the command line
  bool filled = false;   ///< set by a recipe
  bool about = false;    ///< says where options come from: no key of a recipe, and no value of the verb's
  /// Checks and stores one value; throws Error naming what was expected.
  std::function<void(const std::string& value)> assign;
  std::function<Json()> read;  ///< the value as it stands
};

/// Throws BadInput for a table, of the recipe `file`, that is neither a verb's nor a part of one's, with the
/// nearest that is.
void refuse_unknown_tables(const Json& recipe, std::string_view file);

class Options {
 public:
  /// `example` is a whole command line, shown at the end of the help. The summary is the catalogue's.
  Options(std::string_view verb, std::string_view example);

  // Each binds a variable whose value at the time of declaration is the default. Numbers are written as
  // people write them: "4k" for counts, "6G" for sizes. The low and high bounds are included.
  Options& positional(std::string_view metavar, std::string& into, std::string_view help,
                      bool required = true);
  Options& positionals(std::string_view metavar, std::vector<std::string>& into, std::string_view help,
                       bool required = true);
  Options& flag(std::string_view names, bool& into, std::string_view help);
  Options& count(std::string_view names, std::string_view metavar, int64_t& into, std::string_view help,
                 int64_t low = 0, int64_t high = std::numeric_limits<int64_t>::max());
  Options& size(std::string_view names, std::string_view metavar, uint64_t& into, std::string_view help);
  Options& real(std::string_view names, std::string_view metavar, double& into, std::string_view help,
                double low, double high);
  Options& text(std::string_view names, std::string_view metavar, std::string& into, std::string_view help);
  Options& texts(std::string_view names, std::string_view metavar, std::vector<std::string>& into,
                 std::string_view help);
  /// Of `choices`, which are in lower case; capitals are taken for them.
  Options& choice(std::string_view names, std::string& into, std::vector<std::string> choices,
                  std::string_view help);

  /// A positional word that names a recipe, whose `tables` it is that are read.
  Options& recipe(std::string_view metavar, std::string& into, std::string_view help,
                  std::vector<std::string> tables);

  /// Reads the words after the verb, and a recipe where one is named. False when help was asked for and has
  /// been printed, or when all was only to be checked: the verb returns 0. Throws kUsage, and kBadInput for
  /// what a recipe says. Also applies what every verb has: --threads and --log.
  [[nodiscard]] bool parse(std::span<const std::string> arguments);

  /// Fills every option that the command line did not give from a recipe's table; unknown keys are errors
  /// with the nearest known one. The key of a positional word is its metavar in small letters.
  void fill_from(const Json& table, std::string_view source);

  /// Every option by its key, with the value that it has now.
  Json values() const;

  /// True when all was only to be checked.
  bool only_checks() const { return check_; }
  /// True when the command line gave the option with this key.
  bool given(std::string_view key) const;
  std::span<const Option> declarations() const { return options_; }
  std::string help() const;

 private:
  Options& add(Option option);
  std::vector<std::vector<std::string>> words_by_option(std::span<const std::string> arguments,
                                                        bool& wants_help);
  void fill_from_recipe(const std::string& file);

  std::string verb_;
  std::string example_;
  std::vector<Option> options_;
  int64_t threads_ = 0;
  std::string log_ = "off";
  std::string recipe_;
  bool check_ = false;
  std::string* recipe_word_ = nullptr;  // where `recipe` put it
  std::vector<std::string> tables_;     // of a recipe
};

}  // namespace martlet::cli
