#include "config/proxy.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

namespace twinspool {

namespace {

constexpr std::string_view kScheme = "http://";
constexpr std::size_t kHostBytesMax = 253;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

bool is_name(std::string_view host) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyz0123456789-._";
  return !host.empty() && host.size() <= kHostBytesMax && host.find_first_not_of(kAllowed) == std::string_view::npos &&
         host.front() != '.' && host.front() != '-';
}

// As a comparison needs it: without brackets and without the root's dot.
std::string plain_host(std::string_view host) {
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  if (host.size() > 1 && host.back() == '.') host.remove_suffix(1);
  return lower(host);
}

struct IpAddress {
  std::array<unsigned char, 16> bytes{};
  unsigned bits = 0;  // 32 or 128
};

std::optional<IpAddress> ip_address(const std::string& text) {
  IpAddress address;
  if (inet_pton(AF_INET, text.c_str(), address.bytes.data()) == 1) {
    address.bits = 32;
    return address;
  }
  if (inet_pton(AF_INET6, text.c_str(), address.bytes.data()) != 1) return std::nullopt;
  address.bits = 128;
  return address;
}

struct Block {
  IpAddress base;
  unsigned prefix = 0;

  bool holds(const IpAddress& address) const {
    if (address.bits != base.bits) return false;
    for (unsigned bit = 0; bit < prefix; ++bit) {
      const unsigned mask = 0x80U >> (bit % 8);
      if (((address.bytes[bit / 8] ^ base.bytes[bit / 8]) & mask) != 0) return false;
    }
    return true;
  }
};

std::optional<unsigned> whole_number(std::string_view text) {
  unsigned number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// An address is a block of one.
std::optional<Block> block(std::string_view entry) {
  const auto slash = entry.find('/');
  const auto base = ip_address(plain_host(entry.substr(0, slash)));
  if (!base) return std::nullopt;
  if (slash == std::string_view::npos) return Block{.base = *base, .prefix = base->bits};
  const auto prefix = whole_number(entry.substr(slash + 1));
  if (!prefix || *prefix > base->bits) return std::nullopt;
  return Block{.base = *base, .prefix = *prefix};
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '%') {
      out += text[at];
      continue;
    }
    if (at + 2 >= text.size()) return std::nullopt;
    const int high = hex_digit(text[at + 1]), low = hex_digit(text[at + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    at += 2;
  }
  return out;
}

bool has_control_character(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7F;
  });
}

tl::unexpected<Error> wrong(const std::string& what) {
  return fail(Errc::invalid, what + "; http://host:port or http://user:password@host:port is accepted");
}

Result<void> take_credentials(std::string_view text, ProxyUrl& into) {
  const auto colon = text.find(':');
  const auto user = percent_decoded(text.substr(0, colon));
  const auto password = percent_decoded(colon == std::string_view::npos ? "" : text.substr(colon + 1));
  if (!user || !password) {
    return fail(Errc::invalid,
                "a % in the user or the password begins an escape, such as %40 for @; %25 is accepted for %");
  }
  if (user->empty()) return wrong("the user before the @ is empty");
  if (user->find(':') != std::string::npos) return wrong("the user has a colon, which HTTP Basic cannot carry");
  if (has_control_character(*user + *password)) return wrong("the user or the password has a control character");
  into.user = *user;
  into.password = *password;
  return {};
}

}  // namespace

std::string ProxyUrl::shown() const {
  const bool ipv6 = host.find(':') != std::string::npos;
  return (ipv6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<ProxyUrl> parse_proxy(std::string_view url) {
  if (lower(url.substr(0, 8)) == "https://") {
    return wrong(
        "https:// would be TLS to the proxy itself, which is not spoken here (what goes through is TLS anyway)");
  }
  if (lower(url.substr(0, kScheme.size())) != kScheme) return wrong("it does not begin with http://");
  std::string_view rest = url.substr(kScheme.size());
  ProxyUrl proxy;
  if (const auto at = rest.rfind('@'); at != std::string_view::npos) {
    if (const auto taken = take_credentials(rest.substr(0, at), proxy); !taken) return tl::unexpected(taken.error());
    rest = rest.substr(at + 1);
  }
  if (rest.ends_with('/')) rest.remove_suffix(1);
  const auto bracket = rest.rfind(']');
  const auto colon = rest.find(':', bracket == std::string_view::npos ? 0 : bracket);
  const std::string_view host = rest.substr(0, colon);
  proxy.host = plain_host(host);
  const bool ipv6 = host.starts_with('[');
  if (ipv6 ? proxy.host.find(':') == std::string::npos || !ip_address(proxy.host) : !is_name(proxy.host)) {
    return wrong("the host is missing or is neither a name nor an address");
  }
  if (colon == std::string_view::npos) return wrong("the port is missing (3128 and 8080 are usual)");
  const auto port = whole_number(rest.substr(colon + 1));
  if (!port || *port < 1 || *port > 65535) return wrong("the port is not a number from 1 to 65535");
  proxy.port = static_cast<std::uint16_t>(*port);
  return proxy;
}

std::optional<std::string> why_bad_no_proxy(std::string_view entry) {
  constexpr const char* kAccepted =
      "a host's name, .suffix, an IP address, a block such as 10.0.0.0/8, or * is accepted, each as an entry of the "
      "list";
  if (entry == "*" || block(entry)) return std::nullopt;
  const std::string_view name = entry.starts_with('.') ? entry.substr(1) : entry;
  if (is_name(plain_host(name)) && name.find('/') == std::string_view::npos) return std::nullopt;
  return "\"" + std::string(entry) + "\" is no such thing; " + kAccepted;
}

bool bypasses_proxy(const std::vector<std::string>& no_proxy, std::string_view host) {
  const std::string wanted = plain_host(host);
  const auto address = ip_address(wanted);
  return std::any_of(no_proxy.begin(), no_proxy.end(), [&](const std::string& entry) {
    if (entry == "*") return true;
    const auto addresses = block(entry);
    if (addresses || address) return addresses && address && addresses->holds(*address);
    const std::string name = plain_host(entry);
    if (!name.starts_with('.')) return wanted == name;
    return wanted == name.substr(1) || wanted.ends_with(name);
  });
}

}  // namespace twinspool
