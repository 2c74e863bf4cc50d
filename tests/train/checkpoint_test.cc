#include "train/checkpoint.h"

#include <filesystem>
#include <fstream>

#include "base/expect_error.h"
#include "base/files.h"
#include "base/temporary_folder.h"
#include "train/small_run.h"

namespace martlet::train {
namespace {

using ::testing::HasSubstr;

namespace fs = std::filesystem;

constexpr TrainerOptions kWithAverage{
    .schedule = {.peak = 0.01, .steps = 100}, .ema = 0.9, .spike_factor = 8};

void save(const std::string& run, const SmallRun& of) {
  write_checkpoint(run, snapshot_of(*of.model, *of.trainer, Json(Json::Object{{"note", "kept"}})));
}

void take_steps(SmallRun& run, int count) {
  for (int i = 0; i < count; ++i) run.trainer->step();
}

/// Everything that training goes on from.
void expect_equal(const SmallRun& a, const SmallRun& b) {
  EXPECT_EQ(a.values(), b.values());
  EXPECT_EQ(a.trainer->steps_done(), b.trainer->steps_done());
  EXPECT_EQ(a.batches.position(), b.batches.position());
  const Snapshot one = snapshot_of(*a.model, *a.trainer, {}), two = snapshot_of(*b.model, *b.trainer, {});
  EXPECT_EQ(one.state.dump(), two.state.dump());
  for (const auto& [first, second] :
       {std::pair(&one.optimizer, &two.optimizer), std::pair(&one.ema, &two.ema)}) {
    ASSERT_EQ(first->size(), second->size());
    for (size_t i = 0; i < first->size(); ++i)
      EXPECT_EQ((*first)[i].second.to_vector<float>(), (*second)[i].second.to_vector<float>())
          << (*first)[i].first;
  }
}

void flip_a_byte(const std::string& path, uint64_t seed) {
  std::string bytes = read_file(path);
  const uint64_t at = Philox(seed).below(0, bytes.size());
  bytes[at] = static_cast<char>(bytes[at] ^ 4);
  write_file(path, bytes);
}

TEST(Checkpoint, PutsBackEverythingThatTrainingGoesOnFrom) {
  for (const std::string& optimizer : optimizer_names()) {
    const TemporaryFolder folder;
    SmallRun first(folder / "a", 3, kWithAverage, optimizer),
        second(folder / "b", 3, kWithAverage, optimizer, 77);
    take_steps(first, 4);
    save(folder / "run", first);
    const Json extra = read_checkpoint(checkpoint_path(folder / "run", 4), *second.model, *second.trainer);
    EXPECT_EQ(extra.at("note").string(), "kept");
    expect_equal(first, second);
    for (int i = 0; i < 3; ++i) {
      const std::optional<StepMetrics> a = first.trainer->step(), b = second.trainer->step();
      EXPECT_EQ(a->loss, b->loss) << optimizer;
      EXPECT_EQ(a->gradient_norm, b->gradient_norm) << optimizer;
    }
    expect_equal(first, second);
  }
}

TEST(Checkpoint, OneByteChangedAnywhereIsToldAndChangesNothing) {
  for (const std::string file :
       {"model.safetensors", "optimizer.safetensors", "ema.safetensors", "state.json"}) {
    for (const uint64_t seed : {1, 2, 3, 4, 5}) {
      const TemporaryFolder folder;
      SmallRun first(folder / "a", 3, kWithAverage), second(folder / "b", 3, kWithAverage, "adamw", 77);
      take_steps(first, 2);
      save(folder / "run", first);
      const std::string path = checkpoint_path(folder / "run", 2);
      flip_a_byte(path + "/" + file, seed);
      const std::vector<float> before = second.values();
      bad_input_of([&] { read_checkpoint(path, *second.model, *second.trainer); });
      EXPECT_EQ(second.values(), before) << file;
      EXPECT_EQ(second.trainer->steps_done(), 0);
      EXPECT_EQ(second.batches.position().step, 0);
    }
  }
}

TEST(Checkpoint, AFileThatIsCutOrMissingIsTold) {
  for (const std::string file :
       {"model.safetensors", "optimizer.safetensors", "ema.safetensors", "state.json"}) {
    const TemporaryFolder folder;
    SmallRun run(folder / "a", 3, kWithAverage);
    take_steps(run, 2);
    save(folder / "run", run);
    const std::string path = checkpoint_path(folder / "run", 2), broken = path + "/" + file;
    write_file(broken, read_file(broken).substr(0, 100));
    EXPECT_THAT(bad_input_of([&] { read_checkpoint(path, *run.model, *run.trainer); }), HasSubstr(file));
    fs::remove(broken);
    EXPECT_THAT(bad_input_of([&] { read_checkpoint(path, *run.model, *run.trainer); }), HasSubstr(file));
  }
}

TEST(Checkpoint, TheNewestWholeOneIsFound) {
  const TemporaryFolder folder;
  SmallRun run(folder / "a", 3);
  for (int i = 0; i < 3; ++i) {
    take_steps(run, 1);
    save(folder / "run", run);
  }
  flip_a_byte(checkpoint_path(folder / "run", 3) + "/model.safetensors", 9);
  std::vector<std::string> passed_over;
  ASSERT_TRUE(resume(folder / "run", *run.model, *run.trainer, passed_over));
  EXPECT_EQ(run.trainer->steps_done(), 2);
  ASSERT_EQ(passed_over.size(), 1u);
  EXPECT_THAT(passed_over.front(), HasSubstr("damaged"));
  passed_over.clear();
  EXPECT_FALSE(resume(folder / "elsewhere", *run.model, *run.trainer, passed_over));
  EXPECT_TRUE(passed_over.empty());
}

TEST(Checkpoint, OfAnotherRunIsRefusedByName) {
  const TemporaryFolder folder;
  SmallRun run(folder / "a", 3);
  take_steps(run, 1);
  save(folder / "run", run);
  const std::string path = checkpoint_path(folder / "run", 1);
  const auto refusal = [&](nn::Model& model, Trainer& trainer) {
    return bad_input_of([&] { read_checkpoint(path, model, trainer); });
  };
  SmallRun lion(folder / "b", 3, {}, "lion");
  EXPECT_THAT(refusal(*lion.model, *lion.trainer), HasSubstr("the optimiser adamw, not lion"));
  SmallRun averaged(folder / "c", 3, {.ema = 0.9});
  EXPECT_THAT(refusal(*averaged.model, *averaged.trainer), HasSubstr("kept no average"));
  SmallRun other_data(folder / "d", 4);
  EXPECT_THAT(refusal(*other_data.model, *other_data.trainer), HasSubstr("other data"));
  // As many documents of the same lengths, and one id that is another.
  std::vector<data::Document> documents = rule_documents(3, 50);
  documents[20].ids[1] = (documents[20].ids[1] + 1) % 97;
  data::Batches edited({data::token_set_of(documents, folder / "e")}, run.batches.options());
  ASSERT_EQ(edited.sequences_per_epoch(), run.batches.sequences_per_epoch());
  SmallRun again(folder / "f", 3);
  Trainer reader(*again.model, edited, make_optimizer("adamw", trained_parameters(*again.model), {}), {});
  EXPECT_THAT(refusal(*again.model, reader), HasSubstr("its tokens was"));

  Json config = testing::small_llama_config();
  config.set("num_hidden_layers", 1);
  const auto shallow = testing::random_model(config, 1);
  nn::walk_parameters(*shallow, [](const std::string&, nn::Parameter& p) { p.require_gradient(); });
  Trainer trainer(*shallow, run.batches, make_optimizer("adamw", trained_parameters(*shallow), {}), {});
  EXPECT_THAT(refusal(*shallow, trainer), HasSubstr("another model"));
  config.set("num_hidden_layers", 2).set("intermediate_size", 64);
  const auto wide = testing::random_model(config, 1);
  nn::walk_parameters(*wide, [](const std::string&, nn::Parameter& p) { p.require_gradient(); });
  Trainer wide_trainer(*wide, run.batches, make_optimizer("adamw", trained_parameters(*wide), {}), {});
  EXPECT_THAT(refusal(*wide, wide_trainer), HasSubstr("expected f32[64, 32]"));
}

TEST(Checkpoint, WhatAKilledProcessLeftIsNoCheckpointAndIsTidiedAway) {
  const TemporaryFolder folder;
  SmallRun run(folder / "a", 3);
  for (int i = 0; i < 3; ++i) {
    take_steps(run, 1);
    save(folder / "run", run);
  }
  const std::string checkpoints = folder / "run/checkpoints";
  for (const char* name : {"/step-00000009.aBc123", "/step-0000000x", "/step-00000008-mine"})
    make_directories(checkpoints + name);
  write_file(checkpoints + "/step-00000007", "a file");
  EXPECT_EQ(checkpoints_of(folder / "run").size(), 3u);
  tidy_checkpoints(folder / "run", 2);
  EXPECT_EQ(checkpoints_of(folder / "run").size(), 2u);
  EXPECT_EQ(checkpoints_of(folder / "run").front().step, 2);
  EXPECT_FALSE(name_exists(checkpoints + "/step-00000009.aBc123"));
  EXPECT_TRUE(is_directory(checkpoints + "/step-00000008-mine")) << "what is not ours stays";
}

TEST(Checkpoint, PruningKeepsTheNewestAndTheBest) {
  const TemporaryFolder folder;
  SmallRun run(folder / "a", 3);
  for (int i = 0; i < 5; ++i) {
    take_steps(run, 1);
    save(folder / "run", run);
  }
  prune_checkpoints(folder / "run", 2, checkpoint_path(folder / "run", 1));
  std::vector<int64_t> steps;
  for (const CheckpointInfo& each : checkpoints_of(folder / "run")) steps.push_back(each.step);
  EXPECT_EQ(steps, (std::vector<int64_t>{5, 4, 1}));
}

TEST(Checkpoint, WhatIsFrozenIsNoPartOfIt) {
  const TemporaryFolder folder;
  const auto freeze_table = [](SmallRun& run) {
    nn::walk_parameters(*run.model, [](const std::string& path, nn::Parameter& parameter) {
      if (path == "embed_tokens.weight") parameter.freeze();
    });
    run.trainer = std::make_unique<Trainer>(*run.model, run.batches,
                                            make_optimizer("adamw", trained_parameters(*run.model), {}),
                                            TrainerOptions{});
  };
  SmallRun run(folder / "a", 3), again(folder / "b", 3);
  freeze_table(run);
  freeze_table(again);
  take_steps(run, 2);
  save(folder / "run", run);
  const std::string path = checkpoint_path(folder / "run", 2);
  EXPECT_EQ(read_file(path + "/model.safetensors").find("embed_tokens"), std::string::npos);
  read_checkpoint(path, *again.model, *again.trainer);
  expect_equal(run, again);
}

TEST(Checkpoint, WeightsAloneAreTheAveragesWhereThereAreSome) {
  const TemporaryFolder folder;
  SmallRun averaged(folder / "a", 3, kWithAverage), plain(folder / "b", 3);
  for (SmallRun* run : {&averaged, &plain}) {
    take_steps(*run, 3);
    save(folder / "run", *run);
    SmallRun reader(folder / "c", 3, {}, "adamw", 50);
    read_weights(checkpoint_path(folder / "run", 3), *reader.model);
    const EmaScope scope(run->trainer->ema());
    EXPECT_EQ(reader.values(), run->values());
  }
}

}  // namespace
}  // namespace martlet::train
