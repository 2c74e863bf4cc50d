#include "models/rewrites_file.h"

#include "base/error.h"
#include "base/fields.h"
#include "base/files.h"
#include "formats/safetensors.h"

namespace martlet::models {
namespace {

constexpr int64_t kVersion = 1;

bool is_kept(const nn::AppliedRewrite& applied) {
  return !applied.skipped && !applied.rewrite->passing;
}

}  // namespace

std::vector<nn::RewriteRequest> read_rewrites(const std::string& path) {
  const Json file = parse_toml_file(path);
  const Fields fields(file, path);
  if (const int64_t version = fields.integer("version"); version != kVersion)
    bad_input("{}: version {} is not known; this program reads version {}", path, version, kVersion);
  std::vector<nn::RewriteRequest> requests;
  const Json* rewrites = fields.value("rewrite");
  if (rewrites == nullptr) return requests;
  if (!rewrites->is_array())
    bad_input("{}: rewrite is {}, expected tables [[rewrite]]", path, rewrites->kind_name());
  for (const Json& row : rewrites->array()) {
    nn::RewriteRequest request;
    for (const auto& [key, value] : row.object()) {
      if (key == "name")
        request.name = value.string();
      else
        request.arguments.set(key, value);
    }
    if (request.name.empty()) bad_input("{}:{}: a rewrite has no name", path, row.line());
    requests.push_back(std::move(request));
  }
  return requests;
}

std::string rewrites_text(const nn::RewriteHistory& history) {
  Json rows{Json::Array{}};
  bool any = false;
  for (const nn::AppliedRewrite& applied : history) {
    if (!is_kept(applied)) continue;
    Json row;
    row.set("name", applied.rewrite->name);
    for (const auto& [key, value] : applied.arguments.values().object()) row.set(key, value);
    rows.push_back(std::move(row));
    any = true;
  }
  if (!any) return "";
  Json file;
  file.set("version", kVersion).set("rewrite", std::move(rows));
  return "# The rewrites of this model, in the order in which they were applied.\n" + dump_toml(file);
}

nn::SavedTensors read_rewrite_tensors(const std::string& directory) {
  const std::string path = fmt::format("{}/{}", directory, kRewriteTensorsFile);
  nn::SavedTensors saved;
  if (!file_exists(path)) return saved;
  const formats::TensorSource source = formats::open_safetensors(path);
  for (const std::string& name : source.names()) saved.emplace(name, source.tensor(name));
  return saved;
}

}  // namespace martlet::models
