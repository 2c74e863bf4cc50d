#pragma once

// The tree of CPM-Ant and CPM-Bee: positions are a learned number for each head and distance, added to the
// scores; CPM-Ant reads rows of a table of prompts before every text.

#include "nn/layers.h"

namespace martlet::models {

struct CpmSizes {
  nn::ModelShape model;  ///< `lead_positions` are the rows of the prompt
  int64_t heads = 0;
  int64_t head_dim = 0;
  int64_t intermediate_size = 0;
  int64_t table_rows = 0;  ///< of the embedding: the vocabulary, then prompts
  double epsilon = 0;
  int64_t segments = 0;  ///< 0: without embeddings of segments
  int64_t buckets = 0;   ///< of distances
  int64_t max_distance = 0;
  int64_t pair_rows = 0;      ///< of the table of biases for pairs of segments, behind those of distances
  int64_t first_prompt = 0;   ///< the row of the embedding where the prompt begins
  bool ties_head = false;     ///< the head is the embedding
  bool divides = false;       ///< products by the root of their length, sums by 1.05
  std::vector<bool> attends;  ///< for each layer whether it has attention, and
  std::vector<bool> feeds;    ///< whether it has a feed-forward
};

std::shared_ptr<nn::Model> build_cpm_tree(const CpmSizes& sizes);

/// The row of the bias for a key so far behind a query (negative: before it), distances past `max_distance`
/// taken together: half of the rows for keys behind it; of each half one half exact and the other
/// logarithmic. Raffel et al., "Exploring the Limits of Transfer Learning", 2020 (T5, read both ways).
int64_t distance_bucket(int64_t distance, int64_t buckets, int64_t max_distance);

}  // namespace martlet::models
