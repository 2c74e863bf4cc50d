#include "base/error.h"
#include "base/files.h"
#include "base/human.h"
#include "base/json.h"
#include "cli/ids.h"
#include "cli/lines.h"
#include "cli/model_flags.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "cli/verbs/verbs.h"
#include "eval/loss.h"
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

}  // namespace

int run_eval(std::span<const std::string> arguments) {
  ModelFlags model_flags;
  std::string measure, file;
  int64_t window = 0;
  bool json = false;
  Options options("eval", "martlet eval loss smollm2 book.txt");
  options.positional("MEASURE", measure,
                     "loss: the mean negative log-likelihood a token, and the perplexity");
  model_flags.declare(options);
  options
      .positional(
          "FILE", file,
          "a text, or with the end .jsonl one a line as {\"text\": ..} or {\"ids\": ..}; -: standard input")
      .count("--seq", "N", window, "tokens a window; 0: the model's context, at most 4096", 0,
             int64_t{1} << 31)
      .flag("--json", json, "one object for programs: loss, perplexity, tokens");
  if (!options.parse(arguments)) return 0;
  if (measure != "loss") fail(ErrorCode::kUsage, "eval knows the measure loss, not '{}'", measure);
  const infer::LanguageModel model =
      infer::LanguageModel::load(model_flags.path(), model_flags.open_options());
  evaluate_loss(model, file, window, json);
  show_rewrite_reports(model.files());
  return 0;
}

}  // namespace martlet::cli
