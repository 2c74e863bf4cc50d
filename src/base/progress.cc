#include "base/progress.h"

namespace martlet {
namespace {

class NoProgress final : public Progress {
 public:
  void start(std::string_view, uint64_t, std::string_view) override {}
  void advance(uint64_t) override {}
  void finish() override {}
};

}  // namespace

Progress& no_progress() {
  static NoProgress nowhere;
  return nowhere;
}

}  // namespace martlet
