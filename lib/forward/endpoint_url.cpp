#include "forward/endpoint_url.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

namespace twinspool::forward {

namespace {

constexpr std::string_view kScheme = "https://";
constexpr std::size_t kHostBytesMax = 253;  // of a DNS name

bool is_host_name(std::string_view host) {
  return !host.empty() && host.size() <= kHostBytesMax && host.front() != '.' && host.front() != '-' &&
         std::all_of(host.begin(), host.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
         });
}

bool is_ipv6(const std::string& host) {
  in6_addr address{};
  return inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

}  // namespace

Result<EndpointUrl> parse_endpoint(std::string_view url) {
  const auto wrong = [&](const char* what) {
    return fail(Errc::invalid, "endpoint '" + std::string(url) + "': " + what + "; accepted is https://host[:port]");
  };
  if (lower(url.substr(0, kScheme.size())) != kScheme) return wrong("it does not begin with https://");
  std::string_view rest = url.substr(kScheme.size());
  if (rest.ends_with('/')) rest.remove_suffix(1);
  if (rest.find_first_of("/?#") != std::string_view::npos) return wrong("it has a path or a query");
  if (rest.find('@') != std::string_view::npos) return wrong("it has a user name");

  EndpointUrl endpoint;
  std::string_view port;
  if (rest.starts_with('[')) {
    const auto close = rest.find(']');
    if (close == std::string_view::npos) return wrong("the bracket of the IPv6 address is not closed");
    endpoint.host = lower(rest.substr(1, close - 1));
    if (!is_ipv6(endpoint.host)) return wrong("what stands in brackets is not an IPv6 address");
    endpoint.authority = "[" + endpoint.host + "]";
    port = rest.substr(close + 1);
  } else {
    const auto colon = rest.find(':');
    endpoint.host = lower(rest.substr(0, colon));
    if (!is_host_name(endpoint.host)) return wrong("the host is missing or is not a host name");
    endpoint.authority = endpoint.host;
    port = colon == std::string_view::npos ? std::string_view{} : rest.substr(colon);
  }
  if (!port.empty()) {
    if (port.front() != ':') return wrong("something other than a port follows the host");
    port.remove_prefix(1);
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), endpoint.port);
    if (error != std::errc{} || end != port.data() + port.size() || endpoint.port == 0) {
      return wrong("the port is not a number from 1 to 65535");
    }
  }
  if (endpoint.port != 443) endpoint.authority += ":" + std::to_string(endpoint.port);
  return endpoint;
}

}  // namespace twinspool::forward
