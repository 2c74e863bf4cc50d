#include "infer/prompt_cache.h"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>

#include "base/error.h"
#include "base/files.h"
#include "data/token_set.h"
#include "formats/safetensors.h"

namespace martlet::infer {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kExtension = ".prompt";
constexpr std::string_view kHash = "hash";

std::span<const std::byte> bytes_of(const Tensor& tensor) {
  return {tensor.host_bytes(), static_cast<size_t>(tensor.byte_count())};
}

std::string hash_of(std::span<const int32_t> ids) {
  return data::text_of(data::hash128(std::as_bytes(ids)));
}

using Layers = std::vector<ops::KeyValueTiles>;

/// How the tiles of every layer are laid out: [layers, 3] i32, format, head_dim and value_dim.
Tensor layouts_of(const Layers& layers) {
  std::vector<int32_t> numbers;
  for (const ops::KeyValueTiles& tiles : layers) {
    numbers.push_back(static_cast<int32_t>(tiles.format));
    numbers.push_back(static_cast<int32_t>(tiles.head_dim));
    numbers.push_back(static_cast<int32_t>(tiles.value_dim));
  }
  return Tensor::from(numbers, {static_cast<int64_t>(layers.size()), 3});
}

/// Of the ids and the tiles of all layers, in order.
std::string hash_of(const Tensor& ids, const Layers& layers) {
  std::string hashes = data::text_of(data::hash128(bytes_of(ids)));
  hashes += data::text_of(data::hash128(bytes_of(layouts_of(layers))));
  for (const ops::KeyValueTiles& tiles : layers) {
    hashes += data::text_of(data::hash128(bytes_of(tiles.keys)));
    hashes += data::text_of(data::hash128(bytes_of(tiles.values)));
  }
  return data::text_of(data::hash128(hashes));
}

std::string name_of(int64_t layer, std::string_view what) {
  return fmt::format("layers.{}.{}", layer, what);
}

/// Files of one reader, or of all.
template <typename Iterator>
std::vector<fs::directory_entry> files_in(const std::string& folder) {
  std::vector<fs::directory_entry> files;
  std::error_code error;
  for (Iterator file(folder, error), end; !error && file != end; file.increment(error))
    if (file->is_regular_file(error) && file->path().extension() == kExtension) files.push_back(*file);
  return files;
}

class Entry {
 public:
  explicit Entry(const std::string& path) : file_(path), tensors_(file_.tensors(), path) {}

  std::vector<int32_t> ids() const {
    const Tensor ids = tensors_.tensor("ids");
    if (ids.dtype() != DType::kI32 || ids.rank() != 1) bad_input("ids are {}", ids.to_string());
    return ids.to_vector<int32_t>();
  }

  /// Fills `cache` with the first `length` positions. Throws BadInput where what is there is not what was
  /// written.
  void fill(GrowingKvCache& cache, int64_t length) const {
    const Tensor layouts = tensors_.tensor("layouts"), all_ids = tensors_.tensor("ids");
    if (layouts.dtype() != DType::kI32 || layouts.shape() != Shape{cache.layer_count(), 3})
      bad_input("layouts are {}", layouts.to_string());
    const std::vector<int32_t> numbers = layouts.to_vector<int32_t>();
    Layers layers;
    for (int64_t layer = 0; layer < cache.layer_count(); ++layer)
      layers.push_back(tiles(layer, std::span(numbers).subspan(static_cast<size_t>(3 * layer), 3),
                             cache.lead() + all_ids.element_count()));
    const std::string hash = hash_of(all_ids, layers);
    const auto& metadata = file_.metadata();
    if (std::none_of(metadata.begin(), metadata.end(),
                     [&](const auto& pair) { return pair.first == kHash && pair.second == hash; }))
      bad_input("the hash does not agree");
    for (int64_t layer = 0; layer < cache.layer_count(); ++layer)
      cache.put(layer, layers[static_cast<size_t>(layer)].first(cache.lead() + length));
  }

