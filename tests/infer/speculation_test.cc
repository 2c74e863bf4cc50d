#include "infer/speculation.h"

#include <algorithm>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/random.h"
#include "base/thread_pool.h"
#include "infer/counting_model.h"
#include "infer/generate.h"
#include "infer/ngram_drafter.h"
#include "models/open.h"
#include "nn/decoder.h"
#include "plan/catalogue.h"
#include "support/random_model.h"

namespace martlet::infer {
namespace {

constexpr int64_t kVocabulary = 97;

/// Seconds that a text of `tokens` takes, where a forward takes 1 and a little for each guess, guesses cost
/// nothing to make and hold with that probability.
double seconds_for(int tokens, double holds, double guess_seconds, int64_t& longest) {
  DraftLength length(16);
  const Philox random(9);
  uint64_t draw = 0;
  double seconds = 0;
  longest = 0;
  for (int done = 0; done < tokens;) {
    const int64_t drafted = length.choose(1);
    int64_t right = 0;
    while (right < drafted && random.uniform(draw++) < holds) ++right;
    DraftLength::Forward forward{.sequences = 1, .drafted = drafted, .accepted = right};
    forward.refuted = right < drafted;
    forward.reading = 1 + guess_seconds * static_cast<double>(drafted);
    length.learn(forward);
    longest = std::max(longest, drafted);
    seconds += forward.reading;
    done += static_cast<int>(right) + 1;
  }
  return seconds;
}

TEST(DraftLength, GuessesFarWhereTheyHoldAndLosesLittleWhereTheyDoNot) {
  int64_t longest = 0;
  EXPECT_LT(seconds_for(2000, 1.0, 0.05, longest), 2000 / 5.0);
  EXPECT_EQ(longest, 16);
  for (const double guess_seconds : {0.05, 0.3, 1.0}) {
    EXPECT_LT(seconds_for(2000, 0.0, guess_seconds, longest), 2000 * 1.03) << guess_seconds;
    EXPECT_LT(seconds_for(2000, 0.5, guess_seconds, longest), 2000 * 1.03) << guess_seconds;
  }
  EXPECT_LT(seconds_for(2000, 0.8, 0.1, longest), 2000 * 0.5);
}

TEST(DraftLength, ReadsGuessesAsFarAsTheirChancesPay) {
  DraftLength length(16);
  EXPECT_EQ(length.choose(1, std::vector<double>(16, 1.0)), 0) << "what a token takes is not known";
  length.learn({.sequences = 1, .reading = 1});
  EXPECT_EQ(length.choose(1, std::vector<double>(16, 1.0)), 16);
  EXPECT_EQ(length.choose(1, std::vector<double>(20, 1.0)), 16);
  EXPECT_EQ(length.choose(1, std::vector<double>(3, 1.0)), 3);
  EXPECT_EQ(length.choose(1, std::vector<double>(16, 0.1)), 0);
  for (const size_t sure : {1, 5, 12}) {
    std::vector<double> chances(16, 0.05);
    std::fill_n(chances.begin(), sure, 0.99);
    EXPECT_EQ(length.choose(1, chances), static_cast<int64_t>(sure));
  }
  // A doubtful one among sure ones is worth it, where guesses are cheap.
  std::vector<double> chances(16, 1.0);
  chances[0] = 0.5;
  EXPECT_EQ(length.choose(1, chances), 16);
}

TEST(DraftLength, OneSlowForwardIsNotTakenForWhatATokenTakes) {
  DraftLength length(16);
  length.learn({.sequences = 1, .reading = 5});
  length.learn({.sequences = 1, .drafted = 1, .refuted = 1, .reading = 1.5});
  length.learn({.sequences = 1, .drafted = 1, .refuted = 1, .reading = 2.5});
  // A token takes 1.5 at most, and a guess that adds half of one pays where it holds more often than not.
  EXPECT_EQ(length.choose(1, std::vector<double>(1, 0.2)), 0);
  EXPECT_EQ(length.choose(1, std::vector<double>(1, 0.9)), 1);
}

TEST(DraftLength, AnotherProcessThatHadTheProcessorDoesNotEndGuessing) {
  DraftLength length(16);
  const auto read_guesses = [&](double seconds) {
    length.learn({.sequences = 1, .drafted = 4, .accepted = 4, .reading = seconds});
  };
  length.learn({.sequences = 1, .reading = 1});
  for (int i = 0; i < 3; ++i) read_guesses(1.4);
  read_guesses(50);
  for (int i = 0; i < 3; ++i) read_guesses(1.4);
  EXPECT_GT(length.choose(1), 0);
}

/// Guesses that are right, but for some.
class Knowing final : public Drafter {
 public:
  Knowing(std::vector<std::vector<int32_t>> texts, double wrong) : texts_(std::move(texts)), wrong_(wrong) {}
  Draft draft(std::span<const int32_t> ids, int64_t most, GrowingKvCache&) override {
    std::vector<int32_t> guesses;
    for (const std::vector<int32_t>& text : texts_) {
      if (text.size() < ids.size() || !std::equal(ids.begin(), ids.end(), text.begin())) continue;
      for (size_t i = ids.size(); i < text.size() && static_cast<int64_t>(guesses.size()) < most; ++i)
        guesses.push_back(random_.uniform(draw_++) < wrong_ ? (text[i] + 1) % kVocabulary : text[i]);
      break;
    }
    return {std::move(guesses)};
  }

