// Lets pytest read and write files with this library:
//   formats_driver read FILE-OR-DIRECTORY FOLDER     bytes and float values of every tensor into FOLDER
//   formats_driver write SPECIFICATION.json          tensors from raw bytes into safetensors
//   formats_driver npy IN.npy OUT.npy                reads an array and writes it again
//   formats_driver time FILE.gguf                    seconds to open, and to list a vocabulary
// Answers in JSON on stdout.

#include <chrono>
#include <cstdio>
#include <string_view>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "formats/gguf.h"
#include "formats/npy.h"
#include "formats/safetensors.h"

namespace martlet::formats {
namespace {

Json shape_json(const Shape& shape) {
  Json::Array sizes;
  for (const int64_t size : shape) sizes.emplace_back(size);
  return sizes;
}

DType dtype_named(std::string_view name) {
  for (const DType dtype : kAllDTypes)
    if (name_of(dtype) == name) return dtype;
  bad_input("unknown dtype {}", name);
}

/// Metadata as JSON; bytes that are not UTF-8 come as U+FFFD, so the test compares in the same way.
Json metadata_json(const GgufMetadata& metadata) {
  Json result{Json::Object{}};
  for (const std::string_view key : metadata.keys()) {
    const std::string kind = metadata.kind(key);
    const bool is_list = kind.starts_with("list");
    const auto holds = [&](std::string_view part) { return kind.find(part) != std::string::npos; };
    Json::Array values;
    if (holds("text")) {
      for (const std::string_view text : metadata.texts(key)) values.emplace_back(text);
    } else if (holds("f32") || holds("f64")) {
      for (const double value : metadata.reals(key)) values.emplace_back(value);
    } else {
      for (const int64_t value : metadata.integers(key)) values.emplace_back(value);
    }
    result.set(key.empty() ? "" : std::string(key), is_list ? Json(std::move(values)) : values.at(0));
  }
  return result;
}

Json read(const std::string& path, const std::string& folder) {
  Json answer;
  TensorSource source;
  if (path.ends_with(".gguf")) {
    const GgufFile file(path);
    answer.set("metadata", metadata_json(file.metadata()));
    source = file.tensors();
  } else {
    source = open_safetensors(path);
  }
  Json::Object tensors;
  for (const std::string& name : source.names()) {
    const StoredTensor& stored = source.info(name);
    const std::string file = folder + "/" + std::to_string(tensors.size());
    const auto bytes = static_cast<size_t>(stored.byte_count());
    write_file(file + ".bin", {reinterpret_cast<const char*>(stored.data.get()), bytes});
    if (stored.packed) write_npy(file + ".npy", source.tensor(name));
    Json tensor;
    tensor.set("type", stored.type_name());
    tensor.set("shape", shape_json(stored.shape));
    tensor.set("file", file);
    tensors.emplace_back(name, std::move(tensor));
  }
  answer.set("tensors", std::move(tensors));
  return answer;
}

Json write(const std::string& path) {
  const Json specification = Json::parse_file(path);
  std::vector<OutgoingTensor> tensors;
  for (const Json& one : specification.at("tensors").array()) {
    std::vector<int64_t> sizes;
    for (const Json& size : one.at("shape").array()) sizes.push_back(size.integer());
    const std::string bytes = read_file(one.at("file").string());
    tensors.emplace_back(one.at("name").string(), Tensor::copy_from(std::as_bytes(std::span(bytes)),
                                                                    Shape(std::span<const int64_t>(sizes)),
                                                                    dtype_named(one.at("dtype").string())));
  }
  const TextPairs metadata = {{"origin", "driver"}};
  if (const Json* directory = specification.find("directory")) {
    write_safetensors_directory(directory->string(), tensors, metadata,
                                specification.at("shard_bytes").integer());
  } else {
    write_safetensors(specification.at("path").string(), tensors, metadata);
  }
  return Json::Object{};
}

Json time(const std::string& path) {
  const auto now = [] { return std::chrono::steady_clock::now(); };
  const auto begin = now();
  const GgufFile file(path);
  const auto opened = now();
  const size_t tokens = file.metadata().texts("tokenizer.ggml.tokens").size();
  const auto listed = now();
  Json answer;
  answer.set("open", std::chrono::duration<double>(opened - begin).count());
  answer.set("list", std::chrono::duration<double>(listed - opened).count());
  answer.set("tokens", static_cast<int64_t>(tokens));
  return answer;
}

Json run(std::string_view verb, const std::string& first, const std::string& second) {
  if (verb == "read") return read(first, second);
  if (verb == "write") return write(first);
  if (verb == "time") return time(first);
  if (verb == "npy") {
    write_npy(second, read_npy(first));
    return Json::Object{};
  }
  fail(ErrorCode::kUsage, "unknown verb {}", verb);
}

}  // namespace
}  // namespace martlet::formats

int main(int count, char** arguments) {
  try {
    const std::string second = count > 3 ? arguments[3] : "";
    const martlet::Json answer =
        martlet::formats::run(count > 2 ? arguments[1] : "", count > 2 ? arguments[2] : "", second);
    std::puts(answer.dump().c_str());
    return 0;
  } catch (const martlet::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return static_cast<int>(error.code());
  }
}
