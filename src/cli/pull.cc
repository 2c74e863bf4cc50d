#include "cli/pull.h"

#include <fmt/ranges.h>

#include "base/error.h"
#include "base/human.h"
#include "cli/sources/source.h"
#include "cli/store.h"
#include "cli/terminal.h"

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

Pulled pull_model(const std::string& name, std::string store_name, bool again) {
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
    if (!again && source != &local_source())
      for (const StoredModel& stored : stored_models())
        if (stored.name == store_name && stored.origin == source_name)
          return {.name = store_name, .licence = stored.licence, .was_there = true};
    IncomingModel incoming(store_name);
    incoming.begin(source_name);
    const FetchedModel fetched = source->fetch(source_name, incoming.folder(), *make_progress());
    if (licence.empty()) licence = fetched.licence;
    incoming.commit(source_name, licence);
    return {.name = store_name, .licence = licence};
  }
  unknown_name(name);
}

}  // namespace martlet::cli
