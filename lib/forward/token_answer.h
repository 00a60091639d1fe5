// What a token endpoint answered: a token, or why not and what to do about it. Pure.
//
// A token endpoint may lie: pages of captive portals, tokens that break a header, lives that are over before they
// begin. What cannot be a usable token is refused here, with a text that never quotes a token.
#pragma once

#include <string>
#include <vector>

#include "forward/outcome.h"
#include "forward/token_schedule.h"
#include "http/message.h"
#include "util/error.h"

namespace twinspool::forward {

constexpr std::size_t kAccessTokenBytesMax = 64 * 1024;
constexpr Duration kTokenLifeMax = std::chrono::hours(24);        // a longer one is taken for this
constexpr Duration kTokenLifeUnstated = std::chrono::minutes(5);  // where the answer names neither life nor end

struct AccessToken {
  std::string token;
  TokenLifetime lifetime;
};

struct TokenFailure {
  std::string what;  // for people: what failed, and what to do
  TokenRetry retry;
};

using TokenResult = tl::expected<AccessToken, TokenFailure>;

struct TokenAnswerRules {
  std::string endpoint;              // names the token endpoint in texts
  std::string key;                   // what leads to it, for advice: auth.authority
  std::vector<std::string> secrets;  // what was sent and must not come back in a text
  AnswerRules answer;
};

TokenResult read_token_answer(const http::Response& answer, const TokenAnswerRules& rules);

}  // namespace twinspool::forward
