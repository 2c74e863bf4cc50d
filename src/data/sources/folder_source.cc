// Folders and patterns: every file in them, by name.

#include <algorithm>
#include <filesystem>
#include <glob.h>

#include "base/error.h"
#include "base/files.h"
#include "data/source.h"

namespace martlet::data {
namespace {

namespace fs = std::filesystem;

/// Files one after another. Binary ones among them are passed over and counted.
class FilesReader : public DocumentReader {
 public:
  FilesReader(std::vector<std::string> paths, const ReadOptions& options, ReadReport& report)
      : paths_(std::move(paths)), options_(options), report_(report) {}

  bool next(Document& document) override {
    while (true) {
      if (current_ && current_->next(document)) return true;
      if (opened_ == paths_.size()) return false;
      current_ = open_source(paths_[opened_++], false, options_, report_);
    }
  }

 private:
  std::vector<std::string> paths_;
  ReadOptions options_;
  ReadReport& report_;
  size_t opened_ = 0;
  std::unique_ptr<DocumentReader> current_;
};

/// The regular files below a folder in the order of their paths; hidden files and folders are left out, and
/// links to folders are not followed.
std::vector<std::string> files_below(const std::string& folder) {
  std::vector<std::string> found;
  std::error_code error;
  fs::recursive_directory_iterator entries(folder, error);
  if (error) bad_input("{}: the folder cannot be read: {}", folder, error.message());
  for (; entries != fs::recursive_directory_iterator(); entries.increment(error)) {
    if (error) bad_input("{}: the folder cannot be read: {}", folder, error.message());
    const bool hidden = entries->path().filename().string().starts_with('.');
    if (hidden && entries->is_directory()) entries.disable_recursion_pending();
    std::error_code ignored;
    if (!hidden && entries->is_regular_file(ignored)) found.push_back(entries->path().string());
  }
  std::sort(found.begin(), found.end());
  return found;
}

bool is_folder(const std::string& word) {
  return is_directory(word);
}

std::unique_ptr<DocumentReader> open_folder(const std::string& word, bool, const ReadOptions& options,
                                            ReadReport& report) {
  return std::make_unique<FilesReader>(files_below(word), options, report);
}

bool is_pattern(const std::string& word) {
  // A file of that very name is no pattern.
  return word.find_first_of("*?[") != std::string::npos && !file_exists(word);
}

std::unique_ptr<DocumentReader> open_pattern(const std::string& word, bool, const ReadOptions& options,
                                             ReadReport& report) {
  glob_t matches{};
  const int result = ::glob(word.c_str(), 0, nullptr, &matches);
  std::vector<std::string> paths;
  for (size_t i = 0; i < matches.gl_pathc; ++i)
    if (!is_directory(matches.gl_pathv[i])) paths.emplace_back(matches.gl_pathv[i]);
  ::globfree(&matches);
  if (result != 0 || paths.empty()) bad_input("{}: no file has a name like this", word);
  return std::make_unique<FilesReader>(std::move(paths), options, report);
}

}  // namespace

constexpr SourceKind kFolderSource{"folder", "every file below a folder, in the order of their names",
                                   is_folder, open_folder};
constexpr SourceKind kPatternSource{"pattern", "every file that a pattern with *, ? and [..] names",
                                    is_pattern, open_pattern};

}  // namespace martlet::data
