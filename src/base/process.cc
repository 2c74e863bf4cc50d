#include "base/process.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <fmt/format.h>
#include <fstream>
#include <sstream>
#include <unistd.h>
#include <vector>

namespace martlet {
namespace {

std::string host_name() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) return "unknown";
  std::string word = name.data();
  for (char& c : word)
    if (c == '/') c = '_';
  return word;
}

/// Changes with each start of the machine.
std::string boot() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

/// Ticks between the machine's start and the process' (proc(5), field 22 of stat); empty when it is not
/// there.
std::string start_of(const std::string& process) {
  std::ifstream file("/proc/" + process + "/stat");
  std::string line;
  std::getline(file, line);
  // The second field is a name in brackets that may hold anything.
  const size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return "";
  std::istringstream rest(line.substr(name_end + 1));
  std::string word, state;
  rest >> state;
  for (int field = 4; field <= 22; ++field) rest >> word;
  // One that has ended, and whose parent has not looked yet, runs no more.
  return state == "Z" || state == "X" ? "" : word;
}

}  // namespace

std::string process_mark() {
  const std::string number = std::to_string(getpid());
  return fmt::format("{}/{}/{}/{}", host_name(), boot(), number, start_of(number));
}

bool process_runs(std::string_view mark) {
  std::vector<std::string> parts(1);
  for (const char c : mark) {
    if (c == '/')
      parts.emplace_back();
    else
      parts.back() += c;
  }
  if (parts.size() != 4) return false;
  if (parts[0] != host_name()) return true;
  return parts[1] == boot() && !parts[3].empty() && start_of(parts[2]) == parts[3];
}

}  // namespace martlet
