#include "config/load.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "config/check.h"
#include "config/check_auth.h"
#include "config/reader.h"

namespace twinspool {

namespace {

constexpr std::uint64_t kTiB = 1024 * kGiB;
constexpr std::uint64_t kMessagesMax = 1'000'000'000'000;
constexpr Duration kYear = 24h * 365;

void read_listen_entry(Section& section, ListenConfig& into) {
  section.text("path", into.path);
  section.mode("mode", into.mode);
  section.text("group", into.group);
  section.texts("allow_users", into.allow_users);
  section.texts("allow_groups", into.allow_groups);
  section.texts("twins", into.twins);
  Section quota = section.section("quota");
  quota.count("messages", into.quota.messages, {0, kMessagesMax});
  quota.size("size", into.quota.size, {0, 1024 * kTiB});
}

void read_listen(Reading& reading, Section& root, std::vector<ListenConfig>& into) {
  const Tree* list = root.list("listen");
  if (list == nullptr) return;
  into.clear();
  for (std::size_t i = 0; i < list->children.size(); ++i) {
    const std::string path = fmt::format("listen[{}]", i);
    reading.places[path] = list->children[i].place;
    Section section(reading, &list->children[i], path);
    read_listen_entry(section, into.emplace_back());
  }
}

void read_admin(Section section, AdminConfig& into) {
  section.text("path", into.path);
  section.mode("mode", into.mode);
  section.text("group", into.group);
  section.text("http", into.http);
}

void read_ingest(Section section, IngestConfig& into) {
  section.choice("source_time", into.source_time, {{"any", SourceTimeRule::any}, {"rfc3339", SourceTimeRule::rfc3339}});
  section.flag("stamp_source_time", into.stamp_source_time);
  section.count("connections_max", into.connections_max, {1, 65536});
  section.duration("idle_timeout", into.idle_timeout, {1s, 7 * 24h});
  section.duration("request_timeout", into.request_timeout, {1s, 1h});
  section.size("batch_max", into.batch_max, {64 * kKiB, 64 * kMiB});
}

void read_store(Section section, StoreConfig& into) {
  section.text("path", into.path);
  section.size("max_size", into.max_size, {1 * kMiB, 1024 * kTiB, true});
  section.count("max_messages", into.max_messages, {0, kMessagesMax});
  section.duration("max_age", into.max_age, {1min, 10 * kYear, true});
  section.size("min_free", into.min_free, {0, kTiB});
  section.choice("when_full", into.when_full, {{"reject", WhenFull::reject}, {"drop_oldest", WhenFull::drop_oldest}});
  section.duration("commit_delay", into.commit_delay, {0s, 1s});
  section.duration("dedup_window", into.dedup_window, {0s, 7 * 24h});
  section.duration("keep_delivered", into.keep_delivered, {0s, kYear});
}

void read_forward(Section section, ForwardConfig& into) {
  section.text("endpoint", into.endpoint);
  section.word("api_version", into.api_version, {"2020-10-31", "2022-05-31", "2023-06-30", "2023-10-31"});
  section.choice("order", into.order, {{"twin", ForwardOrder::twin}, {"queue", ForwardOrder::queue}});
  section.count("connections", into.connections, {1, 4096});
  section.count("pipeline", into.pipeline, {1, 1024});
  section.duration("request_timeout", into.request_timeout, {100ms, 1h});
  section.duration("connect_timeout", into.connect_timeout, {100ms, 10min});
  section.duration("not_found_hold", into.not_found_hold, {0s, kYear});
  section.text("proxy", into.proxy);
  section.texts("no_proxy", into.no_proxy);
  {
    Section rate = section.section("rate");
    rate.count("messages", into.rate.messages, {0, 1'000'000'000});
    rate.size("bytes", into.rate.bytes, {0, kTiB});
  }
  {
    Section retry = section.section("retry");
    retry.duration("initial", into.retry.initial, {1ms, 24h});
    retry.duration("max", into.retry.max, {1ms, 24h});
    retry.number("multiplier", into.retry.multiplier, {1, 10});
    retry.duration("retry_after_max", into.retry.retry_after_max, {0s, 7 * 24h});
  }
  Section tls = section.section("tls");
  tls.text("ca_file", into.tls.ca_file);
  tls.text("cert_file", into.tls.cert_file);
  tls.text("key_file", into.tls.key_file);
  tls.word("min_version", into.tls.min_version, {"1.2", "1.3"});
  tls.text("server_name", into.tls.server_name);
}

void read_auth(Section section, AuthConfig& into) {
  section.choice("kind", into.kind,
                 {{"none", AuthKind::none},
                  {"token_file", AuthKind::token_file},
                  {"client_secret", AuthKind::client_secret},
                  {"client_certificate", AuthKind::client_certificate},
                  {"managed_identity", AuthKind::managed_identity},
                  {"workload_identity", AuthKind::workload_identity}});
  section.text("token_file", into.token_file);
  section.text("tenant", into.tenant);
  section.text("client_id", into.client_id);
  section.text("client_secret_file", into.client_secret_file);
  section.text("cert_file", into.cert_file);
  section.text("key_file", into.key_file);
  section.text("federated_token_file", into.federated_token_file);
  section.text("authority", into.authority);
  section.text("scope", into.scope);
  section.duration("refresh_ahead", into.refresh_ahead, {0s, 1h});
  fill_from_environment(into);
}

void read_log(Section section, LogConfig& into) {
  section.word("level", into.level, {"debug", "info", "warn", "error"});
  section.choice("format", into.format, {{"text", LogFormat::text}, {"json", LogFormat::json}});
}

Config read_config(Reading& reading, const Tree& tree) {
  Config config;
  {
    Section root(reading, &tree, "");
    read_listen(reading, root, config.listen);
    read_admin(root.section("admin"), config.admin);
    read_ingest(root.section("ingest"), config.ingest);
    read_store(root.section("store"), config.store);
    read_forward(root.section("forward"), config.forward);
    read_auth(root.section("auth"), config.auth);
    read_log(root.section("log"), config.log);
  }
  reading.report_unknown();
  return config;
}

}  // namespace

Result<Config> parse_config(const std::string& yaml, const std::string& name) {
  Reading reading;
  const Tree tree = parse_yaml(yaml, reading.problems);
  if (!reading.problems.empty() && tree.kind == Tree::Kind::nothing) {
    return fail(Errc::invalid, reading.problems.text(name));
  }
  Config config = read_config(reading, tree);
  check_config(config, [&](const std::string& key, std::string what) {
    reading.problems.add(reading.place_of(key), key, std::move(what));
  });
  if (!reading.problems.empty()) return fail(Errc::invalid, reading.problems.text(name));
  return config;
}

Result<Config> load_config(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"), std::fclose);
  std::string text;
  bool whole = file != nullptr;
  for (char part[4096]; whole && !std::feof(file.get());) {
    text.append(part, std::fread(part, 1, sizeof part, file.get()));
    whole = std::ferror(file.get()) == 0;
  }
  if (!whole) return fail(Errc::invalid, fmt::format("{}: cannot be read: {}", path, std::strerror(errno)));
  return parse_config(text, path);
}

std::vector<std::string> config_keys() {
  Reading reading;
  Problems none;
  read_config(reading, parse_yaml("listen: [{}]", none));
  return reading.known;
}

std::vector<std::string> keys_that_need_restart(const Config& running, const Config& wanted) {
  std::vector<std::string> keys;
  const auto compare = [&](const char* key, const auto& before, const auto& after) {
    if (!(before == after)) keys.emplace_back(key);
  };
  compare("listen", running.listen, wanted.listen);
  compare("admin", running.admin, wanted.admin);
  compare("ingest.connections_max", running.ingest.connections_max, wanted.ingest.connections_max);
  compare("ingest.idle_timeout", running.ingest.idle_timeout, wanted.ingest.idle_timeout);
  compare("ingest.request_timeout", running.ingest.request_timeout, wanted.ingest.request_timeout);
  compare("ingest.batch_max", running.ingest.batch_max, wanted.ingest.batch_max);
  compare("store.path", running.store.path, wanted.store.path);
  compare("log.format", running.log.format, wanted.log.format);
  return keys;
}

}  // namespace twinspool
