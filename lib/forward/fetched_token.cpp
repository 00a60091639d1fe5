#include "forward/fetched_token.h"

#include <algorithm>
#include <utility>

#include "util/log.h"

namespace twinspool::forward {

FetchedToken::FetchedToken(net::EventLoop& loop, std::string_view kind, std::unique_ptr<TokenFetch> fetch,
                           TokenSchedule schedule)
    : loop_(loop), kind_(kind), fetch_(std::move(fetch)), schedule_(std::move(schedule)), due_(loop.timers(), [this] {
        begin();
      }) {
  rearm();
}

FetchedToken::~FetchedToken() = default;

void FetchedToken::get(Got got) {
  if (schedule_.usable(loop_.now())) return got(token_);
  waiting_.push_back(std::move(got));
}

void FetchedToken::refused(const std::string& token) {
  if (token != token_ || !schedule_.usable(loop_.now())) return;  // a newer one is there already, or on its way
  log::warn("token.refused", {{"kind", kind_}});
  schedule_.refused(loop_.now());
  rearm();
}

void FetchedToken::kick() {
  if (!schedule_.fetching() && !schedule_.usable(loop_.now())) due_.set(loop_.now());
}

void FetchedToken::begin() {
  schedule_.began(loop_.now());
  attempt_ = fetch_->begin([this](TokenResult result) { on_fetched(std::move(result)); });
}

void FetchedToken::on_fetched(TokenResult result) {
  loop_.retire(std::move(attempt_));
  const TimePoint now = loop_.now();
  if (result) {
    const bool worth_a_line = token_.empty() || !last_error_.empty();
    token_ = std::move(result->token);
    last_error_.clear();
    schedule_.fetched(result->lifetime, now);
    if (worth_a_line) {
      log::info("token.fetched", {{"kind", kind_}, {"lives", to_human(result->lifetime.expires_in)}});
    }
    rearm();
    return tell(token_);
  }
  const bool worth_a_line = last_error_ != result.error().what;
  last_error_ = std::move(result.error().what);
  schedule_.failed(result.error().retry, now);
  if (worth_a_line) {
    log::warn("token.fetch_failed",
              {{"kind", kind_}, {"why", last_error_}, {"retry_in", to_human(schedule_.due() - now)}});
  }
  rearm();
  if (!schedule_.usable(now)) tell(fail(Errc::unreachable, last_error_));
}

void FetchedToken::rearm() { due_.set(std::max(schedule_.due(), loop_.now())); }

// Copies first: whoever gets a token may ask again, or end us.
void FetchedToken::tell(const Result<std::string>& result) {
  const Result<std::string> told = result;
  for (const Got& got : std::exchange(waiting_, {})) got(told);
}

void FetchedToken::take_over(const TokenSource& previous) {
  const auto* old = dynamic_cast<const FetchedToken*>(&previous);
  if (old == nullptr || attempt_ || !schedule_.take_over(old->schedule_, loop_.now())) return;
  token_ = old->token_;
  rearm();
}

TokenStatus FetchedToken::status() const {
  const TimePoint now = loop_.now();
  TokenStatus status{.kind = kind_, .expires_in = schedule_.expires_in(now), .last_error = last_error_};
  if (!schedule_.fetching() && schedule_.due() > now) status.next_fetch_in = schedule_.due() - now;
  if (status.expires_in) {
    status.state = TokenStatus::State::valid;
  } else {
    status.state = last_error_.empty() ? TokenStatus::State::fetching : TokenStatus::State::failing;
  }
  return status;
}

}  // namespace twinspool::forward
