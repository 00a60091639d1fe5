#include "ops/explain.h"

#include "support/catch.h"

namespace twinspool::ops {

TEST_CASE("explain says what the forwarder does about an answer", "[ops][explain]") {
  CHECK(explain({.status = 204}).find("delivered") != std::string::npos);
  CHECK(explain({.status = 400}).find("quarantine with body") != std::string::npos);
  CHECK(explain({.status = 404, .code = "DigitalTwinNotFound"}).find("this twin") != std::string::npos);
  CHECK(explain({.status = 404}).find("the endpoint or a proxy") != std::string::npos);
  CHECK(explain({.status = 429}).find("Retry-After") != std::string::npos);
  CHECK(explain({.status = 200, .page = true}).find("the endpoint or a proxy") != std::string::npos);
}

TEST_CASE("explain's document has the verdict and the class", "[ops][explain]") {
  const std::string text = explain({.status = 401, .json = true});
  CHECK(text.find(R"("verdict":"renew_token","class":"token")") != std::string::npos);
}

}  // namespace twinspool::ops
