#include <gmock/gmock.h>

#include "base/error.h"
#include "base/files.h"
#include "cli/chat_format.h"
#include "scratch.h"

namespace martlet::cli {
namespace {

using ::testing::HasSubstr;

constexpr const char* kTemplate =
    "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    "{% if tools %}[{{ tools | length }} tools]{% endif %}{% if loud %}!{% endif %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}";

text::ChatFormat format_in(const Scratch& scratch) {
  Json config;
  config.set("chat_template", kTemplate);
  config.set("bos_token", "<s>");
  write_file(scratch.path() + "/tokenizer_config.json", config.dump());
  return load_chat_format(scratch.path());
}

std::string render(const std::string& request) {
  const Scratch scratch;
  return render_request(format_in(scratch), Json::parse(request, "request"), "request");
}

TEST(RenderRequest, GivesTheTemplateMessagesToolsAndEveryOtherMember) {
  EXPECT_EQ(render(R"({"messages": [{"role": "user", "content": "hi"}]})"), "<s><user>hi<assistant>");
  EXPECT_EQ(render(R"({"messages": [], "tools": [{}, {}], "loud": true})"), "<s>[2 tools]!<assistant>");
  EXPECT_EQ(render(R"({"messages": [], "add_generation_prompt": false})"), "<s>");
}

TEST(RenderRequest, SaysWhatIsWrong) {
  for (const char* request : {"[]", "{}", "3"}) {
    try {
      render(request);
      FAIL() << request;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kBadInput);
      EXPECT_THAT(error.what(), HasSubstr("messages"));
    }
  }
}

}  // namespace
}  // namespace martlet::cli
