#pragma once

// martlet.toml: the rewrites of a model directory in their order, and rewrites.safetensors: their own
// tensors.

#include <string>
#include <vector>

#include "nn/apply_rewrite.h"

namespace martlet::models {

inline constexpr std::string_view kRewritesFile = "martlet.toml";
inline constexpr std::string_view kRewriteTensorsFile = "rewrites.safetensors";

/// Reads martlet.toml. Throws BadInput naming the line, also for a version that is newer than this program's.
std::vector<nn::RewriteRequest> read_rewrites(const std::string& path);
/// The text of martlet.toml for what was applied, without what was for one call alone; empty when nothing
/// is left.
std::string rewrites_text(const nn::RewriteHistory& history);
/// What lies in `directory`/rewrites.safetensors, mapped; nothing when there is no such file.
nn::SavedTensors read_rewrite_tensors(const std::string& directory);

}  // namespace martlet::models
