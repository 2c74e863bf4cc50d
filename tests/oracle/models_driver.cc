// Lets pytest see what no verb prints:
//   models_driver hidden MODEL I,J,.. OUT.npy              hidden states [ids, hidden]
//   models_driver mean|first MODEL I,J,..;K,.. OUT.npy     one vector a sequence

#include <cstdio>
#include <sstream>
#include <string_view>

#include "base/error.h"
#include "formats/npy.h"
#include "infer/embed.h"
#include "models/open.h"

namespace martlet::infer {
namespace {

std::vector<std::vector<int32_t>> sequences_of(const std::string& text) {
  std::vector<std::vector<int32_t>> sequences;
  std::istringstream lists(text);
  for (std::string list; std::getline(lists, list, ';');) {
    std::istringstream numbers(list);
    std::vector<int32_t>& ids = sequences.emplace_back();
    for (std::string number; std::getline(numbers, number, ',');) ids.push_back(std::stoi(number));
  }
  return sequences;
}

void run(std::string_view verb, const std::string& path, const std::string& ids, const std::string& out) {
  const models::OpenModel model = models::open_model(path);
  const auto sequences = sequences_of(ids);
  if (verb == "hidden") {
    nn::Batch batch;
    batch.add(sequences.at(0));
    formats::write_npy(out, model.tree->hidden(batch));
    return;
  }
  const Pooling pooling = verb == "mean" ? Pooling::kMean : Pooling::kFirst;
  formats::write_npy(out, embed(*model.tree, sequences, {.pooling = pooling}));
}

}  // namespace
}  // namespace martlet::infer

int main(int count, char** arguments) {
  if (count != 5) return 2;
  try {
    martlet::infer::run(arguments[1], arguments[2], arguments[3], arguments[4]);
    return 0;
  } catch (const martlet::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return static_cast<int>(error.code());
  }
}
