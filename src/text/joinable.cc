#include "text/joinable.h"

namespace martlet::text {

void Joinable::add_token(std::string_view token) {
  char32_t last = 0;
  for (size_t at = 0; at < token.size();) {
    const Utf8Character character = character_at(token.data() + at);
    if (at != 0) {
      if ((last | character.value) < 0x80) {
        ascii_[last * 128 + character.value] = 1;
      } else {
        others_[place(last, character.value)] = true;
      }
    }
    last = character.value;
    at += character.length;
  }
}

void Joinable::add_unknown(const std::vector<bool>& is_known) {
  known_ = is_known;
  for (char32_t left = 0; left < 128; ++left) {
    for (char32_t right = 0; right < 128; ++right) {
      if (!known_[left] || !known_[right]) ascii_[left * 128 + right] = 1;
    }
  }
}

}  // namespace martlet::text
