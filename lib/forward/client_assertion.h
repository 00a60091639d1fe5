// A JSON web token by which a client proves who it is (RFC 7523), as Entra wants it: PS256, x5t#S256. Pure.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "util/time.h"

namespace twinspool::forward {

constexpr Duration kAssertionLife = std::chrono::minutes(10);

struct AssertionClaims {
  std::string audience;   // the token URL
  std::string client_id;  // issuer and subject
  std::string id;         // jti: never used twice
  WallTime now{};
};

// `thumbprint`: SHA-256 of the DER certificate, 32 bytes. `sign` gives the PS256 signature of its argument.
std::string client_assertion(const AssertionClaims& claims, std::string_view thumbprint,
                             const std::function<std::string(std::string_view)>& sign);

// The form fields of a client_assertion, whoever made it.
inline constexpr std::string_view kAssertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

}  // namespace twinspool::forward
