#include "cli/explain_memory.h"

#include <algorithm>
#include <fmt/format.h>

#include "base/human.h"

namespace martlet::cli {
namespace {

std::string bytes_text(int64_t bytes) {
  return format_bytes(static_cast<uint64_t>(std::max<int64_t>(0, bytes)));
}

int64_t held_blocks(const plan::MemoryPlan& plan) {
  const std::vector<bool>& streams = plan.residency.streams;
  return std::count(streams.begin(), streams.end(), false);
}

std::string blocks_text(const plan::MemoryPlan& plan) {
  if (!plan.streams()) return "all weights held";
  return fmt::format("{} of {} blocks held, {} read from disk for every token or batch of them",
                     held_blocks(plan), plan.needs.blocks.size(), bytes_text(plan.residency.streamed_bytes));
}

std::string table_of(const MemoryReport& report, const plan::RunGoal& goal) {
  std::string text;
  for (size_t i = 0; i < report.choice.weighed.size(); ++i) {
    text += fmt::format("  {}: {}", report.choice.weighed[i].formats.to_string(),
                        plan::verdict(report.choice, i, goal));
    if (report.tokens_per_s[i] > 0) text += fmt::format(" ({:.3g} tokens/s)", report.tokens_per_s[i]);
    text += "\n";
  }
  return text;
}

}  // namespace

std::string line_of(const plan::Formats& formats, const plan::MemoryPlan& plan, const plan::RunGoal& goal,
                    bool asked) {
  std::string text =
      fmt::format("memory: {} of {}{}: {}, {}", bytes_text(plan.total_bytes()), format_bytes(goal.memory),
                  asked ? "" : " that are free", formats.to_string(), blocks_text(plan));
  if (formats.change())
    text += fmt::format("; costs about {:.2g} nats a token, and --loss 0 forbids it", formats.loss);
  if (!asked) text += "; --memory SIZE sets what it may take";
  return text;
}

std::string text_of(const MemoryReport& report, const plan::RunGoal& goal) {
  if (!report.choice.fits())
    return fmt::format("memory: {}\nweighed:\n{}", plan::why_not(report.choice, goal),
                       table_of(report, goal));
  const plan::MemoryPlan& plan = report.plan;
  const plan::MemoryNeeds& needs = plan.needs;
  std::string text = fmt::format(
      "memory: {} of {}: program {}, weights outside of blocks {}, keys and values {}, activations {}, {}{} "
      "of {} blocks held {}",
      bytes_text(plan.total_bytes()), format_bytes(goal.memory), bytes_text(needs.program),
      bytes_text(needs.outside), bytes_text(needs.cache), bytes_text(needs.activations),
      needs.beside > 0 ? fmt::format("the model that guesses {}, ", bytes_text(needs.beside)) : "",
      held_blocks(plan), needs.blocks.size(), bytes_text(plan.residency.held_bytes));
  if (plan.streams()) {
    text += fmt::format(
        ", places to read the others to {}\nstreamed: {} blocks, {} for every token or batch of them",
        bytes_text(plan.residency.place_bytes), static_cast<int64_t>(needs.blocks.size()) - held_blocks(plan),
        bytes_text(plan.residency.streamed_bytes));
    if (report.disk_bandwidth > 0)
      text +=
          fmt::format("; the disk gives {:.2f} GB/s: at most {:.2f} a second", report.disk_bandwidth / 1e9,
                      report.disk_bandwidth / static_cast<double>(plan.residency.streamed_bytes));
  }
  const plan::Formats& formats = report.choice.best().formats;
  text += fmt::format("\nquality: loses about {:.2g} nats a token of at most {:.2g} (--loss)\nweighed:\n{}",
                      formats.loss, report.choice.most_loss, table_of(report, goal));
  for (const plan::Alternative& each : report.alternatives)
    text += fmt::format("  {}: {}\n", each.what, each.reason);
  return text;
}

Json to_json(const MemoryReport& report, const plan::RunGoal& goal) {
  const plan::MemoryPlan& plan = report.plan;
  const plan::Formats& formats = report.choice.best().formats;
  Json json;
  json.set("program_bytes", plan.needs.program).set("outside_bytes", plan.needs.outside);
  json.set("beside_bytes", plan.needs.beside);
  json.set("held_blocks", held_blocks(plan)).set("blocks", static_cast<int64_t>(plan.needs.blocks.size()));
  json.set("held_bytes", plan.residency.held_bytes).set("streamed_bytes", plan.residency.streamed_bytes);
  json.set("place_bytes", plan.residency.place_bytes).set("least_bytes", report.choice.least());
  json.set("total_bytes", plan.total_bytes()).set("formats", formats.to_string());
  json.set("loss", formats.loss).set("most_loss", report.choice.most_loss);
  if (report.disk_bandwidth > 0) json.set("disk_bandwidth", report.disk_bandwidth);
  Json weighed{Json::Array{}};
  for (size_t i = 0; i < report.choice.weighed.size(); ++i) {
    const plan::WeighedFormats& each = report.choice.weighed[i];
    Json row;
    row.set("formats", each.formats.to_string()).set("loss", each.formats.loss);
    row.set("fits", each.plan.fits()).set("streamed_bytes", each.plan.residency.streamed_bytes);
    row.set("tokens_per_s", report.tokens_per_s[i]).set("verdict", plan::verdict(report.choice, i, goal));
    weighed.push_back(std::move(row));
  }
  Json rows{Json::Array{}};
  for (const plan::Alternative& each : report.alternatives)
    rows.push_back(Json().set("what", each.what).set("reason", each.reason));
  return json.set("weighed", std::move(weighed)).set("alternatives", std::move(rows));
}

}  // namespace martlet::cli
