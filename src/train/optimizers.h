#pragma once

// Every optimiser: one file each.

#include "train/optimizer.h"

namespace martlet::train {

std::unique_ptr<Optimizer> make_adamw(std::vector<TrainedParameter> parameters,
                                      const OptimizerOptions& options);
std::unique_ptr<Optimizer> make_sgd(std::vector<TrainedParameter> parameters,
                                    const OptimizerOptions& options);
std::unique_ptr<Optimizer> make_lion(std::vector<TrainedParameter> parameters,
                                     const OptimizerOptions& options);
/// Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024; AdamW for the rest.
std::unique_ptr<Optimizer> make_muon(std::vector<TrainedParameter> parameters,
                                     const OptimizerOptions& options);
/// Shazeer and Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost", 2018.
std::unique_ptr<Optimizer> make_adafactor(std::vector<TrainedParameter> parameters,
                                          const OptimizerOptions& options);

/// A zero for every parameter: what most optimisers begin to remember with.
std::vector<Tensor> zeros_like(std::span<const TrainedParameter> parameters);

}  // namespace martlet::train
