#include <algorithm>

#include "base/error.h"
#include "base/human.h"
#include "cli/options.h"
#include "cli/run_model_flags.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/verbs/verbs.h"
#include "infer/stream.h"
#include "plan/benchmark.h"
#include "plan/memory_plan.h"

namespace martlet::cli {
namespace {

/// "256,1k" as counts within [low, high].
std::vector<int64_t> counts_of(std::string_view option, const std::string& text, int64_t low, int64_t high) {
  std::vector<int64_t> counts;
  for (size_t begin = 0; begin < text.size();) {
    const size_t comma = std::min(text.find(',', begin), text.size());
    const std::string word = text.substr(begin, comma - begin);
    const std::optional<int64_t> count = parse_count(word);
    if (!count || *count < low || *count > high)
      fail(ErrorCode::kUsage, "{} takes numbers from {} to {} with commas between, got '{}'", option, low,
           high, word);
    counts.push_back(*count);
    begin = comma + 1;
  }
  return counts;
}

Json rows_to_json(std::span<const plan::BenchmarkRow> rows) {
  Json json{Json::Array{}};
  for (const plan::BenchmarkRow& row : rows) {
    Json each;
    each.set("tokens", row.tokens).set("depth", row.depth).set("batch", row.batch);
    each.set("tokens_per_s", row.tokens_per_s).set("share_of_limit", row.share_of_limit);
    json.push_back(std::move(each));
  }
  return json;
}

Json to_json(const ops::cpu::MachineLimits& limits, double disk_bandwidth) {
  Json flops;
  for (int i = 0; i < ops::cpu::kArithmeticCount; ++i)
    flops.set(ops::cpu::name_of(static_cast<ops::cpu::Arithmetic>(i)),
              limits.operations[static_cast<size_t>(i)]);
  Json json;
  json.set("bandwidth", limits.bandwidth).set("flops", std::move(flops));
  if (disk_bandwidth > 0) json.set("disk_bandwidth", disk_bandwidth);
  return json;
}

constexpr int kBarCells = 24;

/// "████████░░░░": a share of the limit; "########...." where a terminal has no such characters.
std::string bar(double share) {
  const int full = std::clamp(static_cast<int>(share * kBarCells + 0.5), 0, kBarCells);
  const bool unicode = terminal_shows_unicode();
  std::string text;
  for (int i = 0; i < kBarCells; ++i) text += i < full ? (unicode ? "█" : "#") : (unicode ? "░" : ".");
  return text;
}

void print_table(const ops::cpu::MachineLimits& limits, double disk_bandwidth,
                 const plan::Benchmark& benchmark) {
  fmt::print("machine: reads {:.1f} GB/s", limits.bandwidth / 1e9);
  for (int i = 0; i < ops::cpu::kArithmeticCount; ++i)
    if (limits.operations[static_cast<size_t>(i)] > 0)
      fmt::print(", {} {:.0f} GOP/s", ops::cpu::name_of(static_cast<ops::cpu::Arithmetic>(i)),
                 limits.operations[static_cast<size_t>(i)] / 1e9);
  if (disk_bandwidth > 0) fmt::print(", and {:.2f} GB/s from disk", disk_bandwidth / 1e9);
  fmt::print("\n");
  std::vector<std::vector<std::string>> rows{
      {"", "tokens", "depth", "batch", "tokens/s", "of the limit", ""}};
  const auto add = [&](std::string_view what, std::span<const plan::BenchmarkRow> all) {
    for (const plan::BenchmarkRow& row : all)
      rows.push_back({std::string(what), format_integer(row.tokens), format_integer(row.depth),
                      format_integer(row.batch), fmt::format("{:.1f}", row.tokens_per_s),
                      fmt::format("{:.0f} %", 100 * row.share_of_limit), bar(row.share_of_limit)});
  };
  add("prefill", benchmark.prefill);
  add("decode", benchmark.decode);
  fmt::print("{}", table_text(rows));
}

/// The most that any of its settings takes.
plan::RunGoal goal_of(const plan::BenchmarkRequest& request) {
  const auto most = [](const std::vector<int64_t>& counts) {
    return counts.empty() ? int64_t{1} : *std::max_element(counts.begin(), counts.end());
  };
  return {most(request.depths) + most(request.prefill), request.decode, most(request.batches)};
}

}  // namespace

int run_bench(std::span<const std::string> arguments) {
  RunModelFlags flags;
  plan::BenchmarkRequest request;
  std::string prefill = "256", depth = "0", batch = "1";
  bool json = false;
  Options options("bench", "martlet bench smollm2 --prefill 256,1k --depth 0,1k --batch 1,8");
  flags.declare_generating(options);
  options.text("--prefill", "N,..", prefill, "lengths of prompts that are read")
      .count("--decode", "N", request.decode, "tokens written one after another; 0: none", 0, 1 << 20)
      .text("--depth", "N,..", depth, "tokens that a sequence holds before")
      .text("--batch", "N,..", batch, "sequences together")
      .count("--runs", "N", request.runs, "runs of each, of which the median counts", 1, 1000)
      .flag("--json", json, "one object for programs");
  if (!options.parse(arguments)) return 0;
  request.prefill = counts_of("--prefill", prefill, 1, 1 << 24);
  request.depths = counts_of("--depth", depth, 0, 1 << 24);
  request.batches = counts_of("--batch", batch, 1, 4096);
  if (request.depths.empty() || request.batches.empty())
    fail(ErrorCode::kUsage, "bench needs at least one --depth and one --batch");
  const std::string path = flags.path();
  // Before the model is there, whose memory this would add to.
  const ops::cpu::MachineLimits limits = ops::cpu::measure_limits();
  models::OpenModel model = models::open_model(path, flags.run_options());
  flags.fit(model, goal_of(request));
  if (const infer::WeightStream* stream = infer::stream_of(model.tree))
    request.disk_bandwidth = plan::measure_disk(stream->path());
  const auto progress = json ? nullptr : make_progress();
  const plan::Benchmark benchmark =
      plan::run_benchmark(model.tree, request, limits, progress ? *progress : no_progress());
  if (!json) {
    print_table(limits, request.disk_bandwidth, benchmark);
    return 0;
  }
  Json result;
  result.set("machine", to_json(limits, request.disk_bandwidth))
      .set("prefill", rows_to_json(benchmark.prefill));
  fmt::print("{}\n", result.set("decode", rows_to_json(benchmark.decode)).dump());
  return 0;
}

}  // namespace martlet::cli
