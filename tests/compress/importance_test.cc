#include "compress/importance.h"

#include <cmath>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"
#include "base/random.h"
#include "base/temporary_folder.h"
#include "base/thread_pool.h"
#include "formats/gguf.h"
#include "formats/gguf_writer.h"
#include "nn/tree.h"
#include "support/random_model.h"

namespace martlet::compress {
namespace {

std::vector<int32_t> random_ids(size_t count) {
  const Philox random(3);
  std::vector<int32_t> ids(count);
  for (size_t i = 0; i < count; ++i) ids[i] = static_cast<int32_t>(random.below(i, 90));
  return ids;
}

models::OpenModel opened(std::shared_ptr<nn::Model> tree) {
  models::OpenModel model;
  model.tree = std::move(tree);
  model.family = &models::family_named("llama");
  model.config = martlet::testing::small_llama_config();
  return model;
}

/// Mean squares of the rows of `x`.
std::vector<double> mean_squares(const Tensor& x) {
  const std::vector<float> values = x.to_vector<float>();
  const auto columns = static_cast<size_t>(x.dim(1));
  std::vector<double> means(columns);
  for (size_t i = 0; i < values.size(); ++i) means[i % columns] += double{values[i]} * values[i];
  for (double& mean : means) mean /= static_cast<double>(x.dim(0));
  return means;
}

void expect_near(const std::vector<float>* got, const std::vector<double>& wanted) {
  ASSERT_NE(got, nullptr);
  ASSERT_EQ(got->size(), wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) EXPECT_NEAR((*got)[i], wanted[i], 1e-4 * wanted[i] + 1e-9) << i;
}

TEST(ImportanceTest, IsTheMeanSquareOfWhatLayersAreGiven) {
  const auto model = martlet::testing::random_llama(3);
  const std::vector<int32_t> ids = random_ids(16);
  const Importance importance = gather_importance(*model, ids, {.window = 16});
  nn::Batch batch;
  batch.add(ids);
  const auto embedding = std::dynamic_pointer_cast<nn::Embedding>(nn::module_at(*model, "embed_tokens"));
  const auto norm = std::dynamic_pointer_cast<nn::Norm>(nn::module_at(*model, "layers.0.attention_norm"));
  const Tensor normed = norm->forward(embedding->forward(ids));
  const int64_t width = model->shape().hidden_size;
  for (const char* name : {"q_proj", "k_proj", "v_proj"})
    expect_near(importance.find(fmt::format("layers.0.attention.{}.weight", name), width),
                mean_squares(normed));
  expect_near(importance.find("lm_head.weight", width), mean_squares(model->hidden(batch)));
  EXPECT_EQ(importance.find("lm_head.weight", width + 1), nullptr);
  EXPECT_EQ(importance.tokens, 16);
}

TEST(ImportanceTest, LeavesTheTreeAsItWasAndDependsOnNoThreads) {
  const auto model = martlet::testing::random_llama(3);
  std::vector<const nn::Module*> before, after;
  const auto list = [&](std::vector<const nn::Module*>& into) {
    nn::walk(model, [&](const std::string&, const nn::ModulePtr& module) { into.push_back(module.get()); });
  };
  list(before);
  set_thread_count(1);
  const Importance one = gather_importance(*model, random_ids(40), {.window = 16, .begin = 1});
  set_thread_count(3);
  const Importance three = gather_importance(*model, random_ids(40), {.window = 16, .begin = 1});
  set_thread_count(0);
  list(after);
  EXPECT_EQ(before, after);
  EXPECT_EQ(one.columns, three.columns);
  EXPECT_EQ(one.tokens, 32);
  EXPECT_NE(one.columns, gather_importance(*model, random_ids(40), {.window = 16}).columns);
}

TEST(ImportanceTest, OfATiedHeadGoesByTheTablesName) {
  Json config = martlet::testing::small_llama_config();
  config.set("tie_word_embeddings", true);
  const auto model = martlet::testing::random_model(config, 3);
  const Importance importance = gather_importance(*model, random_ids(16), {.window = 16});
  EXPECT_NE(importance.find("embed_tokens.weight", model->shape().hidden_size), nullptr);
  EXPECT_EQ(importance.find("lm_head.weight", model->shape().hidden_size), nullptr);
}

TEST(ImportanceTest, ComesBackFromItsFile) {
  const TemporaryFolder folder;
  const models::OpenModel model = opened(martlet::testing::random_llama(3));
  Importance importance = gather_importance(*model.tree, random_ids(32), {.window = 16});
  importance.data = "book.txt";
  const std::string path = folder.path() + "/i.gguf";
  write_importance(importance, *model.family, path);
  EXPECT_TRUE(is_importance_file(path));
  const Importance back = read_importance(path, model);
  EXPECT_EQ(back.tokens, 32);
  EXPECT_EQ(back.window, 16);
  EXPECT_EQ(back.data, "book.txt");
  ASSERT_EQ(back.columns.size(), importance.columns.size());
  for (const auto& [parameter, columns] : importance.columns) {
    const std::vector<float>* found = back.find(parameter, static_cast<int64_t>(columns.size()));
    ASSERT_NE(found, nullptr) << parameter;
    for (size_t i = 0; i < columns.size(); ++i) EXPECT_NEAR((*found)[i], columns[i], 1e-6f * columns[i]);
  }
}

std::string refusal(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kBadInput);
    return error.what();
  }
  return "no error";
}

