#pragma once

// What this machine does in a second, measured with the very kernels that models run on.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace martlet::plan {

/// Products with weights of one type.
struct ProductSpeed {
  std::string type;                       ///< "f32", "q4_1"
  double one_row_bytes_per_s = 0;         ///< bytes of weight read while one token is decoded
  double many_rows_operations_per_s = 0;  ///< multiplications and additions while a prompt is read
};

struct MachineProfile {
  std::string processor;  ///< as the system names it
  int threads = 0;        ///< that were measured
  std::vector<ProductSpeed> products;

  /// Null when this type has not been measured.
  const ProductSpeed* find(std::string_view type) const;
  Json to_json() const;
};

/// Measures products with each of these weight types on all threads: about half a second each, and 200 MiB of
/// memory. Throws kInterrupted between two of them when a stop was requested.
MachineProfile measure_machine(std::span<const std::string> types);

}  // namespace martlet::plan
