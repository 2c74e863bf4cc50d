#include "models/weight_cache.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <sstream>

#include "base/checksum.h"
#include "base/error.h"
#include "base/files.h"
#include "base/human.h"
#include "base/memory_limit.h"
#include "base/thread_pool.h"
#include "base/uncached_writes.h"
#include "formats/safetensors.h"

namespace martlet::models {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kExtension = ".weights";
constexpr std::string_view kMadeOf = "made_of";
constexpr std::string_view kChecksums = "checksums";
constexpr std::string_view kFormats = "formats";  // one word a weight, in their order

std::span<const std::byte> bytes_of(const Tensor& tensor) {
  return {tensor.host_bytes(), static_cast<size_t>(tensor.byte_count())};
}

/// What the header of a file says of its weights.
uint32_t checksum_of_header(std::span<const std::string> paths, std::span<const int64_t> sizes,
                            std::string text) {
  for (size_t i = 0; i < paths.size(); ++i) text += fmt::format("\n{} {}", paths[i], sizes[i]);
  return checksum(std::as_bytes(std::span(text)));
}

/// Throws BadInput for a file that is damaged in what was looked at; nothing where it is made of something
/// else.
std::optional<KeptWeights> mapped_weights(const std::string& path, const std::string& made_of) {
  const formats::SafetensorsFile file(path);
  const auto& metadata = file.metadata();
  const auto said = [&](std::string_view key) {
    const auto found =
        std::find_if(metadata.begin(), metadata.end(), [&](const auto& pair) { return pair.first == key; });
    return found == metadata.end() ? std::string() : found->second;
  };
  if (said(kMadeOf) != made_of) return std::nullopt;
  std::span<const formats::StoredTensor> tensors = file.tensors();
  if (tensors.empty() || tensors.back().name != kChecksums) bad_input("there are no checksums at the end");
  const formats::StoredTensor& sums = tensors.back();
  tensors = tensors.first(tensors.size() - 1);
  std::vector<uint32_t> checksums(tensors.size() + 1);
  if (sums.byte_count() != static_cast<int64_t>(checksums.size() * sizeof(uint32_t)))
    bad_input("{} bytes of checksums for {} weights", sums.byte_count(), tensors.size());
  std::memcpy(checksums.data(), sums.data.get(), checksums.size() * sizeof(uint32_t));
  KeptWeights weights;
  std::vector<std::string> paths;
  std::vector<int64_t> sizes;
  std::istringstream formats(said(kFormats));
  for (size_t i = 0; i < tensors.size(); ++i) {
    paths.push_back(tensors[i].name);
    sizes.push_back(tensors[i].byte_count());
    KeptWeight weight{Tensor::borrow(tensors[i].data, {sizes[i]}, DType::kU8), checksums[i]};
    formats >> weight.format;
    want_large_pages(bytes_of(weight.bytes));
    weights.emplace(tensors[i].name, std::move(weight));
  }
  if (checksum_of_header(paths, sizes, said(kFormats)) != checksums.back())
    bad_input("the header is not what was written");
  return weights;
}

/// Throws BadInput where bytes are not what was written. `later`: but those of blocks.
void check_all(const KeptWeights& weights, bool later) {
  std::vector<const KeptWeights::value_type*> each;
  for (const auto& weight : weights)
    if (!later || !weight.first.starts_with("layers.")) each.push_back(&weight);
  const auto count = static_cast<int64_t>(each.size());
  std::atomic<int64_t> next{0};
  // Weights differ in size: each thread takes one after another.
  parallel_for(thread_count(), 1, [&](int64_t, int64_t) {
    for (int64_t i = next++; i < count; i = next++) {
      const auto& [path, weight] = *each[static_cast<size_t>(i)];
      if (checksum(bytes_of(weight.bytes)) != weight.checksum)
        bad_input("the checksum of {} does not agree", path);
    }
  });
}

int64_t total_bytes(std::span<const nn::MadeWeight> weights) {
  int64_t bytes = 0;
  for (const nn::MadeWeight& weight : weights) bytes += weight.byte_count;
  return bytes;
}

/// Memory for any part of them.
Tensor room_for_parts(std::span<const nn::MadeWeight> weights) {
  int64_t bytes = 0;
  for (const nn::MadeWeight& weight : weights) bytes = std::max(bytes, nn::part_bytes(weight));
  return Tensor::empty({bytes}, DType::kU8);
}

/// Makes a weight part by part, each in `room`, and passes it on; gives the checksum of the whole.
uint32_t make_in_parts(const nn::MadeWeight& weight, const Tensor& room, const formats::TakeBytes& take) {
  Checksum sum;
  nn::each_part(weight, [&](int64_t begin, int64_t end) {
    const Tensor part = room.slice(0, 0, end - begin);
    weight.make(part, begin);
    sum.add(bytes_of(part));
    take(bytes_of(part));
  });
  return sum.value();
}

/// Makes the weights one after another and writes the file.
void write(const std::string& path, const std::string& made_of, std::span<const nn::MadeWeight> weights) {
  std::vector<uint32_t> checksums;
  std::vector<std::string> paths;
  std::vector<int64_t> sizes;
  std::vector<formats::OutgoingTensor> tensors;
  std::string formats;
  const Tensor room = room_for_parts(weights);
  for (size_t i = 0; i < weights.size(); ++i) {
    paths.push_back(weights[i].path);
    sizes.push_back(weights[i].byte_count);
    formats += (i > 0 ? " " : "") + weights[i].format;
    tensors.emplace_back(weights[i].path, Shape{weights[i].byte_count}, DType::kU8,
                         [&, i](const formats::TakeBytes& take) {
                           checksums.push_back(make_in_parts(weights[i], room, take));
                         });
  }
  const Shape sums{static_cast<int64_t>((weights.size() + 1) * sizeof(uint32_t))};
  tensors.emplace_back(std::string(kChecksums), sums, DType::kU8, [&] {
    checksums.push_back(checksum_of_header(paths, sizes, formats));
    return Tensor::copy_from(std::as_bytes(std::span(checksums)), sums, DType::kU8);
  });
  formats::write_safetensors(path, tensors,
                             {{std::string(kMadeOf), made_of}, {std::string(kFormats), formats}});
}

}  // namespace

