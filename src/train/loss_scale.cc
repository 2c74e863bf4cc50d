#include "train/loss_scale.h"

#include <cmath>

#include "base/error.h"
#include "base/fields.h"

namespace martlet::train {

void LossScale::keep() {
  if (!used_ || ++kept_ < kStepsToDouble) return;
  kept_ = 0;
  if (value_ < kMost) value_ *= 2;
}

bool LossScale::halve() {
  if (value_ <= 1) return false;
  value_ /= 2;
  kept_ = 0;
  return true;
}

void LossScale::set(double value) {
  int exponent = 0;
  if (!(value >= 1) || std::frexp(value, &exponent) != 0.5)
    bad_input("a loss scale is a power of two from 1 on, got {}", value);
  if (used_) value_ = value;
}

Json LossScale::to_json() const {
  Json json;
  return json.set("scale", value_).set("kept", kept_);
}

void LossScale::restore(const Json& json) {
  const Fields fields(json, "loss_scale");
  set(fields.real("scale"));
  kept_ = fields.integer("kept");
}

}  // namespace martlet::train
