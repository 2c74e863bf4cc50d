#include "ops/attention.h"

#include <cmath>
#include <limits>

#include "base/thread_pool.h"
#include "ops/op_testing.h"

namespace martlet::ops {
namespace {

using testing::at_every_level;
using testing::bits_of;
using testing::Draws;
using testing::expect_close;
using ::testing::HasSubstr;
using testing::message_of;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

class Attention : public testing::OpTest {};

bool coin(Draws& draws) {
  return draws.below(2) == 1;
}
template <typename T>
T pick(Draws& draws, std::initializer_list<T> values) {
  return values.begin()[draws.below(static_cast<int64_t>(values.size()))];
}

struct Case {
  Tensor q;
  std::vector<AttentionSequence> sequences;
  AttentionOptions options;

  Tensor run() const { return attention(q, sequences, options); }

  Case to(Device device) const {
    Case result = *this;
    result.q = q.to(device);
    for (AttentionSequence& sequence : result.sequences) {
      sequence.keys = sequence.keys.to(device);
      sequence.values = sequence.values.to(device);
    }
    if (options.sinks.defined()) result.options.sinks = options.sinks.to(device);
    if (options.bias.defined()) result.options.bias = options.bias.to(device);
    return result;
  }

  /// Queries [begin, end) of one sequence alone, as a causal decoder would meet them: with the keys up to the
  /// last of them.
  Case alone(size_t sequence, int64_t begin, int64_t end) const {
    const AttentionSequence& from = sequences[sequence];
    Case result = *this;
    const int64_t keys = from.keys.dim(0) - (options.causal ? from.query_count - end : 0);
    const int64_t first = from.query_begin + begin;
    const int64_t last = from.query_begin + end;
    result.q = q.slice(0, first, last);
    if (options.bias.defined()) result.options.bias = options.bias.slice(1, first, last);
    result.sequences = {{0, end - begin, from.keys.slice(0, 0, keys), from.values.slice(0, 0, keys)}};
    return result;
  }
};

struct Sizes {
  int64_t heads = 4, key_value_heads = 2, head_dim = 64, value_dim = 64;
  DType q = DType::kF32, cache = DType::kF32;
};

/// A sequence of each pair (queries, keys); caches are views of larger ones, heads first or keys first.
Case make_case(Draws& draws, const Sizes& sizes, const std::vector<std::pair<int64_t, int64_t>>& lengths) {
  Case result;
  int64_t tokens = 0;
  for (const auto& [queries, keys] : lengths) {
    const auto cache = [&](int64_t size) {
      if (coin(draws))
        return draws.dense({sizes.key_value_heads, keys + 3, size}, sizes.cache)
            .transpose(0, 1)
            .slice(0, 1, keys + 1);
      return draws.dense({keys, sizes.key_value_heads + 1, size}, sizes.cache)
          .slice(1, 0, sizes.key_value_heads);
    };
    result.sequences.push_back({tokens, queries, cache(sizes.head_dim), cache(sizes.value_dim)});
    tokens += queries;
  }
  result.q = draws.dense({tokens, sizes.heads, sizes.head_dim}, sizes.q);
  result.options.scale = 1.0f / std::sqrt(static_cast<float>(sizes.head_dim));
  return result;
}

void add_options(Draws& draws, Case& subject) {
  int64_t longest = 0;
  for (const AttentionSequence& sequence : subject.sequences)
    longest = std::max(longest, sequence.keys.dim(0));
  AttentionOptions& options = subject.options;
  options.causal = draws.below(3) > 0;
  if (draws.below(3) == 0) options.window = 1 + draws.below(200);
  if (draws.below(3) == 0) options.soft_cap = pick(draws, {1.0f, 5.0f, 50.0f});
  if (draws.below(3) == 0) options.sinks = draws.dense({subject.q.dim(1)}, DType::kF32);
  if (draws.below(3) == 0) {
    const int64_t heads = coin(draws) ? 1 : subject.q.dim(1);
    std::vector<float> bias =
        draws.dense({heads, subject.q.dim(0), longest + 2}, DType::kF32).to_vector<float>();
    for (float& value : bias)
      if (value > 1) value = -kInfinity;
    options.bias = Tensor::from(bias, {heads, subject.q.dim(0), longest + 2}).slice(2, 1, longest + 1);
  }
}

Case random_case(uint64_t seed) {
  Draws draws(seed);
  Sizes sizes;
  sizes.key_value_heads = 1 + draws.below(3);
  sizes.heads = sizes.key_value_heads * (1 + draws.below(4));
  sizes.head_dim = pick<int64_t>(draws, {1, 8, 24, 40, 64, 80, 96, 128, 256});
  sizes.value_dim = coin(draws) ? sizes.head_dim : pick<int64_t>(draws, {1, 7, 16, 48, 72, 128});
  sizes.q = pick(draws, {DType::kF32, DType::kF32, DType::kBF16});
  sizes.cache = pick(draws, {DType::kF32, DType::kBF16, DType::kF16});
  std::vector<std::pair<int64_t, int64_t>> lengths;
  for (int64_t i = draws.below(3); i >= 0; --i) {
    const int64_t keys = draws.below(coin(draws) ? 40 : 600);
    lengths.push_back(
        {draws.below(4) == 0 ? draws.below(50) : draws.below(std::min<int64_t>(keys, 70) + 1), keys});
  }
  Case result = make_case(draws, sizes, lengths);
  add_options(draws, result);
  return result;
}

TEST_F(Attention, AgreesWithTheReferenceForAnyShapeOptionAndInstructionSet) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    const Case subject = random_case(seed);
    const Case oracle = subject.to(Device::kReference);
    Tensor expected_sums;
    const Tensor expected =
        attention(oracle.q, oracle.sequences, oracle.options, &expected_sums).to(Device::kCpu);
    at_every_level([&] {
      Tensor sums;
      const Tensor result = attention(subject.q, subject.sequences, subject.options, &sums);
      expect_close(result, expected, {2e-6, 2e-6});
      expect_close(sums, expected_sums.to(Device::kCpu), {2e-6, 4e-6});
    });
  }
}

