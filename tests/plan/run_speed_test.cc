#include "plan/run_speed.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "nn/apply_rewrite.h"
#include "nn/tree.h"
#include "plan/catalogue.h"
#include "support/random_model.h"

namespace martlet::plan {
namespace {

using martlet::testing::random_llama;
using martlet::testing::random_model;
using martlet::testing::small_llama_config;

constexpr double kBlockMatrices = 2 * (2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 48);
constexpr double kHead = 97 * 32;

/// A machine of round numbers on which only reading and computing take time.
MachineProfile machine_for(const std::shared_ptr<nn::Model>& model, const RunGoal& goal) {
  MachineProfile machine{"test", 1, {{"f32", 1e9, 1e10}, {"q8_0", 2e9, 4e10}}};
  for (const AttentionKind& kind : attention_kinds(model, goal, true)) machine.attention.push_back({kind});
  return machine;
}

TEST(RunSpeed, ATokenReadsEveryLinearWeightOnce) {
  const auto model = random_llama(2);
  const RunGoal goal{10, 2};
  EXPECT_DOUBLE_EQ(decode_seconds(model, goal, machine_for(model, goal)), 4 * (kBlockMatrices + kHead) / 1e9);
}

TEST(RunSpeed, RowsOfABatchCostWhatTheyComputeOnceThatIsMore) {
  const auto model = random_llama(2);
  // A row computes a twentieth of what it reads.
  for (const int64_t batch : {1, 4, 20, 40, 100}) {
    const RunGoal goal{10, 2, batch};
    const double blocks = std::max(4e-9, 2e-10 * static_cast<double>(batch)) * kBlockMatrices;
    EXPECT_NEAR(decode_seconds(model, goal, machine_for(model, goal)), blocks + 4e-9 * kHead, 1e-12) << batch;
  }
}

TEST(RunSpeed, ATokenReadsTheChosenExpertsAlone) {
  Json config = small_llama_config();
  config.set("model_type", "mixtral").set("num_local_experts", 8).set("num_experts_per_tok", 2);
  const auto model = random_model(config, 2);
  // Attention, router, and two experts of eight for one token; of two tokens 1 - (3/4)^2 of the experts.
  const double others = 2 * (2 * 32 * 32 + 2 * 32 * 16 + 8 * 32) + kHead;
  const double experts = 2 * 8 * 3 * 32 * 48;
  const RunGoal one{10, 2}, two{10, 2, 2};
  EXPECT_NEAR(decode_seconds(model, one, machine_for(model, one)), 4e-9 * (others + experts / 4), 1e-12);
  EXPECT_NEAR(decode_seconds(model, two, machine_for(model, two)), 4e-9 * (others + experts * 0.4375), 1e-12);
}

TEST(RunSpeed, EveryCallOfProductsCountsOnce) {
  const auto model = random_llama(2);
  const RunGoal goal{10, 2};
  MachineProfile machine = machine_for(model, goal);
  const double without = decode_seconds(model, goal, machine);
  machine.products[0].call_seconds = 1;
  // Of a layer: queries, keys and values together; what follows attention; gate and up together; down.
  EXPECT_NEAR(decode_seconds(model, goal, machine) - without, 2 * 4 + 1, 1e-9);
}

TEST(RunSpeed, NormsAndResultsOfProductsAreElements) {
  const auto model = random_llama(2);
  const RunGoal goal{10, 2, 3};
  MachineProfile machine = machine_for(model, goal);
  const double without = decode_seconds(model, goal, machine);
  machine.elements.call_seconds = 1;
  // Seven linear layers and two norms a layer, and the norm before the head.
  EXPECT_NEAR(decode_seconds(model, goal, machine) - without, 2 * 9 + 1, 1e-9);
  machine.elements = {0, 1e-3};
  const double elements = 2 * (3 * 32 + 2 * 16 + 2 * 48 + 2 * 32) + 32;
  EXPECT_NEAR(decode_seconds(model, goal, machine) - without, 1e-3 * 3 * 8 * elements, 1e-9);
}

TEST(RunSpeed, NormsOfHeadsCountAllHeads) {
  Json config = small_llama_config();
  config.set("model_type", "qwen3").set("head_dim", 8);
  const auto model = random_model(config, 2);
  const RunGoal goal{10, 2};
  MachineProfile machine = machine_for(model, goal);
  const double without = decode_seconds(model, goal, machine);
  machine.elements = {0, 1};
  const double elements = 2 * (3 * 32 + 2 * 16 + 2 * 48 + 2 * 32 + 32 + 16) + 32;
  EXPECT_NEAR(decode_seconds(model, goal, machine) - without, 8 * elements, 1e-9);
}

TEST(RunSpeed, APromptNormsKeysOfEveryTokenAndAfterThemTheLastOneAlone) {
  Json config = small_llama_config();
  config.set("model_type", "qwen3").set("head_dim", 8);
  const auto model = random_model(config, 2);
  const RunGoal goal{10, 2};
  MachineProfile machine = machine_for(model, goal);
  const double without = prompt_seconds(model, goal, machine);
  machine.elements = {0, 1};
  const double of_a_layer = 3 * 32 + 2 * 16 + 2 * 48 + 2 * 32 + 32 + 16;
  const double of_every_token = 32 + 2 * 16 + 16;  // in the last layer: its first norm, keys, values, k_norm
  const double elements = 10 * (of_a_layer + of_every_token) + (of_a_layer - of_every_token) + 32;
  EXPECT_NEAR(prompt_seconds(model, goal, machine) - without, 8 * elements, 1e-6);
}

TEST(RunSpeed, APromptComputesAndMovesItsRows) {
  const auto model = random_llama(2);
  const RunGoal goal{40, 2, 3};
  MachineProfile machine = machine_for(model, goal);
  // The last layer computes for all tokens keys and values alone, and the rest for each sequence's last one.
  const double keys_and_values = 2 * 32 * 16;
  const double computing =
      2e-10 * (120 * (kBlockMatrices / 2 + keys_and_values) + 3 * (kBlockMatrices / 2 - keys_and_values));
  EXPECT_NEAR(prompt_seconds(model, goal, machine), computing + 4e-9 * kHead, 1e-12);
  machine.products[0].activation_byte_seconds = 1e-6;
  // Rows that several products read are read once, for the first of them.
  const double of_keys_and_values = 16 + 16;
  const double of_a_layer = 32 + 32 + 16 + 16 + 32 + 32 + 32 + 48 + 48 + 48 + 32;
  const double elements = 120 * (of_a_layer + of_keys_and_values) + 3 * (of_a_layer - of_keys_and_values);
  EXPECT_NEAR(prompt_seconds(model, goal, machine), computing + 4e-9 * kHead + 4e-6 * elements, 1e-9);
}

TEST(RunSpeed, AShortPromptWaitsForTheWeights) {
  const auto model = random_llama(2);
  const RunGoal goal{3, 2};
  EXPECT_NEAR(prompt_seconds(model, goal, machine_for(model, goal)), 4e-9 * (kBlockMatrices + kHead), 1e-12);
}

TEST(RunSpeed, AttentionIsThatOfEveryLayersOwnWindow) {
  Json config = small_llama_config();
  config.set("model_type", "mistral").set("sliding_window", 16);
  const auto model = random_model(config, 2);
  const RunGoal goal{30, 20, 2};
  const std::vector<AttentionKind> kinds = attention_kinds(model, goal);
  ASSERT_EQ(kinds.size(), 1u);
  EXPECT_EQ(kinds[0], (AttentionKind{4, 2, 8, ops::CacheFormat::kF32, 16}));
  EXPECT_EQ(attention_kinds(random_llama(2), goal)[0].positions, 30 + 10);
  MachineProfile machine = machine_for(model, goal);
  const double decoding = decode_seconds(model, goal, machine),
               reading = prompt_seconds(model, goal, machine);
  machine.attention[0].token_seconds = 1;
  machine.attention[0].pair_seconds = 1;
  EXPECT_NEAR(decode_seconds(model, goal, machine) - decoding, 2 * 2, 1e-9);
  // The first 16 tokens see 1, 2, .., 16 positions, the others 16; in the last layer only the last one looks.
  EXPECT_NEAR(prompt_seconds(model, goal, machine) - reading, 2 * (16 * 17 / 2 + 14 * 16 + 16), 1e-6);
}

TEST(RunSpeed, OtherFormatsAreAsFastAsTheModelThatHasThem) {
  Json config = small_llama_config();
  config.set("hidden_size", 64).set("intermediate_size", 96).set("head_dim", 32);
  const auto before = random_model(config, 3);
  const RunGoal goal{10, 20, 2};
  MachineProfile machine = machine_for(before, goal);
  for (AttentionSpeed& speed : machine.attention)
    speed.token_seconds = 1e-6 * (1 + static_cast<double>(speed.kind.format));
  machine.products[1].call_seconds = 1e-6;
  std::shared_ptr<nn::Model> after = random_model(config, 3);
  nn::RewriteHistory history;
  nn::apply_rewrite(after, {"quantize", Json().set("to", "q8_0").set("pattern", "layers.**")}, rewrites(),
                    history);
  nn::apply_rewrite(after, {"kv_cache", Json().set("format", "q8")}, rewrites(), history);
  int64_t block_bytes = 0;
  nn::walk_parameters(*after, [&](const std::string& path, const nn::Parameter& parameter) {
    if (path.starts_with("layers.") && parameter.shape().rank() == 2) block_bytes += parameter.byte_count();
  });
  const double predicted =
      decode_seconds(before, goal, machine, {"q8_0", block_bytes, ops::CacheFormat::kQ8});
  EXPECT_NEAR(predicted, decode_seconds(after, goal, machine), 1e-12);
  EXPECT_LT(predicted, decode_seconds(before, goal, machine));
}

TEST(RunSpeed, ASpeedThatWasNotMeasuredIsAnError) {
  const auto model = random_llama(2);
  const RunGoal goal{10, 2};
  MachineProfile machine = machine_for(model, goal);
  machine.products.erase(machine.products.begin());
  EXPECT_THROW(decode_seconds(model, goal, machine), Error);
  machine = machine_for(model, goal);
  EXPECT_THROW(decode_seconds(model, {50, 2}, machine), Error) << "of attention at another depth";
}

TEST(Machine, MeasuresWhatItIsAskedFor) {
  const std::vector<std::string> types{"f32", "q4_1"};
  const std::vector<AttentionKind> kinds{{4, 2, 32, ops::CacheFormat::kF16, 64},
                                         {4, 2, 32, ops::CacheFormat::kF16, 4096},
                                         {4, 2, 32, ops::CacheFormat::kQ4, int64_t{1} << 22}};
  const MachineProfile profile = measure_machine(types, kinds);
  ASSERT_EQ(profile.products.size(), 2u);
  for (const std::string& type : types) {
    ASSERT_NE(profile.find(type), nullptr);
    EXPECT_GT(profile.find(type)->one_row_bytes_per_s, 1e6);
    EXPECT_GT(profile.find(type)->many_rows_operations_per_s, 1e6);
    EXPECT_GE(profile.find(type)->call_seconds, 0);
    EXPECT_LT(profile.find(type)->call_seconds, 1e-2);
  }
  EXPECT_EQ(profile.find("bf16"), nullptr);
  for (const AttentionKind& kind : kinds) {
    ASSERT_NE(profile.find(kind), nullptr);
    EXPECT_GT(profile.find(kind)->pair_seconds, 1e-12);
  }
  // 64 times as many positions, and a thousand times as many again, more than were measured at once.
  const auto token = [&](size_t kind) { return profile.find(kinds[kind])->token_seconds; };
  EXPECT_GT(token(1), 4 * token(0));
  EXPECT_GT(token(2), 100 * token(1));
  EXPECT_GT(profile.elements.call_seconds, 1e-9);
  EXPECT_GT(profile.elements.byte_seconds, 1e-13);
}

}  // namespace
}  // namespace martlet::plan
