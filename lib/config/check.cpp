#include "config/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include "config/check_auth.h"
#include "config/loopback.h"
#include "config/proxy.h"
#include "config/units.h"

namespace twinspool {

namespace {

constexpr std::size_t kSocketPathBytesMax = 107;  // sockaddr_un's 108 with the final zero
constexpr std::size_t kHostBytesMax = 253;
constexpr std::size_t kNameBytesMax = 32;  // of a Unix user or group
constexpr std::size_t kSocketsMax = 64;
constexpr std::size_t kNamesMax = 256;              // of users, groups or twins of one socket
constexpr std::uint64_t kQuotaSizeMin = 64 * kKiB;  // any one message fits

std::optional<std::string> why_bad_socket_path(const std::string& path) {
  if (path.empty() || path[0] != '/') {
    return fmt::format("\"{}\" is not an absolute path; one that begins with / is accepted", path);
  }
  if (path.size() > kSocketPathBytesMax) {
    return fmt::format("the path has {} bytes; a Unix socket's may have {}", path.size(), kSocketPathBytesMax);
  }
  return std::nullopt;
}

bool is_name(const std::string& name) {  // of a Unix user or group
  return name.size() <= kNameBytesMax && name.find_first_of(" \t\r\n:/,\\\"'") == std::string::npos &&
         !name.starts_with('-');
}

std::optional<std::string> why_bad_group(const std::string& group) {
  if (is_name(group)) return std::nullopt;
  return fmt::format("\"{}\" is not a group's name; one is accepted, or \"\" for the daemon's own group", group);
}

bool is_host(std::string_view host) {
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    return host.find_first_not_of("0123456789abcdefABCDEF:.", 1) == host.size() - 1;
  }
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
  return !host.empty() && host.size() <= kHostBytesMax && host.find_first_not_of(kAllowed) == std::string_view::npos &&
         host.front() != '.' && host.front() != '-';
}

bool is_port(std::string_view text) {
  unsigned port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() && port >= 1 && port <= 65535;
}

std::optional<std::string> why_bad_endpoint(const std::string& endpoint) {
  constexpr std::string_view kAccepted = "https://host or https://host:port is accepted";
  constexpr std::string_view kScheme = "https://";
  if (endpoint.starts_with("http://")) {
    return fmt::format("http:// would send telemetry and tokens in the clear; {}", kAccepted);
  }
  if (!endpoint.starts_with(kScheme)) return fmt::format("\"{}\" is not an https URL; {}", endpoint, kAccepted);
  const std::string_view rest = std::string_view(endpoint).substr(kScheme.size());
  if (const auto end = rest.find_first_of("/?#"); end != std::string_view::npos) {
    return fmt::format("\"{}\" follows the host, and the daemon makes the path itself; {}", rest.substr(end),
                       kAccepted);
  }
  if (rest.find('@') != std::string_view::npos) {
    return fmt::format("a user or password stands in the URL, where logs would show it; {}", kAccepted);
  }
  const auto bracket = rest.rfind(']');
  const auto colon = rest.find(':', bracket == std::string_view::npos ? 0 : bracket);
  const std::string_view host = rest.substr(0, colon);
  if (!is_host(host)) return fmt::format("\"{}\" is not a host's name or address; {}", host, kAccepted);
  if (colon != std::string_view::npos && !is_port(rest.substr(colon + 1))) {
    return fmt::format("\"{}\" is not a port; 1 to 65535 are accepted", rest.substr(colon + 1));
  }
  return std::nullopt;
}

class Checker {
 public:
  Checker(const Config& config, const std::function<void(const std::string&, std::string)>& problem)
      : config_(config), problem_(problem) {}

  void check() {
    check_sockets();
    if (config_.store.path.empty()) problem_("store.path", "empty; the path of the database file is accepted");
    check_forward();
    check_auth(config_.auth, why_bad_endpoint, problem_);
  }

