#include "forward/outcome.h"

#include "support/catch.h"

using namespace std::chrono_literals;

namespace twinspool::forward {
namespace {

const WallTime kNow = from_unix_ms(1'763'929'200'000);  // 2025-11-23T20:20:00Z

http::Response answer(int status, http::Headers headers = {}, std::string body = {}) {
  return {.status = status, .headers = std::move(headers), .body = std::move(body)};
}

Outcome classify(const http::Response& response) {
  return classify(response, AnswerRules{.retry_after_max = 1h, .now = kNow});
}

const http::Headers kJson{{"Content-Type", "application/json; charset=utf-8"}};
const http::Headers kHtml{{"Content-Type", "text/html; charset=utf-8"}};
const char* const kTwinMissing =
    R"({"error":{"code":"DigitalTwinNotFound","message":"There is no digital twin 'pump'."}})";

}  // namespace

TEST_CASE("every status of the answer table leads to its verdict", "[forward][outcome]") {
  struct Row {
    int status;
    Verdict verdict;
    FailureClass failure;
  };
  const Row rows[] = {
      {200, Verdict::delivered, FailureClass::none},         {202, Verdict::delivered, FailureClass::none},
      {204, Verdict::delivered, FailureClass::none},         {400, Verdict::quarantine, FailureClass::message},
      {413, Verdict::quarantine, FailureClass::message},     {415, Verdict::quarantine, FailureClass::message},
      {422, Verdict::quarantine, FailureClass::message},     {401, Verdict::renew_token, FailureClass::token},
      {403, Verdict::hold_endpoint, FailureClass::endpoint}, {404, Verdict::hold_endpoint, FailureClass::endpoint},
      {407, Verdict::hold_endpoint, FailureClass::endpoint}, {301, Verdict::hold_endpoint, FailureClass::endpoint},
      {302, Verdict::hold_endpoint, FailureClass::endpoint}, {304, Verdict::hold_endpoint, FailureClass::endpoint},
      {308, Verdict::hold_endpoint, FailureClass::endpoint}, {402, Verdict::hold_endpoint, FailureClass::endpoint},
      {405, Verdict::hold_endpoint, FailureClass::endpoint}, {406, Verdict::hold_endpoint, FailureClass::endpoint},
      {409, Verdict::hold_endpoint, FailureClass::endpoint}, {410, Verdict::hold_endpoint, FailureClass::endpoint},
      {431, Verdict::hold_lane, FailureClass::message},      {414, Verdict::hold_lane, FailureClass::message},
      {408, Verdict::retry_lane, FailureClass::service},     {429, Verdict::pause_endpoint, FailureClass::throttled},
      {500, Verdict::retry_lane, FailureClass::service},     {502, Verdict::retry_lane, FailureClass::service},
      {503, Verdict::pause_endpoint, FailureClass::service}, {504, Verdict::retry_lane, FailureClass::service},
      {599, Verdict::retry_lane, FailureClass::service},
  };
  for (const Row& row : rows) {
    const Outcome outcome = classify(answer(row.status));
    INFO(row.status);
    CHECK(outcome.verdict == row.verdict);
    CHECK(outcome.failure == row.failure);
    CHECK(outcome.status == row.status);
    if (row.failure != FailureClass::none) CHECK_FALSE(outcome.text.empty());
  }
}

TEST_CASE("what is too long is held by its twin, and a page says nothing of the message", "[forward][outcome]") {
  for (const int status : {414, 431}) {
    http::Response page = answer(status);
    page.headers.add("Content-Type", "text/html");
    page.body = "<html>too large</html>";
    CHECK(classify(page).verdict == Verdict::hold_endpoint);
  }
}

TEST_CASE("a token that the peer sends back is not shown, whole or in part", "[forward][outcome]") {
  const std::string token(900, 't');
  const AnswerRules rules{.secret = token};
  http::Response text = answer(403);
  text.body = "you sent Authorization: Bearer " + token + " to us";
  CHECK(classify(text, rules).text == "you sent Authorization: Bearer [secret] to us");
  http::Response document = answer(400);
  document.headers.add("x-ms-error-code", token);
  document.body = R"({"error":{"code":"x","message":")" + std::string(700, 'm') + token + R"("}})";
  const Outcome outcome = classify(document, rules);
  CHECK(outcome.code == "[secret]");
  CHECK(outcome.text.find("ttt") == std::string::npos);
  http::Response redirect = answer(302);
  redirect.headers.add("Location", "https://portal/?t=" + token);
  CHECK(classify(redirect, rules).text.find("ttt") == std::string::npos);
}

TEST_CASE("a missing twin holds its lane only where the cloud itself says so", "[forward][outcome]") {
  SECTION("in the header") {
    const Outcome outcome = classify(answer(404, {{"X-Ms-Error-Code", " DigitalTwinNotFound "}}));
    CHECK(outcome.verdict == Verdict::hold_lane);
    CHECK(outcome.failure == FailureClass::twin);
    CHECK(outcome.code == "DigitalTwinNotFound");
  }
  SECTION("in the body") {
    const Outcome outcome = classify(answer(404, kJson, kTwinMissing));
    CHECK(outcome.verdict == Verdict::hold_lane);
    CHECK(outcome.code == "DigitalTwinNotFound");
    CHECK(outcome.text == "There is no digital twin 'pump'.");
  }
  SECTION("a component, and the header goes before the body") {
    const Outcome outcome = classify(answer(404, {{"x-ms-error-code", "ComponentNotFound"}}, kTwinMissing));
    CHECK(outcome.verdict == Verdict::hold_lane);
    CHECK(outcome.code == "ComponentNotFound");
  }
  SECTION("neither: the instance, the tenant or the host is wrong") {
    const Outcome outcome =
        classify(answer(404, kJson, R"({"error":{"code":"NotFound","message":"Sub-Domain not found"}})"));
    CHECK(outcome.verdict == Verdict::hold_endpoint);
    CHECK(outcome.text == "Sub-Domain not found");
  }
  SECTION("another spelling is not the cloud's") {
    CHECK(classify(answer(404, {{"x-ms-error-code", "digitaltwinnotfound"}})).verdict == Verdict::hold_endpoint);
  }
  SECTION("a proxy's page that names the code is a page") {
    http::Headers headers = kHtml;
    headers.add("x-ms-error-code", "DigitalTwinNotFound");
    CHECK(classify(answer(404, headers, "<html>")).verdict == Verdict::hold_endpoint);
  }
}

TEST_CASE("an HTML page never delivers, quarantines or holds a single twin", "[forward][outcome]") {
  for (const int status : {200, 202, 302, 400, 403, 404, 413, 422}) {
    INFO(status);
    CHECK(classify(answer(status, kHtml, "<html>log in</html>")).verdict == Verdict::hold_endpoint);
    CHECK(classify(answer(status, {{"Content-Type", "TEXT/HTML"}})).verdict == Verdict::hold_endpoint);
    CHECK(classify(answer(status, {}, "\r\n <!DOCTYPE html>")).verdict == Verdict::hold_endpoint);
  }
  for (const int status : {500, 502, 504}) {
    INFO(status);
    CHECK(classify(answer(status, kHtml, "<html>Bad Gateway</html>")).verdict == Verdict::pause_endpoint);
  }
  CHECK(classify(answer(401, kHtml, "<html>")).verdict == Verdict::renew_token);
}

TEST_CASE("the code and the text come from wherever the cloud put them", "[forward][outcome]") {
  SECTION("the usual body") {
    const Outcome outcome =
        classify(answer(400, kJson, R"({"error":{"code":"ValidationFailed","message":"Not an\nobject"}})"));
    CHECK(outcome.code == "ValidationFailed");
    CHECK(outcome.text == "Not an?object");
  }
  SECTION("the body of a 401 has another shape") {
    const Outcome outcome = classify(answer(401, kJson, R"({"statusCode":401,"message":"Unauthorized access"})"));
    CHECK(outcome.code.empty());
    CHECK(outcome.text == "Unauthorized access");
  }
  SECTION("an empty 403") { CHECK(classify(answer(403)).text == http::reason_phrase(403)); }
  SECTION("plain text") { CHECK(classify(answer(400, {}, "  no luck \n")).text == "no luck"); }
  SECTION("a redirect says where to") {
    CHECK(classify(answer(302, {{"Location", "https://login.example/"}})).text ==
          "redirects to https://login.example/");
  }
  SECTION("both are bounded") {
    const std::string longer(5000, 'x');
    const Outcome outcome =
        classify(answer(400, {{"x-ms-error-code", longer}}, R"({"error":{"message":")" + longer + R"("}})"));
    CHECK(outcome.code.size() == kAnswerCodeBytesMax);
    CHECK(outcome.text.size() == kAnswerTextBytesMax);
  }
}

TEST_CASE("a server that asks to be left alone is, for as long as it asks", "[forward][outcome]") {
  const auto asked = [](http::Headers headers, int status = 429) {
    return classify(answer(status, std::move(headers))).retry_after;
  };
  CHECK(asked({}) == 0s);
  CHECK(asked({{"Retry-After", "17"}}) == 17s);
  CHECK(asked({{"Retry-After", " 17 "}}, 503) == 17s);
  CHECK(asked({{"Retry-After", "17"}}, 500) == 17s);
  CHECK(asked({{"Retry-After", "17"}}, 408) == 17s);
  CHECK(asked({{"Retry-After", "0"}}) == 0s);
  CHECK(asked({{"retry-after-ms", "1500"}}) == 1500ms);
  CHECK(asked({{"x-ms-retry-after-ms", "2500"}}) == 2500ms);
  CHECK(asked({{"Retry-After", "60"}, {"retry-after-ms", "1500"}}) == 1500ms);
  CHECK(asked({{"Retry-After", "60"}, {"retry-after-ms", "soon"}}) == 60s);

  SECTION("a date counts from the server's own clock") {
    CHECK(asked({{"Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT"}, {"Date", "Sun, 06 Nov 1994 08:49:07 GMT"}}) == 30s);
    CHECK(asked({{"Retry-After", "Sunday, 06-Nov-94 08:49:37 GMT"}, {"Date", "Sun Nov  6 08:49:07 1994"}}) == 30s);
  }
  SECTION("a date without a Date counts from ours") {
    CHECK(asked({{"Retry-After", "Sun, 23 Nov 2025 20:21:00 GMT"}}) == 60s);
    CHECK(asked({{"Retry-After", "Sun, 23 Nov 2025 20:19:00 GMT"}}) == 0s);
  }
  SECTION("not longer than retry.retry_after_max") {
    CHECK(asked({{"Retry-After", "3601"}}) == 1h);
    CHECK(asked({{"Retry-After", "99999999999999999999999"}}) == 1h);
    CHECK(asked({{"retry-after-ms", "9223372036854775807"}}) == 1h);
    CHECK(asked({{"Retry-After", "Sun, 23 Nov 2045 20:21:00 GMT"}}) == 1h);
  }
  SECTION("what makes no sense is no wish") {
    for (const char* value : {"", "-5", "1.5", "soon", "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 31 Feb 1994 08:49:37 GMT",
                              "Sun, 06 Nov 1994 08:49:37 CET", "Sun, 06 Nov 1994 25:49:37 GMT", "1 2"}) {
      INFO(value);
      CHECK(asked({{"Retry-After", value}}) == 0s);
    }
  }
  SECTION("a refusal is not a wish to be tried again") { CHECK(asked({{"Retry-After", "5"}}, 400) == 0s); }
}

TEST_CASE("a connection that failed says nothing about its message", "[forward][outcome]") {
  const auto failed = [](Errc code) { return forward::classify(Error{code, "it\nbroke"}); };
  for (const Errc code : {Errc::timeout, Errc::closed, Errc::unreachable, Errc::protocol, Errc::tls}) {
    CHECK(failed(code).verdict == Verdict::retry_path);
    CHECK(failed(code).status == 0);
    CHECK(failed(code).text == "it?broke");
  }
  CHECK(failed(Errc::timeout).failure == FailureClass::timeout);
  CHECK(failed(Errc::tls).failure == FailureClass::tls);
  CHECK(failed(Errc::closed).failure == FailureClass::path);
}

TEST_CASE("a proxy that refuses holds everything until somebody mends it", "[forward][outcome]") {
  const Outcome outcome = forward::classify(Error{Errc::refused, "the proxy wants a password"});
  CHECK(outcome.verdict == Verdict::hold_endpoint);
  CHECK(outcome.failure == FailureClass::endpoint);
  CHECK(outcome.text == "the proxy wants a password");
}

TEST_CASE("printable text is one line of valid UTF-8, cut at a whole character", "[forward][outcome]") {
  CHECK(printable("grün\t\x7f\r\n", 100) == "grün????");
  CHECK(printable("a\xff\xc3z", 100) == "a??z");
  CHECK(printable("\xc2\x9b", 100) == "?");
  CHECK(printable("üü", 3) == "ü");
  CHECK(printable("abc", 0).empty());
}

}  // namespace twinspool::forward
