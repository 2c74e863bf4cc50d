#include <algorithm>
#include <chrono>
#include <cstdio>

#include "base/error.h"
#include "base/json.h"
#include "cli/ids.h"
#include "cli/options.h"
#include "cli/prompt_cache_flags.h"
#include "cli/prompts.h"
#include "cli/run_model_flags.h"
#include "cli/sampling_options.h"
#include "cli/speculation_flags.h"
#include "cli/terminal.h"
#include "cli/verbs/verbs.h"
#include "infer/generate_text.h"

namespace martlet::cli {
namespace {

using Prompts = std::vector<std::vector<int32_t>>;

struct Request {
  RunModelFlags model;
  std::vector<std::string> prompts;
  std::string prompts_file;
  int64_t batch = 16;
  std::string context = "stop";
  bool json = false;
  SamplingFlags sampling;
  SpeculationFlags speculation;
  PromptCacheFlags prompt_cache;
};

/// Before the first group runs, so that a prompt that cannot run costs no work.
void check_prompts(const infer::LanguageModel& model, const Prompts& prompts, infer::ContextPolicy policy) {
  for (size_t i = 0; i < prompts.size(); ++i) {
    try {
      if (policy == infer::ContextPolicy::kSlide)
        infer::check_vocabulary(model.tree().shape(), prompts[i]);
      else
        infer::check_ids(model.tree().shape(), prompts[i]);
    } catch (Error& error) {
      if (policy == infer::ContextPolicy::kStop)
        throw Error(error.code(), fmt::format("{}, or pass --context slide", error.what()))
            .within(fmt::format("prompt {}", i + 1));
      throw error.within(fmt::format("prompt {}", i + 1));
    }
  }
}

/// What the longest prompt takes, and all that run together.
plan::RunGoal goal_of(const Request& request, const Prompts& prompts,
                      const infer::GenerationOptions& generation) {
  plan::RunGoal goal{1, generation.max_new_tokens,
                     std::min(request.batch, std::max<int64_t>(1, static_cast<int64_t>(prompts.size())))};
  for (const std::vector<int32_t>& prompt : prompts)
    goal.prompt_tokens = std::max(goal.prompt_tokens, static_cast<int64_t>(prompt.size()));
  return goal;
}

void print_row(const infer::LanguageModel& model, const infer::Reply& reply, size_t prompt_tokens,
               double tokens_per_second) {
  Json row;
  row.set("ids", ids_to_json(reply.ids));
  row.set("text", model.has_tokenizer() ? Json(reply.text) : Json());
  row.set("finish", infer::name_of(reply.finish));
  row.set("prompt_tokens", static_cast<int64_t>(prompt_tokens));
  row.set("tokens_per_s", tokens_per_second);
  if (reply.drafted > 0) {
    row.set("drafted", reply.drafted);
    row.set("accepted", reply.accepted);
  }
  fmt::print("{}\n", row.dump());
}

/// Calls `take` with each group of prompts that run together. Chance depends on a prompt's number among all.
template <typename Take>
void for_each_group(const Prompts& prompts, infer::GenerationOptions generation, Take&& take) {
  const auto width = static_cast<size_t>(generation.batch);
  for (size_t first = 0; first < prompts.size(); first += width) {
    generation.first_sequence = first;
    take(std::span(prompts).subspan(first, std::min(width, prompts.size() - first)), generation, first);
  }
}

/// A row a prompt, in order, as soon as its group is done.
void print_rows(const infer::LanguageModel& model, const Prompts& prompts,
                const infer::GenerationOptions& generation, const std::vector<std::string>& stops) {
  // A bar between rows would only be in the way.
  const auto progress = stdout_is_terminal() ? nullptr : make_progress();
  if (progress) progress->start("Running", prompts.size(), "prompts");
  for_each_group(prompts, generation, [&](auto group, const infer::GenerationOptions& options, size_t first) {
    const auto start = std::chrono::steady_clock::now();
    const std::vector<infer::Reply> replies = infer::generate_text(model, group, options, stops);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    size_t tokens = 0;
    for (const infer::Reply& reply : replies) tokens += reply.ids.size();
    for (size_t i = 0; i < replies.size(); ++i)
      print_row(model, replies[i], group[i].size(), static_cast<double>(tokens) / took.count());
    std::fflush(stdout);
    if (progress) progress->advance(first + group.size());
  });
}

/// Text for people: the first reply of a group as it comes, the others when the group is done, an empty line
/// between.
void stream_text(const infer::LanguageModel& model, const Prompts& prompts,
                 const infer::GenerationOptions& generation, const std::vector<std::string>& stops) {
  const auto show = [](std::string_view piece) {
    std::fwrite(piece.data(), 1, piece.size(), stdout);
    std::fflush(stdout);
  };
  model.tokenizer();  // says at once when there is no text to show
  for_each_group(prompts, generation, [&](auto group, const infer::GenerationOptions& options, size_t first) {
    if (first > 0) show("\n");
    std::vector<infer::Reply> replies;
    try {
      replies =
          infer::generate_text(model, group, options, stops, [&](size_t sequence, std::string_view piece) {
            if (sequence == 0) show(piece);
            return true;
          });
    } catch (const Error&) {
      show("\n");
      throw;
    }
    show("\n");
    for (size_t i = 1; i < replies.size(); ++i) show("\n" + replies[i].text + "\n");
  });
}

}  // namespace

int run_run(std::span<const std::string> arguments) {
  Request request;
  Options options("run", "martlet run smollm2 -p 'The capital of France is' -n 20");
  request.model.declare_generating(options);
  options.texts("-p,--prompt", "TEXT", request.prompts, "what to continue; may be given several times")
      .text("--prompts", "F.jsonl", request.prompts_file,
            "prompts, one a line: prompt, messages or ids; -: standard input")
      .count("--batch", "N", request.batch, "prompts that run together", 1, 4096)
      .choice(
          "--context", request.context, {"stop", "slide"},
          "at the end of the model's context: stop (a longer prompt is an error), or forget the oldest half")
      .flag("--json", request.json, "one JSON line a prompt");
  request.speculation.declare(options);
  request.prompt_cache.declare(options);
  request.sampling.declare(options);
  if (!options.parse(arguments)) return 0;
  if (request.prompts.empty() == request.prompts_file.empty())
    fail(ErrorCode::kUsage, "run needs one of -p TEXT and --prompts FILE.jsonl");
  infer::check(request.sampling.sampling);
  const models::OpenOptions options_of_model = request.model.run_options();
  request.speculation.open(request.model.path(), request.model.weight_cache_place());
  infer::LanguageModel model = infer::LanguageModel::load(request.model.path(), options_of_model);
  const Prompts prompts = request.prompts_file.empty() ? encode_prompts(model, request.prompts)
                                                       : read_prompts(model, request.prompts_file);
  infer::GenerationOptions generation = request.sampling.generation(model);
  plan::RunGoal goal = goal_of(request, prompts, generation);
  goal.beside = request.speculation.memory(goal);
  request.model.fit(model.opened(), goal);
  request.speculation.apply(model.tree(), generation);
  request.prompt_cache.apply(model, request.model.path(), generation);
  generation.batch = request.batch;
  if (request.context == "slide") generation.context = infer::ContextPolicy::kSlide;
  check_prompts(model, prompts, generation.context);
  (request.json ? print_rows : stream_text)(model, prompts, generation, request.sampling.stop_texts);
  show_rewrite_reports(model.files());
  return 0;
}

}  // namespace martlet::cli
