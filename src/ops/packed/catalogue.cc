#include "ops/packed/formats.h"

namespace martlet::ops {
namespace {

using namespace packed;

constexpr const PackedFormat* kFormats[] = {
    &kQ4_0, &kQ4_1, &kQ5_0,  &kQ5_1,  &kQ8_0,     &kQ2K,      &kQ3K,  &kQ4K,
    &kQ5K,  &kQ6K,  &kIq4Nl, &kIq4Xs, &kInt4Zero, &kInt8Zero, &kInt8,
};

}  // namespace

std::span<const PackedFormat* const> packed_formats() {
  return kFormats;
}

const PackedFormat* find_packed_format(std::string_view name) {
  for (const PackedFormat* format : kFormats)
    if (format->name == name) return format;
  return nullptr;
}

}  // namespace martlet::ops
