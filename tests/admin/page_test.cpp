#include "admin/page.h"

#include <string>

#include "support/catch.h"

namespace twinspool::admin {
namespace {

std::string policy_of(const http::Response& page) {
  return std::string(page.headers.get("Content-Security-Policy").value_or(""));
}

std::string nonce_of(const http::Response& page) {
  const std::string policy = policy_of(page), before = "script-src 'nonce-";
  const auto begin = policy.find(before);
  REQUIRE(begin != std::string::npos);
  return policy.substr(begin + before.size(), policy.find('\'', begin + before.size()) - begin - before.size());
}

std::size_t times(const std::string& text, const std::string& what) {
  std::size_t count = 0;
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

}  // namespace

TEST_CASE("the page asks for nothing from outside", "[admin][page]") {
  const http::Response answer = page(Door::tcp);
  CHECK(answer.status == 200);
  CHECK(answer.headers.get("Content-Type") == "text/html; charset=utf-8");
  CHECK(times(answer.body, "://") == 1);  // the name of SVG's namespace, which nobody fetches
  CHECK(answer.body.find("http://www.w3.org/2000/svg") != std::string::npos);
  CHECK(policy_of(answer).starts_with("default-src 'none'; "));
  CHECK(policy_of(answer).find("frame-ancestors 'none'") != std::string::npos);
}

TEST_CASE("a browser runs the page's own script only, by a nonce of each answer", "[admin][page]") {
  const http::Response first = page(Door::socket), second = page(Door::socket);
  CHECK(nonce_of(first).size() == 24);
  CHECK(nonce_of(first) != nonce_of(second));
  CHECK(times(first.body, "nonce=\"" + nonce_of(first) + "\"") == 2);  // the style and the script
  CHECK(times(first.body, "@NONCE@") == 0);
  CHECK(policy_of(first).find("unsafe") == std::string::npos);
}

TEST_CASE("the page knows by which door it was asked for", "[admin][page]") {
  CHECK(times(page(Door::socket).body, "data-door=\"socket\"") == 1);
  CHECK(times(page(Door::tcp).body, "data-door=\"tcp\"") == 1);
}

}  // namespace twinspool::admin
