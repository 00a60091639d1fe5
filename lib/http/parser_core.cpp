#include "http/parser_core.h"

#include <algorithm>
#include <charconv>

namespace twinspool::http {
namespace {

constexpr std::size_t kBodyReservedMax = 64 * 1024;    // a length that is only announced takes no more memory than this
constexpr std::size_t kChunkExtensionBytesMax = 1024;  // of one message: nobody here has a use for any

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The HTTP/x.y of a start line, or nothing where there is none.
std::string_view version_of(HeadScanner::Kind kind, std::string_view line) {
  constexpr std::size_t kSize = 8;  // HTTP/1.1
  if (line.size() < kSize) return {};
  const std::string_view version =
      kind == HeadScanner::Kind::request ? line.substr(line.size() - kSize) : line.substr(0, kSize);
  const bool shaped = version.starts_with("HTTP/") && is_digit(version[5]) && version[6] == '.' && is_digit(version[7]);
  return shaped ? version : std::string_view{};
}

}  // namespace

ParserCore::ParserCore(llhttp_type_t type, const ParserLimits& limits)
    : limits_(limits),
      kind_(type == HTTP_REQUEST ? HeadScanner::Kind::request : HeadScanner::Kind::response),
      scanner_(limits.head_bytes_max) {
  llhttp_init(&llhttp_, type, &settings());
  llhttp_.data = this;
  begin_message();
}

const llhttp_settings_t& ParserCore::settings() {
  static const llhttp_settings_t kSettings = [] {
    llhttp_settings_t settings;
    llhttp_settings_init(&settings);
    settings.on_url = on_target;
    settings.on_header_field = on_name;
    settings.on_header_value = on_value;
    settings.on_header_value_complete = on_value_complete;
    settings.on_headers_complete = on_headers_complete;
    settings.on_body = on_body;
    settings.on_chunk_header = on_chunk_header;
    settings.on_chunk_extension_name = on_chunk_extension;
    settings.on_chunk_extension_value = on_chunk_extension;
    settings.on_message_complete = on_message_complete;
    return settings;
  }();
  return kSettings;
}

void ParserCore::begin_message() {
  llhttp_reset(&llhttp_);
  scanner_.begin(kind_);
  phase_ = Phase::head;
  target_.clear();
  headers_.clear();
  body_.clear();
  name_.clear();
  value_.clear();
  chunked_ = has_length_ = overflowed_ = cut_ = trailers_begin_ = message_complete_ = false;
  length_ = body_bytes_ = 0;
  extension_bytes_ = 0;
  body_bytes_max_ = limits_.body_bytes_max;
}

std::size_t ParserCore::feed(std::string_view bytes) {
  if (fault_ != Fault::none) return 0;
  paused_ = false;
  std::size_t eaten = 0;
  while (eaten < bytes.size() && fault_ == Fault::none && !paused_) {
    if (phase_ == Phase::ended) return bytes.size();
    const std::string_view rest = bytes.substr(eaten);
    eaten += phase_ == Phase::body ? feed_body(rest) : feed_head(rest);
  }
  return eaten;
}

std::size_t ParserCore::feed_head(std::string_view bytes) {
  const std::size_t eaten = scanner_.scan(bytes);
  switch (scanner_.state()) {
    case HeadScanner::State::more:
      break;
    case HeadScanner::State::malformed:
      refuse(Fault::malformed, scanner_.reason());
      break;
    case HeadScanner::State::too_long:
      if (kind_ == HeadScanner::Kind::request && phase_ == Phase::head && scanner_.lines() == 0) {
        refuse(Fault::target_too_long,
               "the request line is over the limit of " + std::to_string(limits_.head_bytes_max) + " bytes");
      } else {
        refuse(Fault::head_too_large,
               "the headers are over the limit of " + std::to_string(limits_.head_bytes_max) + " bytes");
      }
      break;
    case HeadScanner::State::complete:
      if (phase_ == Phase::head) {
        run_head(scanner_.head());
      } else {
        run_trailers(scanner_.head());
      }
      break;
  }
  return eaten;
}

bool ParserCore::check_version(std::string_view head) {
  const std::string_view line = head.substr(0, head.find('\r'));
  if (kind_ == HeadScanner::Kind::request && std::count(line.begin(), line.end(), ' ') != 2) {
    refuse(Fault::malformed, "a request line is a method, a target and HTTP/1.1, with one space between them");
    return false;
  }
  const std::string_view version = version_of(kind_, line);
  if (version.empty()) {
    refuse(Fault::malformed, "the message does not begin as HTTP/1.1");
    return false;
  }
  const bool answer_1_0 = kind_ == HeadScanner::Kind::response && version == "HTTP/1.0";
  if (version != "HTTP/1.1" && !answer_1_0) {
    refuse(Fault::version, std::string(version) + " is not spoken here, HTTP/1.1 is");
    return false;
  }
  return true;
}

void ParserCore::run_head(std::string_view head) {
  if (!check_version(head)) return;
  headers_.reserve(head.size(), std::min(limits_.headers_max, scanner_.lines()));
  const llhttp_errno_t result = llhttp_execute(&llhttp_, head.data(), head.size());
  if (fault_ != Fault::none) return;
  if (message_complete_) {
    on_message(keep_alive_);
  } else if (result == HPE_OK) {
    phase_ = Phase::body;
    if (has_length_) body_.reserve(std::min({static_cast<std::size_t>(length_), body_bytes_max_, kBodyReservedMax}));
  } else {
    refuse_by_llhttp();
  }
}

void ParserCore::run_trailers(std::string_view trailers) {
  (void)llhttp_execute(&llhttp_, trailers.data(), trailers.size());
  if (fault_ != Fault::none) return;
  if (message_complete_) {
    on_message(keep_alive_);
  } else {
    refuse_by_llhttp();
  }
}

std::size_t ParserCore::feed_body(std::string_view bytes) {
  const llhttp_errno_t result = llhttp_execute(&llhttp_, bytes.data(), bytes.size());
  if (fault_ != Fault::none || result == HPE_OK) return bytes.size();
  if (cut_) {
    on_message(false);
    return bytes.size();
  }
  if (result != HPE_PAUSED) {
    refuse_by_llhttp();
    return bytes.size();
  }
  const auto eaten = static_cast<std::size_t>(llhttp_get_error_pos(&llhttp_) - bytes.data());
  if (message_complete_) {
    on_message(keep_alive_);
  } else if (trailers_begin_) {
    llhttp_resume(&llhttp_);
    phase_ = Phase::trailers;
    scanner_.begin(HeadScanner::Kind::trailers);
  }
  return eaten;
}

// The call to the derived class comes in the middle of llhttp's work, but may only look and refuse.
int ParserCore::take_head() {
  if (target_.size() > limits_.target_bytes_max) {
    refuse(Fault::target_too_long,
           "the request target is over the limit of " + std::to_string(limits_.target_bytes_max) + " bytes");
    return -1;
  }
  if (!take_framing()) return -1;
  llhttp_.upgrade = 0;  // an offer that is not taken: what follows is HTTP/1.1 still
  const BodyRule rule = on_head();
  if (fault_ != Fault::none) return -1;
  return rule == BodyRule::none ? 1 : 0;
}

// llhttp has judged the framing headers already; here they must also be of the one form that nobody reads in another
// way.
bool ParserCore::take_framing() {
  for (std::size_t i = 0; i < headers_.size(); ++i) {
    const auto [name, value] = headers_.at(i);
    if (same_name(name, "content-length")) {
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), length_);
      if (has_length_ || error != std::errc{} || end != value.data() + value.size()) {
        refuse(Fault::malformed, "Content-Length must be given once, as digits");
        return false;
      }
      has_length_ = true;
    } else if (same_name(name, "transfer-encoding")) {
      if (chunked_ || !same_name(value, "chunked")) {
        refuse(Fault::malformed, "Transfer-Encoding must be given once, as chunked");
        return false;
      }
      chunked_ = true;
    }
  }
  const bool agreed = chunked_ == ((llhttp_.flags & F_CHUNKED) != 0) &&
                      has_length_ == ((llhttp_.flags & F_CONTENT_LENGTH) != 0) &&
                      (!has_length_ || length_ == llhttp_.content_length);
  if ((chunked_ && has_length_) || !agreed) {
    refuse(Fault::malformed, "the length of the body is ambiguous");
    return false;
  }
  if (chunked_ && llhttp_.http_minor == 0) {
    refuse(Fault::malformed, "HTTP/1.0 has no Transfer-Encoding");
    return false;
  }
  return true;
}

