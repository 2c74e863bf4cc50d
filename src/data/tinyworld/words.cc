#include "data/tinyworld/words.h"

#include <initializer_list>

#include "base/error.h"

namespace martlet::data::tinyworld {
namespace {

constexpr Word kMen[] = {
    {"Tom", "汤姆"},    {"Adam", "亚当"},     {"Peter", "彼得"},    {"Paul", "保罗"},
    {"John", "约翰"},   {"Mark", "马克"},     {"Leo", "里奥"},      {"Max", "麦克斯"},
    {"Ben", "本"},      {"Oscar", "奥斯卡"},  {"Hugo", "雨果"},     {"Felix", "费利克斯"},
    {"Simon", "西蒙"},  {"David", "大卫"},    {"Jack", "杰克"},     {"Henry", "亨利"},
    {"Karl", "卡尔"},   {"Frank", "弗兰克"},  {"George", "乔治"},   {"Victor", "维克多"},
    {"Martin", "马丁"}, {"Robert", "罗伯特"}, {"Philip", "菲利普"}, {"Daniel", "丹尼尔"},
};
constexpr Word kWomen[] = {
    {"Anna", "安娜"},    {"Emma", "艾玛"},    {"Lucy", "露西"},     {"Mary", "玛丽"},    {"Nora", "诺拉"},
    {"Clara", "克拉拉"}, {"Rosa", "罗莎"},    {"Julia", "朱莉娅"},  {"Helen", "海伦"},   {"Alice", "爱丽丝"},
    {"Diana", "戴安娜"}, {"Sophie", "索菲"},  {"Lily", "莉莉"},     {"Grace", "格蕾丝"}, {"Eva", "伊娃"},
    {"Ida", "艾达"},     {"Vera", "薇拉"},    {"Monica", "莫妮卡"}, {"Susan", "苏珊"},   {"Linda", "琳达"},
    {"Betty", "贝蒂"},   {"Carol", "卡罗尔"}, {"Fiona", "菲奥娜"},  {"Olga", "奥尔加"},
};
constexpr Word kTownBeginnings[] = {
    {"Oak", "橡树"},    {"Stone", "石头"}, {"River", "河边"}, {"Green", "绿色"},
    {"Silver", "银色"}, {"Sun", "太阳"},   {"North", "北方"}, {"Apple", "苹果"},
    {"Snow", "雪白"},   {"Gold", "金色"},  {"Moon", "月亮"},  {"Bear", "大熊"},
    {"Rain", "雨水"},   {"Star", "星星"},  {"Rose", "玫瑰"},  {"Wind", "风车"},
};
constexpr Word kTownEndings[] = {
    {"ton", "镇"}, {"field", "田"}, {"bridge", "桥"}, {"port", "港"}, {"ville", "村"}, {"hill", "山"},
};
constexpr Word kFamilySyllables[] = {
    {"Bar", "巴"}, {"ton", "顿"}, {"lin", "林"}, {"der", "德"}, {"mor", "莫"}, {"gan", "根"},
    {"wes", "韦"}, {"ley", "利"}, {"har", "哈"}, {"ris", "里"}, {"nel", "内"}, {"son", "森"},
    {"cam", "坎"}, {"bel", "贝"}, {"fos", "福"}, {"ter", "特"}, {"dal", "达"}, {"man", "曼"},
    {"row", "罗"}, {"ker", "克"}, {"sto", "斯"}, {"vin", "文"}, {"pal", "帕"}, {"mer", "默"},
};
constexpr Word kCountries[] = {
    {"Norland", "诺兰国"},
    {"Sudria", "苏德国"},
    {"Westmark", "威马国"},
    {"Estovia", "埃斯托国"},
};
constexpr Job kJobs[] = {
    {{"baker", "面包师"}, {"bakery", "面包店"}}, {{"doctor", "医生"}, {"hospital", "医院"}},
    {{"teacher", "老师"}, {"school", "学校"}},   {{"farmer", "农民"}, {"farm", "农场"}},
    {{"sailor", "水手"}, {"harbour", "码头"}},   {{"cook", "厨师"}, {"restaurant", "餐馆"}},
    {{"singer", "歌手"}, {"theatre", "剧院"}},   {{"judge", "法官"}, {"court", "法院"}},
    {{"gardener", "园丁"}, {"park", "公园"}},    {{"librarian", "管理员"}, {"library", "图书馆"}},
    {{"banker", "银行家"}, {"bank", "银行"}},    {{"smith", "铁匠"}, {"forge", "铁铺"}},
};
constexpr Word kColours[] = {
    {"red", "红色"},   {"blue", "蓝色"},   {"yellow", "黄色"}, {"white", "白色"},
    {"black", "黑色"}, {"purple", "紫色"}, {"brown", "棕色"},  {"pink", "粉色"},
};
constexpr Word kFoods[] = {
    {"soup", "汤"},      {"rice", "米饭"},  {"cheese", "奶酪"}, {"fish", "鱼"},    {"bread", "面包"},
    {"noodles", "面条"}, {"salad", "沙拉"}, {"honey", "蜂蜜"},  {"beans", "豆子"}, {"chocolate", "巧克力"},
};
constexpr Word kAnimals[] = {
    {"cat", "猫"},      {"dog", "狗"},    {"horse", "马"},  {"rabbit", "兔子"},
    {"parrot", "鹦鹉"}, {"goat", "山羊"}, {"duck", "鸭子"}, {"turtle", "乌龟"},
};
constexpr Word kMonths[] = {
    {"January", "一月"},   {"February", "二月"}, {"March", "三月"},      {"April", "四月"},
    {"May", "五月"},       {"June", "六月"},     {"July", "七月"},       {"August", "八月"},
    {"September", "九月"}, {"October", "十月"},  {"November", "十一月"}, {"December", "十二月"},
};
constexpr Word kDays[] = {
    {"Monday", "星期一"}, {"Tuesday", "星期二"},  {"Wednesday", "星期三"}, {"Thursday", "星期四"},
    {"Friday", "星期五"}, {"Saturday", "星期六"}, {"Sunday", "星期日"},
};
constexpr Word kLandmarks[] = {
    {"lake", "湖"},     {"river", "河"},    {"sea", "海"},
    {"forest", "森林"}, {"mountain", "山"}, {"desert", "沙漠"},
};
constexpr Word kRooms[] = {
    {"kitchen", "厨房"}, {"garden", "花园"},  {"cellar", "地窖"},   {"attic", "阁楼"},
    {"hall", "大厅"},    {"bedroom", "卧室"}, {"office", "办公室"}, {"garage", "车库"},
};
// None begins with a vowel's sound: "a lamp".
constexpr Thing kThings[] = {
    {{"peach", "桃子"}, "peaches", "个"},  {{"melon", "西瓜"}, "melons", "个"},
    {{"cake", "蛋糕"}, "cakes", "块"},     {{"book", "书"}, "books", "本"},
    {{"lamp", "灯"}, "lamps", "盏"},       {{"hat", "帽子"}, "hats", "顶"},
    {{"coat", "外套"}, "coats", "件"},     {{"ball", "球"}, "balls", "个"},
    {{"cup", "杯子"}, "cups", "个"},       {{"box", "箱子"}, "boxes", "个"},
    {{"bag", "包"}, "bags", "个"},         {{"pen", "钢笔"}, "pens", "支"},
    {{"rope", "绳子"}, "ropes", "根"},     {{"chair", "椅子"}, "chairs", "把"},
    {{"drum", "鼓"}, "drums", "面"},       {{"kite", "风筝"}, "kites", "只"},
    {{"ring", "戒指"}, "rings", "枚"},     {{"clock", "钟"}, "clocks", "座"},
    {{"map", "地图"}, "maps", "张"},       {{"broom", "扫帚"}, "brooms", "把"},
    {{"bell", "铃铛"}, "bells", "个"},     {{"candle", "蜡烛"}, "candles", "根"},
    {{"bucket", "水桶"}, "buckets", "个"}, {{"mirror", "镜子"}, "mirrors", "面"},
};

std::string filled(std::string_view pattern, const std::string* arguments, size_t count) {
  std::string text;
  text.reserve(pattern.size() + 16);
  for (size_t i = 0; i < pattern.size(); ++i) {
    const bool slot = pattern[i] == '{' && i + 2 < pattern.size() && pattern[i + 2] == '}' &&
                      pattern[i + 1] >= '0' && pattern[i + 1] <= '9';
    if (!slot) {
      text += pattern[i];
      continue;
    }
    const size_t argument = static_cast<size_t>(pattern[i + 1] - '0');
    if (argument >= count) failed("pattern '{}' needs more than {} arguments", pattern, count);
    text += arguments[argument];
    i += 2;
  }
  return text;
}

}  // namespace

std::string_view code_of(Language language) {
  return language == Language::kEnglish ? "en" : "zh";
}

Language language_of(std::string_view code) {
  for (const Language language : kLanguages)
    if (code_of(language) == code) return language;
  fail(ErrorCode::kUsage, "tinyworld speaks en and zh, not '{}'", code);
}

std::span<const Word> men() {
  return kMen;
}
std::span<const Word> women() {
  return kWomen;
}
std::span<const Word> town_beginnings() {
  return kTownBeginnings;
}
std::span<const Word> town_endings() {
  return kTownEndings;
}
std::span<const Word> family_syllables() {
  return kFamilySyllables;
}
std::span<const Word> countries() {
  return kCountries;
}
std::span<const Job> jobs() {
  return kJobs;
}
std::span<const Word> colours() {
  return kColours;
}
std::span<const Word> foods() {
  return kFoods;
}
std::span<const Word> animals() {
  return kAnimals;
}
std::span<const Word> months() {
  return kMonths;
}
std::span<const Word> days() {
  return kDays;
}
std::span<const Word> landmarks() {
  return kLandmarks;
}
std::span<const Word> rooms() {
  return kRooms;
}
std::span<const Thing> things() {
  return kThings;
}

std::string fill(std::string_view pattern, std::span<const std::string> arguments) {
  return filled(pattern, arguments.data(), arguments.size());
}

std::string fill(std::string_view pattern, std::initializer_list<std::string> arguments) {
  return filled(pattern, arguments.begin(), arguments.size());
}

std::string sentence_case(std::string text) {
  if (!text.empty() && text[0] >= 'a' && text[0] <= 'z') text[0] = static_cast<char>(text[0] - 'a' + 'A');
  return text;
}

std::string join_sentences(std::span<const std::string> sentences, Language language) {
  std::string text;
  for (const std::string& sentence : sentences) {
    if (sentence.empty()) continue;
    if (!text.empty() && language == Language::kEnglish) text += ' ';
    text += sentence;
  }
  return text;
}

std::string counted(int64_t count, const Thing& thing, Language language) {
  if (language == Language::kChinese)
    return fmt::format("{}{}{}", count, thing.classifier, thing.name.chinese);
  return fmt::format("{} {}", count, count == 1 ? thing.name.english : thing.plural);
}

}  // namespace martlet::data::tinyworld
