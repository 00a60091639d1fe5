#include "forward/client_assertion.h"

#include "util/base64.h"
#include "util/json.h"

namespace twinspool::forward {

std::string client_assertion(const AssertionClaims& claims, std::string_view thumbprint,
                             const std::function<std::string(std::string_view)>& sign) {
  json::Writer header;
  header.begin_object().key("alg").string("PS256").key("typ").string("JWT");
  header.key("x5t#S256").string(base64url(thumbprint)).end_object();

  const std::int64_t now = to_unix_ms(claims.now) / 1000;
  json::Writer payload;
  payload.begin_object().key("aud").string(claims.audience);
  payload.key("iss").string(claims.client_id).key("sub").string(claims.client_id).key("jti").string(claims.id);
  payload.key("nbf").integer(now).key("iat").integer(now);
  payload.key("exp").integer(now + kAssertionLife / std::chrono::seconds(1)).end_object();

  const std::string signed_part = base64url(header.take()) + "." + base64url(payload.take());
  return signed_part + "." + base64url(sign(signed_part));
}

}  // namespace twinspool::forward
