#include "models/model_state.h"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <vector>

#include "base/checksum.h"
#include "base/file_reader.h"
#include "formats/safetensors.h"
#include "models/rewrites_file.h"

namespace martlet::models {
namespace {

namespace fs = std::filesystem;

// The header of a file with weights, or most of it, and where it has none the whole of a small file.
constexpr size_t kBeginning = size_t{64} << 10;
constexpr size_t kSample = 4096;
constexpr uint64_t kSamples = 16;

/// Time and size alone would not see a file that was copied over another with its time kept.
uint32_t sampled_checksum(const fs::path& path, uint64_t size) {
  const FileReader file(path.string());
  std::vector<std::byte> bytes(kBeginning + kSamples * kSample);
  size_t used = file.read(0, std::span(bytes).first(kBeginning));
  for (uint64_t i = 1; i <= kSamples && size > kSample; ++i)
    used += file.read((size - kSample) / kSamples * i, std::span(bytes).subspan(used, kSample));
  return checksum(std::span(bytes).first(used));
}

std::string state_of(const fs::path& path) {
  const auto written = fs::last_write_time(path).time_since_epoch().count();
  const uint64_t size = fs::file_size(path);
  return fmt::format("{} {} {} {:08x}\n", path.string(), size, written, sampled_checksum(path, size));
}

bool says_something(const fs::path& path) {
  const std::string name = path.filename().string();
  constexpr std::string_view kOthers[] = {"config.json", "quantize_config.json", formats::kSafetensorsIndex,
                                          kRewritesFile};
  return name.ends_with(".safetensors") ||
         std::find(std::begin(kOthers), std::end(kOthers), name) != std::end(kOthers);
}

}  // namespace

std::string state_of_model(const formats::ModelFiles& files, const formats::GgufFile* gguf) {
  std::vector<fs::path> paths;
  if (gguf != nullptr)
    for (const std::string& path : gguf->paths()) paths.push_back(fs::canonical(path));
  else
    for (const fs::directory_entry& file : fs::directory_iterator(fs::canonical(files.path)))
      if (file.is_regular_file() && says_something(file.path())) paths.push_back(file.path());
  std::sort(paths.begin(), paths.end());
  std::string text;
  for (const fs::path& path : paths) text += state_of(path);
  return text;
}

}  // namespace martlet::models
