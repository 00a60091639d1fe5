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

TEST_CASE("decoding gives the bytes back, or says that it was no base64", "[util][base64]") {
  for (const std::string bytes : {"", "f", "fo", "foo", "foob", "fooba", "foobar"})
    CHECK(base64_decoded(base64(bytes)) == bytes);
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  CHECK(base64_decoded(base64(all)) == all);
  for (const char* text : {"Zg", "Zg=", "Zg===", "Z===", "Zm9v\n", "Zm-v", "=Zm9", "Zg==Zg=="}) {
    CAPTURE(text);
    CHECK_FALSE(base64_decoded(text));
  }
}

TEST_CASE("base64url has its own two characters and no padding", "[util][base64]") {
  CHECK(base64url(std::string_view("\xfb\xff\xfe\0", 4)) == "-__-AA");
  CHECK(base64url("foob") == "Zm9vYg");
}

}  // namespace twinspool
