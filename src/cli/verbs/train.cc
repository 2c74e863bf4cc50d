#include "base/error.h"
#include "base/files.h"
#include "cli/options.h"
#include "cli/run_recorder.h"
#include "cli/same_run.h"
#include "cli/train_planning.h"
#include "cli/training_line.h"
#include "cli/training_setup.h"
#include "cli/verbs/verbs.h"
#include "data/batches.h"
#include "models/save.h"
#include "nn/tree.h"
#include "train/checkpoint.h"
#include "train/run.h"

namespace martlet::cli {

int run_train(std::span<const std::string> arguments) {
  TrainRequest r;
  Options options("train",
                  "martlet train --model 7m --tokenizer smollm2 --data notes/ --steps 500 --out mine");
  r.declare(options);
  if (!options.parse(arguments)) return 0;
  const Json asked = options.values();
  r.finish(true);
  if (r.run.resume) refuse_changes(r, asked);
  refuse_what_does_not_fit(r);
  models::OpenModel model = open_to_train(r);
  const plan::TrainPlan plan = plan_of(r, model);
  if (!plan.fits) fail(ErrorCode::kExhausted, "{}", plan::why_not(plan, goal_of(r)));
  make_directories(r.out);
  if (!r.run.resume) remember_options(r, asked);
  const std::string tokenizer = tokenizer_path(r, model);
  data::Batches batches(token_sets(r, tokenizer, model.tree->shape().vocabulary_size, r.out + "/tokens"),
                        r.batches);
  train::Trainer trainer(
      *model.tree, batches,
      train::make_optimizer(r.optimizer, train::trained_parameters(*model.tree), r.optimizer_options),
      r.trainer);
  std::optional<train::HeldOut> held_out;
  if (r.evaluates()) {
    held_out.emplace(held_out_sets(r, tokenizer, model.tree->shape().vocabulary_size, r.out + "/tokens"),
                     r.batches, r.eval_batches);
    r.run.held_out = &*held_out;
  }
  r.run.sample = sampler_of(r, model, tokenizer);
  TrainingLine line(r.run.steps);
  for (const nn::AppliedRewrite& applied : model.rewrites) line.note(applied.to_string());
  for (const plan::ChosenRewrite& chosen : plan.chosen)
    line.note(fmt::format("{} was turned on: {}", chosen.name, chosen.reason));
  const train::OnNote note = [&](const std::string& text) { line.note(text); };
  train::RunDescription description;
  description.recipe = options.values();
  description.seed = r.seed;
  description.parameters = nn::measure(*model.tree).parameters;
  description.steps = r.run.steps;
  RunRecorder recorder(r.record, r.run, std::move(description), note);
  r.run.on_begin = [&](int64_t steps_done) {
    // Of a run that goes on, only now that a checkpoint took the options.
    remember_options(r, asked);
    recorder.begin(steps_done);
  };
  r.run.before_checkpoint = [&] { recorder.settle(); };
  const train::OnStep on_step = [&](const train::StepMetrics& step) {
    line.show(step);
    recorder.step(step);
  };
  const train::RunOutcome outcome =
      recorder.follow([&] { return train::run_training(*model.tree, trainer, r.run, on_step, note); });
  line.finish();
  if (outcome.interrupted && outcome.saved_steps < outcome.steps_done)
    fail(ErrorCode::kExhausted,
         "stopped after step {} of {}; the newest whole checkpoint is of step {}, from which "
         "--resume goes on",
         outcome.steps_done, r.run.steps, outcome.saved_steps);
  if (outcome.interrupted) {
    fail(ErrorCode::kInterrupted, "stopped after step {} of {}, and saved; --resume goes on",
         outcome.steps_done, r.run.steps);
  }
  if (!r.tokenizer.empty()) models::copy_tokenizer(tokenizer, r.out);
  if (!outcome.best_checkpoint.empty())
    train::read_weights(outcome.best_checkpoint, *model.tree);
  else if (trainer.ema() != nullptr)
    trainer.ema()->swap();
  models::save_model_into(model, r.out);
  fmt::print("{} steps; the model is in {}\n", outcome.steps_done, r.out);
  if (!outcome.best_checkpoint.empty())
    fmt::print("It has the weights of {}, whose held-out loss of {:.4f} was the lowest.\n",
               outcome.best_checkpoint, outcome.best_loss);
  fmt::print("{}\n", recorder.where());
  return 0;
}

}  // namespace martlet::cli
