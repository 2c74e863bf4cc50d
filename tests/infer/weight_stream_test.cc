#include "infer/weight_stream.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <gtest/gtest.h>
#include <mutex>
#include <numeric>

#include "base/checksum.h"
#include "base/error.h"
#include "base/files.h"
#include "base/random.h"
#include "base/temporary_folder.h"
#include "infer/generate.h"
#include "infer/stream.h"
#include "models/open.h"
#include "nn/apply_rewrite.h"
#include "nn/layers.h"
#include "support/random_model.h"

namespace martlet::infer {
namespace {

/// Layers whose weights lie in one file one after another, behind a few bytes that make all of them
/// unaligned.
class WeightStreamTest : public ::testing::Test {
 protected:
  static constexpr int64_t kRows = 60, kColumns = 100;
  static constexpr size_t kBefore = 4 * 31;

  WeightStreamTest() {
    const Philox random(1);
    std::vector<float> all(kLayers * kRows * kColumns);
    for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<float>(random.normal(i));
    std::string content(kBefore, 'x');
    content.append(reinterpret_cast<const char*>(all.data()), all.size() * sizeof(float));
    write_file(path(), content);
    mapped_.emplace(path());
    for (int64_t layer = 0; layer < kLayers; ++layer) {
      layers_.push_back(std::make_unique<nn::AffineLinear>(kColumns, kRows, false));
      const size_t at = kBefore + static_cast<size_t>(layer * kRows * kColumns) * sizeof(float);
      const std::shared_ptr<const std::byte> bytes(mapped_->share(), mapped_->bytes().data() + at);
      layers_.back()->weight.set(Tensor::borrow(bytes, {kRows, kColumns}, DType::kF32));
      wanted_.push_back(layers_.back()->weight.tensor().to_vector<float>());
    }
  }

  std::string path() const { return folder_ / "weights"; }

  std::vector<StoredBlock> blocks(bool checked = false) {
    const auto file = std::make_shared<const FileReader>(path(), FileReader::Way::kPastCache);
    std::vector<StoredBlock> blocks;
    for (int64_t layer = 0; layer < kLayers; ++layer) {
      nn::Parameter& parameter = layers_[static_cast<size_t>(layer)]->weight;
      const Tensor& value = parameter.tensor();
      StoredWeight stored{&parameter, file, kBefore + static_cast<uint64_t>(layer * value.byte_count())};
      if (checked) stored.checksum = checksum({value.host_bytes(), static_cast<size_t>(value.byte_count())});
      blocks.emplace_back(std::vector<StoredWeight>{stored});
    }
    return blocks;
  }

  const float* address(size_t layer) const { return layers_[layer]->weight.tensor().data<float>(); }

  void expect_read(WeightStream& stream, size_t layer) {
    const float* mapped = address(layer);
    {
      const WeightStream::Use use(stream, layer);
      EXPECT_NE(address(layer), mapped) << "in memory";
      EXPECT_EQ(layers_[layer]->weight.tensor().to_vector<float>(), wanted_[layer]) << layer;
    }
    EXPECT_EQ(address(layer), mapped) << "as it was";
  }

