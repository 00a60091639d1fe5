#include "ops/screen.h"

#include <sys/ioctl.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace twinspool::ops {

namespace {

constexpr std::size_t kColumns = 80, kRows = 24;

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);  // one thread here
  return value == nullptr ? "" : value;
}

bool put(const std::string& text) { return std::fputs(text.c_str(), stdout) >= 0 && std::fflush(stdout) == 0; }

}  // namespace

TerminalSize terminal_size(int descriptor) {
  if (isatty(descriptor) != 1) return {};
  winsize size{};
  if (ioctl(descriptor, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return {kColumns, kRows};
  return {size.ws_col, size.ws_row};
}

Colour colour_of(int descriptor, bool wanted) {
  const bool can = isatty(descriptor) == 1 && environment("TERM") != "dumb";
  return wanted && can && environment("NO_COLOR").empty() ? Colour::on : Colour::off;
}

Charset charset_of_environment() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const std::string_view value = environment(name);
    if (value.empty()) continue;
    const bool utf8 = value.find("UTF-8") != std::string_view::npos || value.find("utf8") != std::string_view::npos;
    return utf8 ? Charset::utf8 : Charset::ascii;
  }
  return Charset::ascii;
}

Screen::Screen() { put("\033[?1049h\033[?25l\033[2J"); }

Screen::~Screen() { put("\033[?25h\033[?1049l"); }

bool Screen::draw(const std::string& frame) {
  const TerminalSize size = terminal_size(STDOUT_FILENO);
  std::string text = "\033[H";
  std::size_t row = 0;
  for (std::string_view rest = frame; !rest.empty() && row < size.rows; ++row) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    text += (row == 0 ? "" : "\r\n") + cut_line(line, size.columns) + "\033[K";
  }
  return put(text + "\033[J");
}

ProgressLine::ProgressLine() : columns_(terminal_size(STDERR_FILENO).columns) {}

void ProgressLine::wipe() {
  if (std::exchange(shown_, false)) std::fputs("\r\033[K", stderr);
}

void ProgressLine::show(const std::string& text) {
  if (columns_ == 0) return;
  std::fprintf(stderr, "\r%s\033[K", cut_line(text, columns_ - 1).c_str());
  shown_ = true;
}

}  // namespace twinspool::ops
