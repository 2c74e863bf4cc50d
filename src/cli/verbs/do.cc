#include <algorithm>
#include <cstdio>

#include "base/error.h"
#include "base/human.h"
#include "base/interrupt.h"
#include "cli/options.h"
#include "cli/verb.h"
#include "cli/verbs/verbs.h"

namespace martlet::cli {
namespace {

/// Tables that others read: a training's, and what quickstart must know to go on.
constexpr std::string_view kParts[] = {"model", "data", "quickstart"};
/// Verbs that a recipe does not do.
constexpr std::string_view kOutside[] = {"do", "quickstart", "data", "models", "chat"};

template <size_t kCount>
bool is_one_of(const std::string_view (&names)[kCount], std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

/// A verb, the words that choose a part of it, and the table that they come from.
struct Piece {
  const Verb* verb;
  std::vector<std::string> words;
  std::string table;
};

bool holds_tables(const Json& table) {
  return !table.object().empty() &&
         std::all_of(table.object().begin(), table.object().end(),
                     [](const Json::Member& member) { return member.second.is_object(); });
}

[[noreturn]] void unknown_table(const std::string& file, const std::string& name, int line) {
  std::vector<std::string> known(std::begin(kParts), std::end(kParts));
  for (const Verb& verb : verbs())
    if (!is_one_of(kOutside, verb.name)) known.emplace_back(verb.name);
  const std::optional<std::string> nearest = nearest_name(name, known);
  bad_input("{}, line {}: no verb has the table [{}]{}", file, line, name,
            nearest ? fmt::format("; did you mean [{}]?", *nearest) : "");
}

std::vector<Piece> pieces_of(const std::string& file) {
  std::vector<Piece> pieces;
  const Json recipe = parse_toml_file(file);
  for (const auto& [name, table] : recipe.object()) {
    if (!table.is_object()) bad_input("{}, line {}: '{}' stands in no table", file, table.line(), name);
    if (is_one_of(kParts, name)) continue;
    const Verb* verb = is_one_of(kOutside, name) ? nullptr : find_verb(name);
    if (verb == nullptr) unknown_table(file, name, table.line());
    if (!holds_tables(table)) {
      pieces.push_back({verb, {}, name});
      continue;
    }
    for (const auto& [part, inner] : table.object()) pieces.push_back({verb, {part}, name + "." + part});
  }
  if (pieces.empty()) bad_input("{}: there is no table of a verb in it, such as [train]", file);
  return pieces;
}

int run_piece(const Piece& piece, const std::string& file, bool check) {
  std::vector<std::string> words = piece.words;
  words.insert(words.end(), {"--recipe", file});
  if (check) words.emplace_back("--check");
  return piece.verb->run(words);
}

}  // namespace

int run_do(std::span<const std::string> arguments) {
  std::string file;
  Options options("do", "martlet do my-model.toml");
  options.positional("RECIPE.toml", file,
                     "what to do, a table a verb, such as [train], [eval.loss] and [run]");
  if (!options.parse(arguments) && !options.only_checks()) return 0;
  const std::vector<Piece> pieces = pieces_of(file);
  // A mistake in the last table is not to show after hours of the first.
  for (const Piece& piece : pieces)
    if (const int code = run_piece(piece, file, true); code != 0) return code;
  if (options.only_checks()) return 0;
  for (const Piece& piece : pieces) {
    throw_if_interrupted();
    std::fflush(stdout);
    std::fprintf(stderr, "martlet: [%s]\n", piece.table.c_str());
    if (const int code = run_piece(piece, file, false); code != 0) return code;
  }
  return 0;
}

}  // namespace martlet::cli
