// A YAML text as a plain tree: the one place that knows the YAML library. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/problems.h"

namespace twinspool {

struct Tree {
  enum class Kind : std::uint8_t { nothing, scalar, list, map };
  struct Key {
    std::string name;
    Place place;
  };

  Kind kind = Kind::nothing;
  Place place;
  std::string text;            // of a scalar
  std::vector<Key> keys;       // of a map, one a child
  std::vector<Tree> children;  // of a list or a map
};

// What is not YAML, repeated keys, keys that are no plain words, and texts that nest or unfold beyond any configuration
// go to `problems`; the tree then has what could be read.
Tree parse_yaml(const std::string& yaml, Problems& problems);

}  // namespace twinspool
