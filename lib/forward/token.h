// Where the bearer token of the requests comes from.
//
// Loop thread. A token appears in the Authorization header and nowhere else: no log, no status, no error text.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "util/error.h"
#include "util/time.h"

namespace twinspool::forward {

struct TokenStatus {  // for people; never the token itself
  enum class State : std::uint8_t {
    none,      // there is none, and none was looked for yet; with auth.kind none for good
    valid,     // there is one that may be sent
    fetching,  // the first one is on its way
    failing,   // there is none that may be sent, last_error says why
  };
  std::string_view kind = "none";  // auth.kind
  State state = State::none;
  std::optional<Duration> expires_in;  // of a token whose end is known
  std::optional<Duration> next_fetch_in;
  std::string last_error;  // of the newest attempt, also while an older token is still good
};
std::string_view to_string(TokenStatus::State state);

class TokenSource {
 public:
  using Got = std::function<void(Result<std::string>)>;
  virtual ~TokenSource() = default;

  // The token to send now; empty: send none. `got` runs once, before get() returns or on a later turn; it never runs
  // after the TokenSource is gone.
  virtual void get(Got got) = 0;

  // The cloud answered 401 to this token: the next get() brings a new one, if there is a new one to be had.
  virtual void refused(const std::string& token) = 0;

  // An operator wants a token that failed to be tried for now.
  virtual void kick() {}

  virtual TokenStatus status() const { return {}; }

  // Goes on with the good token that `previous`, a source with the same auth section, may have: a reload while the
  // token endpoint is down loses nothing.
  virtual void take_over(const TokenSource& previous) { (void)previous; }
};

// auth.kind none
class NoToken final : public TokenSource {
 public:
  void get(Got got) override { got(std::string()); }
  void refused(const std::string&) override {}
};

}  // namespace twinspool::forward
