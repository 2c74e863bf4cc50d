#include <string>
#include <vector>

#include "cli/program.h"

int main(int count, char** words) {
  martlet::cli::install_signal_handlers();
  const std::vector<std::string> arguments(words + (count > 0 ? 1 : 0), words + count);
  return martlet::cli::run_program(arguments);
}
