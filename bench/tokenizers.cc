// How fast a tokenizer is: loading it, and encoding and decoding the texts of a file, in one thread.
//   bench_tokenizers MODEL TEXTS.jsonl [SECONDS]     (a JSON string a line; half a second)
// Prints one JSON object: load_ms, encode_mb_s, decode_mb_s (megabytes of UTF-8), tokens.
// bench/compare_tokenizers.py times the Python library on the same texts in turns with this.

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fmt/format.h>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "infer/language_model.h"

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::vector<std::string> read_texts(const std::string& path) {
  const std::string file = martlet::read_file(path);
  std::vector<std::string> texts;
  for (size_t begin = 0; begin < file.size();) {
    const size_t end = std::min(file.find('\n', begin), file.size());
    texts.push_back(martlet::Json::parse(file.substr(begin, end - begin), path).string());
    begin = end + 1;
  }
  return texts;
}

/// The least time of one round over all texts, with rounds repeated for `seconds`.
template <typename Round>
double fastest(double seconds, Round&& round) {
  const Clock::time_point start = Clock::now();
  double best = 0;
  do {
    const Clock::time_point begin = Clock::now();
    round();
    const double took = seconds_since(begin);
    best = best == 0 ? took : std::min(best, took);
  } while (seconds_since(start) < seconds);
  return best;
}

int run(const std::string& model, const std::string& file, double seconds) {
  const std::vector<std::string> texts = read_texts(file);
  size_t bytes = 0;
  for (const std::string& text : texts) bytes += text.size();
  const Clock::time_point start = Clock::now();
  const martlet::text::Tokenizer tokenizer = martlet::infer::load_tokenizer(model);
  const double load = seconds_since(start);
  std::vector<std::vector<int32_t>> ids(texts.size());
  const double encode = fastest(seconds, [&] {
    for (size_t i = 0; i < texts.size(); ++i) ids[i] = tokenizer.encode(texts[i]);
  });
  size_t decoded = 0, tokens = 0;
  const double decode = fastest(seconds, [&] {
    decoded = 0;
    for (const auto& each : ids) decoded += tokenizer.decode(each).size();
  });
  for (const auto& each : ids) tokens += each.size();
  fmt::print("{{\"load_ms\": {:.1f}, \"encode_mb_s\": {:.2f}, \"decode_mb_s\": {:.2f}, \"tokens\": {}}}\n",
             load * 1e3, static_cast<double>(bytes) / encode / 1e6,
             static_cast<double>(decoded) / decode / 1e6, tokens);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3 && argc != 4) {
    fmt::print(stderr, "usage: bench_tokenizers MODEL TEXTS.jsonl [SECONDS]\n");
    return 2;
  }
  try {
    return run(argv[1], argv[2], argc == 4 ? std::atof(argv[3]) : 0.5);
  } catch (const martlet::Error& error) {
    fmt::print(stderr, "bench_tokenizers: {}\n", error.what());
    return 3;
  }
}
