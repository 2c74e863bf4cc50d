#include "cli/quickstart_train.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "base/chart/terminal.h"
#include "base/error.h"
#include "base/files.h"
#include "base/human.h"
#include "cli/chat_format.h"
#include "cli/chat_loop.h"
#include "cli/first_tokenizer.h"
#include "cli/options.h"
#include "cli/score_table.h"
#include "cli/terminal.h"
#include "cli/verbs/verbs.h"
#include "data/source.h"
#include "data/tinyworld/tinyworld.h"
#include "eval/tinyworld.h"
#include "infer/generate_text.h"
#include "nn/tree.h"
#include "ops/cpu/linear_bf16.h"
#include "plan/catalogue.h"
#include "train/metrics.h"
#include "train/run_curves.h"

namespace martlet::cli {
namespace {

using Clock = std::chrono::steady_clock;

struct Request {
  std::vector<std::string> data;  // empty: tinyworld
  std::string out = "first-model";
  std::string shape = "hidden=128,layers=4,heads=4,tied=true,context=512";
  int64_t vocabulary = 2000;
  int64_t steps = 2400;
  int64_t seed = 1;
  int64_t people = 24;
  int64_t questions = 200;
  bool resume = false;

  bool in_pieces = false;  // the text was cut into pieces, in OUT/text

