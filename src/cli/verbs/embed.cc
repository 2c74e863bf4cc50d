#include "infer/embed.h"

#include <algorithm>

#include "base/error.h"
#include "base/json.h"
#include "cli/options.h"
#include "cli/prompts.h"
#include "cli/run_model_flags.h"
#include "cli/terminal.h"
#include "cli/verbs/verbs.h"
#include "formats/npy.h"

namespace martlet::cli {
namespace {

/// One line a text: its numbers with spaces between, or a table.
void print_rows(const Tensor& rows, const std::vector<std::vector<int32_t>>& texts, bool json) {
  const std::vector<float> values = rows.to_vector<float>();
  const auto width = static_cast<size_t>(rows.dim(1));
  for (size_t i = 0; i < texts.size(); ++i) {
    const std::span<const float> row = std::span(values).subspan(i * width, width);
    if (json) {
      Json list{Json::Array{}};
      for (const float value : row) list.push_back(static_cast<double>(value));
      Json line;
      line.set("embedding", std::move(list)).set("tokens", static_cast<int64_t>(texts[i].size()));
      fmt::print("{}\n", line.dump());
      continue;
    }
    std::string line;
    for (const float value : row) line += fmt::format("{}{}", line.empty() ? "" : " ", value);
    fmt::print("{}\n", line);
  }
}

plan::RunGoal goal_of(const std::vector<std::vector<int32_t>>& texts, const infer::EmbedOptions& options) {
  plan::RunGoal goal{.prompt_tokens = 1, .new_tokens = 0, .scores = 0};
  for (const std::vector<int32_t>& text : texts)
    goal.prompt_tokens = std::max(goal.prompt_tokens, static_cast<int64_t>(text.size()));
  goal.batch = std::clamp<int64_t>(static_cast<int64_t>(texts.size()), 1, options.batch);
  return goal;
}

}  // namespace

int run_embed(std::span<const std::string> arguments) {
  RunModelFlags model_flags;
  std::string prompts_file, pooling = "mean", out;
  std::vector<std::string> prompts;
  infer::EmbedOptions embed_options;
  bool json = false;
  Options options("embed", "martlet embed bert/ -p 'a swallow' -p 'a bird' --normalize -o vectors.npy");
  model_flags.declare_running(options);
  model_flags.declare_memory(options);
  options.texts("-p,--prompt", "TEXT", prompts, "a text; may be given several times")
      .text("--prompts", "F.jsonl", prompts_file, "texts, one a line: prompt, text or ids; -: standard input")
      .choice("--pooling", pooling, {"mean", "cls"},
              "what stands for a text: the mean over its tokens, or the first one")
      .flag("--normalize", embed_options.normalize, "vectors of length 1")
      .count("--batch", "N", embed_options.batch, "texts that run together", 1, 4096)
      .text("-o,--out", "F.npy", out,
            "where the vectors go, float32 [texts, width]; without it they are printed")
      .flag("--json", json, "one JSON line a text: embedding, tokens");
  if (!options.parse(arguments)) return 0;
  if (prompts.empty() == prompts_file.empty())
    fail(ErrorCode::kUsage, "embed needs one of -p TEXT and --prompts FILE.jsonl");
  if (pooling == "cls") embed_options.pooling = infer::Pooling::kFirst;
  infer::LanguageModel model = infer::LanguageModel::load(model_flags.path(), model_flags.run_options());
  const auto texts =
      prompts_file.empty() ? encode_prompts(model, prompts) : read_prompts(model, prompts_file);
  model_flags.fit(model.opened(), goal_of(texts, embed_options));
  const Tensor rows = infer::embed(model.tree(), texts, embed_options, *make_progress());
  if (!out.empty()) formats::write_npy(out, rows);
  if (out.empty() || json) print_rows(rows, texts, json);
  show_rewrite_reports(model.files());
  return 0;
}

}  // namespace martlet::cli
