#include <string>
#include <vector>

#include "http/parser.h"
#include "support/catch.h"

using namespace twinspool;
using http::Fault;
using http::ParserLimits;
using http::Request;
using http::RequestParser;
using namespace std::string_literals;

namespace {

struct Heard {
  std::vector<Request> requests;
  std::string log;  // one line an event, everything in it
  Fault fault = Fault::none;
  std::string reason;
  bool in_message = false;
};

constexpr std::size_t kWhole = static_cast<std::size_t>(-1);

std::string describe(const Request& request) {
  std::string text = request.method + '|' + request.target;
  for (std::size_t i = 0; i < request.headers.size(); ++i) {
    text += '|' + std::string(request.headers.at(i).first) + '=' + std::string(request.headers.at(i).second);
  }
  return text + '|' + request.body;
}

// Feeds `bytes` in pieces: one of `first` bytes, then pieces of `step`.
Heard parse(std::string_view bytes, std::size_t first = kWhole, std::size_t step = kWhole,
            const ParserLimits& limits = {}, bool drop_body = false) {
  Heard heard;
  RequestParser parser(limits, {.on_head =
                                    [&](const Request& head) {
                                      heard.log += "head " + describe(head) + '\n';
                                      return RequestParser::Admission{limits.body_bytes_max, drop_body};
                                    },
                                .on_request =
                                    [&](Request&& request, bool keep_alive, bool too_large) {
                                      heard.log += "request " + describe(request) + (keep_alive ? " keep" : " close") +
                                                   (too_large ? " too large\n" : "\n");
                                      heard.requests.push_back(std::move(request));
                                    }});
  for (std::size_t size = first; !bytes.empty() && parser.fault() == Fault::none; size = step) {
    const std::size_t eaten = parser.feed(bytes.substr(0, size));
    if (eaten == 0) break;
    bytes.remove_prefix(eaten);
  }
  heard.fault = parser.fault();
  heard.reason = parser.fault_reason();
  heard.in_message = parser.in_message();
  return heard;
}

std::string post(const std::string& headers, const std::string& body = "") {
  return "POST /t HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n" + body;
}

const std::string kNext = "GET /next HTTP/1.1\r\nHost: x\r\n\r\n";

struct Vector {
  const char* name;
  std::string bytes;
  Fault fault;
};

const std::vector<Vector>& refused() {
  static const std::vector<Vector> kVectors = {
      // Two readers could see two lengths.
      {"Content-Length with Transfer-Encoding",
       post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), Fault::malformed},
      {"Transfer-Encoding with Content-Length",
       post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), Fault::malformed},
      {"two different lengths", post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello!"), Fault::malformed},
      {"the same length twice", post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), Fault::malformed},
      {"a list of lengths", post("Content-Length: 5, 5\r\n", "hello"), Fault::malformed},
      {"a length with a sign", post("Content-Length: +5\r\n", "hello"), Fault::malformed},
      {"a negative length", post("Content-Length: -5\r\n", "hello"), Fault::malformed},
      {"a hexadecimal length", post("Content-Length: 0x5\r\n", "hello"), Fault::malformed},
      {"a length with a space inside", post("Content-Length: 1 0\r\n", "helloworld"), Fault::malformed},
      {"a length over 64 bits", post("Content-Length: 18446744073709551621\r\n", "hello"), Fault::malformed},
      {"an empty length", post("Content-Length:\r\n", "hello"), Fault::malformed},
      {"a length with a fraction", post("Content-Length: 5.0\r\n", "hello"), Fault::malformed},
      // Codings that somebody may decode differently.
      {"identity coding", post("Transfer-Encoding: identity\r\n", ""), Fault::malformed},
      {"gzip, chunked", post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), Fault::malformed},
      {"chunked, identity", post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"), Fault::malformed},
      {"chunked twice in one header", post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"), Fault::malformed},
      {"chunked in two headers", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
       Fault::malformed},
      {"chunked with a parameter", post("Transfer-Encoding: chunked;q=1\r\n", "0\r\n\r\n"), Fault::malformed},
      {"xchunked", post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), Fault::malformed},
      {"quoted chunked", post("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n"), Fault::malformed},
      {"an empty coding", post("Transfer-Encoding:\r\n", "0\r\n\r\n"), Fault::malformed},
      {"a vertical tab before chunked",
       post("Transfer-Encoding: \x0b"
            "chunked\r\n",
            "0\r\n\r\n"),
       Fault::malformed},
      {"a folded coding", post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"), Fault::malformed},
      {"a coding with a space before its colon", post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"),
       Fault::malformed},
      {"a coding whose name has an underscore is no coding",
       post("Transfer_Encoding: chunked\r\nContent-Length: 5\r\nContent-Length : 3\r\n", ""), Fault::malformed},
      // Chunks.
      {"a chunk size with a sign", post("Transfer-Encoding: chunked\r\n", "+5\r\nhello\r\n0\r\n\r\n"),
       Fault::malformed},
      {"a chunk size with 0x", post("Transfer-Encoding: chunked\r\n", "0x5\r\nhello\r\n0\r\n\r\n"), Fault::malformed},
      {"a chunk size over 64 bits", post("Transfer-Encoding: chunked\r\n", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
       Fault::malformed},
      {"an empty chunk size", post("Transfer-Encoding: chunked\r\n", "\r\nhello\r\n0\r\n\r\n"), Fault::malformed},
      {"a chunk longer than its size", post("Transfer-Encoding: chunked\r\n", "5\r\nhelloX\r\n0\r\n\r\n"),
       Fault::malformed},
      {"LF after a chunk size", post("Transfer-Encoding: chunked\r\n", "5\nhello\r\n0\r\n\r\n"), Fault::malformed},
      {"LF after a chunk", post("Transfer-Encoding: chunked\r\n", "5\r\nhello\n0\r\n\r\n"), Fault::malformed},
      {"LF ends a chunk extension", post("Transfer-Encoding: chunked\r\n", "5;a\nhello\r\n0\r\n\r\n"),
       Fault::malformed},
      {"CR alone in a chunk extension", post("Transfer-Encoding: chunked\r\n", "5;a\rb\r\nhello\r\n0\r\n\r\n"),
       Fault::malformed},
      {"LF ends the trailers", post("Transfer-Encoding: chunked\r\n", "0\r\na: b\n\n"), Fault::malformed},
      {"a folded trailer", post("Transfer-Encoding: chunked\r\n", "0\r\na: b\r\n c\r\n\r\n"), Fault::malformed},
      {"a chunk extension without end",
       post("Transfer-Encoding: chunked\r\n", "5;" + std::string(2000, 'a') + "\r\nhello\r\n0\r\n\r\n"),
       Fault::malformed},
      // Lines.
      {"LF ends the request line", "GET / HTTP/1.1\nHost: x\r\n\r\n", Fault::malformed},
      {"LF ends a header", "GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n", Fault::malformed},
      {"LF ends the head", "GET / HTTP/1.1\r\nHost: x\r\n\n", Fault::malformed},
      {"CR alone in a value", post("A: b\rContent-Length: 5\r\n", ""), Fault::malformed},
      {"CR alone ends the head", "GET / HTTP/1.1\r\nHost: x\r\n\rGET", Fault::malformed},
      {"two CR", "GET / HTTP/1.1\r\r\nHost: x\r\n\r\n", Fault::malformed},
      {"a folded header", post("A: b\r\n c\r\n", ""), Fault::malformed},
      {"a header folded by a tab", post("A: b\r\n\tc\r\n", ""), Fault::malformed},
      {"white space before the first header", "GET / HTTP/1.1\r\n Host: x\r\n\r\n", Fault::malformed},
      {"two empty lines before the request", "\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", Fault::malformed},
      // Headers.
      {"a header without a name", post(": b\r\n", ""), Fault::malformed},
      {"a header without a colon", post("abc\r\n", ""), Fault::malformed},
      {"a space before the colon", "GET / HTTP/1.1\r\nHost : x\r\n\r\n", Fault::malformed},
      {"a space in a name", post("A B: c\r\n", ""), Fault::malformed},
      {"an 8-bit name", post("A\xff: c\r\n", ""), Fault::malformed},
      {"NUL in a value", post(std::string("A: b\0c\r\n", 8), ""), Fault::malformed},
      {"NUL in a name", post(std::string("A\0: b\r\n", 7), ""), Fault::malformed},
      {"ESC in a value", post("A: \x1b[31m\r\n", ""), Fault::malformed},
      {"DEL in a value", post("A: b\x7f\r\n", ""), Fault::malformed},
      {"no Host", "GET / HTTP/1.1\r\nA: b\r\n\r\n", Fault::malformed},
      {"no header at all", "GET / HTTP/1.1\r\n\r\n", Fault::malformed},
      {"two Hosts", "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", Fault::malformed},
      {"two hosts in one Host", "GET / HTTP/1.1\r\nHost: x, y\r\n\r\n", Fault::malformed},
      {"a path in Host", "GET / HTTP/1.1\r\nHost: x/y\r\n\r\n", Fault::malformed},
      // Request lines.
      {"HTTP/1.0", "GET / HTTP/1.0\r\nHost: x\r\n\r\n", Fault::version},
      {"HTTP/0.9", "GET /\r\n\r\n", Fault::malformed},
      {"HTTP/1.2", "GET / HTTP/1.2\r\nHost: x\r\n\r\n", Fault::version},
      {"HTTP/2.0", "GET / HTTP/2.0\r\nHost: x\r\n\r\n", Fault::version},
      {"the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Fault::version},
      {"HTTP/1.10", "GET / HTTP/1.10\r\nHost: x\r\n\r\n", Fault::malformed},
      {"http/1.1", "GET / http/1.1\r\nHost: x\r\n\r\n", Fault::malformed},
      {"two spaces before the version", "GET /  HTTP/1.1\r\nHost: x\r\n\r\n", Fault::malformed},
      {"a space in the target", "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", Fault::malformed},
      {"an 8-bit target", "GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", Fault::malformed},
      {"a tab in the request line", "GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n", Fault::malformed},
      {"CONNECT", "CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n", Fault::malformed},
      {"an unknown method", "FETCH / HTTP/1.1\r\nHost: x\r\n\r\n", Fault::malformed},
      {"a method in lower case", "get / HTTP/1.1\r\nHost: x\r\n\r\n", Fault::malformed},
      {"a TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", Fault::malformed},
      {"an answer instead of a request", "HTTP/1.1 200 OK\r\nHost: x\r\n\r\n", Fault::malformed},
  };
  return kVectors;
}

}  // namespace

TEST_CASE("what two readers could take for two things is refused, and nothing after it is read", "[http][parser]") {
  for (const Vector& vector : refused()) {
    INFO(vector.name);
    const Heard heard = parse(vector.bytes + kNext);
    CHECK(heard.fault == vector.fault);
    CHECK_FALSE(heard.reason.empty());
    CHECK(heard.requests.empty());
  }
}

TEST_CASE("no split changes what is refused", "[http][parser]") {
  for (const Vector& vector : refused()) {
    INFO(vector.name);
    const std::string bytes = vector.bytes + kNext;
    const Heard whole = parse(bytes);
    for (std::size_t at = 1; at<bytes.size(); at += bytes.size()> 1000 ? 97 : 1) {
      const Heard split = parse(bytes, at);
      REQUIRE(split.fault == whole.fault);
      REQUIRE(split.log == whole.log);
    }
    CHECK(parse(bytes, 1, 1).fault == whole.fault);
  }
}

TEST_CASE("unusual but clear requests are read", "[http][parser]") {
  struct {
    const char* name;
    std::string bytes;
    std::string body;
  } const vectors[] = {
      {"an empty line before the request", "\r\n" + post("Content-Length: 2\r\n", "ok"), "ok"},
      {"chunked in capitals", post("Transfer-Encoding: CHUNKED\r\n", "2\r\nok\r\n0\r\n\r\n"), "ok"},
      {"white space around the length", post("Content-Length:   2  \r\n", "ok"), "ok"},
      {"a length with zeros", post("Content-Length: 0002\r\n", "ok"), "ok"},
      {"a body with line ends", post("Content-Length: 4\r\n", "\r\n\r\n"), "\r\n\r\n"},
      {"a chunk extension", post("Transfer-Encoding: chunked\r\n", "2;a=b\r\nok\r\n0\r\n\r\n"), "ok"},
      {"a chunk size in capitals", post("Transfer-Encoding: chunked\r\n", "A\r\n0123456789\r\n0\r\n\r\n"),
       "0123456789"},
      {"trailers",
       post("Transfer-Encoding: chunked\r\n", "2\r\nok\r\n0\r\nMessage-Id: evil\r\nContent-Length: 9\r\n\r\n"), "ok"},
      {"an empty chunked body", post("Transfer-Encoding: chunked\r\n", "0\r\n\r\n"), ""},
      {"an offer to upgrade", post("Upgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 2\r\n", "ok"), "ok"},
      {"an offer to upgrade without a body", post("Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n"), ""},
      {"UTF-8 in a value", post("A: \xc3\xa9\r\nContent-Length: 2\r\n", "ok"), "ok"},
      {"an empty value", post("A:\r\nContent-Length: 2\r\n", "ok"), "ok"},
      {"no space after a colon", post("Content-Length:2\r\n", "ok"), "ok"},
  };
  for (const auto& vector : vectors) {
    INFO(vector.name);
    const std::string bytes = vector.bytes + kNext;
    const Heard whole = parse(bytes);
    INFO(whole.reason);
    REQUIRE(whole.requests.size() == 2);
    CHECK(whole.requests[0].body == vector.body);
    CHECK(whole.requests[0].headers.get("message-id") == std::nullopt);
    CHECK(whole.requests[1].target == "/next");
    CHECK_FALSE(whole.in_message);
    for (std::size_t at = 1; at < bytes.size(); ++at) REQUIRE(parse(bytes, at).log == whole.log);
    CHECK(parse(bytes, 1, 1).log == whole.log);
    CHECK(parse(bytes, 3, 5).log == whole.log);
  }
}

TEST_CASE("a request is handed over as it was sent", "[http][parser]") {
  const Heard heard =
      parse("PUT /a%2Fb/%C3%A9?x=1&y HTTP/1.1\r\nhOsT: gateway\r\nMessage-Id:  7 8 \r\nContent-Length: 3\r\n\r\na\0b"s);
  REQUIRE(heard.requests.size() == 1);
  const Request& request = heard.requests[0];
  CHECK(request.method == "PUT");
  CHECK(request.target == "/a%2Fb/%C3%A9?x=1&y");
  CHECK(request.headers.get("message-id") == "7 8");
  CHECK(request.headers.at(0).first == "hOsT");
  CHECK(request.body == "a\0b"s);
}

TEST_CASE("what follows a request that was the last one is dropped", "[http][parser]") {
  const std::string bytes =
      post("Connection: keep-alive, Close\r\nContent-Length: 2\r\n", "ok") + kNext + "\x01garbage";
  const Heard heard = parse(bytes);
  CHECK(heard.requests.size() == 1);
  CHECK(heard.log.find(" close") != std::string::npos);
  CHECK(heard.fault == Fault::none);
  CHECK_FALSE(heard.in_message);
}

TEST_CASE("each limit has its own fault", "[http][parser]") {
  const ParserLimits limits{.head_bytes_max = 200, .headers_max = 4, .target_bytes_max = 50, .body_bytes_max = 10};
  const auto check = [&](const std::string& bytes, Fault fault) {
    for (const std::size_t step : {kWhole, std::size_t{1}, std::size_t{7}})
      CHECK(parse(bytes, step, step, limits).fault == fault);
  };
  const std::string head = "GET / HTTP/1.1\r\nHost: x\r\n";
  const auto padded = [&](std::size_t bytes) {
    return head + "A: " + std::string(bytes - head.size() - 7, 'a') + "\r\n\r\n";
  };
  check(padded(200), Fault::none);
  check(padded(201), Fault::head_too_large);
  check("GET /" + std::string(49, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n", Fault::none);
  check("GET /" + std::string(50, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n", Fault::target_too_long);
  check("GET /" + std::string(400, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n", Fault::target_too_long);
  check(head + "A: 1\r\nB: 1\r\nC: 1\r\n\r\n", Fault::none);
  check(head + "A: 1\r\nB: 1\r\nC: 1\r\nD: 1\r\n\r\n", Fault::head_too_large);
  check(post("Transfer-Encoding: chunked\r\n", "0\r\nA: " + std::string(200, 'a') + "\r\n\r\n"), Fault::head_too_large);
}

TEST_CASE("a body over its limit is dropped and the next request is read", "[http][parser]") {
  const ParserLimits limits{.body_bytes_max = 10};
  for (const std::size_t step : {kWhole, std::size_t{1}}) {
    const Heard fits = parse(post("Content-Length: 10\r\n", "0123456789") + kNext, step, step, limits);
    CHECK(fits.requests.at(0).body == "0123456789");
    CHECK(fits.log.find("too large") == std::string::npos);
    for (const std::string& bytes :
         {post("Content-Length: 11\r\n", "0123456789a"),
          post("Transfer-Encoding: chunked\r\n", "6\r\n012345\r\n5\r\n6789a\r\n0\r\n\r\n")}) {
      const Heard heard = parse(bytes + kNext, step, step, limits);
      REQUIRE(heard.requests.size() == 2);
      CHECK(heard.requests[0].body.empty());
      CHECK(heard.log.find("too large") != std::string::npos);
      CHECK(heard.requests[1].target == "/next");
    }
  }
}

TEST_CASE("a body that is too long even to be dropped ends the connection", "[http][parser]") {
  const ParserLimits limits{.body_bytes_max = 10};
  const std::size_t most = 10 + http::kDroppedBodyBytesMax;
  CHECK(parse(post("Content-Length: " + std::to_string(most) + "\r\n", std::string(most, 'a')), kWhole, kWhole, limits)
            .fault == Fault::none);
  CHECK(parse(post("Content-Length: " + std::to_string(most + 1) + "\r\n"), kWhole, kWhole, limits).fault ==
        Fault::body_too_large);
  std::string chunks;
  for (int i = 0; i < 17; ++i) chunks += "10000\r\n" + std::string(0x10000, 'a') + "\r\n";
  CHECK(parse(post("Transfer-Encoding: chunked\r\n", chunks), kWhole, kWhole, limits).fault == Fault::body_too_large);
}

TEST_CASE("the body of a refused request is dropped", "[http][parser]") {
  const Heard heard = parse(post("Content-Length: 5\r\n", "hello") + kNext, kWhole, kWhole, {}, true);
  REQUIRE(heard.requests.size() == 2);
  CHECK(heard.requests[0].body.empty());
  CHECK(heard.log.find("too large") == std::string::npos);
}

TEST_CASE("a pause stops the parser behind the request, not in it", "[http][parser]") {
  std::vector<std::string> targets;
  RequestParser* self = nullptr;
  RequestParser parser({}, {.on_head = [](const Request&) { return RequestParser::Admission{100}; },
                            .on_request =
                                [&](Request&& request, bool, bool) {
                                  targets.push_back(request.target);
                                  self->pause();
                                }});
  self = &parser;
  const std::string first = post("Content-Length: 2\r\n", "ok");
  CHECK(parser.feed(first + kNext) == first.size());
  CHECK(targets == std::vector<std::string>{"/t"});
  CHECK(parser.feed(kNext) == kNext.size());
  CHECK(targets.size() == 2);
}

TEST_CASE("a parser knows whether a request has begun", "[http][parser]") {
  const std::string bytes = post("Content-Length: 2\r\n", "ok");
  CHECK_FALSE(parse("").in_message);
  CHECK_FALSE(parse("\r\n").in_message);
  for (std::size_t size = 1; size < bytes.size(); ++size) CHECK(parse(bytes.substr(0, size)).in_message);
  CHECK_FALSE(parse(bytes).in_message);
}
