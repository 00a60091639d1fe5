#include "util/log.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <regex>
#include <string>
#include <thread>
#include <vector>

#include "support/catch.h"
#include "support/temp_dir.h"
#include "util/log_text.h"

using namespace twinspool;

namespace {

// stderr goes to a file while this lives.
class CapturedStderr {
 public:
  CapturedStderr() : saved_(dup(STDERR_FILENO)) {
    const int file = open(dir_.file("err").c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
    dup2(file, STDERR_FILENO);
    close(file);
  }
  ~CapturedStderr() {
    dup2(saved_, STDERR_FILENO);
    close(saved_);
    unsetenv("JOURNAL_STREAM");
    log::set_up(log::Level::info);
  }
  CapturedStderr(CapturedStderr&&) = delete;

  void pretend_journal() {
    struct stat actual {};
    fstat(STDERR_FILENO, &actual);
    setenv("JOURNAL_STREAM", (std::to_string(actual.st_dev) + ":" + std::to_string(actual.st_ino)).c_str(), 1);
  }
  std::string text() const { return dir_.read("err"); }

 private:
  TempDir dir_;
  int saved_;
};

}  // namespace

TEST_CASE("plain facts stand bare, others are quoted", "[util][log]") {
  CHECK(log::event_text("forward.retry", {{"twin", "pump"}, {"delay_ms", 500}, {"up", true}}) ==
        "forward.retry twin=pump delay_ms=500 up=true");
  CHECK(log::event_text("e", {{"a", "x y"}, {"b", ""}, {"c", "k=v"}, {"d", "\u00E9"}}) ==
        "e a=\"x y\" b=\"\" c=\"k=v\" d=\u00E9");
  CHECK(log::event_text("e", {}) == "e");
}

TEST_CASE("no value can make a second line, close its quotes or break the encoding", "[util][log]") {
  CHECK(log::event_text("e", {{"a", "x\ny\r\t"}}) == R"(e a="x\ny\r\t")");
  CHECK(log::event_text("e", {{"a", "\" b=\"1\\"}}) == R"(e a="\" b=\"1\\")");
  CHECK(log::event_text("e", {{"a", std::string("\0\x1b[31m\x7f", 7)}}) == R"(e a="\x00\x1b[31m\x7f")");
  CHECK(log::event_text("e", {{"a", "\xff\xC3"}}) == R"(e a="\xff\xc3")");
  CHECK(log::event_text("e", {{"a", "\u0085\u2028"}}) == R"(e a="\xc2\x85\xe2\x80\xa8")");
}

TEST_CASE("an event below the level is not written, and the level can change", "[util][log]") {
  const CapturedStderr captured;
  log::set_up(log::Level::warn);
  log::info("hidden");
  log::warn("shown", {{"n", 1}});
  log::set_level(log::Level::debug);
  log::debug("detail");
  static const std::regex expected(
      "\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z warn shown n=1\n"
      "\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z debug detail\n");
  INFO(captured.text());
  CHECK(std::regex_match(captured.text(), expected));
}

TEST_CASE("without the journal's socket its lines get priorities and no time stamp", "[util][log]") {
  CapturedStderr captured;
  captured.pretend_journal();
  log::set_up(log::Level::debug, log::Format::text, "/nowhere/socket");
  log::debug("a");
  log::info("b");
  log::warn("c", {{"x", "1 2"}});
  log::error("d");
  CHECK(captured.text() == "<7>a\n<6>b\n<4>c x=\"1 2\"\n<3>d\n");
}

TEST_CASE("as JSON an event is one object on one line, whatever a value holds", "[util][log]") {
  CapturedStderr captured;
  log::set_up(log::Level::info, log::Format::json);
  log::warn("a.b", {{"text", "x\ny \"z\" \xff"}, {"number", -5}, {"flag", true}, {"digits", "12"}});
  static const std::regex expected(R"(\{"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z","level":"warn","event":"a\.b",)"
                                   R"("text":"x\\ny \\"z\\" \xEF\xBF\xBD","number":-5,"flag":true,"digits":"12"\}\n)");
  INFO(captured.text());
  CHECK(std::regex_match(captured.text(), expected));
}

TEST_CASE("what the journal's socket takes does not go to stderr", "[util][log]") {
  CapturedStderr captured;
  captured.pretend_journal();
  const TempDir dir;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  dir.file("journal").copy(address.sun_path, sizeof address.sun_path - 1);
  const int journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  REQUIRE(bind(journal, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  log::set_up(log::Level::info, log::Format::text, dir.file("journal"));
  log::warn("c", {{"x", 1}});
  char entry[256] = {};
  const auto size = recv(journal, entry, sizeof entry, 0);
  close(journal);
  REQUIRE(size > 0);
  CHECK(std::string(entry, static_cast<std::size_t>(size)) ==
        "MESSAGE=c x=1\nPRIORITY=4\nSYSLOG_IDENTIFIER=twinspoold\nTWINSPOOL_EVENT=c\nTWINSPOOL_X=1\n");
  log::error("d");  // the journal is gone
  CHECK(captured.text() == "<3>d\n");
}

TEST_CASE("JSON in the journal has its priority, too", "[util][log]") {
  CapturedStderr captured;
  captured.pretend_journal();
  log::set_up(log::Level::info, log::Format::json, "/nowhere/socket");
  log::error("d", {{"x", 1}});
  CHECK(captured.text().starts_with(R"(<3>{"time":")"));
  CHECK(captured.text().ends_with("\"level\":\"error\",\"event\":\"d\",\"x\":1}\n"));
}

TEST_CASE("an inherited JOURNAL_STREAM of another stream is not the journal", "[util][log]") {
  const CapturedStderr captured;
  setenv("JOURNAL_STREAM", "1:2", 1);
  log::set_up(log::Level::info);
  log::info("a");
  CHECK(captured.text().find("Z info a\n") != std::string::npos);
}

TEST_CASE("braces and percent signs of a value are not a format", "[util][log]") {
  const CapturedStderr captured;
  log::set_up(log::Level::info);
  log::info("a", {{"v", "{}%v%n{0}"}});
  CHECK(captured.text().find("a v={}%v%n{0}\n") != std::string::npos);
}

TEST_CASE("lines of several threads do not mix", "[util][log]") {
  const CapturedStderr captured;
  log::set_up(log::Level::info);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([] {
      for (int i = 0; i < 100; ++i) log::info("thread.line", {{"v", std::string(200, 'x')}});
    });
  }
  for (std::thread& thread : threads) thread.join();
  static const std::regex line(".{24} info thread\\.line v=x{200}");
  std::istringstream lines(captured.text());
  int good = 0;
  for (std::string text; std::getline(lines, text);) good += std::regex_match(text, line) ? 1 : 1000;
  CHECK(good == 400);
}
