#include "forward/managed_identity.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "forward/endpoint_url.h"
#include "forward/exchange.h"
#include "forward/form.h"
#include "util/secret_file.h"

namespace twinspool::forward {

namespace {

constexpr std::string_view kTokenPath = "/metadata/identity/oauth2/token";
constexpr std::string_view kVmVersion = "2018-02-01";
constexpr std::string_view kArcVersion = "2020-06-01";
constexpr const char* kArcAgent = "/opt/azcmagent/bin/himds";

// Tokens travel in the clear here, so the peer must be this very machine or its hypervisor.
bool is_local(const std::string& host) {
  return host == "localhost" || host == "::1" || host == "169.254.169.254" ||
         (host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string::npos);
}

Result<IdentityEndpoint> parse_url(const std::string& url, const std::string& key) {
  constexpr std::string_view kScheme = "http://";
  const auto wrong = [&](const std::string& what) {
    return fail(Errc::invalid,
                key + "=" + url + ": " + what +
                    "; accepted is http://HOST[:PORT][/PATH] with a loopback address or 169.254.169.254");
  };
  if (!url.starts_with(kScheme)) return wrong("it does not begin with http://");
  const std::string_view rest = std::string_view(url).substr(kScheme.size());
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  const std::string_view path = rest.substr(slash);
  if (path.find_first_of("?# \t\r\n") != std::string_view::npos) return wrong("its path has a query or white space");
  // The port's default differs, so it is made explicit before the one parser of authorities sees it.
  std::string authority(rest.substr(0, slash));
  const std::size_t bracket = authority.rfind(']');
  const bool has_port = authority.find(':', bracket == std::string::npos ? 0 : bracket) != std::string::npos;
  const auto parsed = parse_endpoint("https://" + authority + (has_port ? "" : ":80"));
  if (!parsed) return wrong("its host or port is none");
  if (!is_local(parsed->host)) return wrong("a token would be asked for and sent in the clear beyond this machine");
  return IdentityEndpoint{.host = parsed->host,
                          .port = parsed->port,
                          .authority = std::move(authority),
                          .path = path.empty() || path == "/" ? std::string(kTokenPath) : std::string(path),
                          .key = key};
}

// The resource of a scope: without /.default.
std::string resource_of(const std::string& scope) {
  constexpr std::string_view kDefault = "/.default";
  return scope.ends_with(kDefault) ? scope.substr(0, scope.size() - kDefault.size()) : scope;
}

Result<std::string> read_arc_key(const std::string& path) {
  // The link is refused here, a change between this look and the reading gives another file of the same directory.
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0 && S_ISLNK(status.st_mode)) {
    return fail(Errc::invalid, "the agent's key file " + path + " is a link, which is never followed");
  }
  auto text = read_file("the agent's key file", path, kArcKeyBytesMax);
  if (!text) {
    text.error().what += "; the user of twinspoold must be in the group himds: usermod -aG himds twinspool";
    return text;
  }
  auto key = one_visible_line(std::move(*text));
  if (!key) return fail(Errc::invalid, "the agent's key file " + path + ": it " + key.error().what);
  return key;
}

class ManagedIdentity final : public TokenFetch {
 public:
  ManagedIdentity(const FetchSettings& settings, const AuthConfig& config, IdentityEndpoint endpoint,
                  std::string arc_key_directory, std::unique_ptr<Dialer> dialer)
      : settings_(settings),
        endpoint_(std::move(endpoint)),
        arc_key_directory_(std::move(arc_key_directory)),
        target_(target_of(endpoint_, config)),
        dialer_(std::move(dialer)) {}

  std::unique_ptr<net::Pending> begin(Done done) override { return std::make_unique<Attempt>(*this, std::move(done)); }

 private:
  class Attempt final : public net::Pending {
   public:
    Attempt(ManagedIdentity& kind, Done done) : kind_(kind), done_(std::move(done)) { send(""); }

   private:
    void send(const std::string& key) {
      key_ = key;
      step_ = exchange(kind_.settings_.loop, *kind_.dialer_, kind_.request(key), kind_.settings_.answer_timeout,
                       [this](Result<http::Response> answer) { on_answer(std::move(answer)); });
    }

    void on_answer(Result<http::Response> answer) {
      kind_.settings_.loop.retire(std::move(step_));
      if (!answer) return end(tl::unexpected(unreachable(kind_.name(), answer.error())));
      if (kind_.endpoint_.arc && key_.empty() && answer->status == 401) return on_challenge(*answer);
      end(kind_.read(*answer, key_));
    }

    void on_challenge(const http::Response& answer) {
      const auto path = arc_key_path(answer.headers.get("www-authenticate").value_or(""), kind_.arc_key_directory_);
      if (!path) return end(tl::unexpected(TokenFailure{kind_.name() + ": " + path.error().what, {}}));
      const auto key = read_arc_key(*path);
      if (!key) return end(tl::unexpected(TokenFailure{kind_.name() + ": " + key.error().what, {}}));
      send(*key);
    }

    void end(TokenResult result) {
      const Done done = std::move(done_);
      done(std::move(result));  // last: it may end this object
    }

