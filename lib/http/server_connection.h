// One connection of a Server, and what the connections share. Private to the server's units.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "http/server.h"

namespace twinspool::http {

struct Server::Impl {
  Impl(net::EventLoop& given_loop, const ServerOptions& given_options, Handler& given_handler);

  void remove(Connection& connection);        // ends it on a later turn; from now on it does nothing
  void settle_later(Connection& connection);  // at the end of this turn, with all others that were answered in it
  void settle_all();
  void pause_or_resume_listeners();
  void make_room();  // at connections_max, for those who wait
  Connection* find(std::uint64_t id);
  std::string_view date();  // of this second

  net::EventLoop& loop;
  const ServerOptions options;
  Handler& handler;
  std::vector<std::unique_ptr<net::Listener>> listeners;
  bool listeners_paused = false;
  bool draining = false;
  TimePoint drain_until = kNever;
  std::function<void()> drained;
  std::size_t unanswered = 0;
  std::size_t large_bodies_bytes = 0;
  std::uint64_t connections_total = 0;
  std::int64_t date_second = -1;
  std::string date_text;
  std::vector<Connection*> unsettled;
  net::Deferred settle;
  net::Deferred tell_drained;
  net::Timer room_timer;  // while listeners are paused for connections_max
  std::unordered_map<std::uint64_t, std::unique_ptr<Connection>> connections;
};

// open → closing (reads no more requests, drops what comes) → lingering (all is answered, our side is finished) → gone.
// Input that must wait because of a limit is held in `held_`, at most two reads of it.
class Server::Connection final : private net::Stream::Observer {
 public:
  Connection(Server::Impl& server, std::uint64_t id, std::unique_ptr<net::Stream> stream,
             const net::PeerCredentials& peer);

  void start();
  void respond(std::uint64_t request, const Response& response);
  void respond_raw(std::uint64_t request, std::string bytes, bool then_close);
  void drain();
  void settle();  // writes what may go, reads what may be read, ends what is over

  std::uint64_t id() const { return id_; }
  std::size_t unanswered() const { return unanswered_; }
  // When it last did anything, where nothing would be lost by ending it.
  std::optional<TimePoint> idle_since() const;

 private:
  friend struct Server::Impl;
  struct Slot {
    bool answered = false;
    bool last = false;       // the connection ends after it
    bool head_only = false;  // HEAD
    std::size_t large_body_bytes = 0;
    std::string bytes;
  };

  void on_bytes(std::string_view bytes) override;
  void on_end() override;
  void on_drained() override;
  void on_failed(const Error& error) override;

  RequestParser::Admission on_head(const Request& head);
  std::optional<Response> refusal_of(const Request& head, bool has_body, std::size_t& body_bytes_max);
  void on_request(Request&& request, bool keep_alive, bool body_too_large);
  void read(std::string_view bytes);
  void answer_last(const Response& response, bool head_only);
  std::uint64_t open_slot(bool head_only);
  Slot* waiting_slot(std::uint64_t request);
  void answered(Slot& slot);
  void write_ready();
  void write_out();
  bool over_limit() const;
  bool reserve_body(const Request& head, std::size_t body_bytes_max);
  void release(std::size_t& large_body_bytes);
  void release_all();
  void read_held();
  void end_requests();
  bool owes_request() const;
  TimePoint due() const;
  void arm();
  void on_timer();

  Server::Impl& server_;
  const std::uint64_t id_;
  std::unique_ptr<net::Stream> stream_;
  const net::PeerCredentials peer_;
  RequestParser parser_;
  net::Timer timer_;  // armed no later than due(); moved forward only when it fires
  std::deque<Slot> slots_;
  std::uint64_t first_ = 0;  // request of slots_.front()
  std::size_t unanswered_ = 0;
  std::size_t body_bytes_max_ = 0;    // of the request under way
  std::size_t large_body_bytes_ = 0;  // the same one's, until it has a slot
  std::size_t ready_bytes_ = 0;       // answers that wait in slots_ for an earlier one
  std::string out_;
  std::string held_;
  std::optional<Response> refusal_;  // of the request whose body is being dropped
  TimePoint active_at_;
  TimePoint request_began_;
  TimePoint linger_until_;
  bool message_ended_ = false;  // in this read
  bool continue_due_ = false;
  bool reading_ = false;  // inside the parser
  bool paused_ = false;
  bool closing_ = false;
  bool lingering_ = false;
  bool peer_ended_ = false;
  bool unsettled_ = false;  // in Impl::unsettled
  bool gone_ = false;
};

}  // namespace twinspool::http