  static constexpr int64_t kLayers = 7;
  TemporaryFolder folder_;
  std::optional<MappedFile> mapped_;
  std::vector<std::unique_ptr<nn::AffineLinear>> layers_;
  std::vector<std::vector<float>> wanted_;
};

TEST_F(WeightStreamTest, GivesEveryBlockItsWeightsRoundAndRound) {
  for (const int64_t places : {2, 3, 9}) {
    WeightStream stream(blocks(true), places);
    for (int pass = 0; pass < 5; ++pass)
      for (size_t layer = 0; layer < kLayers; ++layer) expect_read(stream, layer);
    EXPECT_GE(stream.traffic().bytes, 5 * kLayers * kRows * kColumns * 4);
  }
}

TEST_F(WeightStreamTest, AnyOtherOrderIsReadWhenAskedFor) {
  const Philox random(2);
  for (const int64_t places : {2, 4}) {
    WeightStream stream(blocks(), places);
    for (uint64_t draw = 0; draw < 200; ++draw) expect_read(stream, random.below(draw, kLayers));
  }
}

TEST_F(WeightStreamTest, ReadsNothingThatNobodyWaitsForWhileInOrder) {
  WeightStream stream(blocks(), 2);
  for (int pass = 0; pass < 10; ++pass)
    for (size_t layer = 0; layer < kLayers; ++layer) expect_read(stream, layer);
  EXPECT_LE(stream.traffic().bytes, 10 * stream.bytes_a_pass() + stream.place_bytes());
}

TEST_F(WeightStreamTest, SeveralBlocksAreReadAtOnceAndNoneTwice) {
  // Making a block anew is the part of reading it that is seen here.
  std::mutex mutex;
  std::condition_variable changed;
  int now = 0, most = 0;
  std::vector<int> of_block(kLayers);
  std::vector<StoredBlock> all;
  const auto file = std::make_shared<const FileReader>(path(), FileReader::Way::kPastCache);
  for (size_t layer = 0; layer < kLayers; ++layer) {
    nn::Parameter& parameter = layers_[layer]->weight;
    StoredWeight stored{&parameter, file, kBefore + layer * static_cast<size_t>(parameter.byte_count())};
    stored.checksum = 0;  // of nothing that is there
    stored.remake = [&, layer](const Tensor&) {
      std::unique_lock lock(mutex);
      EXPECT_EQ(++of_block[layer], 1) << layer;
      most = std::max(most, ++now);
      changed.notify_all();
      if (layer == 0) changed.wait_for(lock, std::chrono::seconds(10), [&] { return most > 1; });
      changed.wait_for(lock, std::chrono::milliseconds(2), [] { return false; });
      --now;
      --of_block[layer];
    };
    all.emplace_back(std::vector<StoredWeight>{stored});
  }
  {
    WeightStream stream(std::move(all), 3);
    for (const size_t layer : {0, 1, 0, 0, 5, 6, 5, 0, 1, 2, 1, 1})
      EXPECT_THROW(const WeightStream::Use use(stream, layer), Error)
          << "what was made is not what was written";
  }
  EXPECT_GE(most, 2);
}

TEST_F(WeightStreamTest, ABlockOfManyPiecesIsReadAsOne) {
  constexpr int64_t kLong = 2'600'000;  // of f32: three pieces
  std::vector<float> values(2 * kLong);
  std::iota(values.begin(), values.end(), 1.0F);
  write_file(folder_ / "long",
             std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)));
  const MappedFile mapped(folder_ / "long");
  const auto file = std::make_shared<const FileReader>(folder_ / "long", FileReader::Way::kPastCache);
  nn::AffineLinear first(kLong, 1, false), second(kLong, 1, false);
  std::vector<StoredBlock> all;
  for (nn::AffineLinear* layer : {&first, &second}) {
    const uint64_t at = layer == &first ? 0 : kLong * sizeof(float);
    layer->weight.set(Tensor::borrow({mapped.share(), mapped.bytes().data() + at}, {1, kLong}, DType::kF32));
    all.emplace_back(std::vector<StoredWeight>{{&layer->weight, file, at}});
    EXPECT_EQ(all.back().piece_count(), 3u);
  }
  WeightStream stream(std::move(all), 2);
  const Philox random(3);
  for (uint64_t draw = 0; draw < 20; ++draw) {
    // In order first, then in any.
    const size_t block = draw < 8 ? draw % 2 : random.below(draw, 2);
    const WeightStream::Use use(stream, block);
    const Tensor& value = (block == 0 ? first : second).weight.tensor();
    EXPECT_TRUE(std::equal(value.data<float>(), value.data<float>() + kLong,
                           values.begin() + static_cast<int64_t>(block) * kLong));
  }
}

TEST_F(WeightStreamTest, DamageIsToldWhenTheBlockIsWanted) {
  std::vector<StoredBlock> all = blocks(true);
  // The same file, one bit of block 3 flipped in place.
  std::string content = read_file(path());
  content[kBefore + 3 * kRows * kColumns * 4 + 777] ^= 4;
  FILE* file = std::fopen(path().c_str(), "r+");
  ASSERT_EQ(std::fwrite(content.data(), 1, content.size(), file), content.size());
  std::fclose(file);
  WeightStream stream(std::move(all), 2);
  for (size_t layer = 0; layer < 3; ++layer) expect_read(stream, layer);
  EXPECT_THROW(WeightStream::Use(stream, 3), Error);
  expect_read(stream, 4);
}

