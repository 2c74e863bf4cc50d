#include <algorithm>

#include "base/error.h"
#include "base/human.h"
#include "base/json.h"
#include "cli/options.h"
#include "cli/store.h"
#include "cli/verbs/verbs.h"

namespace martlet::cli {
namespace {

void print_json(const std::vector<StoredModel>& models) {
  Json list{Json::Array{}};
  for (const StoredModel& model : models) {
    Json row;
    row.set("name", model.name).set("bytes", static_cast<int64_t>(model.bytes)).set("licence", model.licence);
    row.set("origin", model.origin).set("path", model.path);
    list.push_back(std::move(row));
  }
  fmt::print("{}\n", list.dump());
}

void print_table(const std::vector<StoredModel>& models) {
  size_t width = 4;
  for (const StoredModel& model : models) width = std::max(width, model.name.size());
  fmt::print("{:<{}}  {:>10}  {}\n", "NAME", width, "SIZE", "LICENCE");
  for (const StoredModel& model : models)
    fmt::print("{:<{}}  {:>10}  {}\n", model.name, width, format_bytes(model.bytes),
               model.licence.empty() ? "not stated" : model.licence);
}

}  // namespace

int run_models(std::span<const std::string> arguments) {
  std::string action = "list", name;
  bool json = false;
  Options options("models", "martlet models remove smollm2");
  options.positional("ACTION", action, "list or remove", false)
      .positional("NAME", name, "the model to remove", false)
      .flag("--json", json, "one list for programs");
  if (!options.parse(arguments)) return 0;
  if (action == "remove") {
    if (name.empty())
      fail(ErrorCode::kUsage, "models remove needs the NAME of a model; `martlet models` lists them");
    remove_stored_model(name);
    fmt::print("{} was removed\n", name);
    return 0;
  }
  if (action != "list" || !name.empty())
    fail(ErrorCode::kUsage, "models knows 'list' and 'remove NAME', not '{}{}{}'", action,
         name.empty() ? "" : " ", name);
  const std::vector<StoredModel> models = stored_models();
  if (json)
    print_json(models);
  else if (models.empty())
    fmt::print("The store is empty; `martlet pull smollm2` brings a first model.\n");
  else
    print_table(models);
  return 0;
}

}  // namespace martlet::cli
