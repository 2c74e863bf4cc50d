#include "formats/gguf_writer.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "formats/names.h"

namespace martlet::formats {
namespace {

constexpr uint32_t kVersion = 3;
// What readers take where the metadata names no other.
constexpr uint64_t kAlignment = 32;

template <typename T>
void append(std::string& to, T value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void append_text(std::string& to, std::string_view text) {
  append(to, static_cast<uint64_t>(text.size()));
  to.append(text);
}

uint64_t aligned(uint64_t offset) {
  return (offset + kAlignment - 1) / kAlignment * kAlignment;
}

void require_distinct_names(std::span<const OutgoingGgufTensor> tensors) {
  std::vector<std::string_view> names;
  for (const OutgoingGgufTensor& tensor : tensors) names.push_back(tensor.name);
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) failed("two tensors to be written are named {}", in_quotes(*twice));
}

std::string header_of(const GgufPairs& metadata, std::span<const OutgoingGgufTensor> tensors) {
  std::string header = "GGUF";
  append(header, kVersion);
  append(header, static_cast<uint64_t>(tensors.size()));
  append(header, metadata.count());
  header.append(metadata.bytes());
  uint64_t offset = 0;
  for (const OutgoingGgufTensor& tensor : tensors) {
    append_text(header, tensor.name);
    append(header, static_cast<uint32_t>(tensor.shape.rank()));
    for (int dim = tensor.shape.rank() - 1; dim >= 0; --dim)
      append(header, static_cast<uint64_t>(tensor.shape[dim]));
    append(header, gguf_type_number(tensor.type));
    append(header, offset);
    offset = aligned(offset + static_cast<uint64_t>(tensor.byte_count()));
  }
  header.append(aligned(header.size()) - header.size(), '\0');
  return header;
}

/// `written`: called after each part.
void write_parts(AtomicFile& file, const OutgoingGgufTensor& outgoing, const std::function<void()>& written) {
  const uint64_t begin = file.position();
  outgoing.in_parts([&](std::span<const std::byte> part) {
    throw_if_interrupted();
    file.write(part);
    written();
  });
  const auto bytes = static_cast<int64_t>(file.position() - begin);
  if (bytes != outgoing.byte_count())
    failed("tensor {} was announced with {} bytes but has {}", in_quotes(outgoing.name),
           outgoing.byte_count(), bytes);
}

void write_tensor(AtomicFile& file, const OutgoingGgufTensor& outgoing) {
  const Tensor tensor = outgoing.load().to(Device::kCpu).contiguous();
  const DType dtype = outgoing.type.packed != nullptr ? DType::kU8 : outgoing.type.dtype;
  if (tensor.dtype() != dtype || tensor.byte_count() != outgoing.byte_count())
    failed("tensor {} was announced with {} bytes but is {}", in_quotes(outgoing.name), outgoing.byte_count(),
           tensor.to_string());
  file.write(std::span(tensor.host_bytes(), static_cast<size_t>(tensor.byte_count())));
}

}  // namespace

void GgufPairs::begin(std::string_view key, GgufKind kind) {
  if (has(key)) failed("the metadata key {} is written twice", in_quotes(key));
  keys_.emplace_back(key);
  append_text(bytes_, key);
  append(bytes_, static_cast<uint32_t>(kind));
}

void GgufPairs::begin_list(std::string_view key, GgufKind element, size_t count) {
  begin(key, GgufKind::kList);
  append(bytes_, static_cast<uint32_t>(element));
  append(bytes_, static_cast<uint64_t>(count));
}

GgufPairs& GgufPairs::text(std::string_view key, std::string_view value) {
  begin(key, GgufKind::kText);
  append_text(bytes_, value);
  return *this;
}

GgufPairs& GgufPairs::boolean(std::string_view key, bool value) {
  begin(key, GgufKind::kBool);
  append(bytes_, static_cast<uint8_t>(value));
  return *this;
}

GgufPairs& GgufPairs::integer(std::string_view key, int64_t value) {
  if (value < 0 || value > std::numeric_limits<uint32_t>::max())
    bad_input("{} is {}, which a GGUF file cannot say: 0 to {} fit", key, value,
              std::numeric_limits<uint32_t>::max());
  begin(key, GgufKind::kU32);
  append(bytes_, static_cast<uint32_t>(value));
  return *this;
}

GgufPairs& GgufPairs::real(std::string_view key, double value) {
  begin(key, GgufKind::kF32);
  append(bytes_, static_cast<float>(value));
  return *this;
}

GgufPairs& GgufPairs::texts(std::string_view key, std::span<const std::string_view> values) {
  begin_list(key, GgufKind::kText, values.size());
  for (const std::string_view value : values) append_text(bytes_, value);
  return *this;
}

GgufPairs& GgufPairs::reals(std::string_view key, std::span<const float> values) {
  begin_list(key, GgufKind::kF32, values.size());
  for (const float value : values) append(bytes_, value);
  return *this;
}

GgufPairs& GgufPairs::integers(std::string_view key, std::span<const int32_t> values) {
  begin_list(key, GgufKind::kI32, values.size());
  for (const int32_t value : values) append(bytes_, value);
  return *this;
}

GgufPairs& GgufPairs::copy(std::string_view key, const GgufMetadata& from) {
  const GgufMetadata::Value& value = from.raw(key);
  if (value.kind == GgufKind::kList)
    begin_list(key, value.element, value.count);
  else
    begin(key, value.kind);
  bytes_.append(as_text(value.bytes));
  return *this;
}

bool GgufPairs::has(std::string_view key) const {
  return std::find(keys_.begin(), keys_.end(), key) != keys_.end();
}

int64_t OutgoingGgufTensor::byte_count() const {
  StoredTensor stored;
  stored.name = name;
  stored.shape = shape;
  stored.dtype = type.dtype;
  stored.packed = type.packed;
  return stored.byte_count();
}

void write_gguf(const std::string& path, const GgufPairs& metadata,
                std::span<const OutgoingGgufTensor> tensors, Progress& progress) {
  require_distinct_names(tensors);
  const std::string header = header_of(metadata, tensors);
  uint64_t total = 0;
  for (const OutgoingGgufTensor& tensor : tensors)
    total += aligned(static_cast<uint64_t>(tensor.byte_count()));
  AtomicFile file(path);
  file.reserve(header.size() + total);
  file.write(header);
  progress.start("Writing", total, "B");
  const auto advance = [&] { progress.advance(file.position() - header.size()); };
  for (const OutgoingGgufTensor& tensor : tensors) {
    throw_if_interrupted();
    if (tensor.in_parts)
      write_parts(file, tensor, advance);
    else
      write_tensor(file, tensor);
    // The last tensor is filled up too: readers may take whole steps.
    file.write(std::string(aligned(file.position()) - file.position(), '\0'));
    advance();
  }
  file.commit();
  progress.finish();
}

}  // namespace martlet::formats
