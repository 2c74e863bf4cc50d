#include "nn/arguments.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace martlet::nn {
namespace {

constexpr std::string_view kFruits[] = {"fig", "plum"};
constexpr ArgumentDeclaration kDeclared[] = {
    {"pattern", ArgumentType::kPattern, "where", "layers.*"},
    {.name = "rank", .type = ArgumentType::kInteger, .help = "how many", .low = 1, .high = 5000},
    {.name = "share",
     .type = ArgumentType::kReal,
     .help = "how much",
     .fallback = "0.5",
     .low = 0,
     .high = 1},
    {.name = "fruit", .type = ArgumentType::kChoice, .help = "which", .choices = kFruits},
};

Arguments read(std::string_view json) {
  return Arguments(kDeclared, Json::parse(json, "test"), "peel");
}

TEST(Arguments, FallbacksFillInWhatIsNotGiven) {
  const Arguments arguments = read("{}");
  EXPECT_EQ(arguments.text("pattern"), "layers.*");
  EXPECT_EQ(arguments.real("share"), 0.5);
  EXPECT_FALSE(arguments.has("rank"));
  EXPECT_FALSE(arguments.has("fruit"));
}

TEST(Arguments, NumbersMayBeTextAsPeopleWriteThem) {
  const Arguments arguments = read(R"({"rank": "4k", "share": "1e-2"})");
  EXPECT_EQ(arguments.integer("rank"), 4000);
  EXPECT_EQ(arguments.real("share"), 0.01);
  EXPECT_EQ(arguments.to_string(), "pattern=layers.* rank=4000 share=0.01");
}

TEST(Arguments, WhatDoesNotFitIsRefusedByName) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {R"({"rnak": 3})", "did you mean rank"},
      {R"({"rank": 0})", "rank takes a whole number from 1 to 5000, got 0"},
      {R"({"rank": 2.5})", "got 2.5"},
      {R"({"rank": "many"})", "got 'many'"},
      {R"({"share": 1.1})", "share takes a number from 0 to 1"},
      {R"({"share": "nan"})", "share takes"},
      {R"({"fruit": "pear"})", "one of fig, plum"},
      {R"({"pattern": "layers.{0"})", "does not close"},
      {R"({"pattern": ""})", "pattern takes"},
  };
  for (const auto& [json, part] : cases) {
    try {
      read(json);
      ADD_FAILURE() << json << " was taken";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      EXPECT_NE(std::string_view(error.what()).find(part), std::string_view::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace martlet::nn
