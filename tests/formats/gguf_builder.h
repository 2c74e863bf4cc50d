#pragma once

// Writes GGUF files for tests: true ones, and such that lie where a test wants them to.

#include <string>
#include <string_view>
#include <vector>

#include "formats/gguf_metadata.h"
#include "formats/testing.h"

namespace martlet::formats {

/// A text as GGUF stores it: length and bytes.
std::string gguf_text(std::string_view text);
/// A list: kind and number of its elements, then their bytes.
std::string gguf_list(GgufKind element, uint64_t count, std::string_view bytes);

class GgufBuilder {
 public:
  uint32_t version = 3;
  uint64_t alignment = 32;

  /// A pair whose value's bytes are given.
  GgufBuilder& add(std::string_view key, GgufKind kind, std::string_view value_bytes);
  GgufBuilder& add_text(std::string_view key, std::string_view text) {
    return add(key, GgufKind::kText, gguf_text(text));
  }
  template <typename T>
  GgufBuilder& add_number(std::string_view key, GgufKind kind, T value) {
    return add(key, kind, bytes_of(value));
  }
  /// Sizes as the file has them: columns first.
  GgufBuilder& add_tensor(std::string_view name, std::vector<uint64_t> sizes, uint32_t type,
                          std::string data);
  /// With an offset of the caller's choice; adds no data.
  GgufBuilder& add_lying_tensor(std::string_view name, std::vector<uint64_t> sizes, uint32_t type,
                                uint64_t offset);

  std::string build() const;

 private:
  std::string pairs_;
  uint64_t pair_count_ = 0;
  std::string descriptions_;
  uint64_t tensor_count_ = 0;
  std::string data_;
};

/// Bytes of any value.
std::string random_bytes(size_t count, uint64_t seed);

}  // namespace martlet::formats
