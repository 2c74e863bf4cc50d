#pragma once

// Turns the matches of a pattern, and what lies between them, into pieces. Internal to the pre-tokenizers.

#include "text/pre_tokenizers.h"

namespace martlet::text {

/// Takes the segments of one piece in order; gives the parts that the behaviour makes of them to a sink.
class Splitter {
 public:
  Splitter(const Piece& piece, SplitBehaviour behaviour, PieceSink sink)
      : piece_(piece), behaviour_(behaviour), sink_(sink) {}

  /// The next segment, [begin, end) of the piece; it may be empty.
  void add(size_t begin, size_t end, bool is_match) {
    switch (behaviour_) {
      case SplitBehaviour::kRemoved:
        if (!is_match) give(begin, end);
        return;
      case SplitBehaviour::kIsolated:
        give(begin, end);
        return;
      case SplitBehaviour::kContiguous:
        hold(begin, end, is_match, is_match == last_was_match_);
        return;
      case SplitBehaviour::kMergedWithPrevious:
        hold(begin, end, is_match, is_match && !last_was_match_);
        return;
      case SplitBehaviour::kMergedWithNext:
        hold(begin, end, is_match, last_was_match_ && !is_match);
        return;
    }
  }
  void finish() {
    if (holding_) give(begin_, end_);
    holding_ = false;
  }

 private:
  void give(size_t begin, size_t end) {
    if (begin != end) sink_(piece_.part(begin, end));
  }
  /// Joins the segment to the one held, or gives that on and holds this one.
  void hold(size_t begin, size_t end, bool is_match, bool joins) {
    last_was_match_ = is_match;
    if (holding_ && joins) {
      end_ = end;
      return;
    }
    finish();
    begin_ = begin;
    end_ = end;
    holding_ = true;
  }

  const Piece& piece_;
  SplitBehaviour behaviour_;
  PieceSink sink_;
  bool last_was_match_ = false;
  bool holding_ = false;
  size_t begin_ = 0, end_ = 0;
};

}  // namespace martlet::text
