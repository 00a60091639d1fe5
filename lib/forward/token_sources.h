// auth.kind → its TokenSource.
#pragma once

#include <memory>

#include "config/config.h"
#include "forward/managed_identity.h"
#include "forward/token.h"
#include "forward/token_fetch.h"

namespace twinspool::forward {

struct TokenSettings {
  MakeDialer make_dialer;
  IdentityEnvironment environment;
  std::uint64_t seed = 0;  // of the jitter
  std::function<WallTime()> wall_clock = wall_now;
};

// Errc::invalid where the kind lacks a key, or its endpoint cannot be used. Files are looked at by each fetch: one that
// is missing or wrong is an error of get(), which ends by itself once the file is good.
Result<std::unique_ptr<TokenSource>> make_token_source(net::EventLoop& loop, const AuthConfig& auth,
                                                       const ForwardConfig& forward, const TokenSettings& settings);

}  // namespace twinspool::forward
