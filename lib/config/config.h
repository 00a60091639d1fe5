// The configuration, one plain struct per component, defaults in place. The keys of twinspool.yaml are these names.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "util/time.h"

namespace twinspool {

using namespace std::chrono_literals;

constexpr std::uint64_t kKiB = 1024;
constexpr std::uint64_t kMiB = 1024 * kKiB;
constexpr std::uint64_t kGiB = 1024 * kMiB;

struct QuotaConfig {  // of one socket; 0: no quota
  std::uint64_t messages = 0;
  std::uint64_t size = 0;
  friend bool operator==(const QuotaConfig&, const QuotaConfig&) = default;
};

struct ListenConfig {
  std::string path = "/run/twinspool/twinspool.sock";
  unsigned mode = 0660;
  std::string group = "twinspool-app";  // empty: the daemon's own group
  std::vector<std::string> allow_users;
  std::vector<std::string> allow_groups;
  std::vector<std::string> twins{"*"};
  QuotaConfig quota;
  friend bool operator==(const ListenConfig&, const ListenConfig&) = default;
};

struct AdminConfig {
  std::string path = "/run/twinspool/admin.sock";
  unsigned mode = 0660;
  std::string group = "twinspool";
  std::string http;
  friend bool operator==(const AdminConfig&, const AdminConfig&) = default;
};

enum class SourceTimeRule : std::uint8_t { any, rfc3339 };

struct IngestConfig {
  SourceTimeRule source_time = SourceTimeRule::any;
  bool stamp_source_time = true;
  std::uint32_t connections_max = 1024;
  Duration idle_timeout = 5min;
  Duration request_timeout = 30s;
  std::uint64_t batch_max = 4 * kMiB;
  friend bool operator==(const IngestConfig&, const IngestConfig&) = default;
};

enum class WhenFull : std::uint8_t { reject, drop_oldest };

struct StoreConfig {
  std::string path = "/var/lib/twinspool/queue.db";
  std::uint64_t max_size = 4 * kGiB;  // 0: no limit
  std::uint64_t max_messages = 0;     // 0: no limit
  Duration max_age{0};                // 0: no limit
  std::uint64_t min_free = 64 * kMiB;
  WhenFull when_full = WhenFull::reject;
  Duration commit_delay{0};
  Duration dedup_window = 10min;
  Duration keep_delivered{0};
  friend bool operator==(const StoreConfig&, const StoreConfig&) = default;
};

struct RetryConfig {
  Duration initial = 500ms;
  Duration max = 60s;
  double multiplier = 2;
  Duration retry_after_max = 1h;
  friend bool operator==(const RetryConfig&, const RetryConfig&) = default;
};

struct RateConfig {  // a second; 0: no limit
  std::uint64_t messages = 0;
  std::uint64_t bytes = 0;
  friend bool operator==(const RateConfig&, const RateConfig&) = default;
};

struct TlsConfig {
  std::string ca_file;
  std::string cert_file;
  std::string key_file;
  std::string min_version = "1.2";
  std::string server_name;  // empty: the endpoint's host
  friend bool operator==(const TlsConfig&, const TlsConfig&) = default;
};

enum class ForwardOrder : std::uint8_t { twin, queue };

struct ForwardConfig {
  std::string endpoint;  // https://host[:port]; empty: collect only, deliver nothing
  std::string api_version = "2023-10-31";
  ForwardOrder order = ForwardOrder::twin;
  std::uint32_t connections = 64;
  std::uint32_t pipeline = 1;
  Duration request_timeout = 30s;
  Duration connect_timeout = 10s;
  Duration not_found_hold = 24h;
  std::string proxy;
  std::vector<std::string> no_proxy;
  RateConfig rate;
  RetryConfig retry;
  TlsConfig tls;
  friend bool operator==(const ForwardConfig&, const ForwardConfig&) = default;
};

enum class AuthKind : std::uint8_t {
  none,
  token_file,
  client_secret,
  client_certificate,
  managed_identity,
  workload_identity
};

struct AuthConfig {
  AuthKind kind = AuthKind::none;
  std::string token_file;
  std::string tenant;
  std::string client_id;
  std::string client_secret_file;
  std::string cert_file;
  std::string key_file;
  std::string federated_token_file;
  std::string authority = "https://login.microsoftonline.com";
  std::string scope = "https://digitaltwins.azure.net/.default";
  Duration refresh_ahead = 5min;
  friend bool operator==(const AuthConfig&, const AuthConfig&) = default;
};

enum class LogFormat : std::uint8_t { text, json };

struct LogConfig {
  std::string level = "info";  // debug | info | warn | error
  LogFormat format = LogFormat::text;
  friend bool operator==(const LogConfig&, const LogConfig&) = default;
};

struct Config {
  std::vector<ListenConfig> listen{ListenConfig{}};
  AdminConfig admin;
  IngestConfig ingest;
  StoreConfig store;
  ForwardConfig forward;
  AuthConfig auth;
  LogConfig log;
  friend bool operator==(const Config&, const Config&) = default;
};

}  // namespace twinspool
