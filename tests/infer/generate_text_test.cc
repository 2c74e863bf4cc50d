#include "infer/generate_text.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/utf8.h"
#include "support/chat_model.h"

namespace martlet::infer {
namespace {

class GenerateText : public ::testing::Test {
 protected:
  GenerateText() : directory_(21), model_(LanguageModel::load(directory_.path())) {
    options_.max_new_tokens = 40;
    options_.sampling.temperature = 1.5;
    options_.sampling.seed = 2;
    for (const char* text : {"swallow", "a", "the nest is high"})
      prompts_.push_back(model_.tokenizer().encode(text));
  }
  ~GenerateText() override { clear_interrupt(); }

  testing::ChatModelDirectory directory_;
  LanguageModel model_;
  GenerationOptions options_;
  std::vector<std::vector<int32_t>> prompts_;
};

TEST_F(GenerateText, PiecesTogetherAreTheTextAndNeverSplitACharacter) {
  std::vector<std::string> streamed(prompts_.size());
  const auto replies =
      generate_text(model_, prompts_, options_, {}, [&](size_t sequence, std::string_view piece) {
        EXPECT_TRUE(is_valid_utf8(piece));
        streamed[sequence] += piece;
        return true;
      });
  for (size_t i = 0; i < replies.size(); ++i) {
    EXPECT_EQ(streamed[i], replies[i].text);
    EXPECT_EQ(replies[i].text, model_.tokenizer().decode(replies[i].ids, {.skip_special_tokens = true}));
    EXPECT_EQ(replies[i].finish, Finish::kLength);
  }
}

TEST_F(GenerateText, AStopTextEndsItsReplyAloneAndIsNeverShown) {
  const auto free = generate_text(model_, prompts_, options_);
  // A stop text across tokens: from the middle of the first reply.
  const std::string& whole = free[0].text;
  size_t at = whole.size() / 2;
  while ((static_cast<unsigned char>(whole[at]) & 0xc0) == 0x80) ++at;
  const std::string stop = whole.substr(at, 8);
  std::string streamed;
  const auto replies =
      generate_text(model_, prompts_, options_, {stop}, [&](size_t sequence, std::string_view piece) {
        if (sequence == 0) streamed += piece;
        return true;
      });
  EXPECT_EQ(replies[0].text, whole.substr(0, whole.find(stop)));
  EXPECT_EQ(streamed, replies[0].text);
  EXPECT_EQ(replies[0].finish, Finish::kStop);
  EXPECT_LT(replies[0].ids.size(), free[0].ids.size());
  for (size_t i = 1; i < replies.size(); ++i)
    if (free[i].text.find(stop) == std::string::npos) {
      EXPECT_EQ(replies[i].ids, free[i].ids);
    }
}

TEST_F(GenerateText, TheListenerEndsAReply) {
  int calls = 0;
  const auto reply = generate_text(model_, std::span(prompts_).first(1), options_, {},
                                   [&](size_t, std::string_view) { return ++calls < 5; });
  EXPECT_EQ(reply[0].ids.size(), 5u);
  EXPECT_EQ(reply[0].finish, Finish::kStopped);
}

TEST_F(GenerateText, AnInterruptionLeavesAContextThatGoesOn) {
  const Reply free = generate_text(model_, std::span(prompts_).first(1), options_)[0];
  ReadContext context(model_.tree().shape().layers);
  int calls = 0;
  EXPECT_THROW(generate_text_on(model_, context, prompts_[0], options_, {},
                                [&](size_t, std::string_view) {
                                  if (++calls == 7) request_interrupt();
                                  return true;
                                }),
               Error);
  clear_interrupt();
  EXPECT_EQ(static_cast<int64_t>(context.ids.size()), context.cache.length());
  EXPECT_EQ(context.ids.size(), prompts_[0].size() + 6) << "the last token was not read yet";
  EXPECT_EQ(generate_text_on(model_, context, prompts_[0], options_).ids, free.ids);
}

}  // namespace
}  // namespace martlet::infer
