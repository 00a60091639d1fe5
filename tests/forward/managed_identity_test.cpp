#include "forward/managed_identity.h"

#include "support/catch.h"

namespace twinspool::forward {
namespace {

const std::string kKeys = "/var/opt/azcmagent/tokens";

Result<IdentityEndpoint> endpoint(const std::string& identity, const std::string& imds, bool agent = false) {
  return identity_endpoint({.identity_endpoint = identity, .imds_endpoint = imds, .arc_agent_installed = agent});
}

}  // namespace

TEST_CASE("the environment tells an Arc machine from a VM", "[forward][token]") {
  const auto vm = endpoint("", "");
  REQUIRE(vm);
  CHECK_FALSE(vm->arc);
  CHECK(vm->host == "169.254.169.254");
  CHECK(vm->port == 80);
  CHECK(vm->path == "/metadata/identity/oauth2/token");

  const auto arc = endpoint("http://localhost:40342/metadata/identity/oauth2/token", "http://localhost:40342");
  REQUIRE(arc);
  CHECK(arc->arc);
  CHECK(arc->host == "localhost");
  CHECK(arc->port == 40342);
  CHECK(arc->authority == "localhost:40342");

  CHECK(endpoint("", "", true)->arc);
  CHECK(endpoint("", "", true)->port == 40342);
  CHECK_FALSE(endpoint("", "http://127.0.0.1:8080/")->arc);
  CHECK(endpoint("", "http://127.0.0.1:8080/")->path == "/metadata/identity/oauth2/token");
  CHECK(endpoint("", "http://[::1]:80")->host == "::1");
}

TEST_CASE("an endpoint beyond this machine, or by another protocol, is refused", "[forward][token]") {
  const std::string url =
      GENERATE(as<std::string>{}, "http://10.0.0.1/", "http://metadata.test", "http://127.0.0.1.evil.test",
               "https://127.0.0.1", "127.0.0.1", "http://", "http://127.0.0.1:0", "http://user@127.0.0.1/",
               "http://127.0.0.1/a?b=c", "http://127.0.0.1/a\r\nX: y", "http://[::2]:80", "http://169.254.169.25");
  const auto refused = endpoint("", url);
  INFO(url);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().what.find("IMDS_ENDPOINT=") == 0);
  CHECK(refused.error().what.find("loopback address or 169.254.169.254") != std::string::npos);
}

TEST_CASE("IDENTITY_ENDPOINT alone is neither a VM nor Arc", "[forward][token]") {
  CHECK(endpoint("http://127.0.0.1", "").error().what.find("IMDS_ENDPOINT is not") != std::string::npos);
}

TEST_CASE("Arc has no user-assigned identity", "[forward][token]") {
  net::EventLoop loop{net::EventLoop::Clock::manual};
  AuthConfig config;
  config.client_id = "c";
  const auto made =
      make_managed_identity({.loop = loop, .make_dialer = nullptr}, config, {.arc_agent_installed = true});
  REQUIRE_FALSE(made);
  CHECK(made.error().what.find("auth.client_id") == 0);
}

TEST_CASE("a challenge names a key directly in the agent's directory", "[forward][token]") {
  CHECK(arc_key_path("Basic realm=" + kKeys + "/0f1e-2d.key", kKeys) == kKeys + "/0f1e-2d.key");
  CHECK(arc_key_path("Basic realm=\"" + kKeys + "/a.key\"", kKeys) == kKeys + "/a.key");
}

TEST_CASE("a challenge that names anything else is refused before anything is opened", "[forward][token]") {
  const std::string challenge = GENERATE(
      as<std::string>{}, "", "Bearer realm=x", "Basic realm=", "Basic realm=/etc/passwd", "Basic realm=relative.key",
      "Basic realm=/var/opt/azcmagent/tokens", "Basic realm=/var/opt/azcmagent/tokens/",
      "Basic realm=/var/opt/azcmagent/tokens/.key", "Basic realm=/var/opt/azcmagent/tokens/a.txt",
      "Basic realm=/var/opt/azcmagent/tokens/../../../../etc/a.key", "Basic realm=/var/opt/azcmagent/tokens/sub/a.key",
      "Basic realm=/var/opt/azcmagent/tokens//a.key", "Basic realm=/var/opt/azcmagent/tokensX/a.key",
      "Basic realm=/var/opt/azcmagent/tokens/..key", "Basic realm=/var/opt/azcmagent/tokens/a\n.key");
  const auto path = arc_key_path(challenge, kKeys);
  INFO(challenge);
  REQUIRE_FALSE(path);
  CHECK(path.error().what.find("accepted is a file /var/opt/azcmagent/tokens/NAME.key") != std::string::npos);
}

}  // namespace twinspool::forward
