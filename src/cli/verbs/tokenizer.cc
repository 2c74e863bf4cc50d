#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "cli/verbs/verbs.h"
#include "text/tokenizer_trainer.h"

namespace martlet::cli {
namespace {

constexpr std::pair<std::string_view, text::WordPattern> kPatterns[] = {
    {"gpt2", text::WordPattern::kGpt2},
    {"llama3", text::WordPattern::kLlama3},
    {"qwen2", text::WordPattern::kQwen2},
    {"gpt4o", text::WordPattern::kGpt4o},
    {"tekken", text::WordPattern::kTekken}};

struct Request {
  std::vector<std::string> data;
  std::string output;
  std::string kind = "byte-bpe";
  std::string split = "llama3";
  std::vector<std::string> special_tokens;
  int64_t vocabulary = 32'000;
  int64_t least_count = 2;
  int64_t alphabet = 0;
};

text::TokenizerDesign design_of(const Request& request) {
  std::vector<std::string> special = request.special_tokens;
  if (request.kind == "sp-bpe") {
    if (special.empty()) special = {"<unk>", "<s>", "</s>"};
    return text::sentence_piece_design(std::move(special));
  }
  if (special.empty()) special = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
  const auto* pattern = std::find_if(std::begin(kPatterns), std::end(kPatterns),
                                     [&](const auto& known) { return known.first == request.split; });
  return text::byte_level_design(pattern->second, std::move(special));
}

/// Gives the texts of a file to `trainer`: the strings under "text" of a .jsonl file, else lines with their
/// ends.
void add_file(const std::string& path, text::TokenizerTrainer& trainer, Progress& progress) {
  constexpr size_t kAtOnce = size_t{4} << 20;  // bytes
  const MappedFile file(path);
  const std::string_view all(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  const bool json = path.ends_with(".jsonl");
  std::vector<std::string_view> lines;
  std::vector<std::string> texts;
  size_t number = 0;
  for (size_t begin = 0, done = 0; begin < all.size();) {
    const size_t end = std::min(all.find('\n', begin), all.size() - 1) + 1;
    std::string_view line = all.substr(begin, end - begin);
    ++number;
    if (!json) {
      lines.push_back(line);
    } else if (line.find_first_not_of(" \t\r\n") != std::string_view::npos) {
      const std::string where = fmt::format("{}:{}", path, number);
      const Json row = Json::parse(line, where);
      const Json* text = row.is_object() ? row.find("text") : &row;
      if (text == nullptr || !text->is_string())
        bad_input("{}: expected a text, or a table with \"text\"", where);
      texts.push_back(text->string());
    }
    begin = end;
    if (begin - done < kAtOnce && begin < all.size()) continue;
    for (const std::string& text : texts) lines.push_back(text);
    trainer.add(lines);
    progress.advance(begin - done);
    done = begin;
    lines.clear();
    texts.clear();
  }
}

/// What transformers needs beside tokenizer.json.
Json configuration_of(const Request& request, const text::TokenizerDesign& design) {
  Json config;
  config.set("tokenizer_class", "PreTrainedTokenizerFast").set("clean_up_tokenization_spaces", false);
  const auto name = [&](std::string_view key, std::string_view token) {
    const auto& known = design.special_tokens;
    if (std::find(known.begin(), known.end(), token) != known.end()) config.set(key, token);
  };
  if (request.kind == "sp-bpe") {
    config.set("unk_token", design.special_tokens.front());
    name("bos_token", "<s>");
    name("eos_token", "</s>");
  } else {
    name("eos_token", "<|endoftext|>");
  }
  return config;
}

int train(const Request& request) {
  if (request.data.empty())
    fail(ErrorCode::kUsage, "tokenizer train needs text: --data FILE, once or several times");
  if (request.output.empty())
    fail(ErrorCode::kUsage, "tokenizer train needs -o: a folder, or a name ending in .json");
  text::TokenizerDesign design = design_of(request);
  const Json configuration = configuration_of(request, design);
  text::BpeTrainerOptions options;
  options.vocabulary_size = request.vocabulary;
  options.least_count = request.least_count;
  if (request.alphabet > 0) options.alphabet_limit = request.alphabet;
  text::TokenizerTrainer trainer(std::move(design), std::move(options));
  const std::unique_ptr<Progress> progress = make_progress();
  uint64_t bytes = 0;
  for (const std::string& path : request.data) bytes += MappedFile(path).bytes().size();
  progress->start("counting words", bytes, "B");
  for (const std::string& path : request.data) add_file(path, trainer, *progress);
  progress->finish();
  const Json json = trainer.train(*progress);
  if (request.output.ends_with(".json")) {
    write_file(request.output, json.dump(2) + "\n");
    return 0;
  }
  make_directories(request.output);
  write_file(request.output + "/tokenizer.json", json.dump(2) + "\n");
  write_file(request.output + "/tokenizer_config.json", configuration.dump(2) + "\n");
  return 0;
}

}  // namespace

int run_tokenizer(std::span<const std::string> arguments) {
  Request request;
  std::string action;
  std::vector<std::string> patterns;
  for (const auto& [name, pattern] : kPatterns) patterns.emplace_back(name);
  Options options("tokenizer", "martlet tokenizer train --data book.txt --vocab 8k -o my-tokenizer");
  options.positional("ACTION", action, "train")
      .texts("--data", "FILE", request.data, "text: lines, or .jsonl with \"text\"; may come several times")
      .count("--vocab", "N", request.vocabulary, "tokens in all", 1, 1 << 24)
      .text("-o,--output", "PATH", request.output, "a folder, or a file ending in .json")
      .choice("--kind", request.kind, {"byte-bpe", "sp-bpe"},
              "bytes, or characters with bytes to fall back on")
      .choice("--split", request.split, std::move(patterns),
              "how byte-bpe cuts words, by the model that does so")
      .texts("--special", "TOKEN", request.special_tokens, "a special token; may come several times")
      .count("--least", "N", request.least_count, "a pair must occur so often to become a token", 1)
      .count("--alphabet", "N", request.alphabet, "most characters that sp-bpe keeps; 0: all");
  if (!options.parse(arguments)) return 0;
  if (action != "train") fail(ErrorCode::kUsage, "tokenizer knows 'train', not '{}'", action);
  return train(request);
}

}  // namespace martlet::cli
