// Whatever a token endpoint answers: what is taken for a token fits into a header and has a life, and a text about a
// refusal is one printable line without the secret that was sent. The first byte chooses the status, the second whether
// there is a Date.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "forward/token_answer.h"
#include "util/error.h"

namespace {

using namespace twinspool;
using namespace twinspool::forward;

constexpr int kStatuses[] = {200, 200, 200, 400, 401, 403, 404, 408, 429, 500, 503, 302};
const std::string kSecret = "s3cr+t/with=signs";

void check(const AccessToken& token) {
  ENSURE(!token.token.empty() && token.token.size() <= kAccessTokenBytesMax);
  for (const char c : token.token) ENSURE(c > 0x20 && c < 0x7F);
  ENSURE(token.lifetime.expires_in > Duration::zero() && token.lifetime.expires_in <= kTokenLifeMax);
  if (token.lifetime.refresh_in) {
    ENSURE(*token.lifetime.refresh_in > Duration::zero() && *token.lifetime.refresh_in < token.lifetime.expires_in);
  }
}

void check(const TokenFailure& failure) {
  ENSURE(!failure.what.empty() && failure.what.find(kSecret) == std::string::npos);
  for (const char c : failure.what) ENSURE(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F);
  ENSURE(failure.retry.retry_after >= Duration::zero() && failure.retry.retry_after <= std::chrono::hours(1));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  http::Response answer;
  answer.status = kStatuses[data[0] % std::size(kStatuses)];
  std::string_view rest(reinterpret_cast<const char*>(data) + 2, size - 2);
  if (data[1] % 4 == 1) answer.headers.add("Date", "Tue, 24 Nov 2026 22:00:00 GMT");
  if (data[1] % 4 == 2) {  // the first line is Retry-After
    const std::string_view line = rest.substr(0, rest.find('\n'));
    answer.headers.add("Retry-After", std::string(line));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
  }
  answer.body = rest;
  const TokenAnswerRules rules{.endpoint = "https://login.example",
                               .key = "auth.authority",
                               .secrets = {kSecret},
                               .answer = {.now = from_unix_ms(1'795'557'600'000)}};
  const TokenResult result = read_token_answer(answer, rules);
  if (result) {
    check(*result);
  } else {
    check(result.error());
  }
  return 0;
}
