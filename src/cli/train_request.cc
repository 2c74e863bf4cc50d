#include "cli/train_request.h"

#include <algorithm>

#include "base/error.h"
#include "base/files.h"

namespace martlet::cli {

void TrainRequest::declare(Options& options) {
  options
      .recipe("RECIPE.toml", recipe, "a file with these options as keys of [model], [data] and [train]",
              {"model", "data", "train"})
      .text("--init", "MODEL", init, "go on from a model: a directory, a GGUF file or a store name")
      .text("--model", "SHAPE", shape,
            "a new model: 1m, 3m, 7m, 25m, 124m, 350m, 1b, or hidden=288,layers=6,..")
      .text("--tokenizer", "MODEL", tokenizer, "where the tokenizer comes from; with --init its own")
      .texts("--data", "F", data,
             "what to learn: text, JSON lines, folders, tinyworld:.., or a folder of tokens")
      .texts("--eval-data", "F", eval_data, "held-out data, in the same forms, whose loss is told")
      .real("--validation", "X", validation, "share of the documents of --data that is held out", 0, 0.999)
      .count("--eval-every", "N", run.eval_every,
             "steps between losses on held-out data; 0: only after the last step")
      .count("--eval-batches", "N", eval_batches, "held-out batches that are read; 0: all")
      .count("--sample-every", "N", run.sample_every, "steps between samples of what the model says; 0: none")
      .text("--sample-prompt", "TEXT", sample_prompt, "what a sample begins with")
      .count("--sample-tokens", "N", sample_tokens, "length of a sample", 1, 1 << 16)
      .texts("--rewrite", "'NAME KEY=VALUE ..'", rewrites,
             "change the model first, such as 'recompute' or 'freeze pattern=embed_tokens'")
      .texts("--skip-rewrite", "NAME", skip,
             "leave out a rewrite of the model's, or one that the plan would choose")
      .size("--memory", "SIZE", memory, "most that training may take, such as 6G; without it what there is")
      .count("--seq", "N", batches.seq, "tokens a sequence at most", 1, 1 << 20)
      .count("--batch", "N", batches.batch, "sequences a batch", 1, 1 << 16)
      .count("--accumulate", "N", trainer.accumulate, "batches a step", 1, 1 << 16)
      .count("--steps", "N", run.steps, "steps of the run", 1)
      .choice(
          "--dtype", dtype, {"f32", "bf16", "f16"},
          "of the products; bf16, the fastest where the processor has it, and f16, whose loss is scaled as "
          "on devices without bf16 and which is no faster than f32, are the rewrite `mixed`")
      .choice("--optimizer", optimizer, train::optimizer_names(), "how parameters follow gradients")
      .real("--learning-rate", "X", trainer.schedule.peak, "at its highest", 0, 1e3)
      .choice("--schedule", schedule, {"constant", "cosine", "linear", "wsd"}, "the rate over the run")
      .count("--warmup", "N", trainer.schedule.warmup, "steps over which the rate climbs")
      .real("--final-rate", "X", trainer.schedule.final_share, "share of the rate at the last step", 0, 1)
      .real("--weight-decay", "X", optimizer_options.weight_decay, "of tensors of two or more dimensions", 0,
            1e3)
      .real("--beta1", "X", optimizer_options.beta1, "share of the first moment that is kept", 0, 1)
      .real("--beta2", "X", optimizer_options.beta2, "share of the second moment that is kept", 0, 1)
      .real("--eps", "X", optimizer_options.epsilon, "keeps the optimiser from dividing by zero", 0, 1)
      .real("--clip", "X", trainer.clip, "most that the norm of all gradients may be; 0: no limit", 0, 1e9)
      .choice("--order", order, {"shuffle", "sequential"}, "of the data")
      .choice("--pack", pack, {"documents", "none"}, "fill sequences with documents, or one row each")
      .count("--seed", "N", seed, "first values and order depend on this number alone")
      .text("--out", "DIR", out, "where the trained model goes")
      .text("--metrics", "F.jsonl", run.metrics, "a row a step")
      .real("--checkpoint-every", "S", run.checkpoint_seconds,
            "seconds between checkpoints; 0: only the last", 0, 1e9)
      .count("--keep", "N", run.keep_checkpoints, "checkpoints that stay", 1, 1 << 20)
      .flag("--keep-best", run.keep_best, "keep that of the lowest held-out loss too, and save its weights")
      .real("--ema", "X", trainer.ema,
            "what an average of the weights keeps at each step, such as 0.999; it is what is evaluated and "
            "saved; 0: none",
            0, 0.9999999)
      .choice("--on-spike", on_spike, {"skip", "rewind", "stop"},
              "what to do when a loss is not finite or a spike")
      .real("--spike-factor", "X", trainer.spike_factor,
            "a loss so many deviations above the recent ones is a spike, such as 8; 0: none is", 0, 1e9)
      .flag("--resume", run.resume, "go on from the newest whole checkpoint in --out, with the same options")
      .texts("--change", "OPTION", change,
             "with --resume: an option that may differ from the run so far, such as learning-rate");
  record.declare(options);
}

void TrainRequest::finish(bool writes) {
  take_dtype();
  check();
  if (writes) check_out();
}

void TrainRequest::take_dtype() {
  if (dtype == "f32") return;
  const auto mixed = std::find_if(rewrites.begin(), rewrites.end(),
                                  [](const std::string& text) { return text.starts_with("mixed"); });
  if (mixed == rewrites.end()) {
    rewrites.insert(rewrites.begin(), "mixed to=" + dtype);
    return;
  }
  const std::string asked = mixed->find("to=f16") == std::string::npos ? "bf16" : "f16";
  if (asked != dtype)
    fail(ErrorCode::kUsage, "--dtype {} and --rewrite '{}', which is {}, contradict each other", dtype,
         *mixed, asked);
}

void TrainRequest::check() {
  if (run.steps == 0) fail(ErrorCode::kUsage, "train needs --steps N");
  if (data.empty()) fail(ErrorCode::kUsage, "train needs --data F");
  if (init.empty() == shape.empty())
    fail(ErrorCode::kUsage, "train needs one of --init MODEL and --model SHAPE");
  if (validation > 0 && !eval_data.empty())
    fail(ErrorCode::kUsage, "train takes one of --validation X and --eval-data F");
  if (run.sample_every > 0 && sample_prompt.empty())
    fail(ErrorCode::kUsage, "--sample-every needs --sample-prompt TEXT");
  if (run.keep_best && !evaluates())
    fail(ErrorCode::kUsage, "--keep-best needs held-out data; give --validation 0.05 or --eval-data F");
  trainer.schedule.shape = train::schedule_named(schedule);
  trainer.schedule.steps = run.steps;
  batches.order = order == "shuffle" ? data::Order::kShuffle : data::Order::kSequential;
  batches.pack = pack == "documents" ? data::Pack::kDocuments : data::Pack::kNone;
  batches.seed = static_cast<uint64_t>(seed);
  run.folder = out;
  run.on_spike = on_spike == "skip"     ? train::SpikePolicy::kSkip
                 : on_spike == "rewind" ? train::SpikePolicy::kRewind
                                        : train::SpikePolicy::kStop;
}

void TrainRequest::check_out() const {
  if (out.empty()) fail(ErrorCode::kUsage, "train needs --out DIR");
  if (!run.resume && file_exists(out + "/config.json"))
    bad_input("{}: there is a model already; name another folder", out);
  if (!run.resume && is_directory(out + "/checkpoints"))
    bad_input("{}: there is a run already; --resume goes on with it, or name another folder", out);
}

}  // namespace martlet::cli