 private:
  ops::KeyValueTiles tiles(int64_t layer, std::span<const int32_t> layout, int64_t positions) const {
    const auto& formats = ops::kAllCacheFormats;
    const auto format = std::find_if(std::begin(formats), std::end(formats), [&](ops::CacheFormat each) {
      return static_cast<int32_t>(each) == layout[0];
    });
    if (format == std::end(formats) || layout[1] <= 0 || layout[2] <= 0)
      bad_input("layer {} has no layout of tiles", layer);
    const ops::KeyValueTiles tiles{*format,
                                   layout[1],
                                   layout[2],
                                   positions,
                                   tensors_.tensor(name_of(layer, "keys")),
                                   tensors_.tensor(name_of(layer, "values"))};
    constexpr int64_t kPositions = ops::KeyValueTiles::kPositions;
    const auto fits = [&](const Tensor& tensor, int64_t tile_bytes) {
      return tensor.dtype() == DType::kU8 && tensor.rank() == 3 && tensor.dim(1) == tiles.keys.dim(1) &&
             tensor.dim(0) == (positions + kPositions - 1) / kPositions && tensor.dim(2) == tile_bytes;
    };
    if (!fits(tiles.keys, ops::key_tile_bytes(tiles.format, tiles.head_dim)) ||
        !fits(tiles.values, ops::value_tile_bytes(tiles.format, tiles.value_dim)))
      bad_input("layer {} has keys {} and values {}", layer, tiles.keys.to_string(),
                tiles.values.to_string());
    return tiles;
  }

  formats::SafetensorsFile file_;
  formats::TensorSource tensors_;
};

int64_t common_beginning(std::span<const int32_t> a, std::span<const int32_t> b) {
  return std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin();
}

}  // namespace

PromptCache::PromptCache(std::string folder, std::string reader, int64_t most_bytes)
    : folder_(std::move(folder)),
      own_(folder_ + "/" + data::text_of(data::hash128(reader))),
      most_bytes_(most_bytes) {}

int64_t PromptCache::load(std::span<const int32_t> prompt, GrowingKvCache& cache) const {
  const auto useful = static_cast<int64_t>(prompt.size()) - 1;
  std::error_code ignored;
  while (true) {
    std::string best;
    int64_t most = 0;
    for (const fs::directory_entry& file : files_in<fs::directory_iterator>(own_)) try {
        const int64_t common = std::min(common_beginning(prompt, Entry(file.path()).ids()), useful);
        if (common <= most) continue;
        most = common;
        best = file.path();
      } catch (const Error&) {
        fs::remove(file.path(), ignored);
      }
    if (most == 0) return 0;
    try {
      Entry(best).fill(cache, most);
      fs::last_write_time(best, fs::file_time_type::clock::now(), ignored);
      return most;
    } catch (const Error&) {
      fs::remove(best, ignored);
      // One that cannot be removed would be found for ever.
      if (fs::exists(best, ignored)) return 0;
    }
  }
}

void PromptCache::keep(std::span<const int32_t> prompt, const GrowingKvCache& cache) const {
  const auto positions = static_cast<int64_t>(prompt.size());
  Layers layers;
  for (int64_t layer = 0; layer < cache.layer_count(); ++layer)
    layers.push_back(cache.tiles(layer).first(cache.lead() + positions));
  const Tensor ids = Tensor::from(std::vector<int32_t>(prompt.begin(), prompt.end()), {positions});
  std::vector<formats::OutgoingTensor> tensors = {{"ids", ids}, {"layouts", layouts_of(layers)}};
  for (size_t layer = 0; layer < layers.size(); ++layer) {
    tensors.emplace_back(name_of(static_cast<int64_t>(layer), "keys"), layers[layer].keys);
    tensors.emplace_back(name_of(static_cast<int64_t>(layer), "values"), layers[layer].values);
  }
  int64_t bytes = 0;
  for (const formats::OutgoingTensor& tensor : tensors) bytes += tensor.load().byte_count();
  if (bytes > most_bytes_) return;
  try {
    make_directories(own_);
    make_room(bytes);
    formats::write_safetensors(fmt::format("{}/{}{}", own_, hash_of(prompt), kExtension), tensors,
                               {{std::string(kHash), hash_of(ids, layers)}});
  } catch (const Error&) {
    return;
  }
}

void PromptCache::make_room(int64_t bytes) const {
  std::vector<fs::directory_entry> files = files_in<fs::recursive_directory_iterator>(folder_);
  std::error_code error;
  std::sort(files.begin(), files.end(), [&](const auto& a, const auto& b) {
    return a.last_write_time(error) > b.last_write_time(error);
  });
  int64_t whole = bytes;
  for (const fs::directory_entry& file : files) {
    whole += static_cast<int64_t>(file.file_size(error));
    if (whole > most_bytes_) fs::remove(file.path(), error);
  }
}

}  // namespace martlet::infer
