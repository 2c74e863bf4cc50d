#pragma once

#include <span>
#include <string>

namespace martlet::cli {

/// `quickstart train`: from nothing, or from a person's own text, to a model that was trained here, what it
/// knows, and a conversation with it.
int run_quickstart_train(std::span<const std::string> arguments);

}  // namespace martlet::cli
