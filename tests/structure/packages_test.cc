// The list of packages that the launcher installs and the document that explains them name the same packages.

#include <fstream>
#include <gtest/gtest.h>
#include <set>
#include <sstream>
#include <string>

namespace martlet {
namespace {

std::string text_of(const std::string& path) {
  std::ifstream file(MARTLET_SOURCE_DIR + ("/" + path));
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(Packages, EveryLineHasAGroupANameAndAPurpose) {
  const std::set<std::string> groups{"build", "speed", "run", "test"};
  std::istringstream lines(text_of("cmake/packages.txt"));
  std::set<std::string> seen;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('#')) continue;
    std::istringstream words(line);
    std::string group, name, purpose;
    words >> group >> name >> purpose;
    EXPECT_TRUE(groups.contains(group)) << line;
    EXPECT_FALSE(purpose.empty()) << line;
    EXPECT_TRUE(seen.insert(name).second) << name << " is listed twice";
  }
  EXPECT_GE(seen.size(), 20u);
}

TEST(Packages, EveryPackageIsExplained) {
  const std::string document = text_of("docs/dependencies.md");
  std::istringstream lines(text_of("cmake/packages.txt"));
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('#')) continue;
    std::istringstream words(line);
    std::string group, name;
    words >> group >> name;
    EXPECT_NE(document.find("`" + name + "`"), std::string::npos)
        << name << " is not in docs/dependencies.md";
  }
}

}  // namespace
}  // namespace martlet
