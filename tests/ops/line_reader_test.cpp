#include "ops/line_reader.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <csignal>
#include <fstream>
#include <thread>

#include "support/catch.h"
#include "support/temp_dir.h"

using namespace twinspool;
using ops::Interrupt;
using ops::LineReader;

namespace {

LineReader reader_of(const TempDir& dir, const std::string& text, Interrupt& interrupt) {
  std::ofstream(dir.file("lines"), std::ios::binary) << text;
  auto reader = LineReader::open(dir.file("lines"), interrupt);
  REQUIRE(reader.has_value());
  return std::move(*reader);
}

std::string next(LineReader& reader) {
  const auto line = reader.next();
  REQUIRE(line.has_value());
  return line->value_or("END");
}

}  // namespace

TEST_CASE("lines come numbered, the last one also without its end", "[ops][line_reader]") {
  const TempDir dir;
  Interrupt interrupt;
  LineReader reader = reader_of(dir, "a\n\n" + std::string(100'000, 'b') + "\nc", interrupt);
  CHECK(next(reader) == "a");
  CHECK(next(reader).empty());
  CHECK(next(reader).size() == 100'000);
  CHECK(next(reader) == "c");
  CHECK(reader.number() == 4);
  CHECK(reader.part_read() == 1);
  CHECK(next(reader) == "END");
}

TEST_CASE("a line without end is refused with its number, and does not fill the memory", "[ops][line_reader]") {
  const TempDir dir;
  Interrupt interrupt;
  LineReader reader = reader_of(dir, "a\n" + std::string(3 * ops::kLineBytesMax, 'x'), interrupt);
  CHECK(next(reader) == "a");
  const auto line = reader.next();
  REQUIRE_FALSE(line.has_value());
  CHECK(line.error().what.find("line 2 is longer") != std::string::npos);
}

TEST_CASE("a file that is not there is named", "[ops][line_reader]") {
  Interrupt interrupt;
  const auto reader = LineReader::open("/no/such/file", interrupt);
  REQUIRE_FALSE(reader.has_value());
  CHECK(reader.error().what.find("/no/such/file cannot be read") != std::string::npos);
}

TEST_CASE("Ctrl-C ends a wait for a writer that says nothing", "[ops][line_reader][interrupt]") {
  const TempDir dir;
  REQUIRE(mkfifo(dir.file("pipe").c_str(), 0600) == 0);
  const int writer = open(dir.file("pipe").c_str(), O_RDWR);
  {
    Interrupt interrupt;
    auto reader = LineReader::open(dir.file("pipe"), interrupt);
    REQUIRE(reader.has_value());
    REQUIRE(kill(getpid(), SIGINT) == 0);
    const auto line = reader->next();
    REQUIRE_FALSE(line.has_value());
    CHECK(line.error().code == Errc::closed);
    CHECK_FALSE(interrupt.wait(std::chrono::hours(1)));
  }
  close(writer);
}

TEST_CASE("a wait that nobody ends takes its time", "[ops][interrupt]") {
  Interrupt interrupt;
  CHECK(interrupt.wait(std::chrono::milliseconds(1)));
}
