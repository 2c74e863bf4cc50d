#include "base/mapped_parts.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <sys/mman.h>
#include <unistd.h>

namespace martlet {
namespace {

/// "\012" stands for a byte that would break the line.
std::string unescaped(const std::string& text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 3 >= text.size()) {
      plain += text[i];
      continue;
    }
    plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
    i += 3;
  }
  return plain;
}

}  // namespace

MappedParts::MappedParts() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    // 7f2c4e400000-7f2c74400000 r--s 00000000 fe:00 1311 /home/a/model.gguf
    std::istringstream words(line);
    Mapping mapping{};
    char dash = 0;
    std::string permissions, device, path;
    words >> std::hex >> mapping.begin >> dash >> mapping.end >> permissions >> mapping.part.offset >>
        device >> std::dec >> mapping.part.inode >> std::ws;
    std::getline(words, path);
    if (permissions.size() < 4 || permissions[3] != 's' || !path.starts_with('/')) continue;
    mapping.removed = path.ends_with(" (deleted)");
    mapping.part.path = unescaped(path);
    mapping.read_only = permissions[1] != 'w';
    mappings_.push_back(std::move(mapping));
  }
}

const MappedParts::Mapping* MappedParts::mapping_of(std::span<const std::byte> bytes) const {
  const auto begin = reinterpret_cast<uintptr_t>(bytes.data());
  const auto after = std::upper_bound(mappings_.begin(), mappings_.end(), begin,
                                      [](uintptr_t at, const Mapping& each) { return at < each.begin; });
  if (after == mappings_.begin()) return nullptr;
  const Mapping& mapping = *(after - 1);
  return begin + bytes.size() > mapping.end ? nullptr : &mapping;
}

std::optional<FilePart> MappedParts::find(std::span<const std::byte> bytes) const {
  const Mapping* mapping = mapping_of(bytes);
  if (mapping == nullptr || mapping->removed) return std::nullopt;
  FilePart part = mapping->part;
  part.offset += reinterpret_cast<uintptr_t>(bytes.data()) - mapping->begin;
  return part;
}

void MappedParts::forget(std::span<const std::byte> bytes) const {
  const Mapping* mapping = mapping_of(bytes);
  if (mapping == nullptr || bytes.empty()) return;
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(bytes.data());
  const uintptr_t from = begin / page * page;
  // A mapping ends with a page.
  ::madvise(reinterpret_cast<void*>(from), begin + bytes.size() - from, MADV_DONTNEED);
}

void MappedParts::forget_read_only(const std::string& path) const {
  for (const Mapping& mapping : mappings_)
    if (mapping.read_only && (path.empty() || mapping.part.path == path))
      ::madvise(reinterpret_cast<void*>(mapping.begin), mapping.end - mapping.begin, MADV_DONTNEED);
}

void forget_mapped_files() {
  MappedParts().forget_read_only({});
}

void forget_mapped_file(const std::string& path) {
  std::error_code error;
  const std::filesystem::path real = std::filesystem::canonical(path, error);
  if (!error) MappedParts().forget_read_only(real.string());
}

void forget_mapped(std::span<const std::byte> bytes) {
  MappedParts().forget(bytes);
}

}  // namespace martlet
