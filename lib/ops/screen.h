// The terminal below the live views: what it can do, and frames that replace each other.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <string>

#include "ops/draw.h"

namespace twinspool::ops {

struct TerminalSize {
  std::size_t columns = 0, rows = 0;  // 0: no terminal
};
TerminalSize terminal_size(int descriptor);

// On a terminal that is not dumb, unless NO_COLOR is set or `wanted` is false.
Colour colour_of(int descriptor, bool wanted);
Charset charset_of_environment();  // LC_ALL, LC_CTYPE, LANG

// Draws on the terminal's other screen, cut to its size, without a cursor; its end brings the old screen back. Who ends
// by a signal must let it end first (ops/interrupt.h).
class Screen {
 public:
  Screen();
  ~Screen();
  Screen(Screen&&) = delete;
  bool draw(const std::string& frame);  // lines; false: the terminal is gone
};

// A line on stderr that is written over, for verbs that take a while: nothing where that is no terminal.
class ProgressLine {
 public:
  ProgressLine();
  ~ProgressLine() { wipe(); }
  ProgressLine(ProgressLine&&) = delete;
  void show(const std::string& text);
  void wipe();  // before anything else is written

 private:
  std::size_t columns_ = 0;
  bool shown_ = false;
};

}  // namespace twinspool::ops
