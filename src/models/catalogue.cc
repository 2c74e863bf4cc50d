#include <algorithm>
#include <vector>

#include "base/error.h"
#include "models/bert.h"
#include "models/cpm.h"
#include "models/family.h"
#include "models/gemma.h"
#include "models/gemma3.h"
#include "models/gpt2.h"
#include "models/llama.h"
#include "models/mixtral.h"
#include "models/phi3.h"
#include "models/qwen_moe.h"

namespace martlet::models {
namespace {

constexpr const Family* kFamilies[] = {&kLlama,  &kMistral, &kQwen2,      &kQwen3,    &kSmolLm3, &kMiniCpm,
                                       &kPhi3,   &kMixtral, &kQwen2Moe,   &kQwen3Moe, &kGpt2,    &kGemma,
                                       &kGemma2, &kGemma3,  &kGemma3Text, &kCpmAnt,   &kCpmBee,  &kBert};

}  // namespace

std::span<const Family* const> families() {
  return kFamilies;
}

const Family& family_named(std::string_view model_type) {
  std::string known;
  for (const Family* family : kFamilies) {
    if (family->name == model_type) return *family;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", family->name);
  }
  bad_input("unknown model family \"{}\" (model_type); supported are {}", model_type, known);
}

const Family& family_of_gguf(const formats::GgufMetadata& metadata) {
  const std::string_view architecture = metadata.text("general.architecture");
  const bool has_experts = metadata.integer(fmt::format("{}.expert_count", architecture), 0) > 0;
  std::vector<std::string_view> known;
  for (const Family* family : kFamilies) {
    if (family->gguf_architecture.empty()) continue;
    if (family->gguf_architecture == architecture && family->has_experts == has_experts) return *family;
    if (std::find(known.begin(), known.end(), family->gguf_architecture) == known.end())
      known.push_back(family->gguf_architecture);
  }
  const bool is_known = std::find(known.begin(), known.end(), architecture) != known.end();
  std::string list;
  for (const std::string_view each : known) list += fmt::format("{}{}", list.empty() ? "" : ", ", each);
  bad_input("unknown model family \"{}\"{} (general.architecture); supported are {}", architecture,
            is_known ? (has_experts ? " with experts" : " without experts") : "", list);
}

}  // namespace martlet::models
