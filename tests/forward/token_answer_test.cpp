#include "forward/token_answer.h"

#include "forward/form.h"
#include "support/catch.h"

namespace twinspool::forward {
namespace {

const TokenAnswerRules kRules{.endpoint = "the token endpoint login.test",
                              .key = "auth.authority",
                              .secrets = {"s3cr&t/"},
                              .answer = {.retry_after_max = 1h, .now = from_unix_ms(1'800'000'000'000)}};

TokenResult read(int status, std::string body, std::string_view type = "application/json",
                 std::initializer_list<std::pair<std::string_view, std::string_view>> more = {}) {
  http::Response answer{.status = status, .headers = more, .body = std::move(body)};
  answer.headers.add("Content-Type", type);
  return read_token_answer(answer, kRules);
}

TokenFailure failure(const TokenResult& result) {
  REQUIRE_FALSE(result);
  INFO(result.error().what);
  CHECK(result.error().what.starts_with("the token endpoint login.test answered HTTP "));
  return result.error();
}

void contains(const TokenFailure& failed, const std::string& part) {
  INFO(failed.what);
  CHECK(failed.what.find(part) != std::string::npos);
}

Duration life(const std::string& members) {
  const auto token = read(200, R"({"token_type":"Bearer","access_token":"a.b-c",)" + members + "}");
  if (!token) FAIL(token.error().what);
  CHECK(token->token == "a.b-c");
  return token->lifetime.expires_in;
}

}  // namespace

TEST_CASE("a token comes with its life, as a number or, from managed identity, as text", "[forward][token]") {
  CHECK(life(R"("expires_in":3599,"ext_expires_in":3599)") == Duration(3599s));
  CHECK(life(R"("expires_in":"86399","expires_on":"1800086399")") == Duration(24h - 1s));
  CHECK(life(R"("expires_on":"1800000600")") == Duration(10min));  // by our clock, where the answer has no Date
}

TEST_CASE("an end is measured by the issuer's own clock where it shows it", "[forward][token]") {
  const auto token = read(200, R"({"access_token":"t","expires_on":"1000000600"})", "application/json",
                          {{"Date", "Sun, 09 Sep 2001 01:46:40 GMT"}});
  REQUIRE(token);
  CHECK(token->lifetime.expires_in == Duration(10min));
}

TEST_CASE("a life that is not stated is short, one without end is cut to a day", "[forward][token]") {
  CHECK(life(R"("ext_expires_in":3599)") == kTokenLifeUnstated);
  CHECK(life(R"("expires_in":9000000000000000000)") == kTokenLifeMax);
  CHECK(life(R"("expires_in":99999999999999999999999999)") == kTokenLifeMax);
}

TEST_CASE("a life that is over, or no number, makes no token", "[forward][token]") {
  const std::string members =
      GENERATE(as<std::string>{}, R"("expires_in":0)", R"("expires_in":-1)", R"("expires_in":"soon")",
               R"("expires_in":1.5)", R"("expires_in":-99999999999999999999999)", R"("expires_on":"1700000000")");
  contains(failure(read(200, R"({"access_token":"t",)" + members + "}")), "auth.authority");
}

TEST_CASE("advice to come earlier is taken where it makes sense", "[forward][token]") {
  const auto refresh_in = [](const std::string& value) {
    return read(200, R"({"access_token":"t","expires_in":3600,"refresh_in":)" + value + "}")->lifetime.refresh_in;
  };
  CHECK(refresh_in("1800") == Duration(30min));
  CHECK_FALSE(refresh_in("0").has_value());
  CHECK_FALSE(refresh_in("-5").has_value());
  CHECK_FALSE(refresh_in("3600").has_value());
  CHECK_FALSE(refresh_in("\"soon\"").has_value());
}

TEST_CASE("what could not stand in a header is no token, and is not quoted", "[forward][token]") {
  const std::string token =
      GENERATE(as<std::string>{}, "t0ken\\r\\nX-Injected: 1", "t0ken t0ken", "t0ken\\u0000", "t0k\xc3\xa9n", "");
  const TokenFailure failed = failure(read(200, R"({"expires_in":60,"access_token":")" + token + "\"}"));
  CHECK(failed.what.find("t0k") == std::string::npos);
  CHECK_FALSE(failed.retry.needs_a_person);
}

