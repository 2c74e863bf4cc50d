#include "formats/model_files.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "formats/gguf.h"
#include "formats/lfs_pointer.h"
#include "formats/names.h"
#include "formats/safetensors.h"

namespace martlet::formats {
namespace {

constexpr std::string_view kSupported =
    "a model is a directory with config.json and *.safetensors, or a .gguf file";

/// The first bytes of a file, fewer when it is short.
std::string first_bytes(const std::string& path) {
  std::string bytes(64, '\0');
  std::ifstream file(path, std::ios::binary);
  file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  bytes.resize(static_cast<size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  return bytes;
}

/// The tool whose checkpoint a file name is, by its ending; empty when it is none of those.
std::string_view foreign_tool(const std::string& name) {
  struct Ending {
    std::string_view ending;
    std::string_view tool;
  };
  constexpr Ending kEndings[] = {{".bin", "PyTorch"},  {".pt", "PyTorch"},     {".pth", "PyTorch"},
                                 {".ckpt", "PyTorch"}, {".pkl", "Python"},     {".h5", "Keras"},
                                 {".msgpack", "Flax"}, {".npz", "NumPy"},      {".onnx", "ONNX"},
                                 {".ggml", "GGML"},    {".mlmodel", "Core ML"}};
  for (const Ending& known : kEndings)
    if (name.ends_with(known.ending)) return known.tool;
  return {};
}

/// Its path, or nothing when absent; what cannot be read as a file is refused, and so is a pointer of
/// git-lfs.
std::string optional_file(const std::string& directory, std::string_view name) {
  std::string path = fmt::format("{}/{}", directory, name);
  if (!name_exists(path)) return {};
  require_regular_file(path);
  const std::string start = first_bytes(path);
  try {
    refuse_lfs_pointer(std::as_bytes(std::span(start)));
  } catch (Error& error) {
    throw error.within(path);
  }
  return path;
}

std::vector<std::string> file_names_in(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error))
    names.push_back(entry->path().filename().string());
  if (error) bad_input("{}: the directory cannot be read: {}", directory, error.message());
  std::sort(names.begin(), names.end());
  return names;
}

/// The reason why a directory without our weights is no model, in the most useful words.
[[noreturn]] void refuse_directory(const std::string& directory) {
  const std::vector<std::string> names = file_names_in(directory);
  if (names.empty()) bad_input("{}: the directory is empty; {}", directory, kSupported);
  std::vector<std::string> gguf;
  std::vector<std::string> shards;
  for (const std::string& name : names) {
    if (name.ends_with(".gguf")) gguf.push_back(name);
    if (name.ends_with(".safetensors")) shards.push_back(name);
  }
  if (!gguf.empty())
    bad_input("{}: this directory holds GGUF files; name one of them: {}", directory, listed(gguf));
  if (!shards.empty())
    bad_input("{}: {} is there, but neither {} nor {}, which would say what belongs to the model", directory,
              listed(shards), kSafetensorsFile, kSafetensorsIndex);
  for (const std::string& name : names)
    if (const std::string_view tool = foreign_tool(name); !tool.empty())
      bad_input("{}: the weights in {} are in a form of {} that is not read; convert them to safetensors",
                directory, in_quotes(name), tool);
  bad_input("{}: no weights here, neither {} nor {}; {}", directory, kSafetensorsFile, kSafetensorsIndex,
            kSupported);
}

ModelFiles directory_files(const std::string& path) {
  ModelFiles files{.kind = ModelKind::kDirectory, .path = path};
  if (optional_file(path, kSafetensorsFile).empty() && optional_file(path, kSafetensorsIndex).empty())
    refuse_directory(path);
  files.config = optional_file(path, "config.json");
  if (files.config.empty()) bad_input("{}: config.json is missing, so the model's family is unknown", path);
  files.generation_config = optional_file(path, "generation_config.json");
  files.tokenizer = optional_file(path, "tokenizer.json");
  files.tokenizer_config = optional_file(path, "tokenizer_config.json");
  files.chat_template = optional_file(path, "chat_template.jinja");
  files.rewrites = optional_file(path, "martlet.toml");
  return files;
}

[[noreturn]] void refuse_file(const std::string& path, const std::string& start) {
  if (start.empty()) bad_input("{}: the file is empty; {}", path, kSupported);
  if (path.ends_with(".safetensors"))
    bad_input("{}: these are weights alone; name the directory, which also has config.json", path);
  const std::string_view tool = foreign_tool(path);
  if (!tool.empty())
    bad_input("{}: this looks like a file of {}, which is not read; convert it to safetensors or GGUF", path,
              tool);
  bad_input("{}: this is no model; {}", path, kSupported);
}

}  // namespace

ModelFiles find_model_files(const std::string& path) {
  if (is_directory(path)) return directory_files(path);
  if (!name_exists(path)) bad_input("{}: there is no such file or directory; {}", path, kSupported);
  require_regular_file(path);
  const std::string start = first_bytes(path);
  try {
    refuse_lfs_pointer(std::as_bytes(std::span(start)));
  } catch (Error& error) {
    throw error.within(path);
  }
  // By content or by name, so that a damaged file is reported as such when it is opened.
  if (start.starts_with("GGUF") || (path.ends_with(".gguf") && !start.empty()))
    return {.kind = ModelKind::kGguf, .path = path};
  refuse_file(path, start);
}

TensorSource open_tensors(const ModelFiles& files) {
  return files.kind == ModelKind::kGguf ? open_gguf(files.path) : open_safetensors(files.path);
}

}  // namespace martlet::formats