TEST_F(WeightStreamTest, DamageIsMendedWhereTheWeightsCanBeMadeAnew) {
  const std::string good = read_file(path());
  constexpr size_t layer_bytes = kRows * kColumns * sizeof(float);
  for (const bool shorter : {false, true}) {
    std::vector<StoredBlock> all;
    int made = 0;
    const auto file = std::make_shared<const FileReader>(path(), FileReader::Way::kPastCache);
    for (size_t layer = 0; layer < kLayers; ++layer) {
      const char* bytes = good.data() + kBefore + layer * layer_bytes;
      StoredWeight stored{&layers_[layer]->weight, file, kBefore + layer * layer_bytes};
      stored.checksum = checksum(std::as_bytes(std::span(bytes, layer_bytes)));
      stored.remake = [&made, bytes](const Tensor& to) {
        ++made;
        ASSERT_EQ(to.byte_count(), static_cast<int64_t>(layer_bytes));
        std::memcpy(to.mutable_host_bytes(), bytes, layer_bytes);
      };
      all.emplace_back(std::vector<StoredWeight>{stored});
    }
    // In place: the file stays the one that is mapped.
    if (shorter) {
      std::filesystem::resize_file(path(), good.size() - layer_bytes - 5000);
    } else {
      FILE* raw = std::fopen(path().c_str(), "r+");
      std::fseek(raw, static_cast<long>(kBefore + 3 * layer_bytes + 777), SEEK_SET);
      std::fputc(good[kBefore + 3 * layer_bytes + 777] ^ 4, raw);
      std::fclose(raw);
    }
    ASSERT_NE(read_file(path()), good);
    WeightStream stream(std::move(all), 2);
    for (int pass = 0; pass < 3; ++pass)
      for (size_t layer = 0; layer < kLayers; ++layer) {
        const WeightStream::Use use(stream, layer);
        EXPECT_EQ(layers_[layer]->weight.tensor().to_vector<float>(), wanted_[layer]) << layer;
      }
    EXPECT_EQ(made, shorter ? 2 : 1) << "once each";
    EXPECT_EQ(read_file(path()), good);
  }
}

TEST_F(WeightStreamTest, WhatIsMadeAnewOtherwiseIsNotTrusted) {
  std::vector<StoredBlock> all;
  const auto file = std::make_shared<const FileReader>(path(), FileReader::Way::kPastCache);
  StoredWeight stored{&layers_[0]->weight, file, kBefore, 12345};
  stored.remake = [](const Tensor& to) {
    std::memset(to.mutable_host_bytes(), 1, static_cast<size_t>(to.byte_count()));
  };
  const std::string before = read_file(path());
  all.emplace_back(std::vector<StoredWeight>{stored});
  WeightStream stream(std::move(all), 2);
  EXPECT_THROW(WeightStream::Use(stream, 0), Error);
  EXPECT_EQ(read_file(path()), before);
}

TEST_F(WeightStreamTest, AFileThatBecameShorterIsToldOf) {
  std::vector<StoredBlock> all = blocks();
  std::filesystem::resize_file(path(), kBefore + 5 * kRows * kColumns * 4 + 100);
  WeightStream stream(std::move(all), 2);
  { const WeightStream::Use use(stream, 4); }
  EXPECT_THROW(WeightStream::Use(stream, 5), Error);
}

