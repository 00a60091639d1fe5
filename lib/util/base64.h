// Base64 (RFC 4648). Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace twinspool {

std::string base64(std::string_view bytes);                        // with +, / and padding: HTTP Basic authentication
std::optional<std::string> base64_decoded(std::string_view text);  // of base64(), nothing else; nullopt: it is not
std::string base64url(std::string_view bytes);                     // with - and _, without padding: JSON web tokens

}  // namespace twinspool
