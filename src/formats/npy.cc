#include "formats/npy.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/files.h"
#include "formats/byte_reader.h"
#include "formats/names.h"

namespace martlet::formats {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
// NumPy's own readers expect the elements to begin at a multiple of this.
constexpr size_t kAlignment = 64;

struct Row {
  DType dtype;
  std::string_view name;
};
constexpr Row kNames[] = {{DType::kF32, "<f4"}, {DType::kF16, "<f2"}, {DType::kI8, "|i1"},
                          {DType::kI32, "<i4"}, {DType::kI64, "<i8"}, {DType::kU8, "|u1"},
                          {DType::kBool, "|b1"}};

/// The header: a Python dictionary with exactly these three keys.
struct Header {
  std::optional<std::string> dtype;
  std::optional<bool> fortran_order;
  std::optional<std::vector<int64_t>> shape;
};

/// Reads {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), } and no other Python.
class LiteralReader {
 public:
  explicit LiteralReader(std::string_view text) : text_(text) {}

  Header read() {
    Header header;
    expect('{');
    while (!accept('}')) {
      const std::string key = string();
      expect(':');
      if (key == "descr" && !header.dtype) {
        header.dtype = string();
      } else if (key == "fortran_order" && !header.fortran_order) {
        header.fortran_order = boolean();
      } else if (key == "shape" && !header.shape) {
        header.shape = tuple();
      } else {
        bad_input("the npy header has the key {} twice, or it is unknown", in_quotes(key));
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (at_ != text_.size()) wrong("the end of the header");
    if (!header.dtype || !header.fortran_order || !header.shape)
      bad_input("the npy header needs the keys 'descr', 'fortran_order' and 'shape'");
    return header;
  }

 private:
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) ++at_;
  }
  bool accept(char symbol) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != symbol) return false;
    ++at_;
    return true;
  }
  void expect(char symbol) {
    if (!accept(symbol)) wrong(fmt::format("'{}'", symbol));
  }
  std::string string() {
    const char quote = accept('\'') ? '\'' : '"';
    if (quote == '"') expect('"');
    const size_t end = text_.find(quote, at_);
    if (end == std::string_view::npos) wrong("the end of a text");
    const std::string_view content = text_.substr(at_, end - at_);
    if (content.find('\\') != std::string_view::npos) wrong("a text without escapes");
    at_ = end + 1;
    return std::string(content);
  }
  bool boolean() {
    skip_space();
    for (const bool value : {false, true}) {
      const std::string_view word = value ? "True" : "False";
      if (!text_.substr(at_).starts_with(word)) continue;
      at_ += word.size();
      return value;
    }
    wrong("True or False");
  }
  std::vector<int64_t> tuple() {
    std::vector<int64_t> sizes;
    expect('(');
    while (!accept(')')) {
      if (sizes.size() == kMaxRank) bad_input("the array has more than {} dimensions", kMaxRank);
      sizes.push_back(whole_number());
      if (accept(',')) continue;
      if (sizes.size() == 1) wrong("',' after the only size");
      expect(')');
      break;
    }
    return sizes;
  }
  int64_t whole_number() {
    skip_space();
    const size_t begin = at_;
    int64_t value = 0;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
      if (__builtin_mul_overflow(value, 10, &value) ||
          __builtin_add_overflow(value, text_[at_] - '0', &value))
        bad_input("a size of the shape does not fit 63 bits");
    }
    if (at_ == begin) wrong("a size of the shape, which is a whole number");
    return value;
  }
  [[noreturn]] void wrong(std::string_view expected) const {
    const std::string got = at_ < text_.size() ? in_quotes(text_.substr(at_, 12)) : "the end of the header";
    bad_input("the npy header at its byte {}: expected {}, got {}", at_, expected, got);
  }

  std::string_view text_;
  size_t at_ = 0;
};

