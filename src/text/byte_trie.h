#pragma once

// A set of strings with values, walked byte by byte: a double array (Aoe, "An Efficient Digital Search
// Algorithm by Using a Double-Array Structure", 1989). A node's child by byte c is at base[node] + c if that
// place names the node as its parent.

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace martlet::text {

class ByteTrie {
 public:
  static constexpr int32_t kNone = -1;
  static constexpr uint32_t kRoot = 0;

  ByteTrie() : ByteTrie(std::vector<std::pair<std::string_view, int32_t>>{}) {}
  /// Values are not negative. Of equal keys the last counts. The keys need not outlive the call.
  explicit ByteTrie(std::vector<std::pair<std::string_view, int32_t>> entries);

  /// Moves `node` to its child by `byte`; false, and no move, when there is none.
  bool step(uint32_t& node, char byte) const {
    const size_t child = size_t{nodes_[node].base} + static_cast<unsigned char>(byte);
    if (nodes_[child].parent != node) return false;  // `child` is in range: see build
    node = static_cast<uint32_t>(child);
    return true;
  }
  /// The value of the key that ends at `node`, or kNone.
  int32_t value(uint32_t node) const { return nodes_[node].value; }

  /// The longest key that begins `text`: its length and value; length 0 when none does.
  std::pair<size_t, int32_t> longest(std::string_view text, uint32_t node = kRoot) const;
  /// Whether no key begins with `byte`.
  bool never_begins(char byte) const {
    uint32_t node = kRoot;
    return !step(node, byte);
  }

 private:
  struct Node {
    uint32_t base = 0;
    uint32_t parent = UINT32_MAX;  // UINT32_MAX: free
    int32_t value = kNone;
  };
  struct Range {
    size_t begin, end;  // of the sorted entries that go through the node
    size_t depth;
    uint32_t node;
  };
  uint32_t find_base(const std::vector<unsigned char>& bytes);

  std::vector<Node> nodes_;
  size_t search_from_ = 1;
};

}  // namespace martlet::text
