// The Hugging Face hub, or any server with its paths: the list of files at /api/models/NAME, each file at
// /NAME/resolve/main/FILE. HF_ENDPOINT names another server, HF_TOKEN opens gated models.

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <openssl/evp.h>

#include "base/error.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "base/json.h"
#include "base/utf8.h"
#include "cli/sources/http.h"
#include "cli/sources/source.h"

namespace martlet::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "hf:";
constexpr const char* kPublicHub = "https://huggingface.co";

/// "owner/model" and, after a colon, the one file that is wanted.
struct HubName {
  std::string model;
  std::string file;
};

HubName parse_name(std::string name) {
  if (name.starts_with(kPrefix)) name.erase(0, kPrefix.size());
  const size_t colon = name.find(':');
  if (colon == std::string::npos) return {name, ""};
  return {name.substr(0, colon), name.substr(colon + 1)};
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string endpoint() {
  std::string address = environment("HF_ENDPOINT");
  if (address.empty()) return kPublicHub;
  while (address.ends_with('/')) address.pop_back();
  return address;
}

/// A file name as it may stand in an address.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || std::string_view("-._~/").find(c) != std::string_view::npos)
      out.push_back(c);
    else
      out += fmt::format("%{:02X}", byte);
  }
  return out;
}

/// A plain file name: the hub's word alone must not choose a place outside the folder.
bool is_plain(std::string_view name) {
  return !name.empty() && name.front() != '.' && name.size() < 200 && is_valid_utf8(name) &&
         std::none_of(name.begin(), name.end(),
                      [](unsigned char c) { return c == '/' || c == '\\' || c < 0x20; });
}

bool ends_with_any(std::string_view name, std::initializer_list<std::string_view> ends) {
  return std::any_of(ends.begin(), ends.end(), [&](std::string_view end) { return name.ends_with(end); });
}

/// The files that make the model: safetensors and what describes them; a lone GGUF file where there are none.
std::vector<std::string> choose_files(const std::vector<std::string>& all, const HubName& name) {
  if (!name.file.empty()) {
    if (std::find(all.begin(), all.end(), name.file) == all.end())
      bad_input("{} has no file '{}'", name.model, name.file);
    return {name.file};
  }
  std::vector<std::string> weights, packed, others;
  for (const std::string& file : all) {
    if (file.ends_with(".safetensors"))
      weights.push_back(file);
    else if (file.ends_with(".gguf"))
      packed.push_back(file);
    else if (ends_with_any(file, {".json", ".jinja", ".model", ".txt", "LICENSE", "LICENSE.md", "README.md"}))
      others.push_back(file);
  }
  if (weights.empty()) {
    if (packed.empty()) bad_input("{} holds no safetensors and no GGUF file", name.model);
    if (packed.size() > 1)
      bad_input("{} holds several GGUF files; choose one, for example: martlet pull {}:{}", name.model,
                name.model, packed.front());
    weights = packed;
  }
  // Small files first, so that a wrong model shows early.
  others.insert(others.end(), weights.begin(), weights.end());
  return others;
}

std::string licence_of(const Json& description) {
  if (const Json* card = description.find("cardData"))
    if (const Json* licence = card->find("license"); licence != nullptr && licence->is_string())
      return licence->string();
  if (const Json* tags = description.find("tags"); tags != nullptr && tags->is_array())
    for (const Json& tag : tags->array())
      if (tag.is_string() && tag.string().starts_with("license:")) return tag.string().substr(8);
  return "";
}

std::string hex_digest(const EVP_MD* algorithm, std::string_view head, std::span<const std::byte> bytes) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  bool good = context && EVP_DigestInit_ex(context.get(), algorithm, nullptr) == 1 &&
              EVP_DigestUpdate(context.get(), head.data(), head.size()) == 1;
  constexpr size_t kChunk = size_t{8} << 20;
  for (std::span<const std::byte> rest = bytes; good && !rest.empty();) {
    throw_if_interrupted();
    const size_t piece = std::min(rest.size(), kChunk);
    good = EVP_DigestUpdate(context.get(), rest.data(), piece) == 1;
    rest = rest.subspan(piece);
  }
  if (!good || EVP_DigestFinal_ex(context.get(), digest, &size) != 1)
    failed("OpenSSL could not compute a checksum");
  std::string text;
  for (unsigned int i = 0; i < size; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

/// The hub names large files by SHA-256 and small ones by git's hash of a blob; other marks prove nothing.
bool matches(const std::string& path, const std::string& etag) {
  if (etag.size() != 64 && etag.size() != 40) return true;
  if (etag.find_first_not_of("0123456789abcdef") != std::string::npos) return true;
  const MappedFile file(path);
  if (etag.size() == 64) return hex_digest(EVP_sha256(), "", file.bytes()) == etag;
  std::string head = fmt::format("blob {}", file.bytes().size());
  head.push_back('\0');
  return hex_digest(EVP_sha1(), head, file.bytes()) == etag;
}

/// Downloads beside the final name, proves the content, and only then gives the name.
void fetch_file(const HttpRequest& request, const std::string& path, Progress& progress) {
  const std::string part = path + ".part";
  for (int attempt = 0;; ++attempt) {
    const bool resumed = file_exists(part) && fs::file_size(part) > 0;
    const Download download = http_download(request, part, fs::path(path).filename().string(), progress);
    if (matches(part, download.etag)) break;
    fs::remove(part);
    // What an earlier pull left may be of an older version: once more from the beginning.
    if (!resumed || attempt > 0)
      failed("{}: the bytes that came do not match the checksum {}; pull again", request.url, download.etag);
  }
  fs::rename(part, path);
}

class HuggingFaceSource : public ModelSource {
 public:
  std::string_view form() const override { return "OWNER/MODEL[:FILE]"; }

  std::optional<std::string> store_name(const std::string& name) const override {
    const HubName hub = parse_name(name);
    const size_t slash = hub.model.find('/');
    if (name.find("://") != std::string::npos || name.starts_with("/") || name.starts_with("."))
      return std::nullopt;
    if (slash == std::string::npos || hub.model.find('/', slash + 1) != std::string::npos)
      return std::nullopt;
    return hub.model;
  }

  FetchedModel fetch(const std::string& name, const std::string& folder, Progress& progress) const override {
    const HubName hub = parse_name(name);
    const std::string token = environment("HF_TOKEN");
    const std::string list_url = fmt::format("{}/api/models/{}", endpoint(), escaped(hub.model));
    const Json description = Json::parse(http_get({list_url, token}), list_url);
    std::vector<std::string> all;
    const Json* siblings = description.find("siblings");
    if (siblings == nullptr || !siblings->is_array()) bad_input("{}: the answer lists no files", list_url);
    for (const Json& entry : siblings->array()) {
      const Json* file = entry.find("rfilename");
      // Files in folders are other forms of the same model (onnx/, original/).
      if (file != nullptr && file->is_string() && is_plain(file->string())) all.push_back(file->string());
    }
    for (const std::string& file : choose_files(all, hub)) {
      const std::string path = folder + "/" + file;
      if (file_exists(path)) continue;  // whole, from an earlier pull that was cut
      fetch_file({fmt::format("{}/{}/resolve/main/{}", endpoint(), escaped(hub.model), escaped(file)), token},
                 path, progress);
      progress.finish();
    }
    return {licence_of(description)};
  }
};

}  // namespace

const ModelSource& hugging_face_source() {
  static const HuggingFaceSource source;
  return source;
}

}  // namespace martlet::cli