TEST_F(Attention, GivesTheSameBitsOnAvx2AndAvx512) {
  if (!cpu_features().avx512) GTEST_SKIP() << "this machine has no AVX-512";
  for (uint64_t seed = 100; seed < 130; ++seed) {
    const Case subject = random_case(seed);
    limit_cpu_features({.avx2 = true, .avx512 = true});
    const Tensor wide = subject.run();
    limit_cpu_features({.avx2 = true});
    EXPECT_EQ(bits_of(subject.run()), bits_of(wide)) << "seed " << seed;
  }
}

TEST_F(Attention, GivesTheSameBitsForAnyNumberOfThreads) {
  const auto compare = [](const Case& subject) {
    set_thread_count(1);
    const Tensor expected = subject.run();
    for (const int threads : {2, 3, 8}) {
      set_thread_count(threads);
      EXPECT_EQ(bits_of(subject.run()), bits_of(expected)) << threads << " threads";
    }
  };
  for (uint64_t seed = 200; seed < 230; ++seed) {
    SCOPED_TRACE(seed);
    compare(random_case(seed));
  }
  // Long enough that threads share the keys of one sequence.
  Draws draws(230);
  compare(make_case(draws, {}, {{1, 9000}}));
  compare(make_case(draws, {}, {{60, 3000}}));
  compare(make_case(draws, {.heads = 8, .key_value_heads = 1}, {{1, 3000}}));
  // 128 chunks of which 85 results may wait at a time: a wave ends within a unit.
  Case waves =
      make_case(draws, {.heads = 4, .key_value_heads = 4, .head_dim = 8, .value_dim = 512}, {{96, 8192}});
  compare(waves);
  waves.options.sinks = draws.dense({4}, DType::kF32);
  compare(waves);
}

TEST_F(Attention, GivesASequenceTheSameBitsAloneAsInABatch) {
  for (uint64_t seed = 300; seed < 330; ++seed) {
    const Case subject = random_case(seed);
    const Tensor batch = subject.run();
    for (size_t i = 0; i < subject.sequences.size(); ++i) {
      const auto& [begin, count, keys, values, tiles] = subject.sequences[i];
      EXPECT_EQ(bits_of(subject.alone(i, 0, count).run()), bits_of(batch.slice(0, begin, begin + count)))
          << "seed " << seed;
    }
  }
}

