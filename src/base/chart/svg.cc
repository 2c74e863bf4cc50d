#include "base/chart/svg.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "base/chart/palette.h"
#include "base/display.h"
#include "base/markup.h"

namespace martlet::chart {
namespace {

// In pixels of the drawing. A letter of the 12-pixel font is about half as wide as high; wide characters take
// two.
constexpr double kLetter = 6.6;
constexpr double kLine = 19;
constexpr double kMargin = 18;
constexpr double kTitleSize = 16;
constexpr double kSwatch = 22;
// Pixels that a label of each axis needs for itself.
constexpr double kTickEveryX = 95;
constexpr double kTickEveryY = 44;
// Of which the first, last, lowest and highest point are drawn.
constexpr double kPixelsAColumn = 2;
// More dots than these would touch.
constexpr size_t kMostDots = 80;

double text_width(std::string_view text) {
  return kLetter * text_columns(text);
}

/// An entry of the legend and where it stands.
struct LegendEntry {
  size_t series = 0;
  std::string name;
  double x = 0;
  int line = 0;
};

struct Layout {
  SvgPlot plot;
  std::vector<Tick> x_ticks, y_ticks;
  std::vector<LegendEntry> legend;
  double legend_top = 0;
};

std::vector<LegendEntry> legend_of(const Chart& chart, double width) {
  std::vector<LegendEntry> entries;
  double x = kMargin;
  int line = 0;
  for (size_t i = 0; i < chart.series.size(); ++i) {
    const Series& series = chart.series[i];
    if (series.look == Look::kFaint || series.name.empty()) continue;
    const int columns = static_cast<int>((width - 2 * kMargin - kSwatch - 10) / kLetter);
    const std::string name = fitted(one_line(series.name), columns, true);
    const double wide = kSwatch + 8 + text_width(name) + 18;
    if (x > kMargin && x + wide > width - kMargin) {
      x = kMargin;
      ++line;
    }
    entries.push_back({i, name, x, line});
    x += wide;
  }
  return entries;
}

Layout layout_of(const Chart& chart, const SvgOptions& options) {
  Layout layout;
  SvgPlot& plot = layout.plot;
  layout.legend = legend_of(chart, options.width);
  const double title = chart.title.empty() ? 0 : kTitleSize + 10;
  layout.legend_top = kMargin + title;
  const double legend = layout.legend.empty() ? 0 : (layout.legend.back().line + 1) * kLine;
  plot.top = layout.legend_top + legend + (chart.y.label.empty() ? 8 : kLine + 10);
  plot.bottom = options.height - kMargin - kLine - (chart.x.label.empty() ? 0 : kLine);
  plot.x = range_of(chart, true);
  plot.y = range_of(chart, false);
  layout.y_ticks =
      ticks(chart.y, plot.y, std::max(2, static_cast<int>((plot.bottom - plot.top) / kTickEveryY)));
  double labels = 0;
  for (const Tick& tick : layout.y_ticks) labels = std::max(labels, text_width(tick.label));
  plot.left = kMargin + labels + 10;
  plot.right = options.width - kMargin - 10;
  layout.x_ticks =
      ticks(chart.x, plot.x, std::max(2, static_cast<int>((plot.right - plot.left) / kTickEveryX)));
  return layout;
}

std::string scheme_rules(const Scheme& scheme) {
  std::string rules = fmt::format(
      ".mc .bg{{fill:{}}}.mc text{{fill:{}}}.mc .t{{fill:{}}}.mc .g{{stroke:{}}}.mc .a{{stroke:{}}}",
      scheme.background, scheme.faint_text, scheme.text, scheme.grid, scheme.faint_text);
  for (size_t i = 0; i < scheme.series.size(); ++i)
    rules += fmt::format(".mc .c{0}{{stroke:{1}}}.mc .d{0}{{fill:{1};stroke:{2}}}", i, scheme.series[i],
                         scheme.background);
  return rules;
}

std::string style() {
  return fmt::format(
      "<style>.mc text{{font:12px system-ui,-apple-system,\"Segoe UI\",\"Noto Sans\",\"DejaVu "
      "Sans\",sans-serif}}"
      ".mc .t{{font-size:{}px;font-weight:600}}.mc "
      "path{{fill:none;stroke-linejoin:round;stroke-linecap:round}}"
      ".mc .l{{stroke-width:2}}.mc .f{{stroke-width:1;opacity:.35}}.mc .g,.mc .a{{stroke-width:1}}"
      ".mc circle{{stroke-width:1.5}}{}@media (prefers-color-scheme:dark){{{}}}</style>\n",
      kTitleSize, scheme_rules(kLightScheme), scheme_rules(kDarkScheme));
}

class Drawing {
 public:
  Drawing(const Chart& chart, const SvgOptions& options)
      : chart_(chart), options_(options), layout_(layout_of(chart, options)), plot_(layout_.plot) {}

