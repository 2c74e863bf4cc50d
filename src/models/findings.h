#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace martlet::models {

/// Stored names with a remark each, told so that every name stands in the sentence: the same weight of
/// several layers with the same remark takes one place, 'layers.{0..3,7}.norm.weight'.
class Findings {
 public:
  void add(std::string_view name, std::string_view remark = {});
  size_t count() const { return count_; }
  /// "'a', 'layers.{0..3}.b' (remark) and 'c'". Past 64 places, which only a hostile file needs, the rest is
  /// counted.
  std::string to_string() const;

 private:
  /// Names that differ in one number at most.
  struct Group {
    std::string before, after;     // the number
    std::vector<int64_t> numbers;  // none: `before` is the whole name
    std::string remark;
  };
  std::vector<Group> groups_;
  std::unordered_map<std::string, size_t> places_;  // of a group, by all that its names share
  size_t count_ = 0;
};

}  // namespace martlet::models