WeightCache::WeightCache(std::string folder, std::string name, std::string made_of, int64_t most_bytes)
    : folder_(std::move(folder)),
      name_(std::move(name)),
      made_of_(std::move(made_of)),
      most_bytes_(most_bytes) {}

std::string WeightCache::path() const {
  return fmt::format("{}/{}{}", folder_, name_, kExtension);
}

std::optional<KeptWeights> WeightCache::load(Check check) const {
  if (!file_exists(path())) return std::nullopt;
  std::error_code ignored;
  try {
    std::optional<KeptWeights> weights = mapped_weights(path(), made_of_);
    if (!weights) return std::nullopt;
    check_all(*weights, check == Check::kLater);
    fs::last_write_time(path(), fs::file_time_type::clock::now(), ignored);
    return weights;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kBadInput) throw;
    fs::remove(path(), ignored);
    return std::nullopt;
  }
}

std::optional<KeptWeights> WeightCache::make(std::span<const nn::MadeWeight> weights, Check check) const {
  std::optional<KeptWeights> kept = keep(weights, check);
  if (!kept) {
    const auto bytes = static_cast<uint64_t>(total_bytes(weights));
    if (check == Check::kLater && available_memory().value_or(0) < 2 * bytes)
      fail(ErrorCode::kExhausted,
           "{}: the disk does not take {} of rearranged weights, from which a model larger than memory is "
           "read; "
           "make room, raise --weight-cache-size, or name another folder with --weight-cache",
           path(), format_bytes(bytes));
    nn::make_together(weights);
    return std::nullopt;
  }
  for (const nn::MadeWeight& weight : weights) weight.use(kept->at(weight.path).bytes);
  release_cached_memory();
  return kept;
}

std::optional<KeptWeights> WeightCache::keep(std::span<const nn::MadeWeight> weights, Check check) const {
  if (!make_room(total_bytes(weights))) return std::nullopt;
  const OwnerScope owner(Owner::kOther);
  std::optional<UncachedWrites> uncached;
  if (check == Check::kLater) uncached.emplace();
  try {
    make_directories(folder_);
    write(path(), made_of_, weights);
  } catch (const Error& error) {
    // It would only have saved time.
    if (error.code() == ErrorCode::kInterrupted) throw;
    return std::nullopt;
  }
  release_cached_memory();
  return load(Check::kLater);
}

bool WeightCache::make_room(int64_t bytes) const {
  if (bytes > most_bytes_) return false;
  std::vector<fs::directory_entry> files;
  std::error_code error;
  for (fs::directory_iterator file(folder_, error), end; !error && file != end; file.increment(error))
    if (file->is_regular_file(error) && file->path().extension() == kExtension && file->path() != path())
      files.push_back(*file);
  std::sort(files.begin(), files.end(), [&](const auto& a, const auto& b) {
    return a.last_write_time(error) > b.last_write_time(error);
  });
  int64_t whole = bytes;
  for (const fs::directory_entry& file : files) {
    whole += static_cast<int64_t>(file.file_size(error));
    if (whole > most_bytes_) fs::remove(file.path(), error);
  }
  return true;
}

}  // namespace martlet::models
