#include "base/mapped_parts.h"

#include <algorithm>
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
    if (path.ends_with(" (deleted)")) continue;
    mapping.part.path = unescaped(path);
    mapping.read_only = permissions[1] != 'w';
    mappings_.push_back(std::move(mapping));
  }
}

std::optional<FilePart> MappedParts::find(std::span<const std::byte> bytes) const {
  const auto begin = reinterpret_cast<uintptr_t>(bytes.data());
  const auto after = std::upper_bound(mappings_.begin(), mappings_.end(), begin,
                                      [](uintptr_t at, const Mapping& each) { return at < each.begin; });
  if (after == mappings_.begin()) return std::nullopt;
  const Mapping& mapping = *(after - 1);
  if (begin + bytes.size() > mapping.end) return std::nullopt;
  FilePart part = mapping.part;
  part.offset += begin - mapping.begin;
  return part;
}

void MappedParts::each_read_only(const std::function<void(std::span<std::byte> bytes)>& visit) const {
  for (const Mapping& mapping : mappings_)
    if (mapping.read_only) visit({reinterpret_cast<std::byte*>(mapping.begin), mapping.end - mapping.begin});
}

void forget_mapped_files() {
  MappedParts().each_read_only(
      [](std::span<std::byte> bytes) { ::madvise(bytes.data(), bytes.size(), MADV_DONTNEED); });
}

void forget_mapped(std::span<const std::byte> bytes) {
  if (!MappedParts().find(bytes)) return;
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(bytes.data());
  const uintptr_t from = (begin + page - 1) / page * page;
  const uintptr_t to = (begin + bytes.size()) / page * page;
  if (from < to) ::madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED);
}

}  // namespace martlet
