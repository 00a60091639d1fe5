#include "tls/signing.h"

#include <set>

#include "support/catch.h"
#include "support/certificates.h"
#include "support/ps256.h"
#include "support/temp_dir.h"

namespace twinspool::tls {
namespace {

struct Files {
  TempDir dir;
  CertificateAuthority ca{dir.path().string()};
  std::string rsa(const std::string& name, CertificateRequest request = {}) {
    request.key = CertificateRequest::Key::rsa;
    ca.issue(name, request);
    return name;
  }
};

Files& files() {
  static Files made;
  return made;
}

Result<SigningKey> load(const std::string& certificate, const std::string& key) {
  return SigningKey::from_pem(files().dir.read(certificate + ".pem"), certificate + ".pem",
                              files().dir.read(key + ".key"), key + ".key");
}

void refused(const Result<SigningKey>& key, const std::string& part) {
  REQUIRE_FALSE(key);
  INFO(key.error().what);
  CHECK(key.error().what.find(part) != std::string::npos);
}

}  // namespace

TEST_CASE("a signature is good for its text and certificate, and for no other", "[tls][signing]") {
  const std::string one = files().rsa("one");
  const std::string two = files().rsa("two");
  const auto key = load(one, one);
  REQUIRE(key);
  const std::string signature = key->sign_ps256("text");
  const test::Verifier verifier(files().dir.file("one.pem"));
  CHECK(verifier.good_ps256("text", signature));
  CHECK_FALSE(verifier.good_ps256("texT", signature));
  CHECK_FALSE(test::Verifier(files().dir.file("two.pem")).good_ps256("text", signature));
  CHECK(key->sign_ps256("text") != signature);  // the salt is random
  CHECK(key->sha256_thumbprint() == verifier.sha256_thumbprint());
  refused(load(one, two), "the key two.key does not belong to the certificate one.pem");
}

TEST_CASE("what cannot sign is refused by its name, without its content", "[tls][signing]") {
  const std::string good = files().rsa("good");
  files().ca.issue("curve");
  refused(load("curve", "curve"), "the key curve.key cannot sign PS256; an RSA key of 2048 bits or more is accepted");
  files().rsa("old", CertificateRequest::expired());
  refused(load("old", "old"), "the certificate old.pem is over");
  files().dir.write("bad.pem", "no PEM");
  files().dir.write("bad.key", "no PEM");
  refused(load("bad", good), "the certificate bad.pem is of no use: ");
  refused(load(good, "bad"), "the key bad.key is of no use: ");
}

TEST_CASE("random ids are long and differ", "[tls][signing]") {
  std::set<std::string> seen;
  for (int n = 0; n < 100; ++n) seen.insert(random_hex(16));
  CHECK(seen.size() == 100);
  CHECK(seen.begin()->size() == 32);
  CHECK(seen.begin()->find_first_not_of("0123456789abcdef") == std::string::npos);
}

}  // namespace twinspool::tls
