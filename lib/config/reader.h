// Reads a Tree into plain structs: each call names a key, so the keys that are accepted are the calls that were made.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/load_tree.h"
#include "util/time.h"

namespace twinspool {

// What one reading of a configuration finds; outlives the sections of it.
struct Reading {
  Problems problems;
  std::map<std::string, Place> places;  // of the keys that stand in the file
  std::vector<std::string> known;       // every key asked for, list entries as []: listen[].path
  struct Unknown {
    Place place;
    std::string section;
    std::string name;
  };
  std::vector<Unknown> unknown;

  Place place_of(const std::string& key) const;  // of the nearest key around it that stands in the file
  void report_unknown();                         // once, after all sections: with a suggestion where one is near
};

template <class T>
struct Range {
  T min;
  T max;
  bool or_zero = false;  // 0 is accepted too, below `min`
};

// A mapping. What it holds and nobody asked for is reported as unknown when the section ends.
class Section {
 public:
  Section(Reading& reading, const Tree* tree, std::string path);  // nullptr: it does not stand in the file
  ~Section();
  Section(Section&&) = delete;

  Section section(const std::string& key);
  const Tree* list(const std::string& key);  // nullptr where it does not stand in the file or is not a list

  void text(const std::string& key, std::string& into);
  void texts(const std::string& key, std::vector<std::string>& into);
  void flag(const std::string& key, bool& into);
  void mode(const std::string& key, unsigned& into);
  void count(const std::string& key, std::uint64_t& into, Range<std::uint64_t> range);
  void count(const std::string& key, std::uint32_t& into, Range<std::uint64_t> range);
  void number(const std::string& key, double& into, Range<double> range);
  void size(const std::string& key, std::uint64_t& into, Range<std::uint64_t> range);
  void duration(const std::string& key, Duration& into, Range<Duration> range);

  template <class Enum>
  void choice(const std::string& key, Enum& into, std::initializer_list<std::pair<std::string_view, Enum>> choices) {
    std::vector<std::string_view> names;
    for (const auto& [name, value] : choices) names.push_back(name);
    const auto chosen = one_of(key, names);
    if (!chosen) return;
    into = (choices.begin() + *chosen)->second;
  }
  void word(const std::string& key, std::string& into, std::initializer_list<std::string_view> words);

 private:
  std::string full(const std::string& key) const;
  const Tree* find(const std::string& key);
  std::optional<std::string> scalar(const std::string& key);  // environment expanded
  std::optional<std::string> expanded(const Tree& scalar, const std::string& key);
  std::optional<std::size_t> one_of(const std::string& key, std::span<const std::string_view> names);
  void problem(const std::string& key, std::string what);

  Reading& reading_;
  const Tree* tree_;
  const std::string path_;
  std::vector<std::string> asked_;
};

}  // namespace twinspool
