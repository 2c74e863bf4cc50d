#include <algorithm>

#include "base/error.h"
#include "base/files.h"
#include "base/human.h"
#include "base/interrupt.h"
#include "cli/chat_format.h"
#include "cli/options.h"
#include "cli/store.h"
#include "cli/terminal.h"
#include "cli/training_line.h"
#include "cli/verbs/verbs.h"
#include "data/batches.h"
#include "data/source.h"
#include "data/tokenise.h"
#include "infer/language_model.h"
#include "models/save.h"
#include "nn/tree.h"
#include "ops/cast.h"
#include "plan/catalogue.h"
#include "train/initialise.h"
#include "train/model_shape.h"
#include "train/run.h"

namespace martlet::cli {
namespace {

/// What the command line or a recipe says.
struct Request {
  std::string recipe, init, shape, tokenizer, dtype = "f32", out;
  std::vector<std::string> data;
  data::BatchOptions batches;
  std::string order = "shuffle", pack = "documents";
  int64_t seed = 1;
  std::string optimizer = "adamw", schedule = "cosine", on_spike = "skip";
  train::OptimizerOptions optimizer_options;
  train::TrainerOptions trainer;
  train::RunOptions run;
};

void declare(Request& r, Options& options) {
  options
      .positional("RECIPE.toml", r.recipe, "a file with these options as keys of [model], [data] and [train]",
                  false)
      .text("--init", "MODEL", r.init, "go on from a model: a directory, a GGUF file or a store name")
      .text("--model", "SHAPE", r.shape,
            "a new model: 1m, 3m, 7m, 25m, 124m, 350m, 1b, or hidden=288,layers=6,..")
      .text("--tokenizer", "MODEL", r.tokenizer, "where the tokenizer comes from; with --init its own")
      .texts("--data", "F", r.data,
             "what to learn: text, JSON lines, folders, tinyworld:.., or a folder of tokens")
      .count("--seq", "N", r.batches.seq, "tokens a sequence at most", 1, 1 << 20)
      .count("--batch", "N", r.batches.batch, "sequences a batch", 1, 1 << 16)
      .count("--accumulate", "N", r.trainer.accumulate, "batches a step", 1, 1 << 16)
      .count("--steps", "N", r.run.steps, "steps of the run", 1)
      .choice("--dtype", r.dtype, {"f32"}, "of the arithmetic")
      .choice("--optimizer", r.optimizer, train::optimizer_names(), "how parameters follow gradients")
      .real("--learning-rate", "X", r.trainer.schedule.peak, "at its highest", 0, 1e3)
      .choice("--schedule", r.schedule, {"constant", "cosine", "linear", "wsd"}, "the rate over the run")
      .count("--warmup", "N", r.trainer.schedule.warmup, "steps over which the rate climbs")
      .real("--final-rate", "X", r.trainer.schedule.final_share, "share of the rate at the last step", 0, 1)
      .real("--weight-decay", "X", r.optimizer_options.weight_decay, "of tensors of two or more dimensions",
            0, 1e3)
      .real("--beta1", "X", r.optimizer_options.beta1, "share of the first moment that is kept", 0, 1)
      .real("--beta2", "X", r.optimizer_options.beta2, "share of the second moment that is kept", 0, 1)
      .real("--eps", "X", r.optimizer_options.epsilon, "keeps the optimiser from dividing by zero", 0, 1)
      .real("--clip", "X", r.trainer.clip, "most that the norm of all gradients may be; 0: no limit", 0, 1e9)
      .choice("--order", r.order, {"shuffle", "sequential"}, "of the data")
      .choice("--pack", r.pack, {"documents", "none"}, "fill sequences with documents, or one row each")
      .count("--seed", "N", r.seed, "first values and order depend on this number alone")
      .text("--out", "DIR", r.out, "where the trained model goes")
      .text("--metrics", "F.jsonl", r.run.metrics, "a row a step")
      .real("--checkpoint-every", "S", r.run.checkpoint_seconds,
            "seconds between checkpoints; 0: only the last", 0, 1e9)
      .count("--keep", "N", r.run.keep_checkpoints, "checkpoints that stay", 1, 1 << 20)
      .choice("--on-spike", r.on_spike, {"skip", "rewind", "stop"}, "what to do when a loss is not finite")
      .flag("--resume", r.run.resume, "go on from the newest whole checkpoint in --out");
}

void read_recipe(const Request& r, Options& options) {
  const Json recipe = parse_toml_file(r.recipe);
  for (const auto& [name, table] : recipe.object()) {
    if (name != "model" && name != "data" && name != "train") continue;
    options.fill_from(table, fmt::format("{} [{}]", r.recipe, name));
  }
}

void check(Request& r) {
  if (r.out.empty()) fail(ErrorCode::kUsage, "train needs --out DIR");
  if (r.run.steps == 0) fail(ErrorCode::kUsage, "train needs --steps N");
  if (r.data.empty()) fail(ErrorCode::kUsage, "train needs --data F");
  if (r.init.empty() == r.shape.empty())
    fail(ErrorCode::kUsage, "train needs one of --init MODEL and --model SHAPE");
  r.trainer.schedule.shape = train::schedule_named(r.schedule);
  r.trainer.schedule.steps = r.run.steps;
  r.batches.order = r.order == "shuffle" ? data::Order::kShuffle : data::Order::kSequential;
  r.batches.pack = r.pack == "documents" ? data::Pack::kDocuments : data::Pack::kNone;
  r.batches.seed = static_cast<uint64_t>(r.seed);
  r.run.folder = r.out;
  r.run.on_spike = r.on_spike == "skip"     ? train::SpikePolicy::kSkip
                   : r.on_spike == "rewind" ? train::SpikePolicy::kRewind
                                            : train::SpikePolicy::kStop;
  if (!r.run.resume && file_exists(r.out + "/config.json"))
    bad_input("{}: there is a model already; name another folder", r.out);
  if (!r.run.resume && is_directory(r.out + "/checkpoints"))
    bad_input("{}: there is a run already; --resume goes on with it, or name another folder", r.out);
}

/// The tokenizer's path: given, or the model's own where it has one.
std::string tokenizer_path(const Request& r, const models::OpenModel& model) {
  if (!r.tokenizer.empty()) return resolve_model(r.tokenizer);
  const bool has_own = model.gguf.has_value() || !model.files.tokenizer.empty();
  return has_own ? model.files.path : "";
}

data::DocumentEncoder encoder_of(const std::string& tokenizer, int64_t vocabulary) {
  const data::EncodeRules rules{.vocabulary = vocabulary};
  if (tokenizer.empty()) return data::DocumentEncoder(rules);
  return data::DocumentEncoder(infer::load_tokenizer(tokenizer), load_chat_format(tokenizer), rules);
}

std::vector<data::TokenSet> token_sets(const Request& r, const std::string& tokenizer, int64_t vocabulary) {
  std::vector<data::TokenSet> sets;
  std::vector<std::string> words;
  for (const std::string& word : r.data) {
    if (is_directory(word) && data::is_token_set(word))
      sets.push_back(data::TokenSet::open(word));
    else
      words.push_back(word);
  }
  if (!words.empty()) {
    const std::string folder = r.out + "/tokens";
    if (!r.run.resume || !data::is_token_set(folder)) {
      data::ReadReport report;
      data::Corpus corpus(words, {}, report);
      const auto progress = make_progress();
      data::tokenise(corpus, encoder_of(tokenizer, vocabulary), folder, {}, *progress);
    }
    sets.push_back(data::TokenSet::open(folder));
  }
  for (const data::TokenSet& set : sets)
    if (set.vocabulary_size() > vocabulary)
      bad_input("the data has token ids up to {} and the model a vocabulary of {}", set.vocabulary_size() - 1,
                vocabulary);
  return sets;
}

models::OpenModel new_model(const Request& r) {
  int64_t vocabulary = 0;
  if (!r.tokenizer.empty()) {
    vocabulary = infer::load_tokenizer(resolve_model(r.tokenizer)).vocabulary_size();
  } else {
    for (const std::string& word : r.data)
      if (is_directory(word) && data::is_token_set(word))
        vocabulary = std::max(vocabulary, data::TokenSet::open(word).vocabulary_size());
    if (vocabulary == 0)
      fail(ErrorCode::kUsage, "a new model needs --tokenizer MODEL, or data that is tokens already");
  }
  models::OpenModel model;
  model.config = train::model_config(r.shape, vocabulary, r.batches.seq);
  model.family = &models::family_named("llama");
  model.tree = model.family->build(Fields(model.config, "--model " + r.shape));
  train::initialise(*model.tree, static_cast<uint64_t>(r.seed));
  return model;
}

models::OpenModel open_to_train(const Request& r) {
  models::OpenModel model =
      r.init.empty() ? new_model(r) : models::open_model(resolve_model(r.init), {plan::rewrites(), {}, {}});
  if (!model.tree->shape().generates) bad_input("{} has no head that predicts tokens", r.init);
  if (const int64_t limit = model.tree->shape().max_positions; limit > 0 && r.batches.seq > limit)
    bad_input("--seq {} is longer than the model's context of {}", r.batches.seq, limit);
  const OwnerScope owner(Owner::kWeights);
  nn::walk_parameters(*model.tree, [](const std::string&, nn::Parameter& parameter) {
    if (parameter.requires_gradient()) return;  // tied, and seen before
    // Mapped, packed or narrow values become f32 of this process's own.
    parameter.set(parameter.shape().rank() == 2 ? parameter.weight().unpack().clone()
                                                : ops::cast(parameter.tensor(), DType::kF32).clone());
    parameter.require_gradient();
  });
  return model;
}

}  // namespace

int run_train(std::span<const std::string> arguments) {
  Request r;
  r.trainer.schedule.peak = 1e-3;
  Options options("train",
                  "martlet train --model 7m --tokenizer smollm2 --data notes/ --steps 500 --out mine");
  declare(r, options);
  if (!options.parse(arguments)) return 0;
  if (!r.recipe.empty()) read_recipe(r, options);
  check(r);
  models::OpenModel model = open_to_train(r);
  make_directories(r.out);
  const std::string tokenizer = tokenizer_path(r, model);
  data::Batches batches(token_sets(r, tokenizer, model.tree->shape().vocabulary_size), r.batches);
  train::Trainer trainer(
      *model.tree, batches,
      train::make_optimizer(r.optimizer, train::trained_parameters(*model.tree), r.optimizer_options),
      r.trainer);
  TrainingLine line(r.run.steps);
  const train::RunOutcome outcome = train::run_training(
      *model.tree, trainer, r.run, [&](const train::StepMetrics& step) { line.show(step); },
      [&](const std::string& note) { line.note(note); });
  line.finish();
  if (outcome.interrupted) {
    fail(ErrorCode::kInterrupted, "stopped after step {} of {}, and saved; --resume goes on",
         outcome.steps_done, r.run.steps);
  }
  if (!r.tokenizer.empty()) models::copy_tokenizer(tokenizer, r.out);
  models::save_model_into(model, r.out);
  fmt::print("{} steps; the model is in {}\n", outcome.steps_done, r.out);
  return 0;
}

}  // namespace martlet::cli
