#pragma once

#include "nn/rewrite.h"

namespace martlet::nn {

/// y = x[:, order] W^T + b: a linear layer whose weights were quantised in another order of columns, those
/// that share a scale side by side. On disk it is the plain layer.
class ReorderedLinear final : public Linear, public Substitute {
 public:
  /// `order`: i32 [in], a permutation.
  ReorderedLinear(Tensor order, int64_t out_features, bool has_bias);
  std::string_view kind() const override { return "ReorderedLinear"; }
  std::string details() const override { return "columns by group"; }
  Tensor forward(const Tensor& x) override;
  int64_t in_features() const override { return weight.shape()[1]; }
  int64_t out_features() const override { return weight.shape()[0]; }
  /// The weight with its columns in their places, dense f32.
  std::vector<std::pair<std::string, Tensor>> plain_parameters() const override;
  bool is_plain_on_disk() const override { return true; }

  Parameter weight;  ///< [out, in], column j being that of input order[j]
  std::optional<Parameter> bias;

 private:
  Tensor order_;
};

}  // namespace martlet::nn