bool ParserCore::add_header() {
  if (phase_ != Phase::head) {  // a trailer
    name_.clear();
    value_.clear();
    return true;
  }
  if (headers_.size() == limits_.headers_max) {
    refuse(Fault::head_too_large, "there are more than " + std::to_string(limits_.headers_max) + " headers");
    return false;
  }
  headers_.add(name_, trim(value_));
  name_.clear();
  value_.clear();
  return true;
}

// False: llhttp shall stop.
bool ParserCore::take_body(std::string_view bytes) {
  body_bytes_ += bytes.size();
  if (body_bytes_ <= body_bytes_max_) {
    body_ += bytes;
    return true;
  }
  if (overflow_ == Overflow::cut) {
    body_ += bytes.substr(0, body_bytes_max_ - body_.size());
    cut_ = true;
    return false;
  }
  overflowed_ = true;
  body_ = std::string();
  return check_dropped(body_bytes_);
}

bool ParserCore::check_dropped(std::uint64_t body_bytes) {
  if (body_bytes <= body_bytes_max_ || body_bytes - body_bytes_max_ <= kDroppedBodyBytesMax) return true;
  refuse(Fault::body_too_large, "the body is over the limit of " + std::to_string(body_bytes_max_) + " bytes");
  return false;
}

void ParserCore::ready_for_next(bool keep_alive) {
  begin_message();
  if (!keep_alive) phase_ = Phase::ended;
}