TEST_F(Attention, GivesAQueryTheSameBitsDecodedAsPrefilled) {
  for (uint64_t seed = 0; seed < 12; ++seed) {
    SCOPED_TRACE(seed);
    Draws draws(400 + seed);
    Sizes sizes;
    sizes.heads = pick<int64_t>(draws, {2, 6, 8, 14, 16});
    sizes.head_dim = pick<int64_t>(draws, {24, 64, 80});
    sizes.cache = pick(draws, {DType::kF32, DType::kBF16, DType::kF16});
    const int64_t length = draws.between(290, 350);
    Case subject = make_case(draws, sizes, {{length, length}});
    add_options(draws, subject);
    subject.options.causal = true;
    at_every_level([&] {
      const Tensor prefilled = subject.run();
      const int64_t step = seed < 2 && cpu_features().avx2 ? 1 : 7;
      for (int64_t query = 0; query < length; query += step)
        ASSERT_EQ(bits_of(subject.alone(0, query, query + 1).run()),
                  bits_of(prefilled.slice(0, query, query + 1)))
            << "query " << query;
      const int64_t cut = draws.below(length);
      EXPECT_EQ(bits_of(subject.alone(0, cut, length).run()), bits_of(prefilled.slice(0, cut, length)));
    });
  }
}

TEST_F(Attention, GivesZerosWhereThereIsNothingToSee) {
  Draws draws(1);
  // Three queries and one key: a causal query that comes before every key sees none.
  Case subject = make_case(draws, {}, {{3, 1}, {2, 0}});
  at_every_level([&] {
    Tensor sums;
    const Tensor result = attention(subject.q, subject.sequences, subject.options, &sums);
    const Tensor value = subject.sequences[0].values.select(0, 0);  // [key/value heads, value_dim]
    for (int64_t token = 0; token < 5; ++token)
      for (int64_t head = 0; head < 4; ++head) {
        const Tensor expected = token == 2 ? value.select(0, head / 2) : Tensor::zeros({64}, DType::kF32);
        EXPECT_EQ(bits_of(result.select(0, token).select(0, head)), bits_of(expected));
        EXPECT_EQ(std::isinf(sums.to_vector<float>()[static_cast<size_t>(token * 4 + head)]), token != 2);
      }
  });
}

TEST_F(Attention, GivesZerosForTokensOfNoSequence) {
  Draws draws(2);
  Case subject = make_case(draws, {}, {{2, 5}, {1, 4}, {3, 7}});
  const Tensor all = subject.run();
  subject.sequences.erase(subject.sequences.begin() + 1);
  const Tensor result = subject.run();
  EXPECT_EQ(bits_of(result.slice(0, 0, 2)), bits_of(all.slice(0, 0, 2)));
  EXPECT_EQ(bits_of(result.slice(0, 2, 3)), bits_of(Tensor::zeros({1, 4, 64}, DType::kF32)));
  EXPECT_EQ(bits_of(result.slice(0, 3, 6)), bits_of(all.slice(0, 3, 6)));
}

TEST_F(Attention, ABiasOfMinusInfinityHidesKeysAndMayHideAll) {
  Draws draws(3);
  Case subject = make_case(draws, {}, {{3, 100}});
  subject.options.causal = false;
  std::vector<float> bias(300);
  for (size_t key = 0; key < 100; ++key) {
    bias[key] = -kInfinity;                        // query 0 sees nothing
    bias[100 + key] = key < 70 ? 0 : -kInfinity;   // query 1 what a shorter sequence holds
    bias[200 + key] = key == 80 ? 0 : -kInfinity;  // query 2 one key alone
  }
  subject.options.bias = Tensor::from(bias, {1, 3, 100});
  at_every_level([&] {
    const Tensor result = subject.run();
    EXPECT_EQ(bits_of(result.slice(0, 0, 1)), bits_of(Tensor::zeros({1, 4, 64}, DType::kF32)));
    Case shorter = subject.alone(0, 1, 2);
    shorter.options.bias = Tensor();
    shorter.sequences[0].keys = shorter.sequences[0].keys.slice(0, 0, 70);
    shorter.sequences[0].values = shorter.sequences[0].values.slice(0, 0, 70);
    EXPECT_EQ(bits_of(result.slice(0, 1, 2)), bits_of(shorter.run()));
    EXPECT_EQ(bits_of(result.select(0, 2).select(0, 0)),
              bits_of(subject.sequences[0].values.select(0, 80).select(0, 0)));
  });
}

TEST_F(Attention, TakesScoresThatOverflowAnExponential) {
  Draws draws(4);
  Case subject = make_case(draws, {}, {{5, 300}});
  subject.options.scale = 1000;
  const Tensor expected = subject.to(Device::kReference).run().to(Device::kCpu);
  at_every_level([&] { expect_close(subject.run(), expected, {1e-3, 1e-3}); });
}

