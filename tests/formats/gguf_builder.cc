#include "formats/gguf_builder.h"

namespace martlet::formats {

std::string gguf_text(std::string_view text) {
  return bytes_of(uint64_t{text.size()}) + std::string(text);
}

std::string gguf_list(GgufKind element, uint64_t count, std::string_view bytes) {
  return bytes_of(element) + bytes_of(count) + std::string(bytes);
}

GgufBuilder& GgufBuilder::add(std::string_view key, GgufKind kind, std::string_view value_bytes) {
  pairs_ += gguf_text(key) + bytes_of(kind) + std::string(value_bytes);
  ++pair_count_;
  return *this;
}

GgufBuilder& GgufBuilder::add_tensor(std::string_view name, std::vector<uint64_t> sizes, uint32_t type,
                                     std::string data) {
  data_.append((alignment - data_.size() % alignment) % alignment, '\0');
  add_lying_tensor(name, std::move(sizes), type, data_.size());
  data_ += data;
  return *this;
}

GgufBuilder& GgufBuilder::add_lying_tensor(std::string_view name, std::vector<uint64_t> sizes, uint32_t type,
                                           uint64_t offset) {
  descriptions_ += gguf_text(name) + bytes_of(static_cast<uint32_t>(sizes.size()));
  for (const uint64_t size : sizes) descriptions_ += bytes_of(size);
  descriptions_ += bytes_of(type) + bytes_of(offset);
  ++tensor_count_;
  return *this;
}

std::string GgufBuilder::build() const {
  std::string file =
      "GGUF" + bytes_of(version) + bytes_of(tensor_count_) + bytes_of(pair_count_) + pairs_ + descriptions_;
  file.append((alignment - file.size() % alignment) % alignment, '\0');
  return file + data_;
}

std::string random_bytes(size_t count, uint64_t seed) {
  const Philox random(seed);
  std::string bytes(count, '\0');
  for (size_t i = 0; i < count; ++i) bytes[i] = static_cast<char>(random.bits(i) & 0xff);
  return bytes;
}

}  // namespace martlet::formats
