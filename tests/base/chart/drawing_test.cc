// The drawings of a chart: what stands in them is read back from the text.

#include <cmath>
#include <gmock/gmock.h>
#include <regex>

#include "base/chart/page.h"
#include "base/chart/svg.h"
#include "base/chart/terminal.h"
#include "base/display.h"
#include "base/json.h"
#include "base/utf8.h"

namespace martlet::chart {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Chart falling(size_t count, size_t series = 1) {
  Chart chart;
  chart.title = "Loss";
  chart.x = {"step", Unit::kCount};
  chart.y = {"loss"};
  for (size_t s = 0; s < series; ++s) {
    Series line{"run " + std::to_string(s), {}};
    for (size_t i = 0; i < count; ++i)
      line.points.push_back(
          {static_cast<double>(i), 5 / (1 + 0.01 * static_cast<double>(i)) + static_cast<double>(s)});
    chart.series.push_back(std::move(line));
  }
  return chart;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::string line;
  for (const char c : text) {
    if (c != '\n') {
      line += c;
      continue;
    }
    lines.push_back(line);
    line.clear();
  }
  EXPECT_EQ(line, "") << "the last line has no end";
  return lines;
}

/// Numbers of "M1.0 2.0L3.0 4.0".
std::vector<Point> points_of(const std::string& path) {
  std::vector<Point> points;
  const std::regex point("[ML]([0-9.-]+) ([0-9.-]+)");
  for (auto it = std::sregex_iterator(path.begin(), path.end(), point); it != std::sregex_iterator(); ++it)
    points.push_back({std::stod((*it)[1]), std::stod((*it)[2])});
  return points;
}

std::string path_with_class(const std::string& svg, const std::string& css) {
  std::smatch match;
  return std::regex_search(
             svg, match,
             std::regex("<path class=\"" + css + "\" d=\"([^\"]*)\"/>\n(?:<circle|<path class=\"[lf]|</svg)"))
             ? match[1].str()
             : "";
}

TEST(Svg, PointsStandWhereTheAxesSay) {
  const Chart chart = falling(100);
  const std::string text = svg(chart);
  const SvgPlot plot = svg_plot(chart);
  const std::vector<Point> drawn = points_of(path_with_class(text, "l c0"));
  ASSERT_EQ(drawn.size(), 100u);
  for (size_t i = 0; i < drawn.size(); ++i) {
    const Point& p = chart.series[0].points[i];
    EXPECT_NEAR(drawn[i].x,
                plot.left + (p.x - plot.x.low) / (plot.x.high - plot.x.low) * (plot.right - plot.left), 0.06);
    EXPECT_NEAR(drawn[i].y,
                plot.bottom - (p.y - plot.y.low) / (plot.y.high - plot.y.low) * (plot.bottom - plot.top),
                0.06);
  }
}

TEST(Svg, EscapesEveryTextFromOutside) {
  Chart chart = falling(10, 2);
  const std::string evil = "<script>alert('&\"')</script>\x1b\x01";
  chart.title = chart.x.label = chart.y.label = chart.series[0].name = evil;
  for (const std::string& text : {svg(chart), html({evil, evil, {}, {{evil, {evil}, {{evil, evil}}}}})}) {
    EXPECT_THAT(text, HasSubstr("&lt;script&gt;alert(&#39;&amp;&#34;&#39;)"));
    EXPECT_THAT(text, Not(HasSubstr("<script>alert")));
    EXPECT_THAT(text, Not(HasSubstr("\x1b")));
    EXPECT_THAT(text, Not(HasSubstr("\x01")));
  }
}

TEST(Svg, IsBoundedWhateverTheNumberOfPoints) {
  EXPECT_LT(svg(falling(1000000)).size(), 100000u);
}

TEST(Svg, BreaksTheLineAtWhatIsNotFinite) {
  Chart chart = falling(9);
  chart.series[0].points[4].y = std::nan("");
  const std::string path = path_with_class(svg(chart), "l c0");
  EXPECT_EQ(std::count(path.begin(), path.end(), 'M'), 2);
  EXPECT_EQ(points_of(path).size(), 8u);
}

TEST(Svg, KnowsLightAndDarkAndNoAddressOutside) {
  const std::string text = svg(falling(10, 3));
  EXPECT_THAT(text, HasSubstr("prefers-color-scheme:dark"));
  EXPECT_THAT(std::regex_replace(text, std::regex("xmlns=\"[^\"]*\""), ""), Not(HasSubstr("http")));
}

TEST(Svg, DrawsNothingAndOnePointToo) {
  for (const Scale scale : {Scale::kLinear, Scale::kLogarithmic})
    for (const size_t count : {0u, 1u}) {
      Chart chart = falling(count);
      chart.y.scale = scale;
      const std::string text = svg(chart);
      EXPECT_THAT(text, Not(HasSubstr("nan")));
      EXPECT_THAT(text, Not(HasSubstr("inf")));
    }
}

TEST(Html, HoldsTheDataOfItsChartsWhereNoScriptEndsIt) {
  Chart chart = falling(50);
  chart.series[0].name = "</script><b>";
  chart.series[0].points[3].y = HUGE_VAL;
  const std::string page = html({"A run", "50 steps", {chart}, {}});
  std::smatch match;
  ASSERT_TRUE(std::regex_search(page, match, std::regex("<script type=\"application/json\">(.*?)</script>")));
  const Json data = Json::parse(match[1].str(), "data");
  const Json& series = data.at("series").array().at(0);
  EXPECT_EQ(series.at("name").string(), "</script><b>");
  ASSERT_EQ(series.at("points").array().size(), 50u);
  EXPECT_TRUE(series.at("points").array()[3].array()[1].is_null());
  EXPECT_EQ(series.at("points").array()[49].array()[1].real(), chart.series[0].points[49].y);
  EXPECT_THAT(std::regex_replace(page, std::regex("http://www.w3.org/2000/svg"), ""), Not(HasSubstr("http")));
}

TEST(Terminal, FitsItsWidthInEveryForm) {
  for (const int columns : {24, 40, 80, 133})
    for (const bool unicode : {true, false})
      for (const size_t series : {0u, 1u, 2u, 7u}) {
        Chart chart = falling(3000, series);
        chart.title =
            "一条很长的标题 and a long title that goes on and on and on, further than any terminal has "
            "columns for it, yes";
        const std::string text = terminal(chart, {columns, 10, unicode, false});
        for (const std::string& line : lines_of(text)) {
          EXPECT_LE(text_columns(line), columns) << line;
          const std::string field = line.find('|') == std::string::npos ? "" : line;
          EXPECT_TRUE(unicode ||
                      std::all_of(field.begin(), field.end(), [](char c) { return (c & 0x80) == 0; }))
              << line;
        }
      }
}

TEST(Terminal, DrawsAFallingLineFromTheTopLeftToTheBottomRight) {
  Chart chart;
  chart.series.push_back({"a", {{0, 1}, {1, 0}}});
  const std::vector<std::string> lines = lines_of(terminal(chart, {60, 12, false, false}));
  int row = 0;
  size_t before = 0;
  for (const std::string& line : lines) {
    const size_t bar = line.find_first_of("|+");
    const size_t mark = line.find('*');
    if (mark == std::string::npos) continue;
    EXPECT_GE(mark, before);
    if (row++ == 0) {
      EXPECT_EQ(mark, bar + 1);
    }
    before = line.rfind('*');
  }
  EXPECT_GE(row, 11);
  EXPECT_EQ(before, 59u);
}

TEST(Terminal, BrailleDotsAreThoseOfTheCodeChart) {
  // The axis has some room above: the upper line takes the second dots of its characters, the lower one the
  // last.
  Chart chart;
  chart.series.push_back({"a", {{0, 1}, {1, 1}}});
  chart.series.push_back({"b", {{0, 0}, {1, 0}}});
  const std::string text = terminal(chart, {40, 4, true, true});
  EXPECT_THAT(text, HasSubstr("\u2812"));
  EXPECT_THAT(text, HasSubstr("\u28C0"));
}

TEST(Terminal, TellsSeriesApartWithAndWithoutColours) {
  const Chart chart = falling(50, 2);
  const std::string plain = terminal(chart, {60, 10, true, false});
  EXPECT_THAT(plain, Not(HasSubstr("\x1b")));
  EXPECT_THAT(plain, HasSubstr("A run 0   B run 1"));
  const std::string coloured = terminal(chart, {60, 10, true, true});
  EXPECT_THAT(coloured, HasSubstr("\x1b[36m──\x1b[0m run 0   \x1b[33m──\x1b[0m run 1"));
  const std::string ascii = terminal(chart, {60, 10, false, false});
  EXPECT_THAT(ascii, HasSubstr("* run 0   + run 1"));
}

TEST(Terminal, FaintSeriesStandBehindAndOnlyInColour) {
  Chart chart = falling(50);
  chart.series.insert(chart.series.begin(), {"raw", {{0, 1}, {49, 5}}, Look::kFaint});
  EXPECT_THAT(terminal(chart, {60, 10, true, true}), HasSubstr("\x1b[90m"));
  EXPECT_EQ(terminal(chart, {60, 10, true, false}),
            terminal(
                [&] {
                  Chart same = chart;
                  same.series[0].points = {{0, 1}, {49, 5}};
                  same.series[0].points.insert(same.series[0].points.begin() + 1, {20, 3});
                  return same;
                }(),
                {60, 10, true, false}));
}

}  // namespace
}  // namespace martlet::chart