TEST(Residency, HoldsAsManyBlocksAsFitAndSpreadsTheOthers) {
  const Philox random(3);
  for (uint64_t draw = 0; draw < 300; ++draw) {
    std::vector<int64_t> bytes(1 + random.below(3 * draw, 40));
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = 100 + static_cast<int64_t>(i % 3);
    const int64_t total = std::accumulate(bytes.begin(), bytes.end(), int64_t{0});
    const auto resident = static_cast<int64_t>(random.below(3 * draw + 1, static_cast<uint64_t>(total + 50)));
    const Residency residency = choose_residency(bytes, resident, 2);
    EXPECT_EQ(residency.held_bytes + residency.streamed_bytes, total);
    EXPECT_EQ(residency.fits, residency.held_bytes + residency.place_bytes <= resident);
    EXPECT_TRUE(residency.fits || resident < 2 * 102);
    EXPECT_TRUE(resident < total || residency.streamed_bytes == 0);
    const auto streamed = std::count(residency.streams.begin(), residency.streams.end(), true);
    // One more held would be too much.
    EXPECT_TRUE(streamed == 0 || !residency.fits ||
                residency.held_bytes + residency.place_bytes + 190 > resident);
    // Runs of held blocks between streamed ones differ by one at most.
    int64_t run = 0, least = 1 << 20, most = 0;
    bool begun = false;
    for (const bool streams : residency.streams) {
      if (!streams) {
        ++run;
        continue;
      }
      if (begun) least = std::min(least, run), most = std::max(most, run);
      begun = true;
      run = 0;
    }
    EXPECT_TRUE(streamed <= 1 || most - least <= 1);
  }
}

class StreamTest : public ::testing::Test {
 protected:
  static Json config() {
    Json config = martlet::testing::small_llama_config();
    config.set("hidden_size", 128)
        .set("intermediate_size", 192)
        .set("num_hidden_layers", 6)
        .set("head_dim", 32);
    return config;
  }
  StreamTest() : directory_(config(), 5) {}

  static constexpr const nn::Rewrite* kOnly[] = {&kStream};

  models::OpenModel streamed(int64_t resident) const {
    models::OpenModel model = models::open_model(directory_.path());
    nn::apply_rewrite(model.tree, {"stream", Json().set("resident", resident)}, kOnly, model.rewrites);
    return model;
  }

  static std::vector<std::vector<int32_t>> replies(nn::Model& tree) {
    const std::vector<std::vector<int32_t>> prompts = {{1, 2, 3}, {5, 9, 96, 4, 7, 7}, {11}};
    GenerationOptions options;
    options.max_new_tokens = 12;
    std::vector<std::vector<int32_t>> ids;
    for (const Generated& each : generate(tree, prompts, options)) ids.push_back(each.ids);
    return ids;
  }

  martlet::testing::ModelDirectory directory_;
};

TEST_F(StreamTest, RepliesHaveTheSameBitsHoweverMuchIsHeld) {
  const models::OpenModel plain = models::open_model(directory_.path());
  const auto wanted = replies(*plain.tree);
  const std::vector<int32_t> ids = {1, 5, 9, 96, 4};
  const std::vector<float> scores = all_logits(*plain.tree, ids).to_vector<float>();
  const std::vector<int64_t> bytes = streamable_bytes(plain.tree, "layers.*");
  ASSERT_EQ(bytes.size(), 6u);
  const int64_t largest = *std::max_element(bytes.begin(), bytes.end());
  for (const int64_t held : {0, 1, 2, 3, 6}) {
    const models::OpenModel model = streamed((held == 6 ? 6 : held + 2) * largest);
    const WeightStream* stream = stream_of(model.tree);
    ASSERT_EQ(stream == nullptr, held == 6);
    EXPECT_EQ(stream == nullptr ? 0 : stream->block_count(), static_cast<size_t>(6 - held));
    EXPECT_EQ(replies(*model.tree), wanted) << held;
    EXPECT_EQ(all_logits(*model.tree, ids).to_vector<float>(), scores) << held;
  }
}

TEST_F(StreamTest, TooLittleForTwoPlacesIsExhausted) {
  try {
    streamed(1000);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kExhausted);
  }
}

TEST_F(StreamTest, WeightsThatLieInMemoryStayThere) {
  const auto tree = martlet::testing::random_model(config(), 5);
  for (const int64_t bytes : streamable_bytes(tree, "layers.*")) EXPECT_EQ(bytes, 0);
}

TEST_F(StreamTest, AModelThatIsTrainedIsRefused) {
  models::OpenModel model = models::open_model(directory_.path());
  nn::walk_parameters(*model.tree, [](const std::string& path, nn::Parameter& parameter) {
    if (path == "norm.weight") parameter.require_gradient();
  });
  EXPECT_THROW(
      nn::apply_rewrite(model.tree, {"stream", Json().set("resident", 1 << 20)}, kOnly, model.rewrites),
      Error);
}

}  // namespace
}  // namespace martlet::infer