    ManagedIdentity& kind_;
    Done done_;
    std::string key_;  // that was sent
    std::unique_ptr<net::Pending> step_;
  };

  static std::string target_of(const IdentityEndpoint& endpoint, const AuthConfig& config) {
    FormFields query{{"api-version", std::string(endpoint.arc ? kArcVersion : kVmVersion)},
                     {"resource", resource_of(config.scope)}};
    if (!config.client_id.empty()) query.emplace_back("client_id", config.client_id);
    return endpoint.path + "?" + form(query);
  }

  std::string request(const std::string& key) const {
    http::Request request{.method = "GET",
                          .target = target_,
                          .headers = {{"Host", endpoint_.authority},
                                      {"User-Agent", "twinspool/" TWINSPOOL_VERSION},
                                      {"Accept", "application/json"},
                                      {"Metadata", "true"}},
                          .body = {}};
    if (!key.empty()) request.headers.add("Authorization", "Basic " + key);
    return http::serialize(request);
  }

  TokenResult read(const http::Response& answer, const std::string& key) const {
    return read_token_answer(answer,
                             {.endpoint = name(),
                              .key = endpoint_.key,
                              .secrets = {key},
                              .answer = {.retry_after_max = settings_.retry_after_max, .now = settings_.wall_clock()}});
  }

  std::string name() const {
    return std::string("the managed identity endpoint ") + (endpoint_.arc ? "(Arc) " : "(VM) ") + endpoint_.authority;
  }

  const FetchSettings settings_;
  const IdentityEndpoint endpoint_;
  const std::string arc_key_directory_;
  const std::string target_;
  const std::unique_ptr<Dialer> dialer_;
};

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

}  // namespace

IdentityEnvironment IdentityEnvironment::of_process() {
  IdentityEnvironment environment;
  environment.identity_endpoint = variable("IDENTITY_ENDPOINT");
  environment.imds_endpoint = variable("IMDS_ENDPOINT");
  environment.arc_agent_installed = ::access(kArcAgent, F_OK) == 0;
  return environment;
}

Result<IdentityEndpoint> identity_endpoint(const IdentityEnvironment& environment) {
  if (!environment.identity_endpoint.empty() && environment.imds_endpoint.empty()) {
    return fail(
        Errc::invalid,
        "IDENTITY_ENDPOINT is set and IMDS_ENDPOINT is not, which is neither an Azure VM nor Azure Arc; accepted "
        "are both (Arc), IMDS_ENDPOINT alone (a VM), or none");
  }
  const auto arc = [](Result<IdentityEndpoint> endpoint) {
    if (endpoint) endpoint->arc = true;
    return endpoint;
  };
  if (!environment.identity_endpoint.empty()) {
    return arc(parse_url(environment.identity_endpoint, "IDENTITY_ENDPOINT"));
  }
  if (!environment.imds_endpoint.empty()) return parse_url(environment.imds_endpoint, "IMDS_ENDPOINT");
  if (environment.arc_agent_installed) return arc(parse_url("http://127.0.0.1:40342", "the Azure Arc agent"));
  return parse_url("http://169.254.169.254", "the VM's metadata service");
}

Result<std::string> arc_key_path(std::string_view challenge, const std::string& directory) {
  constexpr std::string_view kScheme = "Basic realm=";
  const auto wrong = [&](const std::string& what) {
    return fail(Errc::protocol, "its challenge " + what + "; accepted is a file " + directory + "/NAME.key");
  };
  if (!challenge.starts_with(kScheme)) return wrong("does not name a key file");
  std::string_view path = challenge.substr(kScheme.size());
  if (path.size() >= 2 && path.front() == '"' && path.back() == '"') path = path.substr(1, path.size() - 2);
  const std::string start = directory + "/";
  if (!path.starts_with(start)) return wrong("names a file elsewhere");
  const std::string_view name = path.substr(start.size());
  constexpr std::string_view kEnd = ".key";
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
  if (name.size() <= kEnd.size() || !name.ends_with(kEnd) || name.front() == '.' || name.size() > 255 ||
      name.find_first_not_of(kAllowed) != std::string_view::npos) {
    return wrong("names a file of another kind");
  }
  return std::string(path);
}

Result<std::unique_ptr<TokenFetch>> make_managed_identity(const FetchSettings& settings, const AuthConfig& config,
                                                          const IdentityEnvironment& environment) {
  auto endpoint = identity_endpoint(environment);
  if (!endpoint) return tl::unexpected<Error>(endpoint.error());
  if (endpoint->arc && !config.client_id.empty()) {
    return fail(
        Errc::invalid,
        "auth.client_id names a user-assigned identity, but Azure Arc has the machine's own alone; leave it empty");
  }
  auto dialer = settings.make_dialer({.host = endpoint->host,
                                      .port = endpoint->port,
                                      .transport = DialTarget::Transport::plain,
                                      .server_name = {},
                                      .key = endpoint->key});
  if (!dialer) return tl::unexpected<Error>(dialer.error());
  return std::make_unique<ManagedIdentity>(settings, config, std::move(*endpoint), environment.arc_key_directory,
                                           std::move(*dialer));
}

}  // namespace twinspool::forward
