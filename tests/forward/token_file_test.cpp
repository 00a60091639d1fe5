#include "forward/token_file.h"

#include <sys/stat.h>

#include "support/catch.h"
#include "support/temp_dir.h"

namespace twinspool::forward {
namespace {

Result<std::string> get(TokenSource& source) {
  Result<std::string> result = fail(Errc::closed, "it did not answer");
  source.get([&](Result<std::string> got) { result = std::move(got); });
  return result;
}

struct Fixture {
  TempDir dir;
  net::EventLoop loop{net::EventLoop::Clock::manual};

  std::string write(const std::string& text, mode_t mode = 0640) {
    const std::string path = dir.write("token", text);
    ENSURE(::chmod(path.c_str(), mode) == 0);
    return path;
  }
  void pass(Duration time) {
    loop.advance(time);
    loop.run_turn();
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "a token is the one line of its file, without the white space around it",
                 "[forward][token]") {
  TokenFile source(loop, write(" \n eyJ0.abc-_.~+/=  \r\n\n"));
  const auto token = get(source);
  REQUIRE(token);
  CHECK(*token == "eyJ0.abc-_.~+/=");
}

TEST_CASE_METHOD(Fixture, "a file that cannot be a token is refused with its name but not its content",
                 "[forward][token]") {
  const std::string content = GENERATE(as<std::string>{}, "", " \n\n ", "one\ntwo", "one two", "caf\xc3\xa9", "a\x01z",
                                       std::string("a\0z", 3), std::string(kTokenFileBytesMax + 1, 'x'));
  const std::string path = write(content);
  TokenFile source(loop, path);
  const auto token = get(source);
  REQUIRE_FALSE(token);
  CHECK(token.error().code == Errc::invalid);
  CHECK(token.error().what.find(path) != std::string::npos);
  CHECK(token.error().what.find("one") == token.error().what.find("one line"));
  CHECK(token.error().what.size() < 1024);
}

TEST_CASE_METHOD(Fixture, "the largest token is taken", "[forward][token]") {
  TokenFile source(loop, write(std::string(kTokenFileBytesMax, 'x')));
  CHECK(get(source));
}

TEST_CASE_METHOD(Fixture, "a token that others may read or write is refused", "[forward][token]") {
  const mode_t mode = GENERATE(as<mode_t>{}, 0644, 0642, 0641);
  TokenFile source(loop, write("token", mode));
  const auto token = get(source);
  REQUIRE_FALSE(token);
  CHECK(token.error().what.find("chmod o=") != std::string::npos);
}

TEST_CASE_METHOD(Fixture, "a directory or a missing file is an error that ends with the file", "[forward][token]") {
  TokenFile directory(loop, dir.path().string());
  CHECK_FALSE(get(directory));
  TokenFile source(loop, dir.file("token"));
  CHECK_FALSE(get(source));
  write("late");
  CHECK_FALSE(get(source));  // looked at once a second at the most
  pass(std::chrono::seconds(1));
  REQUIRE(get(source));
  CHECK(*get(source) == "late");
}

TEST_CASE_METHOD(Fixture, "a changed file is read again within a second, an unchanged one is not", "[forward][token]") {
  TokenFile source(loop, write("first"));
  REQUIRE(get(source));
  write("other");
  CHECK(*get(source) == "first");
  pass(std::chrono::seconds(1));
  CHECK(*get(source) == "other");
}

TEST_CASE_METHOD(Fixture, "a file replaced by a bad one gives an error, not the old token", "[forward][token]") {
  TokenFile source(loop, write("first"));
  REQUIRE(get(source));
  write("two lines\nof text");
  pass(std::chrono::seconds(1));
  CHECK_FALSE(get(source));
}

TEST_CASE_METHOD(Fixture, "a refused token is looked for at once, a refusal of an older one changes nothing",
                 "[forward][token]") {
  TokenFile source(loop, write("first"));
  REQUIRE(get(source));
  write("other");
  source.refused("older");
  CHECK(*get(source) == "first");
  source.refused("first");
  CHECK(*get(source) == "other");
}

TEST_CASE_METHOD(Fixture, "the status tells a token from a failure, and neither shows the token", "[forward][token]") {
  TokenFile source(loop, dir.file("token"));
  CHECK(source.status().state == TokenStatus::State::none);
  CHECK_FALSE(get(source));
  CHECK(source.status().state == TokenStatus::State::failing);
  CHECK(source.status().last_error.find(dir.file("token")) != std::string::npos);
  write("s3cret");
  pass(std::chrono::seconds(1));
  CHECK(get(source));
  CHECK(source.status().state == TokenStatus::State::valid);
  CHECK(source.status().last_error.empty());
}

}  // namespace twinspool::forward
