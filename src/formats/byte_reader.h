#pragma once

// A cursor over bytes from outside: nothing is read before the length is known to be there.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

namespace martlet::formats {

static_assert(std::endian::native == std::endian::little, "the formats read here are little-endian");

/// A little-endian number that need not be aligned.
template <typename T>
T load(const std::byte* from) {
  static_assert(std::is_trivially_copyable_v<T>);
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  uint64_t position() const { return position_; }
  uint64_t remaining() const { return bytes_.size() - position_; }

  /// The next number; throws BadInput naming `what` when the bytes end before it does.
  template <typename T>
  T read(std::string_view what) {
    return load<T>(take(sizeof(T), what).data());
  }
  /// The next `count` bytes, as a view.
  std::span<const std::byte> take(uint64_t count, std::string_view what);
  /// Throws unless `count` things of at least `least` bytes each can still follow: a lying count is refused
  /// before any memory is taken for it.
  void expect_room(uint64_t count, uint64_t least, std::string_view what) const;

 private:
  std::span<const std::byte> bytes_;
  uint64_t position_ = 0;
};

inline std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace martlet::formats
