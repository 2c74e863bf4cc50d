#pragma once

// A run that goes on is the run that began: the options that decide what it learns are written down in its
// folder, and compared.

#include "base/json.h"
#include "cli/train_request.h"

namespace martlet::cli {

/// Of a run that is to go on; `asked` are all options by their keys, as they were given. Throws BadInput, in
/// one sentence with every option that differs, its value then and now, unless it is one that may change or
/// one of --change; kUsage for a --change of no option. A run that wrote nothing down is taken as it is.
void refuse_changes(const TrainRequest& request, const Json& asked);

/// Writes down what the next `refuse_changes` compares: OUT/run.json.
void remember_options(const TrainRequest& request, const Json& asked);

}  // namespace martlet::cli