TEST(ImportanceTest, DamagedAndForeignFilesAreRefused) {
  const TemporaryFolder folder;
  const models::OpenModel model = opened(martlet::testing::random_llama(3));
  const std::string path = folder.path() + "/i.gguf";
  const auto with = [&](std::string_view type, const std::string& name, std::vector<float> squares,
                        float count) {
    formats::GgufPairs pairs;
    pairs.text("general.type", type);
    const Tensor values = Tensor::from(squares, {1, static_cast<int64_t>(squares.size())});
    const Tensor counts = Tensor::from(std::vector<float>{count}, {1, 1});
    const std::vector<formats::OutgoingGgufTensor> tensors = {
        {name + ".in_sum2", values.shape(), {.dtype = DType::kF32}, [&] { return values; }},
        {name + ".counts", counts.shape(), {.dtype = DType::kF32}, [&] { return counts; }}};
    formats::write_gguf(path, pairs, tensors);
    return refusal([&] { read_importance(path, model); });
  };
  const auto width = static_cast<size_t>(model.tree->shape().hidden_size);
  const std::string name = "blk.0.attn_q.weight";
  EXPECT_NE(with("model", name, std::vector<float>(width, 1), 1).find("imatrix"), std::string::npos);
  EXPECT_NE(with("imatrix", "blk.99.attn_q.weight", std::vector<float>(width, 1), 1).find("no tensor"),
            std::string::npos);
  EXPECT_NE(with("imatrix", name, std::vector<float>(width + 1, 1), 1).find("columns"), std::string::npos);
  EXPECT_NE(with("imatrix", name, std::vector<float>(width, -1), 1).find("-1"), std::string::npos);
  EXPECT_NE(with("imatrix", name, std::vector<float>(width, NAN), 1).find("nan"), std::string::npos);
  EXPECT_NE(with("imatrix", name, std::vector<float>(width, 1), 0).find("no tensor"), std::string::npos);
  with("imatrix", name, std::vector<float>(width, 1), 2);
  const std::string whole = read_file(path);
  // The last 28 bytes only fill up.
  for (size_t length = 4; length < whole.size() - 28; length += 7) {
    write_file(path, whole.substr(0, length));
    EXPECT_NE(refusal([&] { read_importance(path, model); }), "no error") << length;
  }
  EXPECT_NE(refusal([&] { gather_importance(*model.tree, random_ids(8), {.window = 16}); }).find("8 tokens"),
            std::string::npos);
}

/// The form of before: entries of name, count and numbers, which are means times the count.
struct OlderFile {
  std::string bytes;

