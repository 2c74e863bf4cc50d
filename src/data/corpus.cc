#include <filesystem>

#include "base/error.h"
#include "data/source.h"

namespace martlet::data {

Corpus::Corpus(std::vector<std::string> words, ReadOptions options, ReadReport& report)
    : words_(std::move(words)), options_(options), report_(report) {
  if (words_.empty())
    fail(ErrorCode::kUsage, "no data was named; give a file, a folder, a pattern or tinyworld:...");
}

bool Corpus::next(Document& document) {
  while (true) {
    if (current_ && current_->next(document)) {
      ++report_.documents;
      return true;
    }
    if (opened_ == words_.size()) break;
    current_ = open_source(words_[opened_++], true, options_, report_);
  }
  if (report_.documents > 0) return false;
  const std::string passed = report_.skipped.empty()
                                 ? ""
                                 : fmt::format("; {} binary files were passed over", report_.skipped.size());
  bad_input("{}{}: there is no document in it{}", words_.front(), words_.size() > 1 ? " and the others" : "",
            passed);
}

std::string unpacked_name(const std::string& path) {
  std::filesystem::path name(path);
  if (name.extension() == ".gz" || name.extension() == ".zst") name.replace_extension();
  return name.string();
}

}  // namespace martlet::data
