#include "util/digest.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <memory>
#include <random>
#include <string>

#include "support/catch.h"

using namespace twinspool;

namespace {
DigestKey reference_key() {  // of the SipHash paper: 00 01 .. 0f
  DigestKey key{};
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::uint8_t>(i);
  return key;
}

std::string by_openssl(const std::string& bytes, std::size_t size) {
  const std::unique_ptr<EVP_MAC, decltype(&EVP_MAC_free)> mac(EVP_MAC_fetch(nullptr, "SIPHASH", nullptr), EVP_MAC_free);
  const std::unique_ptr<EVP_MAC_CTX, decltype(&EVP_MAC_CTX_free)> context(EVP_MAC_CTX_new(mac.get()), EVP_MAC_CTX_free);
  const OSSL_PARAM params[] = {OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size), OSSL_PARAM_construct_end()};
  const DigestKey key = reference_key();
  REQUIRE(EVP_MAC_init(context.get(), key.data(), key.size(), params) == 1);
  REQUIRE(EVP_MAC_update(context.get(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()) == 1);
  std::string out(size, '\0');
  REQUIRE(EVP_MAC_final(context.get(), reinterpret_cast<unsigned char*>(out.data()), &size, out.size()) == 1);
  return out;
}

std::uint64_t word_at(const std::string& bytes, std::size_t at) {
  std::uint64_t word = 0;
  for (std::size_t i = 0; i < 8; ++i) word |= std::uint64_t{static_cast<std::uint8_t>(bytes[at + i])} << (8 * i);
  return word;
}
}  // namespace

TEST_CASE("digests are SipHash-2-4 of the reference vectors", "[util][digest]") {
  Digester digester(reference_key());
  CHECK(digester.digest64({}) == 0x726fdb47dd0e0e31);
  CHECK(digester.digest128({}) == Digest128{.high = 0x930255c71472f66d, .low = 0xe6a825ba047f81a3});
  // One empty part is the message of eight zero bytes: its length. Not the empty message.
  CHECK(digester.digest64({""}) != digester.digest64({}));
}

// The rows of stores that are out there have checksums by OpenSSL.
TEST_CASE("digests of any parts are those of OpenSSL's SipHash", "[util][digest]") {
  Digester digester(reference_key());
  std::mt19937 random(1);
  for (int round = 0; round < 500; ++round) {
    std::string parts[3];
    std::string all;
    for (std::string& part : parts) {
      part.resize(random() % 40);
      for (char& byte : part) byte = static_cast<char>(random());
      all += static_cast<char>(part.size());
      all.append(7, '\0').append(part);
    }
    const std::string wide = by_openssl(all, 16);
    REQUIRE(digester.digest128({parts[0], parts[1], parts[2]}) ==
            Digest128{.high = word_at(wide, 8), .low = word_at(wide, 0)});
    REQUIRE(digester.digest64({parts[0], parts[1], parts[2]}) == word_at(by_openssl(all, 8), 0));
  }
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
