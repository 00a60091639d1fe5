#include "config/load.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "support/catch.h"
#include "support/temp_dir.h"

using namespace twinspool;

namespace {

Config good(const std::string& yaml) {
  auto config = parse_config(yaml, "t.yaml");
  INFO(yaml);
  if (!config) FAIL(config.error().what);
  return *config;
}

std::string refusal(const std::string& yaml) {
  const auto config = parse_config(yaml, "t.yaml");
  INFO(yaml);
  REQUIRE_FALSE(config);
  CHECK(config.error().code == Errc::invalid);
  return config.error().what;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("nothing configured is every default", "[config][load]") {
  CHECK(good("") == Config{});
  CHECK(good("# only a comment\n") == Config{});
  CHECK(good("store:\nforward:\n  tls:\nlisten:\n") == Config{});
}

TEST_CASE("each kind of value arrives in its field", "[config][load]") {
  const Config config = good(R"(
listen:
  - {path: /run/a.sock, mode: "0600", group: ""}
  - path: /run/b.sock
admin: {path: /run/admin.sock, mode: "0640", group: ops}
ingest: {source_time: rfc3339, stamp_source_time: false, connections_max: 10, idle_timeout: 1m, request_timeout: 2s}
store: {path: /q.db, max_size: 1GiB, max_messages: 5, min_free: 0, commit_delay: 5ms, dedup_window: 1h}
forward:
  endpoint: https://twins.example:8443
  api_version: 2022-05-31
  order: queue
  connections: 3
  request_timeout: 1s
  connect_timeout: 200ms
  not_found_hold: 0
  retry: {initial: 10ms, max: 1s, multiplier: 1.5, retry_after_max: 10s}
  tls: {ca_file: /ca.pem, cert_file: /c.pem, key_file: /k.pem, min_version: 1.3, server_name: twins.example}
auth: {kind: token_file, token_file: /token}
log: {level: debug}
)");
  REQUIRE(config.listen.size() == 2);
  CHECK(config.listen[0] == ListenConfig{.path = "/run/a.sock", .mode = 0600, .group = ""});
  CHECK(config.listen[1] == ListenConfig{.path = "/run/b.sock"});
  CHECK(config.admin == AdminConfig{.path = "/run/admin.sock", .mode = 0640, .group = "ops"});
  CHECK(config.ingest == IngestConfig{.source_time = SourceTimeRule::rfc3339,
                                      .stamp_source_time = false,
                                      .connections_max = 10,
                                      .idle_timeout = 1min,
                                      .request_timeout = 2s});
  CHECK(config.store == StoreConfig{.path = "/q.db",
                                    .max_size = kGiB,
                                    .max_messages = 5,
                                    .min_free = 0,
                                    .commit_delay = 5ms,
                                    .dedup_window = 1h});
  ForwardConfig forward{.endpoint = "https://twins.example:8443",
                        .api_version = "2022-05-31",
                        .order = ForwardOrder::queue,
                        .connections = 3,
                        .request_timeout = 1s,
                        .connect_timeout = 200ms,
                        .not_found_hold = 0s};
  forward.retry = {.initial = 10ms, .max = 1s, .multiplier = 1.5, .retry_after_max = 10s};
  forward.tls = {.ca_file = "/ca.pem",
                 .cert_file = "/c.pem",
                 .key_file = "/k.pem",
                 .min_version = "1.3",
                 .server_name = "twins.example"};
  CHECK(config.forward == forward);
  CHECK(config.auth == AuthConfig{.kind = AuthKind::token_file, .token_file = "/token"});
  CHECK(config.log.level == "debug");
}

TEST_CASE("a refusal names file, line, column, key, fault and what is accepted", "[config][load]") {
  CHECK(refusal("store:\n  max_size: 4GB\n") ==
        "t.yaml:2:3: store.max_size: \"4GB\" is not a size; a whole number of bytes is accepted, or one with B, KiB, "
        "MiB, "
        "GiB or TiB: 64KiB, 4GiB");
  CHECK(refusal("ingest: {connections_max: 0}")
            .starts_with("t.yaml:1:10: ingest.connections_max: 0 is out of range; 1 to 65536 are accepted"));
}

TEST_CASE("all faults are told at once, in the file's order", "[config][load]") {
  const std::string what =
      refusal("log: {level: loud}\nforward:\n  connections: many\n  retry: {initial: 5}\nstroe: {}\n");
  const auto level = what.find("t.yaml:1:7: log.level");
  const auto connections = what.find("\nt.yaml:3:3: forward.connections");
  const auto initial = what.find("\nt.yaml:4:11: forward.retry.initial");
  const auto unknown = what.find("\nt.yaml:5:1: stroe");
  REQUIRE(unknown != std::string::npos);
  CHECK(level == 0);
  CHECK(level < connections);
  CHECK(connections < initial);
  CHECK(initial < unknown);
}

TEST_CASE("an unknown key is refused with the key that was probably meant", "[config][load]") {
  CHECK(has(refusal("store: {max_sise: 1GiB}"), "store.max_sise: unknown key; did you mean max_size?"));
  CHECK(has(refusal("max_size: 1GiB"), "max_size: unknown key; did you mean store.max_size?"));
  CHECK(has(refusal("forward: {initial: 1s}"), "did you mean forward.retry.initial?"));
  CHECK(has(refusal("log: {colour: red}"), "log.colour: unknown key; accepted here: level, format"));
  CHECK(has(refusal("listen: [{pth: /run/x}]"), "listen[].pth: unknown key; did you mean path?"));
}

TEST_CASE("a key that stands twice is refused", "[config][load]") {
  CHECK(has(refusal("log: {level: info}\nstore: {}\nlog: {level: warn}\n"),
            "t.yaml:3:1: log: stands twice, first in line 1"));
  CHECK(has(refusal("log:\n  level: info\n  level: warn\n"), "t.yaml:3:3: level: stands twice"));
}

TEST_CASE("a value of the wrong kind is refused", "[config][load]") {
  CHECK(has(refusal("store: big"), "store: a single value stands here; keys with values are accepted"));
  CHECK(has(refusal("[]"), "a list stands here"));
  CHECK(has(refusal("listen: /run/x.sock"), "listen: a single value stands here; a list is accepted"));
  CHECK(has(refusal("log: {level: [info]}"), "log.level: a list stands here; a single value is accepted"));
  CHECK(has(refusal("log: {level: }"), "log.level: no value stands here"));
  CHECK(has(refusal("forward: {no_proxy: [[a]]}"), "a list stands in the list"));
  CHECK(has(refusal("ingest: {stamp_source_time: yes}"), "false, true are accepted"));
  CHECK(has(refusal("? [a]\n: b\n"), "a key must be a plain word"));
}

TEST_CASE("what is not one YAML document is refused with its place", "[config][load]") {
  CHECK(has(refusal("store: {"), "not valid YAML"));
  CHECK(has(refusal("a: b: c"), "t.yaml:1:"));
  CHECK(has(refusal("log: {}\n---\nlog: {}\n"), "t.yaml:2:1: this is no YAML, or a second document (---) begins here"));
  CHECK(has(refusal(",isten:\n  path"), "this is no YAML"));  // the YAML library alone goes round for ever
  CHECK(has(refusal("]"), "t.yaml:1:1: "));
  CHECK(has(refusal("a: &a [*a]"), ""));
  std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 10; ++i) {
    const std::string last = "*a" + std::to_string(i - 1) + ",";
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + last + last + last + last + last + last +
            last + "]\n";
  }
  CHECK(has(refusal(bomb), "too deeply nested or too large"));
}

TEST_CASE("whoever reads the file beside the daemon finds its credentials", "[config][load]") {
  const std::string text = "store: {path: \"${CREDENTIALS_DIRECTORY}/q\"}";
  unsetenv("CREDENTIALS_DIRECTORY");
  CHECK(good(text).store.path == "/run/credentials/twinspoold.service/q");
  setenv("CREDENTIALS_DIRECTORY", "/run/elsewhere", 1);
  CHECK(good(text).store.path == "/run/elsewhere/q");
  unsetenv("CREDENTIALS_DIRECTORY");
}

TEST_CASE("variables of the environment expand, and one that is not set is refused", "[config][load]") {
  setenv("TWINSPOOL_TEST_HOST", "twins.example", 1);
  setenv("TWINSPOOL_TEST_EMPTY", "", 1);
  unsetenv("TWINSPOOL_TEST_UNSET");
  CHECK(good("forward: {endpoint: \"https://${TWINSPOOL_TEST_HOST}:443\"}").forward.endpoint ==
        "https://twins.example:443");
  CHECK(good("store: {path: \"/a${TWINSPOOL_TEST_EMPTY}/$b\"}").store.path == "/a/$b");
  CHECK(has(refusal("store: {path: \"${TWINSPOOL_TEST_UNSET}/q\"}"),
            "the environment has no variable TWINSPOOL_TEST_UNSET"));
  CHECK(has(refusal("store: {path: \"/${oops\"}"), "names no variable"));
  CHECK(has(refusal("store: {path: \"/${}\"}"), "names no variable"));
  CHECK(has(refusal("store: {path: \"/${a b}\"}"), "names no variable"));
}

TEST_CASE("socket paths are absolute, short enough and different", "[config][load]") {
  const std::string longest = "/" + std::string(106, 'x');
  CHECK(good("listen: [{path: " + longest + "}]").listen[0].path == longest);
  CHECK(has(refusal("listen: [{path: " + longest + "x}]"), "108 bytes; a Unix socket's may have 107"));
  CHECK(has(refusal("listen: [{path: run/x}]"), "listen[0].path: \"run/x\" is not an absolute path"));
  CHECK(has(refusal("admin: {path: \"\"}"), "admin.path"));
  CHECK(has(refusal("listen: [{path: /a}, {path: /a}]"), "listen[1].path: /a is the path of listen[0] too"));
  CHECK(has(refusal("admin: {path: /run/twinspool/twinspool.sock}"), "is the path of listen[0] too"));
  CHECK(has(refusal("listen: []"), "at least one socket"));
  CHECK(has(refusal("admin: {group: \"a b\"}"), "is not a group's name"));
}

TEST_CASE("the endpoint is an https URL without anything behind the host", "[config][load]") {
  for (const char* url : {"https://a", "https://plant.api.weu.digitaltwins.azure.net", "https://127.0.0.1:8443",
                          "https://[::1]", "https://[2001:db8::1]:443", ""}) {
    CHECK(good(std::string("forward: {endpoint: \"") + url + "\"}").forward.endpoint == url);
  }
  CHECK(has(refusal("forward: {endpoint: \"http://a\"}"), "in the clear"));
  for (const char* url : {"a", "ftp://a", "https://", "https://a/", "https://a?x=1", "https://a#f", "https://u:p@a",
                          "https://a:", "https://a:0", "https://a:65536", "https://a:8x", "https://a b", "https://[::1",
                          "https://[::1]x", "https://[]", "https://-a", "HTTPS://a"}) {
    CHECK(has(refusal(std::string("forward: {endpoint: \"") + url + "\"}"), "forward.endpoint: "));
  }
}

TEST_CASE("a proxy may have its password from the environment, and no refusal shows it", "[config][load]") {
  setenv("TWINSPOOL_TEST_PASSWORD", "hunter2", 1);
  const Config config = good(
      "forward: {proxy: \"http://gateway:${TWINSPOOL_TEST_PASSWORD}@proxy:3128\", no_proxy: [.plant.example, "
      "10.0.0.0/8]}");
  CHECK(config.forward.proxy == "http://gateway:hunter2@proxy:3128");
  CHECK(config.forward.no_proxy == std::vector<std::string>{".plant.example", "10.0.0.0/8"});
  const std::string text = refusal("forward: {proxy: \"http://gateway:${TWINSPOOL_TEST_PASSWORD}@proxy\"}");
  CHECK(has(text, "forward.proxy: the port is missing"));
  CHECK(has(text, "http://host:port"));
  CHECK_FALSE(has(text, "hunter2"));
  CHECK(has(refusal("forward: {no_proxy: [\"a,b\"]}"), "forward.no_proxy: \"a,b\" is no such thing"));
}

TEST_CASE("combinations that cannot work are refused", "[config][load]") {
  CHECK(has(refusal("forward: {retry: {initial: 2m}}"),
            "forward.retry.initial: 2m is more than forward.retry.max, which is 1m"));
  CHECK(has(refusal("forward: {retry: {multiplier: 0.5}}"), "forward.retry.multiplier"));
  CHECK(has(refusal("auth: {kind: token_file}"), "auth.token_file: empty"));
  CHECK(has(refusal("forward: {tls: {cert_file: /c}}"), "forward.tls.cert_file"));
  CHECK(has(refusal("forward: {tls: {key_file: /k}}"), "both cert_file and key_file are accepted, or neither"));
  CHECK(has(refusal("forward: {api_version: 2021-01-01}"), "2023-10-31 are accepted"));
  CHECK(has(refusal("forward: {tls: {min_version: 1.1}}"), "1.2, 1.3 are accepted"));
  CHECK(has(refusal("store: {max_size: 1KiB}"), "0, or 1MiB to"));
  CHECK(good("store: {max_size: 0}").store.max_size == 0);
}

TEST_CASE("a socket's rules are checked before they are needed", "[config][load]") {
  const ListenConfig socket = good(
                                  "listen: [{allow_users: [scada, \"998\"], allow_groups: [plc], twins: [\"line-*\"], "
                                  "quota: {messages: 5, size: "
                                  "64KiB}}]")
                                  .listen[0];
  CHECK(socket.allow_users == std::vector<std::string>{"scada", "998"});
  CHECK(socket.quota == QuotaConfig{.messages = 5, .size = 64 * kKiB});
  CHECK(has(refusal("listen: [{allow_users: [\"a b\"]}]"), "listen[0].allow_users: \"a b\" is not a user's name"));
  CHECK(has(refusal("listen: [{allow_groups: [\"\"]}]"), "listen[0].allow_groups: \"\" is not a group's name"));
  CHECK(has(refusal("listen: [{twins: []}]"), "listen[0].twins: empty, so no twin could be written to"));
  CHECK(
      has(refusal("listen: [{quota: {size: 1KiB}}]"), "listen[0].quota.size: 1024 bytes would not hold every message"));
}

TEST_CASE("admin.http is an address of this machine alone", "[config][load]") {
  CHECK(good("admin: {http: \"127.0.0.1:9464\"}").admin.http == "127.0.0.1:9464");
  for (const char* own : {"[::1]:9464", "localhost:9464", "127.1.2.3:1", "127.0.0.1:0", ""})
    CHECK(good(std::string("admin: {http: \"") + own + "\"}").admin.http == own);
  for (const char* other : {"0.0.0.0:9464", "192.0.2.1:9464", "[::]:9464", "127.0.0.1", ":9464", "9464", "host:9464",
                            "127.0.0.1:65536", "127.0.0.1:x", "127.0.0.1.example:1"})
    CHECK(has(refusal(std::string("admin: {http: \"") + other + "\"}"), "is not an address of this machine alone"));
}

TEST_CASE("a file that cannot be read is an error that says why", "[config][load]") {
  const TempDir dir;
  const std::string path = dir.file("twinspool.yaml");
  const auto missing = load_config(path);
  REQUIRE_FALSE(missing);
  CHECK(missing.error().what == path + ": cannot be read: No such file or directory");
  CHECK_FALSE(load_config(dir.path().string()));  // a directory
  std::ofstream(path) << "log: {level: warn}\n";
  REQUIRE(load_config(path));
  CHECK(load_config(path)->log.level == "warn");
  std::ofstream(path) << "";
  CHECK(load_config(path) == Config{});
  if (geteuid() != 0) {
    chmod(path.c_str(), 0);
    CHECK_FALSE(load_config(path));
  }
}

TEST_CASE("a reload may change rules and limits, but not sockets and files that are open", "[config][load]") {
  const Config running;
  Config wanted;
  wanted.log.level = "debug";
  wanted.ingest.source_time = SourceTimeRule::rfc3339;
  wanted.store.max_size = 1;
  wanted.forward.endpoint = "https://b";
  wanted.auth.kind = AuthKind::token_file;
  CHECK(keys_that_need_restart(running, wanted).empty());
  wanted.listen[0].mode = 0666;
  wanted.admin.path = "/x";
  wanted.ingest.connections_max = 1;
  wanted.store.path = "/y";
  CHECK(keys_that_need_restart(running, wanted) ==
        std::vector<std::string>{"listen", "admin", "ingest.connections_max", "store.path"});
}
