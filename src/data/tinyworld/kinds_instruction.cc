// Small tasks with one right result, and calls of tools whose results the answer must use.

#include <algorithm>
#include <array>

#include "data/tinyworld/kinds.h"

namespace martlet::data::tinyworld {
namespace {

struct Task {
  std::string key;
  std::string request;
  std::string result;
};

/// Words of one list, all different, in the order drawn.
std::vector<std::string> draw_words(Draws& draws, std::span<const Word> list, int64_t count,
                                    Language language, std::string& key) {
  std::vector<size_t> order(list.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  draws.shuffle(order);
  std::vector<std::string> words;
  for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
    words.emplace_back(list[order[i]].in(language));
    key += fmt::format("/{}", list[order[i]].english);
  }
  return words;
}

std::string listed(std::span<const std::string> words, Language language) {
  std::string text;
  for (const std::string& word : words)
    text += fmt::format("{}{}", text.empty() ? "" : language == Language::kEnglish ? ", " : "、", word);
  return text;
}

std::string between(int64_t first, int64_t last) {
  std::string text;
  const int64_t step = first <= last ? 1 : -1;
  for (int64_t number = first;; number += step) {
    text += fmt::format("{}{}", text.empty() ? "" : ", ", number);
    if (number == last) return text;
  }
}

std::span<const Word> draw_list(Draws& draws) {
  const std::array<std::span<const Word>, 4> lists{colours(), foods(), animals(), rooms()};
  return draws.pick(lists);
}

Task translate(Draws& draws, Language language) {
  const Word& word = draws.pick(draw_list(draws));
  const Language other = language == Language::kEnglish ? Language::kChinese : Language::kEnglish;
  return {fmt::format("translate/{}", word.english),
          fill(language == Language::kEnglish ? "How do you say \"{0}\" in Chinese?" : "“{0}”用英语怎么说？",
               {std::string(word.in(language))}),
          std::string(word.in(other))};
}

Task count(Draws& draws, Language language) {
  const int64_t first = draws.within(1, 15);
  const int64_t last =
      draws.one_in(3) ? std::max<int64_t>(1, first - draws.within(2, 6)) : first + draws.within(2, 6);
  return {fmt::format("count/{}/{}", first, last),
          fill(language == Language::kEnglish ? "Count from {0} to {1}." : "从{0}数到{1}。",
               {std::to_string(first), std::to_string(last)}),
          between(first, last)};
}

Task repeat(Draws& draws, Language language) {
  std::string key = "repeat";
  const std::string word = draw_words(draws, draw_list(draws), 1, language, key).front();
  const int64_t times = draws.within(2, 4);
  key += fmt::format("/{}", times);
  const std::vector<std::string> words(static_cast<size_t>(times), word);
  return {key,
          fill(language == Language::kEnglish ? "Say \"{0}\" {1} times." : "把“{0}”说{1}遍。",
               {word, std::to_string(times)}),
          listed(words, language)};
}

Task reverse(Draws& draws, Language language) {
  std::string key = "reverse";
  std::vector<std::string> words = draw_words(draws, draw_list(draws), draws.within(3, 4), language, key);
  const std::string request =
      fill(language == Language::kEnglish ? "Reverse this list: {0}." : "把这些词倒过来：{0}。",
           {listed(words, language)});
  std::reverse(words.begin(), words.end());
  return {key, request, listed(words, language)};
}

Task sort_numbers(Draws& draws, Language language) {
  std::array<int64_t, 20> numbers;
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<int64_t>(i) + 1;
  draws.shuffle(numbers);
  const std::span<int64_t> chosen = std::span(numbers).first(static_cast<size_t>(draws.within(3, 4)));
  const auto text = [&] {
    std::vector<std::string> words;
    for (const int64_t number : chosen) words.push_back(std::to_string(number));
    return listed(words, language);
  };
  const std::string given = text();
  std::sort(chosen.begin(), chosen.end());
  return {"sort/" + given,
          fill(language == Language::kEnglish ? "Sort these numbers: {0}." : "把这些数从小到大排列：{0}。",
               {given}),
          text()};
}

Task member_of_list(Draws& draws, Language language) {
  std::string key = "member";
  const std::vector<std::string> words =
      draw_words(draws, draw_list(draws), draws.within(3, 5), language, key);
  const bool first = draws.one_in(2);
  key += first ? "/first" : "/last";
  const bool english = language == Language::kEnglish;
  return {key,
          fill(english ? "Which word comes {1} in this list: {0}?" : "这些词里{1}是哪个：{0}？",
               {listed(words, language), english ? first ? "first" : "last"
                                         : first ? "第一个"
                                                 : "最后一个"}),
          first ? words.front() : words.back()};
}

constexpr std::array kTasks{&translate, &count, &repeat, &reverse, &sort_numbers, &member_of_list};

Json tool(std::string_view name, std::string_view description, std::span<const std::string_view> parameters) {
  Json properties{Json::Object{}}, required{Json::Array{}};
  for (const std::string_view parameter : parameters) {
    properties.set(parameter, Json::Object{{"type", "string"}});
    required.push_back(parameter);
  }
  Json schema{Json::Object{{"type", "object"}}};
  schema.set("properties", std::move(properties));
  schema.set("required", std::move(required));
  Json function{Json::Object{{"name", name}, {"description", description}}};
  function.set("parameters", std::move(schema));
  return Json::Object{{"type", "function"}, {"function", std::move(function)}};
}

struct ToolUse {
  std::string key;
  std::string request;
  std::string_view tool;
  Json arguments;
  Json result;
  std::string answer;
};

constexpr Word kWeather[] = {
    {"sunny", "晴天"}, {"rainy", "雨天"}, {"cloudy", "阴天"}, {"windy", "大风"}, {"snowy", "雪天"}};

ToolUse use_weather(const World& world, Draws& draws, Language language) {
  const int64_t town = draws.below(world.towns());
  const Word& weather = draws.pick(kWeather);
  const int64_t degrees = draws.within(-5, 30);
  const bool english = language == Language::kEnglish;
  const std::string where = world.name(Category::kTown, town, language);
  Json arguments, result;
  arguments.set("town", where);
  result.set("weather", weather.in(language)).set("degrees", degrees);
  return {fmt::format("weather/{}/{}/{}", town, weather.english, degrees),
          fill(english ? "What is the weather in {0} today?" : "今天{0}的天气怎么样？", {where}),
          "get_weather",
          std::move(arguments),
          std::move(result),
          fill(english ? "Today it is {1} in {0}, with {2} degrees." : "今天{0}是{1}，{2}度。",
               {where, std::string(weather.in(language)), std::to_string(degrees)})};
}

ToolUse use_stock(const World& world, Draws& draws, Language language) {
  const int64_t town = draws.below(world.towns());
  const int64_t thing_number = draws.below(world.count(Category::kThing));
  const Thing& thing = things()[static_cast<size_t>(thing_number)];
  const int64_t left = draws.within(2, 60);
  const bool english = language == Language::kEnglish;
  const std::string where = world.name(Category::kTown, town, language);
  Json arguments, result;
  arguments.set("thing", thing.name.in(language)).set("town", where);
  result.set("count", left);
  return {
      fmt::format("stock/{}/{}/{}", town, thing_number, left),
      fill(english ? "How many {1} does the shop in {0} have today?" : "{0}的商店今天有几{2}{1}？",
           {where, std::string(english ? thing.plural : thing.name.chinese), std::string(thing.classifier)}),
      "count_stock",
      std::move(arguments),
      std::move(result),
      fill(english ? "The shop in {0} has {1} today." : "{0}的商店今天有{1}。",
           {where, counted(left, thing, language)})};
}

ToolUse use_calculator(const World&, Draws& draws, Language language) {
  const int64_t a = draws.within(100, 999), b = draws.within(100, 999);
  const bool adds = draws.one_in(2);
  const std::string expression = fmt::format("{} {} {}", a, adds ? '+' : '*', b);
  const int64_t value = adds ? a + b : a * b;
  Json arguments, result;
  arguments.set("expression", expression);
  result.set("value", value);
  return {"calculate/" + expression,
          fill(language == Language::kEnglish ? "What is {0}?" : "{0} 等于多少？", {expression}),
          "calculate",
          std::move(arguments),
          std::move(result),
          fmt::format("{} = {}{}", expression, value, language == Language::kEnglish ? "." : "。")};
}

constexpr std::array kToolUses{&use_weather, &use_stock, &use_calculator};

Json offered_tools(Draws& draws, std::string_view needed, Language language) {
  const bool english = language == Language::kEnglish;
  constexpr std::string_view kTown[] = {"town"};
  constexpr std::string_view kStock[] = {"thing", "town"};
  constexpr std::string_view kExpression[] = {"expression"};
  std::array<Json, 3> all{
      tool("get_weather", english ? "The weather in a town today." : "今天一个地方的天气。", kTown),
      tool("count_stock",
           english ? "How many of a thing the shop in a town has." : "一个地方的商店有几个东西。", kStock),
      tool("calculate", english ? "The value of an expression." : "一个算式的值。", kExpression)};
  draws.shuffle(all);
  Json offered{Json::Array{}};
  for (Json& each : all)
    if (each.at("function").at("name").string() == needed || !draws.one_in(3))
      offered.push_back(std::move(each));
  return offered;
}

}  // namespace

void make_instruction(const Setting& setting, Draws& draws, Language language, Json& row) {
  const auto& make = draws.pick(kTasks);
  Task task;
  text_in_split(setting.split, [&] {
    task = make(draws, language);
    return task.key;
  });
  row.set("messages", Json::Array{message("user", task.request), message("assistant", task.result)});
}

void make_tool_call(const Setting& setting, Draws& draws, Language language, Json& row) {
  const auto& make = draws.pick(kToolUses);
  ToolUse use;
  text_in_split(setting.split, [&] {
    use = make(setting.world, draws, language);
    return use.key;
  });
  row.set("tools", offered_tools(draws, use.tool, language));
  Json call{Json::Object{{"type", "function"}}};
  call.set("function", Json::Object{{"name", use.tool}, {"arguments", use.arguments}});
  Json calling = message("assistant", "");
  calling.set("tool_calls", Json::Array{std::move(call)});
  Json result = message("tool", use.result.dump());
  result.set("name", use.tool);
  row.set("messages", Json::Array{message("user", use.request), std::move(calling), std::move(result),
                                  message("assistant", use.answer)});
}

}  // namespace martlet::data::tinyworld
