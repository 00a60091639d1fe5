#include "forward/token.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace twinspool::forward {

namespace {

constexpr Duration kLookAgain = std::chrono::seconds(1);

struct Descriptor {
  explicit Descriptor(int opened) : number(opened) {}
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
  Descriptor(Descriptor&&) = delete;
  const int number;
};

bool same(const timespec& a, const timespec& b) { return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec; }

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

}  // namespace

Result<std::unique_ptr<TokenSource>> make_token_source(net::EventLoop& loop, const AuthConfig& config) {
  switch (config.kind) {
    case AuthKind::none:
      return std::make_unique<NoToken>();
    case AuthKind::token_file:
      if (config.token_file.empty())
        return fail(Errc::invalid, "auth.token_file is empty; accepted is the path of a file");
      return std::make_unique<TokenFile>(loop, config.token_file);
    case AuthKind::client_secret:
    case AuthKind::client_certificate:
    case AuthKind::managed_identity:
    case AuthKind::workload_identity:
      break;
  }
  return fail(Errc::invalid, "auth.kind: this version has none and token_file only");
}

void TokenFile::get(Got got) {
  if (refused_ || loop_.now() >= look_again_at_) look();
  got(token_);
}

void TokenFile::refused(const std::string& token) {
  if (token_ && *token_ == token) refused_ = true;
}

void TokenFile::look() {
  look_again_at_ = loop_.now() + kLookAgain;
  struct stat seen {};
  if (!std::exchange(refused_, false) && mark_ && ::stat(path_.c_str(), &seen) == 0 && seen.st_dev == mark_->device &&
      seen.st_ino == mark_->inode && seen.st_size == mark_->size && same(seen.st_mtim, mark_->modified) &&
      same(seen.st_ctim, mark_->changed)) {
    return;
  }
  Mark mark{};
  token_ = read(mark);
  mark_.reset();
  if (token_) mark_ = mark;
}

Result<std::string> TokenFile::read(Mark& mark) const {
  const auto wrong = [&](const std::string& what) { return fail(Errc::invalid, "token file " + path_ + ": " + what); };
  const Descriptor file(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status {};
  if (file.number < 0 || ::fstat(file.number, &status) != 0) return wrong(std::strerror(errno));
  if (!S_ISREG(status.st_mode)) return wrong("it is not a regular file");
  if ((status.st_mode & 0007) != 0)
    return wrong("others than its owner and group may use it; chmod o= makes it acceptable");
  mark = {status.st_dev, status.st_ino, status.st_size, status.st_mtim, status.st_ctim};

  std::string text(kTokenFileBytesMax + 1, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t count = ::read(file.number, text.data() + size, text.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return wrong(std::strerror(errno));
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
  }
  if (size > kTokenFileBytesMax) return wrong("it is larger than " + std::to_string(kTokenFileBytesMax) + " bytes");
  text.resize(size);
  text.erase(text.begin(), std::find_if_not(text.begin(), text.end(), is_space));
  text.erase(std::find_if_not(text.rbegin(), text.rend(), is_space).base(), text.end());
  if (text.empty()) return wrong("it is empty");
  if (!std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7F; })) {
    return wrong("it is not one line of visible ASCII without spaces");
  }
  return text;
}

}  // namespace twinspool::forward
