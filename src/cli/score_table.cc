#include "cli/score_table.h"

#include <fmt/format.h>

#include "cli/table.h"

namespace martlet::cli {
namespace {

Json row_of(const eval::Score& score) {
  const eval::Interval interval = score.interval();
  Json row;
  row.set("right", score.right).set("total", score.total).set("accuracy", score.share());
  row.set("low", interval.low).set("high", interval.high);
  return row;
}

Json rows_of(const std::vector<eval::Score>& scores) {
  Json rows{Json::Object{}};
  for (const eval::Score& score : scores) rows.set(score.name, row_of(score));
  return rows;
}

}  // namespace

std::string score_line(const eval::Score& score) {
  const eval::Interval interval = score.interval();
  return fmt::format("{} of {} right: {:.1f} % (95 % interval {:.1f} to {:.1f} %)", score.right, score.total,
                     100 * score.share(), 100 * interval.low, 100 * interval.high);
}

std::string score_table(const eval::TinyworldScore& score) {
  std::vector<std::vector<std::string>> rows{{"", "right", "of", "share"}};
  for (const auto* group : {&score.skills, &score.languages})
    for (const eval::Score& each : *group)
      rows.push_back({each.name, std::to_string(each.right), std::to_string(each.total),
                      fmt::format("{:.1f} %", 100 * each.share())});
  return score_line(score.all) + "\n\n" + table_text(rows);
}

Json score_row(const eval::TinyworldScore& score) {
  Json row = row_of(score.all);
  row.set("skills", rows_of(score.skills)).set("languages", rows_of(score.languages));
  return row;
}

}  // namespace martlet::cli
