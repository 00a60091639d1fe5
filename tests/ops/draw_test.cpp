#include "ops/draw.h"

#include <cmath>

#include "support/catch.h"

using namespace twinspool::ops;

TEST_CASE("a bar is as wide as asked for, whatever the fraction", "[ops][draw]") {
  CHECK(bar(0.5, 12) == "[#####.....]");
  CHECK(bar(0, 12) == "[..........]");
  CHECK(bar(1, 12) == "[##########]");
  CHECK(bar(7, 12) == bar(1, 12));
  CHECK(bar(-7, 12) == bar(0, 12));
  CHECK(bar(std::nan(""), 12) == bar(0, 12));
}

TEST_CASE("a sparkline shows the newest values, the highest at full height", "[ops][draw]") {
  CHECK(sparkline({0, 1, 2, 7}, 10, Charset::utf8) == "▁▂▃█");
  CHECK(sparkline({0, 7, 0, 7}, 2, Charset::ascii) == "_#");
  CHECK(sparkline({0, 0}, 10, Charset::ascii) == "__");
  CHECK(sparkline({}, 10, Charset::utf8).empty());
}

TEST_CASE("a cut line has its columns and closes its colour", "[ops][draw]") {
  CHECK(cut_line("abcdef", 3) == "abc");
  CHECK(cut_line("▁▂▃█", 2) == "▁▂");
  const std::string red = coloured_by_state("degraded", "degraded", Colour::on);
  CHECK(red == "\033[1;31mdegraded\033[0m");
  CHECK(cut_line(red + " since", 3) == "\033[1;31mdeg\033[0m");
  CHECK(cut_line(red + " since", 10) == red + " s");
  CHECK(cut_line("a\033[", 10) == "a\033[\033[0m");
}

TEST_CASE("colour is by the state and only where asked for", "[ops][draw]") {
  CHECK(coloured_by_state("idle", "idle", Colour::on) == "\033[1;32midle\033[0m");
  CHECK(coloured_by_state("waiting", "waiting", Colour::on) == "\033[1;33mwaiting\033[0m");
  CHECK(coloured_by_state("waiting", "waiting", Colour::off) == "waiting");
}
