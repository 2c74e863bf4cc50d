#pragma once

#include "support/random_model.h"

namespace martlet::testing {

/// A small random LLaMA that reads and writes text: byte-level tokens, `</s>` ends a reply, and a chat
/// template that prints "<role>content" a message and "<assistant>" at the end. Its context is `positions`.
class ChatModelDirectory : public ModelDirectory {
 public:
  explicit ChatModelDirectory(uint64_t seed, int64_t positions = 256);
};

}  // namespace martlet::testing
