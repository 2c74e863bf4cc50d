// Writing safetensors: one pass over the tensors, each loaded when its turn comes.

#include <algorithm>
#include <cstdio>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "base/utf8.h"
#include "formats/names.h"
#include "formats/safetensors.h"
#include "formats/safetensors_types.h"

namespace martlet::formats {
namespace {

// The elements begin on a cache line: of the mapped file, and so of memory.
constexpr size_t kDataAlignment = 64;

int64_t bytes_of(const OutgoingTensor& tensor) {
  return tensor.shape.element_count() * size_of(tensor.dtype);
}

/// Wide elements first, so that every tensor is aligned to its own element size.
std::vector<const OutgoingTensor*> in_file_order(std::vector<const OutgoingTensor*> order) {
  std::stable_sort(order.begin(), order.end(), [](const OutgoingTensor* a, const OutgoingTensor* b) {
    return size_of(a->dtype) > size_of(b->dtype);
  });
  return order;
}

void require_distinct_names(std::span<const OutgoingTensor> tensors) {
  std::vector<std::string_view> names;
  for (const OutgoingTensor& tensor : tensors) {
    names.push_back(tensor.name);
    if (tensor.name == "__metadata__" || !is_valid_utf8(tensor.name))
      failed("a safetensors file cannot hold a tensor named {}", in_quotes(tensor.name));
  }
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) failed("two tensors to be written are named {}", in_quotes(*twice));
}

std::string header_of(std::span<const OutgoingTensor* const> tensors, const TextPairs& metadata) {
  Json::Object extra;
  bool has_format = false;
  for (const auto& [key, value] : metadata) {
    extra.emplace_back(key, value);
    has_format = has_format || key == "format";
  }
  if (!has_format) extra.emplace_back("format", "pt");
  std::string header = "{\"__metadata__\":" + Json(std::move(extra)).dump();
  int64_t offset = 0;
  for (const OutgoingTensor* tensor : tensors) {
    header += fmt::format(",{}:{{\"dtype\":\"{}\",\"shape\":[", Json(tensor->name).dump(),
                          safetensors_name(tensor->dtype));
    for (int dim = 0; dim < tensor->shape.rank(); ++dim)
      header += fmt::format("{}{}", dim > 0 ? "," : "", tensor->shape[dim]);
    const int64_t end = offset + bytes_of(*tensor);
    header += fmt::format("],\"data_offsets\":[{},{}]}}", offset, end);
    offset = end;
  }
  header += '}';
  const size_t unpadded = sizeof(uint64_t) + header.size();
  header.append((kDataAlignment - unpadded % kDataAlignment) % kDataAlignment, ' ');
  return header;
}

void write_parts(AtomicFile& file, const OutgoingTensor& outgoing) {
  const uint64_t begin = file.position();
  outgoing.in_parts([&](std::span<const std::byte> part) { file.write(part); });
  const auto written = static_cast<int64_t>(file.position() - begin);
  if (written != bytes_of(outgoing))
    failed("tensor {} was announced with {} bytes but has {}", in_quotes(outgoing.name), bytes_of(outgoing),
           written);
}

void write_elements(AtomicFile& file, const OutgoingTensor& outgoing) {
  if (outgoing.in_parts) return write_parts(file, outgoing);
  const Tensor tensor = outgoing.load().to(Device::kCpu).contiguous();
  if (tensor.shape() != outgoing.shape || tensor.dtype() != outgoing.dtype)
    failed("tensor {} was announced as {}{} but is {}", in_quotes(outgoing.name), name_of(outgoing.dtype),
           outgoing.shape.to_string(), tensor.to_string());
  file.write(std::span(tensor.host_bytes(), static_cast<size_t>(tensor.byte_count())));
}

void write_file_of(const std::string& path, std::vector<const OutgoingTensor*> unordered,
                   const TextPairs& metadata) {
  const std::vector<const OutgoingTensor*> tensors = in_file_order(std::move(unordered));
  const std::string header = header_of(tensors, metadata);
  const uint64_t length = header.size();
  int64_t elements = 0;
  for (const OutgoingTensor* tensor : tensors) elements += bytes_of(*tensor);
  AtomicFile file(path);
  file.reserve(sizeof length + length + static_cast<uint64_t>(elements));
  file.write(std::as_bytes(std::span(&length, 1)));
  file.write(header);
  for (const OutgoingTensor* tensor : tensors) write_elements(file, *tensor);
  file.commit();
}

/// Fills files up to `shard_bytes`; a larger tensor has a file of its own.
std::vector<std::vector<const OutgoingTensor*>> cut_in_shards(std::span<const OutgoingTensor> tensors,
                                                              int64_t shard_bytes) {
  std::vector<std::vector<const OutgoingTensor*>> shards(1);
  int64_t filled = 0;
  for (const OutgoingTensor& tensor : tensors) {
    if (!shards.back().empty() && bytes_of(tensor) > shard_bytes - filled) {
      shards.emplace_back();
      filled = 0;
    }
    shards.back().push_back(&tensor);
    filled += bytes_of(tensor);
  }
  return shards;
}

void remove_stale(const std::string& directory, std::string_view name) {
  std::remove(fmt::format("{}/{}", directory, name).c_str());
}

}  // namespace

OutgoingTensor::OutgoingTensor(std::string its_name, Tensor tensor)
    : name(std::move(its_name)),
      shape(tensor.shape()),
      dtype(tensor.dtype()),
      load([tensor = std::move(tensor)] { return tensor; }) {}

void write_safetensors(const std::string& path, std::span<const OutgoingTensor> tensors,
                       const TextPairs& metadata) {
  require_distinct_names(tensors);
  std::vector<const OutgoingTensor*> pointers;
  for (const OutgoingTensor& tensor : tensors) pointers.push_back(&tensor);
  write_file_of(path, std::move(pointers), metadata);
}

std::vector<std::string> write_safetensors_directory(const std::string& directory,
                                                     std::span<const OutgoingTensor> tensors,
                                                     const TextPairs& metadata, int64_t shard_bytes) {
  require_distinct_names(tensors);
  make_directories(directory);
  const auto shards = cut_in_shards(tensors, shard_bytes);
  if (shards.size() == 1) {
    write_safetensors(fmt::format("{}/{}", directory, kSafetensorsFile), tensors, metadata);
    remove_stale(directory, kSafetensorsIndex);
    return {std::string(kSafetensorsFile)};
  }
  std::vector<std::string> files;
  Json::Object map;
  int64_t total = 0;
  for (const auto& shard : shards) {
    files.push_back(fmt::format("model-{:05}-of-{:05}.safetensors", files.size() + 1, shards.size()));
    write_file_of(fmt::format("{}/{}", directory, files.back()), shard, metadata);
    for (const OutgoingTensor* tensor : shard) {
      map.emplace_back(tensor->name, files.back());
      total += bytes_of(*tensor);
    }
  }
  Json index;
  index.set("metadata", Json::Object{{"total_size", total}});
  index.set("weight_map", std::move(map));
  write_file(fmt::format("{}/{}", directory, kSafetensorsIndex), index.dump(2) + "\n");
  remove_stale(directory, kSafetensorsFile);
  files.emplace_back(kSafetensorsIndex);
  return files;
}

}  // namespace martlet::formats
