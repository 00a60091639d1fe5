// What both parsers share: heads are scanned first (head_scanner.h) and given to llhttp in one piece, bodies go through
// it as they come. Private to parser.cpp.
#pragma once

#include <llhttp.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "http/head_scanner.h"
#include "http/parser.h"

namespace twinspool::http {

class ParserCore {
 public:
  ParserCore(llhttp_type_t type, const ParserLimits& limits);
  ParserCore(ParserCore&&) = delete;

  std::size_t feed(std::string_view bytes);
  void pause() { paused_ = true; }
  Fault fault() const { return fault_; }
  const std::string& fault_reason() const { return fault_reason_; }
  bool in_message() const {
    return phase_ == Phase::body || phase_ == Phase::trailers || (phase_ == Phase::head && scanner_.begun());
  }

 protected:
  ~ParserCore() = default;

  enum class BodyRule : std::uint8_t { as_framed, none };
  enum class Overflow : std::uint8_t { drop, cut };

  // The head stands in headers_ and the members below; may call refuse().
  virtual BodyRule on_head() = 0;
  // The message is complete: takes it out, calls ready_for_next(), and only then tells the world.
  virtual void on_message(bool keep_alive) = 0;

  void refuse(Fault fault, std::string reason);
  void ready_for_next(bool keep_alive);
  bool check_dropped(std::uint64_t body_bytes);  // refuses a body that is too long even to be dropped
  bool ends_with_connection() const;             // the body does: its end is not to be seen in the bytes

  const ParserLimits limits_;
  llhttp_t llhttp_;

  // Of the message under way.
  std::string target_;
  Headers headers_;
  std::string body_;
  bool chunked_ = false;
  bool has_length_ = false;
  std::uint64_t length_ = 0;
  std::size_t body_bytes_max_ = 0;
  Overflow overflow_ = Overflow::drop;
  bool overflowed_ = false;

 private:
  enum class Phase : std::uint8_t { head, body, trailers, ended };

  static const llhttp_settings_t& settings();
  static ParserCore& self(llhttp_t* parser) { return *static_cast<ParserCore*>(parser->data); }
  static int on_target(llhttp_t* parser, const char* at, std::size_t size);
  static int on_name(llhttp_t* parser, const char* at, std::size_t size);
  static int on_value(llhttp_t* parser, const char* at, std::size_t size);
  static int on_value_complete(llhttp_t* parser);
  static int on_headers_complete(llhttp_t* parser);
  static int on_body(llhttp_t* parser, const char* at, std::size_t size);
  static int on_chunk_header(llhttp_t* parser);
  static int on_chunk_extension(llhttp_t* parser, const char* at, std::size_t size);
  static int on_message_complete(llhttp_t* parser);

  std::size_t feed_head(std::string_view bytes);
  std::size_t feed_body(std::string_view bytes);
  void run_head(std::string_view head);
  void run_trailers(std::string_view trailers);
  bool check_version(std::string_view head);
  int take_head();
  bool add_header();
  bool take_framing();
  bool take_body(std::string_view bytes);
  void refuse_by_llhttp();
  void begin_message();

  const HeadScanner::Kind kind_;
  HeadScanner scanner_;
  Phase phase_ = Phase::head;
  bool paused_ = false;
  bool trailers_begin_ = false;
  bool message_complete_ = false;
  bool keep_alive_ = false;
  bool cut_ = false;
  std::uint64_t body_bytes_ = 0;  // of the message, decoded, kept or not
  std::size_t extension_bytes_ = 0;
  std::string name_;
  std::string value_;
  Fault fault_ = Fault::none;
  std::string fault_reason_;
};

}  // namespace twinspool::http
