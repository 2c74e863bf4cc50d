#include <chrono>
#include <cstdio>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "cli/chat_format.h"
#include "cli/ids.h"
#include "cli/lines.h"
#include "cli/model_flags.h"
#include "cli/options.h"
#include "cli/sampling_options.h"
#include "cli/verbs/verbs.h"
#include "infer/language_model.h"

namespace martlet::cli {
namespace {

struct Request {
  ModelFlags model;
  std::string prompt;
  std::string prompts_file;
  int64_t batch = 16;
  bool ignore_eos = false;
  bool json = false;
  SamplingFlags sampling;
  std::string speculate = "off";
};

std::vector<int32_t> prompt_of(const infer::LanguageModel& model, const Json& line,
                               const std::string& where) {
  if (const Json* ids = line.find("ids")) return ids_of(*ids, where);
  if (const Json* prompt = line.find("prompt")) return model.tokenizer().encode(prompt->string());
  // The template writes the special tokens itself.
  if (line.find("messages") != nullptr)
    return model.tokenizer().encode(render_request(load_chat_format(model.files().files.path), line, where),
                                    {.add_special_tokens = false});
  bad_input("{}: a prompt needs one of prompt, messages, ids", where);
}

std::vector<std::vector<int32_t>> prompts_of(const infer::LanguageModel& model, const Request& request) {
  std::vector<std::vector<int32_t>> prompts;
  if (request.prompts_file.empty()) {
    prompts.push_back(model.tokenizer().encode(request.prompt));
    return prompts;
  }
  const std::vector<std::string> lines = lines_of(read_file(request.prompts_file));
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::string where = fmt::format("{}:{}", request.prompts_file, i + 1);
    prompts.push_back(prompt_of(model, Json::parse(lines[i], where), where));
  }
  return prompts;
}

infer::GenerationOptions generation_of(const infer::LanguageModel& model, const Request& request) {
  infer::GenerationOptions generation = request.sampling.generation();
  generation.batch = request.batch;
  if (!request.ignore_eos) generation.stop_ids = model.stop_ids();
  return generation;
}

void print_json(const infer::LanguageModel& model, const std::vector<std::vector<int32_t>>& prompts,
                const std::vector<infer::Generated>& results, double seconds) {
  int64_t total = 0;
  for (const infer::Generated& result : results) total += static_cast<int64_t>(result.ids.size());
  for (size_t i = 0; i < results.size(); ++i) {
    Json row;
    row.set("ids", ids_to_json(results[i].ids));
    row.set("text", model.has_tokenizer()
                        ? Json(model.tokenizer().decode(results[i].ids, {.skip_special_tokens = true}))
                        : Json());
    row.set("finish", infer::name_of(results[i].finish));
    row.set("prompt_tokens", static_cast<int64_t>(prompts[i].size()));
    row.set("tokens_per_s", static_cast<double>(total) / seconds);
    fmt::print("{}\n", row.dump());
  }
}

/// Prints one reply as it comes.
void stream_text(const infer::LanguageModel& model, const std::vector<std::vector<int32_t>>& prompts,
                 const infer::GenerationOptions& generation) {
  for (const std::vector<int32_t>& prompt : prompts) {
    text::StreamingDecoder decoder(model.tokenizer(), {.skip_special_tokens = true});
    const auto show = [](const std::string& piece) {
      std::fwrite(piece.data(), 1, piece.size(), stdout);
      std::fflush(stdout);
    };
    infer::generate(model.tree(), std::span(&prompt, 1), generation, [&](size_t, int32_t id) {
      show(decoder.add(id));
      return true;
    });
    show(decoder.finish());
    show("\n");
  }
}

}  // namespace

int run_run(std::span<const std::string> arguments) {
  Request request;
  Options options("run", "martlet run smollm2 -p 'The capital of France is' -n 20");
  request.model.declare(options);
  options.text("-p,--prompt", "TEXT", request.prompt, "what to continue")
      .text("--prompts", "F.jsonl", request.prompts_file, "prompts, one a line: prompt, messages or ids")
      .count("--batch", "N", request.batch, "prompts that run together", 1, 4096)
      .choice("--speculate", request.speculate, {"off"}, "guess tokens ahead")
      .flag("--ignore-eos", request.ignore_eos, "go on past the model's end token")
      .flag("--json", request.json, "one JSON line a prompt");
  request.sampling.declare(options);
  if (!options.parse(arguments)) return 0;
  if (request.prompt.empty() == request.prompts_file.empty())
    fail(ErrorCode::kUsage, "run needs one of -p TEXT and --prompts FILE.jsonl");
  const infer::LanguageModel model =
      infer::LanguageModel::load(request.model.path(), request.model.open_options());
  const auto prompts = prompts_of(model, request);
  const infer::GenerationOptions generation = generation_of(model, request);
  if (!request.json) {
    stream_text(model, prompts, generation);
    show_rewrite_reports(model.files());
    return 0;
  }
  const auto start = std::chrono::steady_clock::now();
  const std::vector<infer::Generated> results = infer::generate(model.tree(), prompts, generation);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  print_json(model, prompts, results, took.count());
  show_rewrite_reports(model.files());
  return 0;
}

}  // namespace martlet::cli
