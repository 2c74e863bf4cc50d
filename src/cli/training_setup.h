#pragma once

// The model and the data of a training run, as a request names them.

#include <functional>
#include <string>
#include <vector>

#include "cli/train_request.h"
#include "data/token_set.h"
#include "models/open.h"

namespace martlet::cli {

/// Whether a model's parameters have their values, or memory that was never touched: enough for a forecast.
enum class Values : uint8_t { kReal, kNone };

/// The model that is trained, new or opened, with the rewrites asked for: f32 values of this process's own
/// that require a gradient, but for those that are frozen. Throws BadInput when it cannot learn what is
/// asked.
/// Throws kExhausted where not even the values fit.
models::OpenModel open_to_train(const TrainRequest& request, Values values = Values::kReal);

/// The tokenizer's path: given, or the model's own where it has one; or empty.
std::string tokenizer_path(const TrainRequest& request, const models::OpenModel& model);

/// The data as tokens: folders of tokens as they are, all else made into FOLDER, or taken from there when a
/// run goes on. Throws BadInput for ids that the vocabulary has not.
std::vector<data::TokenSet> token_sets(const TrainRequest& request, const std::string& tokenizer,
                                       int64_t vocabulary, const std::string& folder);

/// The held-out data, packed as training is: what --eval-data names, or what --validation keeps aside, or the
/// part for validation that folders of tokens have. Throws kUsage when there is none.
std::vector<data::TokenSet> held_out_sets(const TrainRequest& request, const std::string& tokenizer,
                                          int64_t vocabulary, const std::string& folder);

/// Gives a text of the model as it stands; empty when no samples are wanted. `model` must outlive it.
std::function<std::string()> sampler_of(const TrainRequest& request, const models::OpenModel& model,
                                        const std::string& tokenizer);

}  // namespace martlet::cli