 private:
  std::vector<std::vector<int32_t>> texts_;  // prompts with their replies
  double wrong_;
  Philox random_{17};
  uint64_t draw_ = 0;
};

class Speculation : public ::testing::Test {
 protected:
  explicit Speculation(const Json& config = testing::small_llama_config(),
                       const models::OpenOptions& options = {})
      : directory_(config, 11), model_(models::open_model(directory_.path(), options)) {}
  ~Speculation() override { set_thread_count(0); }

  nn::Model& tree() const { return *model_.tree; }

  static std::vector<std::vector<int32_t>> prompts(const Philox& random, size_t count) {
    std::vector<std::vector<int32_t>> result(count);
    uint64_t draw = 0;
    for (std::vector<int32_t>& prompt : result) {
      prompt.resize(1 + random.below(draw++, 20));
      for (int32_t& id : prompt) id = static_cast<int32_t>(random.below(draw++, kVocabulary));
    }
    return result;
  }

  /// Prompts, batches, threads, chance, stops and guesses as drawn; replies as with none of them.
  void expect_same_in_every_schedule(uint64_t schedules);

  static void expect_same(const std::vector<Generated>& got, const std::vector<Generated>& wanted) {
    ASSERT_EQ(got.size(), wanted.size());
    for (size_t i = 0; i < got.size(); ++i) {
      EXPECT_EQ(got[i].ids, wanted[i].ids) << "prompt " << i;
      EXPECT_EQ(got[i].finish, wanted[i].finish) << "prompt " << i;
    }
  }

