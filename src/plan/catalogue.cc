#include "plan/catalogue.h"

#include "compress/bf16_activations.h"
#include "compress/cast.h"
#include "compress/int8_activations.h"
#include "compress/kv_cache.h"
#include "compress/llm_int8.h"
#include "compress/low_rank.h"
#include "compress/quantize.h"
#include "compress/sparse_activation.h"
#include "infer/stream.h"
#include "nn/probe.h"
#include "nn/tie.h"
#include "train/balance_experts.h"
#include "train/freeze.h"
#include "train/mixed.h"
#include "train/recompute.h"

namespace martlet::plan {
namespace {

constexpr const nn::Rewrite* kRewrites[] = {
    &compress::kCast,
    &compress::kLowRank,
    &compress::kQuantize,
    &compress::kInt8Activations,
    &compress::kBF16Activations,
    &compress::kLlmInt8,
    &compress::kKvCache,
    &compress::kSparseActivation,
    &nn::kTie,
    &train::kFreeze,
    &train::kMixed,
    &train::kBalanceExperts,
    &train::kRecompute,
    &infer::kStream,
    &nn::kProbe,
};

}  // namespace

nn::RewriteCatalogue rewrites() {
  return kRewrites;
}

}  // namespace martlet::plan
