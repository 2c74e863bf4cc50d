#pragma once

#include <cstdint>
#include <string_view>

namespace martlet::ops {

/// All that the planner knows of an operation.
struct Cost {
  double operations = 0;  ///< multiplications and additions, each counted once
  double bytes_read = 0;
  double bytes_written = 0;
  /// Which of the machine's speeds its operations run at: the type of a product with a matrix ("f32", "q4_1";
  /// "bf16" when both factors are), "attention"; empty for element after element.
  std::string_view kind = {};
};

}  // namespace martlet::ops
