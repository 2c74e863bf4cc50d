#include "text/template_filters.h"

#include <algorithm>
#include <array>

#include "text/template_filter_groups.h"
#include "text/template_operations.h"
#include "text/template_runtime.h"

namespace martlet::text::jinja {
namespace {

// Filters of jinja2 that a prompt has no use for: known, so that the error says what is the matter.
constexpr std::array<std::string_view, 4> kUnsupported = {"pprint", "random", "urlize", "wordwrap"};

Value unsupported(Runtime&, const Value&, Arguments&) {
  bad_input("the filters pprint, random, urlize and wordwrap are not supported in chat templates here");
}

}  // namespace

SubjectFunction find_filter(std::string_view name) {
  for (const std::span<const NamedFunction> group : {text_filters(), markup_filters(), number_filters(),
                                                     sequence_filters(), order_filters(), apply_filters()}) {
    const auto at =
        std::find_if(group.begin(), group.end(), [&](const NamedFunction& f) { return f.name == name; });
    if (at != group.end()) return at->function;
  }
  const bool known = std::find(kUnsupported.begin(), kUnsupported.end(), name) != kUnsupported.end();
  return known ? unsupported : nullptr;
}

Value apply_filter(Runtime& runtime, std::string_view name, const Value& subject, Arguments& arguments) {
  const SubjectFunction filter = find_filter(name);
  if (filter == nullptr) bad_input("there is no filter named '{}'", name);
  return filter(runtime, subject, arguments);
}

bool apply_test(Runtime& runtime, std::string_view name, const Value& subject, Arguments& arguments) {
  const SubjectFunction test = find_test(name);
  if (test == nullptr) bad_input("there is no test named '{}'", name);
  return truthy(runtime, test(runtime, subject, arguments));
}

}  // namespace martlet::text::jinja