  testing::ModelDirectory directory_;
  models::OpenModel model_;
};

void Speculation::expect_same_in_every_schedule(uint64_t schedules) {
  int64_t accepted = 0;
  int64_t refuted = 0;
  for (uint64_t schedule = 0; schedule < schedules; ++schedule) {
    SCOPED_TRACE(schedule);
    const Philox random(schedule);
    uint64_t draw = 1000;
    const auto pick = [&](uint64_t bound) { return random.below(draw++, bound); };
    auto asked = prompts(random, 1 + pick(6));
    if (pick(2) == 0)  // a common beginning
      for (std::vector<int32_t>& prompt : asked) prompt.insert(prompt.begin(), 12, 5);
    GenerationOptions options;
    options.max_new_tokens = static_cast<int64_t>(pick(40));
    options.sampling.temperature = pick(2) == 0 ? 0 : 1.5;
    options.sampling.repetition_penalty = pick(3) == 0 ? 1.3 : 1;
    options.sampling.seed = schedule;
    if (pick(2) == 0) options.stop_ids = {static_cast<int32_t>(pick(kVocabulary))};
    if (pick(2) == 0) options.context = ContextPolicy::kSlide;
    const std::vector<Generated> wanted = generate(tree(), asked, options);

    std::vector<std::vector<int32_t>> texts = asked;
    for (size_t i = 0; i < texts.size(); ++i)
      texts[i].insert(texts[i].end(), wanted[i].ids.begin(), wanted[i].ids.end());
    const double wrong = 0.25 * static_cast<double>(pick(4));
    const uint64_t kind = pick(4);
    options.drafter = [&]() -> std::unique_ptr<Drafter> {
      if (kind == 0) return std::make_unique<NgramDrafter>();
      if (kind == 1) return std::make_unique<ModelDrafter>(tree());
      return std::make_unique<Knowing>(texts, wrong);
    };
    options.batch = static_cast<int64_t>(1 + pick(7));
    options.draft_tokens = static_cast<int64_t>(1 + pick(9));
    set_thread_count(static_cast<int>(1 + pick(2)));
    const std::vector<Generated> got = generate(tree(), asked, options);
    expect_same(got, wanted);
    for (const Generated& each : got) {
      accepted += each.accepted;
      refuted += each.drafted - each.accepted;
    }
  }
  EXPECT_GT(accepted, 100) << "guesses that held were among them";
  EXPECT_GT(refuted, 100) << "and such that did not";
}

TEST_F(Speculation, RepliesAreTheSameInAThousandSchedules) {
  expect_same_in_every_schedule(1000);
}

class SpeculationOfPacked : public Speculation {
 protected:
  SpeculationOfPacked() : Speculation(config(), options()) {}
  static Json config() {
    Json config = testing::small_llama_config();
    return config.set("intermediate_size", 64);
  }
  static models::OpenOptions options() {
    return {.catalogue = plan::rewrites(),
            .rewrites = {
                {"quantize", Json(Json::Object{}).set("to", "q8_0")}, {"int8_activations"}, {"kv_cache"}}};
  }
};

TEST_F(SpeculationOfPacked, RepliesAreTheSameInEverySchedule) {
  expect_same_in_every_schedule(300);
}

TEST_F(Speculation, EarlyLayersGuessWithoutAChangeAndAllLayersGuessRight) {
  const auto& decoder = dynamic_cast<const nn::DecoderModel&>(tree());
  GenerationOptions plain;
  plain.max_new_tokens = 40;
  const std::vector<std::vector<int32_t>> asked = prompts(Philox(5), 6);
  const std::vector<Generated> wanted = generate(tree(), asked, plain);
  for (int64_t layers = 1; layers <= tree().shape().layers; ++layers) {
    const std::shared_ptr<nn::Model> first = decoder.first_layers(layers);
    GenerationOptions guessing = plain;
    guessing.drafter = [&] { return std::make_unique<EarlyDrafter>(*first); };
    const std::vector<Generated> got = generate(tree(), asked, guessing);
    for (size_t i = 0; i < got.size(); ++i) {
      EXPECT_EQ(got[i].ids, wanted[i].ids) << layers << " layers";
      if (layers == tree().shape().layers) {
        EXPECT_EQ(got[i].accepted, got[i].drafted) << "the whole model knows what it will say";
      }
    }
  }
  EXPECT_THROW(decoder.first_layers(tree().shape().layers + 1), Error);
  EXPECT_THROW(decoder.first_layers(0), Error);
}

TEST_F(Speculation, AModelThatGuessesReadsThePromptBeforeItsFirstGuessAndNotForIt) {
  CountingModel counting(tree());
  std::vector<int32_t> text = prompts(Philox(4), 1)[0];
  ModelDrafter drafter(counting);
  drafter.begin(text);
  const auto size = static_cast<int64_t>(text.size());
  EXPECT_EQ(counting.tokens, size);
  GrowingKvCache none(tree().shape().layers);
  text.push_back(7);
  drafter.draft(text, 1, none);
  EXPECT_EQ(counting.tokens, size + 1);
  // Nor before there is anything to guess.
  counting.tokens = 0;
  GenerationOptions options;
  options.max_new_tokens = 2;
  options.drafter = [&] { return std::make_unique<ModelDrafter>(counting); };
  generate(tree(), std::span(&text, 1), options);
  EXPECT_EQ(counting.tokens, 0);
}

TEST_F(Speculation, AConversationIsTheSameAfterGuesses) {
  GenerationOptions plain;
  plain.max_new_tokens = 12;
  GenerationOptions guessing = plain;
  guessing.drafter = [] { return std::make_unique<NgramDrafter>(); };
  ReadContext context(tree().shape().layers);
  std::vector<int32_t> talk;
  for (const std::vector<int32_t>& said : prompts(Philox(3), 4)) {
    talk.insert(talk.end(), said.begin(), said.end());
    const std::vector<int32_t> expected = generate(tree(), std::span(&talk, 1), plain)[0].ids;
    EXPECT_EQ(generate_on(tree(), context, talk, guessing).ids, expected);
    EXPECT_EQ(static_cast<int64_t>(context.ids.size()), context.cache.length());
    talk.insert(talk.end(), expected.begin(), expected.end());
    if (talk.size() > 40) talk.erase(talk.begin() + 40, talk.end());
  }
}

class LongRope : public Speculation {
 protected:
  LongRope() : Speculation(config()) {}
  static Json config() {
    Json config = testing::small_llama_config();
    config.set("max_position_embeddings", 256);
    config.set("rope_scaling",
               Json::parse(R"({"rope_type": "longrope", "original_max_position_embeddings": 40,
      "short_factor": [1.0, 1.1, 1.3, 1.7], "long_factor": [1.0, 2.2, 4.0, 6.5]})",
                           "rope"));
    return config;
  }
};

TEST_F(LongRope, GuessesHaveTheFrequenciesOfTheirOwnLength) {
  const auto asked = prompts(Philox(8), 3);
  GenerationOptions options;
  options.max_new_tokens = 100;
  const std::vector<Generated> wanted = generate(tree(), asked, options);
  std::vector<std::vector<int32_t>> texts = asked;
  for (size_t i = 0; i < texts.size(); ++i)
    texts[i].insert(texts[i].end(), wanted[i].ids.begin(), wanted[i].ids.end());
  options.drafter = [&] { return std::make_unique<Knowing>(texts, 0.1); };
  expect_same(generate(tree(), asked, options), wanted);
}

}  // namespace
}  // namespace martlet::infer
