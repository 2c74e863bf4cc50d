#pragma once

// What this machine does in a second, measured with the very kernels that models run on.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "ops/weight.h"
#include "plan/attention_speed.h"

namespace martlet::plan {

/// Under which a weight's products are measured: its type; "bf16 x bf16" where x is rounded to bf16 too.
std::string product_type(const ops::Weight& weight);

/// Products with weights of one type.
struct ProductSpeed {
  std::string type;                       ///< `product_type`
  double one_row_bytes_per_s = 0;         ///< bytes of weight read while one token is decoded
  double many_rows_operations_per_s = 0;  ///< multiplications and additions while a prompt is read
  /// Of each product of one row, on top of its bytes: threads are woken, and memory is slow to begin with.
  double call_seconds = 0;
  /// Of each byte of the rows that products read and write while a prompt is read, on top of operations.
  double activation_byte_seconds = 0;
};

/// What runs over elements between products: norms, rotations, gates, sums.
struct ElementSpeed {
  double call_seconds = 0;
  double byte_seconds = 0;  ///< read or written, of many rows
};

struct MachineProfile {
  std::string processor;  ///< as the system names it
  int threads = 0;        ///< that were measured
  std::vector<ProductSpeed> products;
  std::vector<AttentionSpeed> attention = {};
  ElementSpeed elements = {};

  /// Null when this type has not been measured.
  const ProductSpeed* find(std::string_view type) const;
  const AttentionSpeed* find(const AttentionKind& kind) const;
  Json to_json() const;
};

/// Measures products with each of these weight types, these kinds of attention and what runs over elements,
/// on all threads: about a second a type, a fifth of one a kind, and 200 MiB of memory. Throws kInterrupted
/// between two of them when a stop was requested.
MachineProfile measure_machine(std::span<const std::string> types,
                               std::span<const AttentionKind> attention = {});

}  // namespace martlet::plan
