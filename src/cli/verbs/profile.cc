#include "base/error.h"
#include "base/human.h"
#include "cli/options.h"
#include "cli/table.h"
#include "cli/verbs/verbs.h"
#include "ops/packed_format.h"
#include "plan/machine.h"

namespace martlet::cli {

int run_profile(std::span<const std::string> arguments) {
  std::string what;
  bool json = false;
  Options options("profile", "martlet profile machine");
  options.positional("WHAT", what, "machine: speed of products with every type of weight")
      .flag("--json", json, "one object for programs");
  if (!options.parse(arguments)) return 0;
  if (what != "machine") fail(ErrorCode::kUsage, "profile knows 'machine', not '{}'", what);
  std::vector<std::string> types{"f32", "bf16", "bf16 x bf16", "f16"};
  for (const ops::PackedFormat* format : ops::packed_formats()) types.emplace_back(format->name);
  const plan::MachineProfile profile = plan::measure_machine(types);
  if (json) {
    fmt::print("{}\n", profile.to_json().dump());
    return 0;
  }
  fmt::print("{}, {} threads\n", profile.processor, profile.threads);
  std::vector<std::vector<std::string>> rows{{"weights", "one row, GB/s", "many rows, GFLOP/s"}};
  for (const plan::ProductSpeed& speed : profile.products)
    rows.push_back({speed.type, fmt::format("{:.1f}", speed.one_row_bytes_per_s / 1e9),
                    fmt::format("{:.0f}", speed.many_rows_operations_per_s / 1e9)});
  fmt::print("{}", table_text(rows));
  return 0;
}

}  // namespace martlet::cli
