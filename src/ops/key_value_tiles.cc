#include "ops/key_value_tiles.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/error.h"
#include "base/thread_pool.h"
#include "ops/cpu/row_kernels.h"

namespace martlet::ops {
namespace {

constexpr int64_t kPositions = KeyValueTiles::kPositions;
constexpr int64_t kGroup = KeyValueTiles::kGroup;
/// Positions worth a thread's share, in elements.
constexpr int64_t kThreadElements = 1 << 15;

int64_t rounded_up(int64_t count, int64_t to) {
  return (count + to - 1) / to * to;
}
int64_t groups_of(int64_t dim) {
  return (dim + kGroup - 1) / kGroup;
}
bool has_scales(CacheFormat format) {
  return format == CacheFormat::kQ8 || format == CacheFormat::kQ4;
}
int64_t scale_bytes(CacheFormat format, int64_t dim) {
  return has_scales(format) ? groups_of(dim) * kPositions * size_of(DType::kF16) : 0;
}

/// Elements of a row of values, as it is laid out.
int64_t value_pitch(CacheFormat format, int64_t value_dim) {
  return rounded_up(value_dim, format == CacheFormat::kQ4 ? kGroup : 16);
}

int64_t code_bytes(CacheFormat format, int64_t elements) {
  switch (format) {
    case CacheFormat::kF32:
      return elements * 4;
    case CacheFormat::kF16:
      return elements * 2;
    case CacheFormat::kQ8:
      return elements;
    default:
      return (elements + 1) / 2;
  }
}

/// A row's elements rounded: f16 bits, or codes and the scales of its groups.
struct RoundedRow {
  std::vector<F16> halves;
  std::vector<int8_t> codes;  // for q4 from 0 to 15
  std::vector<F16> scales;
};

/// The nearest that binary16 holds without an infinity; a NaN stays one.
float within_f16(float x) {
  constexpr float kLargest = 65504.0f;
  return x > kLargest ? kLargest : (x < -kLargest ? -kLargest : x);
}

void round_to_f16(const float* from, int64_t dim, std::vector<float>& held, std::vector<F16>& halves) {
  held.resize(static_cast<size_t>(dim));
  halves.resize(static_cast<size_t>(dim));
  std::transform(from, from + dim, held.begin(), within_f16);
  cpu::row_kernels().narrow_f16(held.data(), halves.data(), dim);
}

/// The scale of a group and its codes. A group too small for a scale of binary16 becomes zeros, one too large
/// for it as large as it can be.
F16 round_group(CacheFormat format, const float* from, int64_t count, int8_t* codes) {
  const bool bytes = format == CacheFormat::kQ8;
  const float zero = bytes ? 0.0f : 8.0f;
  float widest = 0;
  bool finite = true;
  for (int64_t i = 0; i < count; ++i) {
    finite = finite && std::isfinite(from[i]);
    if (std::abs(from[i]) > std::abs(widest)) widest = from[i];
  }
  if (!finite) {
    std::fill_n(codes, count, static_cast<int8_t>(zero + 1));
    return to_f16(std::numeric_limits<float>::quiet_NaN());
  }
  const F16 scale = to_f16(within_f16(bytes ? std::abs(widest) / 127 : widest / -8));
  const float step = to_float(scale);
  const float inverse = step == 0 ? 0 : 1 / step;
  for (int64_t i = 0; i < count; ++i) {
    const float code = std::nearbyint(from[i] * inverse) + zero;
    codes[i] = static_cast<int8_t>(bytes ? std::clamp(code, -127.0f, 127.0f) : std::clamp(code, 0.0f, 15.0f));
  }
  return scale;
}

void round_to_codes(CacheFormat format, const float* from, int64_t dim, RoundedRow& row) {
  row.codes.resize(static_cast<size_t>(dim));
  row.scales.clear();
  for (int64_t i = 0; i < dim; i += kGroup)
    row.scales.push_back(round_group(format, from + i, std::min(kGroup, dim - i), row.codes.data() + i));
}

/// Where a position's row of keys or values goes in the tile of one head.
struct Place {
  CacheFormat format;
  int64_t dim;
  int64_t slot;  // of the tile's positions
  std::byte* tile;
  int64_t codes_bytes;  // of the whole tile; scales stand behind
};

void write_scales(const Place& place, const std::vector<F16>& scales) {
  auto* to = reinterpret_cast<F16*>(place.tile + place.codes_bytes);
  for (size_t group = 0; group < scales.size(); ++group)
    to[static_cast<int64_t>(group) * kPositions + place.slot] = scales[group];
}

template <typename T>
void scatter(const Place& place, const T* row) {
  auto* to = reinterpret_cast<T*>(place.tile) + place.slot;
  for (int64_t i = 0; i < place.dim; ++i) to[i * kPositions] = row[i];
}

void write_key(const Place& place, const float* from, std::vector<float>& held, RoundedRow& row) {
  if (place.format == CacheFormat::kF32) return scatter(place, from);
  if (place.format == CacheFormat::kF16) {
    round_to_f16(from, place.dim, held, row.halves);
    return scatter(place, row.halves.data());
  }
  round_to_codes(place.format, from, place.dim, row);
  if (place.format == CacheFormat::kQ8) {
    scatter(place, row.codes.data());
  } else {
    for (int64_t i = 0; i < place.dim; i += 2) {
      const int low = row.codes[static_cast<size_t>(i)];
      const int high = i + 1 < place.dim ? row.codes[static_cast<size_t>(i) + 1] : 0;
      place.tile[i / 2 * kPositions + place.slot] = static_cast<std::byte>(low | high << 4);
    }
  }
  write_scales(place, row.scales);
}

void write_value(const Place& place, const float* from, std::vector<float>& held, RoundedRow& row) {
  const int64_t pitch = value_pitch(place.format, place.dim);
  std::byte* to = place.tile + place.slot * code_bytes(place.format, pitch);
  if (place.format == CacheFormat::kF32) {
    std::copy_n(from, place.dim, reinterpret_cast<float*>(to));
    return;
  }
  if (place.format == CacheFormat::kF16) {
    round_to_f16(from, place.dim, held, row.halves);
    std::copy_n(row.halves.data(), place.dim, reinterpret_cast<F16*>(to));
    return;
  }
  round_to_codes(place.format, from, place.dim, row);
  if (place.format == CacheFormat::kQ8) {
    std::copy_n(row.codes.data(), place.dim, reinterpret_cast<int8_t*>(to));
  } else {
    row.codes.resize(static_cast<size_t>(pitch), 0);
    for (int64_t i = 0; i < pitch / 2; ++i) {
      const size_t low = static_cast<size_t>(i / 16 * kGroup + i % 16);
      to[i] = static_cast<std::byte>(row.codes[low] | row.codes[low + 16] << 4);
    }
  }
  write_scales(place, row.scales);
}

/// The row of one position and head as f32, from any dtype and strides but dense in its last dimension.
class RowReader {
 public:
  explicit RowReader(const Tensor& tensor) : tensor_(tensor), wide_(static_cast<size_t>(tensor.dim(2))) {}
  const float* row(int64_t position, int64_t head) {
    const Shape& strides = tensor_.strides();
    const std::byte* from =
        tensor_.host_bytes() + (position * strides[0] + head * strides[1]) * size_of(tensor_.dtype());
    if (tensor_.dtype() == DType::kF32) return reinterpret_cast<const float*>(from);
    const cpu::RowKernels& kernels = cpu::row_kernels();
    (tensor_.dtype() == DType::kBF16 ? kernels.widen_bf16 : kernels.widen_f16)(from, wide_.data(),
                                                                               tensor_.dim(2));
    return wide_.data();
  }

