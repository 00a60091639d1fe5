#include <string>
#include <vector>

#include "http/parser.h"
#include "support/catch.h"

using namespace twinspool;
using http::Fault;
using http::ParserLimits;
using http::Response;
using http::ResponseParser;

namespace {

struct Heard {
  std::vector<Response> answers;
  std::string log;
  Fault fault = Fault::none;
  bool whole = false;  // what end() says
};

Heard parse(std::string_view bytes, std::size_t step = static_cast<std::size_t>(-1), const ParserLimits& limits = {},
            bool head_answer = false) {
  Heard heard;
  ResponseParser parser(limits, [&](Response&& response, bool keep_alive) {
    heard.log += std::to_string(response.status) + ' ' + response.body + (keep_alive ? " keep\n" : " close\n");
    heard.answers.push_back(std::move(response));
  });
  parser.expect_head_answer(head_answer);
  while (!bytes.empty()) {
    const std::size_t eaten = parser.feed(bytes.substr(0, step));
    if (eaten == 0) break;
    bytes.remove_prefix(eaten);
  }
  heard.fault = parser.fault();
  heard.whole = parser.end().has_value();
  return heard;
}

}  // namespace

TEST_CASE("answers are read in any split", "[http][parser]") {
  const struct {
    std::string bytes;
    std::string log;
  } vectors[] = {
      {"HTTP/1.1 204 No Content\r\n\r\n", "204  keep\n"},
      {"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
       "204  keep\n200 ok keep\n"},
      {"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", "200 ok keep\n"},
      {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nA: b\r\n\r\nHTTP/1.1 400 No\r\nContent-Length: 1\r\n\r\nx",
       "400 x keep\n"},
      {"HTTP/1.1 429 Slow\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\nA: b\r\n\r\n",
       "429 abcde keep\n"},
      {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nokdropped", "200 ok close\n"},
      {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "200 ok close\n"},
      {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", "200 ok keep\n"},
      {"HTTP/1.0 200 OK\r\n\r\nuntil the end", "200 until the end close\n"},
      {"HTTP/1.1 502 Bad\r\nContent-Type: text/html\r\n\r\n<html>", "502 <html> close\n"},
      {"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "304  keep\n"},
      {"HTTP/1.1 500 \xc3\x9c"
       "ps\r\nContent-Length: 0\r\n\r\n",
       "500  keep\n"},
  };
  for (const auto& vector : vectors) {
    INFO(vector.bytes);
    for (const std::size_t step : {std::size_t{1}, std::size_t{2}, std::size_t{7}, vector.bytes.size()}) {
      const Heard heard = parse(vector.bytes, step);
      CHECK(heard.log == vector.log);
      CHECK(heard.fault == Fault::none);
      CHECK(heard.whole);
    }
  }
}

TEST_CASE("answers that could be taken for something else are refused", "[http][parser]") {
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  const struct {
    std::string bytes;
    Fault fault;
  } vectors[] = {
      {"garbage\r\n\r\n", Fault::malformed},
      {"\r\nHTTP/1.1 204 No Content\r\n\r\n", Fault::malformed},
      {"HTTP/2.0 200 OK\r\n\r\n", Fault::version},
      {"HTTP/0.9 200 OK\r\n\r\n", Fault::version},
      {"HTTP/1.1 20 OK\r\n\r\n", Fault::malformed},
      {"HTTP/1.1 2000 OK\r\n\r\n", Fault::malformed},
      {"HTTP/1.1 099 OK\r\n\r\n", Fault::malformed},
      {"HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n", Fault::malformed},
      {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", Fault::malformed},
      {"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", Fault::malformed},
      {"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Fault::malformed},
      {"HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\nhello", Fault::malformed},
      {ok + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Fault::malformed},
      {ok + "Content-Length: 2\r\nContent-Length: 2\r\n\r\nok", Fault::malformed},
      {ok + "Transfer-Encoding: gzip\r\n\r\nx", Fault::malformed},
      {ok + "A: b\r\n c\r\nContent-Length: 0\r\n\r\n", Fault::malformed},
      {ok + "Content-Length: 2\n\r\nok", Fault::malformed},
      {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Fault::malformed},
      {ok + "A: " + std::string(20000, 'a') + "\r\n\r\n", Fault::head_too_large},
  };
  for (const auto& vector : vectors) {
    INFO(vector.bytes.substr(0, 100));
    for (const std::size_t step : {std::size_t{1}, std::size_t{3}, vector.bytes.size()}) {
      const Heard heard = parse(vector.bytes, step);
      CHECK(heard.fault == vector.fault);
      CHECK(heard.answers.empty());
      CHECK_FALSE(heard.whole);
    }
  }
}

TEST_CASE("informational answers without end are refused", "[http][parser]") {
  std::string bytes;
  for (int i = 0; i < 100; ++i) bytes += "HTTP/1.1 100 Continue\r\n\r\n";
  CHECK(parse(bytes).fault == Fault::malformed);
}

TEST_CASE("an answer cut anywhere is not whole", "[http][parser]") {
  for (const std::string& bytes : {std::string("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
                                   std::string("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: "
                                               "chunked\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n"),
                                   std::string("HTTP/1.0 204 No Content\r\n\r\n")}) {
    REQUIRE(parse(bytes).answers.size() == 1);
    for (std::size_t size = 1; size < bytes.size(); ++size) {
      INFO(bytes.substr(0, size));
      const Heard heard = parse(bytes.substr(0, size));
      CHECK(heard.answers.empty());
      const bool between_answers = bytes.substr(0, size).ends_with("Continue\r\n\r\n");
      CHECK(heard.whole == between_answers);  // no byte of an answer is missing there: there is just none
    }
  }
}

TEST_CASE("a body over the limit is cut and its status survives", "[http][parser]") {
  const ParserLimits limits{.body_bytes_max = 4};
  for (const std::size_t step : {std::size_t{1}, std::size_t{1000}}) {
    CHECK(parse("HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\n0123", step, limits).log == "503 0123 keep\n");
    CHECK(parse("HTTP/1.1 503 No\r\nContent-Length: 9\r\n\r\n012345678HTTP/1.1 204 X\r\n\r\n", step, limits).log ==
          "503 0123 close\n");
    CHECK(parse("HTTP/1.1 503 No\r\n\r\n012345678", step, limits).log == "503 0123 close\n");
  }
}

TEST_CASE("the answer to HEAD has no body, whatever length it states", "[http][parser]") {
  const Heard heard =
      parse("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            static_cast<std::size_t>(-1), {}, true);
  CHECK(heard.log == "200  keep\n200 ok keep\n");
}
