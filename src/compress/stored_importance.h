#pragma once

// Files of importance as they lie on disk, by the names that tensors have in GGUF files of the model.
//
// Today's form is a GGUF file: for every tensor NAME of the model two others, NAME.in_sum2 (sums of squares,
// one a column) and NAME.counts (over how many tokens), a row for each expert of a stacked tensor. The older
// one, usually F.dat: 32-bit integers and f32 numbers, little-endian; the number of entries; for each the
// length of a name, the name, a count, how many numbers, the numbers (mean squares times that count); then
// the number of chunks and the length and name of the text.

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace martlet::compress {

inline constexpr std::string_view kSquaresSuffix = ".in_sum2";
inline constexpr std::string_view kCountsSuffix = ".counts";

struct StoredImportance {
  struct Sums {
    std::vector<float> squares;  ///< [rows, columns]
    std::vector<float> counts;   ///< what each row is divided by, or one number for all; 0: nothing is known
  };
  std::map<std::string, Sums, std::less<>> tensors;
  int64_t window = 0;
  int64_t tokens = 0;
  std::string data;
};

/// Throws BadInput when it is neither form, is cut, or a number in it is negative or not finite.
StoredImportance read_stored(const std::string& path);
/// Whether the bytes begin as the older form does; no text does.
bool is_older_importance(std::span<const std::byte> bytes);

}  // namespace martlet::compress
