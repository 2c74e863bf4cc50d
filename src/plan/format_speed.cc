#include "plan/format_speed.h"

#include <algorithm>

#include "infer/generate.h"
#include "plan/quality_loss.h"

namespace martlet::plan {
namespace {

/// The format that most matrices have in a mixture: "q4_k" of "q4_k_m".
std::string usual_format(std::string_view choice) {
  std::string name(choice);
  while (ops::find_packed_format(name) == nullptr && name.find('_') != std::string::npos)
    name.resize(name.rfind('_'));
  return name;
}

}  // namespace

std::vector<std::string> packed_types() {
  std::vector<std::string> types;
  for (const std::string_view choice : packed_choices()) types.push_back(usual_format(choice));
  return types;
}

std::vector<double> tokens_per_second(const std::shared_ptr<nn::Model>& tree, const FormatChoice& choice,
                                      const RunGoal& goal, const MachineProfile& machine) {
  const ProductTimes own = product_times(tree, machine, goal.batch);
  const double cache_speed = machine.find("f32")->one_row_bytes_per_s;
  std::vector<double> all;
  for (const WeighedFormats& each : choice.weighed) {
    if (!each.plan.fits()) {
      all.push_back(0);
      continue;
    }
    ProductTimes times = own;
    if (!each.formats.weights.empty()) {
      const ProductSpeed& speed = *machine.find(usual_format(each.formats.weights));
      times.one_row += static_cast<double>(each.plan.needs.block_bytes()) / speed.one_row_bytes_per_s -
                       own.one_row_of_blocks;
      times.a_row = own.operations_of_blocks / speed.many_rows_operations_per_s;
    }
    const double held = static_cast<double>(each.plan.needs.cache) * share_of_cache(goal);
    const auto batch = static_cast<double>(goal.batch);
    all.push_back(batch / (std::max(times.one_row, batch * times.a_row) + held / cache_speed));
  }
  return all;
}

void add_disk(RunForecast& forecast, const infer::Residency& residency, const RunGoal& goal,
              double disk_bandwidth) {
  if (residency.streamed_bytes == 0 || disk_bandwidth <= 0) return;
  const double pass = static_cast<double>(residency.streamed_bytes) / disk_bandwidth;
  const int64_t forwards =
      (goal.batch * goal.prompt_tokens + infer::kPrefillTokens - 1) / infer::kPrefillTokens;
  forecast.prompt_seconds = std::max(forecast.prompt_seconds, static_cast<double>(forwards) * pass);
  forecast.decode_tokens_per_s =
      std::min(forecast.decode_tokens_per_s, static_cast<double>(goal.batch) / pass);
}

}  // namespace martlet::plan
