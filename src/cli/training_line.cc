#include "cli/training_line.h"

#include <cstdio>

#include "base/human.h"
#include "cli/terminal.h"
#include "train/metrics.h"

namespace martlet::cli {
namespace {

// Between two lines where nobody watches, and between two drawings where somebody does.
constexpr double kLogSeconds = 10;
constexpr double kDrawSeconds = 0.1;
// Of the smoothed figures, that a step replaces.
constexpr double kFresh = 0.1;

}  // namespace

void TrainingLine::show(const train::StepMetrics& metrics) {
  const bool first = shown_++ == 0;
  smooth_loss_ = first ? metrics.loss : smooth_loss_ + kFresh * (metrics.loss - smooth_loss_);
  smooth_seconds_ = first ? metrics.seconds : smooth_seconds_ + kFresh * (metrics.seconds - smooth_seconds_);
  const auto now = std::chrono::steady_clock::now();
  const bool last = metrics.step + 1 >= steps_;
  const double since = std::chrono::duration<double>(now - last_).count();
  if (metrics.eval_loss) eval_loss_ = metrics.eval_loss;
  if (!first && !last && !(metrics.eval_loss && !stderr_is_terminal()) &&
      since < (stderr_is_terminal() ? kDrawSeconds : kLogSeconds))
    return;
  last_ = now;
  const std::string text = fmt::format(
      "step {}/{}  loss {:.4f}{}  {:.0f} tokens/s  {} left  {}", metrics.step + 1, steps_, smooth_loss_,
      eval_loss_ ? fmt::format("  held out {:.4f}", *eval_loss_) : "", metrics.tokens_per_second(),
      format_duration(smooth_seconds_ * static_cast<double>(steps_ - metrics.step - 1)),
      format_bytes(static_cast<uint64_t>(train::resident_bytes())));
  if (stderr_is_terminal()) {
    std::fprintf(stderr, "\r\033[K%s", text.c_str());
    drawn_ = true;
  } else {
    std::fprintf(stderr, "%s\n", text.c_str());
  }
  std::fflush(stderr);
}

void TrainingLine::note(const std::string& text) {
  finish();
  std::fprintf(stderr, "martlet: %s\n", text.c_str());
}

void TrainingLine::finish() {
  if (drawn_) std::fprintf(stderr, "\n");
  drawn_ = false;
}

}  // namespace martlet::cli