  void number(int32_t value) { bytes.append(reinterpret_cast<const char*>(&value), sizeof(value)); }
  void text(std::string_view value) {
    number(static_cast<int32_t>(value.size()));
    bytes += value;
  }
  void entry(std::string_view name, int32_t count, const std::vector<float>& numbers) {
    text(name);
    number(count);
    number(static_cast<int32_t>(numbers.size()));
    bytes.append(reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(float));
  }
};

std::vector<float> rising(size_t count, float from) {
  std::vector<float> numbers(count);
  for (size_t i = 0; i < count; ++i) numbers[i] = from + static_cast<float>(i);
  return numbers;
}

TEST(ImportanceTest, TheOlderFormIsReadToo) {
  const TemporaryFolder folder;
  const models::OpenModel model = opened(martlet::testing::random_llama(3));
  const std::string path = folder.path() + "/i.dat";
  const auto width = static_cast<size_t>(model.tree->shape().hidden_size);
  OlderFile file;
  file.number(3);
  file.entry("blk.0.attn_q.weight", 4, rising(width, 1));
  file.entry("blk.1.attn_q.weight", 0, rising(width, 5));
  file.entry("another.weight", 2, rising(3, 0));
  write_file(path, file.bytes);
  EXPECT_TRUE(is_importance_file(path));
  EXPECT_TRUE(read_importance(path, model).data.empty()) << "the first of these files ended here";
  file.number(7);
  file.text("wiki.train.raw");
  write_file(path, file.bytes);
  const Importance importance = read_importance(path, model);
  EXPECT_EQ(importance.data, "wiki.train.raw");
  EXPECT_EQ(importance.columns.size(), 2u);
  for (size_t i = 0; i < width; ++i) {
    EXPECT_EQ(importance.columns.at("layers.0.attention.q_proj.weight")[i], (1 + static_cast<float>(i)) / 4);
    EXPECT_EQ(importance.columns.at("layers.1.attention.q_proj.weight")[i], 5 + static_cast<float>(i));
  }
  // Cut anywhere but where the first of these files ended.
  for (size_t length = 12; length < file.bytes.size(); ++length) {
    if (length == file.bytes.size() - 4 - 4 - 14) continue;
    write_file(path, file.bytes.substr(0, length));
    EXPECT_NE(refusal([&] { read_importance(path, model); }), "no error") << length;
  }
}

TEST(ImportanceTest, OlderFilesThatLieAreRefused) {
  const TemporaryFolder folder;
  const models::OpenModel model = opened(martlet::testing::random_llama(3));
  const std::string path = folder.path() + "/i.dat";
  const auto width = static_cast<size_t>(model.tree->shape().hidden_size);
  const auto with = [&](int32_t entries, int32_t count, const std::vector<float>& numbers) {
    OlderFile file;
    file.number(entries);
    file.entry("blk.0.attn_q.weight", count, numbers);
    write_file(path, file.bytes);
    return refusal([&] { read_importance(path, model); });
  };
  EXPECT_EQ(with(1, 2, rising(width, 0)), "no error");
  EXPECT_NE(with(1 << 20, 2, rising(width, 0)).find("cannot fit"), std::string::npos);
  EXPECT_NE(with(1, -2, rising(width, 0)).find("-2"), std::string::npos);
  EXPECT_NE(with(1, 2, rising(width + 1, 0)).find("columns"), std::string::npos);
  EXPECT_NE(with(1, 2, rising(2 * width, 0)).find("columns"), std::string::npos);
  EXPECT_NE(with(1, 2, rising(width, -3)).find("-3"), std::string::npos);
  EXPECT_NE(with(1, 2, std::vector<float>(width, NAN)).find("nan"), std::string::npos);
}

TEST(ImportanceTest, TextsAreNotTakenForFilesOfIt) {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/text";
  for (const char* text : {"", "short", "A text of some length, as people write it.",
                           "\n\n\n\n\n\n\n\n\n\n\n\n\n", "银色山在威马国。银色山"}) {
    write_file(path, text);
    EXPECT_FALSE(is_importance_file(path)) << text;
  }
}

}  // namespace
}  // namespace martlet::compress
