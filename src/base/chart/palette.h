#pragma once

// Colours of series, for a light and a dark page. They began as the hues of Okabe and Ito ("Color universal
// design", 2008) and were moved until every colour has a contrast of 3:1 with its background
// (WCAG 2.1, 1.4.11) and any two differ by 30 in CIELAB, seen with normal eyes and as Machado, Oliveira and
// Fernandes ("A physiologically-based model for simulation of color vision deficiency", 2009) simulate the
// three colour blindnesses. A test holds both.

#include <array>
#include <string_view>

namespace martlet::chart {

struct Scheme {
  std::string_view background, text, faint_text, grid;
  std::array<std::string_view, 6> series;
};

inline constexpr Scheme kLightScheme{"#FFFFFF",
                                     "#1F2328",
                                     "#59636E",
                                     "#E3E6EA",
                                     {"#0252AF", "#E57700", "#0BAA6E", "#CC77B6", "#66420A", "#232336"}};
inline constexpr Scheme kDarkScheme{"#14171C",
                                    "#E6EDF3",
                                    "#9AA4AF",
                                    "#2B3038",
                                    {"#4C87D5", "#C46621", "#3BED99", "#A8788E", "#F4E932", "#D1F9FF"}};

/// The place in a scheme's series of the `index`th series.
inline size_t palette_place(size_t index, int colour) {
  const size_t count = kLightScheme.series.size();
  return (colour < 0 ? index : static_cast<size_t>(colour)) % count;
}

}  // namespace martlet::chart
