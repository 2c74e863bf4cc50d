// Training batches: every token once an epoch, documents kept apart, resume equal to an unbroken run.

#include "data/batches.h"

#include <map>
#include <set>

#include "base/expect_error.h"
#include "base/temporary_folder.h"
#include "data/sample_tokens.h"

namespace martlet::data {
namespace {

using ::testing::HasSubstr;

/// Checks the form of a batch; ids are numbers that rise by one within a document.
void expect_well_formed(const TrainingBatch& batch, const BatchOptions& options) {
  ASSERT_EQ(batch.ids.size(), batch.targets.size());
  ASSERT_GE(batch.starts.size(), 2u);
  EXPECT_EQ(batch.starts.front(), 0);
  EXPECT_EQ(static_cast<size_t>(batch.starts.back()), batch.ids.size());
  EXPECT_LE(std::ssize(batch.ids), options.seq * options.batch);
  for (size_t s = 0; s + 1 < batch.starts.size(); ++s) {
    const int32_t begin = batch.starts[s], end = batch.starts[s + 1];
    EXPECT_GT(end, begin);
    EXPECT_LE(end - begin, options.seq);
    for (int32_t i = begin; i < end; ++i) {
      EXPECT_EQ(batch.ids[static_cast<size_t>(i)], batch.ids[static_cast<size_t>(begin)] + i - begin);
      EXPECT_EQ(batch.targets[static_cast<size_t>(i)], batch.ids[static_cast<size_t>(i)] + 1);
    }
  }
}

std::vector<TrainingBatch> all_of(Batches& batches) {
  std::vector<TrainingBatch> all;
  for (TrainingBatch batch = batches.next(); !batch.empty(); batch = batches.next()) all.push_back(batch);
  return all;
}

TEST(Batches, EveryTokenIsATargetOncePerEpoch) {
  for (const uint64_t seed : {1, 2, 3}) {
    const TemporaryFolder folder;
    const std::vector<Document> documents = numbered_documents(seed, 300, 90);
    const TokenSet tokens = token_set_of(documents, folder / "tokens");
    for (const Order order : {Order::kShuffle, Order::kSequential}) {
      BatchOptions options{.seq = 24, .batch = 4, .order = order, .seed = seed, .epochs = 2};
      Batches batches({tokens}, options);
      std::map<int32_t, int> targets;
      for (const TrainingBatch& batch : all_of(batches)) {
        expect_well_formed(batch, options);
        EXPECT_EQ(batch.target_count, std::ssize(batch.targets));
        for (const int32_t target : batch.targets) ++targets[target];
      }
      std::set<int32_t> firsts;
      for (const Document& document : documents) firsts.insert(document.ids.front());
      int32_t last = documents.back().ids.back();
      for (int32_t id = 0; id <= last; ++id) EXPECT_EQ(targets[id], firsts.contains(id) ? 0 : 2) << id;
    }
  }
}

TEST(Batches, OnlyDocumentsLongerThanASequenceAreCutAndStepsAreNearlyFull) {
  const TemporaryFolder folder;
  const std::vector<Document> documents = numbered_documents(5, 2000, 60);
  const TokenSet tokens = token_set_of(documents, folder / "tokens");
  BatchOptions options{.seq = 64, .batch = 8, .epochs = 1};
  Batches batches({tokens}, options);
  std::map<int32_t, size_t> length_of;
  for (const Document& document : documents) length_of[document.ids.front()] = document.ids.size();
  const std::vector<TrainingBatch> all = all_of(batches);
  size_t filled = 0;
  for (const TrainingBatch& batch : all) {
    filled += batch.ids.size();
    for (size_t s = 0; s + 1 < batch.starts.size(); ++s)
      EXPECT_EQ(static_cast<size_t>(batch.starts[s + 1] - batch.starts[s]) + 1,
                length_of.at(batch.ids[static_cast<size_t>(batch.starts[s])]));
  }
  // What is left free is half a document of 32 tokens on average, of 512.
  EXPECT_GT(static_cast<double>(filled), 0.95 * static_cast<double>(all.size()) * 512);
}

TEST(Batches, ResumingAtAnyStepGivesWhatFollowsUnbroken) {
  const TemporaryFolder folder;
  const TokenSet one = token_set_of(numbered_documents(1, 100, 50), folder / "one");
  const TokenSet two = token_set_of(numbered_documents(2, 40, 200), folder / "two");
  for (const Pack pack : {Pack::kDocuments, Pack::kNone}) {
    const BatchOptions options{.seq = 32, .batch = 3, .pack = pack, .seed = 9};
    const std::vector<MixingStep> mixing{{0, {3, 1}}, {20, {1, 1}}};
    Batches unbroken({one, two}, options, mixing);
    std::vector<TrainingBatch> expected;
    std::vector<std::string> positions;
    for (int step = 0; step < 150; ++step) {
      positions.push_back(unbroken.position().to_json().dump());
      expected.push_back(unbroken.next());
    }
    for (const size_t start : {0, 1, 19, 20, 77, 149}) {
      Batches resumed({one, two}, options, mixing);
      resumed.seek(BatchPosition::from_json(Json::parse(positions[start], "position")));
      for (size_t step = start; step < expected.size(); ++step) {
        const TrainingBatch batch = resumed.next();
        EXPECT_EQ(batch.ids, expected[step].ids) << step;
        EXPECT_EQ(batch.targets, expected[step].targets);
        EXPECT_EQ(batch.starts, expected[step].starts);
      }
    }
  }
}

TEST(Batches, RowIOfStepSIsLineSTimesBatchPlusI) {
  const TemporaryFolder folder;
  const std::vector<Document> documents = numbered_documents(3, 30, 20);
  const TokenSet tokens = token_set_of(documents, folder / "tokens", 50);
  const BatchOptions options{.seq = 8, .batch = 4, .pack = Pack::kNone, .order = Order::kSequential};
  Batches batches({tokens}, options);
  for (size_t step = 0; step < 20; ++step) {
    const TrainingBatch batch = batches.next();
    ASSERT_EQ(batch.starts.size(), 5u);
    for (size_t row = 0; row < 4; ++row) {
      // After the last line the first comes again.
      std::vector<int32_t> line = documents[(step * 4 + row) % documents.size()].ids;
      if (line.size() > 9) line.resize(9);
      const auto begin = batch.ids.begin() + batch.starts[row],
                 end = batch.ids.begin() + batch.starts[row + 1];
      EXPECT_EQ(std::vector<int32_t>(begin, end), std::vector<int32_t>(line.begin(), line.end() - 1));
      EXPECT_EQ(batch.targets[static_cast<size_t>(batch.starts[row + 1]) - 1], line.back());
    }
  }
}

TEST(Batches, EpochsAndSeedsDifferInOrder) {
  const TemporaryFolder folder;
  const TokenSet tokens = token_set_of(numbered_documents(4, 200, 20), folder / "tokens");
  const auto first_epoch = [&](uint64_t seed) {
    Batches batches({tokens}, {.seq = 32, .batch = 4, .seed = seed, .epochs = 1});
    std::vector<int32_t> ids;
    for (const TrainingBatch& batch : all_of(batches))
      ids.insert(ids.end(), batch.ids.begin(), batch.ids.end());
    return ids;
  };
  EXPECT_EQ(first_epoch(1), first_epoch(1));
  EXPECT_NE(first_epoch(1), first_epoch(2));
  Batches two({tokens}, {.seq = 32, .batch = 4, .seed = 1, .epochs = 2});
  std::vector<int32_t> both;
  for (const TrainingBatch& batch : all_of(two)) both.insert(both.end(), batch.ids.begin(), batch.ids.end());
  const auto middle = both.begin() + std::ssize(both) / 2;
  EXPECT_NE(std::vector<int32_t>(both.begin(), middle), std::vector<int32_t>(middle, both.end()));
}

TEST(Batches, SourcesAreMixedByTheirWeightsAndTheSchedule) {
  const TemporaryFolder folder;
  std::vector<Document> low, high;
  for (int32_t i = 0; i < 200; ++i) {
    low.push_back(ids_document({i, i + 1, i + 2}));
    high.push_back(ids_document({i + 100000, i + 100001, i + 100002}));
  }
  const TokenSet one = token_set_of(low, folder / "low"), two = token_set_of(high, folder / "high");
  const auto share_of_low = [&](Batches& batches, int steps) {
    int64_t of_low = 0, all = 0;
    for (int step = 0; step < steps; ++step)
      for (const int32_t id : batches.next().ids) {
        of_low += id < 100000 ? 1 : 0;
        ++all;
      }
    return static_cast<double>(of_low) / static_cast<double>(all);
  };
  Batches batches({one, two}, {.seq = 16, .batch = 8}, {{0, {1, 3}}, {100, {1, 0}}, {150, {0, 2}}});
  EXPECT_NEAR(share_of_low(batches, 100), 0.25, 0.03);
  EXPECT_EQ(share_of_low(batches, 50), 1);
  EXPECT_EQ(share_of_low(batches, 50), 0);
  Batches by_size({one, two}, {.seq = 16, .batch = 8, .epochs = 1});
  EXPECT_NEAR(share_of_low(by_size, 20), 0.5, 0.08);
}

TEST(Batches, MaskedTokensAreNoTargetsAndPiecesWithoutAnyAreLeftOut) {
  const TemporaryFolder folder;
  TokenShardWriter writer(100, {});
  writer.add({{1, 2, 3, 4}, {1, 0, 1, 0}});
  writer.add({{5, 6, 7}, {1, 0, 0}});
  writer.add({{8, 9}, {}});
  make_directories(folder / "set");
  const Hash128 checksum = writer.write(folder / "set/a.tokens");
  write_file(folder / "set/tokens.json",
             fmt::format(R"({{"vocabulary_size": 100, "shards": [{{"file": "a.tokens",
      "checksum": "{}"}}]}})",
                         text_of(checksum)));
  Batches batches({TokenSet::open(folder / "set")},
                  {.seq = 8, .batch = 2, .order = Order::kSequential, .epochs = 1});
  const TrainingBatch batch = batches.next();
  EXPECT_EQ(batch.ids, (std::vector<int32_t>{1, 2, 3, 8}));
  EXPECT_EQ(batch.targets, (std::vector<int32_t>{kIgnoredTarget, 3, kIgnoredTarget, 9}));
  EXPECT_EQ(batch.starts, (std::vector<int32_t>{0, 3, 4}));
  EXPECT_EQ(batch.target_count, 2);
  EXPECT_TRUE(batches.next().empty());
}

