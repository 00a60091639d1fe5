// A TokenSource that keeps a fetched token fresh: carries out what TokenSchedule says with a TokenFetch.
//
// Loop thread. The first fetch begins with the object, so that the status tells about a wrong secret before the first
// message. One fetch at a time. While a refresh fails, a token that is still good goes on being sent; where there is
// none, get() answers with the outcome of the fetch under way or of the next one, whichever comes first: whoever asks
// again at once comes no sooner than the backoff lets him.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "forward/token.h"
#include "forward/token_fetch.h"
#include "forward/token_schedule.h"
#include "net/event_loop.h"
#include "net/timers.h"

namespace twinspool::forward {

class FetchedToken final : public TokenSource {
 public:
  FetchedToken(net::EventLoop& loop, std::string_view kind, std::unique_ptr<TokenFetch> fetch, TokenSchedule schedule);
  ~FetchedToken() override;

  void get(Got got) override;
  void kick() override;
  void refused(const std::string& token) override;
  TokenStatus status() const override;
  void take_over(const TokenSource& previous) override;

 private:
  void begin();
  void on_fetched(TokenResult result);
  void rearm();
  void tell(const Result<std::string>& result);

  net::EventLoop& loop_;
  const std::string_view kind_;
  const std::unique_ptr<TokenFetch> fetch_;
  TokenSchedule schedule_;
  std::string token_;
  std::string last_error_;  // empty: the newest fetch went well
  std::vector<Got> waiting_;
  net::Timer due_;
  std::unique_ptr<net::Pending> attempt_;  // last: it calls back into the rest
};

}  // namespace twinspool::forward
