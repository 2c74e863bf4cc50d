#include <algorithm>
#include <cmath>
#include <gmock/gmock.h>

#include "train/run_page.h"

namespace martlet::train {
namespace {

std::vector<StepRow> rows_of(size_t count) {
  std::vector<StepRow> rows(count);
  for (size_t i = 0; i < count; ++i) {
    rows[i].step = static_cast<int64_t>(i);
    rows[i].seconds = 2 * static_cast<double>(i);
    rows[i].tokens = static_cast<int64_t>(100 * (i + 1));
    rows[i].loss = 5 - 0.01 * static_cast<double>(i);
    if (i % 50 == 49) rows[i].eval_loss = 4;
  }
  return rows;
}

LoggedRun run_of(int64_t id, double learning_rate) {
  LoggedRun run;
  run.id = id;
  run.description.name = "run-" + std::to_string(id);
  run.description.recipe.set("learning_rate", learning_rate)
      .set("batch", 8)
      .set("data", Json::Array{Json("a"), Json("b")});
  run.description.version = "1";
  return run;
}

TEST(LossChart, OfOneRunHasItsLossSmoothedAndHeldOut) {
  const RunCurve run{"one", rows_of(200)};
  const chart::Chart chart = loss_chart("Loss", std::span(&run, 1), {});
  ASSERT_EQ(chart.series.size(), 3u);
  EXPECT_EQ(chart.series[0].look, chart::Look::kFaint);
  EXPECT_EQ(chart.series[0].points[150].y, 3.5);
  EXPECT_GT(chart.series[1].points[150].y, 3.5);
  EXPECT_EQ(chart.series[2].points.size(), 4u);
}

TEST(LossChart, RunsAlongStepsTokensOrTime) {
  const RunCurve run{"one", rows_of(200)};
  const auto last = [&](CurveX x) {
    CurveOptions options;
    options.x = x;
    return loss_chart("", std::span(&run, 1), options).series[0].points.back().x;
  };
  EXPECT_EQ(last(CurveX::kStep), 199);
  EXPECT_EQ(last(CurveX::kTokens), 20000);
  EXPECT_EQ(last(CurveX::kTime), 398);
}

TEST(LossChart, SmoothsOverAsManyStepsAsAsked) {
  const RunCurve run{"one", rows_of(3000)};
  CurveOptions options;
  options.smooth = 50;
  // The average of a straight fall trails by the window less one, once it has grown whole.
  const std::vector<chart::Point> smooth = loss_chart("", std::span(&run, 1), options).series[1].points;
  EXPECT_NEAR(smooth.back().y - run.rows.back().loss, 0.49, 0.01);
}

TEST(DifferencesTable, HasTheKeysThatDifferAndNoOthers) {
  std::vector<LoggedRun> runs{run_of(1, 0.001), run_of(2, 0.002)};
  runs[1].description.recipe.set("clip", 1.0);
  const chart::Table table = differences_table(runs);
  ASSERT_EQ(table.rows.size(), 2u);
  EXPECT_THAT(table.rows[0], testing::ElementsAre("learning_rate", "0.001", "0.002"));
  EXPECT_THAT(table.rows[1], testing::ElementsAre("clip", "", "1.0"));
  EXPECT_THAT(table.columns, testing::ElementsAre("", "Run 1: run-1", "Run 2: run-2"));
  runs[1] = runs[0];
  EXPECT_TRUE(differences_table(runs).rows.empty());
}

TEST(ResultsTable, LeavesOutWhatNoRunHas) {
  const auto has = [](const chart::Table& table, const std::string& name) {
    return std::any_of(table.rows.begin(), table.rows.end(), [&](const auto& row) { return row[0] == name; });
  };
  std::vector<LoggedRun> runs{run_of(1, 0.001), run_of(2, 0.002)};
  EXPECT_FALSE(has(results_table(runs), "held-out loss"));
  EXPECT_TRUE(has(results_table(runs), "parameters"));
  runs[1].eval_loss = 2;
  EXPECT_TRUE(has(results_table(runs), "held-out loss"));
}

TEST(RecipeTable, WritesListsAsWords) {
  const chart::Table table = recipe_table(run_of(1, 0.5));
  EXPECT_THAT(table.rows.back(), testing::ElementsAre("data", "a b"));
}

TEST(Pages, OfOneRunAndOfSeveralHoldTheirChartsAndTables) {
  const LoggedRun runs[] = {run_of(1, 0.1), run_of(2, 0.2), run_of(3, 0.2)};
  const chart::Page page = run_page(runs[0], rows_of(100), {});
  EXPECT_EQ(page.charts.size(), 5u);
  EXPECT_EQ(page.tables.size(), 3u);
  const std::vector<RunCurve> curves{{"1", rows_of(100)}, {"2", rows_of(50)}, {"3", rows_of(3)}};
  const chart::Page both = comparison_page(runs, curves, {});
  EXPECT_EQ(both.charts.size(), 6u);
  EXPECT_EQ(both.charts[0].series.size(), 3u);
  EXPECT_EQ(both.tables[0].rows.size(), 1u);
}

}  // namespace
}  // namespace martlet::train
