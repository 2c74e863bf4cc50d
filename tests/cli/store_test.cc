#include "cli/store.h"

#include <gmock/gmock.h>

#include "base/error.h"
#include "base/files.h"
#include "cli/sources/source.h"
#include "scratch.h"

namespace martlet::cli {
namespace {

using ::testing::HasSubstr;

void store(const std::string& name, const std::string& file, const std::string& content) {
  IncomingModel incoming(name);
  write_file(incoming.folder() + "/" + file, content);
  incoming.commit("a test", "MIT");
}

template <typename Work>
std::string complaint(Work&& work, ErrorCode code = ErrorCode::kBadInput) {
  try {
    work();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code);
    return error.what();
  }
  return "nothing was thrown";
}

TEST(Store, ListsWhatWasCommittedAndNothingElse) {
  const Scratch scratch;
  EXPECT_TRUE(stored_models().empty());
  store("small", "small.gguf", "12345");
  store("owner/model", "config.json", "{}");
  const IncomingModel unfinished("later");
  const std::vector<StoredModel> models = stored_models();
  ASSERT_EQ(models.size(), 2u);
  EXPECT_EQ(models[0].name, "owner/model");
  EXPECT_EQ(models[1].name, "small");
  EXPECT_EQ(models[1].bytes, 5u);
  EXPECT_EQ(models[1].licence, "MIT");
}

TEST(Store, ResolvesPathsThenNames) {
  const Scratch scratch;
  store("small", "weights.gguf", "x");
  store("owner/model", "config.json", "{}");
  EXPECT_EQ(resolve_model("small"), store_root() + "/small/weights.gguf");
  EXPECT_EQ(resolve_model("owner/model"), store_root() + "/owner/model");
  write_file(scratch.path() + "/f.gguf", "x");
  EXPECT_EQ(resolve_model(scratch.path() + "/f.gguf"), scratch.path() + "/f.gguf");
  EXPECT_THAT(complaint([] { resolve_model("smal"); }), HasSubstr("did you mean small?"));
  EXPECT_THAT(complaint([] { resolve_model("smollm2"); }), HasSubstr("martlet pull smollm2"));
}

TEST(Store, ReplacesAndRemoves) {
  const Scratch scratch;
  store("small", "old.gguf", "x");
  store("small", "new.gguf", "xyz");
  ASSERT_EQ(stored_models().size(), 1u);
  EXPECT_EQ(resolve_model("small"), store_root() + "/small/new.gguf");
  store("owner/model", "config.json", "{}");
  remove_stored_model("owner/model");
  remove_stored_model("small");
  EXPECT_TRUE(stored_models().empty());
  EXPECT_FALSE(is_directory(store_root() + "/owner"));
  EXPECT_THAT(complaint([] { remove_stored_model("small"); }), HasSubstr("no model 'small'"));
}

TEST(Store, OneAtATimeBringsAModelAndOnlyTheSameOriginIsContinued) {
  const Scratch scratch;
  std::string part;
  {
    IncomingModel first("model");
    first.begin("here");
    part = first.folder() + "/weights.part";
    write_file(part, "half");
    EXPECT_THAT(complaint([] { const IncomingModel second("model"); }, ErrorCode::kFailed),
                HasSubstr("another martlet"));
    EXPECT_NO_THROW(IncomingModel("other"));
  }
  IncomingModel again("model");
  again.begin("here");
  EXPECT_TRUE(file_exists(part));
  again.begin("elsewhere");
  EXPECT_FALSE(file_exists(part));
  write_file(again.folder() + "/x.gguf", "12345");
  again.commit("elsewhere", "");
  EXPECT_EQ(stored_models().at(0).bytes, 5u);
}

TEST(Store, RefusesNamesThatLeaveIt) {
  for (const char* name : {"", "..", "../x", "a/../b", "a/b/c", "/a", "a/", ".hidden", "a b", "-x"})
    EXPECT_THAT(complaint([&] { check_store_name(name); }, ErrorCode::kUsage),
                HasSubstr("cannot name a model"));
  EXPECT_NO_THROW(check_store_name("Owner-1/model_2.5"));
}

TEST(LocalSource, CopiesADirectoryAndAFile) {
  const Scratch scratch;
  const std::string from = scratch.path() + "/from", to = scratch.path() + "/to";
  make_directories(from);
  make_directories(to);
  write_file(from + "/config.json", "{}");
  write_file(from + "/model.gguf", std::string(100000, 'm'));
  EXPECT_EQ(local_source().store_name(from), "from");
  EXPECT_EQ(local_source().store_name(from + "/model.gguf"), "model");
  EXPECT_FALSE(local_source().store_name(from + "/none"));
  local_source().fetch(from, to, no_progress());
  EXPECT_EQ(read_file(to + "/config.json"), "{}");
  EXPECT_EQ(read_file(to + "/model.gguf"), std::string(100000, 'm'));
}

TEST(ShortNames, EachIsUnderstoodByASource) {
  for (const ShortName& entry : short_name_table()) {
    EXPECT_NO_THROW(check_store_name(entry.name));
    EXPECT_TRUE(pypi_source().store_name(std::string(entry.source_name)));
    EXPECT_FALSE(entry.licence.empty());
  }
}

}  // namespace
}  // namespace martlet::cli
