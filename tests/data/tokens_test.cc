// Token shards: what was written is read, the same byte for byte whatever the threads, and damage is seen.

#include <filesystem>
#include <map>
#include <set>

#include "base/expect_error.h"
#include "base/temporary_folder.h"
#include "base/thread_pool.h"
#include "data/sample_tokens.h"
#include "data/tokenise.h"
#include "text/sample_tokenizers.h"

namespace martlet::data {
namespace {

using ::testing::HasSubstr;

std::vector<Document> random_texts(uint64_t seed, int count) {
  const Philox philox(seed);
  std::vector<Document> documents;
  for (int i = 0; i < count; ++i) {
    Document document;
    const uint64_t words = 1 + philox.below(static_cast<uint64_t>(i), 40);
    for (uint64_t w = 0; w < words; ++w)
      document.text +=
          "the he " + std::to_string(philox.below(1000 + static_cast<uint64_t>(i) * 64 + w, 1000)) + " ";
    document.where = "given";
    documents.push_back(std::move(document));
  }
  return documents;
}

DocumentEncoder text_encoder() {
  return DocumentEncoder(text::Tokenizer::from_json(text::byte_level_json(), "test"), std::nullopt);
}

/// Every file below the folder with its content.
std::map<std::string, std::string> files_of(const std::string& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.is_regular_file())
      files[std::filesystem::relative(entry.path(), folder).string()] = read_file(entry.path().string());
  return files;
}

std::vector<int32_t> ids_of(const TokenSet& tokens, int64_t document) {
  std::vector<int32_t> ids;
  tokens.read(document, 0, tokens.length(document), ids);
  return ids;
}

TEST(Tokenise, WhatWasWrittenIsReadInOrder) {
  for (const int64_t shard_tokens : {1, 100, 1'000'000}) {
    const TemporaryFolder folder;
    const std::vector<Document> documents = numbered_documents(1, 50, 30);
    const TokenSet tokens = token_set_of(documents, folder / "set", shard_tokens);
    ASSERT_EQ(tokens.documents(), 50);
    int64_t total = 0;
    for (int64_t i = 0; i < 50; ++i) {
      EXPECT_EQ(ids_of(tokens, i), documents[static_cast<size_t>(i)].ids);
      total += tokens.length(i);
    }
    EXPECT_EQ(tokens.tokens(), total);
    EXPECT_FALSE(tokens.has_mask());
  }
}

TEST(Tokenise, FilesAreEqualWhateverTheThreads) {
  const TemporaryFolder folder;
  const std::vector<Document> documents = random_texts(2, 6000);
  const int threads = thread_count();
  const auto write = [&](int count, const std::string& name) {
    set_thread_count(count);
    GivenDocuments reader(documents);
    tokenise(reader, text_encoder(), folder / name,
             {.drop_duplicates = true, .validation = 0.1, .shard_tokens = 10'000});
    set_thread_count(threads);
    return files_of(folder / name);
  };
  const auto one = write(1, "one");
  EXPECT_GT(one.size(), 10u);
  EXPECT_EQ(one, write(4, "four"));
}

TEST(Tokenise, NarrowIdsTakeTwoBytes) {
  const TemporaryFolder folder;
  const std::vector<Document> documents{ids_document({1, 2, 99})};
  GivenDocuments narrow(documents), wide(documents);
  tokenise(narrow, DocumentEncoder(EncodeRules{.vocabulary = 65536}), folder / "narrow");
  tokenise(wide, DocumentEncoder(EncodeRules{.vocabulary = 65537}), folder / "wide");
  EXPECT_EQ(read_file(folder / "narrow/shard-00000.tokens").size() + 8,
            read_file(folder / "wide/shard-00000.tokens").size());
  EXPECT_EQ(ids_of(TokenSet::open(folder / "narrow"), 0), ids_of(TokenSet::open(folder / "wide"), 0));
}

TEST(Tokenise, MasksComeBackAndUnmaskedDocumentsAreLearntWhole) {
  const TemporaryFolder folder;
  TokenShardWriter writer(1000, {});
  const Philox philox(3);
  std::vector<EncodedDocument> documents;
  for (uint64_t i = 0; i < 40; ++i) {
    EncodedDocument document;
    for (uint64_t t = 0; t < 2 + philox.below(i, 20); ++t) {
      document.ids.push_back(static_cast<int32_t>(t));
      // The first seven and every third have no mask.
      if (i >= 7 && i % 3 != 0) document.learns.push_back(philox.bits(i * 32 + t) & 1);
    }
    writer.add(document);
    documents.push_back(std::move(document));
  }
  writer.write(folder / "shard");
  const TokenShard shard(folder / "shard");
  EXPECT_TRUE(shard.has_mask());
  for (size_t i = 0; i < documents.size(); ++i)
    for (size_t t = 0; t < documents[i].ids.size(); ++t)
      EXPECT_EQ(shard.learns(shard.begin(static_cast<int64_t>(i)) + static_cast<int64_t>(t)),
                documents[i].learns.empty() || documents[i].learns[t] != 0);
}

TEST(Tokenise, DuplicatesAreLeftOutAndTheFirstStays) {
  const TemporaryFolder folder;
  GivenDocuments good({ids_document({1, 2}), ids_document({3, 4}), ids_document({1, 2})});
  const TokeniseReport report =
      tokenise(good, DocumentEncoder(EncodeRules{}), folder / "set", {.drop_duplicates = true});
  EXPECT_EQ(report.duplicates, 1);
  EXPECT_EQ(report.documents, 2);
  EXPECT_EQ(TokenSet::open(folder / "set").documents(), 2);
}

TEST(Tokenise, TheValidationSplitIsByContent) {
  const TemporaryFolder folder;
  std::vector<Document> documents;
  for (int32_t i = 0; i < 5000; ++i) documents.push_back(ids_document({i, i + 1}));
  const auto split = [&](const std::string& name) {
    GivenDocuments reader(documents);
    tokenise(reader, DocumentEncoder(EncodeRules{}), folder / name, {.validation = 0.1});
    const TokenSet validation = TokenSet::open(folder / (name + "/validation")),
                   training = TokenSet::open(folder / name);
    EXPECT_EQ(validation.documents() + training.documents(), std::ssize(documents));
    std::set<int32_t> firsts;
    for (int64_t i = 0; i < validation.documents(); ++i) firsts.insert(ids_of(validation, i)[0]);
    return firsts;
  };
  const std::set<int32_t> held_out = split("a");
  EXPECT_NEAR(static_cast<double>(held_out.size()), 500, 110);
  // Another order and more documents leave each on its side.
  std::reverse(documents.begin(), documents.end());
  documents.push_back(ids_document({50000, 1}));
  std::set<int32_t> again = split("b");
  again.erase(50000);
  EXPECT_EQ(again, held_out);
}

TEST(Tokenise, ANewSetReplacesTheOldOne) {
  const TemporaryFolder folder;
  token_set_of(numbered_documents(1, 50, 30), folder / "set", 10);
  const TokenSet tokens = token_set_of(numbered_documents(2, 3, 5), folder / "set", 1000);
  EXPECT_EQ(tokens.documents(), 3);
  EXPECT_EQ(files_of(folder / "set").size(), 2u);
}

TEST(Tokenise, AnErrorLeavesNoWholeSet) {
  const TemporaryFolder folder;
  std::vector<Document> documents = numbered_documents(1, 50, 30);
  documents.push_back(ids_document({1}));
  EXPECT_THAT(bad_input_of([&] { token_set_of(documents, folder / "set", 10); }), HasSubstr("two ids"));
  EXPECT_FALSE(is_token_set(folder / "set"));
  EXPECT_THAT(bad_input_of([&] { TokenSet::open(folder / "set"); }), HasSubstr("there is no tokens.json"));
}

TEST(Tokenise, TooShortTextsAreCountedAndNothingLeftIsAnError) {
  const TemporaryFolder folder;
  std::vector<Document> documents = random_texts(4, 3);
  documents[1].text = "x";
  GivenDocuments reader(documents), short_only({documents[1]});
  EXPECT_EQ(tokenise(reader, text_encoder(), folder / "set").too_short, 1);
  EXPECT_THAT(bad_input_of([&] { tokenise(short_only, text_encoder(), folder / "none"); }),
              HasSubstr("no document remains to train on"));
}

TEST(TokenShard, EveryDamagedByteIsSeen) {
  const TemporaryFolder folder;
  TokenShardWriter writer(1000, {1, 2});
  writer.add({{1, 2, 3}, {0, 1, 1}});
  writer.add({{4, 5}, {}});
  writer.write(folder / "good");
  const std::string good = read_file(folder / "good");
  EXPECT_NO_THROW(TokenShard(folder / "good"));
  for (size_t i = 0; i < good.size(); ++i) {
    std::string damaged = good;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    write_file(folder / "damaged", damaged);
    EXPECT_NE(bad_input_of([&] { TokenShard(folder / "damaged"); }), "") << i;
  }
  for (size_t size = 0; size < good.size(); size += 5) {
    write_file(folder / "cut", good.substr(0, size));
    EXPECT_NE(bad_input_of([&] { TokenShard(folder / "cut"); }), "") << size;
  }
}

TEST(TokenSet, ListsThatDoNotFitAreRefused) {
  const TemporaryFolder folder;
  token_set_of(numbered_documents(1, 5, 5), folder / "set");
  const auto refused = [&](const std::string& list) {
    write_file(folder / "set/tokens.json", list);
    return bad_input_of([&] { TokenSet::open(folder / "set"); });
  };
  const std::string zeros(32, '0');
  const auto with_shard = [](const std::string& file, const std::string& checksum) {
    return R"({"vocabulary_size": 0, "shards": [{"file": ")" + file + R"(", "checksum": ")" + checksum +
           R"("}]})";
  };
  EXPECT_THAT(refused("{"), HasSubstr("tokens.json"));
  EXPECT_THAT(refused("[]"), HasSubstr("must hold a table"));
  EXPECT_THAT(refused(R"({"vocabulary_size": 0, "shards": []})"), HasSubstr("one shard or more"));
  EXPECT_THAT(refused(with_shard("../x", zeros)), HasSubstr("no file of this folder"));
  EXPECT_THAT(refused(with_shard("absent", zeros)), HasSubstr("cannot be opened"));
  EXPECT_THAT(refused(with_shard("shard-00000.tokens", zeros)), HasSubstr("another shard"));
  EXPECT_THAT(refused(with_shard("shard-00000.tokens", "xyz")), HasSubstr("no checksum"));
}

TEST(Hash128, IsMurmurHash3) {
  // Published test values of MurmurHash3_x64_128 with seed 0.
  EXPECT_EQ(text_of(hash128("")), std::string(32, '0'));
  const Hash128 fox = hash128("The quick brown fox jumps over the lazy dog");
  EXPECT_EQ(fox.low, 0xE34BBC7BBC071B6Cu);
  EXPECT_EQ(fox.high, 0x7A433CA9C49A9347u);
  EXPECT_EQ(hash_of_text(text_of(fox)), fox);
}

}  // namespace
}  // namespace martlet::data
