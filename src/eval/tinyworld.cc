#include "eval/tinyworld.h"

#include "base/error.h"
#include "base/interrupt.h"
#include "infer/generate_text.h"

namespace martlet::eval {

using data::tinyworld::Question;

namespace {

std::vector<int32_t> prompt_of(const infer::LanguageModel& model, const text::ChatFormat& format,
                               const Question& question) {
  Json message;
  message.set("role", "user").set("content", question.text);
  text::RenderOptions options;
  options.bos_token = format.bos_token;
  options.eos_token = format.eos_token;
  options.add_generation_prompt = true;
  const std::string prompt = format.choose(false).render(Json(Json::Array{message}), options);
  // The template has written the special tokens already.
  return model.tokenizer().encode(prompt, {.add_special_tokens = false});
}

void count(std::vector<Score>& scores, std::string_view name, bool right) {
  for (Score& score : scores)
    if (score.name == name) {
      ++score.total;
      score.right += right ? 1 : 0;
    }
}

std::vector<Score> those_asked(std::vector<Score> scores) {
  std::erase_if(scores, [](const Score& score) { return score.total == 0; });
  return scores;
}

}  // namespace

std::vector<Answered> ask(const infer::LanguageModel& model, const text::ChatFormat& format,
                          std::span<const Question> questions, const AskOptions& options,
                          Progress& progress) {
  std::vector<std::vector<int32_t>> prompts;
  for (const Question& question : questions) prompts.push_back(prompt_of(model, format, question));
  infer::GenerationOptions generation;
  generation.max_new_tokens = options.max_new_tokens;
  generation.stop_ids = model.stop_ids();
  generation.batch = options.batch;
  progress.start("Asking", questions.size(), "questions");
  std::vector<Answered> answers;
  const auto width = static_cast<size_t>(options.batch);
  for (size_t first = 0; first < prompts.size(); first += width) {
    throw_if_interrupted();
    const size_t size = std::min(width, prompts.size() - first);
    generation.first_sequence = first;
    for (infer::Reply& reply :
         infer::generate_text(model, std::span(prompts).subspan(first, size), generation)) {
      const bool right = is_right(questions[answers.size()], reply.text);
      answers.push_back({std::move(reply.text), right});
    }
    progress.advance(answers.size());
  }
  progress.finish();
  return answers;
}

TinyworldScore score_of(std::span<const Question> questions, std::span<const Answered> answers) {
  if (questions.size() != answers.size())
    failed("{} questions have {} answers", questions.size(), answers.size());
  TinyworldScore score;
  score.all.name = "all";
  for (const data::tinyworld::Skill& skill : data::tinyworld::skills())
    score.skills.push_back({std::string(skill.name)});
  for (const data::tinyworld::Language language : data::tinyworld::kLanguages)
    score.languages.push_back({std::string(code_of(language))});
  for (size_t i = 0; i < questions.size(); ++i) {
    ++score.all.total;
    score.all.right += answers[i].right ? 1 : 0;
    count(score.skills, questions[i].skill, answers[i].right);
    count(score.languages, code_of(questions[i].language), answers[i].right);
  }
  score.skills = those_asked(std::move(score.skills));
  score.languages = those_asked(std::move(score.languages));
  return score;
}

}  // namespace martlet::eval
