#include "cli/chat_session.h"

#include <gmock/gmock.h>

#include "base/error.h"
#include "base/interrupt.h"
#include "cli/chat_format.h"
#include "support/chat_model.h"

namespace martlet::cli {
namespace {

void ignore(std::string_view) {}

class Chat : public ::testing::Test {
 protected:
  Chat() : model_(infer::LanguageModel::load(directory_.path())), session_(model_, chat_format_of(model_)) {
    options_.generation.max_new_tokens = 12;
    options_.generation.sampling.temperature = 0.9;
    options_.generation.stop_ids = model_.stop_ids();
  }
  ~Chat() override { clear_interrupt(); }

  std::string last() const { return session_.messages().array().back().at("content").string(); }

  testing::ChatModelDirectory directory_{31, 128};
  infer::LanguageModel model_;
  ChatSession session_;
  ReplyOptions options_;
};

TEST_F(Chat, ReadsOnlyWhatIsNewAndRepliesAsIfItHadReadAll) {
  int64_t reused = 0;
  for (const char* said : {"hi", "and you?", "the nest"}) {
    session_.say(said);
    ChatSession fresh(model_, chat_format_of(model_));
    fresh.set_messages(session_.messages(), "test");
    const ReplyStatistics again = session_.reply(options_, ignore);
    const ReplyStatistics whole = fresh.reply(options_, ignore);
    EXPECT_EQ(fresh.messages(), session_.messages());
    EXPECT_EQ(whole.reused_tokens, 0);
    EXPECT_EQ(whole.prompt_tokens, again.prompt_tokens);
    EXPECT_EQ(whole.new_tokens, again.new_tokens);
    EXPECT_GE(again.reused_tokens, reused);
    reused = again.prompt_tokens;  // the next turn has read this prompt at least
  }
}

TEST_F(Chat, WhatIsShownIsWhatIsKept) {
  std::string shown;
  session_.say("hello");
  session_.reply(options_, [&](std::string_view piece) { shown += piece; });
  EXPECT_EQ(last(), shown);
}

TEST_F(Chat, TheOldestTurnsAreLeftOutWhenTheContextIsFull) {
  session_.set_system("S");
  options_.generation.max_new_tokens = 4;
  int64_t left_out = 0;
  for (int turn = 0; turn < 30; ++turn) {
    session_.say("what is the weather");
    const ReplyStatistics statistics = session_.reply(options_, ignore);
    EXPECT_LE(statistics.prompt_tokens, 128);
    left_out += statistics.left_out;
  }
  EXPECT_GT(left_out, 20);
  EXPECT_LT(left_out, 60);
  EXPECT_EQ(session_.messages().array().size(), 61u) << "the conversation itself is whole";
  session_.say(std::string(200, 'x'));
  try {
    session_.reply(options_, ignore);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    EXPECT_THAT(error.what(), ::testing::HasSubstr("context 128"));
  }
  session_.clear();
  EXPECT_EQ(session_.messages().array().size(), 1u) << "the system message stays";
}

TEST_F(Chat, AnInterruptionKeepsWhatCameAndTheConversation) {
  session_.say("hello");
  int pieces = 0;
  const ReplyStatistics statistics = session_.reply(options_, [&](std::string_view) {
    if (++pieces == 3) request_interrupt();
  });
  EXPECT_TRUE(statistics.interrupted);
  EXPECT_FALSE(interrupt_requested());
  EXPECT_EQ(session_.messages().array().size(), 2u);
  session_.say("go on");
  ChatSession fresh(model_, chat_format_of(model_));
  fresh.set_messages(session_.messages(), "test");
  fresh.reply(options_, ignore);
  session_.reply(options_, ignore);
  EXPECT_EQ(fresh.messages(), session_.messages());
}

TEST_F(Chat, AStopTextIsNotPartOfTheReply) {
  session_.say("hello");
  session_.reply(options_, ignore);
  const std::string free = last();
  ASSERT_GT(free.size(), 3u);
  size_t at = 1;
  while ((static_cast<unsigned char>(free[at]) & 0xc0) == 0x80) ++at;
  session_.take_back("assistant");
  options_.stop_texts = {free.substr(at, 1)};
  session_.reply(options_, ignore);
  EXPECT_EQ(last(), free.substr(0, free.find(options_.stop_texts[0])));
}

}  // namespace
}  // namespace martlet::cli
