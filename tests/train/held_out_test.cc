#include "train/held_out.h"

#include <cmath>

#include "autograd/record.h"
#include "base/expect_error.h"
#include "base/temporary_folder.h"
#include "ops/cross_entropy.h"
#include "train/small_run.h"

namespace martlet::train {
namespace {

/// The mean over all targets of all documents, one document at a time.
double loss_one_by_one(nn::Model& model, const std::vector<data::Document>& documents) {
  const autograd::NoGradient no_gradient;
  double sum = 0, count = 0;
  for (const data::Document& document : documents) {
    nn::Batch batch;
    batch.add(std::span(document.ids).first(document.ids.size() - 1));
    const std::vector<int32_t> targets(document.ids.begin() + 1, document.ids.end());
    const Tensor loss = ops::cross_entropy(model.logits(model.hidden(batch)),
                                           Tensor::from(targets, {static_cast<int64_t>(targets.size())}));
    sum += loss.to_vector<float>().front() * static_cast<double>(targets.size());
    count += static_cast<double>(targets.size());
  }
  return sum / count;
}

TEST(HeldOut, AWholePassIsTheMeanOverEveryTarget) {
  const TemporaryFolder folder;
  const auto model = testing::random_llama(5);
  const std::vector<data::Document> documents = rule_documents(9, 40);
  HeldOut held_out({data::token_set_of(documents, folder / "tokens")}, {.seq = 64, .batch = 2}, 0);
  const double expected = loss_one_by_one(*model, documents);
  EXPECT_NEAR(held_out.loss(*model), expected, 1e-6 * expected);
  EXPECT_EQ(held_out.loss(*model), held_out.loss(*model));
}

TEST(HeldOut, AFewBatchesAreTheSameOnesEveryTime) {
  const TemporaryFolder folder;
  const auto model = testing::random_llama(5);
  const data::TokenSet tokens = data::token_set_of(rule_documents(9, 400), folder / "tokens");
  HeldOut some({tokens}, {.seq = 32, .batch = 2, .seed = 4}, 3),
      same({tokens}, {.seq = 32, .batch = 2, .seed = 7}, 3);
  HeldOut all({tokens}, {.seq = 32, .batch = 2}, 0);
  const double loss = some.loss(*model);
  EXPECT_EQ(some.loss(*model), loss);
  EXPECT_EQ(same.loss(*model), loss) << "the seed of training must not choose them";
  EXPECT_NE(all.loss(*model), loss);
}

TEST(HeldOut, LeavesNoGradientBehind) {
  const TemporaryFolder folder;
  SmallRun run(folder / "tokens", 2);
  HeldOut held_out({data::token_set_of(rule_documents(3, 20), folder / "held")}, {.seq = 16, .batch = 2}, 0);
  held_out.loss(*run.model);
  for (const TrainedParameter& trained : run.trainer->parameters())
    EXPECT_FALSE(trained.parameter->gradient().defined()) << trained.path;
}

}  // namespace
}  // namespace martlet::train
