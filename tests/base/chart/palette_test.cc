#include "base/chart/palette.h"

#include <cmath>
#include <gtest/gtest.h>
#include <string>

namespace martlet::chart {
namespace {

using Triple = std::array<double, 3>;
using Matrix = std::array<Triple, 3>;

Triple times(const Matrix& matrix, const Triple& v) {
  Triple out{};
  for (size_t i = 0; i < 3; ++i) out[i] = matrix[i][0] * v[0] + matrix[i][1] * v[1] + matrix[i][2] * v[2];
  return out;
}

/// "#RRGGBB" as linear light (IEC 61966-2-1).
Triple linear(std::string_view colour) {
  Triple out{};
  for (size_t i = 0; i < 3; ++i) {
    const double c = std::stoi(std::string(colour.substr(1 + 2 * i, 2)), nullptr, 16) / 255.0;
    out[i] = c <= 0.04045 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4);
  }
  return out;
}

double luminance(std::string_view colour) {
  const Triple c = linear(colour);
  return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2];
}

double contrast(std::string_view a, std::string_view b) {
  const double x = luminance(a), y = luminance(b);
  return (std::max(x, y) + 0.05) / (std::min(x, y) + 0.05);
}

/// CIELAB under D65.
Triple lab(Triple light) {
  constexpr Matrix kToXyz{{{0.4124564, 0.3575761, 0.1804375},
                           {0.2126729, 0.7151522, 0.0721750},
                           {0.0193339, 0.1191920, 0.9503041}}};
  constexpr Triple kWhite{0.95047, 1, 1.08883};
  for (double& c : light) c = std::min(1.0, std::max(0.0, c));
  Triple f = times(kToXyz, light);
  for (size_t i = 0; i < 3; ++i) {
    const double t = f[i] / kWhite[i];
    f[i] = t > 216.0 / 24389 ? std::cbrt(t) : (24389.0 / 27 * t + 16) / 116;
  }
  return {116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])};
}

double difference(const Matrix& eyes, std::string_view a, std::string_view b) {
  const Triple x = lab(times(eyes, linear(a))), y = lab(times(eyes, linear(b)));
  return std::hypot(x[0] - y[0], x[1] - y[1], x[2] - y[2]);
}

// Normal eyes, and the paper's table for severity 1: protanopia, deuteranopia, tritanopia.
constexpr std::array<Matrix, 4> kEyes{
    Matrix{{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}},
    Matrix{
        {{0.152286, 1.052583, -0.204868}, {0.114503, 0.786281, 0.099216}, {-0.003882, -0.048116, 1.051998}}},
    Matrix{
        {{0.367322, 0.860646, -0.227968}, {0.280085, 0.672501, 0.047413}, {-0.011820, 0.042940, 0.968881}}},
    Matrix{
        {{1.255528, -0.076749, -0.178779}, {-0.078411, 0.930809, 0.147602}, {0.004733, 0.691367, 0.303900}}}};

TEST(Palette, StandsOutFromItsBackground) {
  for (const Scheme& scheme : {kLightScheme, kDarkScheme}) {
    for (const std::string_view colour : scheme.series)
      EXPECT_GE(contrast(colour, scheme.background), 3) << colour;
    EXPECT_GE(contrast(scheme.text, scheme.background), 7);
    EXPECT_GE(contrast(scheme.faint_text, scheme.background), 4.5);
  }
}

TEST(Palette, IsToldApartByTheColourBlind) {
  for (const Scheme& scheme : {kLightScheme, kDarkScheme})
    for (const Matrix& eyes : kEyes)
      for (size_t i = 0; i < scheme.series.size(); ++i)
        for (size_t j = 0; j < i; ++j)
          EXPECT_GE(difference(eyes, scheme.series[i], scheme.series[j]), 30)
              << scheme.series[i] << " " << scheme.series[j];
}

}  // namespace
}  // namespace martlet::chart
