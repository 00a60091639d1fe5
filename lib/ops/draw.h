// Bars and curves in characters. Pure.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

namespace twinspool::ops {

enum class Colour : bool { off, on };
enum class Charset : std::uint8_t { ascii, utf8 };

// [#####.....], `width` columns in all; `fraction` is cut to 0..1.
std::string bar(double fraction, std::size_t width);

// The newest `width` values, one column each, the highest of them at full height.
std::string sparkline(const std::deque<double>& values, std::size_t width, Charset charset);

// By the state of the daemon: green, yellow or red.
std::string coloured_by_state(std::string_view text, std::string_view state, Colour colour);

// A line cut to `columns`; colours take none, and none is left open.
std::string cut_line(std::string_view line, std::size_t columns);

}  // namespace twinspool::ops
