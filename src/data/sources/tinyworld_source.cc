// Tinyworld as a source:
// tinyworld:documents=20000,seed=1,split=train,people=24,kinds=fact+story,languages=en+zh

#include "base/error.h"
#include "base/human.h"
#include "data/source.h"
#include "data/tinyworld/tinyworld.h"

namespace martlet::data {
namespace {

constexpr std::string_view kPrefix = "tinyworld";

std::vector<std::string> parts_of(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (true) {
    const size_t end = text.find(separator);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

int64_t number_of(const std::string& key, const std::string& value) {
  const std::optional<int64_t> number = parse_count(value);
  if (!number) fail(ErrorCode::kUsage, "tinyworld: {} must be a number, not '{}'", key, value);
  return *number;
}

struct Request {
  TinyworldOptions options;
  int64_t documents = 20000;
};

Request request_of(const std::string& word) {
  Request request;
  request.options.kinds = tinyworld_training_kinds();
  if (word.size() <= kPrefix.size() + 1) return request;
  for (const std::string& setting : parts_of(word.substr(kPrefix.size() + 1), ',')) {
    const size_t equals = setting.find('=');
    if (equals == std::string::npos) fail(ErrorCode::kUsage, "tinyworld: '{}' should be KEY=VALUE", setting);
    const std::string key = setting.substr(0, equals), value = setting.substr(equals + 1);
    if (key == "documents") {
      request.documents = number_of(key, value);
    } else if (key == "seed") {
      request.options.seed = static_cast<uint64_t>(number_of(key, value));
    } else if (key == "world_seed") {
      request.options.world_seed = static_cast<uint64_t>(number_of(key, value));
    } else if (key == "people") {
      request.options.people = number_of(key, value);
    } else if (key == "long_sentences") {
      request.options.long_sentences = number_of(key, value);
    } else if (key == "split") {
      request.options.split = tinyworld::split_of_name(value);
    } else if (key == "languages") {
      request.options.languages = parts_of(value, '+');
    } else if (key == "kinds") {
      request.options.kinds = tinyworld_kinds_of(parts_of(value, '+'));
    } else {
      const std::vector<std::string> known{"documents",      "seed",  "world_seed", "people",
                                           "long_sentences", "split", "languages",  "kinds"};
      const std::optional<std::string> nearest = nearest_name(key, known);
      fail(ErrorCode::kUsage, "tinyworld has no setting '{}'{}", key,
           nearest ? fmt::format("; did you mean {}?", *nearest) : "");
    }
  }
  return request;
}

class TinyworldReader : public DocumentReader {
 public:
  TinyworldReader(Request request, ReadReport& report)
      : world_(std::move(request.options)),
        count_(static_cast<uint64_t>(std::max<int64_t>(0, request.documents))) {
    ++report.files;
  }

  bool next(Document& document) override {
    if (next_ == count_) return false;
    document = document_of(world_.document(next_), fmt::format("tinyworld:{}", next_ + 1));
    ++next_;
    return true;
  }

 private:
  Tinyworld world_;
  uint64_t count_;
  uint64_t next_ = 0;
};

bool accepts(const std::string& word) {
  return word == kPrefix || word.starts_with("tinyworld:");
}

std::unique_ptr<DocumentReader> open(const std::string& word, bool, const ReadOptions&, ReadReport& report) {
  return std::make_unique<TinyworldReader>(request_of(word), report);
}

}  // namespace

constexpr SourceKind kTinyworldSource{
    "tinyworld", "documents of the small world: tinyworld:documents=20000,seed=1 (see docs/tinyworld.md)",
    accepts, open};

}  // namespace martlet::data
