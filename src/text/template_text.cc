#include "text/template_text.h"

#include <algorithm>
#include <string.h>  // memmem: finds in linear time whatever the texts

#include "base/utf8.h"
#include "text/template_unicode.h"

namespace martlet::text::jinja {
namespace {

// The character that ends before `end`: where it begins and what it is.
size_t previous(std::string_view text, size_t end, char32_t& point) {
  size_t at = end;
  do {
    --at;
  } while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80);
  point = decode_utf8(text, at).value;
  return at;
}

template <typename Predicate>
std::string_view strip_where(std::string_view text, Side side, Predicate drop) {
  if (side != Side::kRight) {
    while (!text.empty()) {
      const CodePoint point = decode_utf8(text, 0);
      if (!drop(point.value)) break;
      text.remove_prefix(static_cast<size_t>(point.length));
    }
  }
  if (side != Side::kLeft) {
    while (!text.empty()) {
      char32_t point = 0;
      const size_t at = previous(text, text.size(), point);
      if (!drop(point)) break;
      text = text.substr(0, at);
    }
  }
  return text;
}

// The first whitespace character at or after `at`, or the end.
size_t find_space(std::string_view text, size_t at) {
  while (at < text.size()) {
    const CodePoint point = decode_utf8(text, at);
    if (is_space(point.value)) return at;
    at += static_cast<size_t>(point.length);
  }
  return at;
}

// The end of the last whitespace character before `end`, or 0.
size_t find_space_backwards(std::string_view text, size_t end) {
  while (end > 0) {
    char32_t point = 0;
    const size_t at = previous(text, end, point);
    if (is_space(point)) return end;
    end = at;
  }
  return 0;
}

}  // namespace

size_t find_text(std::string_view text, std::string_view part, size_t from) {
  if (from > text.size()) return std::string_view::npos;
  if (part.empty()) return from;
  const void* found = memmem(text.data() + from, text.size() - from, part.data(), part.size());
  return found == nullptr ? std::string_view::npos
                          : static_cast<size_t>(static_cast<const char*>(found) - text.data());
}

int64_t count_text(std::string_view text, std::string_view part, int64_t limit) {
  int64_t count = 0;
  for (size_t at = 0; count < limit; ++count) {
    at = find_text(text, part, at);
    if (at == std::string_view::npos) break;
    at += part.size();
  }
  return count;
}

std::string_view strip_space(std::string_view text, Side side) {
  return strip_where(text, side, is_space);
}

std::string_view strip_set(std::string_view text, std::string_view set, Side side) {
  const std::u32string points = code_points(set);
  return strip_where(text, side, [&](char32_t c) { return points.find(c) != std::u32string::npos; });
}

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const CodePoint point = decode_utf8(text, at);
    size_t end = at + static_cast<size_t>(point.length);
    if (is_line_break(point.value)) {
      if (point.value == U'\r' && end < text.size() && text[end] == '\n') ++end;
      lines.push_back(text.substr(begin, (keep_ends ? end : at) - begin));
      begin = end;
    }
    at = end;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

std::vector<std::string_view> split_space(std::string_view text, int64_t limit, bool from_right) {
  std::vector<std::string_view> parts;
  std::string_view rest = strip_space(text, from_right ? Side::kRight : Side::kLeft);
  while (!rest.empty()) {
    if (limit-- == 0) {
      parts.push_back(rest);  // whitespace at its far side stays
      break;
    }
    if (from_right) {
      const size_t begin = find_space_backwards(rest, rest.size());
      parts.push_back(rest.substr(begin));
      rest = strip_space(rest.substr(0, begin), Side::kRight);
    } else {
      const size_t end = find_space(rest, 0);
      parts.push_back(rest.substr(0, end));
      rest = strip_space(rest.substr(end), Side::kLeft);
    }
  }
  if (from_right) std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string_view> split_at(std::string_view text, std::string_view separator, int64_t limit,
                                       bool from_right) {
  std::vector<std::string_view> parts;
  if (from_right) {
    size_t end = text.size();
    for (; limit > 0 && end >= separator.size(); --limit) {
      const size_t at = text.rfind(separator, end - separator.size());
      if (at == std::string_view::npos) break;
      parts.push_back(text.substr(at + separator.size(), end - at - separator.size()));
      end = at;
    }
    parts.push_back(text.substr(0, end));
    std::reverse(parts.begin(), parts.end());
    return parts;
  }
  size_t begin = 0;
  for (; limit > 0; --limit) {
    const size_t at = find_text(text, separator, begin);
    if (at == std::string_view::npos) break;
    parts.push_back(text.substr(begin, at - begin));
    begin = at + separator.size();
  }
  parts.push_back(text.substr(begin));
  return parts;
}

size_t replaced_size(std::string_view text, std::string_view from, std::string_view to, int64_t limit) {
  int64_t count = 0;
  if (from.empty()) {
    count = std::min(limit, count_code_points(text) + 1);
  } else {
    count = count_text(text, from, limit);
  }
  return text.size() - from.size() * static_cast<size_t>(count) + to.size() * static_cast<size_t>(count);
}

std::string replaced(std::string_view text, std::string_view from, std::string_view to, int64_t limit) {
  std::string out;
  if (from.empty()) {
    // Python puts the new text before every character and at the end.
    size_t at = 0;
    for (; limit > 0; --limit) {
      out += to;
      if (at == text.size()) return out;
      const auto length = static_cast<size_t>(decode_utf8(text, at).length);
      out += text.substr(at, length);
      at += length;
    }
    return out + std::string(text.substr(at));
  }
  size_t begin = 0;
  for (; limit > 0; --limit) {
    const size_t at = find_text(text, from, begin);
    if (at == std::string_view::npos) break;
    out += text.substr(begin, at - begin);
    out += to;
    begin = at + from.size();
  }
  return out + std::string(text.substr(begin));
}

}  // namespace martlet::text::jinja