 private:
  const Tensor& tensor_;
  std::vector<float> wide_;
};

void check_rows(const KeyValueTiles& tiles, int64_t begin, const Tensor& keys, const Tensor& values) {
  const int64_t heads = tiles.key_value_heads();
  const auto fits = [&](const Tensor& rows, int64_t dim) {
    return rows.rank() == 3 && is_floating(rows.dtype()) && rows.dim(1) == heads && rows.dim(2) == dim &&
           (dim <= 1 || rows.strides()[2] == 1);
  };
  if (!fits(keys, tiles.head_dim) || !fits(values, tiles.value_dim) || keys.dim(0) != values.dim(0))
    failed("a cache of {} heads takes keys of {} and values of {} elements, got {} and {}", heads,
           tiles.head_dim, tiles.value_dim, keys.to_string(), values.to_string());
  if (begin < 0 || begin + keys.dim(0) > tiles.keys.dim(0) * kPositions)
    failed("a cache of {} positions has no room for {} behind {}", tiles.keys.dim(0) * kPositions,
           keys.dim(0), begin);
}

std::byte* tile_of(const Tensor& tiles, int64_t tile, int64_t head) {
  return tiles.mutable_host_bytes() + (tile * tiles.dim(1) + head) * tiles.dim(2);
}

float code_value(CacheFormat format, const std::byte* codes, int64_t at, bool high) {
  switch (format) {
    case CacheFormat::kF32:
      return reinterpret_cast<const float*>(codes)[at];
    case CacheFormat::kF16:
      return to_float(reinterpret_cast<const F16*>(codes)[at]);
    case CacheFormat::kQ8:
      return static_cast<float>(reinterpret_cast<const int8_t*>(codes)[at]);
    default:
      return static_cast<float>((std::to_integer<int>(codes[at]) >> (high ? 4 : 0) & 15) - 8);
  }
}

float key_code(CacheFormat format, const std::byte* tile, int64_t slot, int64_t i) {
  const bool packed = format == CacheFormat::kQ4;
  return code_value(format, tile, (packed ? i / 2 : i) * kPositions + slot, packed && i % 2 == 1);
}

float value_code(CacheFormat format, const std::byte* tile, int64_t pitch, int64_t slot, int64_t i) {
  if (format != CacheFormat::kQ4) return code_value(format, tile, slot * pitch + i, false);
  return code_value(format, tile, slot * pitch / 2 + i / kGroup * 16 + i % 16, i % kGroup >= 16);
}

/// `code(tile, slot, element)` of every element, times the scale of its group.
template <typename Code>
Tensor read_rows(const KeyValueTiles& tiles, const Tensor& from, int64_t dim, int64_t codes_bytes,
                 const Code& code) {
  const int64_t heads = tiles.key_value_heads();
  Tensor result = Tensor::empty({tiles.count, heads, dim}, DType::kF32);
  float* to = result.mutable_data<float>();
  for (int64_t position = 0; position < tiles.count; ++position)
    for (int64_t head = 0; head < heads; ++head) {
      const std::byte* tile = from.host_bytes() + (position / kPositions * heads + head) * from.dim(2);
      const auto* scales = reinterpret_cast<const F16*>(tile + codes_bytes);
      const int64_t slot = position % kPositions;
      for (int64_t i = 0; i < dim; ++i) {
        const float value = code(tile, slot, i);
        *to++ = has_scales(tiles.format) ? value * to_float(scales[i / kGroup * kPositions + slot]) : value;
      }
    }
  return result;
}

}  // namespace

KeyValueTiles KeyValueTiles::first(int64_t positions) const {
  if (positions < 0 || positions > count) failed("a cache of {} positions has no first {}", count, positions);
  const int64_t tiles = (positions + kPositions - 1) / kPositions;
  return {format, head_dim, value_dim, positions, keys.slice(0, 0, tiles), values.slice(0, 0, tiles)};
}

int64_t key_tile_bytes(CacheFormat format, int64_t head_dim) {
  const int64_t elements = format == CacheFormat::kQ4 ? rounded_up(head_dim, 2) : head_dim;
  return code_bytes(format, elements * kPositions) + scale_bytes(format, head_dim);
}

int64_t value_tile_bytes(CacheFormat format, int64_t value_dim) {
  return code_bytes(format, value_pitch(format, value_dim) * kPositions) + scale_bytes(format, value_dim);
}

KeyValueTiles make_key_value_tiles(CacheFormat format, int64_t tiles, int64_t key_value_heads,
                                   int64_t head_dim, int64_t value_dim) {
  const auto zeros = [&](int64_t bytes) {
    return Tensor::zeros({tiles, key_value_heads, bytes}, DType::kU8);
  };
  return {format,
          head_dim,
          value_dim,
          0,
          zeros(key_tile_bytes(format, head_dim)),
          zeros(value_tile_bytes(format, value_dim))};
}

void write_key_values(KeyValueTiles& tiles, int64_t begin, const Tensor& keys, const Tensor& values) {
  check_rows(tiles, begin, keys, values);
  const int64_t heads = tiles.key_value_heads();
  const int64_t key_codes = tiles.keys.dim(2) - scale_bytes(tiles.format, tiles.head_dim);
  const int64_t value_codes = tiles.values.dim(2) - scale_bytes(tiles.format, tiles.value_dim);
  const int64_t elements = heads * (tiles.head_dim + tiles.value_dim);
  const int64_t grain = std::max<int64_t>(1, kThreadElements / std::max<int64_t>(1, elements));
  parallel_for(keys.dim(0), grain, [&](int64_t from, int64_t to) {
    RowReader key_rows(keys), value_rows(values);
    std::vector<float> held;
    RoundedRow row;
    for (int64_t position = from; position < to; ++position) {
      const int64_t tile = (begin + position) / kPositions;
      const int64_t slot = (begin + position) % kPositions;
      for (int64_t head = 0; head < heads; ++head) {
        write_key({tiles.format, tiles.head_dim, slot, tile_of(tiles.keys, tile, head), key_codes},
                  key_rows.row(position, head), held, row);
        write_value({tiles.format, tiles.value_dim, slot, tile_of(tiles.values, tile, head), value_codes},
                    value_rows.row(position, head), held, row);
      }
    }
  });
  tiles.count = begin + keys.dim(0);
}

Tensor read_keys(const KeyValueTiles& tiles) {
  const int64_t codes = tiles.keys.dim(2) - scale_bytes(tiles.format, tiles.head_dim);
  return read_rows(
      tiles, tiles.keys, tiles.head_dim, codes,
      [&](const std::byte* tile, int64_t slot, int64_t i) { return key_code(tiles.format, tile, slot, i); });
}

Tensor read_values(const KeyValueTiles& tiles) {
  const int64_t codes = tiles.values.dim(2) - scale_bytes(tiles.format, tiles.value_dim);
  const int64_t pitch = value_pitch(tiles.format, tiles.value_dim);
  return read_rows(tiles, tiles.values, tiles.value_dim, codes,
                   [&](const std::byte* tile, int64_t slot, int64_t i) {
                     return value_code(tiles.format, tile, pitch, slot, i);
                   });
}

}  // namespace martlet::ops
