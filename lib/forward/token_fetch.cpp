#include "forward/token_fetch.h"

#include <utility>

namespace twinspool::forward {

namespace {

class FailedAttempt final : public net::Pending {
 public:
  FailedAttempt(net::EventLoop& loop, std::string what, TokenFetch::Done done)
      : what_(std::move(what)), done_(std::move(done)), later_(loop, [this] {
          const TokenFetch::Done told = std::move(done_);
          // Soon again, not slowly: what a person writes to disk is noticed at once where that costs nothing.
          told(tl::unexpected(TokenFailure{std::move(what_), {}}));
        }) {
    later_.post();
  }

 private:
  std::string what_;
  TokenFetch::Done done_;
  net::Deferred later_;
};

}  // namespace

std::unique_ptr<net::Pending> failed_attempt(net::EventLoop& loop, std::string what, TokenFetch::Done done) {
  return std::make_unique<FailedAttempt>(loop, std::move(what), std::move(done));
}

TokenFailure unreachable(const std::string& endpoint, const Error& error) {
  // Where a proxy on the way refuses, somebody must mend its rules or our credentials.
  return {printable(endpoint + ": " + error.what, kAnswerTextBytesMax),
          {.needs_a_person = error.code == Errc::refused}};
}

}  // namespace twinspool::forward
