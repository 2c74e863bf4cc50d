// A directory or a file of this machine, copied into the store.

#include <filesystem>

#include "base/error.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "cli/sources/source.h"

namespace martlet::cli {
namespace {

namespace fs = std::filesystem;

constexpr size_t kChunk = size_t{4} << 20;

class LocalSource : public ModelSource {
 public:
  std::string_view form() const override { return "DIRECTORY or FILE"; }

  std::optional<std::string> store_name(const std::string& name) const override {
    if (!is_directory(name) && !file_exists(name)) return std::nullopt;
    const fs::path path = fs::weakly_canonical(name);
    return is_directory(name) ? path.filename().string() : path.stem().string();
  }

  FetchedModel fetch(const std::string& name, const std::string& folder, Progress& progress) const override {
    std::vector<fs::path> files;
    if (is_directory(name)) {
      for (const fs::directory_entry& entry : fs::directory_iterator(name))
        if (entry.is_regular_file()) files.push_back(entry.path());
      if (files.empty()) bad_input("{} holds no files", name);
    } else {
      files.emplace_back(name);
    }
    uint64_t total = 0;
    for (const fs::path& file : files) total += fs::file_size(file);
    progress.start("Copying", total, "B");
    uint64_t done = 0;
    for (const fs::path& file : files) copy(file, folder, done, progress);
    progress.finish();
    return {};
  }

 private:
  static void copy(const fs::path& from, const std::string& folder, uint64_t& done, Progress& progress) {
    const MappedFile source(from.string());
    AtomicFile target(folder + "/" + from.filename().string());
    for (std::span<const std::byte> rest = source.bytes(); !rest.empty();) {
      throw_if_interrupted();
      const std::span<const std::byte> piece = rest.first(std::min(rest.size(), kChunk));
      target.write(piece);
      rest = rest.subspan(piece.size());
      progress.advance(done += piece.size());
    }
    target.commit();
  }
};

}  // namespace

const ModelSource& local_source() {
  static const LocalSource source;
  return source;
}

}  // namespace martlet::cli
