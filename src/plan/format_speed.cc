#include "plan/format_speed.h"

#include <algorithm>

#include "infer/generate.h"
#include "plan/quality_loss.h"
#include "plan/run_speed.h"

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
  std::vector<double> all;
  for (const WeighedFormats& each : choice.weighed) {
    OtherFormats formats{{}, 0, each.formats.cache};
    if (!each.formats.weights.empty()) {
      formats.weights = usual_format(each.formats.weights);
      formats.block_bytes = each.plan.needs.block_bytes();
    }
    all.push_back(each.plan.fits()
                      ? static_cast<double>(goal.batch) / decode_seconds(tree, goal, machine, formats)
                      : 0);
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
