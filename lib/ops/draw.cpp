#include "ops/draw.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "util/utf8.h"

namespace twinspool::ops {

std::string bar(double fraction, std::size_t width) {
  const std::size_t inside = width > 2 ? width - 2 : 0;
  const double part = std::isfinite(fraction) ? std::clamp(fraction, 0.0, 1.0) : 0;
  const auto filled = static_cast<std::size_t>(part * static_cast<double>(inside));
  return "[" + std::string(filled, '#') + std::string(inside - filled, '.') + "]";
}

std::string sparkline(const std::deque<double>& values, std::size_t width, Charset charset) {
  constexpr std::array<std::string_view, 8> kBlocks = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  constexpr std::array<std::string_view, 8> kAscii = {"_", ".", ":", "-", "=", "+", "*", "#"};
  const auto& levels = charset == Charset::utf8 ? kBlocks : kAscii;
  const std::size_t count = std::min(values.size(), width);
  const auto first = values.end() - static_cast<std::ptrdiff_t>(count);
  const double highest = count == 0 ? 0 : *std::max_element(first, values.end());
  std::string text;
  for (auto value = first; value != values.end(); ++value) {
    const double part = highest > 0 ? std::clamp(*value / highest, 0.0, 1.0) : 0;
    text += levels[static_cast<std::size_t>(std::lround(part * 7))];
  }
  return text;
}

std::string coloured_by_state(std::string_view text, std::string_view state, Colour colour) {
  if (colour == Colour::off) return std::string(text);
  const char* code = state == "delivering" || state == "idle" ? "32" : state == "degraded" ? "31" : "33";
  return fmt::format("\033[1;{}m{}\033[0m", code, text);
}

std::string cut_line(std::string_view line, std::size_t columns) {
  std::string text;
  bool open = false;
  for (std::size_t at = 0; at < line.size();) {
    if (line[at] == '\033') {
      const std::size_t end = std::min(line.find('m', at), line.size() - 1);
      const std::string_view escape = line.substr(at, end - at + 1);
      text += escape;
      open = escape != "\033[0m";
      at = end + 1;
      continue;
    }
    if (columns-- == 0) break;
    const std::size_t length = std::max<std::size_t>(utf8_length_at(line, at), 1);
    text += line.substr(at, length);
    at += length;
  }
  return open ? text + "\033[0m" : text;
}

}  // namespace twinspool::ops
