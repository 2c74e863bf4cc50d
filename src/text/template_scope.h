#pragma once

#include "text/template_syntax.h"

namespace martlet::text::jinja {

/// Gives every variable of the program its slot, by jinja2's rules of scope, and checks that filters and
/// tests exist (jinja2 leaves those inside `if` to be found missing when they are reached). Throws BadInput
/// with line and reason.
void resolve_scopes(TemplateProgram& program);

}  // namespace martlet::text::jinja
