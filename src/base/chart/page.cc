#include "base/chart/page.h"

#include <cmath>
#include <fmt/format.h>

#include "base/chart/palette.h"
#include "base/display.h"
#include "base/json.h"

namespace martlet::chart {
namespace {

constexpr std::string_view kStyle = R"(
:root{color-scheme:light dark}
body{margin:2rem auto;max-width:60rem;padding:0 1rem;font:15px/1.5 system-ui,-apple-system,"Segoe UI","Noto Sans",sans-serif}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}
figure{margin:1.5rem 0;border:1px solid var(--grid);border-radius:8px;padding:.25rem}
figure:focus-visible{outline:2px solid var(--mark)}
figure svg{display:block;width:100%;height:auto;touch-action:pan-y}
figcaption{min-height:1.5em;padding:0 1rem .5rem;color:var(--faint);font-variant-numeric:tabular-nums}
figcaption b{color:var(--text);font-weight:600}figcaption span{margin-right:1.25em;white-space:nowrap}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.2rem 1.25rem .2rem 0;border-bottom:1px solid var(--grid);vertical-align:top;overflow-wrap:anywhere}
th{color:var(--faint);font-weight:500}div.wide{overflow-x:auto}
)";

// Finds the points under the pointer by bisection, draws a rule through them, writes their values.
constexpr std::string_view kScript = R"(
for (const figure of document.querySelectorAll('figure')) {
  const data = JSON.parse(figure.querySelector('script').textContent);
  const svg = figure.querySelector('svg'), caption = figure.querySelector('figcaption');
  const rule = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  rule.setAttribute('class', 'a');
  svg.append(rule);
  const number = (value, unit) => {
    if (value === null) return 'not finite';
    if (unit === 'count') return value.toLocaleString('en');
    if (unit === 'seconds') return value < 120 ? value.toFixed(1) + ' s' : (value / 60).toFixed(1) + ' min';
    if (unit === 'bytes') return (value / 1048576).toFixed(0) + ' MiB';
    return String(Number(value.toPrecision(5)));
  };
  const log = data.x.logarithmic, scale = v => log ? Math.log(v) : v;
  const low = scale(data.x.low), high = scale(data.x.high);
  const nearest = (points, x) => {
    let a = 0, b = points.length - 1;
    while (b - a > 1) { const m = (a + b) >> 1; if (points[m][0] < x) a = m; else b = m; }
    return Math.abs(points[a][0] - x) <= Math.abs(points[b][0] - x) ? points[a] : points[b];
  };
  let share = 1;
  const show = () => {
    const at = low + share * (high - low), x = log ? Math.exp(at) : at;
    const hits = data.series.filter(s => s.points.length).map(s => [s.name, nearest(s.points, x)]);
    if (!hits.length) return;
    const place = data.left + share * (data.right - data.left);
    rule.setAttribute('d', `M${place} ${data.top}V${data.bottom}`);
    caption.replaceChildren(...[[data.x.label, [0, x], data.x.unit], ...hits].map(([name, point, unit]) => {
      const span = document.createElement('span'), value = document.createElement('b');
      const shown = unit === 'count' ? Math.round(point[1]) : point[1];
      value.textContent = number(shown, unit || data.y.unit);
      span.append(name + ' ', value);
      return span;
    }));
  };
  svg.addEventListener('pointermove', event => {
    const box = svg.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * data.width;
    share = Math.min(1, Math.max(0, (x - data.left) / (data.right - data.left)));
    show();
  });
  figure.addEventListener('keydown', event => {
    const step = { ArrowLeft: -0.01, ArrowRight: 0.01 }[event.key];
    if (!step) return;
    event.preventDefault();
    share = Math.min(1, Math.max(0, share + step));
    show();
  });
}
)";

std::string_view unit_name(Unit unit) {
  switch (unit) {
    case Unit::kNumber:
      return "number";
    case Unit::kCount:
      return "count";
    case Unit::kSeconds:
      return "seconds";
    case Unit::kBytes:
      return "bytes";
  }
  return "";
}

Json axis_json(const Axis& axis, Range range) {
  Json json;
  json.set("label", one_line(axis.label)).set("unit", unit_name(axis.unit));
  json.set("logarithmic", axis.scale == Scale::kLogarithmic).set("low", range.low).set("high", range.high);
  return json;
}

/// What the script needs of a chart.
std::string data_of(const Chart& chart, const SvgOptions& options) {
  const SvgPlot plot = svg_plot(chart, options);
  Json series{Json::Array{}};
  for (const Series& line : chart.series) {
    Json points{Json::Array{}};
    for (const Point& point : reduced(line.points, chart.x, plot.x, options.width / 2)) {
      const Json y = std::isfinite(point.y) ? Json(point.y) : Json(nullptr);
      points.push_back(Json::Array{Json(point.x), y});
    }
    Json one;
    one.set("name", one_line(line.name.empty() ? chart.title : line.name)).set("points", std::move(points));
    series.push_back(std::move(one));
  }
  Json data;
  data.set("width", options.width).set("left", plot.left).set("right", plot.right);
  data.set("top", plot.top).set("bottom", plot.bottom);
  data.set("x", axis_json(chart.x, plot.x))
      .set("y", axis_json(chart.y, plot.y))
      .set("series", std::move(series));
  std::string text;
  // Nothing in it may look like the end of the script.
  for (const char c : data.dump()) text += c == '<' ? "\\u003c" : std::string(1, c);
  return text;
}

std::string table_html(const Table& table) {
  std::string out = fmt::format("<h2>{}</h2>\n<div class=\"wide\"><table>\n", escaped(table.heading));
  if (!table.columns.empty()) {
    out += "<tr>";
    for (const std::string& cell : table.columns) out += fmt::format("<th>{}</th>", escaped(cell));
    out += "</tr>\n";
  }
  for (const std::vector<std::string>& row : table.rows) {
    out += "<tr>";
    for (size_t i = 0; i < row.size(); ++i)
      out += fmt::format("<{0}>{1}</{0}>", i == 0 ? "th" : "td", escaped(row[i]));
    out += "</tr>\n";
  }
  return out + "</table></div>\n";
}

std::string variables(const Scheme& scheme) {
  return fmt::format("--text:{};--faint:{};--grid:{};--mark:{}", scheme.text, scheme.faint_text, scheme.grid,
                     scheme.series[0]);
}

std::string page_style() {
  std::string out = fmt::format(":root{{{}}}body{{background:{};color:var(--text)}}", variables(kLightScheme),
                                kLightScheme.background);
  out += fmt::format("@media (prefers-color-scheme:dark){{:root{{{}}}body{{background:{}}}}}",
                     variables(kDarkScheme), kDarkScheme.background);
  return out;
}

}  // namespace

std::string html(const Page& page) {
  std::string out = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>{}</title>\n"
      "<style>{}{}</style>\n</head>\n<body>\n<h1>{}</h1>\n<p>{}</p>\n",
      escaped(page.title), page_style(), kStyle, escaped(page.title), escaped(page.summary));
  const SvgOptions options;
  for (const Chart& chart : page.charts)
    out += fmt::format(
        "<figure tabindex=\"0\">\n{}<figcaption></figcaption>\n<script "
        "type=\"application/json\">{}</script>\n"
        "</figure>\n",
        svg(chart, options), data_of(chart, options));
  for (const Table& table : page.tables) out += table_html(table);
  return out + fmt::format("<script>{}</script>\n</body>\n</html>\n", kScript);
}

}  // namespace martlet::chart
