// Runs a tokenizer for the oracle tests: tokenizers_driver MODE PATH, one JSON value a line in and out.
//   encode   text to ids              plain    the same without added special tokens
//   offsets  text to [id, begin, end] in characters
//   decode   ids to text              skip     the same without special tokens
//   stream   ids to text, one at a time; fails when a piece is not valid UTF-8
//   speed    PATH FILE: encodes the file, prints megabytes a second (median of five, one thread)

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <string>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "base/utf8.h"
#include "infer/language_model.h"
#include "text/tokenizer.h"

using namespace martlet;
using text::Tokenizer;

namespace {

Json list_of(const std::vector<int32_t>& ids) {
  Json::Array out;
  for (const int32_t id : ids) out.emplace_back(int64_t{id});
  return Json(std::move(out));
}

std::vector<int32_t> ids_of(const Json& list) {
  std::vector<int32_t> ids;
  for (const Json& id : list.array()) ids.push_back(static_cast<int32_t>(id.integer()));
  return ids;
}

Json offsets(const Tokenizer& tokenizer, const std::string& line) {
  const text::Encoding encoding = tokenizer.encode_with_offsets(line);
  const std::vector<text::Offset> characters = text::character_offsets(line, encoding.offsets);
  Json::Array out;
  for (size_t i = 0; i < encoding.ids.size(); ++i) {
    out.emplace_back(
        Json::Array{Json(int64_t{encoding.ids[i]}), Json(characters[i].begin), Json(characters[i].end)});
  }
  return Json(std::move(out));
}

std::string streamed(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  text::StreamingDecoder decoder(tokenizer);
  std::string all;
  for (const int32_t id : ids) {
    const std::string piece = decoder.add(id);
    if (!is_valid_utf8(piece)) failed("a piece of streamed text is not valid UTF-8");
    all += piece;
  }
  return all + decoder.finish();
}

Json answer(const Tokenizer& tokenizer, const std::string& mode, const Json& line) {
  if (mode == "encode") return list_of(tokenizer.encode(line.string()));
  if (mode == "plain") return list_of(tokenizer.encode(line.string(), {.add_special_tokens = false}));
  if (mode == "offsets") return offsets(tokenizer, line.string());
  if (mode == "decode") return Json(tokenizer.decode(ids_of(line)));
  if (mode == "skip") return Json(tokenizer.decode(ids_of(line), {.skip_special_tokens = true}));
  if (mode == "stream") return Json(streamed(tokenizer, ids_of(line)));
  bad_input("there is no mode \"{}\"", mode);
}

void measure(const Tokenizer& tokenizer, const std::string& path) {
  const std::string content = read_file(path);
  std::vector<double> speeds;
  for (int i = 0; i < 5; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const size_t count = tokenizer.encode(content).size();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (count > 0) speeds.push_back(static_cast<double>(content.size()) / 1e6 / seconds);
  }
  std::sort(speeds.begin(), speeds.end());
  std::printf("%.3f\n", speeds.empty() ? 0.0 : speeds[speeds.size() / 2]);
}

}  // namespace

int main(int count, char** arguments) {
  try {
    if (count < 3) bad_input("usage: tokenizers_driver MODE PATH [FILE]");
    const std::string mode = arguments[1];
    const Tokenizer tokenizer = infer::load_tokenizer(arguments[2]);
    if (mode == "speed" && count > 3) {
      measure(tokenizer, arguments[3]);
      return 0;
    }
    std::ios::sync_with_stdio(false);
    for (std::string line; std::getline(std::cin, line);) {
      std::cout << answer(tokenizer, mode, Json::parse(line, "standard input")).dump() << "\n";
    }
    return 0;
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return static_cast<int>(error.code());
  }
}
