#include "base/error.h"
#include "models/bert.h"
#include "models/family.h"
#include "models/gemma.h"
#include "models/gemma3.h"
#include "models/gpt2.h"
#include "models/llama.h"

namespace martlet::models {
namespace {

constexpr const Family* kFamilies[] = {&kLlama, &kMistral, &kQwen2,  &kQwen3,  &kSmolLm3,    &kMiniCpm,
                                       &kGpt2,  &kGemma,   &kGemma2, &kGemma3, &kGemma3Text, &kBert};

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

const Family& family_of_gguf(std::string_view architecture) {
  std::string known;
  for (const Family* family : kFamilies) {
    if (family->gguf_architecture.empty()) continue;
    if (family->gguf_architecture == architecture) return *family;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", family->gguf_architecture);
  }
  bad_input("unknown model family \"{}\" (general.architecture); supported are {}", architecture, known);
}

}  // namespace martlet::models
