// Where the bearer token of the requests comes from.
//
// Loop thread. A token appears in the Authorization header and nowhere else: no log, no status, no error text.
#pragma once

#include <sys/stat.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "config/config.h"
#include "net/event_loop.h"
#include "util/error.h"

namespace twinspool::forward {

class TokenSource {
 public:
  using Got = std::function<void(Result<std::string>)>;
  virtual ~TokenSource() = default;

  // The token to send now; empty: send none. `got` runs once, before get() returns or on a later turn; it never runs
  // after the TokenSource is gone.
  virtual void get(Got got) = 0;

  // The cloud answered 401 to this token: the next get() brings a new one, if there is a new one to be had.
  virtual void refused(const std::string& token) = 0;
};

// Errc::invalid for a kind that this version does not have. The file of token_file may still be missing: that is an
// error of get(), which ends by itself once the file is there.
Result<std::unique_ptr<TokenSource>> make_token_source(net::EventLoop& loop, const AuthConfig& config);

constexpr std::size_t kTokenFileBytesMax = 64 * 1024;

// auth.kind none
class NoToken final : public TokenSource {
 public:
  void get(Got got) override { got(std::string()); }
  void refused(const std::string&) override {}
};

// auth.kind token_file: one line of visible ASCII, white space around it is dropped, that others than owner and group
// may neither read nor write. Looked at when a token is asked for, at most once a second, and read again when its
// inode, size or time changed, or at once after a 401.
class TokenFile final : public TokenSource {
 public:
  TokenFile(net::EventLoop& loop, std::string path) : loop_(loop), path_(std::move(path)) {}
  void get(Got got) override;
  void refused(const std::string& token) override;

 private:
  struct Mark {  // of the file that was read
    dev_t device;
    ino_t inode;
    off_t size;
    timespec modified;
    timespec changed;
  };
  void look();
  Result<std::string> read(Mark& mark) const;

  net::EventLoop& loop_;
  const std::string path_;
  std::optional<Mark> mark_;  // nullopt: there is no good token, read the file whatever its times say
  bool refused_ = false;
  TimePoint look_again_at_ = TimePoint::min();
  Result<std::string> token_ = fail(Errc::invalid, "no token was read yet");
};

}  // namespace twinspool::forward
