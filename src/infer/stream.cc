// What it changes: wraps blocks; those that do not fit in memory get their weights from disk whenever they
// run, while the one before computes. When it pays: a model that is larger than memory. Cost: every forward
// reads what is not held, so that a token takes at least those bytes over the bandwidth of the disk; a batch
// or a prompt reads them once for all its tokens. The bits stay the same.
//
// Layers that come and go from slower memory while others run: Sheng et al., "FlexGen: High-Throughput
// Generative Inference of Large Language Models with a Single GPU", 2023.
#include "infer/stream.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "base/error.h"
#include "base/human.h"
#include "base/mapped_parts.h"

namespace martlet::infer {
namespace {

constexpr std::string_view kBlocks = "layers.*";
// Smaller ones stay where they are: a page of the disk is 4 KiB.
constexpr int64_t kLeastBytes = int64_t{16} << 10;

class StreamedBlock final : public nn::Block {
 public:
  StreamedBlock(std::shared_ptr<nn::Block> block, std::shared_ptr<WeightStream> stream, size_t number)
      : inner(*this, std::string(nn::kWrapped), std::move(block)),
        stream_(std::move(stream)),
        number_(number) {}
  std::string_view kind() const override { return "StreamedBlock"; }
  Tensor forward(Tensor x, const nn::Batch& batch) override {
    // A backward would find other weights where these were.
    if (x.node() != nullptr) failed("a model whose weights are streamed runs, and is not trained");
    const WeightStream::Use use(*stream_, number_);
    return inner->forward(std::move(x), batch);
  }
  Tensor forward_last(Tensor x, const nn::Batch& batch) override {
    const WeightStream::Use use(*stream_, number_);
    return inner->forward_last(std::move(x), batch);
  }
  WeightStream* stream() const { return stream_.get(); }

  nn::Child<nn::Block> inner;

 private:
  std::shared_ptr<WeightStream> stream_;
  size_t number_;
};

bool may_stream(const nn::Parameter& parameter) {
  return parameter.shape().rank() == 2 && parameter.defined() && !parameter.requires_gradient() &&
         parameter.byte_count() >= kLeastBytes;
}

/// Finds the files that weights are mapped from, each opened once.
class Files {
 public:
  /// Nothing for a weight that lies in memory.
  std::optional<StoredWeight> find(nn::Parameter& parameter) {
    const Tensor& storage = parameter.weight().storage();
    if (storage.device() != Device::kCpu) return std::nullopt;
    const auto part = mapped_.find({storage.host_bytes(), static_cast<size_t>(storage.byte_count())});
    if (!part) return std::nullopt;
    std::shared_ptr<const FileReader>& file = files_[part->path];
    if (file == nullptr) file = std::make_shared<FileReader>(part->path, FileReader::Way::kPastCache);
    if (file->inode() != part->inode) return std::nullopt;
    return StoredWeight{&parameter, file, part->offset};
  }

  bool is_mapped(const nn::Parameter& parameter) const {
    const Tensor& value = parameter.tensor();
    return value.device() == Device::kCpu &&
           mapped_.find({value.host_bytes(), static_cast<size_t>(value.byte_count())}).has_value();
  }