bool ParserCore::ends_with_connection() const {
  return phase_ == Phase::body && llhttp_message_needs_eof(&llhttp_) != 0;
}

void ParserCore::refuse(Fault fault, std::string reason) {
  if (fault_ != Fault::none) return;
  fault_ = fault;
  fault_reason_ = std::move(reason);
}

void ParserCore::refuse_by_llhttp() {
  const char* reason = llhttp_get_error_reason(&llhttp_);
  refuse(Fault::malformed, reason != nullptr && *reason != 0 ? "not HTTP/1.1: " + std::string(reason) : "not HTTP/1.1");
}

int ParserCore::on_target(llhttp_t* parser, const char* at, std::size_t size) {
  self(parser).target_.append(at, size);
  return 0;
}

int ParserCore::on_name(llhttp_t* parser, const char* at, std::size_t size) {
  self(parser).name_.append(at, size);
  return 0;
}

int ParserCore::on_value(llhttp_t* parser, const char* at, std::size_t size) {
  self(parser).value_.append(at, size);
  return 0;
}

int ParserCore::on_value_complete(llhttp_t* parser) { return self(parser).add_header() ? 0 : -1; }

int ParserCore::on_headers_complete(llhttp_t* parser) { return self(parser).take_head(); }

int ParserCore::on_body(llhttp_t* parser, const char* at, std::size_t size) {
  return self(parser).take_body({at, size}) ? 0 : -1;
}

// The last chunk: what follows are trailers, which are scanned like a head before llhttp sees them.
int ParserCore::on_chunk_header(llhttp_t* parser) {
  if (parser->content_length != 0) return 0;
  self(parser).trailers_begin_ = true;
  return HPE_PAUSED;
}

int ParserCore::on_chunk_extension(llhttp_t* parser, const char*, std::size_t size) {
  ParserCore& core = self(parser);
  core.extension_bytes_ += size;
  if (core.extension_bytes_ <= kChunkExtensionBytesMax) return 0;
  core.refuse(Fault::malformed, "the chunk extensions are too long");
  return -1;
}

int ParserCore::on_message_complete(llhttp_t* parser) {
  ParserCore& core = self(parser);
  core.message_complete_ = true;
  core.keep_alive_ = llhttp_should_keep_alive(parser) != 0;
  return HPE_PAUSED;  // the next message begins with its own scanned head
}

}  // namespace twinspool::http