 private:
  void check_sockets() {
    if (config_.listen.empty()) problem_("listen", "empty, so nobody could send; at least one socket is accepted");
    std::vector<std::pair<std::string, std::string>> seen;  // path, key
    if (config_.listen.size() > kSocketsMax)
      problem_("listen", fmt::format("has {} sockets; {} are accepted", config_.listen.size(), kSocketsMax));
    for (std::size_t i = 0; i < config_.listen.size(); ++i) {
      const std::string section = fmt::format("listen[{}]", i);
      check_socket(section, config_.listen[i].path, config_.listen[i].group, seen);
      check_access(section, config_.listen[i]);
    }
    check_socket("admin", config_.admin.path, config_.admin.group, seen);
    if (!config_.admin.http.empty() && !parse_loopback(config_.admin.http))
      problem_("admin.http",
               fmt::format("\"{}\" is not an address of this machine alone, and whoever reaches it may read; "
                           "127.0.0.1:9464, [::1]:9464 or \"\" is accepted",
                           config_.admin.http));
  }

  void check_socket(const std::string& section, const std::string& path, const std::string& group,
                    std::vector<std::pair<std::string, std::string>>& seen) {
    if (const auto why = why_bad_socket_path(path)) problem_(section + ".path", *why);
    if (const auto why = why_bad_group(group)) problem_(section + ".group", *why);
    const auto same = std::find_if(seen.begin(), seen.end(), [&](const auto& other) { return other.first == path; });
    if (same != seen.end()) {
      problem_(section + ".path",
               fmt::format("{} is the path of {} too; each socket needs its own", path, same->second));
    }
    seen.emplace_back(path, section);
  }

  void check_access(const std::string& section, const ListenConfig& socket) {
    check_names(section + ".allow_users", "a user's", socket.allow_users);
    check_names(section + ".allow_groups", "a group's", socket.allow_groups);
    const auto empty = [](const std::string& twin) { return twin.empty(); };
    if (socket.twins.empty() || std::any_of(socket.twins.begin(), socket.twins.end(), empty))
      problem_(section + ".twins",
               "empty, so no twin could be written to; ids are accepted, with * for any text, or \"*\" for every twin");
    if (socket.twins.size() > kNamesMax)
      problem_(section + ".twins", fmt::format("has {} entries; {} are accepted", socket.twins.size(), kNamesMax));
    if (socket.quota.size != 0 && socket.quota.size < kQuotaSizeMin)
      problem_(section + ".quota.size",
               fmt::format("{} bytes would not hold every message; 64KiB and more are accepted, or 0 for no quota",
                           socket.quota.size));
  }

  void check_names(const std::string& key, std::string_view whose, const std::vector<std::string>& names) {
    if (names.size() > kNamesMax)
      problem_(key, fmt::format("has {} entries; {} are accepted", names.size(), kNamesMax));
    for (const std::string& name : names) {
      if (!name.empty() && is_name(name)) continue;
      problem_(key, fmt::format("\"{}\" is not {} name; names and numbers are accepted", name, whose));
    }
  }

  void check_forward() {
    const ForwardConfig& forward = config_.forward;
    if (!forward.endpoint.empty()) {
      if (const auto why = why_bad_endpoint(forward.endpoint)) problem_("forward.endpoint", *why);
    }
    if (forward.retry.initial > forward.retry.max) {
      problem_("forward.retry.initial",
               fmt::format("{} is more than forward.retry.max, which is {}; at most that is accepted",
                           duration_text(forward.retry.initial), duration_text(forward.retry.max)));
    }
    check_proxy();
    const TlsConfig& tls = forward.tls;
    if (tls.cert_file.empty() != tls.key_file.empty()) {
      problem_(
          tls.cert_file.empty() ? "forward.tls.key_file" : "forward.tls.cert_file",
          "a client certificate needs its key and a key its certificate; both cert_file and key_file are accepted, or "
          "neither");
    }
    if (!tls.server_name.empty() && !is_host(tls.server_name)) {
      problem_("forward.tls.server_name", fmt::format("\"{}\" is not a host's name; one is accepted, or \"\" for the "
                                                      "endpoint's host",
                                                      tls.server_name));
    }
  }

  void check_proxy() {
    const ForwardConfig& forward = config_.forward;
    if (!forward.proxy.empty()) {
      if (const auto proxy = parse_proxy(forward.proxy); !proxy) problem_("forward.proxy", proxy.error().what);
    }
    for (const std::string& entry : forward.no_proxy) {
      if (const auto why = why_bad_no_proxy(entry)) problem_("forward.no_proxy", *why);
    }
  }

  const Config& config_;
  const std::function<void(const std::string&, std::string)>& problem_;
};

}  // namespace

void check_config(const Config& config, const std::function<void(const std::string& key, std::string what)>& problem) {
  Checker(config, problem).check();
}

}  // namespace twinspool
