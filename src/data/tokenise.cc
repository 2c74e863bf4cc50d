#include "data/tokenise.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <unordered_set>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/thread_pool.h"
#include "data/token_set.h"

namespace martlet::data {
namespace {

namespace fs = std::filesystem;

// Read and encoded together: enough to keep all threads busy, little enough to be no matter of memory.
constexpr size_t kBlockDocuments = 4096;
constexpr size_t kBlockBytes = size_t{16} << 20;

/// Writes the shards of one folder and, at last, their list.
class TokenSetWriter {
 public:
  TokenSetWriter(std::string folder, const DocumentEncoder& encoder, int64_t shard_tokens)
      : folder_(std::move(folder)),
        shard_tokens_(shard_tokens),
        writer_(encoder.vocabulary_size(), encoder.vocabulary_hash()) {
    list_.set("vocabulary_size", encoder.vocabulary_size());
    list_.set("vocabulary_hash", text_of(encoder.vocabulary_hash()));
  }

  void add(const EncodedDocument& document) {
    if (shards_.array().empty() && writer_.documents() == 0) begin();
    writer_.add(document);
    if (writer_.tokens() >= shard_tokens_) write_shard();
  }

  void finish() {
    if (writer_.documents() > 0) write_shard();
    if (shards_.array().empty()) return;
    list_.set("shards", shards_);
    write_file(folder_ + "/" + kTokenSetList, list_.dump(1) + "\n");
  }

 private:
  /// The old list goes first: shards of two sets are never taken for one.
  void begin() {
    make_directories(folder_);
    fs::remove(folder_ + "/" + kTokenSetList);
    for (const auto& entry : fs::directory_iterator(folder_))
      if (entry.path().extension() == ".tokens") fs::remove(entry.path());
  }

  void write_shard() {
    const std::string name = fmt::format("shard-{:05}.tokens", shards_.array().size());
    Json entry;
    entry.set("file", name).set("documents", writer_.documents()).set("tokens", writer_.tokens());
    entry.set("checksum", text_of(writer_.write(folder_ + "/" + name)));
    shards_.push_back(std::move(entry));
  }

  std::string folder_;
  int64_t shard_tokens_;
  TokenShardWriter writer_;
  Json list_;
  Json shards_{Json::Array{}};
};

struct Block {
  std::vector<Document> documents;
  std::vector<EncodedDocument> encoded;
  std::vector<Hash128> hashes;
};

/// False when nothing was left.
bool read_block(DocumentReader& reader, Block& block) {
  block.documents.clear();
  size_t bytes = 0;
  Document document;
  while (block.documents.size() < kBlockDocuments && bytes < kBlockBytes && reader.next(document)) {
    // Conversations are small; what they hold is not counted.
    bytes += document.text.size() + document.ids.size() * sizeof(int32_t);
    block.documents.push_back(std::move(document));
  }
  return !block.documents.empty();
}

void encode_block(const DocumentEncoder& encoder, bool with_hashes, Block& block) {
  const size_t count = block.documents.size();
  block.encoded.assign(count, {});
  block.hashes.assign(count, {});
  parallel_for(static_cast<int64_t>(count), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto at = static_cast<size_t>(i);
      block.encoded[at] = encoder.encode(block.documents[at]);
      if (with_hashes) block.hashes[at] = hash128(content_of(block.documents[at]));
    }
  });
}

int64_t learnt_of(const EncodedDocument& document) {
  if (document.learns.empty()) return static_cast<int64_t>(document.ids.size());
  return std::count_if(document.learns.begin(), document.learns.end(),
                       [](uint8_t learns) { return learns != 0; });
}

}  // namespace

TokeniseReport tokenise(DocumentReader& reader, const DocumentEncoder& encoder, const std::string& folder,
                        const TokeniseOptions& options, Progress& progress) {
  if (!(options.validation >= 0 && options.validation < 1))
    fail(ErrorCode::kUsage, "the share for validation must be from 0 to below 1, not {}", options.validation);
  if (options.shard_tokens < 1)
    fail(ErrorCode::kUsage, "a shard must have room for a token, not {}", options.shard_tokens);
  TokenSetWriter training(folder, encoder, options.shard_tokens);
  TokenSetWriter validation(folder + "/validation", encoder, options.shard_tokens);
  TokeniseReport report;
  std::unordered_set<Hash128, Hash128Hasher> seen;
  const auto held_out = static_cast<uint64_t>(options.validation * 1e6);
  const bool with_hashes = options.drop_duplicates || held_out > 0;
  progress.start("tokenizing", 0, "documents");
  for (Block block; read_block(reader, block);) {
    throw_if_interrupted();
    encode_block(encoder, with_hashes, block);
    for (size_t i = 0; i < block.documents.size(); ++i) {
      const EncodedDocument& document = block.encoded[i];
      if (document.ids.size() < 2) {
        ++report.too_short;
      } else if (options.drop_duplicates && !seen.insert(block.hashes[i]).second) {
        ++report.duplicates;
      } else if (held_out > 0 && block.hashes[i].high % 1'000'000 < held_out) {
        validation.add(document);
        ++report.validation_documents;
        report.validation_tokens += static_cast<int64_t>(document.ids.size());
      } else {
        training.add(document);
        ++report.documents;
        report.tokens += static_cast<int64_t>(document.ids.size());
        report.learnt_tokens += learnt_of(document);
      }
    }
    progress.advance(block.documents.size());
  }
  progress.finish();
  if (report.documents == 0)
    bad_input("no document remains to train on: {} are too short, {} are held out", report.too_short,
              report.validation_documents);
  validation.finish();
  training.finish();
  return report;
}

}  // namespace martlet::data
