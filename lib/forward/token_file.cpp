#include "forward/token_file.h"

#include <utility>

namespace twinspool::forward {

namespace {

constexpr Duration kLookAgain = std::chrono::seconds(1);

}  // namespace

void TokenFile::get(Got got) {
  if (refused_ || loop_.now() >= look_again_at_) look();
  got(*token_);
}

void TokenFile::refused(const std::string& token) {
  if (token_ && *token_ && **token_ == token) refused_ = true;
}

TokenStatus TokenFile::status() const {
  TokenStatus status{.kind = "token_file", .state = TokenStatus::State::none};
  if (token_ && *token_) status.state = TokenStatus::State::valid;
  if (token_ && !*token_) {
    status.state = TokenStatus::State::failing;
    status.last_error = token_->error().what;
  }
  return status;
}

void TokenFile::look() {
  look_again_at_ = loop_.now() + kLookAgain;
  if (!std::exchange(refused_, false) && mark_ && FileMark::of(path_) == mark_) return;
  auto read = read_secret_line("token file", path_, kTokenFileBytesMax);
  mark_.reset();
  if (read) {
    mark_ = read->mark;
    token_ = std::move(read->text);
  } else {
    token_ = tl::unexpected(std::move(read.error()));
  }
}

}  // namespace twinspool::forward
