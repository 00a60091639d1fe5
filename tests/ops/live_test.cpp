#include "ops/live.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "ops/text.h"
#include "support/catch.h"

using namespace twinspool;
using namespace std::chrono_literals;
using ops::Charset;
using ops::Colour;

namespace {

const TimePoint kStart = TimePoint(1h);

json::Document status(int queued, int accepted, const std::string& state = "delivering", const std::string& why = "") {
  auto document = json::Document::parse(fmt::format(
      R"({{"state":"{}","why":"{}","since":"2026-11-23T20:20:41.123Z","queue":{{"messages":{},"bytes":3355443,
"oldest_age_seconds":15041.2}},"totals":{{"accepted":{},"delivered":{},"quarantined":0,"dropped":0}},
"lanes":{{"held":2}}}})",
      state, why, queued, accepted, accepted - queued));
  REQUIRE(document.has_value());
  return *document;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a drain shows how far it is, how fast, and when it ends", "[ops][live]") {
  ops::DrainView view;
  view.add(kStart, status(1000, 1000));
  CHECK(has(view.frame(Colour::off, Charset::ascii), "Empty in    not in sight\n"));
  view.add(kStart + 1s, status(900, 1010));
  view.add(kStart + 2s, status(800, 1020));
  const std::string frame = view.frame(Colour::off, Charset::ascii);
  INFO(frame);
  CHECK(has(frame, "Queue       800 messages, 3.2 MiB\n"));
  CHECK(has(frame, "Drained     [#######...............................] 20%\n"));
  CHECK(has(frame, "Empty in    about 8s\n"));
  CHECK(has(frame, "Goes out    ## 110/s\n"));
  CHECK(has(frame, "Comes in    ## 10/s\n"));
  CHECK(lines_of(frame).size() <= 10);
  for (const std::string& line : lines_of(frame)) CHECK(ops::columns_of(line) <= 80);
  CHECK(lines_of(view.line()).size() == 1);
  CHECK(has(view.line(), "800 messages wait, 20% drained"));
  CHECK_FALSE(view.drained());
  view.add(kStart + 3s, status(0, 1020));
  CHECK(view.drained());
}

TEST_CASE("what waits at the end is told with its cause", "[ops][live]") {
  ops::DrainView view;
  view.add(kStart, status(7, 10, "waiting", "no route \\u001b[2J to the cloud"));
  CHECK(view.what_waits() == "7 messages still wait, the oldest for 4h 10m; waiting: no route ?[2J to the cloud");
  CHECK(has(view.frame(Colour::off, Charset::ascii), "Why         no route ?[2J to the cloud\n"));
  view.add(kStart + 1s, status(7, 10));
  CHECK(has(view.what_waits(), "delivering: 0/s go out, 0/s come in; 2 twins are held: twinspool lanes"));
  const auto result = json::Document::parse(view.as_json(90s));
  REQUIRE(result.has_value());
  CHECK(result->value("drained") == "false");
  CHECK(result->integer("messages") == 7);
}

TEST_CASE("colour and blocks are drawn only where asked for", "[ops][live]") {
  ops::DrainView view;
  for (int n = 0; n < 100; ++n) view.add(kStart + n * 1s, status(1000, 1000 + 10 * n));
  CHECK(has(view.frame(Colour::on, Charset::utf8), "\033[1;32mdelivering\033[0m"));
  CHECK(has(view.frame(Colour::on, Charset::utf8), "█"));
  const std::string plain = view.frame(Colour::off, Charset::ascii);
  CHECK(std::all_of(plain.begin(), plain.end(), [](char c) { return c == '\n' || (c >= 0x20 && c < 0x7F); }));
}

TEST_CASE("a watch fits the screen, with its curves, however low that is", "[ops][live]") {
  ops::RateHistory rates;
  rates.add(kStart, status(1000, 1000));
  rates.add(kStart + 1s, status(900, 1000));
  for (const std::size_t lines : {3, 10, 24, 60}) {
    const std::string frame = ops::watch_frame(status(900, 1000), rates, lines, Colour::off, Charset::ascii);
    CHECK(lines_of(frame).size() <= lines);
    CHECK(has(frame, "Goes out    # 100/s\n"));
  }
}
