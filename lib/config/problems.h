// What is wrong with a configuration, all of it, each with its place.
#pragma once

#include <string>
#include <vector>

namespace twinspool {

struct Place {  // in the file, counted from 1
  int line = 1;
  int column = 1;
};

class Problems {
 public:
  // `what`: "what is wrong; what is accepted". `key` may be empty.
  void add(Place place, std::string key, std::string what);
  bool empty() const { return found_.empty(); }
  std::string text(const std::string& file) const;  // a line each, in the file's order

 private:
  struct Problem {
    Place place;
    std::string key;
    std::string what;
  };
  std::vector<Problem> found_;
};

}  // namespace twinspool
