#pragma once

// What each verb runs. Arguments are the words after the verb; the result is the exit code.

#include <span>
#include <string>

namespace martlet::cli {

int run_apply(std::span<const std::string> arguments);
int run_bench(std::span<const std::string> arguments);
int run_chat(std::span<const std::string> arguments);
int run_convert(std::span<const std::string> arguments);
int run_data(std::span<const std::string> arguments);
int run_do(std::span<const std::string> arguments);
int run_embed(std::span<const std::string> arguments);
int run_eval(std::span<const std::string> arguments);
int run_explain(std::span<const std::string> arguments);
int run_inspect(std::span<const std::string> arguments);
int run_logits(std::span<const std::string> arguments);
int run_models(std::span<const std::string> arguments);
int run_probe(std::span<const std::string> arguments);
int run_profile(std::span<const std::string> arguments);
int run_perplexity(std::span<const std::string> arguments);
int run_pull(std::span<const std::string> arguments);
int run_quantize(std::span<const std::string> arguments);
int run_quickstart(std::span<const std::string> arguments);
int run_rewrites(std::span<const std::string> arguments);
int run_run(std::span<const std::string> arguments);
int run_runs(std::span<const std::string> arguments);
int run_tensor(std::span<const std::string> arguments);
int run_train(std::span<const std::string> arguments);
int run_tokenize(std::span<const std::string> arguments);
int run_tokenizer(std::span<const std::string> arguments);

}  // namespace martlet::cli
