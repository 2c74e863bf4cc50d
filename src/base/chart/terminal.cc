// A field of characters, each of 2 x 4 dots (braille: U+2800 and a bit a dot) or of one mark (ASCII). Lines
// are drawn dot by dot; the series drawn last owns a character's colour.

#include "base/chart/terminal.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>

#include "base/chart/palette.h"
#include "base/display.h"
#include "base/utf8.h"

namespace martlet::chart {
namespace {

constexpr int kLeastColumns = 24;
constexpr int kRowsATick = 3;
constexpr int kColumnsATick = 10;
constexpr std::string_view kMarks = "*+ox#%@&";
constexpr std::array<int, 6> kColours{36, 33, 32, 35, 31, 39};  // in the order of the palette
constexpr int kFaintColour = 90;

struct Cell {
  uint8_t dots = 0;
  char letter = 0;  // instead of dots
  int series = -1;
};

class Field {
 public:
  Field(int columns, int rows, bool braille)
      : columns_(columns),
        rows_(rows),
        across_(braille ? 2 : 1),
        down_(braille ? 4 : 1),
        cells_(static_cast<size_t>(columns) * static_cast<size_t>(rows)) {}

  int width() const { return columns_ * across_; }
  int height() const { return rows_ * down_; }
  int rows() const { return rows_; }
  int columns() const { return columns_; }
  const Cell& cell(int column, int row) const { return cells_[index(column, row)]; }

  /// x from the left, y from the top, in dots.
  void dot(int x, int y, int series) {
    // Bits of a braille character: down the left side 0, 1, 2, 6, down the right side 3, 4, 5, 7.
    constexpr uint8_t kBits[2][4] = {{0x01, 0x02, 0x04, 0x40}, {0x08, 0x10, 0x20, 0x80}};
    Cell& cell = cells_[index(x / across_, y / down_)];
    if (cell.series != series && down_ == 1) cell.dots = 0;
    cell.series = series;
    cell.dots |= kBits[x % across_][y % down_];
  }

  void letter(int x, int y, int series, char letter) {
    Cell& cell = cells_[index(x / across_, y / down_)];
    cell.letter = letter;
    cell.series = series;
  }

  /// Every dot between two (Bresenham 1965).
  void line(int x0, int y0, int x1, int y1, int series) {
    const int dx = std::abs(x1 - x0), dy = -std::abs(y1 - y0);
    const int step_x = x0 < x1 ? 1 : -1, step_y = y0 < y1 ? 1 : -1;
    int error = dx + dy;
    for (;;) {
      dot(x0, y0, series);
      if (x0 == x1 && y0 == y1) return;
      const int twice = 2 * error;
      if (twice >= dy) {
        error += dy;
        x0 += step_x;
      }
      if (twice <= dx) {
        error += dx;
        y0 += step_y;
      }
    }
  }

 private:
  size_t index(int column, int row) const {
    return static_cast<size_t>(row) * static_cast<size_t>(columns_) + static_cast<size_t>(column);
  }

  int columns_, rows_, across_, down_;
  std::vector<Cell> cells_;
};

class Picture {
 public:
  Picture(const Chart& chart, const TerminalOptions& options)
      : chart_(chart),
        options_(options),
        columns_(std::max(kLeastColumns, options.columns)),
        rows_(std::max(3, options.rows)),
        x_(range_of(chart, true)),
        y_(range_of(chart, false)) {}

  std::string text() {
    const std::vector<Tick> left = ticks(chart_.y, y_, std::max(2, rows_ / kRowsATick));
    int labels = 0;
    for (const Tick& tick : left) labels = std::max(labels, text_columns(tick.label));
    labels = std::min(labels, columns_ / 2);
    Field field(columns_ - labels - 2, rows_, options_.unicode);
    draw(field);
    if (!chart_.title.empty()) add_line(fitted(one_line(chart_.title), columns_, options_.unicode));
    if (!chart_.y.label.empty()) add_line(fitted(one_line(chart_.y.label), columns_, options_.unicode));
    add_rows(field, left, labels);
    add_bottom(field, labels);
    add_legend();
    return out_;
  }

 private:
  void add_line(std::string_view line) { out_ += fmt::format("{}\n", line); }

  bool letters() const { return options_.unicode && !options_.colours && shown().size() > 1; }

  /// The series that are drawn and explained.
  std::vector<size_t> shown() const {
    std::vector<size_t> found;
    for (size_t i = 0; i < chart_.series.size(); ++i)
      if (chart_.series[i].look != Look::kFaint) found.push_back(i);
    return found;
  }

  void draw(Field& field) {
    for (const bool behind : {true, false}) {
      if (behind && !options_.colours) continue;
      for (size_t i = 0; i < chart_.series.size(); ++i)
        if ((chart_.series[i].look == Look::kFaint) == behind) draw_series(field, i);
    }
    if (!letters()) return;
    size_t place = 0;
    for (const size_t i : shown()) {
      const auto last = last_dot(field, chart_.series[i]);
      if (last)
        field.letter(last->first, last->second, static_cast<int>(i), static_cast<char>('A' + place % 26));
      ++place;
    }
  }

  std::optional<std::pair<int, int>> dot_of(const Field& field, const Point& point) const {
    const auto x = place_of(chart_.x, x_, point.x), y = place_of(chart_.y, y_, point.y);
    if (!x || !y) return std::nullopt;
    return std::pair{static_cast<int>(std::lround(*x * (field.width() - 1))),
                     static_cast<int>(std::lround((1 - *y) * (field.height() - 1)))};
  }

