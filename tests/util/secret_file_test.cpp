#include "util/secret_file.h"

#include "support/catch.h"
#include "support/temp_dir.h"

namespace twinspool {
namespace {

struct Fixture {
  TempDir dir;
  std::string write(const std::string& text, mode_t mode = 0640) {
    const std::string path = dir.write("secret", text);
    ENSURE(::chmod(path.c_str(), mode) == 0);
    return path;
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "a secret line comes without the white space around it", "[util][secret]") {
  const auto line = read_secret_line("secret file", write(" \n s3cr~et= \r\n"), 64);
  REQUIRE(line);
  CHECK(line->text == "s3cr~et=");
}

TEST_CASE_METHOD(Fixture, "a whole secret file comes as it is, up to its limit", "[util][secret]") {
  CHECK(read_secret_file("key", write("a\nb\n"), 4)->text == "a\nb\n");
  const auto large = read_secret_file("key", write("a\nb\nc"), 4);
  REQUIRE_FALSE(large);
  CHECK(large.error().what == "key " + dir.file("secret") + ": it is larger than 4 bytes");
}

TEST_CASE_METHOD(Fixture, "a secret that others may use is refused, and the chmod is named", "[util][secret]") {
  const mode_t mode = GENERATE(as<mode_t>{}, 0644, 0602, 0641, 0777);
  const auto secret = read_secret_line("secret file", write("s3cret", mode), 64);
  REQUIRE_FALSE(secret);
  CHECK(secret.error().code == Errc::invalid);
  CHECK(secret.error().what.find("chmod o= " + dir.file("secret")) != std::string::npos);
  CHECK(secret.error().what.find("s3cret") == std::string::npos);
}

TEST_CASE_METHOD(Fixture, "what is no line, no file or not there is refused by its name", "[util][secret]") {
  CHECK(read_secret_line("secret file", write("one\ntwo"), 64).error().what.find("one line") != std::string::npos);
  CHECK(read_secret_line("secret file", write(" \n"), 64).error().what.find("empty") != std::string::npos);
  CHECK(read_secret_line("secret file", dir.path().string(), 64).error().what.find("regular") != std::string::npos);
  CHECK(read_secret_line("secret file", dir.file("none"), 64).error().what.find("none: No such") != std::string::npos);
}

TEST_CASE_METHOD(Fixture, "a mark tells a file from what it was before", "[util][secret]") {
  const std::string path = write("one");
  const auto before = FileMark::of(path);
  REQUIRE(before);
  CHECK(*before == read_secret_file("key", path, 64)->mark);
  write("other");
  CHECK_FALSE(*before == *FileMark::of(path));
  CHECK_FALSE(FileMark::of(dir.file("none")).has_value());
}

}  // namespace twinspool