 private:
  MappedParts mapped_;
  std::map<std::string, std::shared_ptr<const FileReader>> files_;
};

/// Of the block at `path`, those that no block before has.
std::vector<StoredWeight> stored_weights(const std::string& path, const nn::Module& block, Files& files,
                                         std::vector<const void*>& seen, const nn::RewriteContext& context) {
  std::vector<StoredWeight> weights;
  nn::walk_parameters(block, [&](const std::string& name, nn::Parameter& parameter) {
    if (!may_stream(parameter)) return;
    if (std::find(seen.begin(), seen.end(), parameter.identity()) != seen.end()) return;
    seen.push_back(parameter.identity());
    std::optional<StoredWeight> stored = files.find(parameter);
    if (!stored) return;
    const std::string at = path + "." + name;
    if (context.checksum) stored->checksum = context.checksum(at);
    if (stored->checksum && context.remake)
      stored->remake = [remake = context.remake, at](const Tensor& bytes) { remake(at, bytes); };
    weights.push_back(std::move(*stored));
  });
  return weights;
}

/// Paths in the order in which blocks run.
std::vector<std::string> block_paths(const nn::TreeEditor& tree, std::string_view pattern) {
  std::vector<std::string> paths = tree.find(pattern, nn::Block::kRole);
  std::reverse(paths.begin(), paths.end());
  return paths;
}

/// Reads a block to memory of its own, where it stays.
void hold(StoredBlock& block) {
  if (block.byte_count() == 0) return;
  const OwnerScope owner(Owner::kWeights);
  const Tensor place = Tensor::empty({std::max<int64_t>(block.byte_count(), int64_t{1} << 20)}, DType::kU8);
  block.read(place);
  block.use(place);
}

/// Copies what is small to memory of its own: a vector between two matrices of a file brings a large page of
/// their bytes along.
void hold_small(const nn::Module& block, const Files& files) {
  const OwnerScope owner(Owner::kWeights);
  nn::walk_parameters(block, [&](const std::string&, nn::Parameter& parameter) {
    if (parameter.shape().rank() == 2 || !parameter.defined() || !files.is_mapped(parameter)) return;
    const Tensor copy = Tensor::empty(parameter.shape(), parameter.tensor().dtype());
    copy.copy_elements(parameter.tensor());
    parameter.set(copy);
  });
}

void apply(nn::TreeEditor& tree, const nn::Arguments& arguments, const nn::RewriteContext& context) {
  const std::vector<std::string> paths = block_paths(tree, arguments.text("pattern"));
  nn::walk_parameters(*tree.root(), [](const std::string& path, const nn::Parameter& parameter) {
    if (parameter.requires_gradient())
      bad_input("{} is trained; streaming is for models that only run", path);
  });
  Files files;
  std::vector<const void*> seen;
  std::vector<StoredBlock> blocks;
  std::vector<int64_t> bytes;
  for (const std::string& path : paths) {
    blocks.emplace_back(stored_weights(path, *tree.outermost(path), files, seen, context));
    bytes.push_back(blocks.back().byte_count());
  }
  const int64_t resident = arguments.integer("resident"), places = arguments.integer("places");
  const Residency residency = choose_residency(bytes, resident, places);
  if (!residency.fits)
    fail(ErrorCode::kExhausted, "{} of memory for blocks are less than the {} places of the largest take: {}",
         format_bytes(static_cast<uint64_t>(resident)), places,
         format_bytes(static_cast<uint64_t>(residency.place_bytes)));
  std::vector<StoredBlock> streamed;
  std::vector<std::string> streamed_paths;
  for (size_t i = 0; i < paths.size(); ++i) {
    if (!residency.streams[i]) {
      hold(blocks[i]);
      continue;
    }
    streamed.push_back(std::move(blocks[i]));
    streamed_paths.push_back(paths[i]);
  }
  if (streamed.empty()) return;
  for (const std::string& path : paths) hold_small(*tree.outermost(path), files);
  const auto stream = std::make_shared<WeightStream>(std::move(streamed), places);
  for (size_t i = 0; i < streamed_paths.size(); ++i) {
    auto block = std::dynamic_pointer_cast<nn::Block>(tree.outermost(streamed_paths[i]));
    tree.wrap(streamed_paths[i], std::make_shared<StreamedBlock>(std::move(block), stream, i));
  }
}

std::optional<nn::Effect> no_effect(const nn::ModulePtr&, const nn::Arguments&) {
  return nn::Effect{};
}

Json report(const nn::ModulePtr& root) {
  const WeightStream* stream = stream_of(root);
  if (stream == nullptr) return {};
  const WeightStream::Traffic traffic = stream->traffic();
  Json row;
  row.set("blocks", static_cast<int64_t>(stream->block_count())).set("bytes_a_pass", stream->bytes_a_pass());
  row.set("bytes_read", traffic.bytes).set("reading_s", traffic.reading_seconds);
  row.set("waiting_s", traffic.waiting_seconds);
  Json rows{Json::Array{}};
  rows.push_back(std::move(row));
  return rows;
}

constexpr nn::ArgumentDeclaration kArguments[] = {
    {"pattern", nn::ArgumentType::kPattern, "blocks, in the order in which they run", kBlocks},
    {"resident", nn::ArgumentType::kInteger, "bytes of memory that their weights may take", "0", 0, 1e18},
    {"places", nn::ArgumentType::kInteger, "blocks that have a place to be read to", "2", 2, 64},
};

}  // namespace

const nn::Rewrite kStream{
    .name = "stream",
    .summary = "blocks that do not fit in memory get their weights from disk whenever they run",
    .pays =
        "when a model is larger than memory, and --memory brings it along; a token takes at least the bytes "
        "that are not held over the bandwidth of the disk",
    .source =
        "Sheng et al., \"FlexGen: High-Throughput Generative Inference of Large Language Models with a "
        "Single GPU\", 2023",
    .role = nn::Block::kRole,
    .exactness = nn::Exactness::kExact,
    .arguments = kArguments,
    .on_disk = {},
    .passing = true,
    .apply = apply,
    .effect = no_effect,
    .report = report,
};

Residency choose_residency(std::span<const int64_t> bytes, int64_t resident, int64_t places) {
  const auto count = static_cast<int64_t>(bytes.size());
  const int64_t total = std::accumulate(bytes.begin(), bytes.end(), int64_t{0});
  Residency residency;
  for (int64_t streamed = 0; streamed <= count; ++streamed) {
    residency = {std::vector<bool>(bytes.size(), false), total};
    for (int64_t i = 0; i < streamed; ++i) {
      const auto block = static_cast<size_t>(i * count / streamed);
      residency.streams[block] = true;
      residency.held_bytes -= bytes[block];
      residency.streamed_bytes += bytes[block];
      residency.place_bytes = std::max(residency.place_bytes, places * bytes[block]);
    }
    residency.fits = residency.held_bytes + residency.place_bytes <= resident;
    if (residency.fits) break;
  }
  return residency;
}

std::vector<int64_t> streamable_bytes(const nn::ModulePtr& root, std::string_view pattern) {
  const nn::TreeEditor tree(root);
  Files files;
  std::vector<const void*> seen;
  std::vector<int64_t> bytes;
  for (const std::string& path : block_paths(tree, pattern))
    bytes.push_back(StoredBlock(stored_weights(path, *tree.outermost(path), files, seen, {})).byte_count());
  return bytes;
}

WeightStream* stream_of(const nn::ModulePtr& root) {
  WeightStream* stream = nullptr;
  nn::walk(root, [&](const std::string&, const nn::ModulePtr& module) {
    if (const auto* block = dynamic_cast<const StreamedBlock*>(module.get())) stream = block->stream();
  });
  return stream;
}

}  // namespace martlet::infer
