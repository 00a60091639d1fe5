#include "util/digest.h"

#include <string>

#include "support/catch.h"

using namespace twinspool;

namespace {
DigestKey reference_key() {  // of the SipHash paper: 00 01 .. 0f
  DigestKey key{};
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::uint8_t>(i);
  return key;
}
}  // namespace

TEST_CASE("digests are SipHash-2-4 of the reference vectors", "[util][digest]") {
  Digester digester(reference_key());
  CHECK(digester.digest64({}) == 0x726fdb47dd0e0e31);
  CHECK(digester.digest128({}) == Digest128{.high = 0x930255c71472f66d, .low = 0xe6a825ba047f81a3});
  // One empty part is the message of eight zero bytes: its length. Not the empty message.
  CHECK(digester.digest64({""}) != digester.digest64({}));
}

TEST_CASE("a digest depends on nothing that was digested before", "[util][digest]") {
  Digester digester(reference_key());
  const auto first = digester.digest128({"pump", "id-1"});
  const auto first64 = digester.digest64({"pump", "id-1"});
  (void)digester.digest128({"other", std::string(5000, 'x')});
  (void)digester.digest64({"other"});
  CHECK(digester.digest128({"pump", "id-1"}) == first);
  CHECK(digester.digest64({"pump", "id-1"}) == first64);
  CHECK(Digester(reference_key()).digest128({"pump", "id-1"}) == first);
}

TEST_CASE("where one part ends and the next begins makes a difference", "[util][digest]") {
  Digester digester(reference_key());
  CHECK_FALSE(digester.digest128({"ab", "c"}) == digester.digest128({"a", "bc"}));
  CHECK_FALSE(digester.digest128({"abc"}) == digester.digest128({"abc", ""}));
  CHECK(digester.digest64({"ab", "c"}) != digester.digest64({"a", "bc"}));
}

TEST_CASE("another key gives other digests, and random keys differ", "[util][digest]") {
  const DigestKey key = random_digest_key();
  CHECK(key != random_digest_key());
  CHECK_FALSE(Digester(key).digest128({"a"}) == Digester(reference_key()).digest128({"a"}));
}
