// Plain text: a file is one document, a long one is cut into several.

#include <algorithm>

#include "base/error.h"
#include "base/utf8.h"
#include "data/byte_stream.h"
#include "data/source.h"

namespace martlet::data {
namespace {

// Text in any encoding has few control characters and, read as UTF-8, at least some valid characters: Latin-1
// text in accented languages reaches about one invalid byte in ten.
constexpr double kMostInvalid = 0.2;
constexpr double kMostControl = 0.02;

struct Quality {
  size_t invalid_parts = 0;
  size_t control = 0;
};

Quality quality_of(std::string_view text) {
  Quality quality;
  for (size_t i = 0; i < text.size();) {
    const CodePoint point = decode_utf8(text, i);
    i += static_cast<size_t>(point.length);
    if (!point.valid) ++quality.invalid_parts;
    const bool space =
        point.value == '\n' || point.value == '\t' || point.value == '\r' || point.value == '\f';
    // An escape begins the colours of a terminal, a backspace the bold of old manuals: both are text.
    if (point.value < ' ' && !space && point.value != 0x1B && point.value != 0x08) ++quality.control;
  }
  return quality;
}

bool looks_binary(std::string_view text, const Quality& quality) {
  const auto size = static_cast<double>(text.size());
  return text.find('\0') != std::string_view::npos ||
         static_cast<double>(quality.invalid_parts) > kMostInvalid * size ||
         static_cast<double>(quality.control) > kMostControl * size;
}

class TextReader : public DocumentReader {
 public:
  TextReader(const std::string& path, bool chosen, const ReadOptions& options, ReadReport& report)
      : path_(path), chosen_(chosen), options_(options), report_(report), stream_(open_byte_stream(path)) {
    ++report_.files;
  }

  bool next(Document& document) override {
    std::string piece = next_piece();
    while (!piece.empty() && piece.find_first_not_of(" \t\r\n\f") == std::string::npos) piece = next_piece();
    if (piece.empty()) return false;
    const Quality quality = quality_of(piece);
    if (looks_binary(piece, quality)) {
      if (chosen_) bad_input("{}: this is no text but binary data", path_);
      report_.skipped.push_back(path_);
      stream_.reset();
      buffer_.clear();
      return false;
    }
    if (quality.invalid_parts > 0) {
      if (options_.invalid_utf8 == ReadOptions::InvalidUtf8::kRefuse)
        bad_input("{}: {} parts are not UTF-8; convert the file, or let them be replaced", path_,
                  quality.invalid_parts);
      report_.invalid_parts += static_cast<int64_t>(quality.invalid_parts);
      piece = replace_invalid_utf8(piece);
    }
    document = Document{};
    document.text = std::move(piece);
    document.where = pieces_ == 1 ? path_ : fmt::format("{} (part {})", path_, pieces_);
    return true;
  }

 private:
  /// The rest of the file, or as much as a document may hold; empty at the end.
  std::string next_piece() {
    while (stream_ && buffer_.size() <= options_.longest_text) {
      const size_t used = buffer_.size();
      buffer_.resize(options_.longest_text + 1);
      const size_t got = stream_->read(std::span(buffer_).subspan(used));
      buffer_.resize(used + got);
      if (got == 0) stream_.reset();
    }
    ++pieces_;
    if (buffer_.size() <= options_.longest_text) return std::exchange(buffer_, {});
    const std::string_view window = std::string_view(buffer_).substr(0, options_.longest_text);
    const size_t line_end = window.rfind('\n');
    size_t cut = line_end != std::string_view::npos ? line_end + 1 : complete_utf8_prefix(window);
    if (cut == 0) cut = window.size();
    std::string piece = buffer_.substr(0, cut);
    buffer_.erase(0, cut);
    return piece;
  }

  std::string path_;
  bool chosen_;
  ReadOptions options_;
  ReadReport& report_;
  std::unique_ptr<ByteStream> stream_;
  std::string buffer_;
  int64_t pieces_ = 0;
};

bool accepts(const std::string&) {
  return true;
}

std::unique_ptr<DocumentReader> open(const std::string& word, bool chosen, const ReadOptions& options,
                                     ReadReport& report) {
  return std::make_unique<TextReader>(word, chosen, options, report);
}

}  // namespace

constexpr SourceKind kTextSource{"text", "a text file, plain or packed with gzip or zstd: one document",
                                 accepts, open};

}  // namespace martlet::data