TEST(Batches, DataWithoutAnythingToLearnIsRefused) {
  const TemporaryFolder folder;
  GivenDocuments reader({ids_document({1, 2, 3})});
  TokenShardWriter writer(100, {});
  writer.add({{1, 2, 3}, {1, 0, 0}});
  make_directories(folder / "set");
  const Hash128 checksum = writer.write(folder / "set/a.tokens");
  write_file(
      folder / "set/tokens.json",
      fmt::format(R"({{"vocabulary_size": 100, "shards": [{{"file": "a.tokens", "checksum": "{}"}}]}})",
                  text_of(checksum)));
  Batches batches({TokenSet::open(folder / "set")}, {.seq = 8, .batch = 2});
  EXPECT_THAT(bad_input_of([&] { batches.next(); }), HasSubstr("nothing in the data is to be learnt"));
}

TEST(Batches, ModelsGetTheSequencesWithPositionsFromZero) {
  TrainingBatch batch;
  batch.ids = {4, 5, 6, 7, 8};
  batch.starts = {0, 3, 5};
  const nn::Batch sequences = batch_of(batch);
  EXPECT_EQ(sequences.sequence_count(), 2);
  EXPECT_EQ(std::vector<int32_t>(sequences.positions().begin(), sequences.positions().end()),
            (std::vector<int32_t>{0, 1, 2, 0, 1}));
}

