#include "cli/model_flags.h"

#include <cstdio>

#include "base/error.h"
#include "base/human.h"
#include "cli/store.h"
#include "cli/table.h"
#include "compress/bf16_activations.h"
#include "compress/int8_activations.h"
#include "compress/kv_cache.h"
#include "plan/catalogue.h"

namespace martlet::cli {
namespace {

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  for (size_t begin = 0; (begin = text.find_first_not_of(' ', begin)) != std::string::npos;) {
    const size_t end = std::min(text.find(' ', begin), text.size());
    words.push_back(text.substr(begin, end - begin));
    begin = end;
  }
  return words;
}

std::string cell_of(const Json* value) {
  if (value == nullptr) return "-";
  if (value->is_string()) return value->string();
  return value->is_integer() ? format_integer(value->integer()) : fmt::format("{:.4g}", value->real());
}

}  // namespace

std::vector<nn::RewriteRequest> rewrite_requests(std::span<const std::string> words) {
  std::vector<nn::RewriteRequest> requests;
  for (const std::string& word : words) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos) {
      requests.push_back({word, Json(Json::Object{})});
    } else if (requests.empty()) {
      fail(ErrorCode::kUsage, "'{}' is an argument, and the name of its rewrite must come first", word);
    } else {
      requests.back().arguments.set(word.substr(0, equals), word.substr(equals + 1));
    }
  }
  return requests;
}

std::vector<nn::RewriteRequest> rewrites_of(std::span<const std::string> values) {
  std::vector<nn::RewriteRequest> requests;
  for (const std::string& text : values)
    for (nn::RewriteRequest& request : rewrite_requests(words_of(text)))
      requests.push_back(std::move(request));
  return requests;
}

void ModelFlags::declare(Options& options) {
  options.positional("MODEL", model, "a directory, a GGUF file or a name of the store")
      .texts("--rewrite", "'NAME KEY=VALUE ..'", rewrites,
             "rewrite the model in memory before (`martlet rewrites` lists them)")
      .texts(
          "--skip-rewrite", "NAME", skip,
          "leave out a rewrite that the model was saved with, or that running it brings (int8_activations, "
          "bf16_activations, kv_cache)");
}

std::string ModelFlags::path() const {
  return resolve_model(model);
}

models::OpenOptions ModelFlags::open_options() const {
  models::OpenOptions options{plan::rewrites(), {}, skip};
  for (const std::string& name : skip) nn::rewrite_named(options.catalogue, name);
  options.rewrites = rewrites_of(rewrites);
  return options;
}

std::vector<std::string> rewrites_of_packed() {
  return {std::string(compress::kInt8Activations.name), std::string(compress::kKvCache.name)};
}

std::vector<std::string> rewrites_of_bf16() {
  if (!compress::bf16_activations_pay()) return {};
  return {std::string(compress::kBF16Activations.name)};
}

std::string report_table(const Json& rows) {
  std::vector<std::string> columns;
  for (const Json& row : rows.array()) {
    if (row.object().size() <= columns.size()) continue;
    columns.clear();
    for (const auto& [column, value] : row.object()) columns.push_back(column);
  }
  std::vector<std::vector<std::string>> table{columns};
  for (const Json& row : rows.array()) {
    std::vector<std::string> cells;
    for (const std::string& column : columns) cells.push_back(cell_of(row.find(column)));
    table.push_back(std::move(cells));
  }
  return table_text(table);
}

void show_rewrite_reports(const models::OpenModel& model) {
  const Json reports = nn::rewrite_reports(model.tree, model.rewrites);
  if (reports.is_null()) return;
  std::fflush(stdout);
  for (const auto& [name, rows] : reports.object()) std::fprintf(stderr, "%s", report_table(rows).c_str());
}

}  // namespace martlet::cli
