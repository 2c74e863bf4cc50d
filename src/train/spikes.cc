#include "train/spikes.h"

#include <algorithm>
#include <cmath>

#include "base/fields.h"

namespace martlet::train {
namespace {

// Losses that must have been seen, and, in weight, about as many as count.
constexpr int64_t kRecent = 50;
constexpr double kFresh = 2.0 / (kRecent + 1);
constexpr double kLeastDeviation = 0.01;  // of the mean: batches never are more alike

}  // namespace

double SpikeDetector::deviation() const {
  return std::max(std::sqrt(variance_), kLeastDeviation * std::abs(mean_));
}

bool SpikeDetector::is_spike(double loss) {
  if (factor_ <= 0) return false;
  if (seen_ >= kRecent && loss > mean_ + factor_ * deviation()) return true;
  // Weighted alike until as many are seen as count later. West, "Updating mean and variance estimates", 1979.
  const double fresh = std::max(kFresh, 1.0 / static_cast<double>(++seen_));
  const double difference = loss - mean_;
  mean_ += fresh * difference;
  variance_ = (1 - fresh) * (variance_ + fresh * difference * difference);
  return false;
}

Json SpikeDetector::to_json() const {
  Json json;
  json.set("seen", seen_).set("mean", mean_).set("variance", variance_);
  return json;
}

void SpikeDetector::restore(const Json& json) {
  const Fields fields(json, "the recent losses");
  seen_ = fields.integer("seen");
  mean_ = json.at("mean").real();
  variance_ = json.at("variance").real();
}

}  // namespace martlet::train
