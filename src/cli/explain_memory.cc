#include "cli/explain_memory.h"

#include <algorithm>
#include <fmt/format.h>

#include "base/human.h"
#include "infer/generate.h"
#include "plan/catalogue.h"

namespace martlet::cli {
namespace {

std::string bytes_text(int64_t bytes) {
  return format_bytes(static_cast<uint64_t>(std::max<int64_t>(0, bytes)));
}

int64_t held_blocks(const MemoryReport& report) {
  const std::vector<bool>& streams = report.plan.residency.streams;
  return std::count(streams.begin(), streams.end(), false);
}

}  // namespace

MemoryReport plan_within(models::OpenModel& model, const plan::RunGoal& goal,
                         const plan::MachineProfile& machine, plan::RunPlan& run) {
  MemoryReport report{plan::plan_memory(model.tree, goal)};
  report.alternatives = plan::alternatives(model.tree, report.plan, goal, machine);
  run.fits = report.plan.fits();
  if (!run.fits || !report.plan.streams()) return report;
  models::rewrite(model, plan::request_of(report.plan), plan::rewrites());
  report.disk_bandwidth = plan::measure_disk(infer::stream_of(model.tree)->path());
  if (report.disk_bandwidth <= 0) return report;
  const double pass = static_cast<double>(report.plan.residency.streamed_bytes) / report.disk_bandwidth;
  const int64_t forwards =
      (goal.batch * goal.prompt_tokens + infer::kPrefillTokens - 1) / infer::kPrefillTokens;
  plan::RunForecast& forecast = run.forecast;
  forecast.prompt_seconds = std::max(forecast.prompt_seconds, static_cast<double>(forwards) * pass);
  forecast.decode_tokens_per_s =
      std::min(forecast.decode_tokens_per_s, static_cast<double>(goal.batch) / pass);
  return report;
}

std::string text_of(const MemoryReport& report, const plan::RunGoal& goal) {
  const plan::MemoryPlan& plan = report.plan;
  if (!plan.fits()) return fmt::format("memory: {}\n", plan::why_not(plan, goal));
  const plan::MemoryNeeds& needs = plan.needs;
  const auto blocks = static_cast<int64_t>(needs.blocks.size());
  std::string text = fmt::format(
      "memory: {} of {}: program {}, weights outside of blocks {}, keys and values {}, activations {}, {} of "
      "{} "
      "blocks held {}",
      bytes_text(plan.total_bytes()), format_bytes(goal.memory), bytes_text(needs.program),
      bytes_text(needs.outside), bytes_text(needs.cache), bytes_text(needs.activations), held_blocks(report),
      blocks, bytes_text(plan.residency.held_bytes));
  if (plan.streams()) {
    text += fmt::format(
        ", places to read the others to {}\nstreamed: {} blocks, {} for every token or batch of them",
        bytes_text(plan.residency.place_bytes), blocks - held_blocks(report),
        bytes_text(plan.residency.streamed_bytes));
    if (report.disk_bandwidth > 0)
      text +=
          fmt::format("; the disk gives {:.2f} GB/s: at most {:.2f} a second", report.disk_bandwidth / 1e9,
                      report.disk_bandwidth / static_cast<double>(plan.residency.streamed_bytes));
  }
  text += "\n";
  if (!report.alternatives.empty()) text += "also weighed:\n";
  for (const plan::Alternative& each : report.alternatives)
    text += fmt::format("  {}: {}\n", each.what, each.reason);
  return text;
}

Json to_json(const MemoryReport& report) {
  const plan::MemoryPlan& plan = report.plan;
  Json json;
  json.set("program_bytes", plan.needs.program).set("outside_bytes", plan.needs.outside);
  json.set("held_blocks", held_blocks(report)).set("blocks", static_cast<int64_t>(plan.needs.blocks.size()));
  json.set("held_bytes", plan.residency.held_bytes).set("streamed_bytes", plan.residency.streamed_bytes);
  json.set("place_bytes", plan.residency.place_bytes).set("least_bytes", plan.least);
  json.set("total_bytes", plan.total_bytes());
  if (report.disk_bandwidth > 0) json.set("disk_bandwidth", report.disk_bandwidth);
  Json rows{Json::Array{}};
  for (const plan::Alternative& each : report.alternatives)
    rows.push_back(Json().set("what", each.what).set("reason", each.reason));
  return json.set("alternatives", std::move(rows));
}

}  // namespace martlet::cli
