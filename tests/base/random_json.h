#pragma once

#include <string>

#include "base/json.h"
#include "base/random.h"

namespace martlet {

/// Draws values from a seed: every kind, awkward numbers and text, to a bounded depth.
class RandomJson {
 public:
  explicit RandomJson(uint64_t seed, bool with_null = true) : source_(seed), with_null_(with_null) {}

  Json value(int depth);
  Json object(int depth);
  std::string text();
  double real();
  uint64_t below(uint64_t bound) { return source_.below(next_++, bound); }

 private:
  Philox source_;
  bool with_null_;
  uint64_t next_ = 0;
};

}  // namespace martlet
