#pragma once

// Where documents come from. A source is named by one word of the command line; each is a file in sources/
// and a line in catalogue.cc.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/document.h"

namespace martlet::data {

struct ReadOptions {
  enum class InvalidUtf8 { kReplace, kRefuse };
  /// Text that is not UTF-8: every invalid part becomes U+FFFD and is counted, or the file is refused.
  InvalidUtf8 invalid_utf8 = InvalidUtf8::kReplace;
  /// A text file is one document up to this size; a longer one is cut after the last line's end before it,
  /// or, where there is none, after the last whole character.
  size_t longest_text = size_t{1} << 20;
};

/// What was met on the way.
struct ReadReport {
  int64_t files = 0;
  int64_t documents = 0;
  int64_t invalid_parts = 0;         ///< parts replaced by U+FFFD
  std::vector<std::string> skipped;  ///< binary files inside folders and patterns
};

/// Documents one after another, in an order that only the source decides.
class DocumentReader {
 public:
  virtual ~DocumentReader() = default;
  /// False at the end. Throws BadInput naming file and line.
  virtual bool next(Document& document) = 0;
};

struct SourceKind {
  std::string_view name;
  std::string_view what;  ///< for help and documentation
  /// True when the source reads what the word names. The first of the list that does so opens it.
  bool (*accepts)(const std::string& word);
  /// `chosen` is false for a file that was met in a folder or by a pattern, not named itself.
  std::unique_ptr<DocumentReader> (*open)(const std::string& word, bool chosen, const ReadOptions& options,
                                          ReadReport& report);
};

std::span<const SourceKind* const> source_kinds();

extern const SourceKind kTinyworldSource, kFolderSource, kPatternSource, kJsonlSource, kTextSource;

/// Opens one word: a file, a folder, a pattern with * and ?, or `tinyworld:documents=1000,...`. `report` must
/// outlive the reader.
std::unique_ptr<DocumentReader> open_source(const std::string& word, bool chosen, const ReadOptions& options,
                                            ReadReport& report);

/// The words one after another; documents are counted in `report`. No document at all is BadInput at the end.
class Corpus : public DocumentReader {
 public:
  Corpus(std::vector<std::string> words, ReadOptions options, ReadReport& report);
  bool next(Document& document) override;

 private:
  std::vector<std::string> words_;
  ReadOptions options_;
  ReadReport& report_;
  size_t opened_ = 0;
  std::unique_ptr<DocumentReader> current_;
};

/// The name without .gz and .zst: "a.jsonl.gz" is read as "a.jsonl".
std::string unpacked_name(const std::string& path);

}  // namespace martlet::data
