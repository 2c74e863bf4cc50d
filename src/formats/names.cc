#include "formats/names.h"

#include <fmt/core.h>

#include "base/utf8.h"

namespace martlet::formats {
namespace {

constexpr size_t kLongestName = 96;
constexpr size_t kKeptEnd = 24;

std::string escaped(std::string_view name) {
  std::string out;
  for (size_t at = 0; at < name.size();) {
    const CodePoint point = decode_utf8(name, at);
    const bool control = point.value < 0x20 || (point.value >= 0x7f && point.value < 0xa0);
    if (!point.valid || control) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(name[at]));
      ++at;
      continue;
    }
    out += name.substr(at, static_cast<size_t>(point.length));
    at += static_cast<size_t>(point.length);
  }
  return out;
}

}  // namespace

std::string in_quotes(std::string_view name) {
  if (name.size() <= kLongestName) return "'" + escaped(name) + "'";
  const std::string_view begin = name.substr(0, kLongestName - kKeptEnd);
  return fmt::format("'{}...{}' ({} bytes)", escaped(begin), escaped(name.substr(name.size() - kKeptEnd)),
                     name.size());
}

std::string listed(std::span<const std::string> names, size_t most) {
  std::string out;
  const size_t shown = names.size() <= most ? names.size() : most;
  for (size_t i = 0; i < shown; ++i) {
    if (i > 0) out += i + 1 == names.size() ? " and " : ", ";
    out += in_quotes(names[i]);
  }
  if (shown < names.size()) out += fmt::format(" and {} more", names.size() - shown);
  return out;
}

}  // namespace martlet::formats
