#include "formats/gguf.h"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <optional>

#include "base/error.h"
#include "base/files.h"
#include "formats/gguf_types.h"
#include "formats/lfs_pointer.h"
#include "formats/names.h"

namespace martlet::formats {
namespace {

constexpr uint32_t kDefaultAlignment = 32;

/// What one file holds, and the mapping that its views need.
struct Part {
  MappedFile file;
  GgufMetadata metadata = {};
  std::vector<StoredTensor> tensors = {};
  int64_t number = 0;  // of `count` parts, from 0
  int64_t count = 1;
};

/// A tensor description: its place is known only after the last one is read.
struct Placed {
  StoredTensor tensor;
  uint64_t offset = 0;
  uint64_t bytes = 0;
};

void read_magic_and_version(ByteReader& reader) {
  const std::string_view magic = as_text(reader.take(4, "the magic"));
  if (magic != "GGUF") bad_input("a GGUF file begins with 'GGUF', this one with {}", in_quotes(magic));
  const auto version = reader.read<uint32_t>("the version");
  if (version != 0 && version % 65536 == 0)
    bad_input("the file is big-endian; only little-endian GGUF is supported");
  if (version == 1) bad_input("GGUF version 1 is obsolete and not supported; convert the file to version 3");
  if (version != 2 && version != 3)
    bad_input("GGUF version {} is unknown; versions 2 and 3 are supported", version);
}

Placed read_description(ByteReader& reader) {
  const auto length = reader.read<uint64_t>("the name of a tensor");
  Placed placed;
  placed.tensor.name = as_text(reader.take(length, "the name of a tensor"));
  try {
    const auto rank = reader.read<uint32_t>("the number of dimensions");
    if (rank > kMaxRank) bad_input("{} dimensions, the most is {}", rank, kMaxRank);
    int64_t sizes[kMaxRank] = {};
    for (uint32_t i = 0; i < rank; ++i) {
      const auto size = reader.read<uint64_t>("a size of the shape");
      if (size > static_cast<uint64_t>(INT64_MAX)) bad_input("size {} of dimension {} is too large", size, i);
      sizes[rank - 1 - i] = static_cast<int64_t>(size);
    }
    placed.tensor.shape = Shape(std::span<const int64_t>(sizes, rank));
    const GgufTensorType type = gguf_tensor_type(reader.read<uint32_t>("the tensor's type"));
    placed.tensor.dtype = type.dtype;
    placed.tensor.packed = type.packed;
    placed.offset = reader.read<uint64_t>("the tensor's offset");
  } catch (Error& error) {
    throw error.within("tensor " + in_quotes(placed.tensor.name));
  }
  placed.bytes = static_cast<uint64_t>(placed.tensor.byte_count());
  return placed;
}

uint64_t alignment_of(const GgufMetadata& metadata) {
  const int64_t alignment = metadata.integer("general.alignment", kDefaultAlignment);
  if (alignment < 1 || alignment > (int64_t{1} << 30) || (alignment & (alignment - 1)) != 0)
    bad_input("'general.alignment' is {}; a power of two is expected", alignment);
  return static_cast<uint64_t>(alignment);
}

/// Each tensor is aligned, within the `available` bytes of data, and none shares a byte with another.
void require_apart(const std::vector<Placed>& placed, uint64_t alignment, uint64_t available) {
  std::vector<const Placed*> order;
  order.reserve(placed.size());
  for (const Placed& one : placed) {
    if (one.offset % alignment != 0)
      bad_input("tensor {} has offset {}, which is no multiple of the alignment {}",
                in_quotes(one.tensor.name), one.offset, alignment);
    if (one.offset > available || one.bytes > available - one.offset)
      bad_input("tensor {} takes {} bytes from offset {}, but the data has {}; the file is cut or damaged",
                in_quotes(one.tensor.name), one.bytes, one.offset, available);
    if (one.bytes > 0) order.push_back(&one);
  }
  std::sort(order.begin(), order.end(),
            [](const Placed* a, const Placed* b) { return a->offset < b->offset; });
  for (size_t i = 1; i < order.size(); ++i)
    if (order[i - 1]->offset + order[i - 1]->bytes > order[i]->offset)
      bad_input("tensors {} and {} overlap", in_quotes(order[i - 1]->tensor.name),
                in_quotes(order[i]->tensor.name));
}

Part read_part(const std::string& path) {
  Part part{.file = MappedFile(path)};
  try {
    refuse_lfs_pointer(part.file.bytes());
    ByteReader reader(part.file.bytes());
    read_magic_and_version(reader);
    const auto tensor_count = reader.read<uint64_t>("the number of tensors");
    const auto pair_count = reader.read<uint64_t>("the number of metadata pairs");
    part.metadata = GgufMetadata(reader, pair_count);
    // A name's length, the number of dimensions, a type and an offset are the least of a description.
    reader.expect_room(tensor_count, 8 + 4 + 4 + 8, "tensors");
    std::vector<Placed> placed;
    for (uint64_t i = 0; i < tensor_count; ++i) placed.push_back(read_description(reader));
    const uint64_t alignment = alignment_of(part.metadata);
    const uint64_t padding = (alignment - reader.position() % alignment) % alignment;
    // A file without tensors may end at its metadata.
    const uint64_t start = reader.position() + std::min(padding, reader.remaining());
    require_apart(placed, alignment, part.file.bytes().size() - start);
    part.number = part.metadata.integer("split.no", 0);
    part.count = part.metadata.integer("split.count", 1);
    for (Placed& one : placed) {
      one.tensor.data = {part.file.share(), part.file.bytes().data() + start + one.offset};
      part.tensors.push_back(std::move(one.tensor));
    }
  } catch (Error& error) {
    throw error.within(path);
  }
  return part;
}

/// NAME of NAME-00002-of-00003.gguf; nothing when the path has another form.
std::optional<std::string> split_prefix(const std::string& path) {
  constexpr std::string_view kForm = "-00000-of-00000.gguf";
  if (path.size() < kForm.size()) return std::nullopt;
  const size_t begin = path.size() - kForm.size();
  for (size_t i = 0; i < kForm.size(); ++i) {
    const bool digit = std::isdigit(static_cast<unsigned char>(path[begin + i])) != 0;
    if (kForm[i] == '0' ? !digit : path[begin + i] != kForm[i]) return std::nullopt;
  }
  return path.substr(0, begin);
}

/// All parts in order, when the one named is of `count`.
std::vector<Part> read_split(const std::string& path, int64_t count) {
  const std::optional<std::string> prefix = split_prefix(path);
  if (!prefix)
    bad_input("{}: this is one of {} parts; name it NAME-00001-of-{:05}.gguf beside the others", path, count,
              count);
  std::vector<Part> parts;
  int64_t tensors = 0;
  for (int64_t i = 0; i < count; ++i) {
    const std::string part_path = fmt::format("{}-{:05}-of-{:05}.gguf", *prefix, i + 1, count);
    if (!file_exists(part_path))
      bad_input("{}: part {} of {} is missing; all parts must lie in one directory", part_path, i + 1, count);
    const Part& part = parts.emplace_back(read_part(part_path));
    if (part.number != i || part.count != count)
      bad_input("{}: its metadata says part {} of {}, its name part {} of {}", part_path, part.number + 1,
                part.count, i + 1, count);
    tensors += static_cast<int64_t>(part.tensors.size());
  }
  const int64_t promised = parts.front().metadata.integer("split.tensors.count", tensors);
  if (promised != tensors)
    bad_input("{}: the parts hold {} tensors together, 'split.tensors.count' promises {}", path, tensors,
              promised);
  return parts;
}

}  // namespace

GgufFile::GgufFile(const std::string& path) {
  std::vector<Part> parts;
  parts.push_back(read_part(path));
  if (parts.front().count > 1) parts = read_split(path, parts.front().count);
  std::vector<StoredTensor> all;
  for (const Part& part : parts) files_.push_back(part.file);
  for (Part& part : parts) std::move(part.tensors.begin(), part.tensors.end(), std::back_inserter(all));
  const std::string description =
      parts.size() == 1 ? fmt::format("{} ({} tensors)", path, all.size())
                        : fmt::format("{} ({} tensors in {} parts)", path, all.size(), parts.size());
  tensors_ = TensorSource(std::move(all), description);
  const auto first = std::make_shared<Part>(std::move(parts.front()));
  metadata_ = {first, &first->metadata};
}

std::vector<std::string> GgufFile::paths() const {
  std::vector<std::string> paths;
  for (const MappedFile& file : files_) paths.push_back(file.path());
  return paths;
}

TensorSource open_gguf(const std::string& path) {
  return GgufFile(path).tensors();
}

}  // namespace martlet::formats
