#include "forward/client_credentials.h"

#include <utility>

#include "forward/endpoint_url.h"
#include "forward/exchange.h"

namespace twinspool::forward {

namespace {

class ClientCredentials final : public TokenFetch {
 public:
  ClientCredentials(const FetchSettings& settings, const AuthConfig& config, EndpointUrl authority,
                    std::unique_ptr<Dialer> dialer, MakeProof make_proof)
      : settings_(settings),
        client_id_(config.client_id),
        scope_(config.scope),
        authority_(std::move(authority)),
        path_("/" + config.tenant + "/oauth2/v2.0/token"),
        dialer_(std::move(dialer)),
        make_proof_(std::move(make_proof)) {}

  std::unique_ptr<net::Pending> begin(Done done) override {
    auto proof = make_proof_("https://" + authority_.authority + path_);
    if (!proof) return failed_attempt(settings_.loop, proof.error().what, std::move(done));
    return exchange(settings_.loop, *dialer_, request(*proof), settings_.answer_timeout,
                    [this, done = std::move(done), secret = proof->secret](Result<http::Response> answer) {
                      const std::string endpoint = "the token endpoint " + authority_.authority;
                      if (!answer) return done(tl::unexpected(unreachable(endpoint, answer.error())));
                      done(read_token_answer(*answer, {.endpoint = endpoint,
                                                       .key = "auth.authority",
                                                       .secrets = {secret},
                                                       .answer = {.retry_after_max = settings_.retry_after_max,
                                                                  .now = settings_.wall_clock()}}));
                    });
  }

 private:
  std::string request(const Proof& proof) const {
    FormFields fields{{"grant_type", "client_credentials"}, {"client_id", client_id_}, {"scope", scope_}};
    fields.insert(fields.end(), proof.fields.begin(), proof.fields.end());
    return http::serialize(http::Request{.method = "POST",
                                         .target = path_,
                                         .headers = {{"Host", authority_.authority},
                                                     {"User-Agent", "twinspool/" TWINSPOOL_VERSION},
                                                     {"Accept", "application/json"},
                                                     {"Content-Type", "application/x-www-form-urlencoded"}},
                                         .body = form(fields)});
  }

  const FetchSettings settings_;
  const std::string client_id_;
  const std::string scope_;
  const EndpointUrl authority_;
  const std::string path_;
  const std::unique_ptr<Dialer> dialer_;
  const MakeProof make_proof_;
};

}  // namespace

Result<std::unique_ptr<TokenFetch>> make_client_credentials(const FetchSettings& settings, const AuthConfig& config,
                                                            MakeProof make_proof) {
  auto authority = parse_endpoint(config.authority);
  if (!authority) return fail(Errc::invalid, "auth.authority: " + authority.error().what);
  auto dialer = settings.make_dialer(
      {.host = authority->host, .port = authority->port, .server_name = {}, .key = "auth.authority"});
  if (!dialer) return tl::unexpected<Error>(dialer.error());
  return std::make_unique<ClientCredentials>(settings, config, std::move(*authority), std::move(*dialer),
                                             std::move(make_proof));
}

}  // namespace twinspool::forward
