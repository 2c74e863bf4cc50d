#include "train/mixed.h"

#include <cmath>
#include <gtest/gtest.h>

#include "autograd/backward.h"
#include "nn/apply_rewrite.h"
#include "ops/cast.h"
#include "support/gradients.h"
#include "support/random_model.h"

namespace martlet::train {
namespace {

constexpr const nn::Rewrite* kCatalogue[] = {&kMixed};
const std::vector<std::vector<int32_t>> kSequences = {{3, 5, 8, 13, 21, 34, 55}, {2, 4}, {1, 90, 80, 70, 60}};

void mix(const nn::ModulePtr& model, const char* to = "bf16") {
  nn::RewriteHistory history;
  nn::apply_rewrite(model, nn::RewriteRequest{"mixed", Json(Json::Object{}).set("to", to)}, kCatalogue,
                    history);
}

double length(const std::vector<float>& a) {
  double sum = 0;
  for (const float value : a) sum += double{value} * value;
  return std::sqrt(sum);
}

double cosine(const std::vector<float>& a, const std::vector<float>& b) {
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    ab += double{a[i]} * b[i];
    aa += double{a[i]} * a[i];
    bb += double{b[i]} * b[i];
  }
  return ab / std::sqrt(aa * bb + 1e-60);
}

/// Gradients of every family in which each that is not next to nothing has at least this cosine to f32's.
void expect_gradients(const char* to, double least_cosine) {
  for (const auto& [name, config] : martlet::testing::family_configs()) {
    const auto plain = martlet::testing::random_model(config, 5);
    if (!plain->shape().generates) continue;
    martlet::testing::require_gradients(*plain);
    const auto expected = martlet::testing::gradients_of(*plain, kSequences);
    const auto model = martlet::testing::random_model(config, 5);
    mix(model, to);
    martlet::testing::require_gradients(*model);
    const auto got = martlet::testing::gradients_of(*model, kSequences);
    ASSERT_EQ(got.size(), expected.size()) << name;
    double largest = 0;
    for (const auto& [path, values] : expected) largest = std::max(largest, length(values));
    // A softmax does not see the keys' biases: their gradients are rounding alone.
    for (const auto& [path, values] : expected) {
      if (length(values) < 1e-4 * largest) continue;
      EXPECT_GT(cosine(got.at(path), values), least_cosine) << name << " " << path;
    }
  }
}

TEST(Mixed, GradientsPointWhereF32GradientsPointInEveryFamily) {
  expect_gradients("bf16", 0.99);
}

TEST(Mixed, GradientsOfF16AreAnEighthAsFarFromF32s) {
  // An angle of rounding errors: three bits more make it an eighth, and its cosine's distance from 1 a 64th.
  expect_gradients("f16", 1 - 0.01 / 64);
}

TEST(Mixed, TellsWhetherF16IsMultiplied) {
  const auto model = martlet::testing::random_llama(6);
  EXPECT_FALSE(multiplies_f16(*model));
  mix(model, "bf16");
  EXPECT_FALSE(multiplies_f16(*model));
  const auto other = martlet::testing::random_llama(6);
  mix(other, "f16");
  EXPECT_TRUE(multiplies_f16(*other));
}

class MixedTo : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Types, MixedTo, ::testing::Values("bf16", "f16"));

TEST_P(MixedTo, KeepsWeightsAndTheResidualInF32) {
  const char* to = GetParam();
  const auto model = martlet::testing::random_llama(6);
  mix(model, to);
  nn::walk_parameters(*model, [](const std::string& path, nn::Parameter& parameter) {
    EXPECT_EQ(parameter.type_name(), "f32") << path;
  });
  nn::Batch batch;
  batch.add(std::vector<int32_t>(9, 7));
  EXPECT_EQ(model->logits(model->hidden(batch)).dtype(), DType::kF32);
}

}  // namespace
}  // namespace martlet::train
