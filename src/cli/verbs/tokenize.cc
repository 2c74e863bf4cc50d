#include "base/error.h"
#include "base/json.h"
#include "cli/ids.h"
#include "cli/lines.h"
#include "cli/options.h"
#include "cli/store.h"
#include "cli/verbs/verbs.h"
#include "infer/language_model.h"

namespace martlet::cli {
namespace {

std::string line_name(size_t index) {
  return fmt::format("line {}", index + 1);
}

void encode_json(const text::Tokenizer& tokenizer, const std::vector<std::string>& lines) {
  std::vector<std::string> texts;
  for (size_t i = 0; i < lines.size(); ++i) {
    const Json line = Json::parse(lines[i], line_name(i));
    if (!line.is_string()) bad_input("{}: expected a JSON string, got {}", line_name(i), line.kind_name());
    texts.push_back(line.string());
  }
  for (const std::vector<int32_t>& ids : tokenizer.encode_batch(texts))
    fmt::print("{}\n", ids_to_json(ids).dump());
}

void decode_json(const text::Tokenizer& tokenizer, const std::vector<std::string>& lines) {
  for (size_t i = 0; i < lines.size(); ++i)
    fmt::print("{}\n",
               Json(tokenizer.decode(ids_of(Json::parse(lines[i], line_name(i)), line_name(i)))).dump());
}

void encode_plain(const text::Tokenizer& tokenizer, const std::string& text) {
  std::string words;
  for (const int32_t id : tokenizer.encode(text)) words += fmt::format("{}{}", words.empty() ? "" : " ", id);
  fmt::print("{}\n", words);
}

void decode_plain(const text::Tokenizer& tokenizer, std::string text) {
  std::vector<int32_t> ids;
  for (char& letter : text)
    if (letter == '\n' || letter == ' ' || letter == '\t') letter = ',';
  std::string list;
  for (const char letter : text)
    if (letter != ',' || (!list.empty() && list.back() != ',')) list += letter;
  while (list.ends_with(',')) list.pop_back();
  if (!list.empty()) ids = parse_ids(list);
  fmt::print("{}\n", tokenizer.decode(ids));
}

}  // namespace

int run_tokenize(std::span<const std::string> arguments) {
  std::string model_name;
  bool json = false, decode = false;
  Options options("tokenize", "echo 'The sky is blue.' | martlet tokenize smollm2");
  options.positional("MODEL", model_name, "a directory, a GGUF file or a name of the store")
      .flag("--json", json, "each line in is a JSON string, each line out a list of ids")
      .flag("--decode", decode, "ids to text, special tokens kept");
  if (!options.parse(arguments)) return 0;
  const text::Tokenizer tokenizer = infer::load_tokenizer(resolve_model(model_name));
  const std::string input = read_standard_input();
  if (json && decode) {
    decode_json(tokenizer, lines_of(input));
  } else if (json) {
    encode_json(tokenizer, lines_of(input));
  } else if (decode) {
    decode_plain(tokenizer, input);
  } else {
    encode_plain(tokenizer, input);
  }
  return 0;
}

}  // namespace martlet::cli
