#pragma once

// What the tests of this room share: a directory that goes away, errors as values, random tensors.

#include <filesystem>
#include <fstream>
#include <functional>
#include <gtest/gtest.h>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/random.h"
#include "tensor/tensor.h"

namespace martlet::formats {

class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }
  /// Writes a file without the care (and the time) of an atomic one; returns its path.
  std::string put(std::string_view name, std::string_view content) const;

 private:
  std::string path_;
};

/// The error that `action` throws; a failed test when it throws none.
Error error_of(const std::function<void()>& action);

/// Expects a BadInput in one line of bounded length that contains `part`.
void expect_bad_input(const std::function<void()>& action, std::string_view part);

/// Random bits of the dtype (booleans are 0 and 1).
Tensor random_tensor(const Shape& shape, DType dtype, uint64_t seed);

/// Equal shape, dtype and bits.
void expect_same_bits(const Tensor& got, const Tensor& expected, std::string_view what);

/// The bytes of a number as they lie in a file.
template <typename T>
std::string bytes_of(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof(T)};
}

}  // namespace martlet::formats
