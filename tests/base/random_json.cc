#include "base/random_json.h"

#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "base/utf8.h"

namespace martlet {

std::string RandomJson::text() {
  static constexpr std::array<char32_t, 12> kAwkward{U'"', U'\\', U'\n', U'\t',  0x01,    0x7F,
                                                     0x80, 0x7FF, 0x800, 0xFFFF, 0x10000, 0x10FFFF};
  std::string out;
  for (uint64_t left = below(12); left > 0; --left) {
    const uint64_t kind = below(4);
    if (kind == 0) {
      append_utf8(out, kAwkward[below(kAwkward.size())]);
    } else if (kind == 1) {
      append_utf8(out, static_cast<char32_t>(below(0x110000)));
    } else {
      append_utf8(out, static_cast<char32_t>(0x20 + below(0x5F)));
    }
  }
  return out;
}

double RandomJson::real() {
  // Any bit pattern is a real; those that are no numbers have no place in JSON.
  while (true) {
    const uint64_t bits = (below(uint64_t{1} << 32) << 32) | below(uint64_t{1} << 32);
    const double drawn =
        below(2) == 0 ? std::bit_cast<double>(bits) : std::ldexp(static_cast<double>(below(1000)), -3);
    if (std::isfinite(drawn)) return drawn;
  }
}

Json RandomJson::object(int depth) {
  Json made{Json::Object()};
  for (uint64_t left = below(30); left > 0; --left) made.set(text(), value(depth - 1));
  return made;
}

Json RandomJson::value(int depth) {
  switch (below(depth > 0 ? 8 : 5)) {
    case 0:
      return with_null_ ? Json() : Json(false);
    case 1:
      return Json(below(2) == 0);
    case 2: {
      const int64_t any = std::bit_cast<int64_t>((below(uint64_t{1} << 32) << 32) | below(uint64_t{1} << 32));
      static constexpr std::array<int64_t, 4> kEnds{0, -1, std::numeric_limits<int64_t>::min(),
                                                    std::numeric_limits<int64_t>::max()};
      return Json(below(3) == 0 ? kEnds[below(kEnds.size())] : any);
    }
    case 3:
      return Json(real());
    case 4:
      return Json(text());
    case 5:
      return object(depth);
    default: {
      Json::Array items;
      for (uint64_t left = below(8); left > 0; --left) items.push_back(value(depth - 1));
      return Json(std::move(items));
    }
  }
}

}  // namespace martlet
