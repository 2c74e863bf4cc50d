#include "formats/gguf_metadata.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "base/error.h"
#include "formats/names.h"

namespace martlet::formats {
namespace {

// Files in the wild do not nest lists at all; the bound only keeps recursion finite.
constexpr int kDeepestList = 8;

constexpr std::string_view kKindNames[] = {"u8",   "i8",   "u16",  "i16", "u32", "i32", "f32",
                                           "bool", "text", "list", "u64", "i64", "f64"};

/// Bytes of a value of fixed size; for texts and lists the least that one takes.
uint64_t least_bytes(GgufKind kind) {
  switch (kind) {
    case GgufKind::kU8:
    case GgufKind::kI8:
    case GgufKind::kBool:
      return 1;
    case GgufKind::kU16:
    case GgufKind::kI16:
      return 2;
    case GgufKind::kU32:
    case GgufKind::kI32:
    case GgufKind::kF32:
      return 4;
    case GgufKind::kList:
      return 12;
    default:
      return 8;
  }
}

GgufKind read_kind(ByteReader& reader) {
  const auto number = reader.read<uint32_t>("the kind of a value");
  if (number >= std::size(kKindNames))
    bad_input("unknown kind of value {} at byte {}; kinds 0 to {} are known", number, reader.position() - 4,
              std::size(kKindNames) - 1);
  return static_cast<GgufKind>(number);
}

std::string_view read_text(ByteReader& reader, std::string_view what) {
  const auto length = reader.read<uint64_t>(what);
  return as_text(reader.take(length, what));
}

// One element of a kind as the type asked for; nothing when the kind is another.

std::optional<int64_t> convert(GgufKind kind, const std::byte* from, int64_t) {
  switch (kind) {
    case GgufKind::kU8:
      return load<uint8_t>(from);
    case GgufKind::kI8:
      return load<int8_t>(from);
    case GgufKind::kU16:
      return load<uint16_t>(from);
    case GgufKind::kI16:
      return load<int16_t>(from);
    case GgufKind::kU32:
      return load<uint32_t>(from);
    case GgufKind::kI32:
      return load<int32_t>(from);
    case GgufKind::kI64:
      return load<int64_t>(from);
    case GgufKind::kU64: {
      const auto value = load<uint64_t>(from);
      if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
      return static_cast<int64_t>(value);
    }
    default:
      return std::nullopt;
  }
}

std::optional<double> convert(GgufKind kind, const std::byte* from, double) {
  if (kind == GgufKind::kF32) return load<float>(from);
  if (kind == GgufKind::kF64) return load<double>(from);
  if (const std::optional<int64_t> whole = convert(kind, from, int64_t{})) return static_cast<double>(*whole);
  return std::nullopt;
}

std::optional<bool> convert(GgufKind kind, const std::byte* from, bool) {
  if (kind != GgufKind::kBool || load<uint8_t>(from) > 1) return std::nullopt;
  return load<uint8_t>(from) == 1;
}

std::optional<std::string_view> convert(GgufKind kind, const std::byte* from, std::string_view) {
  if (kind != GgufKind::kText) return std::nullopt;
  return std::string_view(reinterpret_cast<const char*>(from) + sizeof(uint64_t), load<uint64_t>(from));
}

/// What a kind of fixed size or a text, already scanned, takes.
uint64_t bytes_at(GgufKind kind, const std::byte* from) {
  return least_bytes(kind) + (kind == GgufKind::kText ? load<uint64_t>(from) : 0);
}

}  // namespace

std::string_view name_of(GgufKind kind) {
  return kKindNames[static_cast<size_t>(kind)];
}

GgufMetadata::GgufMetadata(ByteReader& reader, uint64_t count) {
  reader.expect_room(count, sizeof(uint64_t) + sizeof(uint32_t) + 1, "metadata pairs");
  // A lying count may still be large; the table grows with what is really there.
  keys_.reserve(std::min<uint64_t>(count, 4096));
  values_.reserve(std::min<uint64_t>(count, 4096));
  for (uint64_t i = 0; i < count; ++i) {
    const std::string_view key = read_text(reader, "a metadata key");
    try {
      const GgufKind kind = read_kind(reader);
      if (!values_.emplace(key, scan(reader, kind, 0)).second) bad_input("the key comes twice");
    } catch (Error& error) {
      throw error.within("metadata " + in_quotes(key));
    }
    keys_.push_back(key);
  }
}

GgufMetadata::Value GgufMetadata::scan(ByteReader& reader, GgufKind kind, int depth) {
  Value value{.kind = kind, .element = kind};
  if (kind != GgufKind::kList) {
    ByteReader begin = reader;
    const uint64_t start = reader.position();
    if (kind == GgufKind::kText) {
      read_text(reader, "a text");
    } else {
      reader.take(least_bytes(kind), name_of(kind));
    }
    value.bytes = begin.take(reader.position() - start, name_of(kind));
    return value;
  }
  if (depth == kDeepestList) bad_input("lists are nested deeper than {}", kDeepestList);
  value.element = read_kind(reader);
  value.count = reader.read<uint64_t>("the length of a list");
  reader.expect_room(value.count, least_bytes(value.element), "list elements");
  ByteReader begin = reader;
  const uint64_t start = reader.position();
  if (value.element == GgufKind::kText) {
    for (uint64_t i = 0; i < value.count; ++i) read_text(reader, "a text of a list");
  } else if (value.element == GgufKind::kList) {
    for (uint64_t i = 0; i < value.count; ++i) scan(reader, GgufKind::kList, depth + 1);
  } else {
    reader.take(value.count * least_bytes(value.element), "the elements of a list");
  }
  value.bytes = begin.take(reader.position() - start, "a list");
  return value;
}

std::string GgufMetadata::describe(const Value& value) {
  if (value.kind != GgufKind::kList) return std::string(name_of(value.kind));
  return fmt::format("list of {} ({})", name_of(value.element), value.count);
}

const GgufMetadata::Value* GgufMetadata::find(std::string_view key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? nullptr : &found->second;
}

const GgufMetadata::Value& GgufMetadata::at(std::string_view key) const {
  const Value* value = find(key);
  if (!value) bad_input("the GGUF metadata has no key {}", in_quotes(key));
  return *value;
}

std::string GgufMetadata::kind(std::string_view key) const {
  return describe(at(key));
}

template <typename T>
T GgufMetadata::single(std::string_view key, std::string_view expected) const {
  const Value& value = at(key);
  const std::optional<T> result =
      value.kind == GgufKind::kList ? std::nullopt : convert(value.kind, value.bytes.data(), T{});
  if (!result) bad_input("GGUF metadata {} must be {}, got {}", in_quotes(key), expected, describe(value));
  return *result;
}

template <typename T>
std::vector<T> GgufMetadata::all(std::string_view key, std::string_view expected) const {
  const Value& value = at(key);
  std::vector<T> results;
  if (value.element != GgufKind::kList) results.reserve(value.count);
  const std::byte* from = value.bytes.data();
  for (uint64_t i = 0; i < value.count; ++i) {
    const std::optional<T> result =
        value.element == GgufKind::kList ? std::nullopt : convert(value.element, from, T{});
    if (!result)
      bad_input("GGUF metadata {} must be a list of {}, got {} with another element at {}", in_quotes(key),
                expected, describe(value), i);
    results.push_back(*result);
    from += bytes_at(value.element, from);
  }
  return results;
}

int64_t GgufMetadata::integer(std::string_view key) const {
  return single<int64_t>(key, "an integer of 63 bits");
}

int64_t GgufMetadata::integer(std::string_view key, int64_t fallback) const {
  return has(key) ? integer(key) : fallback;
}

double GgufMetadata::real(std::string_view key) const {
  return single<double>(key, "a number");
}

double GgufMetadata::real(std::string_view key, double fallback) const {
  return has(key) ? real(key) : fallback;
}

bool GgufMetadata::boolean(std::string_view key) const {
  return single<bool>(key, "a boolean (0 or 1)");
}

bool GgufMetadata::boolean(std::string_view key, bool fallback) const {
  return has(key) ? boolean(key) : fallback;
}

std::string_view GgufMetadata::text(std::string_view key) const {
  return single<std::string_view>(key, "a text");
}

std::string_view GgufMetadata::text(std::string_view key, std::string_view fallback) const {
  return has(key) ? text(key) : fallback;
}

std::vector<std::string_view> GgufMetadata::texts(std::string_view key) const {
  return all<std::string_view>(key, "texts");
}

std::vector<int64_t> GgufMetadata::integers(std::string_view key) const {
  if (at(key).element != GgufKind::kBool) return all<int64_t>(key, "integers");
  std::vector<int64_t> numbers;
  for (const bool flag : all<bool>(key, "booleans (0 or 1)")) numbers.push_back(flag ? 1 : 0);
  return numbers;
}

std::vector<double> GgufMetadata::reals(std::string_view key) const {
  return all<double>(key, "numbers");
}

}  // namespace martlet::formats
