#pragma once

// Weights that a rewrite makes of others, such as the same values in another layout. What they take is known
// before they are made, so that whoever calls the rewrite may find a place for them.

#include <functional>
#include <span>
#include <string>

#include "tensor/tensor.h"

namespace martlet::nn {

struct MadeWeight {
  std::string path;  ///< of its parameter
  int64_t byte_count = 0;
  /// Writes its bytes from `begin` on into u8 [count], all of them or a part (`each_part`).
  std::function<void(const Tensor& bytes, int64_t begin)> make;
  /// Puts them in the tree, from where they lie then, which may be read-only. Once, after `make`.
  std::function<void(const Tensor& bytes)> use;
  /// The packed format (ops/packed_format.h) whose values they are.
  std::string format = {};
  /// A part begins at a multiple of this, and ends at one or with the whole. Itself a multiple of 32.
  int64_t unit_bytes = 64;
};

/// Of its longest part: few enough that what a part is made of and what it becomes take little memory beside
/// the whole, enough that all threads have work.
int64_t part_bytes(const MadeWeight& weight);
/// Calls `visit` with the parts of a weight, in order.
void each_part(const MadeWeight& weight, const std::function<void(int64_t begin, int64_t end)>& visit);

/// Makes all of them in one block of memory, one behind another, and uses each at once: a matrix of its own
/// has few whole large pages, and processors read on ahead within a page only. What they were made of goes
/// back to the system part by part, so that it never takes memory as a whole beside them.
void make_together(std::span<const MadeWeight> weights);

}  // namespace martlet::nn
