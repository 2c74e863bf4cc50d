#include "cli/quality.h"

#include <algorithm>

#include "base/error.h"
#include "base/human.h"
#include "cli/lines.h"

namespace martlet::cli {
namespace {

std::string perplexity_line(std::string_view name, const eval::Perplexity& result) {
  return fmt::format("{:<19} {:.4f} +- {:.4f}\n", name, result.perplexity(), result.perplexity_error());
}

std::string tokens_line(const eval::Perplexity& result, int64_t context) {
  return fmt::format("{:<19} {}, in {} of {}\n", "tokens", format_integer(result.tokens),
                     format_integer(result.windows) + (result.windows == 1 ? " window" : " windows"),
                     format_integer(context));
}

}  // namespace

std::vector<int32_t> ids_of_text(const infer::LanguageModel& model, const std::string& file) {
  const std::string text = read_input(file);
  if (text.find('\0') != std::string::npos) bad_input("{}: this is no text but binary data", file);
  return model.tokenizer().encode(text);
}

std::optional<int32_t> beginning_of(const infer::LanguageModel& model) {
  // Of an empty text only the tokens around it remain.
  const std::vector<int32_t> around = model.tokenizer().encode("");
  if (around.empty() || around.front() != model.tokenizer().bos()) return std::nullopt;
  return around.front();
}

int64_t usual_window(const infer::LanguageModel& model) {
  const int64_t usual = eval::PerplexityOptions{}.context;
  const int64_t longest = model.tree().shape().max_positions;
  return longest > 0 ? std::min(usual, longest / 2 * 2) : usual;
}

Json row_of(const eval::Perplexity& result) {
  Json row;
  row.set("perplexity", result.perplexity()).set("perplexity_error", result.perplexity_error());
  row.set("loss", result.loss).set("loss_error", result.loss_error);
  return row.set("tokens", result.tokens).set("windows", result.windows);
}

Json row_of(const eval::Comparison& result) {
  Json row = row_of(result.first);
  row.set("other", row_of(result.other));
  row.set("kl", result.divergence.kl).set("kl_error", result.divergence.kl_error);
  row.set("greatest_kl", result.divergence.greatest_kl);
  row.set("more_loss", result.divergence.more_loss).set("more_loss_error", result.divergence.more_loss_error);
  return row.set("same_top", result.divergence.same_top)
      .set("same_top_error", result.divergence.same_top_error);
}

std::string lines_of(const eval::Perplexity& result, int64_t context) {
  return perplexity_line("perplexity", result) + tokens_line(result, context);
}

std::string lines_of(const eval::Comparison& result, int64_t context) {
  return perplexity_line("perplexity", result.first) + perplexity_line("perplexity, other", result.other) +
         fmt::format("{:<19} {:+.6f} +- {:.6f} nats\n", "loss, other - first", result.divergence.more_loss,
                     result.divergence.more_loss_error) +
         fmt::format("{:<19} {:.6f} +- {:.6f} nats\n", "mean KL", result.divergence.kl,
                     result.divergence.kl_error) +
         fmt::format("{:<19} {:.2f} % +- {:.2f}\n", "same likeliest", 100 * result.divergence.same_top,
                     100 * result.divergence.same_top_error) +
         tokens_line(result.first, context);
}

}  // namespace martlet::cli
