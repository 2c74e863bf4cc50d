#include "base/error.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "cli/verbs/verbs.h"
#include "plan/catalogue.h"

namespace martlet::cli {
namespace {

std::string type_text(const nn::ArgumentDeclaration& argument) {
  switch (argument.type) {
    case nn::ArgumentType::kPattern:
      return "PATTERN";
    case nn::ArgumentType::kInteger:
      return "N";
    case nn::ArgumentType::kReal:
      return "X";
    case nn::ArgumentType::kChoice:
      break;
  }
  std::string choices;
  for (const std::string_view choice : argument.choices)
    choices += fmt::format("{}{}", choices.empty() ? "" : "|", choice);
  return choices;
}

void print_text(const nn::Rewrite& rewrite) {
  fmt::print("{}  {}\n", styled(Style::kBold, rewrite.name), rewrite.summary);
  for (const nn::ArgumentDeclaration& argument : rewrite.arguments)
    fmt::print("    {:<22}{}{}\n", fmt::format("{}={}", argument.name, type_text(argument)), argument.help,
               argument.fallback.empty() ? "" : fmt::format(" [{}]", argument.fallback));
  fmt::print("    applies to {}; output {}\n", rewrite.role.empty() ? "any module" : rewrite.role,
             nn::name_of(rewrite.exactness));
  fmt::print("    pays {}\n", rewrite.pays);
  if (!rewrite.on_disk.empty()) fmt::print("    on disk: {}\n", rewrite.on_disk);
  if (rewrite.passing) fmt::print("    for one call alone: a saved model knows nothing of it\n");
  if (!rewrite.source.empty()) fmt::print("    from {}\n", rewrite.source);
}

Json to_json(const nn::Rewrite& rewrite) {
  Json arguments{Json::Array{}};
  for (const nn::ArgumentDeclaration& argument : rewrite.arguments) {
    Json row;
    row.set("name", argument.name).set("type", type_text(argument)).set("help", argument.help);
    row.set("default", argument.fallback.empty() ? Json() : Json(argument.fallback));
    arguments.push_back(std::move(row));
  }
  Json row;
  row.set("name", rewrite.name).set("summary", rewrite.summary).set("role", rewrite.role);
  row.set("exactness", nn::name_of(rewrite.exactness)).set("pays", rewrite.pays);
  row.set("source", rewrite.source).set("on_disk", rewrite.on_disk);
  row.set("passing", rewrite.passing);
  return row.set("arguments", std::move(arguments));
}

}  // namespace

int run_rewrites(std::span<const std::string> arguments) {
  std::string name;
  bool json = false;
  Options options("rewrites", "martlet rewrites low_rank");
  options.positional("NAME", name, "only this one", false).flag("--json", json, "a list for programs");
  if (!options.parse(arguments)) return 0;
  std::vector<const nn::Rewrite*> chosen(plan::rewrites().begin(), plan::rewrites().end());
  if (!name.empty()) chosen = {&nn::rewrite_named(plan::rewrites(), name)};
  if (json) {
    Json rows{Json::Array{}};
    for (const nn::Rewrite* rewrite : chosen) rows.push_back(to_json(*rewrite));
    fmt::print("{}\n", rows.dump());
    return 0;
  }
  for (const nn::Rewrite* rewrite : chosen) print_text(*rewrite);
  return 0;
}

}  // namespace martlet::cli
