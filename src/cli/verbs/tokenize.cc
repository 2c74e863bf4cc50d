#include <algorithm>
#include <charconv>
#include <cstdio>
#include <optional>

#include "base/error.h"
#include "base/function_ref.h"
#include "base/json.h"
#include "base/thread_pool.h"
#include "base/utf8.h"
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

/// The text of a JSON string that stands for itself, as most do; nothing where the parser has to look.
std::optional<std::string_view> plain_string(std::string_view line) {
  if (line.size() < 2 || line.front() != '"' || line.back() != '"') return std::nullopt;
  const std::string_view text = line.substr(1, line.size() - 2);
  const auto special = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\'; };
  if (std::any_of(text.begin(), text.end(), special) || !is_valid_utf8(text)) return std::nullopt;
  return text;
}

void append_ids(std::span<const int32_t> ids, std::string_view separator, std::string& out) {
  char digits[16];
  for (size_t i = 0; i < ids.size(); ++i) {
    if (i > 0) out += separator;
    out.append(digits, std::to_chars(digits, digits + sizeof digits, ids[i]).ptr);
  }
}

void encode_line(const text::Tokenizer& tokenizer, std::string_view line, size_t index, std::string& out) {
  Json parsed;
  std::optional<std::string_view> text = plain_string(line);
  if (!text) {
    parsed = Json::parse(line, line_name(index));
    if (!parsed.is_string())
      bad_input("{}: expected a JSON string, got {}", line_name(index), parsed.kind_name());
    text = parsed.string();
  }
  out += '[';
  append_ids(tokenizer.encode(*text), ", ", out);
  out += "]\n";
}

void decode_line(const text::Tokenizer& tokenizer, std::string_view line, size_t index, std::string& out) {
  const std::string where = line_name(index);
  out += Json(tokenizer.decode(ids_of(Json::parse(line, where), where))).dump();
  out += '\n';
}

/// Answers every line of standard input by one, in order, on all threads: `answer(line, index, out)` appends
/// a line.
void answer_lines(FunctionRef<void(std::string_view line, size_t index, std::string& out)> answer) {
  constexpr size_t kPiece = 16;  // lines that a thread takes at once
  LineBlocks blocks;
  std::vector<std::string_view> lines;
  std::vector<std::string> answers;
  while (blocks.next(lines)) {
    const size_t pieces = (lines.size() + kPiece - 1) / kPiece;
    answers.resize(std::max(answers.size(), pieces));
    parallel_for(static_cast<int64_t>(pieces), 1, [&](int64_t begin, int64_t end) {
      for (auto piece = static_cast<size_t>(begin); piece < static_cast<size_t>(end); ++piece) {
        answers[piece].clear();
        for (size_t i = piece * kPiece; i < std::min(lines.size(), (piece + 1) * kPiece); ++i)
          answer(lines[i], blocks.lines_before() + i, answers[piece]);
      }
    });
    for (size_t piece = 0; piece < pieces; ++piece)
      std::fwrite(answers[piece].data(), 1, answers[piece].size(), stdout);
    if (std::fflush(stdout) != 0) return;  // the program's end reports it
  }
}

void encode_plain(const text::Tokenizer& tokenizer, const std::string& text) {
  std::string words;
  append_ids(tokenizer.encode(text), " ", words);
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
  if (json) {
    answer_lines([&](std::string_view line, size_t index, std::string& out) {
      decode ? decode_line(tokenizer, line, index, out) : encode_line(tokenizer, line, index, out);
    });
  } else if (decode) {
    decode_plain(tokenizer, read_standard_input());
  } else {
    encode_plain(tokenizer, read_standard_input());
  }
  return 0;
}

}  // namespace martlet::cli
