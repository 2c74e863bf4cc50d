#pragma once

// Text that ends a reply. It arrives in pieces, and a stop text may lie across several: what may be the
// beginning of one is held back until that is known.

#include <string>
#include <string_view>
#include <vector>

namespace martlet::infer {

class StopTexts {
 public:
  /// Throws kUsage for an empty text.
  explicit StopTexts(std::vector<std::string> texts);

  /// Takes the next piece; returns what may be shown now: nothing of a stop text, nor of what may become one.
  /// The stop text that is complete first counts; how the text is cut into pieces makes no difference.
  std::string add(std::string_view piece);
  /// A stop text has come: nothing more is given.
  bool stopped() const { return stopped_; }
  /// The text held back, when no more comes.
  std::string finish();

 private:
  std::vector<std::string> texts_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace martlet::infer
