#include "util/base64.h"

#include "support/catch.h"

namespace twinspool {

TEST_CASE("base64 gives the vectors of RFC 4648", "[util][base64]") {
  CHECK(base64("").empty());
  CHECK(base64("f") == "Zg==");
  CHECK(base64("fo") == "Zm8=");
  CHECK(base64("foo") == "Zm9v");
  CHECK(base64("foob") == "Zm9vYg==");
  CHECK(base64("fooba") == "Zm9vYmE=");
  CHECK(base64("foobar") == "Zm9vYmFy");
  CHECK(base64(std::string_view("\xfb\xff\xfe\0", 4)) == "+//+AA==");
}

TEST_CASE("base64url has its own two characters and no padding", "[util][base64]") {
  CHECK(base64url(std::string_view("\xfb\xff\xfe\0", 4)) == "-__-AA");
  CHECK(base64url("foob") == "Zm9vYg");
}

}  // namespace twinspool
