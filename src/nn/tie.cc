// What it changes: modules give up their own parameters and share those of another module, below it too. When
// it pays: a head that shares the embedding's table saves the table once more, of which small models mostly
// consist, and learns from both uses; blocks that share their weights make a model of the same depth with a
// fraction of the parameters and of the optimiser's memory. Cost: the model computes something else until it
// has been trained, and a gradient is the sum over all places.
#include "nn/tie.h"

#include <map>

namespace martlet::nn {
namespace {

using ParametersByPath = std::map<std::string, Parameter*>;

/// All parameters at and below a module, by their paths from there.
ParametersByPath parameters_below(const Module& module) {
  ParametersByPath found;
  walk_parameters(module,
                  [&](const std::string& path, Parameter& parameter) { found.emplace(path, &parameter); });
  return found;
}

void check_alike(const std::string& path, const ParametersByPath& own, const std::string& to,
                 const ParametersByPath& shared) {
  for (const auto& [name, parameter] : own) {
    const auto other = shared.find(name);
    if (other == shared.end()) bad_input("{} has a parameter {} and {} has none", path, name, to);
    if (other->second->shape() != parameter->shape())
      bad_input("{}.{} is {} and {}.{} is {}; only equal shapes can be tied", path, name,
                parameter->shape().to_string(), to, name, other->second->shape().to_string());
  }
  for (const auto& [name, parameter] : shared)
    if (!own.contains(name)) bad_input("{} has a parameter {} and {} has none", to, name, path);
}

/// Paths that match, without the one that all are tied to.
std::vector<std::string> tied_paths(const ModulePtr& root, const Arguments& arguments) {
  if (!arguments.has("pattern") || !arguments.has("to"))
    bad_input("it needs pattern=PATTERN, whose modules share the parameters of to=PATH");
  std::vector<std::string> paths = TreeEditor(root).find(arguments.text("pattern"), "");
  std::erase(paths, arguments.text("to"));
  return paths;
}

void apply(TreeEditor& tree, const Arguments& arguments, const RewriteContext&) {
  const std::vector<std::string> paths = tied_paths(tree.root(), arguments);
  const std::string& to = arguments.text("to");
  const ParametersByPath shared = parameters_below(*tree.outermost(to));
  if (shared.empty()) bad_input("{} has no parameters to share", to);
  for (const std::string& path : paths) {
    const ParametersByPath own = parameters_below(*tree.outermost(path));
    check_alike(path, own, to, shared);
    for (const auto& [name, parameter] : own) tree.tie(path, *parameter, *shared.at(name));
  }
}

std::optional<Effect> effect(const ModulePtr& root, const Arguments& arguments) {
  if (!arguments.has("pattern") || !arguments.has("to")) return std::nullopt;
  Effect effect;
  for (const std::string& path : tied_paths(root, arguments)) {
    const ParametersByPath shared = parameters_below(*module_at(*root, arguments.text("to")));
    for (const auto& [name, parameter] : parameters_below(*module_at(*root, path)))
      if (const auto other = shared.find(name);
          other == shared.end() || other->second->identity() != parameter->identity())
        effect.weight_bytes -= parameter->byte_count();
  }
  return effect;
}

constexpr ArgumentDeclaration kArguments[] = {
    {"pattern", ArgumentType::kPattern, "modules that give up their own parameters, such as lm_head"},
    {"to", ArgumentType::kPattern,
     "the path of the module whose parameters they share, such as embed_tokens"},
};

}  // namespace

const Rewrite kTie{
    .name = "tie",
    .summary = "modules share the parameters of another",
    .pays =
        "when a model is trained after it: fewer parameters for the same depth or vocabulary; costs a "
        "function that is another until it has learned",
    .source =
        "Press and Wolf, \"Using the Output Embedding to Improve Language Models\", 2017; Lan et al., "
        "\"ALBERT\", 2020",
    .role = {},
    .exactness = Exactness::kApproximate,
    .arguments = kArguments,
    .on_disk = "the shared values at every path, so that readers that know no rewrite find them",
    .apply = apply,
    .effect = effect,
};

}  // namespace martlet::nn
