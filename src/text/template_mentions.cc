#include "text/template_mentions.h"

#include <algorithm>

namespace martlet::text::jinja {
namespace {

enum class Mention { kNone, kRead, kWritten };

// Declared first: `first_of` calls each of them.
Mention mention(const Body& body, std::string_view name);
Mention mention(const Statement& statement, std::string_view name);
Mention mention(const Target& target, std::string_view name);
Mention mention(const ExpressionPtr& expression, std::string_view name);

Mention mention(const Expression& expression, std::string_view name) {
  if (expression.kind == ExpressionKind::kName && expression.name == name) return Mention::kRead;
  Mention found = Mention::kNone;
  for_each_part(expression, [&](const Expression& part) {
    if (found == Mention::kNone) found = mention(part, name);
  });
  return found;
}

Mention mention(const Target& target, std::string_view name) {
  if (target.kind == Target::Kind::kName && target.name == name) return Mention::kWritten;
  for (const Target& part : target.parts) {
    if (mention(part, name) != Mention::kNone) return Mention::kWritten;
  }
  return Mention::kNone;
}

template <typename Parts>
Mention first_of(const Parts& parts, std::string_view name) {
  for (const auto& part : parts) {
    const Mention found = mention(part, name);
    if (found != Mention::kNone) return found;
  }
  return Mention::kNone;
}

Mention mention(const ExpressionPtr& expression, std::string_view name) {
  return expression == nullptr ? Mention::kNone : mention(*expression, name);
}

// In the order in which jinja2's tree lists the parts of a statement.
Mention mention(const Statement& statement, std::string_view name) {
  // A macro's own name is no mention of it; a loop's, an assignment's targets come before what they are
  // given.
  const bool own_name = statement.kind == StatementKind::kMacro;
  Mention found = own_name ? Mention::kNone : first_of(statement.targets, name);
  if (found != Mention::kNone) return found;
  found = first_of(statement.expressions, name);
  if (found != Mention::kNone) return found;
  if (statement.macro != nullptr) {
    const std::vector<std::string>& parameters = statement.macro->parameters;
    if (std::find(parameters.begin(), parameters.end(), name) != parameters.end()) return Mention::kWritten;
    found = first_of(statement.macro->defaults, name);
    if (found != Mention::kNone) return found;
  }
  found = first_of(statement.branches, name);
  if (found == Mention::kNone) found = mention(statement.otherwise, name);
  if (found == Mention::kNone && statement.loop != nullptr) found = mention(statement.loop->condition, name);
  return found;
}

Mention mention(const Body& body, std::string_view name) {
  return first_of(body, name);
}

}  // namespace

bool reads_first(const Body& body, std::string_view name) {
  return mention(body, name) == Mention::kRead;
}

}  // namespace martlet::text::jinja
