#include "forward/token_sources.h"

#include "config/check_auth.h"
#include "forward/client_certificate.h"
#include "forward/client_secret.h"
#include "forward/fetched_token.h"
#include "forward/token_file.h"
#include "forward/workload_identity.h"

namespace twinspool::forward {

namespace {

Result<std::unique_ptr<TokenFetch>> make_fetch(const FetchSettings& settings, const AuthConfig& auth,
                                               const IdentityEnvironment& environment) {
  switch (auth.kind) {
    case AuthKind::client_secret:
      return make_client_credentials(settings, auth, client_secret_proof(auth));
    case AuthKind::client_certificate:
      return make_client_credentials(settings, auth, client_certificate_proof(auth, settings.wall_clock));
    case AuthKind::workload_identity:
      return make_client_credentials(settings, auth, workload_identity_proof(auth));
    case AuthKind::managed_identity:
      return make_managed_identity(settings, auth, environment);
    case AuthKind::none:
    case AuthKind::token_file:
      break;
  }
  return fail(Errc::invalid, "auth.kind does not fetch tokens");
}

}  // namespace

Result<std::unique_ptr<TokenSource>> make_token_source(net::EventLoop& loop, const AuthConfig& auth,
                                                       const ForwardConfig& forward, const TokenSettings& settings) {
  if (auth.kind == AuthKind::none) return std::make_unique<NoToken>();
  if (auth.kind == AuthKind::token_file) {
    if (auth.token_file.empty()) {
      return fail(Errc::invalid, "auth.token_file is empty; accepted is the path of a file");
    }
    return std::make_unique<TokenFile>(loop, auth.token_file);
  }
  auto fetch = make_fetch({.loop = loop,
                           .make_dialer = settings.make_dialer,
                           .answer_timeout = forward.request_timeout,
                           .retry_after_max = forward.retry.retry_after_max,
                           .wall_clock = settings.wall_clock},
                          auth, settings.environment);
  if (!fetch) return tl::unexpected<Error>(fetch.error());
  return std::make_unique<FetchedToken>(loop, to_string(auth.kind), std::move(*fetch),
                                        TokenSchedule(auth.refresh_ahead, forward.retry, settings.seed));
}

std::string_view to_string(TokenStatus::State state) {
  switch (state) {
    case TokenStatus::State::none:
      return "none";
    case TokenStatus::State::valid:
      return "valid";
    case TokenStatus::State::fetching:
      return "fetching";
    case TokenStatus::State::failing:
      return "failing";
  }
  return "none";
}

}  // namespace twinspool::forward
