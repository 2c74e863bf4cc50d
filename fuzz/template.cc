// Any bytes as a chat template: refused by an Error, or a fixed conversation is rendered, or that is refused.
// Within limits much lower than the usual ones, so that a template that works without end is a matter of
// milliseconds.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "base/json.h"
#include "text/chat_template.h"

namespace {

constexpr std::string_view kMessages = R"([
  {"role": "system", "content": "Be brief."},
  {"role": "user", "content": "Héllo <b>世界</b>\n "},
  {"role": "assistant", "content": null, "tool_calls": [{"type": "function", "id": "a1", "function":
    {"name": "weather", "arguments": {"city": "Paris", "days": 3, "unit": 1.5, "now": true}}}]},
  {"role": "tool", "tool_call_id": "a1", "content": "{\"sky\": \"blue\"}"},
  {"role": "user", "content": [{"type": "text", "text": "Thanks"}, {"type": "image"}]}
])";
constexpr std::string_view kTools =
    R"([{"type": "function", "function": {"name": "weather", "description": "The sky",
  "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}])";

struct Conversation {
  martlet::Json messages = martlet::Json::parse(kMessages, "messages");
  martlet::text::RenderOptions options;

  Conversation() {
    options.tools = martlet::Json::parse(kTools, "tools");
    options.bos_token = "<s>";
    options.eos_token = "</s>";
    options.add_generation_prompt = true;
    options.extra = martlet::Json(martlet::Json::Object{{"enable_thinking", martlet::Json(true)}});
    options.now = [] { return std::tm{}; };
    options.limits.steps = 100'000;
    options.limits.memory_bytes = int64_t{16} << 20;
    options.limits.output_bytes = int64_t{1} << 20;
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Conversation conversation;
  try {
    const auto parsed =
        martlet::text::ChatTemplate::parse({reinterpret_cast<const char*>(data), size}, "fuzz");
    const auto rendered = parsed.render_with_spans(conversation.messages, conversation.options);
    for (const martlet::text::TextSpan& span : rendered.generation) {
      if (span.begin < 0 || span.begin > span.end || span.end > static_cast<int64_t>(rendered.text.size()))
        std::abort();
    }
  } catch (const martlet::Error&) {
  }
  return 0;
}
