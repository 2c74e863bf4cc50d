#include "compress/stored_importance.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/files.h"
#include "formats/byte_reader.h"
#include "formats/gguf.h"
#include "formats/names.h"
#include "tensor/tensor.h"

namespace martlet::compress {
namespace {

void check_numbers(std::span<const float> numbers, const std::string& where, std::string_view name) {
  for (const float number : numbers)
    if (!(number >= 0) || !std::isfinite(number))
      bad_input("{}: tensor {} holds {}; sums of squares and counts are finite and not negative", where,
                formats::in_quotes(name), number);
}

StoredImportance read_gguf(const std::string& path) {
  const formats::GgufFile file(path);
  const formats::GgufMetadata& metadata = file.metadata();
  if (metadata.text("general.type", "") != "imatrix")
    bad_input("{}: this GGUF file holds no importance (its general.type is \"{}\", not \"imatrix\")", path,
              metadata.text("general.type", ""));
  StoredImportance stored;
  stored.window = metadata.integer("imatrix.chunk_size", 0);
  stored.tokens = stored.window * metadata.integer("imatrix.chunk_count", 0);
  if (metadata.has("imatrix.datasets")) {
    const auto names = metadata.texts("imatrix.datasets");
    if (!names.empty()) stored.data = names.front();
  }
  const formats::TensorSource& source = file.tensors();
  const auto numbers_of = [&](const std::string& name) {
    const Tensor tensor = source.tensor(name);
    if (tensor.dtype() != DType::kF32)
      bad_input("{}: tensor {} is {}; sums of squares and counts are f32", source.describe(),
                formats::in_quotes(name), name_of(tensor.dtype()));
    std::vector<float> numbers = tensor.to_vector<float>();
    check_numbers(numbers, source.describe(), name);
    return numbers;
  };
  for (const std::string& name : source.names()) {
    if (!name.ends_with(kSquaresSuffix)) continue;
    const std::string tensor = name.substr(0, name.size() - kSquaresSuffix.size());
    const std::string counts = tensor + std::string(kCountsSuffix);
    if (source.has(counts)) stored.tensors[tensor] = {numbers_of(name), numbers_of(counts)};
  }
  return stored;
}

uint64_t count_in(formats::ByteReader& reader, std::string_view what) {
  const auto count = reader.read<int32_t>(what);
  if (count < 0) bad_input("{} are {}; the file is damaged", what, count);
  return static_cast<uint64_t>(count);
}

/// How many things of so many bytes follow, which must be there.
uint64_t length(formats::ByteReader& reader, std::string_view what, uint64_t bytes_each) {
  const uint64_t count = count_in(reader, what);
  reader.expect_room(count, bytes_each, what);
  return count;
}

std::string name_in(formats::ByteReader& reader) {
  return std::string(formats::as_text(reader.take(length(reader, "characters of a name", 1), "a name")));
}

StoredImportance read_older(std::span<const std::byte> bytes) {
  formats::ByteReader reader(bytes);
  StoredImportance stored;
  const uint64_t entries = length(reader, "entries", 12);
  for (uint64_t entry = 0; entry < entries; ++entry) {
    const std::string name = name_in(reader);
    const auto count = static_cast<float>(count_in(reader, "chunks of a tensor"));
    std::vector<float> numbers(length(reader, "numbers", sizeof(float)));
    const std::span<const std::byte> stored_numbers = reader.take(numbers.size() * sizeof(float), "numbers");
    std::copy(stored_numbers.begin(), stored_numbers.end(), reinterpret_cast<std::byte*>(numbers.data()));
    check_numbers(numbers, "the file", name);
    // Counts of 0 were written where numbers need no division.
    stored.tensors[name] = {std::move(numbers), {count == 0 ? 1.0F : count}};
  }
  if (reader.remaining() == 0) return stored;
  reader.read<int32_t>("the number of chunks");
  stored.data = name_in(reader);
  return stored;
}

}  // namespace

bool is_older_importance(std::span<const std::byte> bytes) {
  // Four characters of text make a number beyond any of entries, and four more one beyond any name's length.
  constexpr int32_t kMostEntries = 1 << 20, kLongestName = 1 << 10;
  if (bytes.size() < 12) return false;
  const auto entries = formats::load<int32_t>(bytes.data()), name = formats::load<int32_t>(bytes.data() + 4);
  return entries > 0 && entries <= kMostEntries && name > 0 && name <= kLongestName;
}

StoredImportance read_stored(const std::string& path) {
  const MappedFile file(path);
  if (!is_older_importance(file.bytes())) return read_gguf(path);
  try {
    return read_older(file.bytes());
  } catch (Error& error) {
    throw error.within(path);
  }
}

}  // namespace martlet::compress
