#include "base/error.h"
#include "base/files.h"
#include "base/human.h"
#include "base/json.h"
#include "cli/chat_format.h"
#include "cli/ids.h"
#include "cli/lines.h"
#include "cli/options.h"
#include "cli/run_model_flags.h"
#include "cli/score_table.h"
#include "cli/terminal.h"
#include "cli/verbs/verbs.h"
#include "data/tinyworld/tinyworld.h"
#include "eval/loss.h"
#include "eval/tinyworld.h"
#include "infer/language_model.h"

namespace martlet::cli {
namespace {

/// One text of a .jsonl file.
std::vector<int32_t> text_of(const infer::LanguageModel& model, const Json& line, const std::string& where) {
  if (const Json* ids = line.find("ids")) return ids_of(*ids, where);
  if (const Json* text = line.find("text"); text != nullptr && text->is_string())
    return model.tokenizer().encode(text->string());
  bad_input("{}: expected a table with text or ids", where);
}

/// A .jsonl file has a text a line; any other file is one text.
std::vector<std::vector<int32_t>> texts_of(const infer::LanguageModel& model, const std::string& file) {
  const std::string content = read_input(file);
  if (!file.ends_with(".jsonl")) return {model.tokenizer().encode(content)};
  std::vector<std::vector<int32_t>> texts;
  for_each_json_line(content, file, [&](const Json& line, const std::string& where) {
    texts.push_back(text_of(model, line, where));
  });
  return texts;
}

void evaluate_loss(const infer::LanguageModel& model, const std::string& file, int64_t window, bool json) {
  const eval::LossOptions options{.window = window};
  // Wrong usage shows before a long file is read.
  const int64_t width = eval::window_of(model.tree().shape(), options);
  const auto texts = texts_of(model, file);
  const eval::TextLoss result = [&] {
    try {
      return eval::text_loss(model.tree(), texts, options, *make_progress());
    } catch (Error& error) {
      if (error.code() == ErrorCode::kBadInput) throw error.within(file);
      throw;
    }
  }();
  if (json) {
    Json row;
    row.set("loss", result.loss).set("perplexity", result.perplexity()).set("tokens", result.tokens);
    fmt::print("{}\n", row.dump());
    return;
  }
  fmt::print("loss        {:.5f} nats a token\nperplexity  {:.4f}\ntokens      {}, in windows of {}\n",
             result.loss, result.perplexity(), format_integer(result.tokens), format_integer(width));
}

void print_answers(std::span<const data::tinyworld::Question> questions,
                   std::span<const eval::Answered> answers) {
  for (size_t i = 0; i < questions.size(); ++i) {
    Json row;
    row.set("skill", questions[i].skill).set("language", data::tinyworld::code_of(questions[i].language));
    row.set("question", questions[i].text).set("expected", questions[i].reply());
    row.set("reply", answers[i].reply).set("right", answers[i].right);
    fmt::print("{}\n", row.dump());
  }
}

int run_loss(std::span<const std::string> arguments) {
  RunModelFlags model_flags;
  std::string file;
  int64_t window = 0;
  bool json = false;
  Options options("eval loss", "martlet eval loss smollm2 book.txt");
  model_flags.declare_running(options);
  model_flags.declare_memory(options);
  options
      .positional(
          "FILE", file,
          "a text, or with the end .jsonl one a line as {\"text\": ..} or {\"ids\": ..}; -: standard input")
      .count("--seq", "N", window, "tokens a window; 0: the model's context, at most 4096", 0,
             int64_t{1} << 31)
      .flag("--json", json, "one object for programs: loss, perplexity, tokens");
  if (!options.parse(arguments)) return 0;
  infer::LanguageModel model = infer::LanguageModel::load(model_flags.path(), model_flags.run_options());
  const int64_t width = eval::window_of(model.tree().shape(), {.window = window});
  model_flags.fit(model.opened(), {.prompt_tokens = width, .new_tokens = 0, .scores = width});
  evaluate_loss(model, file, window, json);
  show_rewrite_reports(model.files());
  return 0;
}

int run_tinyworld(std::span<const std::string> arguments) {
  RunModelFlags model_flags;
  data::TinyworldOptions world_options;
  int64_t questions = 200, seed = 1, world_seed = 0;
  std::string split = "test";
  bool json = false;
  std::vector<std::string> languages;
  Options options("eval tinyworld", "martlet eval tinyworld my-model --questions 200 --seed 1");
  model_flags.declare_running(options);
  model_flags.declare_memory(options);
  options.count("--questions", "N", questions, "how many to ask", 1, 1'000'000)
      .count("--seed", "N", seed, "of the questions, and of the world unless it has its own", 1)
      .count("--world-seed", "N", world_seed, "of the world that the model has learnt")
      .count("--people", "N", world_options.people, "people in that world", 1,
             data::tinyworld::World::kMaximumPeople)
      .texts("--languages", "LANGUAGE", languages, "en, zh; both unless named")
      .choice("--split", split, {"train", "validation", "test"}, "test: what training never asks")
      .flag("--json", json, "one line a question, then one with the score");
  if (!options.parse(arguments)) return 0;
  world_options.seed = static_cast<uint64_t>(seed);
  world_options.world_seed = static_cast<uint64_t>(world_seed);
  world_options.split = data::tinyworld::split_of_name(split);
  if (!languages.empty()) world_options.languages = languages;
  infer::LanguageModel model = infer::LanguageModel::load(model_flags.path(), model_flags.run_options());
  model_flags.fit(model.opened(), {.prompt_tokens = 512, .new_tokens = 256, .batch = 16});
  const auto asked = data::Tinyworld(world_options).questions(questions);
  const auto answers = eval::ask(model, chat_format_of(model), asked, {}, *make_progress());
  if (json) print_answers(asked, answers);
  const eval::TinyworldScore score = eval::score_of(asked, answers);
  if (json)
    fmt::print("{}\n", score_row(score).dump());
  else
    fmt::print("{}", score_table(score));
  show_rewrite_reports(model.files());
  return 0;
}

}  // namespace

int run_eval(std::span<const std::string> arguments) {
  std::string measure;
  if (!arguments.empty()) measure = arguments.front();
  if (measure == "loss") return run_loss(arguments.subspan(1));
  if (measure == "tinyworld") return run_tinyworld(arguments.subspan(1));
  Options options("eval", "martlet eval loss smollm2 book.txt");
  options.positional("MEASURE", measure,
                     "loss: how well a model predicts a text; tinyworld: how many of its questions a model "
                     "answers; `martlet eval MEASURE --help` tells more of each");
  if (arguments.size() <= 1 && !options.parse(arguments)) return 0;
  fail(ErrorCode::kUsage, "eval knows loss and tinyworld, not '{}'", measure);
}

}  // namespace martlet::cli