TEST_CASE("a token larger than any header is refused", "[forward][token]") {
  const std::string large(kAccessTokenBytesMax + 1, 'x');
  contains(failure(read(200, R"({"expires_in":60,"access_token":")" + large + "\"}")), "more than 65536 bytes");
}

TEST_CASE("another type than Bearer is refused, whatever its case bearer is one", "[forward][token]") {
  contains(failure(read(200, R"({"token_type":"mac","expires_in":60,"access_token":"t"})")), "token_type");
  CHECK(read(200, R"({"token_type":"bearer","expires_in":60,"access_token":"t"})"));
}

TEST_CASE("a 200 that is a page, nothing, or no JSON is no token", "[forward][token]") {
  contains(failure(read(200, "<!doctype html>Sign in", "text/html")), "HTTP 200 with an HTML page; a proxy");
  contains(failure(read(200, "<html>", "application/json")), "an HTML page");
  contains(failure(read(200, "")), "without a body");
  contains(failure(read(200, R"({"access_token": "cut)")), "not JSON");
  contains(failure(read(200, "[]")), "no access_token");
}

TEST_CASE("a refusal says the number, the text's first line and what to do, and is tried slowly", "[forward][token]") {
  const TokenFailure failed = failure(
      read(401, R"({"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided.)"
                R"(\r\nTrace ID: 1\r\nTimestamp: 2"})"));
  contains(failed, "HTTP 401 invalid_client: AADSTS7000215: Invalid client secret provided.; write the secret's value");
  CHECK(failed.what.find("Trace ID") == std::string::npos);
  CHECK(failed.retry.needs_a_person);
}

TEST_CASE("the remedy follows the AADSTS number, else the error, and survives a long text", "[forward][token]") {
  const auto refused = [](const std::string& error, const std::string& description) {
    return failure(read(400, R"({"error":")" + error + R"(","error_description":")" + description + "\"}"));
  };
  contains(refused("unauthorized_client", "AADSTS700016: x"), "; check auth.client_id and auth.tenant");
  contains(refused("invalid_request", "AADSTS90002: x"), "; check auth.tenant");
  contains(refused("invalid_client", "AADSTS700027: x"), "; upload the certificate of auth.cert_file");
  contains(refused("invalid_client", "AADSTS700024: x"), "; check this gateway's clock");
  contains(refused("invalid_scope", "no number"), "; check auth.scope");
  contains(refused("invalid_client", "AADSTS700016: " + std::string(5000, 'x')), "xxx; check auth.client_id");
  CHECK(refused("strange", "AADSTS1: x").what.ends_with("strange: AADSTS1: x"));
}

TEST_CASE("trouble of the service is tried soon, and no sooner than it asks for", "[forward][token]") {
  for (const int status : {408, 429, 500, 502, 503, 504}) {
    const TokenFailure failed = failure(read(status, R"({"error":"x"})", "application/json", {{"Retry-After", "7"}}));
    CHECK_FALSE(failed.retry.needs_a_person);
    CHECK(failed.retry.retry_after == Duration(7s));
  }
  CHECK(failure(read(503, "", "text/plain", {{"Retry-After", "9999999"}})).retry.retry_after == Duration(1h));
  CHECK_FALSE(failure(read(400, R"({"error":"temporarily_unavailable"})")).retry.needs_a_person);
}

TEST_CASE("what was sent does not come back in a text, neither as it is nor as a form has it", "[forward][token]") {
  const TokenFailure failed =
      failure(read(400, R"({"error":"s3cr&t/","error_description":"you sent client_secret=)" + form_encoded("s3cr&t/") +
                            " and s3cr&t/ " + std::string(2000, '.') + "\"}"));
  CHECK(failed.what.find("s3cr") == std::string::npos);
  contains(failed, "[secret] and [secret]");
  CHECK(failed.what.size() < kAnswerTextBytesMax);
}

TEST_CASE("a form escapes everything but the unreserved characters", "[forward][form]") {
  CHECK(form({{"a b", "1&2=3+4"}, {"scope", "https://x/.default"}, {"z", "-._~"}}) ==
        "a%20b=1%262%3D3%2B4&scope=https%3A%2F%2Fx%2F.default&z=-._~");
  CHECK(form_encoded("\xc3\xa9\n") == "%C3%A9%0A");
}

}  // namespace twinspool::forward
