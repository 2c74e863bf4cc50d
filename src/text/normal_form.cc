#include "text/normal_form.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <unordered_map>
#include <utf8proc.h>
#include <vector>

// A text is cut into clusters: a code point that is inert in the wanted form (it is a starter, stays as it
// is, and never composes with what stands before it) begins a new one. Clusters of one inert code point,
// nearly all of most texts, are copied; only the others are decomposed, put in canonical order and composed
// again.

namespace martlet::text {

namespace {

constexpr char32_t kEnd = 0x30000;  // no code point from here on has a normal form of its own

constexpr char32_t kSyllableBase = 0xAC00, kLeadBase = 0x1100, kVowelBase = 0x1161, kTailBase = 0x11A7;
constexpr char32_t kLeads = 19, kVowels = 21, kTails = 28;

/// A code point of the new text with its change, as Rewriter::put takes it.
struct Step {
  char32_t value;
  int change;
  uint8_t combining_class;
};

// Compatibility mappings that came after Unicode 9; U+11938 is the one canonical mapping among them.
constexpr std::array<std::pair<char32_t, char32_t>, 10> kNewMappings = {{{0x32FF, 0x32FF},
                                                                         {0xA7F2, 0xA7F4},
                                                                         {0xAB69, 0xAB69},
                                                                         {0x10781, 0x10785},
                                                                         {0x10787, 0x107B0},
                                                                         {0x107B2, 0x107BA},
                                                                         {0x11938, 0x11938},
                                                                         {0x1E030, 0x1E06D},
                                                                         {0x1F16C, 0x1F16C},
                                                                         {0x1FBF0, 0x1FBF9}}};

bool is_new_mapping(char32_t c) {
  return std::any_of(kNewMappings.begin(), kNewMappings.end(),
                     [c](const auto& range) { return c >= range.first && c <= range.second; });
}

uint8_t combining_class(char32_t c) {
  if (c < 0x300) return 0;
  // A mark that is not a combining mark of the old table had no class there.
  if (!code_points().has(c, kCombiningMark)) return 0;
  return static_cast<uint8_t>(utf8proc_get_property(static_cast<utf8proc_int32_t>(c))->combining_class);
}

using Decomposition = std::array<utf8proc_int32_t, 32>;

/// Writes the full decomposition of `c` and returns its length.
size_t decompose(char32_t c, bool compatible, Decomposition& out) {
  out[0] = static_cast<utf8proc_int32_t>(c);
  if (c < 0x80 || is_new_mapping(c)) return 1;
  int boundary = 0;
  const int options = compatible ? UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT : UTF8PROC_DECOMPOSE;
  const auto length = utf8proc_decompose_char(out[0], out.data(), static_cast<utf8proc_ssize_t>(out.size()),
                                              static_cast<utf8proc_option_t>(options), &boundary);
  return length <= 0 || length > static_cast<utf8proc_ssize_t>(out.size()) ? 1 : static_cast<size_t>(length);
}

class NormalTable {
 public:
  NormalTable();

  bool inert(NormalForm form, char32_t c) const {
    return c >= kEnd || (not_inert_[c] >> static_cast<int>(form) & 1) == 0;
  }
  /// The primary composite of two code points, or 0.
  char32_t compose(char32_t first, char32_t second) const;

 private:
  void add_composite(char32_t composite);

