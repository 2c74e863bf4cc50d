#pragma once

// The key-value pairs of a GGUF file. Values stay where they lie in the mapped file: a vocabulary of a
// quarter of a million texts costs one walk over its lengths and no memory until it is asked for.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "formats/byte_reader.h"

namespace martlet::formats {

/// As the file numbers them.
enum class GgufKind : uint32_t {
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kText,
  kList,
  kU64,
  kI64,
  kF64
};

/// "u8", "f32", "text", "list", ...
std::string_view name_of(GgufKind kind);

/// Values are asked for by key and kind. A missing key without a fallback and a value of another kind throw
/// BadInput with the key, what was expected and what the file has. Texts are views into the mapped file,
/// valid while the metadata or the GgufFile that it came from lives. Texts are whatever bytes the file holds,
/// not necessarily UTF-8.
class GgufMetadata {
 public:
  GgufMetadata() = default;
  /// Walks `count` pairs; the bytes read must outlive this. Throws BadInput for a damaged pair, an unknown
  /// kind, nesting deeper than eight lists, and a key that comes twice.
  GgufMetadata(ByteReader& reader, uint64_t count);

  bool has(std::string_view key) const { return find(key) != nullptr; }
  /// In the order of the file.
  std::span<const std::string_view> keys() const { return keys_; }
  /// "u32", "text", "list of text (49152)"; the key must be there.
  std::string kind(std::string_view key) const;

  /// Any integer kind that fits 63 bits.
  int64_t integer(std::string_view key) const;
  int64_t integer(std::string_view key, int64_t fallback) const;
  /// Any number.
  double real(std::string_view key) const;
  double real(std::string_view key, double fallback) const;
  bool boolean(std::string_view key) const;
  bool boolean(std::string_view key, bool fallback) const;
  std::string_view text(std::string_view key) const;
  std::string_view text(std::string_view key, std::string_view fallback) const;

  // Lists. A single value reads as a list of one, since files give per-layer keys in either form.
  std::vector<std::string_view> texts(std::string_view key) const;
  /// Integers, and booleans as 0 and 1.
  std::vector<int64_t> integers(std::string_view key) const;
  std::vector<double> reals(std::string_view key) const;

  /// A value as the file stores it: one or, where `kind` is a list, `count` elements of `element`.
  struct Value {
    GgufKind kind = GgufKind::kU8;
    GgufKind element = GgufKind::kU8;
    uint64_t count = 1;
    std::span<const std::byte> bytes = {};  ///< of the value, or of all elements
  };
  /// The key must be there; the bytes live as long as texts do.
  const Value& raw(std::string_view key) const { return at(key); }

 private:
  static Value scan(ByteReader& reader, GgufKind kind, int depth);
  static std::string describe(const Value& value);
  const Value* find(std::string_view key) const;
  const Value& at(std::string_view key) const;
  template <typename T>
  T single(std::string_view key, std::string_view expected) const;
  template <typename T>
  std::vector<T> all(std::string_view key, std::string_view expected) const;

  std::vector<std::string_view> keys_;
  std::unordered_map<std::string_view, Value> values_;
};

}  // namespace martlet::formats
