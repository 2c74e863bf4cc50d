#include "base/error.h"
#include "base/human.h"
#include "base/json.h"
#include "cli/model_flags.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "cli/verbs/verbs.h"
#include "models/open.h"
#include "nn/tree.h"

namespace martlet::cli {
namespace {

/// What two layers must share to be drawn as one.
std::string signature(const nn::ModulePtr& module) {
  std::string text;
  nn::walk(module, [&](const std::string& path, const nn::ModulePtr& at) {
    text += fmt::format("{}|{}|{};", path, at->kind(), at->details());
    for (const nn::Parameter* parameter : at->parameters())
      text +=
          fmt::format("{}{}{};", parameter->name(), parameter->shape().to_string(), parameter->type_name());
  });
  return text;
}

void draw_line(const std::string& indent, const std::string& name, const nn::ModulePtr& module,
               int64_t copies) {
  const nn::TreeSize size = nn::measure(*module);
  std::string line = fmt::format("{}{} {}", indent, styled(Style::kBold, name), module->kind());
  if (!module->details().empty()) line += styled(Style::kDim, fmt::format(" ({})", module->details()));
  for (const nn::Parameter* parameter : module->parameters())
    line +=
        fmt::format("  {} {}{}", parameter->name(), parameter->type_name(), parameter->shape().to_string());
  if (size.parameters > 0)
    line += styled(Style::kDim, fmt::format("  {}{}, {}", copies > 1 ? fmt::format("{} x ", copies) : "",
                                            format_count(static_cast<double>(size.parameters)),
                                            format_bytes(static_cast<uint64_t>(size.bytes))));
  fmt::print("{}\n", line);
}

void draw(const std::string& indent, const nn::ModulePtr& module) {
  const auto children = module->children();
  for (size_t first = 0; first < children.size();) {
    const nn::ModulePtr child = children[first]->module();
    if (child == nullptr) {
      ++first;
      continue;
    }
    size_t last = first;
    const std::string looks = signature(child);
    while (last + 1 < children.size() && children[last + 1]->module() != nullptr &&
           signature(children[last + 1]->module()) == looks &&
           children[first]->name().find_first_not_of("0123456789") == std::string::npos)
      ++last;
    const std::string name = last == first
                                 ? children[first]->name()
                                 : fmt::format("{}..{}", children[first]->name(), children[last]->name());
    draw_line(indent, name, child, static_cast<int64_t>(last - first + 1));
    draw(indent + "  ", child);
    first = last + 1;
  }
}

Json to_json(const nn::ModulePtr& root) {
  Json modules{Json::Array{}};
  nn::walk(root, [&](const std::string& path, const nn::ModulePtr& module) {
    const nn::TreeSize size = nn::measure(*module);
    Json row;
    row.set("path", path)
        .set("kind", module->kind())
        .set("role", module->role())
        .set("details", module->details());
    row.set("parameters", size.parameters).set("bytes", size.bytes);
    Json tensors{Json::Array{}};
    for (const nn::Parameter* parameter : module->parameters()) {
      Json shape{Json::Array{}};
      for (const int64_t dim : parameter->shape()) shape.push_back(dim);
      Json tensor;
      tensor.set("name", parameter->name())
          .set("dtype", parameter->type_name())
          .set("shape", std::move(shape));
      tensors.push_back(std::move(tensor));
    }
    row.set("tensors", std::move(tensors));
    modules.push_back(std::move(row));
  });
  return modules;
}

}  // namespace

int run_inspect(std::span<const std::string> arguments) {
  bool json = false;
  ModelFlags flags;
  Options options("inspect", "martlet inspect smollm2");
  flags.declare(options);
  options.flag("--json", json, "one object for programs");
  if (!options.parse(arguments)) return 0;
  const models::OpenModel model = models::open_model(flags.path(), flags.open_options());
  const nn::TreeSize size = nn::measure(*model.tree);
  if (json) {
    Json summary;
    summary.set("family", model.family->name).set("parameters", size.parameters).set("bytes", size.bytes);
    summary.set("modules", to_json(model.tree));
    fmt::print("{}\n", summary.dump());
    return 0;
  }
  fmt::print("{} ({}): {} parameters, {}\n", model.files.path, model.family->name,
             format_integer(size.parameters), format_bytes(static_cast<uint64_t>(size.bytes)));
  draw("  ", model.tree);
  return 0;
}

}  // namespace martlet::cli
