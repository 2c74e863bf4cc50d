#include <algorithm>
#include <chrono>
#include <filesystem>

#include "base/error.h"
#include "base/human.h"
#include "base/process_memory.h"
#include "base/random.h"
#include "cli/explain_memory.h"
#include "cli/explain_train.h"
#include "cli/options.h"
#include "cli/run_model_flags.h"
#include "cli/speculation_flags.h"
#include "cli/table.h"
#include "cli/verbs/verbs.h"
#include "infer/generate.h"
#include "nn/tree.h"
#include "plan/catalogue.h"
#include "plan/format_speed.h"
#include "plan/run_speed.h"

namespace martlet::cli {
namespace {

using Clock = std::chrono::steady_clock;

/// What a real run of the same size took.
struct Measured {
  std::array<MemoryUse, kOwnerCount> memory;
  int64_t process_bytes = 0;  ///< at most
  infer::WeightStream::Traffic traffic;
  double prompt_seconds = 0;
  double decode_tokens_per_s = 0;
  int64_t drafted = 0, accepted = 0;  ///< with --speculate
};

Measured measure_run(nn::Model& tree, const plan::RunGoal& goal, infer::GenerationOptions options) {
  const auto vocabulary = static_cast<uint64_t>(tree.shape().vocabulary_size);
  std::vector<std::vector<int32_t>> prompts(static_cast<size_t>(goal.batch));
  for (size_t i = 0; i < prompts.size(); ++i)
    for (int64_t t = 0; t < goal.prompt_tokens; ++t)
      prompts[i].push_back(static_cast<int32_t>(Philox(1, i).bits(static_cast<uint64_t>(t)) % vocabulary));
  options.max_new_tokens = goal.new_tokens;
  options.batch = goal.batch;
  reset_memory_peaks(Device::kCpu);
  reset_peak_memory();
  infer::WeightStream* stream = infer::stream_of(nn::ModulePtr(std::shared_ptr<void>(), &tree));
  if (stream != nullptr) stream->reset_traffic();
  const Clock::time_point start = Clock::now();
  Clock::time_point first = start, last = start;
  int64_t tokens = 0;
  const std::vector<infer::Generated> replies = infer::generate(tree, prompts, options, [&](size_t, int32_t) {
    last = Clock::now();
    // The first tokens of all sequences come with their prompts.
    if (++tokens <= goal.batch) first = last;
    return true;
  });
  Measured measured;
  for (const infer::Generated& reply : replies) {
    measured.drafted += reply.drafted;
    measured.accepted += reply.accepted;
  }
  measured.memory = memory_use(Device::kCpu);
  measured.process_bytes = process_memory().peak;
  if (stream != nullptr) measured.traffic = stream->traffic();
  measured.prompt_seconds = std::chrono::duration<double>(first - start).count();
  const double decoding = std::chrono::duration<double>(last - first).count();
  if (tokens > goal.batch && decoding > 0)
    measured.decode_tokens_per_s = static_cast<double>(tokens - goal.batch) / decoding;
  return measured;
}

std::string bytes_text(int64_t bytes) {
  return format_bytes(static_cast<uint64_t>(std::max<int64_t>(0, bytes)));
}

int64_t peak_of(const Measured& measured, Owner owner) {
  return measured.memory[static_cast<size_t>(owner)].peak;
}

/// Of what was read while it ran.
double disk_bandwidth(const Measured& measured) {
  const infer::WeightStream::Traffic& traffic = measured.traffic;
  return traffic.reading_seconds > 0 ? static_cast<double>(traffic.bytes) / traffic.reading_seconds : 0;
}

/// What the model runs with is not left out; what was to be left out is so for that reason.
void tell_apart(plan::RunPlan& plan, const models::OpenModel& model, std::span<const std::string> skipped) {
  std::erase_if(plan.rejected, [&](const plan::RejectedRewrite& each) {
    return std::any_of(model.rewrites.begin(), model.rewrites.end(), [&](const nn::AppliedRewrite& applied) {
      return applied.rewrite->name == each.request.name;
    });
  });
  for (plan::RejectedRewrite& each : plan.rejected)
    if (std::find(skipped.begin(), skipped.end(), each.request.name) != skipped.end())
      each.reason = "it was to be left out";
}

void print_plan(const models::OpenModel& model, const plan::RunGoal& goal, const plan::RunPlan& plan,
                const std::optional<MemoryReport>& within, const std::optional<Measured>& measured,
                bool speculates) {
  const plan::RunForecast& forecast = plan.forecast;
  fmt::print("plan: run {}, {} prompt tokens, {} new tokens, batch {}\n", model.files.path,
             goal.prompt_tokens, goal.new_tokens, goal.batch);
  fmt::print("rewrites:\n");
  if (model.rewrites.empty()) fmt::print("  none: the model runs as its files say\n");
  for (const nn::AppliedRewrite& applied : model.rewrites)
    fmt::print("  {}; output {}\n", applied.to_string(), nn::name_of(applied.rewrite->exactness));
  fmt::print("left out:\n");
  for (const plan::RejectedRewrite& rejected : plan.rejected)
    fmt::print("  {}: {}\n", rejected.request.name, rejected.reason);
  std::vector<std::vector<std::string>> rows{{"", "predicted"}};
  if (measured) rows[0].push_back("measured");
  const auto row = [&](std::string name, std::string predicted, const std::string& found) {
    rows.push_back({std::move(name), std::move(predicted)});
    if (measured) rows.back().push_back(found);
  };
  const Measured found = measured.value_or(Measured{});
  // Mapped weights are no memory of the allocator's: what it holds comes on top of the file.
  row("weights", bytes_text(forecast.weight_bytes), bytes_text(nn::measure(*model.tree).bytes));
  row("keys and values", bytes_text(forecast.cache_bytes), bytes_text(peak_of(found, Owner::kCache)));
  row("activations", bytes_text(forecast.activation_bytes), bytes_text(peak_of(found, Owner::kActivations)));
  row("prompt", fmt::format("{:.3f} s", forecast.prompt_seconds),
      fmt::format("{:.3f} s", found.prompt_seconds));
  row("decoding", fmt::format("{:.1f} tokens/s", forecast.decode_tokens_per_s),
      fmt::format("{:.1f} tokens/s", found.decode_tokens_per_s));
  if (speculates)
    row("guesses that hold", "unknown: as if none", fmt::format("{} of {}", found.accepted, found.drafted));
  if (within && within->choice.fits()) {
    row("process", bytes_text(within->plan.total_bytes()), bytes_text(found.process_bytes));
    if (within->plan.streams())
      row("disk", fmt::format("{:.2f} GB/s", within->disk_bandwidth / 1e9),
          fmt::format("{:.2f} GB/s", disk_bandwidth(found) / 1e9));
  }
  fmt::print("{}", table_text(rows));
  if (within) fmt::print("{}", text_of(*within, goal));
}

Json to_json(const plan::RunForecast& forecast) {
  Json json;
  json.set("weight_bytes", forecast.weight_bytes).set("cache_bytes", forecast.cache_bytes);
  json.set("activation_bytes", forecast.activation_bytes).set("prompt_s", forecast.prompt_seconds);
  return json.set("decode_tokens_per_s", forecast.decode_tokens_per_s);
}

void print_json(const models::OpenModel& model, const plan::RunPlan& plan,
                const std::optional<MemoryReport>& within, const plan::RunGoal& goal,
                const std::optional<Measured>& measured) {
  Json applied{Json::Array{}};
  for (const nn::AppliedRewrite& each : model.rewrites) {
    Json row;
    row.set("name", each.rewrite->name)
        .set("arguments", each.arguments.values())
        .set("skipped", each.skipped);
    applied.push_back(row.set("exactness", nn::name_of(each.rewrite->exactness)));
  }
  Json rejected{Json::Array{}};
  for (const plan::RejectedRewrite& each : plan.rejected) {
    Json row;
    rejected.push_back(row.set("name", each.request.name).set("reason", each.reason));
  }
  Json json;
  json.set("rewrites", std::move(applied)).set("rejected", std::move(rejected));
  json.set("predicted", to_json(plan.forecast)).set("fits", plan.fits);
  if (within) json.set("memory", to_json(*within, goal));
  if (measured) {
    plan::RunForecast found{nn::measure(*model.tree).bytes, peak_of(*measured, Owner::kCache),
                            peak_of(*measured, Owner::kActivations), measured->prompt_seconds,
                            measured->decode_tokens_per_s};
    Json row = to_json(found);
    row.set("process_bytes", measured->process_bytes);
    if (measured->drafted > 0) row.set("drafted", measured->drafted).set("accepted", measured->accepted);
    if (within && within->plan.streams()) row.set("disk_bandwidth", disk_bandwidth(*measured));
    json.set("measured", std::move(row));
  }
  fmt::print("{}\n", json.dump());
}

/// Any file with the model's weights.
std::string weight_file(const models::OpenModel& model) {
  if (model.gguf) return model.gguf->paths().front();
  for (const auto& file : std::filesystem::directory_iterator(model.files.path))
    if (file.path().extension() == ".safetensors") return file.path();
  return model.files.path;
}

/// Plans within `goal.memory`, and brings about what is chosen.
MemoryReport plan_within(RunModelFlags& flags, models::OpenModel& model, const plan::RunGoal& goal,
                         const plan::MachineProfile& machine, plan::FormatChoice choice) {
  MemoryReport report;
  report.choice = std::move(choice);
  report.plan = report.choice.best().plan;
  report.tokens_per_s = plan::tokens_per_second(model.tree, report.choice, goal, machine);
  report.alternatives = plan::alternatives(model.tree, report.plan, goal, machine);
  if (report.choice.fits()) report.plan = flags.take(model, report.choice, goal);
  const infer::WeightStream* stream = infer::stream_of(model.tree);
  report.disk_bandwidth = plan::measure_disk(stream != nullptr ? stream->path() : weight_file(model));
  release_cached_memory();
  for (size_t i = 0; i < report.tokens_per_s.size(); ++i) {
    plan::RunForecast forecast;
    forecast.decode_tokens_per_s = report.tokens_per_s[i];
    plan::add_disk(forecast, report.choice.weighed[i].plan.residency, goal, report.disk_bandwidth);
    report.tokens_per_s[i] = forecast.decode_tokens_per_s;
  }
  return report;
}

}  // namespace

int run_explain(std::span<const std::string> arguments) {
  // Each verb's plan takes that verb's own options.
  if (!arguments.empty() && arguments[0] == "train") return explain_train(arguments.subspan(1));
  std::string verb;
  RunModelFlags flags;
  plan::RunGoal goal;
  SpeculationFlags speculation;
  bool analyze = false, json = false;
  Options options("explain", "martlet explain run smollm2 --analyze");
  options.positional("VERB", verb,
                     "what to explain: run; or train, whose options `martlet explain train --help` shows");
  flags.declare_generating(options);
  speculation.declare(options);
  options.count("--prompt-tokens", "N", goal.prompt_tokens, "length of the prompt", 1, 1 << 24)
      .count("-n,--tokens", "N", goal.new_tokens, "tokens to generate", 1, 1 << 24)
      .count("--batch", "N", goal.batch, "sequences that run together", 1, 4096)
      .flag("--analyze", analyze, "run it too, on random tokens, and put measured beside predicted")
      .flag("--json", json, "one object for programs");
  if (!options.parse(arguments)) return 0;
  if (verb != "run") fail(ErrorCode::kUsage, "explain knows the verbs run and train, not '{}'", verb);
  const models::OpenOptions options_of_model = flags.run_options();
  speculation.open(flags.path(), flags.weight_cache_place());
  models::OpenModel model = models::open_model(flags.path(), options_of_model);
  const nn::ModelShape& shape = model.tree->shape();
  if (!shape.generates) bad_input("{} has no head that predicts tokens: it cannot run", flags.model);
  if (shape.max_positions > 0 && goal.prompt_tokens + goal.new_tokens > shape.max_positions)
    bad_input("{} prompt tokens and {} new ones are more than the model's context of {}", goal.prompt_tokens,
              goal.new_tokens, shape.max_positions);
  goal.memory = flags.budget();
  goal.beside = speculation.memory(goal);
  std::vector<std::string> types = plan::weight_types(*model.tree);
  std::optional<plan::FormatChoice> choice;
  if (goal.memory > 0) {
    choice = flags.choose(model, goal);
    const bool packs = std::any_of(choice->weighed.begin(), choice->weighed.end(),
                                   [](const auto& each) { return !each.formats.weights.empty(); });
    for (const std::string& type : packs ? plan::packed_types() : plan::alternative_types())
      if (std::find(types.begin(), types.end(), type) == types.end()) types.push_back(type);
  }
  const plan::MachineProfile machine =
      plan::measure_machine(types, plan::attention_kinds(model.tree, goal, choice.has_value()));
  forget_high_water(Device::kCpu);
  release_cached_memory();
  std::optional<MemoryReport> within;
  if (choice) within = plan_within(flags, model, goal, machine, std::move(*choice));
  plan::RunPlan plan = plan::plan_run(model.tree, goal, machine, plan::rewrites());
  tell_apart(plan, model, flags.skip);
  if (within) {
    plan.fits = within->choice.fits();
    if (plan.fits) plan::add_disk(plan.forecast, within->plan.residency, goal, within->disk_bandwidth);
  }
  infer::GenerationOptions generation;
  speculation.apply(*model.tree, generation);
  std::optional<Measured> measured;
  if (analyze && plan.fits) measured = measure_run(*model.tree, goal, generation);
  if (json)
    print_json(model, plan, within, goal, measured);
  else
    print_plan(model, goal, plan, within, measured, speculation.is_on());
  return plan.fits ? 0 : static_cast<int>(ErrorCode::kExhausted);
}

}  // namespace martlet::cli
