#include "cli/reading_notes.h"

#include <fmt/format.h>

#include "base/human.h"

namespace martlet::cli {

std::vector<std::string> reading_notes(const data::ReadReport& report) {
  std::vector<std::string> notes;
  if (report.invalid_parts > 0)
    notes.push_back(
        fmt::format("{} parts were not UTF-8 and became U+FFFD.", format_integer(report.invalid_parts)));
  if (!report.skipped.empty())
    notes.push_back(fmt::format("{} binary files were passed over, the first {}.",
                                format_integer(static_cast<int64_t>(report.skipped.size())),
                                report.skipped.front()));
  return notes;
}

}  // namespace martlet::cli
