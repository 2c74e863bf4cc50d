#include "formats/safetensors.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "formats/byte_reader.h"
#include "formats/lfs_pointer.h"
#include "formats/names.h"
#include "formats/safetensors_header.h"
#include "formats/safetensors_types.h"

namespace martlet::formats {
namespace {

// The bound that the format's own library sets, so that a lying length cannot take all memory.
constexpr uint64_t kLongestHeader = 100'000'000;

/// The tensor that an entry describes; `data` is all that follows the header.
StoredTensor stored_tensor(const SafetensorsEntry& entry, const MappedFile& file,
                           std::span<const std::byte> data) {
  const std::optional<DType> dtype = dtype_of_safetensors(entry.dtype);
  if (!dtype)
    bad_input("tensor {} has the dtype {}; those supported are {}", in_quotes(entry.name),
              in_quotes(entry.dtype), safetensors_names());
  if (entry.begin > entry.end || entry.end > data.size())
    bad_input("tensor {} lies at bytes {} to {} of the data, which has {} bytes", in_quotes(entry.name),
              entry.begin, entry.end, data.size());
  StoredTensor tensor{.name = entry.name, .shape = entry.shape, .dtype = *dtype};
  const int64_t bytes = tensor.byte_count();
  if (static_cast<uint64_t>(bytes) != entry.end - entry.begin)
    bad_input("tensor {} of shape {} and dtype {} takes {} bytes, but its offsets {} to {} hold {}",
              in_quotes(entry.name), entry.shape.to_string(), entry.dtype, bytes, entry.begin, entry.end,
              entry.end - entry.begin);
  tensor.data = {file.share(), data.data() + entry.begin};
  return tensor;
}

/// The tensors must fill the data exactly: each begins where the one before ends.
void require_no_gaps(std::vector<SafetensorsEntry> entries, uint64_t data_bytes) {
  std::sort(entries.begin(), entries.end(), [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  uint64_t expected = 0;
  for (const SafetensorsEntry& entry : entries) {
    if (entry.begin != expected)
      bad_input("tensor {} begins at byte {} of the data, where {} was expected: tensors {}",
                in_quotes(entry.name), entry.begin, expected,
                entry.begin < expected ? "overlap" : "leave a gap");
    expected = entry.end;
  }
  if (expected != data_bytes)
    bad_input("the tensors end at byte {} of the data, but it has {} bytes; {} bytes belong to no tensor",
              expected, data_bytes, data_bytes - expected);
}

void require_distinct(const std::vector<SafetensorsEntry>& entries) {
  std::set<std::string_view> names;
  for (const SafetensorsEntry& entry : entries)
    if (!names.insert(entry.name).second) bad_input("tensor {} comes twice", in_quotes(entry.name));
}

std::string file_names(const std::string& path, size_t tensors) {
  return fmt::format("{} ({} tensors)", path, tensors);
}

/// A name from the index is a plain file of the directory, nothing that leads out of it.
void require_plain(const std::string& file) {
  const bool plain = !file.empty() && file != "." && file != ".." &&
                     file.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
  if (!plain)
    bad_input("the index names the file {}; a plain name within the directory is needed", in_quotes(file));
}

/// The tensors that the index promises to each file, in the order of the file names.
std::map<std::string, std::set<std::string>> read_index(const Json& index) {
  const Json* map = index.find("weight_map");
  if (!map || !map->is_object()) bad_input("the table \"weight_map\" is missing");
  std::map<std::string, std::set<std::string>> files;
  for (const auto& [name, file] : map->object()) {
    if (!file.is_string())
      bad_input("tensor {} maps to {}, not to a file name", in_quotes(name), file.kind_name());
    require_plain(file.string());
    files[file.string()].insert(name);
  }
  return files;
}

/// The index must tell the truth about a shard, name by name.
void require_promised(const std::string& file, const std::vector<StoredTensor>& tensors,
                      std::set<std::string> promised) {
  std::vector<std::string> extra;
  for (const StoredTensor& tensor : tensors)
    if (promised.erase(tensor.name) == 0) extra.push_back(tensor.name);
  if (!promised.empty())
    bad_input("the index promises tensors that {} lacks: {}", in_quotes(file),
              listed(std::vector<std::string>(promised.begin(), promised.end())));
  if (!extra.empty())
    bad_input("{} holds tensors that the index does not place there: {}", in_quotes(file), listed(extra));
}

TensorSource open_sharded(const std::string& directory, const std::string& index_path) {
  const Json index = Json::parse_file(index_path);
  std::map<std::string, std::set<std::string>> files;
  std::vector<StoredTensor> all;
  try {
    files = read_index(index);
    for (auto& [file, promised] : files)
      if (!file_exists(directory + "/" + file))
        bad_input("the file {} that the index names is missing from the directory", in_quotes(file));
  } catch (Error& error) {
    throw error.within(index_path);
  }
  for (auto& [file, promised] : files) {
    std::vector<StoredTensor> tensors = SafetensorsFile(directory + "/" + file).tensors();
    try {
      require_promised(file, tensors, std::move(promised));
    } catch (Error& error) {
      throw error.within(index_path);
    }
    std::move(tensors.begin(), tensors.end(), std::back_inserter(all));
  }
  const size_t count = all.size();
  return TensorSource(std::move(all),
                      fmt::format("{} ({} tensors in {} files)", index_path, count, files.size()));
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::string& path) {
  const MappedFile file(path);
  try {
    refuse_lfs_pointer(file.bytes());
    ByteReader reader(file.bytes());
    const auto header_bytes = reader.read<uint64_t>("the length of the header");
    if (header_bytes > kLongestHeader)
      bad_input("the header claims {} bytes, the most is {}; this is no safetensors file, or a damaged one",
                header_bytes, kLongestHeader);
    SafetensorsHeader header = parse_safetensors_header(as_text(reader.take(header_bytes, "the header")));
    const std::span<const std::byte> data = reader.take(reader.remaining(), "the data");
    require_distinct(header.entries);
    tensors_.reserve(header.entries.size());
    for (const SafetensorsEntry& entry : header.entries) tensors_.push_back(stored_tensor(entry, file, data));
    require_no_gaps(std::move(header.entries), data.size());
    metadata_ = std::move(header.metadata);
  } catch (Error& error) {
    throw error.within(path);
  }
}

TensorSource open_safetensors(const std::string& path) {
  std::string file = path;
  if (is_directory(path)) {
    file = fmt::format("{}/{}", path, kSafetensorsFile);
    const std::string index = fmt::format("{}/{}", path, kSafetensorsIndex);
    if (!file_exists(file) && file_exists(index)) return open_sharded(path, index);
    if (!file_exists(file))
      bad_input("{}: there is neither {} nor {} in this directory", path, kSafetensorsFile,
                kSafetensorsIndex);
  }
  std::vector<StoredTensor> tensors = SafetensorsFile(file).tensors();
  const size_t count = tensors.size();
  return TensorSource(std::move(tensors), file_names(file, count));
}

}  // namespace martlet::formats
