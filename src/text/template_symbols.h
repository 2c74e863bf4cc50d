#pragma once

// The names of one scope while variables are given their slots.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "text/template_syntax.h"

namespace martlet::text::jinja {

/// Code with an activation of its own: the template, a macro, a recursive loop, a loop's condition. Scopes
/// within it at the same level share the slot of a name, as jinja2's share a Python variable.
struct FunctionScope {
  FunctionScope* outer = nullptr;
  int slots = 0;
  std::map<std::pair<int, std::string>, int> known;

  int slot_of(int level, const std::string& name);
};

/// Where a variable lives, whoever asks.
struct Place {
  FunctionScope* function = nullptr;
  int index = -1;
};

/// The Slot of a place, seen from code of `function`.
Slot seen_from(const FunctionScope* function, const Place& place);

/// One scope, or one branch of an `if` within it, whose findings `merge` brings together.
///
/// jinja2 decides when a scope is compiled what each of its names starts as: a parameter, a copy of the outer
/// variable (names that the scope assigns), a look-up among the given variables (names that it only reads),
/// or unset (names that it assigns and that are nowhere outside). That decision, not the order of execution,
/// is what templates see: a name set in a loop's body is the outer one again on the next turn.
class Symbols {
 public:
  Symbols(FunctionScope& function, Symbols* parent)
      : parent_(parent), function_(function), level_(parent == nullptr ? 0 : parent->level_ + 1) {}

  void load(const std::string& name);
  void store(const std::string& name);
  void declare_parameter(const std::string& name);

  /// The same scope inside one branch of an `if`.
  Symbols branch() { return Symbols(*this, Branch{}); }
  void merge(std::initializer_list<Symbols*> branches);

  std::optional<Place> find(const std::string& name) const;
  FunctionScope& function() const { return function_; }
  /// What to do when the scope is entered.
  ScopePlan plan() const;

 private:
  struct Branch {};
  struct Start {
    ScopeEntry::Action action = ScopeEntry::Action::kUnset;
    Place source;
    std::string name;
  };

  Symbols(Symbols& base, Branch)
      : base_(&base), parent_(base.parent_), function_(base.function_), level_(base.level_) {}
  std::optional<Place> find_here(const std::string& name) const;
  bool is_stored(const std::string& name) const;
  void define(const std::string& name, Start start);

  Symbols* base_ = nullptr;  // what was known before the branch
  Symbols* parent_;
  FunctionScope& function_;
  int level_;
  std::map<std::string, Place> places_;
  std::map<int, Start> starts_;  // by slot
  std::set<std::string> stored_;
};

}  // namespace martlet::text::jinja