std::string_view npy_name(DType dtype) {
  for (const Row& row : kNames)
    if (row.dtype == dtype) return row.name;
  failed("npy has no name for {}; cast to f32 before writing", name_of(dtype));
}

DType dtype_of_npy(std::string_view name) {
  std::string supported;
  for (const Row& row : kNames) {
    // One byte has no order, and some writers say so with '<'.
    const bool same = row.name == name ||
                      (row.name[0] == '|' && name.starts_with('<') && row.name.substr(1) == name.substr(1));
    if (same) return row.dtype;
    supported += fmt::format("{}{}", supported.empty() ? "" : ", ", row.name);
  }
  bad_input("the array's dtype {} is not supported; those supported are {}{}", in_quotes(name), supported,
            name.starts_with('>') ? " (big-endian arrays are not)" : "");
}

Header read_header(ByteReader& reader) {
  if (as_text(reader.take(kMagic.size(), "the magic")) != kMagic) bad_input("this is no npy file");
  const auto major = reader.read<uint8_t>("the version");
  reader.read<uint8_t>("the version");
  if (major < 1 || major > 3) bad_input("npy version {} is unknown; versions 1 to 3 are supported", major);
  const uint32_t length = major == 1 ? reader.read<uint16_t>("the header's length")
                                     : reader.read<uint32_t>("the header's length");
  return LiteralReader(as_text(reader.take(length, "the header"))).read();
}

Tensor read_array(std::span<const std::byte> bytes) {
  ByteReader reader(bytes);
  const Header header = read_header(reader);
  const DType dtype = dtype_of_npy(*header.dtype);
  std::vector<int64_t> sizes = *header.shape;
  int64_t expected = size_of(dtype);
  for (const int64_t size : sizes)
    if (__builtin_mul_overflow(expected, size, &expected))
      bad_input("the array's shape is larger than any file");
  if (static_cast<uint64_t>(expected) != reader.remaining())
    bad_input("the array takes {} bytes, but {} follow the header", expected, reader.remaining());
  if (*header.fortran_order) std::reverse(sizes.begin(), sizes.end());
  const Tensor tensor = Tensor::copy_from(reader.take(reader.remaining(), "the elements"),
                                          Shape(std::span<const int64_t>(sizes)), dtype);
  if (!*header.fortran_order) return tensor;
  std::vector<int> backwards;
  for (int dim = tensor.rank() - 1; dim >= 0; --dim) backwards.push_back(dim);
  return tensor.permute(backwards).contiguous();
}

}  // namespace

void write_npy(const std::string& path, const Tensor& tensor) {
  std::string header =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': (", npy_name(tensor.dtype()));
  for (int dim = 0; dim < tensor.rank(); ++dim)
    header += fmt::format("{}{}", tensor.shape()[dim],
                          tensor.rank() == 1        ? ","
                          : dim + 1 < tensor.rank() ? ", "
                                                    : "");
  header += "), }";
  // Version 1.0: magic, two bytes of version, two of length; padded with spaces and ended by a line feed.
  const size_t before = kMagic.size() + 4;
  header.append((kAlignment - (before + header.size() + 1) % kAlignment) % kAlignment, ' ');
  header += '\n';
  AtomicFile file(path);
  file.write(kMagic);
  const auto length = static_cast<uint16_t>(header.size());
  const uint8_t preface[] = {1, 0, static_cast<uint8_t>(length & 0xff), static_cast<uint8_t>(length >> 8)};
  file.write(std::as_bytes(std::span(preface)));
  file.write(header);
  const Tensor dense = tensor.to(Device::kCpu).contiguous();
  file.write(std::span(dense.host_bytes(), static_cast<size_t>(dense.byte_count())));
  file.commit();
}

Tensor read_npy(const std::string& path) {
  const MappedFile file(path);
  try {
    return read_array(file.bytes());
  } catch (Error& error) {
    throw error.within(path);
  }
}

}  // namespace martlet::formats