TEST(Batches, TheIndexIsFarBelowAHundredthOfTheData) {
  const TemporaryFolder folder;
  const std::vector<Document> documents = numbered_documents(6, 20000, 60);
  const TokenSet tokens = token_set_of(documents, folder / "tokens", 1 << 20);
  const PieceIndex index(tokens, 32, false);
  EXPECT_LT(static_cast<double>(index.bytes()), 0.01 * 2 * static_cast<double>(tokens.tokens()));
  // Pieces by number are those counted one by one.
  int64_t number = 0;
  for (int64_t document = 0; document < tokens.documents(); ++document)
    for (int64_t begin = 0; begin < tokens.length(document) - 1; begin += 32, ++number) {
      const PieceIndex::Piece piece = index.piece(number);
      ASSERT_EQ(piece.document, document);
      ASSERT_EQ(piece.begin, begin);
      ASSERT_EQ(piece.end, std::min(begin + 32, tokens.length(document) - 1));
    }
  EXPECT_EQ(index.count(), number);
}

TEST(Batches, WhatCannotBeReadIsSaid) {
  const TemporaryFolder folder;
  const TokenSet tokens = token_set_of(numbered_documents(1, 5, 9), folder / "tokens");
  const auto refused = [&](BatchOptions options, std::vector<MixingStep> mixing = {}) {
    return error_of(ErrorCode::kUsage, [&] { Batches({tokens}, options, mixing); });
  };
  EXPECT_THAT(refused({.seq = 0}), HasSubstr("needs a token"));
  EXPECT_THAT(refused({.batch = 0}), HasSubstr("needs a sequence"));
  EXPECT_THAT(refused({.seq = int64_t{1} << 30, .batch = 1 << 20}), HasSubstr("too many"));
  EXPECT_THAT(refused({.epochs = -1}), HasSubstr("epochs"));
  EXPECT_THAT(refused({}, {{0, {1, 2}}}), HasSubstr("a weight for each of 1"));
  EXPECT_THAT(refused({}, {{0, {0}}}), HasSubstr("all 0"));
  EXPECT_THAT(refused({}, {{5, {1}}}), HasSubstr("begin at step 0"));
  EXPECT_THAT(refused({}, {{0, {1}}, {0, {1}}}), HasSubstr("must rise"));
  Batches batches({tokens}, {});
  EXPECT_THAT(bad_input_of([&] { batches.seek({}); }), HasSubstr("0 sources"));
  EXPECT_THAT(bad_input_of([&] { batches.seek({0, 0, {{0, 1000}}}); }), HasSubstr("past the end"));
  EXPECT_THAT(bad_input_of([] { BatchPosition::from_json(Json(3)); }), HasSubstr("a table"));
}

}  // namespace
}  // namespace martlet::data
