// Loads a model and continues a text: generate MODEL TEXT
#include <iostream>

#include "base/error.h"
#include "infer/language_model.h"

int main(int count, char** arguments) {
  if (count != 3) {
    std::cerr << "usage: generate MODEL TEXT\n";
    return 2;
  }
  try {
    const auto model = martlet::infer::LanguageModel::load(arguments[1]);
    const std::vector<int32_t> prompt = model.tokenizer().encode(arguments[2]);
    const auto replies = martlet::infer::generate(model.tree(), {&prompt, 1},
                                                  {.max_new_tokens = 40, .stop_ids = model.stop_ids()});
    std::cout << model.tokenizer().decode(replies[0].ids, {.skip_special_tokens = true}) << "\n";
  } catch (const martlet::Error& error) {
    std::cerr << error.what() << "\n";
    return static_cast<int>(error.code());
  }
}
