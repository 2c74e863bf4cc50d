#include <algorithm>
#include <cstdio>

#include "base/error.h"
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

std::vector<Piece> pieces_of(const std::string& file) {
  std::vector<Piece> pieces;
  const Json recipe = parse_toml_file(file);
  refuse_unknown_tables(recipe, file);
  for (const auto& [name, table] : recipe.object()) {
    if (is_one_of(kParts, name)) continue;
    if (is_one_of(kOutside, name))
      bad_input("{}, line {}: a recipe does not do [{}]; run `martlet {}` by itself", file, table.line(),
                name, name);
    const Verb* verb = find_verb(name);
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