  std::optional<std::pair<int, int>> last_dot(const Field& field, const Series& series) const {
    for (auto point = series.points.rbegin(); point != series.points.rend(); ++point)
      if (const auto dot = dot_of(field, *point)) return dot;
    return std::nullopt;
  }

  void draw_series(Field& field, size_t index) {
    std::optional<std::pair<int, int>> before;
    for (const Point& point : reduced(chart_.series[index].points, chart_.x, x_, field.width())) {
      const auto now = dot_of(field, point);
      if (now && before)
        field.line(before->first, before->second, now->first, now->second, static_cast<int>(index));
      else if (now)
        field.dot(now->first, now->second, static_cast<int>(index));
      before = now;
    }
  }

  std::string cell_text(const Cell& cell) const {
    if (cell.letter != 0) return std::string(1, cell.letter);
    if (cell.dots == 0) return " ";
    if (!options_.unicode) return std::string(1, mark_of(cell.series));
    std::string character;
    append_utf8(character, char32_t{0x2800} + cell.dots);
    return character;
  }

  /// One row of the field, with a code only where the colour changes.
  std::string row_text(const Field& field, int row) const {
    std::string line, stretch;
    int series = -1, end = field.columns();
    while (end > 0 && field.cell(end - 1, row).series < 0) --end;
    for (int column = 0; column < end; ++column) {
      const Cell& cell = field.cell(column, row);
      if (cell.series != series) {
        line += series < 0 ? stretch : coloured(series, stretch);
        stretch.clear();
        series = cell.series;
      }
      stretch += cell_text(cell);
    }
    return line + (series < 0 ? stretch : coloured(series, stretch));
  }

  char mark_of(int series) const {
    const std::vector<size_t> all = shown();
    const auto place = std::find(all.begin(), all.end(), static_cast<size_t>(series));
    return kMarks[static_cast<size_t>(place - all.begin()) % kMarks.size()];
  }

  std::string coloured(int series, const std::string& text) const {
    if (!options_.colours) return text;
    const Series& line = chart_.series[static_cast<size_t>(series)];
    const int code = line.look == Look::kFaint
                         ? kFaintColour
                         : kColours[palette_place(static_cast<size_t>(series), line.colour)];
    return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
  }

  void add_rows(const Field& field, const std::vector<Tick>& left, int labels) {
    for (int row = 0; row < rows_; ++row) {
      std::string label;
      for (const Tick& tick : left)
        if (row_of(tick.value) == row) label = tick.label;
      std::string line(static_cast<size_t>(std::max(0, labels - text_columns(label))), ' ');
      line += label;
      line += options_.unicode ? (label.empty() ? " │" : " ┤") : (label.empty() ? " |" : " +");
      add_line(line + row_text(field, row));
    }
  }

  int row_of(double value) const {
    return static_cast<int>(std::lround((1 - *place_of(chart_.y, y_, value)) * (rows_ - 1)));
  }

  void add_bottom(const Field& field, int labels) {
    const std::vector<Tick> below = ticks(chart_.x, x_, std::max(2, field.columns() / kColumnsATick));
    std::vector<bool> marked(static_cast<size_t>(field.columns()));
    std::string names;
    int written = 0;
    for (const Tick& tick : below) {
      const int column =
          static_cast<int>(std::lround(*place_of(chart_.x, x_, tick.value) * (field.columns() - 1)));
      const int wide = text_columns(tick.label);
      const int start = std::clamp(column - wide / 2, 0, std::max(0, field.columns() - wide));
      marked[static_cast<size_t>(column)] = true;
      if (start < written + (written > 0 ? 1 : 0)) continue;  // there is no room for this one
      names += std::string(static_cast<size_t>(start - written), ' ') + tick.label;
      written = start + wide;
    }
    const std::string margin(static_cast<size_t>(labels + 1), ' ');
    std::string line = margin + (options_.unicode ? "└" : "+");
    for (const bool mark : marked) line += options_.unicode ? (mark ? "┬" : "─") : (mark ? "+" : "-");
    add_line(line);
    add_line(margin + " " + names);
    const std::string label = fitted(one_line(chart_.x.label), field.columns(), options_.unicode);
    if (!label.empty())
      add_line(margin + " " +
               std::string(static_cast<size_t>((field.columns() - text_columns(label)) / 2), ' ') + label);
  }

  void add_legend() {
    const std::vector<size_t> all = shown();
    if (all.size() < 2) return;
    std::string line;
    int taken = 0;
    size_t place = 0;
    for (const size_t i : all) {
      const std::string key = letters()          ? std::string(1, static_cast<char>('A' + place % 26))
                              : options_.unicode ? "──"
                                                 : std::string(1, mark_of(static_cast<int>(i)));
      const std::string name =
          fitted(one_line(chart_.series[i].name), columns_ - text_columns(key) - 1, options_.unicode);
      const int wide = text_columns(key) + 1 + text_columns(name);
      if (taken > 0 && taken + 3 + wide > columns_) {
        add_line(line);
        line.clear();
        taken = 0;
      }
      if (taken > 0) line += "   ";
      line += coloured(static_cast<int>(i), key) + " " + name;
      taken += wide + (taken > 0 ? 3 : 0);
      ++place;
    }
    add_line(line);
  }

  const Chart& chart_;
  const TerminalOptions& options_;
  const int columns_, rows_;
  const Range x_, y_;
  std::string out_;
};

}  // namespace

std::string terminal(const Chart& chart, const TerminalOptions& options) {
  return Picture(chart, options).text();
}

}  // namespace martlet::chart
