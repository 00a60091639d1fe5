#include "config/check_auth.h"

#include <cstdlib>

#include "config/load.h"
#include "support/catch.h"

using namespace twinspool;

namespace {

const std::string kCredentials = "tenant: t, client_id: c, ";

AuthConfig good(const std::string& auth) {
  const auto config = parse_config("auth: {" + auth + "}", "t.yaml");
  INFO(auth);
  if (!config) FAIL(config.error().what);
  return config->auth;
}

std::string refusal(const std::string& auth) {
  const auto config = parse_config("auth: {" + auth + "}", "t.yaml");
  INFO(auth);
  REQUIRE_FALSE(config);
  return config.error().what;
}

void refused_with(const std::string& auth, const std::string& part) {
  const std::string what = refusal(auth);
  INFO(what);
  CHECK(what.find(part) != std::string::npos);
}

struct Variable {  // set for one test
  Variable(const char* variable, const std::string& value) : name(variable) { ::setenv(name, value.c_str(), 1); }
  ~Variable() { ::unsetenv(name); }
  Variable(Variable&&) = delete;
  const char* name;
};

}  // namespace

TEST_CASE("each kind is accepted with what it needs", "[config][auth]") {
  good("kind: none");
  good("kind: token_file, token_file: /t");
  good("kind: client_secret, " + kCredentials + "client_secret_file: /s");
  good("kind: client_certificate, " + kCredentials + "cert_file: /c, key_file: /k");
  good("kind: workload_identity, " + kCredentials + "federated_token_file: /f");
  good("kind: managed_identity");
  good("kind: managed_identity, client_id: 0f1e2d3c-aaaa");
}

TEST_CASE("what a kind needs is named where it is missing", "[config][auth]") {
  refused_with("kind: token_file", "auth.token_file: empty, but auth.kind token_file needs it; the path of");
  refused_with("kind: client_secret", "auth.tenant: empty");
  refused_with("kind: client_secret", "auth.client_id: empty");
  refused_with("kind: client_secret", "auth.client_secret_file: empty");
  refused_with("kind: client_certificate, " + kCredentials + "cert_file: /c", "auth.key_file: empty");
  refused_with("kind: client_certificate, " + kCredentials + "key_file: /k", "auth.cert_file: empty");
  refused_with("kind: workload_identity", "auth.tenant: empty");
  refused_with("kind: workload_identity", "here or in AZURE_FEDERATED_TOKEN_FILE");
}

TEST_CASE("what belongs to another kind is refused with that kind's name", "[config][auth]") {
  refused_with("kind: none, token_file: /t",
               "auth.token_file: does not belong to auth.kind none, but to token_file; leave it out");
  refused_with("tenant: t", "but to client_secret, client_certificate, workload_identity");
  refused_with("kind: managed_identity, client_secret_file: /s", "auth.client_secret_file: does not belong");
  refused_with("kind: client_secret, " + kCredentials + "client_secret_file: /s, key_file: /k",
               "auth.key_file: does not");
}

TEST_CASE("values that could change the request are refused", "[config][auth]") {
  const std::string rest = "kind: client_secret, client_secret_file: /s, ";
  refused_with(rest + "client_id: c, tenant: \"t/../common\"", "auth.tenant: \"t/../common\" is no tenant");
  refused_with(rest + "client_id: c, tenant: \"..\"", "auth.tenant: ");
  refused_with(rest + "tenant: t, client_id: \"c&scope=x\"", "auth.client_id: ");
  refused_with(rest + kCredentials + "authority: \"http://login.test\"", "auth.authority: http:// would send");
  refused_with(rest + kCredentials + "authority: \"https://login.test/path\"", "auth.authority: ");
  refused_with(rest + kCredentials + "scope: \"https://digitaltwins.azure.net\"", "auth.scope: ");
  refused_with(rest + kCredentials + "scope: \"a b/.default\"", "RESOURCE/.default is accepted");
}

TEST_CASE("a workload identity takes from the platform's variables what is empty", "[config][auth]") {
  const Variable tenant("AZURE_TENANT_ID", "env-tenant");
  const Variable client("AZURE_CLIENT_ID", "env-client");
  const Variable file("AZURE_FEDERATED_TOKEN_FILE", "/env/token");
  const Variable authority("AZURE_AUTHORITY_HOST", "https://login.env.test/");
  AuthConfig auth = good("kind: workload_identity");
  CHECK(auth.tenant == "env-tenant");
  CHECK(auth.client_id == "env-client");
  CHECK(auth.federated_token_file == "/env/token");
  CHECK(auth.authority == "https://login.env.test");
  auth = good("kind: workload_identity, client_id: own, authority: \"https://own.test\"");
  CHECK(auth.client_id == "own");
  CHECK(auth.authority == "https://own.test");
  CHECK(good("kind: none") == AuthConfig{});  // no other kind is touched
}
