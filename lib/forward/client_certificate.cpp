#include "forward/client_certificate.h"

#include <utility>

#include "forward/client_assertion.h"
#include "tls/signing.h"
#include "util/secret_file.h"

namespace twinspool::forward {

namespace {

constexpr std::size_t kAssertionIdBytes = 16;

Result<tls::SigningKey> load_key(const std::string& cert_file, const std::string& key_file) {
  auto key = read_secret_file("auth.key_file", key_file, kPemBytesMax);
  if (!key) return tl::unexpected<Error>(key.error());
  auto certificate = read_file("auth.cert_file", cert_file, kPemBytesMax);
  if (!certificate) return tl::unexpected<Error>(certificate.error());
  return tls::SigningKey::from_pem(*certificate, cert_file, key->text, key_file);
}

}  // namespace

MakeProof client_certificate_proof(const AuthConfig& config, std::function<WallTime()> wall_clock) {
  return [cert_file = config.cert_file, key_file = config.key_file, client_id = config.client_id,
          wall_clock = std::move(wall_clock)](const std::string& token_url) -> Result<Proof> {
    const auto key = load_key(cert_file, key_file);
    if (!key) return tl::unexpected<Error>(key.error());
    std::string assertion = client_assertion(
        {.audience = token_url, .client_id = client_id, .id = tls::random_hex(kAssertionIdBytes), .now = wall_clock()},
        key->sha256_thumbprint(), [&](std::string_view text) { return key->sign_ps256(text); });
    return Proof{.fields = {{"client_assertion_type", std::string(kAssertionType)}, {"client_assertion", assertion}},
                 .secret = assertion};
  };
}

}  // namespace twinspool::forward
