#pragma once

#include "infer/weight_stream.h"
#include "nn/rewrite.h"

namespace martlet::infer {

/// Blocks whose weights are held in memory as far as `resident` bytes go; the weights of the others are read
/// from their files whenever they run. Arguments: `pattern`, `resident`, `places`.
extern const nn::Rewrite kStream;

/// What of some blocks is held and what is streamed.
struct Residency {
  std::vector<bool> streams;  ///< of each block
  int64_t held_bytes = 0;
  int64_t streamed_bytes = 0;  ///< of one pass
  int64_t place_bytes = 0;     ///< what they are read to
  bool fits = true;            ///< within the bytes that were given
};

/// As many blocks as possible are held within `resident` bytes, those that stream spread evenly between
/// them, so that the disk reads while others run. `bytes`: of each block. With nothing to spare everything
/// streams, and `fits` says whether the places are within `resident`.
Residency choose_residency(std::span<const int64_t> bytes, int64_t resident, int64_t places);

/// The weights of each block that matches, in the order they run, in bytes: those that can be read from a
/// file, which are the ones that count. Blocks without any have 0.
std::vector<int64_t> streamable_bytes(const nn::ModulePtr& root, std::string_view pattern);

/// The stream that a rewritten tree runs with; null without one.
WeightStream* stream_of(const nn::ModulePtr& root);

}  // namespace martlet::infer
