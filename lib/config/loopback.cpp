#include "config/loopback.h"

#include <arpa/inet.h>

#include <charconv>

namespace twinspool {

namespace {

constexpr unsigned kPortMax = 65535;
constexpr std::uint32_t kLoopbackNet = 127;

std::optional<std::string> loopback_ip(std::string_view host) {
  if (host == "localhost") return "127.0.0.1";
  if (host == "[::1]") return "::1";
  std::string text(host);
  in_addr address{};
  if (::inet_pton(AF_INET, text.c_str(), &address) != 1 || ntohl(address.s_addr) >> 24 != kLoopbackNet)
    return std::nullopt;
  return text;
}

}  // namespace

std::optional<LoopbackAddress> parse_loopback(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const std::string_view digits = text.substr(colon + 1);
  unsigned port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size() || port > kPortMax) return std::nullopt;
  auto ip = loopback_ip(text.substr(0, colon));
  if (!ip) return std::nullopt;
  return LoopbackAddress{std::move(*ip), static_cast<std::uint16_t>(port)};
}

bool is_loopback_host(std::string_view host) { return loopback_ip(host).has_value(); }

}  // namespace twinspool