TEST_F(Attention, NotANumberInAKeyReachesTheQueriesThatSeeIt) {
  Draws draws(5);
  Case subject = make_case(draws, {}, {{80, 80}});
  std::vector<float> keys = subject.sequences[0].keys.contiguous().to_vector<float>();
  for (size_t i = 70 * 128; i < 71 * 128; ++i) keys[i] = std::nanf("");
  subject.sequences[0].keys = Tensor::from(keys, {80, 2, 64});
  at_every_level([&] {
    const std::vector<float> result = subject.run().to_vector<float>();
    for (size_t i = 0; i < result.size(); ++i) ASSERT_EQ(std::isnan(result[i]), i >= 70 * 256) << i;
  });
}

TEST_F(Attention, TakesNoTokensAndNoSequences) {
  const Tensor none = attention(Tensor::empty({0, 4, 8}, DType::kF32), {}, {});
  EXPECT_EQ(none.shape(), (Shape{0, 4, 8}));
  Draws draws(6);
  EXPECT_EQ(make_case(draws, {}, {{0, 10}, {0, 0}}).run().shape(), (Shape{0, 4, 64}));
}

TEST_F(Attention, SaysWhatDoesNotFit) {
  Draws draws(7);
  const Case good = make_case(draws, {}, {{2, 5}, {3, 3}});
  const auto message = [&](const std::function<void(Case&)>& spoil) {
    Case subject = good;
    spoil(subject);
    return message_of([&] { subject.run(); });
  };
  EXPECT_THAT(message([](Case& c) { c.q = c.q.select(0, 0); }), HasSubstr("q [tokens, heads, head_dim]"));
  EXPECT_THAT(message([](Case& c) {
                c.q = Tensor::empty({5, 4, 64}, DType::kF16);
              }),
              HasSubstr("f32 or bf16"));
  EXPECT_THAT(message([](Case& c) { c.sequences.clear(); }), HasSubstr("at least one sequence"));
  EXPECT_THAT(message([](Case& c) { c.sequences[1].query_begin = 1; }), HasSubstr("of 3 queries from 1"));
  EXPECT_THAT(message([](Case& c) { c.sequences[1].query_count = 4; }), HasSubstr("of 4 queries from 2"));
  EXPECT_THAT(message([](Case& c) { c.sequences[0].keys = Tensor(); }), HasSubstr("keys"));
  EXPECT_THAT(message([](Case& c) { c.sequences[0].values = c.sequences[0].values.slice(0, 0, 4); }),
              HasSubstr("as many keys as values"));
  EXPECT_THAT(message([](Case& c) {
                c.q = Tensor::empty({5, 3, 64}, DType::kF32);
              }),
              HasSubstr("no multiple"));
  EXPECT_THAT(message([](Case& c) {
                c.q = Tensor::empty({5, 4, 32}, DType::kF32);
              }),
              HasSubstr("head_dim 32, its keys 64"));
  EXPECT_THAT(message([](Case& c) { c.sequences[1].keys = c.sequences[1].keys.transpose(1, 2); }),
              HasSubstr("dense"));
  EXPECT_THAT(message([](Case& c) { c.options.window = -1; }), HasSubstr("-1"));
  EXPECT_THAT(message([](Case& c) { c.options.sinks = Tensor::zeros({3}, DType::kF32); }),
              HasSubstr("sinks f32[4]"));
  EXPECT_THAT(message([](Case& c) {
                c.options.bias = Tensor::zeros({1, 5, 4}, DType::kF32);
              }),
              HasSubstr("bias f32[1 or 4, 5, 5 or more]"));
  EXPECT_THAT(message([](Case& c) { c.q = c.q.to(Device::kReference); }), HasSubstr("on reference"));
}

TEST_F(Attention, CostsTwoProductsForEveryVisiblePair) {
  Draws draws(8);
  const Case subject = make_case(draws, {}, {{4, 4}});
  const Cost cost = attention_cost(subject.q.shape(), subject.sequences, subject.options);
  EXPECT_EQ(cost.operations, 2.0 * (1 + 2 + 3 + 4) * 4 * (64 + 64));
  EXPECT_EQ(cost.bytes_written, 4.0 * 4 * 64 * 4);
}

}  // namespace
}  // namespace martlet::ops
