#include "ops/attention.h"
#include "ops/gradient_testing.h"

namespace martlet::ops::testing {
namespace {

using AttentionGradient = OpTest;

/// A ragged batch: queries and keys of each sequence, in this order in one tensor each.
struct Case {
  std::vector<std::pair<int64_t, int64_t>> sequences;  // queries, keys
  int64_t heads = 2;
  int64_t key_value_heads = 1;
  int64_t head_dim = 4;
  int64_t value_dim = 4;
  bool sinks = false;
  int64_t bias_heads = 0;
  AttentionOptions options = {};
};

/// Inputs: q, all keys, all values, sinks, bias; the last two may be nothing.
std::vector<Tensor> inputs_of(const Case& item, Draws& draws, DType dtype = DType::kF32) {
  int64_t queries = 0;
  int64_t keys = 0;
  int64_t longest = 0;
  for (const auto& [some_queries, some_keys] : item.sequences) {
    queries += some_queries;
    keys += some_keys;
    longest = std::max(longest, some_keys);
  }
  return {draws.dense({queries, item.heads, item.head_dim}, dtype),
          draws.dense({keys, item.key_value_heads, item.head_dim}, dtype),
          draws.dense({keys, item.key_value_heads, item.value_dim}, dtype),
          item.sinks ? draws.dense({item.heads}, DType::kF32) : Tensor(),
          item.bias_heads > 0 ? draws.dense({item.bias_heads, queries, longest}, DType::kF32) : Tensor()};
}

Operation operation_of(const Case& item) {
  return [item](const std::vector<Tensor>& inputs) {
    AttentionOptions options = item.options;
    options.sinks = inputs[3];
    options.bias = inputs[4];
    std::vector<AttentionSequence> sequences;
    int64_t query = 0;
    int64_t key = 0;
    for (const auto& [queries, keys] : item.sequences) {
      sequences.push_back(
          {query, queries, inputs[1].slice(0, key, key + keys), inputs[2].slice(0, key, key + keys)});
      query += queries;
      key += keys;
    }
    return attention(inputs[0], sequences, options);
  };
}

TEST_F(AttentionGradient, OfEveryOptionEqualsFiniteDifferences) {
  const Case cases[] = {
      {.sequences = {{5, 5}}, .options = {.scale = 0.7f}},
      {.sequences = {{3, 3}, {1, 1}, {4, 4}}, .heads = 4, .key_value_heads = 2, .options = {.scale = 0.5f}},
      {.sequences = {{3, 6}, {2, 2}}, .value_dim = 3, .options = {.scale = 0.5f}},
      {.sequences = {{4, 4}, {3, 3}}, .options = {.scale = 0.5f, .causal = false}},
      {.sequences = {{7, 7}}, .options = {.scale = 0.5f, .window = 3}},
      {.sequences = {{7, 7}}, .options = {.scale = 0.5f, .causal = false, .window = 2}},
      {.sequences = {{5, 5}}, .options = {.scale = 0.5f, .soft_cap = 1.5f}},
      {.sequences = {{4, 4}, {2, 2}},
       .heads = 4,
       .key_value_heads = 2,
       .sinks = true,
       .options = {.scale = 0.5f}},
      {.sequences = {{3, 3}, {3, 3}}, .bias_heads = 1, .options = {.scale = 0.5f, .causal = false}},
      {.sequences = {{4, 5}}, .sinks = true, .bias_heads = 2, .options = {.scale = 0.5f, .soft_cap = 2}},
      {.sequences = {{3, 1}}, .options = {.scale = 0.5f}},  // two queries see no key
  };
  Draws draws(1);
  for (const Case& item : cases) {
    SCOPED_TRACE(&item - cases);
    expect_gradient(inputs_of(item, draws), operation_of(item), {.devices = {2e-5, 2e-5}});
  }
}

/// Sizes at which there are several tiles, and rests of them, compared with the reference device only.
TEST_F(AttentionGradient, OfManyTilesAgreesWithTheReference) {
  const Case cases[] = {
      {.sequences = {{150, 150}, {33, 33}},
       .heads = 4,
       .key_value_heads = 2,
       .head_dim = 20,
       .value_dim = 24,
       .options = {.scale = 0.2f}},
      {.sequences = {{70, 200}},
       .heads = 3,
       .key_value_heads = 1,
       .head_dim = 16,
       .value_dim = 16,
       .sinks = true,
       .options = {.scale = 0.2f, .window = 90}},
      {.sequences = {{100, 100}},
       .heads = 1,
       .key_value_heads = 1,
       .head_dim = 8,
       .value_dim = 40,
       .bias_heads = 1,
       .options = {.scale = 0.2f, .causal = false, .window = 30, .soft_cap = 5}},
  };
  Draws draws(2);
  for (const Case& item : cases) {
    SCOPED_TRACE(&item - cases);
    expect_same_gradient(inputs_of(item, draws), operation_of(item), {2e-4, 5e-5});
  }
  // In f32 few results round to a neighbour, 2^-8 away. Pairs of bf16 round weights and their gradients, too.
  for (const Case& item : cases) {
    SCOPED_TRACE(&item - cases);
    expect_gradient_within(inputs_of(item, draws, DType::kBF16), operation_of(item), 5e-4, 4e-3);
  }
}

TEST_F(AttentionGradient, OfNothing) {
  Draws draws(3);
  expect_gradient(inputs_of({.sequences = {{0, 0}}}, draws), operation_of({.sequences = {{0, 0}}}));
}

}  // namespace
}  // namespace martlet::ops::testing