  std::string text() {
    out_ = fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"mc\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" "
        "height=\"{1}\" role=\"img\">\n<title>{2}</title>\n",
        options_.width, options_.height, escaped(chart_.title.empty() ? chart_.y.label : chart_.title));
    out_ += style();
    out_ += fmt::format("<rect class=\"bg\" width=\"{}\" height=\"{}\" rx=\"6\"/>\n", options_.width,
                        options_.height);
    if (!chart_.title.empty()) {
      const int columns = static_cast<int>((options_.width - 2 * kMargin) / (kLetter * kTitleSize / 12));
      label("t", kMargin, kMargin + kTitleSize - 2, "start", fitted(one_line(chart_.title), columns, true));
    }
    draw_legend();
    draw_axes();
    // What is faint lies behind what matters.
    for (const bool behind : {true, false})
      for (size_t i = 0; i < chart_.series.size(); ++i)
        if ((chart_.series[i].look == Look::kFaint) == behind) draw_series(i);
    return out_ + "</svg>\n";
  }

 private:
  void label(std::string_view css, double x, double y, std::string_view anchor, std::string_view text) {
    out_ += fmt::format("<text{} x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n",
                        css.empty() ? "" : fmt::format(" class=\"{}\"", css), x, y, anchor, escaped(text));
  }

  void line(std::string_view css, double x1, double y1, double x2, double y2) {
    out_ += fmt::format("<path class=\"{}\" d=\"M{:.1f} {:.1f}L{:.1f} {:.1f}\"/>\n", css, x1, y1, x2, y2);
  }

  void draw_legend() {
    for (const LegendEntry& entry : layout_.legend) {
      const double y = layout_.legend_top + entry.line * kLine + 8;
      const size_t place = palette_place(entry.series, chart_.series[entry.series].colour);
      line(fmt::format("l c{}", place), entry.x, y, entry.x + kSwatch, y);
      if (chart_.series[entry.series].look == Look::kMarks) dot(place, entry.x + kSwatch / 2, y);
      label("", entry.x + kSwatch + 8, y + 4, "start", entry.name);
    }
  }

  void draw_axes() {
    for (const Tick& tick : layout_.y_ticks) {
      const double y = y_of(*place_of(chart_.y, plot_.y, tick.value));
      line("g", plot_.left, y, plot_.right, y);
      label("", plot_.left - 8, y + 4, "end", tick.label);
    }
    line("a", plot_.left, plot_.bottom, plot_.right, plot_.bottom);
    for (const Tick& tick : layout_.x_ticks) {
      const double x = x_of(*place_of(chart_.x, plot_.x, tick.value));
      line("a", x, plot_.bottom, x, plot_.bottom + 5);
      label("", x, plot_.bottom + 19, "middle", tick.label);
    }
    if (!chart_.y.label.empty()) label("", kMargin, plot_.top - 14, "start", one_line(chart_.y.label));
    if (!chart_.x.label.empty())
      label("", (plot_.left + plot_.right) / 2, options_.height - kMargin + 2, "middle",
            one_line(chart_.x.label));
  }

  void dot(size_t place, double x, double y) {
    out_ += fmt::format("<circle class=\"d{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\"/>\n", place, x, y);
  }

  void draw_series(size_t index) {
    const Series& series = chart_.series[index];
    const size_t place = palette_place(index, series.colour);
    const int columns = static_cast<int>((plot_.right - plot_.left) / kPixelsAColumn);
    std::string path;
    std::vector<std::pair<double, double>> dots;
    int in_stretch = 0;  // points since the last gap
    const auto close = [&] {
      if (in_stretch == 1) path += "h0";  // a round cap makes it a dot
      in_stretch = 0;
    };
    for (const Point& point : reduced(series.points, chart_.x, plot_.x, columns)) {
      const auto x = place_of(chart_.x, plot_.x, point.x), y = place_of(chart_.y, plot_.y, point.y);
      if (!x || !y) {
        close();
        continue;
      }
      path += fmt::format("{}{:.1f} {:.1f}", in_stretch++ == 0 ? 'M' : 'L', x_of(*x), y_of(*y));
      dots.emplace_back(x_of(*x), y_of(*y));
    }
    close();
    if (path.empty()) return;
    out_ += fmt::format("<path class=\"{} c{}\" d=\"{}\"/>\n", series.look == Look::kFaint ? "f" : "l", place,
                        path);
    if (series.look != Look::kMarks || dots.size() > kMostDots) return;
    for (const auto& [x, y] : dots) dot(place, x, y);
  }

  double x_of(double place) const { return plot_.left + place * (plot_.right - plot_.left); }
  double y_of(double place) const { return plot_.bottom - place * (plot_.bottom - plot_.top); }

  const Chart& chart_;
  const SvgOptions& options_;
  const Layout layout_;
  const SvgPlot& plot_;
  std::string out_;
};

}  // namespace

std::string svg(const Chart& chart, const SvgOptions& options) {
  return Drawing(chart, options).text();
}

SvgPlot svg_plot(const Chart& chart, const SvgOptions& options) {
  return layout_of(chart, options).plot;
}

std::string escaped(std::string_view text) {
  return escape_html(one_line(text));
}

}  // namespace martlet::chart
