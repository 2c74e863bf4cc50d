#include "ops/dry_run.h"

#include <gtest/gtest.h>

#include "ops/binary.h"
#include "ops/linear.h"
#include "ops/unary.h"
#include "tensor/tensor.h"

namespace martlet::ops {
namespace {

TEST(DryRun, ComputesNothingAndCountsWhatTheOperationsState) {
  const Tensor x = Tensor::from(std::vector<float>(6 * 4, 1.0f), {6, 4});
  const Weight weight(Tensor::from(std::vector<float>(5 * 4, 1.0f), {5, 4}));
  Tensor sum = Tensor::from(std::vector<float>(6 * 4, 2.0f), {6, 4});
  std::vector<CostRow> rows;
  {
    const DryRun dry_run;
    EXPECT_EQ(linear(x, weight).shape(), (Shape{6, 5}));
    linear(x, weight);
    add_in_place(sum, x);
    rows = dry_run.rows();
  }
  EXPECT_EQ(sum.to_vector<float>(), std::vector<float>(6 * 4, 2.0f));
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].operation, "linear");
  EXPECT_EQ(rows[0].kind, "f32");
  EXPECT_EQ(rows[0].calls, 2);
  EXPECT_EQ(rows[0].cost.operations, 2 * 2.0 * 6 * 5 * 4);
  EXPECT_EQ(rows[1].operation, "add");
  EXPECT_TRUE(rows[1].kind.empty());
  EXPECT_EQ(rows[1].cost.bytes_written, 6.0 * 4 * 4);
  // Afterwards everything computes again.
  EXPECT_EQ(linear(x, weight).to_vector<float>(), std::vector<float>(6 * 5, 4.0f));
  EXPECT_EQ(DryRun::current(), nullptr);
}

TEST(DryRun, CountsWhatTensorsFillAndCopyThemselves) {
  const Tensor x = Tensor::from(std::vector<float>(12, 1.0f), {3, 4});
  const DryRun dry_run;
  Tensor::zeros({8}, DType::kF32);
  x.transpose(0, 1).contiguous();
  const std::vector<CostRow> rows = dry_run.rows();
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].cost.bytes_written, 4.0 * (8 + 12));
}

TEST(DryRun, StandsAlone) {
  const DryRun dry_run;
  EXPECT_ANY_THROW(DryRun());
}

}  // namespace
}  // namespace martlet::ops
