// What the design says of the tree, read from the sources: the order of the rooms, where heavy headers and
// printing may stand, and how large a file may be.

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iostream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace martlet {
namespace {

namespace fs = std::filesystem;

// A room may use those before it, never those after it.
constexpr std::array<std::string_view, 22> kRooms{
    "base", "tensor", "autograd", "ops",    "nn",    "formats",  "text",    "models",
    "data", "train",  "infer",    "dist",   "adapt", "compress", "control", "plan",
    "eval", "safety", "agents",   "senses", "serve", "cli"};

constexpr size_t kSourceLines = 800;
constexpr size_t kTestLines = 1000;
constexpr size_t kReadmeLines = 40;

const fs::path kTop = MARTLET_SOURCE_DIR;

struct Source {
  fs::path path;  // from the top of the tree
  std::string room;
  std::vector<std::string> lines;

  bool is_header() const { return path.extension() == ".h"; }
};

std::vector<std::string> lines_of(const fs::path& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

/// Every C++ file below `folder`; the room is the folder's child that holds it.
std::vector<Source> sources_below(const std::string& folder) {
  std::vector<Source> found;
  if (!fs::exists(kTop / folder)) return found;
  for (const auto& entry : fs::recursive_directory_iterator(kTop / folder)) {
    const fs::path extension = entry.path().extension();
    if (!entry.is_regular_file() || (extension != ".cc" && extension != ".h" && extension != ".cu")) continue;
    const fs::path relative = fs::relative(entry.path(), kTop);
    found.push_back({relative, (++relative.begin())->string(), lines_of(entry.path())});
  }
  std::sort(found.begin(), found.end(), [](const Source& a, const Source& b) { return a.path < b.path; });
  return found;
}

const std::vector<Source>& library() {
  static const std::vector<Source> all = sources_below("src");
  return all;
}

/// The place of a room in the list, or -1.
int rank(std::string_view room) {
  const auto place = std::find(kRooms.begin(), kRooms.end(), room);
  return place == kRooms.end() ? -1 : static_cast<int>(place - kRooms.begin());
}

std::string at(const Source& source, size_t line) {
  return source.path.string() + ":" + std::to_string(line + 1);
}

/// Reports every line of `sources` that matches, except in files whose path begins with one of `allowed`.
void expect_absent(const std::vector<Source>& sources, const std::regex& pattern,
                   const std::vector<std::string>& allowed, const std::string& rule) {
  for (const Source& source : sources) {
    const std::string path = source.path.string();
    if (std::any_of(allowed.begin(), allowed.end(),
                    [&](const std::string& start) { return path.starts_with(start); })) {
      continue;
    }
    for (size_t line = 0; line < source.lines.size(); ++line) {
      const std::string& text = source.lines[line];
      const std::string code = text.substr(0, text.find("//"));
      if (std::regex_search(code, pattern)) ADD_FAILURE() << at(source, line) << ": " << rule << ": " << text;
    }
  }
}

TEST(Rooms, EveryFolderOfTheSourceIsARoomOfTheDesign) {
  for (const auto& entry : fs::directory_iterator(kTop / "src")) {
    if (!entry.is_directory()) continue;
    EXPECT_GE(rank(entry.path().filename().string()), 0) << entry.path();
  }
}

TEST(Rooms, EveryRoomStandsInTheDocumentOfTheArchitectureAndHasAReadme) {
  const std::vector<std::string> document = lines_of(kTop / "docs/architecture.md");
  for (const auto& entry : fs::directory_iterator(kTop / "src")) {
    if (!entry.is_directory()) continue;
    const std::string room = entry.path().filename().string();
    const bool told = std::any_of(document.begin(), document.end(), [&](const std::string& line) {
      return line.starts_with(" " + room + "  ") || line.starts_with("| `" + room + "` |");
    });
    EXPECT_TRUE(told) << room << " is not in the drawing of docs/architecture.md";
    EXPECT_TRUE(fs::exists(entry.path() / "README.md")) << entry.path();
  }
}

TEST(Rooms, ARoomIncludesOnlyRoomsAboveIt) {
  const std::regex include("^\\s*#\\s*include\\s*\"([^\"]+)\"");
  ASSERT_FALSE(library().empty());
  for (const Source& source : library()) {
    for (size_t line = 0; line < source.lines.size(); ++line) {
      std::smatch match;
      if (!std::regex_search(source.lines[line], match, include)) continue;
      const std::string target = match[1];
      const std::string room = target.substr(0, target.find('/'));
      const bool generated = !fs::exists(kTop / "src" / target);
      if (generated && rank(room) >= 0) {
        ADD_FAILURE() << at(source, line) << ": there is no src/" << target;
      } else if (rank(room) < 0) {
        ADD_FAILURE() << at(source, line) << ": the include path must begin with a room: " << target;
      } else {
        EXPECT_LE(rank(room), rank(source.room))
            << at(source, line) << ": `" << source.room << "` may not use `" << room << "`";
      }
    }
  }
}

TEST(Rooms, HeavyHeadersStandInOneFileEach) {
  const std::regex heavy("^\\s*#\\s*include\\s*<(nlohmann/|toml\\+\\+/|CLI/|spdlog/|simdjson|sqlite3)[^>]*>");
  std::map<std::string, std::set<std::string>> users;
  for (const Source& source : library()) {
    for (size_t line = 0; line < source.lines.size(); ++line) {
      std::smatch match;
      if (!std::regex_search(source.lines[line], match, heavy)) continue;
      EXPECT_FALSE(source.is_header()) << at(source, line) << ": a heavy header belongs into one .cc";
      users[match[1]].insert(source.path.string());
    }
  }
  for (const auto& [name, files] : users)
    EXPECT_EQ(files.size(), 1u) << name << " is included by several files";
}

TEST(Rooms, OnlyTheProgramPrintsAndExits) {
  const std::regex pattern(
      "std::(cout|cerr|clog|puts|exit|quick_exit|_Exit|abort|terminate)\\b|\\b(printf|puts|perror|_exit)\\s*"
      "\\(|fmt::print\\b");
  expect_absent(library(), pattern, {"src/cli/"}, "the library never prints and never exits");
}

TEST(Rooms, OnlyKernelsTouchElements) {
  const std::regex pattern("(\\.|->)(mutable_)?data<[^>]*>\\(\\)");
  expect_absent(library(), pattern, {"src/tensor/", "src/ops/"}, "only kernels touch elements");
}

TEST(Rooms, NoMacrosOfOurOwn) {
  // A third party's switch before its header, and the guard of sources compiled once for every instruction
  // set.
  const std::regex pattern("^\\s*#\\s*define\\s+(?!PCRE2_|HWY_|TOML_|CLI11_)");
  expect_absent(library(), pattern, {}, "no macros of our own");
}

TEST(Rooms, HeadersAreGuardedByPragmaOnce) {
  for (const Source& source : library()) {
    if (!source.is_header()) continue;
    const bool guarded =
        std::find(source.lines.begin(), source.lines.end(), "#pragma once") != source.lines.end();
    EXPECT_TRUE(guarded) << source.path;
  }
}

TEST(Rooms, ReadmesAreShort) {
  for (const auto& entry : fs::directory_iterator(kTop / "src")) {
    if (!entry.is_directory() || fs::is_empty(entry.path())) continue;
    const fs::path readme = entry.path() / "README.md";
    EXPECT_LE(lines_of(readme).size(), kReadmeLines) << readme;
  }
}

struct Sizes {
  size_t files = 0;
  size_t lines = 0;
  size_t median = 0;
  size_t tenth_largest = 0;  // 90 % of the files are no longer
  size_t longest = 0;
  std::string longest_path;
};

Sizes sizes_of(const std::vector<Source>& sources) {
  std::vector<std::pair<size_t, std::string>> lengths;
  for (const Source& source : sources) lengths.emplace_back(source.lines.size(), source.path.string());
  std::sort(lengths.begin(), lengths.end());
  Sizes sizes;
  if (lengths.empty()) return sizes;
  sizes.files = lengths.size();
  for (const auto& [length, path] : lengths) sizes.lines += length;
  sizes.median = lengths[lengths.size() / 2].first;
  sizes.tenth_largest = lengths[lengths.size() * 9 / 10].first;
  std::tie(sizes.longest, sizes.longest_path) = lengths.back();
  return sizes;
}

void report(const std::string& name, const std::vector<Source>& sources) {
  const Sizes sizes = sizes_of(sources);
  std::cout << name << ": " << sizes.files << " files, " << sizes.lines << " lines; median " << sizes.median
            << ", nine in ten up to " << sizes.tenth_largest << ", longest " << sizes.longest << " ("
            << sizes.longest_path << ")\n";
}

TEST(Sizes, FilesStayWithinTheirLimits) {
  std::map<std::string, std::vector<Source>> by_room;
  for (const Source& source : library()) by_room[source.room].push_back(source);
  for (const std::string_view room : kRooms) {
    if (by_room.contains(std::string(room))) report("src/" + std::string(room), by_room[std::string(room)]);
  }
  report("src", library());
  for (const Source& source : library()) EXPECT_LE(source.lines.size(), kSourceLines) << source.path;
  for (const std::string folder : {"tests", "bench", "fuzz"}) {
    const std::vector<Source> sources = sources_below(folder);
    if (!sources.empty()) report(folder, sources);
    for (const Source& source : sources) EXPECT_LE(source.lines.size(), kTestLines) << source.path;
  }
}

}  // namespace
}  // namespace martlet
