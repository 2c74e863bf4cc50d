#include "cli/explain_train.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "base/human.h"
#include "base/interrupt.h"
#include "base/random.h"
#include "cli/table.h"
#include "cli/train_planning.h"
#include "cli/training_setup.h"
#include "data/token_set.h"
#include "plan/training_speed.h"
#include "train/ema.h"
#include "train/metrics.h"

namespace martlet::cli {
namespace {

using Clock = std::chrono::steady_clock;

// Steps that --analyze runs: the first makes everything that later ones find.
constexpr int kAnalysedSteps = 5;

/// What a step takes: predicted, or found.
struct Figures {
  plan::TrainMemory memory;
  int64_t resident = 0;  // bytes of the process, between checkpoints
  double step_seconds = 0;
};

/// Sequences of random ids, of full length.
data::TrainingBatch random_batch(const plan::TrainGoal& goal, int64_t vocabulary) {
  data::TrainingBatch batch;
  const auto ids = static_cast<uint64_t>(vocabulary);
  for (int64_t i = 0; i < goal.batch; ++i) {
    batch.starts.push_back(static_cast<int32_t>(i * goal.seq));
    const Philox random(1, static_cast<uint64_t>(i));
    for (int64_t t = 0; t < goal.seq; ++t) {
      batch.ids.push_back(static_cast<int32_t>(random.bits(static_cast<uint64_t>(t)) % ids));
      batch.targets.push_back(static_cast<int32_t>(random.bits(static_cast<uint64_t>(t + 1)) % ids));
    }
  }
  batch.starts.push_back(static_cast<int32_t>(goal.batch * goal.seq));
  batch.target_count = goal.batch * goal.seq;
  return batch;
}

/// The run's data, where it is tokens already, and what it brought into memory.
struct OpenedData {
  std::optional<data::Batches> batches;
  int64_t found = 0;

  int64_t predicted(const plan::TrainGoal& goal) const {
    return batches ? batches->memory_bytes(goal.accumulate) : 0;
  }
};

OpenedData open_data(const TrainRequest& request, int64_t vocabulary) {
  OpenedData opened;
  if (!std::all_of(request.data.begin(), request.data.end(), data::is_token_set)) return opened;
  const int64_t before = train::resident_file_bytes();
  opened.batches.emplace(token_sets(request, "", vocabulary, ""), request.batches);
  opened.found = train::resident_file_bytes() - before;
  return opened;
}

/// Runs steps whose rate is 0 on random ids: all of them full, as not every step of the data need be.
Figures measure_training(nn::Model& model, const plan::TrainGoal& goal, OpenedData& data) {
  const auto use = [](Owner owner) { return memory_use(Device::kCpu)[static_cast<size_t>(owner)]; };
  const data::TrainingBatch batch = random_batch(goal, model.shape().vocabulary_size);
  const std::vector<train::TrainedParameter> trained = train::trained_parameters(model);
  const auto optimizer = train::make_optimizer(goal.optimizer, trained, goal.optimizer_options);
  std::optional<train::Ema> ema;
  if (goal.ema > 0) ema.emplace(trained, goal.ema);
  reset_memory_peaks(Device::kCpu);
  Figures found;
  std::vector<double> seconds;
  for (int step = 0; step < kAnalysedSteps; ++step) {
    throw_if_interrupted();
    const Clock::time_point start = Clock::now();
    if (data.batches) data.batches->next();
    for (int64_t i = 0; i < goal.accumulate; ++i)
      train::loss_of(model, batch, 1 / static_cast<double>(goal.accumulate));
    train::gradient_norm(trained);
    optimizer->step(0, 1);
    if (ema) ema->update(step + 1);
    for (const train::TrainedParameter& each : trained) each.parameter->clear_gradient();
    seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    found.resident = std::max(found.resident, train::resident_bytes());
  }
  std::sort(seconds.begin() + 1, seconds.end());
  found.step_seconds = seconds[1 + (seconds.size() - 1) / 2];
  found.memory.weights = use(Owner::kWeights).peak;
  found.memory.gradients = use(Owner::kGradients).peak;
  found.memory.optimiser = use(Owner::kOptimiser).peak;
  found.memory.activations = use(Owner::kActivations).peak;
  found.memory.total = total_memory_use(Device::kCpu).peak;
  found.memory.data = data.found;
  return found;
}

std::string bytes_text(int64_t bytes) {
  return format_bytes(static_cast<uint64_t>(std::max<int64_t>(0, bytes)));
}

struct Explained {
  const TrainRequest& request;
  const models::OpenModel& model;
  plan::TrainGoal goal;
  plan::TrainPlan plan;
  plan::TrainingSpeed speed;
  Figures predicted;
  std::optional<Figures> measured;
  bool knows_data = false;