  bool is_tinyworld() const { return data.empty(); }
  std::string recipe() const { return out + "/recipe.toml"; }
};

// What a step reads: many small steps teach a small model more than few large ones, as long as a matrix
// product has rows enough to be worth its while.
constexpr int64_t kSequence = 128;
constexpr int64_t kSequences = 8;
// Of a short question with its reply.
constexpr int64_t kDocumentTokens = 25;

void heading(std::string_view text) {
  fmt::print("\n{}\n", styled(Style::kBold, text));
  std::fflush(stdout);
}

/// Enough documents that none comes twice.
std::string tinyworld_word(const Request& request, std::string_view split, int64_t documents) {
  return fmt::format("tinyworld:documents={},seed={},people={},split={}", documents, request.seed,
                     request.people, split);
}

std::vector<std::string> training_words(const Request& request) {
  if (request.in_pieces) return {request.out + "/text/train.jsonl"};
  if (!request.is_tinyworld()) return request.data;
  const int64_t documents = request.steps * kSequences * kSequence / kDocumentTokens + 1000;
  return {tinyworld_word(request, "train", documents)};
}

data::TinyworldOptions world_options(const Request& request, data::tinyworld::Split split) {
  data::TinyworldOptions options;
  options.seed = static_cast<uint64_t>(request.seed);
  options.people = request.people;
  options.split = split;
  options.kinds = data::tinyworld_training_kinds();
  return options;
}

/// What the quickstart itself must know when it goes on with a run.
Json own_settings(const Request& request) {
  Json own;
  if (!request.is_tinyworld()) {
    Json words{Json::Array{}};
    for (const std::string& word : request.data) words.push_back(word);
    own.set("data", std::move(words));
  }
  own.set("steps", request.steps).set("seed", request.seed).set("people", request.people);
  return own.set("questions", request.questions);
}

/// The run as a recipe that `martlet train` takes too.
Json recipe_of(const Request& request) {
  Json model, data, train;
  model.set("model", request.shape).set("tokenizer", request.out);
  Json words{Json::Array{}}, held_out{Json::Array{}};
  for (const std::string& word : training_words(request)) words.push_back(word);
  data.set("data", words).set("seq", kSequence).set("batch", kSequences).set("pack", "documents");
  if (request.is_tinyworld()) {
    held_out.push_back(tinyworld_word(request, "validation", 2000));
    data.set("eval_data", held_out);
  } else if (request.in_pieces) {
    held_out.push_back(request.out + "/text/held-out.jsonl");
    data.set("eval_data", held_out);
  } else {
    data.set("validation", 0.05);
  }
  train.set("steps", request.steps).set("optimizer", "muon").set("learning_rate", 6e-3);
  // As the processor multiplies fastest; what is learnt differs by less than between two seeds.
  train.set("dtype", ops::cpu::has_fast_bf16() ? "bf16" : "f32");
  train.set("schedule", "linear").set("final_rate", 0.0);
  train.set("warmup", std::min<int64_t>(50, request.steps / 10)).set("seed", request.seed);
  train.set("eval_every", std::max<int64_t>(1, request.steps / 12)).set("eval_batches", 16);
  train.set("metrics", request.out + "/metrics.jsonl");
  Json recipe;
  recipe.set("model", std::move(model)).set("data", std::move(data)).set("train", std::move(train));
  recipe.set("quickstart", own_settings(request));
  return recipe;
}

void tell_world(const Request& request) {
  heading("1. A small world to learn");
  const data::Tinyworld world(world_options(request, data::tinyworld::Split::kTrain));
  fmt::print(
      "{} people in {} towns, what they are and have, in English and Chinese; everything true in it "
      "is known. From its documents:\n",
      world.world().people(), world.world().towns());
  for (uint64_t index = 0; index < 4; ++index) {
    std::string line;
    for (const std::string& text : texts_of(data::document_of(world.document(index), "tinyworld")))
      line += fmt::format("{}{}", line.empty() ? "" : "  |  ", text.substr(text.find_first_not_of(' ')));
    fmt::print("  {}\n", styled(Style::kDim, line));
  }
}

/// One in so many pieces is held out.
constexpr int64_t kHeldOutPart = 20;

/// Few long documents, of which no share could be held out: cut at line ends into pieces of about `size`
/// bytes.
void cut_into_pieces(const Request& request, size_t size) {
  make_directories(request.out + "/text");
  AtomicFile train(request.out + "/text/train.jsonl"), held_out(request.out + "/text/held-out.jsonl");
  int64_t piece = 0;
  const auto put = [&](Json row) {
    (++piece % kHeldOutPart == 2 ? held_out : train).write(row.dump() + "\n");
  };
  data::ReadReport report;
  data::Corpus corpus(request.data, {}, report);
  for (data::Document document; corpus.next(document);) {
    if (document.form == data::Document::Form::kMessages) {
      put(Json().set("messages", document.messages));
      continue;
    }
    const std::string& text = document.text;
    for (size_t begin = 0; begin < text.size();) {
      const size_t latest = std::min(begin + 2 * size, text.size());
      size_t end = std::min(begin + size, text.size());
      // After the next line end or space; where none is near, after the next whole character.
      while (end < latest && text[end - 1] != '\n' && text[end - 1] != ' ') ++end;
      while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) ++end;
      if (text.size() - end < size / 4) end = text.size();
      put(Json().set("text", text.substr(begin, end - begin)));
      begin = end;
    }
  }
  train.commit();
  held_out.commit();
}

void tell_data(Request& request) {
  // Fewer documents are cut, so that some are surely held out; pieces of a text are about as long as what a
  // step reads.
  constexpr int64_t kManyDocuments = 400;
  constexpr size_t kLeastBytes = 1000, kShortestPiece = 100, kLongestPiece = 1500;
  heading("1. Your text");
  data::ReadReport report;
  data::Corpus corpus(request.data, {}, report);
  size_t bytes = 0;
  for (data::Document document; corpus.next(document);) bytes += content_of(document).size();
  if (bytes < kLeastBytes)
    bad_input("there are {} bytes of text, too few to learn from; give {} or more", bytes, kLeastBytes);
  request.in_pieces = report.documents < kManyDocuments;
  if (request.in_pieces)
    cut_into_pieces(request, std::clamp(bytes / (2 * kHeldOutPart), kShortestPiece, kLongestPiece));
  fmt::print(
      "{} of text in {} documents; one part in {} is held out, to see what was learnt and not learnt by "
      "heart\n",
      format_bytes(bytes), format_integer(report.documents), kHeldOutPart);
}

void make_tokenizer(const Request& request) {
  heading("2. A tokenizer of its own");
  std::vector<std::string> words = request.data;
  if (words.empty()) words.push_back(tinyworld_word(request, "train", 20'000));
  make_first_tokenizer(words, request.vocabulary, request.out, *make_progress());
  const text::Tokenizer tokenizer = infer::load_tokenizer(request.out);
  fmt::print("byte-level BPE, {} tokens", format_integer(tokenizer.vocabulary_size()));
  if (request.is_tinyworld()) {
    const std::string text = data::Tinyworld(world_options(request, data::tinyworld::Split::kValidation))
                                 .questions(1)
                                 .front()
                                 .text;
    std::string cut;
    for (const int32_t id : tokenizer.encode(text))
      cut += (cut.empty() ? "" : "|") + tokenizer.decode(std::vector<int32_t>{id});
    fmt::print("; it cuts a question into\n  {}", styled(Style::kDim, cut));
  }
  fmt::print("\n");
}

void train_model(const Request& request) {
  heading("3. Training");
  if (!request.resume) write_file(request.recipe(), dump_toml(recipe_of(request)));
  std::vector<std::string> words{request.recipe(), "--out", request.out};
  if (request.resume) words.emplace_back("--resume");
  try {
    run_train(words);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInterrupted) throw;
    throw Error(error.code(),
                fmt::format("{}: martlet quickstart train --resume --out {}", error.what(), request.out));
  }
}

std::vector<data::tinyworld::Question> held_out_questions(const Request& request) {
  return data::Tinyworld(world_options(request, data::tinyworld::Split::kTest)).questions(request.questions);
}

void tell_score(const Request& request, const infer::LanguageModel& model,
                const std::vector<data::tinyworld::Question>& questions) {
  heading("4. What it knows");
  const auto answers = eval::ask(model, chat_format_of(model), questions, {}, *make_progress());
  const eval::TinyworldScore score = eval::score_of(questions, answers);
  fmt::print(
      "{} questions of all nine skills, which its training asked in no wording and in no language:\n{}",
      questions.size(), score_table(score));
  write_file(request.out + "/score.json", score_row(score).dump(2) + "\n");
}

/// The curve as text; training has drawn it as a picture and a page.
void tell_curve(const Request& request) {
  const train::RunCurve run{request.out,
                            train::metrics_before(request.out + "/metrics.jsonl", request.steps)};
  const chart::Chart curve = train::loss_chart("How " + request.out + " learnt", std::span(&run, 1), {});
  fmt::print("\n{}", chart::terminal(curve, {.columns = std::min(terminal_width(), 100),
                                             .rows = 14,
                                             .colours = wants_colours()}));
}

/// A question of each skill in turn, as they come among the held-out ones: the languages alternate.
std::vector<std::string> sample_questions(const std::vector<data::tinyworld::Question>& questions) {
  std::vector<std::string> chosen;
  std::vector<std::string_view> skills;
  for (const data::tinyworld::Question& question : questions) {
    const bool english = question.language == data::tinyworld::Language::kEnglish;
    const bool seen = std::find(skills.begin(), skills.end(), question.skill) != skills.end();
    if (seen || english != (chosen.size() % 2 == 0)) continue;
    skills.push_back(question.skill);
    chosen.push_back(question.text);
    if (chosen.size() == 6) break;
  }
  return chosen;
}

void converse(const infer::LanguageModel& model, const std::vector<std::string>& questions) {
  heading("5. A conversation");
  ReplyOptions reply;
  reply.generation.max_new_tokens = 96;
  reply.generation.stop_ids = model.stop_ids();
  const text::ChatFormat format = chat_format_of(model);
  for (const std::string& question : questions) {
    ChatSession session(model, format);
    session.say(question);
    fmt::print("{}\n", styled(Style::kCyan, "> " + question));
    show_reply(session, reply);
  }
  if (!stdin_is_terminal() || !stdout_is_terminal()) return;
  fmt::print("\nNow you; it has read nothing but its small world:\n");
  ChatSession session(model, format);
  chat_loop(session, reply);
}

void continue_text(const infer::LanguageModel& model, const Request& request) {
  heading("4. How it goes on");
  data::ReadReport report;
  data::Corpus corpus(request.data, {}, report);
  data::Document document;
  corpus.next(document);
  const std::vector<std::string> texts = texts_of(document);
  if (texts.empty()) return;
  std::vector<int32_t> ids = model.tokenizer().encode(texts.front());
  ids.resize(std::min<size_t>(ids.size(), 12));
  const std::vector<std::vector<int32_t>> prompt{ids};
  infer::GenerationOptions generation;
  generation.max_new_tokens = 80;
  generation.stop_ids = model.stop_ids();
  generation.sampling.temperature = 0.7;
  generation.sampling.top_p = 0.95;
  fmt::print("{}{}\n", styled(Style::kCyan, model.tokenizer().decode(ids)),
             infer::generate_text(model, prompt, generation).front().text);
}

void tell_next(const Request& request) {
  heading("Next");
  const std::string& out = request.out;
  std::vector<std::pair<std::string, std::string>> commands;
  if (request.is_tinyworld()) {
    commands.emplace_back("./martlet chat " + out, "talk with it");
    commands.emplace_back(fmt::format("./martlet eval tinyworld {} --questions 1000 --people {} --seed {}",
                                      out, request.people, request.seed),
                          "more questions");
  } else {
    commands.emplace_back(fmt::format("./martlet run {} -p 'Once' --temp 0.8", out), "continue a text");
  }
  commands.emplace_back("./martlet inspect " + out, "what it is made of");
  commands.emplace_back("xdg-open " + out + "/curve.html", "its curve; curve.svg for a document");
  commands.emplace_back(fmt::format("./martlet train {} --out another --seed 2", request.recipe()),
                        "the same run again, changed as you like");
  size_t width = 0;
  for (const auto& [command, what] : commands) width = std::max(width, command.size());
  for (const auto& [command, what] : commands) fmt::print("  {:<{}}  {}\n", command, width, what);
}

void check(const Request& request) {
  if (request.resume) {
    if (!file_exists(request.recipe()))
      bad_input("{}: there is no run to go on with; leave out --resume", request.out);
    return;
  }
  if (name_exists(request.out))
    bad_input("{} is there already; name another folder with --out, or talk with it: martlet chat {}",
              request.out, request.out);
}

}  // namespace

int run_quickstart_train(std::span<const std::string> arguments) {
  Request request;
  Options options("quickstart train", "martlet quickstart train --data notes/ --out my-model");
  options
      .texts("--data", "F", request.data,
             "your own text instead of the small world: files, folders, JSON lines")
      .text("--out", "DIR", request.out, "where the model goes")
      .flag("--resume", request.resume, "go on with a run that was stopped")
      .count("--steps", "N", request.steps, "steps of the training", 1)
      .text("--model", "SHAPE", request.shape, "1m, 3m, 7m, or hidden=192,layers=4,..")
      .count("--vocab", "N", request.vocabulary, "tokens of the tokenizer", 300, 1 << 20)
      .count("--people", "N", request.people, "people in the small world", 1, 1000)
      .count("--questions", "N", request.questions, "held-out questions to ask at the end", 1, 100'000)
      .count("--seed", "N", request.seed, "of the world, the first values and the order", 1);
  if (!options.parse(arguments)) return 0;
  check(request);
  if (request.resume)
    options.fill_from(parse_toml_file(request.recipe()).at("quickstart"), request.recipe() + " [quickstart]");
  const Clock::time_point start = Clock::now();
  if (!request.resume) {
    if (request.is_tinyworld())
      tell_world(request);
    else
      tell_data(request);
    make_directories(request.out);
    make_tokenizer(request);
  }
  train_model(request);
  const infer::LanguageModel model = infer::LanguageModel::load(request.out, {plan::rewrites(), {}, {}});
  const nn::TreeSize size = nn::measure(model.tree());
  const std::string summary =
      fmt::format("{} parameters, a vocabulary of {}, {} steps", format_integer(size.parameters),
                  format_integer(model.tree().shape().vocabulary_size), format_integer(request.steps));
  std::vector<data::tinyworld::Question> questions;
  if (request.is_tinyworld()) {
    questions = held_out_questions(request);
    tell_score(request, model, questions);
  } else {
    continue_text(model, request);
  }
  tell_curve(request);
  fmt::print("\n{}; {} from the first word to here.\n", summary,
             format_duration(std::chrono::duration<double>(Clock::now() - start).count()));
  tell_next(request);
  if (request.is_tinyworld()) converse(model, sample_questions(questions));
  return 0;
}

}  // namespace martlet::cli
