// What it changes: parameters are marked so that training leaves them alone. When it pays: a model that is
// adapted to little data keeps what it knows, and gradients, what the optimiser remembers and the products
// for weight gradients go; where everything before a layer is frozen, the backward ends there. Frozen weights
// may stay packed or mapped. Cost: what is frozen does not learn. A parameter that is tied to a frozen one is
// frozen with it. With `pattern=** except=**.bias` only biases learn (Ben Zaken et al., "BitFit", 2022).
#include "train/freeze.h"

#include "train/no_effect.h"

namespace martlet::train {
namespace {

/// Whether the pattern names the parameter or a module that it stands in.
bool covers(std::string_view pattern, const std::string& path) {
  for (size_t end = path.find('.');; end = path.find('.', end + 1)) {
    if (nn::matches(pattern, std::string_view(path).substr(0, end))) return true;
    if (end == std::string::npos) return false;
  }
}

void apply(nn::TreeEditor& tree, const nn::Arguments& arguments, const nn::RewriteContext&) {
  if (!arguments.has("pattern")) bad_input("it needs pattern=PATTERN, what to freeze");
  const std::string& pattern = arguments.text("pattern");
  const std::string except = arguments.has("except") ? arguments.text("except") : "";
  int64_t excepted = 0;
  nn::walk_parameters(*tree.root(), [&](const std::string& path, nn::Parameter& parameter) {
    if (!covers(pattern, path)) return;
    if (!except.empty() && covers(except, path)) {
      ++excepted;
      return;
    }
    const size_t dot = path.rfind('.');
    tree.freeze(dot == std::string::npos ? "" : path.substr(0, dot), parameter);
  });
  if (!except.empty() && excepted == 0)
    bad_input("except {} names nothing of what pattern {} freezes", except, pattern);
  if (tree.changed().empty())
    bad_input("pattern {} names no parameter of the tree; `martlet inspect` shows its paths", pattern);
}

constexpr nn::ArgumentDeclaration kArguments[] = {
    {"pattern", nn::ArgumentType::kPattern,
     "modules, with all below them, or parameters that stay as they are"},
    {"except", nn::ArgumentType::kPattern, "of these, modules or parameters that are trained"},
};

}  // namespace

const nn::Rewrite kFreeze{
    .name = "freeze",
    .summary = "parameters stay as they are while the others are trained",
    .pays =
        "when a model is adapted and should keep what it knows: no gradients, no optimiser memory and no "
        "products for what is frozen; costs what it could have learned",
    .source = "Howard and Ruder, \"Universal Language Model Fine-tuning for Text Classification\", 2018",
    .role = {},
    .exactness = nn::Exactness::kExact,
    .arguments = kArguments,
    .on_disk = {},
    .passing = true,
    .apply = apply,
    .effect = no_effect,
};

}  // namespace martlet::train
