#include "text/template_symbols.h"

namespace martlet::text::jinja {

int FunctionScope::slot_of(int level, const std::string& name) {
  const auto [at, added] = known.try_emplace({level, name}, slots);
  if (added) ++slots;
  return at->second;
}

Slot seen_from(const FunctionScope* function, const Place& place) {
  Slot slot;
  slot.index = place.index;
  for (; function != place.function; function = function->outer) ++slot.hops;
  return slot;
}

std::optional<Place> Symbols::find_here(const std::string& name) const {
  for (const Symbols* symbols = this; symbols != nullptr; symbols = symbols->base_) {
    if (const auto at = symbols->places_.find(name); at != symbols->places_.end()) return at->second;
  }
  return std::nullopt;
}

std::optional<Place> Symbols::find(const std::string& name) const {
  if (const std::optional<Place> here = find_here(name)) return here;
  return parent_ == nullptr ? std::nullopt : parent_->find(name);
}

bool Symbols::is_stored(const std::string& name) const {
  for (const Symbols* symbols = this; symbols != nullptr; symbols = symbols->base_) {
    if (symbols->stored_.contains(name)) return true;
  }
  return false;
}

void Symbols::define(const std::string& name, Start start) {
  const int slot = function_.slot_of(level_, name);
  places_[name] = Place{&function_, slot};
  starts_[slot] = std::move(start);
}

void Symbols::load(const std::string& name) {
  if (!find(name)) define(name, {ScopeEntry::Action::kLookUp, {}, name});
}

void Symbols::store(const std::string& name) {
  stored_.insert(name);
  if (find_here(name)) return;
  const std::optional<Place> outer = parent_ == nullptr ? std::nullopt : parent_->find(name);
  if (outer) {
    define(name, {ScopeEntry::Action::kCopy, *outer, {}});
  } else {
    define(name, {ScopeEntry::Action::kUnset, {}, {}});
  }
}

void Symbols::declare_parameter(const std::string& name) {
  stored_.insert(name);
  define(name, {ScopeEntry::Action::kParameter, {}, {}});
}

void Symbols::merge(std::initializer_list<Symbols*> branches) {
  std::set<std::string> fresh;
  for (const Symbols* branch : branches) {
    for (const std::string& name : branch->stored_) {
      if (!is_stored(name)) fresh.insert(name);
    }
  }
  for (Symbols* branch : branches) {
    places_.insert(branch->places_.begin(), branch->places_.end());
    for (auto& [slot, start] : branch->starts_) starts_[slot] = std::move(start);
    stored_.insert(branch->stored_.begin(), branch->stored_.end());
  }
  // A name that only some branch sets must be what it was outside when another is taken.
  for (const std::string& name : fresh) {
    const std::optional<Place> outer = parent_ == nullptr ? std::nullopt : parent_->find(name);
    if (outer) {
      define(name, {ScopeEntry::Action::kCopy, *outer, {}});
    } else {
      define(name, {ScopeEntry::Action::kLookUp, {}, name});
    }
  }
}

ScopePlan Symbols::plan() const {
  ScopePlan entries;
  for (const auto& [slot, start] : starts_) {
    ScopeEntry entry;
    entry.slot = slot;
    entry.action = start.action;
    entry.name = start.name;
    if (start.action == ScopeEntry::Action::kCopy) entry.source = seen_from(&function_, start.source);
    entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace martlet::text::jinja
