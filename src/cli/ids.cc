#include "cli/ids.h"

#include <charconv>
#include <limits>

#include "base/error.h"

namespace martlet::cli {

std::vector<int32_t> parse_ids(std::string_view text) {
  std::vector<int32_t> ids;
  while (true) {
    const size_t comma = text.find(',');
    std::string_view word = text.substr(0, comma);
    while (word.starts_with(' ')) word.remove_prefix(1);
    int32_t id = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    if (error != std::errc() || end != word.data() + word.size() || word.empty())
      fail(ErrorCode::kUsage, "--ids takes token ids with commas between, as in 1,5,9; \"{}\" is none", word);
    ids.push_back(id);
    if (comma == std::string_view::npos) return ids;
    text.remove_prefix(comma + 1);
  }
}

std::vector<int32_t> ids_of(const Json& list, std::string_view where) {
  if (!list.is_array()) bad_input("{}: token ids must be a list, got {}", where, list.kind_name());
  std::vector<int32_t> ids;
  ids.reserve(list.array().size());
  for (const Json& item : list.array()) {
    const int64_t id = item.is_integer() ? item.integer() : -1;
    if (id < 0 || id > std::numeric_limits<int32_t>::max())
      bad_input("{}: {} is no token id", where, item.dump());
    ids.push_back(static_cast<int32_t>(id));
  }
  return ids;
}

Json ids_to_json(const std::vector<int32_t>& ids) {
  Json::Array list;
  list.reserve(ids.size());
  for (const int32_t id : ids) list.emplace_back(int64_t{id});
  return list;
}

}  // namespace martlet::cli
