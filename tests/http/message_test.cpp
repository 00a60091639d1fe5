#include "http/message.h"

#include "support/catch.h"

using namespace twinspool;
using http::Headers;

TEST_CASE("headers are found without regard to case, in the order they came", "[http][message]") {
  Headers headers{{"Message-Id", "1"}, {"X", ""}, {"message-id", "2"}};

  CHECK(headers.get("MESSAGE-ID") == "1");
  CHECK(headers.count("message-ID") == 2);
  CHECK(headers.get("x") == "");
  CHECK(headers.get("Message-I") == std::nullopt);
  CHECK(headers.at(2) == std::pair<std::string_view, std::string_view>{"message-id", "2"});
  headers.clear();
  CHECK(headers.size() == 0);
}

TEST_CASE("a request goes out with the length of its body", "[http][message]") {
  const http::Request post{.method = "POST", .target = "/a?b=c", .headers = {{"Host", "x"}}, .body = "{}"};
  CHECK(http::serialize(post) == "POST /a?b=c HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}");
  const http::Request empty{.method = "POST", .target = "/", .headers = {{"Host", "x"}}, .body = ""};
  CHECK(http::serialize(empty) == "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
  const http::Request get{.method = "GET", .target = "/", .headers = {{"Host", "x"}}, .body = ""};
  CHECK(http::serialize(get) == "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
}

TEST_CASE("a 204 has no length, every other answer has one", "[http][message]") {
  CHECK(http::serialize(http::Response{.status = 204, .headers = {{"A", "b"}}, .body = ""}, true) ==
        "HTTP/1.1 204 No Content\r\nA: b\r\n\r\n");
  CHECK(http::serialize(http::Response{.status = 400, .headers = {}, .body = ""}, false) ==
        "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  CHECK(http::serialize(http::Response{.status = 299, .headers = {}, .body = "x"}, true)
            .starts_with("HTTP/1.1 299 Status\r\n"));
}

TEST_CASE("the answer to HEAD has the body's length but not the body", "[http][message]") {
  std::string out;
  http::append_response(out, {.status = 200, .headers = {}, .body = "hello"}, {.head_only = true, .date = "then"});
  CHECK(out == "HTTP/1.1 200 OK\r\nDate: then\r\nContent-Length: 5\r\n\r\n");
}

TEST_CASE("a value with a line break cannot add a header", "[http][message]") {
  const http::Request request{
      .method = "GET", .target = "/", .headers = {{"Host", "x"}, {"A", "b\r\nEvil: 1"}}, .body = ""};
  CHECK(http::serialize(request) == "GET / HTTP/1.1\r\nHost: x\r\nA: b  Evil: 1\r\n\r\n");
}
