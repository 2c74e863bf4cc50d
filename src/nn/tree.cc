#include "nn/tree.h"

#include <set>

#include "base/human.h"

namespace martlet::nn {
namespace {

std::string joined(const std::string& path, const std::string& name) {
  return path.empty() || name.empty() ? path + name : path + "." + name;
}

void walk_below(const std::string& path, const ModulePtr& module,
                const std::function<void(const std::string&, const ModulePtr&)>& visit) {
  visit(path, module);
  for (Slot* slot : module->children())
    if (const ModulePtr child = slot->module()) walk_below(joined(path, slot->name()), child, visit);
}

void walk_parameters_below(const std::string& path, const Module& module,
                           const std::function<void(const std::string&, Parameter&)>& visit) {
  for (Parameter* parameter : module.parameters()) visit(joined(path, parameter->name()), *parameter);
  for (Slot* slot : module.children())
    if (const ModulePtr child = slot->module())
      walk_parameters_below(joined(path, slot->name()), *child, visit);
}

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> names;
  for (size_t begin = 0;;) {
    const size_t dot = text.find('.', begin);
    names.push_back(text.substr(begin, dot - begin));
    if (dot == std::string_view::npos) return names;
    begin = dot + 1;
  }
}

/// "2..5" holds "3".
bool in_range(std::string_view range, std::string_view name) {
  const size_t dots = range.find("..");
  const auto number = [](std::string_view digits) -> int64_t {
    if (digits.empty() || digits.size() > 9) return -1;
    int64_t value = 0;
    for (const char digit : digits) {
      if (digit < '0' || digit > '9') return -1;
      value = value * 10 + (digit - '0');
    }
    return value;
  };
  if (dots == std::string_view::npos) return false;
  const int64_t low = number(range.substr(0, dots));
  const int64_t high = number(range.substr(dots + 2));
  const int64_t value = number(name);
  return low >= 0 && high >= 0 && value >= low && value <= high;
}

/// One name against one part of a pattern: `*` any run of letters, `{a,b}` either, `{2..5}` a number.
bool name_matches(std::string_view pattern, std::string_view name) {
  if (pattern.empty()) return name.empty();
  if (pattern[0] == '*') {
    for (size_t taken = 0; taken <= name.size(); ++taken)
      if (name_matches(pattern.substr(1), name.substr(taken))) return true;
    return false;
  }
  if (pattern[0] == '{') {
    const size_t close = pattern.find('}');
    if (close == std::string_view::npos)
      bad_input("pattern part \"{}\" opens a brace and does not close it", pattern);
    const std::string_view rest = pattern.substr(close + 1);
    std::string_view choices = pattern.substr(1, close - 1);
    if (in_range(choices, name.substr(0, name.size() - std::min(name.size(), rest.size()))) &&
        (rest.empty() || name.ends_with(rest)))
      return true;
    while (true) {
      const size_t comma = choices.find(',');
      const std::string_view choice = choices.substr(0, comma);
      if (name.starts_with(choice) && name_matches(rest, name.substr(choice.size()))) return true;
      if (comma == std::string_view::npos) return false;
      choices = choices.substr(comma + 1);
    }
  }
  return !name.empty() && pattern[0] == name[0] && name_matches(pattern.substr(1), name.substr(1));
}

bool parts_match(std::span<const std::string_view> pattern, std::span<const std::string_view> path) {
  if (pattern.empty()) return path.empty();
  if (pattern[0] == "**") {
    for (size_t taken = 0; taken <= path.size(); ++taken)
      if (parts_match(pattern.subspan(1), path.subspan(taken))) return true;
    return false;
  }
  return !path.empty() && name_matches(pattern[0], path[0]) &&
         parts_match(pattern.subspan(1), path.subspan(1));
}

/// The dots of a pattern that separate names, those of "{2..5}" left alone.
std::vector<std::string_view> pattern_parts(std::string_view pattern) {
  std::vector<std::string_view> parts;
  size_t begin = 0;
  bool in_brace = false;
  for (size_t i = 0; i <= pattern.size(); ++i) {
    if (i == pattern.size() || (pattern[i] == '.' && !in_brace)) {
      parts.push_back(pattern.substr(begin, i - begin));
      begin = i + 1;
    } else if (pattern[i] == '{' || pattern[i] == '}') {
      in_brace = pattern[i] == '{';
    }
  }
  return parts;
}

[[noreturn]] void no_such_path(Module& root, std::string_view path) {
  std::vector<std::string> known;
  for (Slot* slot : root.children())
    if (const ModulePtr child = slot->module())
      walk_below(slot->name(), child, [&](const std::string& at, const ModulePtr&) { known.push_back(at); });
  const auto nearest = nearest_name(path, known);
  bad_input("the model has no module at \"{}\"{}", path,
            nearest ? fmt::format("; did you mean {}?", *nearest) : "");
}

/// The child slot of that name, of the module or of what it is wrapped around; `holder` keeps its owner
/// alive.
Slot* child_slot(Module* module, std::string_view name, ModulePtr& holder) {
  while (module != nullptr) {
    ModulePtr inner;
    for (Slot* slot : module->children()) {
      if (slot->is_wrapped()) inner = slot->module();
      if (!slot->is_wrapped() && slot->name() == name) return slot;
    }
    holder = inner;
    module = inner.get();
  }
  return nullptr;
}

}  // namespace

void walk(const ModulePtr& root, const std::function<void(const std::string&, const ModulePtr&)>& visit) {
  walk_below("", root, visit);
}

void walk_parameters(const Module& root, const std::function<void(const std::string&, Parameter&)>& visit) {
  walk_parameters_below("", root, visit);
}

Slot& slot_at(Module& root, std::string_view path) {
  ModulePtr holder;  // keeps the parent alive while its slot is looked at
  Module* module = &root;
  Slot* found = nullptr;
  for (const std::string_view name : split(path)) {
    found = child_slot(module, name, holder);
    if (found == nullptr) no_such_path(root, path);
    holder = found->module();
    module = holder.get();
  }
  return *found;
}

ModulePtr module_at(Module& root, std::string_view path) {
  ModulePtr module = slot_at(root, path).module();
  if (module == nullptr) no_such_path(root, path);
  return module;
}

void replace(Module& root, std::string_view path, ModulePtr module) {
  slot_at(root, path).replace(std::move(module));
}

bool matches(std::string_view pattern, std::string_view path) {
  return parts_match(pattern_parts(pattern), split(path));
}

std::vector<std::string> find(const ModulePtr& root, std::string_view pattern) {
  std::vector<std::string> found;
  std::set<std::string> seen;  // a wrapper and what it holds have the same path
  walk(root, [&](const std::string& path, const ModulePtr&) {
    if (!path.empty() && matches(pattern, path) && seen.insert(path).second) found.push_back(path);
  });
  return found;
}

TreeSize measure(const Module& root) {
  TreeSize size;
  std::set<const void*> seen;
  walk_parameters(root, [&](const std::string&, Parameter& parameter) {
    if (!seen.insert(parameter.identity()).second) return;
    size.parameters += parameter.element_count();
    size.bytes += parameter.byte_count();
  });
  return size;
}

}  // namespace martlet::nn
