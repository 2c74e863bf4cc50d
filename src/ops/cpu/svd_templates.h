#pragma once

// Loops over columns in vectors that the compiler maps to the registers of the file's instruction set.

#include <cstring>

#include "ops/cpu/svd_kernels.h"

namespace martlet::ops::cpu {
namespace {

using Eight __attribute__((vector_size(64))) = double;

inline void load(const double* from, Eight& to) {
  std::memcpy(&to, from, sizeof(to));
}
inline void store(double* to, const Eight& from) {
  std::memcpy(to, &from, sizeof(from));
}

/// A sum in sixteen lanes.
struct Sum {
  Eight low = {};
  Eight high = {};

  double total() const {
    const Eight eight = low + high;
    return ((eight[0] + eight[4]) + (eight[2] + eight[6])) + ((eight[1] + eight[5]) + (eight[3] + eight[7]));
  }
};

double dot(const double* a, const double* b, int64_t count) {
  Sum sum;
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    Eight x, y, z, w;
    load(a + i, x);
    load(b + i, y);
    load(a + i + 8, z);
    load(b + i + 8, w);
    sum.low += x * y;
    sum.high += z * w;
  }
  double rest = 0;
  for (; i < count; ++i) rest += a[i] * b[i];
  return sum.total() + rest;
}

ColumnProducts products(const double* a, const double* b, int64_t count) {
  Sum aa, ab, bb;
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    Eight x, y, z, w;
    load(a + i, x);
    load(b + i, y);
    load(a + i + 8, z);
    load(b + i + 8, w);
    aa.low += x * x;
    ab.low += x * y;
    bb.low += y * y;
    aa.high += z * z;
    ab.high += z * w;
    bb.high += w * w;
  }
  ColumnProducts rest = {0, 0, 0};
  for (; i < count; ++i) {
    rest.aa += a[i] * a[i];
    rest.ab += a[i] * b[i];
    rest.bb += b[i] * b[i];
  }
  return {aa.total() + rest.aa, ab.total() + rest.ab, bb.total() + rest.bb};
}

void add_scaled(double factor, const double* a, double* b, int64_t count) {
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    Eight x, y;
    load(a + i, x);
    load(b + i, y);
    store(b + i, y + x * factor);
  }
  for (; i < count; ++i) b[i] += a[i] * factor;
}

void rotate(double cosine, double sine, double* a, double* b, int64_t count) {
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    Eight x, y;
    load(a + i, x);
    load(b + i, y);
    store(a + i, x * cosine - y * sine);
    store(b + i, x * sine + y * cosine);
  }
  for (; i < count; ++i) {
    const double before = a[i];
    a[i] = before * cosine - b[i] * sine;
    b[i] = before * sine + b[i] * cosine;
  }
}

}  // namespace
}  // namespace martlet::ops::cpu
