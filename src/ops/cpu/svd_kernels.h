#pragma once

// The loops over columns of double that a singular value decomposition spends its time in, once for each
// instruction set, all with the same bits: sums run in sixteen lanes, added as a tree, and products are
// rounded before they are added.

#include <cstdint>

namespace martlet::ops::cpu {

struct ColumnProducts {
  double aa, ab, bb;
};

struct ColumnKernels {
  double (*dot)(const double* a, const double* b, int64_t count);
  /// a a, a b and b b in one pass.
  ColumnProducts (*products)(const double* a, const double* b, int64_t count);
  /// b += factor * a.
  void (*add_scaled)(double factor, const double* a, double* b, int64_t count);
  /// (a, b) become (cosine a - sine b, sine a + cosine b).
  void (*rotate)(double cosine, double sine, double* a, double* b, int64_t count);
};

const ColumnKernels& column_kernels_portable();
const ColumnKernels& column_kernels_avx2();
const ColumnKernels& column_kernels_avx512();

}  // namespace martlet::ops::cpu
