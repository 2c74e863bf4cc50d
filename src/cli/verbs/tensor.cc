#include "base/error.h"
#include "base/human.h"
#include "cli/model_flags.h"
#include "cli/options.h"
#include "cli/verbs/verbs.h"
#include "formats/npy.h"
#include "models/open.h"
#include "nn/tree.h"
#include "ops/cast.h"

namespace martlet::cli {

int run_tensor(std::span<const std::string> arguments) {
  std::string path, out;
  ModelFlags flags;
  Options options("tensor", "martlet tensor smollm2 layers.0.attention.q_proj.weight -o q.npy");
  flags.declare(options);
  options.positional("PATH", path, "the parameter's path in the tree; `martlet inspect` shows them")
      .text("-o,--out", "F.npy", out, "where it goes, as float32");
  if (!options.parse(arguments)) return 0;
  if (out.empty()) fail(ErrorCode::kUsage, "tensor needs -o FILE.npy");
  const models::OpenModel model = models::open_model(flags.path(), flags.open_options());
  Tensor found;
  std::vector<std::string> known;
  nn::walk_parameters(*model.tree, [&](const std::string& at, nn::Parameter& parameter) {
    known.push_back(at);
    if (at != path) return;
    found = parameter.shape().rank() == 2 ? parameter.weight().unpack()
                                          : ops::cast(parameter.tensor(), DType::kF32);
  });
  if (!found.defined()) {
    const auto nearest = nearest_name(path, known);
    bad_input("{} has no parameter {}{}", flags.model, path,
              nearest ? fmt::format("; did you mean {}?", *nearest) : "");
  }
  formats::write_npy(out, found);
  return 0;
}

}  // namespace martlet::cli