  std::vector<uint8_t> not_inert_;  // one bit a form
  std::unordered_map<uint64_t, char32_t> composites_;
};

void NormalTable::add_composite(char32_t composite) {
  Decomposition parts;
  const size_t length = decompose(composite, false, parts);
  if (length < 2) return;
  constexpr auto kCompose = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
  Decomposition work = parts;
  if (utf8proc_normalize_utf32(work.data(), static_cast<utf8proc_ssize_t>(length), kCompose) != 1) return;
  if (work[0] != static_cast<utf8proc_int32_t>(composite)) return;  // excluded from composition
  work = parts;
  if (utf8proc_normalize_utf32(work.data(), static_cast<utf8proc_ssize_t>(length - 1), kCompose) != 1) return;
  const auto second = static_cast<uint32_t>(parts[length - 1]);
  composites_.emplace(uint64_t{static_cast<uint32_t>(work[0])} << 32 | second, composite);
}

NormalTable::NormalTable() : not_inert_(kEnd, 0) {
  constexpr uint8_t kAll = 0xF, kComposing = 1 << static_cast<int>(NormalForm::kNfc) |
                                             1 << static_cast<int>(NormalForm::kNfkc);
  const auto bit = [](NormalForm form) { return static_cast<uint8_t>(1 << static_cast<int>(form)); };
  for (char32_t c = 0x80; c < kEnd; ++c) {
    const utf8proc_property_t* property = utf8proc_get_property(static_cast<utf8proc_int32_t>(c));
    if (property->combining_class != 0 && combining_class(c) != 0) not_inert_[c] |= kAll;
    if (property->decomp_seqindex == UINT16_MAX || is_new_mapping(c)) continue;
    not_inert_[c] |= bit(NormalForm::kNfkd);
    if (property->decomp_type != 0) {
      not_inert_[c] |= bit(NormalForm::kNfkc);
      continue;
    }
    // A canonical composite stays in composed text, unless it is excluded or a part of it has a compatibility
    // mapping.
    not_inert_[c] |= bit(NormalForm::kNfd);
    const size_t known = composites_.size();
    add_composite(c);
    if (composites_.size() == known) not_inert_[c] |= kComposing;
    Decomposition canonical{}, compatible{};
    if (decompose(c, false, canonical) != decompose(c, true, compatible) || canonical != compatible) {
      not_inert_[c] |= bit(NormalForm::kNfkc);
    }
  }
  for (const auto& [pair, composite] : composites_) not_inert_[pair & 0xFFFFFFFF] |= kComposing;
  for (char32_t c = 0; c < kVowels; ++c) not_inert_[kVowelBase + c] |= kComposing;
  for (char32_t c = 1; c < kTails; ++c) not_inert_[kTailBase + c] |= kComposing;
  for (char32_t c = 0; c < kLeads * kVowels * kTails; ++c) {
    not_inert_[kSyllableBase + c] |= bit(NormalForm::kNfd) | bit(NormalForm::kNfkd);
  }
}

char32_t NormalTable::compose(char32_t first, char32_t second) const {
  if (first - kLeadBase < kLeads && second - kVowelBase < kVowels) {
    return kSyllableBase + ((first - kLeadBase) * kVowels + (second - kVowelBase)) * kTails;
  }
  if (first - kSyllableBase < kLeads * kVowels * kTails && (first - kSyllableBase) % kTails == 0 &&
      second - kTailBase - 1 < kTails - 1) {
    return first + (second - kTailBase);
  }
  const auto found = composites_.find(uint64_t{first} << 32 | second);
  return found == composites_.end() ? 0 : found->second;
}

const NormalTable& normal_table() {
  static const NormalTable table;
  return table;
}

/// The full decomposition of `cluster`, each run of marks in canonical order.
void decompose_cluster(std::string_view cluster, bool compatible, std::vector<Step>& steps) {
  steps.clear();
  Decomposition parts;
  for (size_t at = 0; at < cluster.size();) {
    const Utf8Character character = character_at(cluster.data() + at);
    at += character.length;
    const size_t length = decompose(character.value, compatible, parts);
    for (size_t i = 0; i < length; ++i) {
      const auto c = static_cast<char32_t>(parts[i]);
      steps.push_back({c, i == 0 ? 0 : 1, combining_class(c)});
    }
  }
  const auto by_class = [](const Step& a, const Step& b) { return a.combining_class < b.combining_class; };
  for (auto run = steps.begin(); run != steps.end();) {
    if (run->combining_class == 0) {
      ++run;
      continue;
    }
    const auto end =
        std::find_if(run, steps.end(), [](const Step& step) { return step.combining_class == 0; });
    std::stable_sort(run, end, by_class);
    run = end;
  }
}

/// Canonical composition, in place. A composed character takes the place of both, so their changes add up.
void compose_cluster(std::vector<Step>& steps) {
  const NormalTable& table = normal_table();
  constexpr size_t kNone = SIZE_MAX;
  size_t starter = kNone, size = 0;
  int last_class = -1;  // of the last character kept after the starter; -1: none
  for (size_t i = 0; i < steps.size(); ++i) {
    const Step step = steps[i];
    if (starter != kNone && last_class < step.combining_class) {
      if (const char32_t composed = table.compose(steps[starter].value, step.value); composed != 0) {
        steps[starter].value = composed;
        steps[starter].change += step.change - 1;
        continue;
      }
    }
    if (step.combining_class == 0) {
      starter = size;
      last_class = -1;
    } else if (starter != kNone) {
      last_class = step.combining_class;
    }
    steps[size++] = step;
  }
  steps.resize(size);
}

}  // namespace

bool may_change(NormalForm form, std::string_view text) {
  size_t at = ascii_prefix(text);
  if (at == text.size()) return false;
  const NormalTable& table = normal_table();
  while (at < text.size()) {
    const Utf8Character character = character_at(text.data() + at);
    if (!table.inert(form, character.value)) return true;
    at += character.length;
  }
  return false;
}

void normalise(NormalForm form, AlignedText& text) {
  const NormalTable& table = normal_table();
  const bool compatible = form == NormalForm::kNfkc || form == NormalForm::kNfkd;
  const bool composed = form == NormalForm::kNfc || form == NormalForm::kNfkc;
  const std::string_view old = text.text;
  Rewriter rewriter(text);
  std::vector<Step> steps;
  size_t done = 0, last = 0;  // everything before `done` is written; `last` begins the latest inert character
  for (size_t at = 0; at < old.size();) {
    const Utf8Character character = character_at(old.data() + at);
    if (table.inert(form, character.value)) {
      last = at;
      at += character.length;
      continue;
    }
    size_t end = at;
    while (end < old.size()) {
      const Utf8Character next = character_at(old.data() + end);
      if (table.inert(form, next.value)) break;
      end += next.length;
    }
    const size_t begin = std::max(done, last);
    rewriter.keep(begin - done);
    decompose_cluster(old.substr(begin, end - begin), compatible, steps);
    if (composed) compose_cluster(steps);
    for (const Step& step : steps) rewriter.put(step.value, step.change);
    done = last = at = end;
  }
  rewriter.keep(old.size() - done);
  rewriter.finish();
}

}  // namespace martlet::text
