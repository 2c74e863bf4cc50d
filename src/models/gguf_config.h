#pragma once

// The way back of `decoder_config_from_gguf`: a config in Hugging Face's keys as GGUF metadata. What readers
// of that format take for granted of an architecture, and has no key there, is checked and refused by name.

#include "models/config_keys.h"
#include "models/family.h"

namespace martlet::models {

/// Keys of sizes, norms and rotation that all decoder architectures share. `rope_type` is the entry of
/// `rope_parameters` that counts, where there are several. Throws BadInput for a scaling that the form cannot
/// say and, unless `part_rotates`, where only a part of every head rotates.
void decoder_config_to_gguf(const Fields& config, std::string_view architecture, GgufConfig& to,
                            std::string_view rope_type = {}, bool part_rotates = false);

/// Layers that see a window only, where the form has no key for it: within the window they are the same
/// model, so that is how long the file says its context is. `windows` as `layer_windows` gives them.
int64_t context_within(int64_t max_positions, std::span<const int64_t> windows);

/// Throws BadInput unless the config's `key` is one of `expected`, which is all that the architecture's
/// readers compute.
void require_text(const Fields& config, std::string_view architecture, std::string_view key,
                  std::string_view fallback, std::span<const std::string_view> expected);
/// Throws BadInput, as `require_text` does, unless the flag has the value that readers take for granted.
void require_flag(const Fields& config, std::string_view architecture, std::string_view key, bool fallback,
                  bool expected);

}  // namespace martlet::models
