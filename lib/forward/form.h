// application/x-www-form-urlencoded, and query strings. Pure.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace twinspool::forward {

// Percent-encoded but for the unreserved characters (RFC 3986, 2.3).
std::string form_encoded(std::string_view text);

using FormFields = std::vector<std::pair<std::string, std::string>>;
std::string form(const FormFields& fields);  // name=value&name=value

}  // namespace twinspool::forward
