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
  /// Writes its bytes into u8 [byte_count].
  std::function<void(const Tensor& bytes)> make;
  /// Puts them in the tree, from where they lie then, which may be read-only. Once, after `make`.
  std::function<void(const Tensor& bytes)> use;
  /// The packed format (ops/packed_format.h) whose values they are.
  std::string format = {};
};

/// Makes all of them in one block of memory, one behind another, and uses each at once: a matrix of its own
/// has few whole large pages, and processors read on ahead within a page only. `made`, where given, is told
/// of each.
void make_together(std::span<const MadeWeight> weights,
                   const std::function<void(const MadeWeight& weight, const Tensor& bytes)>& made = {});

}  // namespace martlet::nn