  double tokens_per_s(const Figures& figures) const {
    return static_cast<double>(goal.tokens_per_step()) / figures.step_seconds;
  }
  double run_seconds(const Figures& figures) const {
    return static_cast<double>(goal.steps) * figures.step_seconds;
  }
};

std::string chosen_reason(const Explained& explained, std::string_view name) {
  for (const plan::ChosenRewrite& chosen : explained.plan.chosen)
    if (chosen.name == name) return chosen.reason;
  return "asked for";
}

void print_figures(const Explained& explained) {
  std::vector<std::vector<std::string>> rows{{"", "predicted"}};
  if (explained.measured) rows[0].push_back("measured");
  const auto row = [&](std::string name, const auto& text_of, bool measures = true) {
    rows.push_back({std::move(name), text_of(explained.predicted)});
    if (explained.measured) rows.back().push_back(measures ? text_of(*explained.measured) : "-");
  };
  const auto memory = [&](std::string name, int64_t plan::TrainMemory::*part, bool measures = true) {
    row(
        std::move(name), [part](const Figures& figures) { return bytes_text(figures.memory.*part); },
        measures);
  };
  memory("weights", &plan::TrainMemory::weights);
  memory("gradients", &plan::TrainMemory::gradients);
  memory("optimiser", &plan::TrainMemory::optimiser);
  memory("activations", &plan::TrainMemory::activations);
  memory("  logits of these", &plan::TrainMemory::logits, false);
  memory("most at one time", &plan::TrainMemory::total);
  memory("checkpoint's copy", &plan::TrainMemory::snapshot, false);
  if (explained.knows_data) memory("data, mapped", &plan::TrainMemory::data);
  row("process, resident", [](const Figures& figures) { return bytes_text(figures.resident); });
  row("step", [](const Figures& figures) { return fmt::format("{:.3f} s", figures.step_seconds); });
  row("speed", [&](const Figures& figures) {
    return fmt::format("{:.0f} tokens/s", explained.tokens_per_s(figures));
  });
  row("whole run", [&](const Figures& figures) { return format_duration(explained.run_seconds(figures)); });
  fmt::print("{}", table_text(rows));
}

/// Where a step's time goes, the longest first.
void print_costs(const Explained& explained) {
  std::vector<ops::CostRow> costs = explained.plan.forecast.costs;
  const plan::TrainingSpeed& speed = explained.speed;
  std::sort(costs.begin(), costs.end(), [&](const ops::CostRow& a, const ops::CostRow& b) {
    return speed.seconds_of(a) > speed.seconds_of(b);
  });
  std::string text;
  for (size_t i = 0; i < std::min<size_t>(costs.size(), 5); ++i)
    text += fmt::format("{}{} {:.0f} %", i == 0 ? "" : ", ", costs[i].operation,
                        100 * speed.seconds_of(costs[i]) / explained.predicted.step_seconds);
  fmt::print("time goes to: {}\n", text);
}

void print_text(const Explained& explained) {
  const TrainRequest& r = explained.request;
  const plan::TrainGoal& goal = explained.goal;
  fmt::print("plan: train {}, {} steps of {} tokens ({} sequences of {}{}), {}\n",
             r.init.empty() ? "a new model " + r.shape : r.init, goal.steps, goal.tokens_per_step(),
             goal.batch, goal.seq, goal.accumulate > 1 ? fmt::format(", {} times", goal.accumulate) : "",
             goal.optimizer);
  fmt::print("rewrites:\n");
  if (explained.model.rewrites.empty())
    fmt::print("  none: every parameter learns, every activation is kept\n");
  for (const nn::AppliedRewrite& applied : explained.model.rewrites)
    fmt::print("  {}; {}\n", applied.to_string(), chosen_reason(explained, applied.rewrite->name));
  fmt::print("left out:\n");
  for (const plan::RejectedRewrite& rejected : explained.plan.rejected)
    fmt::print("  {}: {}\n", rejected.request.name, rejected.reason);
  print_figures(explained);
  print_costs(explained);
  if (!explained.knows_data)
    fmt::print("data: how large it is in memory shows when it is tokens (`martlet data tokens`)\n");
  const plan::TrainMemory& memory = explained.predicted.memory;
  if (!explained.plan.fits)
    fmt::print("memory: does not fit: {}\n", plan::why_not(explained.plan, goal));
  else if (explained.plan.memory > 0)
    fmt::print("memory: {} with the program and a checkpoint's copy, of {}: fits\n",
               bytes_text(memory.process()), format_bytes(explained.plan.memory));
}

Json json_of(const Explained& explained, const Figures& figures, bool whole) {
  const plan::TrainMemory& memory = figures.memory;
  Json json;
  json.set("weight_bytes", memory.weights).set("gradient_bytes", memory.gradients);
  json.set("optimiser_bytes", memory.optimiser).set("activation_bytes", memory.activations);
  json.set("total_bytes", memory.total);
  if (whole) json.set("logit_bytes", memory.logits).set("snapshot_bytes", memory.snapshot);
  if (whole) json.set("process_bytes", memory.process());
  if (explained.knows_data) json.set("data_bytes", memory.data);
  json.set("resident_bytes", figures.resident);
  json.set("step_s", figures.step_seconds).set("tokens_per_s", explained.tokens_per_s(figures));
  return json.set("run_s", explained.run_seconds(figures));
}

void print_json(const Explained& explained) {
  Json rewrites{Json::Array{}}, rejected{Json::Array{}}, costs{Json::Array{}};
  for (const nn::AppliedRewrite& each : explained.model.rewrites) {
    Json row;
    row.set("name", each.rewrite->name)
        .set("arguments", each.arguments.values())
        .set("skipped", each.skipped);
    rewrites.push_back(row.set("reason", chosen_reason(explained, each.rewrite->name)));
  }
  for (const plan::RejectedRewrite& each : explained.plan.rejected) {
    Json row;
    rejected.push_back(row.set("name", each.request.name).set("reason", each.reason));
  }
  for (const ops::CostRow& each : explained.plan.forecast.costs) {
    Json row;
    row.set("operation", each.operation).set("kind", each.kind).set("calls", each.calls);
    row.set("operations", each.cost.operations).set("bytes_read", each.cost.bytes_read);
    row.set("bytes_written", each.cost.bytes_written);
    costs.push_back(row.set("seconds", explained.speed.seconds_of(each)));
  }
  Json json;
  json.set("rewrites", std::move(rewrites)).set("rejected", std::move(rejected));
  json.set("predicted", json_of(explained, explained.predicted, true)).set("costs", std::move(costs));
  if (explained.measured) json.set("measured", json_of(explained, *explained.measured, false));
  json.set("memory_bytes", static_cast<int64_t>(explained.plan.memory)).set("fits", explained.plan.fits);
  if (!explained.plan.fits) json.set("fitting_batch", explained.plan.fitting_batch);
  json.set("speed", explained.speed.to_json());
  fmt::print("{}\n", json.dump());
}

}  // namespace

int explain_train(std::span<const std::string> arguments) {
  TrainRequest request;
  bool analyze = false, json = false;
  Options options("explain train",
                  "martlet explain train --model 7m --tokenizer smollm2 --data notes/ --steps 500 "
                  "--analyze");
  request.declare(options);
  options.flag("--analyze", analyze, "run some steps too, on random ids, and put measured beside predicted")
      .flag("--json", json, "one object for programs");
  if (!options.parse(arguments)) return 0;
  request.finish(false);
  models::OpenModel model = open_to_train(request, analyze ? Values::kReal : Values::kNone);
  plan::TrainPlan plan = plan_of(request, model);
  Explained explained{request, model, goal_of(request), std::move(plan), plan::measure_training_speed(),
                      {},      {}};
  release_cached_memory();
  OpenedData data = open_data(request, model.tree->shape().vocabulary_size);
  explained.knows_data = data.batches.has_value();
  explained.predicted = {explained.plan.forecast.memory, 0,
                         explained.speed.seconds_of(explained.plan.forecast.costs)};
  explained.predicted.memory.data = data.predicted(explained.goal);
  explained.predicted.resident = explained.predicted.memory.resident();
  if (analyze && explained.plan.fits)
    explained.measured = measure_training(*model.tree, explained.goal, data);
  json ? print_json(explained) : print_text(explained);
  return explained.plan.fits ? 0 : static_cast<int>(ErrorCode::kExhausted);
}

}  // namespace martlet::cli
