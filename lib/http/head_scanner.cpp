#include "http/head_scanner.h"

#include <algorithm>
#include <array>

namespace twinspool::http {
namespace {

constexpr std::array<bool, 256> make_plain() {
  std::array<bool, 256> plain{};
  for (std::size_t byte = 0; byte < plain.size(); ++byte) plain[byte] = byte == '\t' || (byte >= 0x20 && byte != 0x7f);
  return plain;
}
constexpr std::array<bool, 256> kPlain = make_plain();  // may stand inside a line

bool is_plain(char byte) { return kPlain[static_cast<unsigned char>(byte)]; }

}  // namespace

void HeadScanner::begin(Kind kind) {
  kind_ = kind;
  state_ = State::more;
  reason_ = "";
  after_cr_ = false;
  seen_ = blank_bytes_ = line_bytes_ = lines_ = 0;
  buffer_.clear();
  if (buffer_.capacity() > 4096) buffer_.shrink_to_fit();
  head_ = {};
}

std::size_t HeadScanner::scan(std::string_view bytes) {
  const std::size_t stop = std::min(bytes.size(), bytes_max_ - seen_);
  std::size_t at = 0;
  while (at < stop && step(bytes, at, stop)) {
  }
  seen_ += at;
  if (state_ == State::more && seen_ == bytes_max_) state_ = State::too_long;
  if (state_ == State::more) {
    buffer_ += bytes.substr(0, at);
  } else if (state_ == State::complete) {
    finish(bytes, at);
  }
  return at;
}

// Eats one byte, or a run of plain ones. False: nothing more to eat.
bool HeadScanner::step(std::string_view bytes, std::size_t& at, std::size_t stop) {
  const char byte = bytes[at];
  if (after_cr_) {
    if (byte != '\n') return refuse("a CR without an LF stands in the head");
    ++at;
    after_cr_ = false;
    if (line_bytes_ > 0) {
      ++lines_;
      line_bytes_ = 0;
      return true;
    }
    if (lines_ > 0 || kind_ == Kind::trailers) {
      state_ = State::complete;
      return false;
    }
    blank_bytes_ += 2;
    return true;
  }
  if (line_bytes_ == 0) {
    if (byte == ' ' || byte == '\t') return refuse("a line of the head begins with white space");
    if (byte == ':') return refuse("a header has no name");
    const bool blank = byte == '\r' && lines_ == 0 && kind_ != Kind::trailers;
    if (blank && (kind_ == Kind::response || blank_bytes_ > 0))
      return refuse("an empty line stands before the message");
  }
  if (byte == '\r') {
    ++at;
    after_cr_ = true;
    return true;
  }
  const std::size_t begin = at;
  while (at < stop && is_plain(bytes[at])) ++at;
  if (at == begin) {
    return refuse(byte == '\n' ? "a line of the head ends without a CR" : "a control character stands in the head");
  }
  line_bytes_ += at - begin;
  return true;
}

bool HeadScanner::refuse(const char* reason) {
  state_ = State::malformed;
  reason_ = reason;
  return false;
}

void HeadScanner::finish(std::string_view bytes, std::size_t eaten) {
  if (buffer_.empty()) {
    head_ = bytes.substr(0, eaten);  // the common case: no copy
  } else {
    buffer_ += bytes.substr(0, eaten);
    head_ = buffer_;
  }
  head_.remove_prefix(blank_bytes_);
}

}  // namespace twinspool::http
