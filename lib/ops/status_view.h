// The daemon's status document as texts for people. What it lacks is "?"; control characters never get through. Pure.
#pragma once

#include <string>
#include <string_view>

#include "util/json.h"

namespace twinspool::ops {

class StatusView {
 public:
  explicit StatusView(const json::Document& status) : status_(status) {}

  std::string text(std::string_view path) const;
  double number(std::string_view path) const;           // 0 where there is none
  std::string count(std::string_view path) const;       // 1,234,567
  std::string bytes(std::string_view path) const;       // 3.2 MiB
  std::string seconds(std::string_view path) const;     // 4h 10m
  std::string moment(std::string_view path) const;      // 2026-11-23 20:20:41 UTC
  std::string per_second(std::string_view path) const;  // 12/s

  bool is(std::string_view path, std::string_view value) const { return status_.value(path) == value; }
  bool some(std::string_view path) const { return number(path) > 0; }
  bool known(std::string_view path) const;  // there, and not null
  bool has_text(std::string_view path) const { return !status_.value(path).value_or("").empty(); }
  std::size_t size(std::string_view path) const { return status_.size(path); }

  // "drained in about 12m (110/s go out, 10/s come in)"
  std::string outlook() const;

 private:
  const json::Document& status_;
};

std::string human_rate(double per_second);  // 12/s, 0.3/s
std::string human_seconds(double seconds);  // 4h 10m; never negative

}  // namespace twinspool::ops
