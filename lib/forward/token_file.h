// auth.kind token_file: a bearer token that another program keeps in a file.
#pragma once

#include <optional>
#include <string>

#include "forward/token.h"
#include "net/event_loop.h"
#include "util/secret_file.h"

namespace twinspool::forward {

constexpr std::size_t kTokenFileBytesMax = 64 * 1024;

// One line of visible ASCII, white space around it is dropped, that others than owner and group may not use. Looked at
// when a token is asked for, at most once a second, and read again when its inode, size or time changed, or at once
// after a 401.
class TokenFile final : public TokenSource {
 public:
  TokenFile(net::EventLoop& loop, std::string path) : loop_(loop), path_(std::move(path)) {}
  void get(Got got) override;
  void refused(const std::string& token) override;
  TokenStatus status() const override;

 private:
  void look();

  net::EventLoop& loop_;
  const std::string path_;
  std::optional<FileMark> mark_;  // nullopt: there is no good token, read the file whatever its times say
  bool refused_ = false;
  TimePoint look_again_at_ = TimePoint::min();
  std::optional<Result<std::string>> token_;  // nullopt: not looked yet
};

}  // namespace twinspool::forward
