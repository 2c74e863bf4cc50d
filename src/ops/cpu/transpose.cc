#include "ops/cpu/transpose.h"

#include <cstring>

#include "ops/cpu_features.h"

namespace martlet::ops::cpu {

void transpose_square_portable(const std::byte* from, int64_t from_stride, std::byte* to, int64_t to_stride) {
  constexpr int64_t kSide = 16;
  constexpr int64_t kWord = 4;
  for (int64_t column = 0; column < kSide; ++column)
    for (int64_t row = 0; row < kSide; ++row)
      std::memcpy(to + column * to_stride + row * kWord, from + row * from_stride + column * kWord, kWord);
}

TransposeSquare transpose_square() {
  return cpu_features().avx2 ? transpose_square_avx2 : transpose_square_portable;
}

}  // namespace martlet::ops::cpu
