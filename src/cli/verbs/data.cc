#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/files.h"
#include "base/human.h"
#include "base/interrupt.h"
#include "base/json.h"
#include "cli/chat_format.h"
#include "cli/options.h"
#include "cli/reading_notes.h"
#include "cli/store.h"
#include "cli/terminal.h"
#include "cli/verbs/verbs.h"
#include "data/statistics.h"
#include "data/tinyworld/tinyworld.h"
#include "data/tokenise.h"
#include "infer/language_model.h"

namespace martlet::cli {
namespace {

/// "a,b" and several such words to a, b, ...
std::vector<std::string> split_words(const std::vector<std::string>& words) {
  std::vector<std::string> parts;
  for (const std::string& word : words)
    for (size_t begin = 0; begin <= word.size();) {
      const size_t end = std::min(word.find(',', begin), word.size());
      if (end > begin) parts.push_back(word.substr(begin, end - begin));
      begin = end + 1;
    }
  return parts;
}

std::string question_lines(const data::Tinyworld& world, int64_t count) {
  std::string text;
  for (const data::tinyworld::Question& question : world.questions(count)) {
    Json accepted{Json::Array{}};
    for (const std::string& sentence : question.accepted) accepted.push_back(sentence);
    Json row;
    row.set("skill", question.skill).set("language", data::tinyworld::code_of(question.language));
    row.set("question", question.text).set("reply", question.reply()).set("answer", question.answer);
    row.set("short_answer", question.short_answer).set("accepted", std::move(accepted));
    text += row.dump() + "\n";
  }
  return text;
}

int run_tinyworld(std::span<const std::string> arguments) {
  data::TinyworldOptions world_options;
  int64_t documents = 1000, seed = 1, world_seed = 0, questions = 0;
  std::string split = "train", output = "-";
  std::vector<std::string> kinds, languages;
  Options options("data tinyworld", "martlet data tinyworld --documents 20k --seed 1 -o train.jsonl");
  options.count("--documents", "N", documents, "how many to make")
      .count("--seed", "N", seed, "of the documents; document i depends on the seed and i alone", 1)
      .count("--world-seed", "N", world_seed, "of the world, where it is another than that of the documents")
      .choice("--split", split, {"train", "validation", "test"}, "splits share no question")
      .texts("--kinds", "KIND[=W],..", kinds, "which kinds, and their weights; all unless named")
      .texts("--languages", "en,zh", languages, "which languages; both unless named")
      .count("--people", "N", world_options.people, "people in the world, in families of eight", 1,
             data::tinyworld::World::kMaximumPeople)
      .count("--long-sentences", "N", world_options.long_sentences, "length of a long document", 1, 100'000)
      .count("--questions", "N", questions,
             "instead of documents, N questions with their answers, for a test")
      .text("-o,--output", "FILE|DIR", output,
            "where to write; a folder gets SPLIT.jsonl, - is standard output");
  if (!options.parse(arguments)) return 0;
  world_options.seed = static_cast<uint64_t>(seed);
  world_options.world_seed = static_cast<uint64_t>(world_seed);
  world_options.split = data::tinyworld::split_of_name(split);
  world_options.kinds = data::tinyworld_kinds_of(split_words(kinds));
  if (!languages.empty()) world_options.languages = split_words(languages);
  const data::Tinyworld world(world_options);
  if (output != "-" && (output.ends_with('/') || is_directory(output))) {
    make_directories(output);
    output += "/" + split + ".jsonl";
  }
  std::optional<AtomicFile> file;
  if (output != "-") file.emplace(output);
  const auto put = [&](const std::string& lines) {
    if (file)
      file->write(lines);
    else
      fmt::print("{}", lines);
  };
  // Some megabytes at a time.
  constexpr int64_t kBlock = 10'000;
  const auto progress = make_progress();
  if (questions > 0) {
    put(question_lines(world, questions));
  } else {
    progress->start("making documents", static_cast<uint64_t>(documents), "documents");
    for (int64_t first = 0; first < documents; first += kBlock) {
      throw_if_interrupted();
      const auto count = static_cast<uint64_t>(std::min(kBlock, documents - first));
      put(world.lines(static_cast<uint64_t>(first), count));
      progress->advance(count);
    }
    progress->finish();
  }
  if (file) file->commit();
  return 0;
}

/// What several actions read: where the data is, and how it becomes tokens.
struct CorpusFlags {
  std::vector<std::string> data;
  std::string tokenizer;
  std::string invalid_utf8 = "replace";
  bool all_tokens = false;
  int64_t vocabulary = 0;

  void declare(Options& options) {
    options.text("--tokenizer", "MODEL", tokenizer, "whose tokenizer and chat template to use")
        .choice("--invalid-utf8", invalid_utf8, {"replace", "refuse"},
                "what to do with text that is not UTF-8")
        .flag("--all-tokens", all_tokens, "learn all of a conversation, not what the assistant says alone")
        .count("--vocabulary", "N", vocabulary, "for rows of ids without a tokenizer: refuse ids from N on");
  }

  data::ReadOptions reading() const {
    data::ReadOptions reading;
    if (invalid_utf8 == "refuse") reading.invalid_utf8 = data::ReadOptions::InvalidUtf8::kRefuse;
    return reading;
  }

  data::DocumentEncoder encoder() const {
    const data::EncodeRules rules{.assistant_only = !all_tokens, .vocabulary = vocabulary};
    if (tokenizer.empty()) return data::DocumentEncoder(rules);
    const std::string path = resolve_model(tokenizer);
    return data::DocumentEncoder(infer::load_tokenizer(path), load_chat_format(path), rules);
  }
};

void tell_reading(const data::ReadReport& report) {
  for (const std::string& note : reading_notes(report)) fmt::print("{}\n", note);
}

int run_tokens(std::span<const std::string> arguments) {
  CorpusFlags corpus_flags;
  data::TokeniseOptions tokenise_options;
  std::string output;
  bool json = false;
  Options options("data tokens", "martlet data tokens --tokenizer smollm2 --data corpus.jsonl.zst -o tokens");
  options
      .texts("--data", "F", corpus_flags.data,
             "files, folders, patterns, or tinyworld:documents=20k; repeat it")
      .text("-o,--output", "DIR", output, "the folder of the shards")
      .real("--validation", "X", tokenise_options.validation, "share of the documents for DIR/validation", 0,
            0.999)
      .flag("--deduplicate", tokenise_options.drop_duplicates, "keep the first of equal documents")
      .count("--shard-tokens", "N", tokenise_options.shard_tokens, "tokens in a shard", 1)
      .flag("--json", json, "the counts as one JSON line");
  corpus_flags.declare(options);
  if (!options.parse(arguments)) return 0;
  if (output.empty() || corpus_flags.data.empty())
    fail(ErrorCode::kUsage, "data tokens needs --data FILE and -o DIR");
  data::ReadReport read;
  data::Corpus corpus(corpus_flags.data, corpus_flags.reading(), read);
  const auto progress = make_progress();
  const data::TokeniseReport report =
      data::tokenise(corpus, corpus_flags.encoder(), output, tokenise_options, *progress);
  if (json) {
    Json row;
    row.set("documents", report.documents)
        .set("tokens", report.tokens)
        .set("learnt_tokens", report.learnt_tokens);
    row.set("validation_documents", report.validation_documents)
        .set("validation_tokens", report.validation_tokens);
    row.set("duplicates", report.duplicates).set("too_short", report.too_short);
    row.set("invalid_parts", read.invalid_parts)
        .set("skipped_files", static_cast<int64_t>(read.skipped.size()));
    fmt::print("{}\n", row.dump());
    return 0;
  }
  fmt::print("{} documents, {} tokens, {} of them to be learnt, in {}\n", format_integer(report.documents),
             format_integer(report.tokens), format_integer(report.learnt_tokens), output);
  if (report.validation_documents > 0)
    fmt::print("{} documents, {} tokens for validation, in {}/validation\n",
               format_integer(report.validation_documents), format_integer(report.validation_tokens), output);
  if (report.duplicates > 0) fmt::print("{} duplicates were left out.\n", format_integer(report.duplicates));
  if (report.too_short > 0)
    fmt::print("{} documents of less than two tokens were left out.\n", format_integer(report.too_short));
  tell_reading(read);
  return 0;
}

Json table_of(const std::map<std::string, int64_t>& counts) {
  Json table{Json::Object{}};
  for (const auto& [name, count] : counts) table.set(name, count);
  return table;
}

void print_statistics(const data::CorpusStatistics& statistics, bool with_tokens) {
  fmt::print("documents   {}\nbytes       {}\n", format_integer(statistics.documents),
             format_integer(statistics.bytes));
  if (with_tokens)
    fmt::print(
        "tokens      {} ({:.2f} bytes each)\n", format_integer(statistics.tokens),
        static_cast<double>(statistics.bytes) / static_cast<double>(std::max<int64_t>(1, statistics.tokens)));
  fmt::print("duplicates  {}\n", format_integer(statistics.duplicates));
  for (const auto& [form, count] : statistics.forms) fmt::print("{:<11} {}\n", form, format_integer(count));
  for (const auto& [script, count] : statistics.languages)
    fmt::print("{:<11} {}\n", script, format_integer(count));
  fmt::print("documents by {}:\n", with_tokens ? "tokens" : "bytes");
  const int64_t most = *std::max_element(statistics.lengths.begin(), statistics.lengths.end());
  for (size_t k = 0; k < statistics.lengths.size(); ++k) {
    const int64_t count = statistics.lengths[k];
    if (count == 0) continue;
    const auto width = static_cast<size_t>(40 * count / most);
    fmt::print("{:>12} {:<40} {}\n", format_integer(int64_t{1} << k), std::string(width, '#'),
               format_integer(count));
  }
}

int run_stats(std::span<const std::string> arguments) {
  CorpusFlags corpus_flags;
  bool json = false;
  Options options("data stats", "martlet data stats corpus.jsonl --tokenizer smollm2");
  options.positionals("F", corpus_flags.data, "files, folders, patterns, or tinyworld:documents=20k");
  corpus_flags.declare(options);
  options.flag("--json", json, "one JSON line");
  if (!options.parse(arguments)) return 0;
  data::ReadReport read;
  data::Corpus corpus(corpus_flags.data, corpus_flags.reading(), read);
  const bool with_tokens = !corpus_flags.tokenizer.empty();
  std::optional<data::DocumentEncoder> encoder;
  if (with_tokens) encoder = corpus_flags.encoder();
  const data::CorpusStatistics statistics = data::statistics_of(corpus, encoder ? &*encoder : nullptr);
  if (!json) {
    print_statistics(statistics, with_tokens);
    tell_reading(read);
    return 0;
  }
  Json lengths{Json::Object{}};
  for (size_t k = 0; k < statistics.lengths.size(); ++k)
    if (statistics.lengths[k] > 0) lengths.set(std::to_string(int64_t{1} << k), statistics.lengths[k]);
  Json row;
  row.set("files", read.files).set("documents", statistics.documents).set("bytes", statistics.bytes);
  row.set("tokens", with_tokens ? Json(statistics.tokens) : Json()).set("duplicates", statistics.duplicates);
  row.set("longest_bytes", statistics.longest).set("forms", table_of(statistics.forms));
  row.set("languages", table_of(statistics.languages)).set("lengths", std::move(lengths));
  row.set("invalid_parts", read.invalid_parts)
      .set("skipped_files", static_cast<int64_t>(read.skipped.size()));
  fmt::print("{}\n", row.dump());
  return 0;
}

}  // namespace

int run_data(std::span<const std::string> arguments) {
  std::string action;
  if (!arguments.empty()) action = arguments.front();
  if (action == "tinyworld") return run_tinyworld(arguments.subspan(1));
  if (action == "tokens") return run_tokens(arguments.subspan(1));
  if (action == "stats") return run_stats(arguments.subspan(1));
  Options options("data", "martlet data tinyworld --documents 20k -o train.jsonl");
  options.positional("ACTION", action,
                     "tinyworld, tokens or stats; `martlet data ACTION --help` tells more of each");
  if (!options.parse(arguments)) return 0;
  fail(ErrorCode::kUsage, "data knows tinyworld, tokens and stats, not '{}'", action);
}

}  // namespace martlet::cli
