// JSON lines: a row is a document.

#include "base/error.h"
#include "base/utf8.h"
#include "data/byte_stream.h"
#include "data/source.h"

namespace martlet::data {
namespace {

class JsonlReader : public DocumentReader {
 public:
  JsonlReader(const std::string& path, const ReadOptions& options, ReadReport& report)
      : path_(path), options_(options), report_(report), lines_(open_byte_stream(path), path) {
    ++report_.files;
  }

  bool next(Document& document) override {
    do {
      if (!lines_.next(line_)) return false;
    } while (line_.find_first_not_of(" \t") == std::string::npos);
    const std::string where = fmt::format("{}:{}", path_, lines_.number());
    if (!is_valid_utf8(line_)) repair(where);
    document = document_of(Json::parse(line_, where), where);
    return true;
  }

 private:
  void repair(const std::string& where) {
    if (line_.find('\0') != std::string::npos) bad_input("{}: this is no JSON but binary data", where);
    if (options_.invalid_utf8 == ReadOptions::InvalidUtf8::kRefuse)
      bad_input("{}: the line is not UTF-8; convert the file, or let such parts be replaced", where);
    for (size_t i = 0; i < line_.size();) {
      const CodePoint point = decode_utf8(line_, i);
      i += static_cast<size_t>(point.length);
      if (!point.valid) ++report_.invalid_parts;
    }
    line_ = replace_invalid_utf8(line_);
  }

  std::string path_;
  ReadOptions options_;
  ReadReport& report_;
  LineReader lines_;
  std::string line_;
};

bool accepts(const std::string& word) {
  const std::string name = unpacked_name(word);
  return name.ends_with(".jsonl") || name.ends_with(".ndjson");
}

std::unique_ptr<DocumentReader> open(const std::string& word, bool, const ReadOptions& options,
                                     ReadReport& report) {
  return std::make_unique<JsonlReader>(word, options, report);
}

}  // namespace

constexpr SourceKind kJsonlSource{
    "jsonl", "rows of JSON (.jsonl, .ndjson, packed or not): text, ids, messages, or prompt and response",
    accepts, open};

}  // namespace martlet::data
