#include "formats/safetensors_header.h"

#include "base/error.h"
#include "base/utf8.h"
#include "formats/names.h"

namespace martlet::formats {
namespace {

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  /// Skips white space, then takes `symbol` if it is next.
  bool accept(char symbol) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != symbol) return false;
    ++at_;
    return true;
  }
  void expect(char symbol) {
    if (!accept(symbol)) wrong(fmt::format("'{}'", symbol));
  }
  void expect_end() {
    skip_space();
    if (at_ != text_.size()) wrong("the end of the header");
  }

  std::string string(std::string_view what) {
    if (!accept('"')) wrong(what);
    std::string out;
    while (true) {
      if (at_ >= text_.size()) wrong("the end of a text");
      const char next = text_[at_];
      if (next == '"') break;
      if (static_cast<unsigned char>(next) < 0x20) wrong("no control character within a text");
      ++at_;
      if (next == '\\') {
        escape(out);
      } else {
        out += next;
      }
    }
    ++at_;
    if (!is_valid_utf8(out)) bad_input("the header's text {} is not valid UTF-8", in_quotes(out));
    return out;
  }

  int64_t whole_number(std::string_view what) {
    skip_space();
    const size_t begin = at_;
    int64_t value = 0;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
      if (__builtin_mul_overflow(value, 10, &value) ||
          __builtin_add_overflow(value, text_[at_] - '0', &value))
        bad_input("the header's number at byte {} ({}) does not fit 63 bits", begin, what);
    }
    const bool padded = at_ > begin + 1 && text_[begin] == '0';
    if (at_ == begin || padded) {
      at_ = begin;
      wrong(what);
    }
    return value;
  }

  [[noreturn]] void wrong(std::string_view expected) const {
    const std::string got = at_ < text_.size() ? in_quotes(text_.substr(at_, 12)) : "the end of the header";
    bad_input("the header leaves the safetensors form at byte {}: expected {}, got {}", at_, expected, got);
  }

 private:
  void skip_space() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r'))
      ++at_;
  }

  uint32_t hexadecimal() {
    uint32_t value = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      const char digit = at_ < text_.size() ? text_[at_] : ' ';
      const bool small = digit >= 'a' && digit <= 'f';
      const bool capital = digit >= 'A' && digit <= 'F';
      if (!small && !capital && (digit < '0' || digit > '9')) wrong("four hexadecimal digits");
      value = value * 16 + static_cast<uint32_t>(small     ? digit - 'a' + 10
                                                 : capital ? digit - 'A' + 10
                                                           : digit - '0');
    }
    return value;
  }

  /// What follows a backslash.
  void escape(std::string& out) {
    constexpr std::string_view kLetters = "\"\\/bfnrt";
    constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    const char letter = at_ < text_.size() ? text_[at_] : '\0';
    if (const size_t known = kLetters.find(letter); known != std::string_view::npos) {
      ++at_;
      out += kMeanings[known];
      return;
    }
    if (letter != 'u') wrong("a known escape");
    ++at_;
    char32_t point = hexadecimal();
    if (point >= 0xd800 && point < 0xdc00) {  // the first half of a surrogate pair
      if (text_.substr(at_, 2) != "\\u") wrong("the second half of a surrogate pair");
      at_ += 2;
      const uint32_t low = hexadecimal();
      if (low < 0xdc00 || low > 0xdfff) wrong("the second half of a surrogate pair");
      point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
    } else if (point >= 0xdc00 && point <= 0xdfff) {
      wrong("no lone half of a surrogate pair");
    }
    append_utf8(out, point);
  }

  std::string_view text_;
  size_t at_ = 0;
};

Shape read_shape(Scanner& scanner, const std::string& name) {
  std::vector<int64_t> sizes;
  scanner.expect('[');
  if (scanner.accept(']')) return {};
  do {
    if (sizes.size() == kMaxRank)
      bad_input("tensor {} has more than {} dimensions, the most there can be", in_quotes(name), kMaxRank);
    sizes.push_back(scanner.whole_number("a size of a shape, which is a whole number"));
  } while (scanner.accept(','));
  scanner.expect(']');
  return Shape(std::span<const int64_t>(sizes));
}

SafetensorsEntry read_entry(Scanner& scanner, std::string name) {
  SafetensorsEntry entry;
  entry.name = std::move(name);
  bool has_dtype = false;
  bool has_shape = false;
  bool has_offsets = false;
  scanner.expect('{');
  do {
    const std::string key = scanner.string("\"dtype\", \"shape\" or \"data_offsets\"");
    scanner.expect(':');
    bool* known = key == "dtype" ? &has_dtype : key == "shape" ? &has_shape : &has_offsets;
    if (*known || (known == &has_offsets && key != "data_offsets"))
      bad_input("tensor {} has {} key {}; dtype, shape and data_offsets are expected once each",
                in_quotes(entry.name), *known ? "twice the" : "an unknown", in_quotes(key));
    *known = true;
    if (known == &has_dtype) {
      entry.dtype = scanner.string("the name of a dtype");
    } else if (known == &has_shape) {
      entry.shape = read_shape(scanner, entry.name);
    } else {
      scanner.expect('[');
      entry.begin = static_cast<uint64_t>(scanner.whole_number("an offset, which is a whole number"));
      scanner.expect(',');
      entry.end = static_cast<uint64_t>(scanner.whole_number("an offset, which is a whole number"));
      scanner.expect(']');
    }
  } while (scanner.accept(','));
  scanner.expect('}');
  if (!has_dtype || !has_shape || !has_offsets)
    bad_input("tensor {} lacks its {}", in_quotes(entry.name),
              !has_dtype   ? "dtype"
              : !has_shape ? "shape"
                           : "data_offsets");
  return entry;
}

void read_metadata(Scanner& scanner, SafetensorsHeader& header) {
  scanner.expect('{');
  if (scanner.accept('}')) return;
  do {
    std::string key = scanner.string("a key of the metadata");
    scanner.expect(':');
    header.metadata.emplace_back(std::move(key), scanner.string("a text as value of the metadata"));
  } while (scanner.accept(','));
  scanner.expect('}');
}

}  // namespace

SafetensorsHeader parse_safetensors_header(std::string_view text) {
  SafetensorsHeader header;
  Scanner scanner(text);
  bool seen_metadata = false;
  scanner.expect('{');
  if (!scanner.accept('}')) {
    do {
      std::string name = scanner.string("the name of a tensor");
      scanner.expect(':');
      if (name != "__metadata__") {
        header.entries.push_back(read_entry(scanner, std::move(name)));
        continue;
      }
      if (seen_metadata) bad_input("the header has __metadata__ twice");
      seen_metadata = true;
      read_metadata(scanner, header);
    } while (scanner.accept(','));
    scanner.expect('}');
  }
  scanner.expect_end();
  return header;
}

}  // namespace martlet::formats
