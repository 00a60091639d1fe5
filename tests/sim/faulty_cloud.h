// The cloud of the simulation: takes telemetry as the real one does, and misbehaves as its weather says.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>

#include "http/server.h"
#include "net/event_loop.h"
#include "spool/telemetry.h"

namespace twinspool::sim {

enum class Weather : std::uint8_t {
  fair,
  throttled,     // 429 with Retry-After, now and then
  failing,       // 500, 502, 503, now and then
  lossy,         // resets before and after the message was taken, answers cut midway
  silent,        // takes requests and never answers, some of them after taking the message
  unauthorized,  // 401 to everything
  captive,       // 200 with HTML, 302, 403: somebody else answers
  gone,          // no connection can be made
};
constexpr int kWeathers = 8;

class FaultyCloud final : private http::Server::Handler {
 public:
  // `answer_lost`: the sender cannot know that the message was taken, and may send it again.
  using Taken = std::function<void(const Telemetry& telemetry, bool answer_lost)>;
  // The message was seen and not taken, or its answer, given already, may have been lost with its connection.
  using Told = std::function<void(const std::string& message_id)>;
  struct Events {
    Taken taken;
    Told refused;
    Told twin_missing;  // beside refused
    Told answer_perhaps_lost;
    std::function<bool(const http::Request& request)> authorized;
  };

  // Requests of one connection are dealt with in their order, as by any server that works through a connection: after
  // one that is never answered none is looked at.
  FaultyCloud(net::EventLoop& loop, std::uint64_t seed, std::size_t pipeline, Events events);

  void set_weather(Weather weather) { weather_ = weather; }
  Weather weather() const { return weather_; }
  std::uint64_t requests() const { return requests_; }
  void accept(std::unique_ptr<net::Stream> stream) { server_.add(std::move(stream), {}); }

  void create_twin(const std::string& twin) { missing_.erase(twin); }
  void delete_twin(const std::string& twin) { missing_.insert(twin); }
  void create_all_twins() { missing_.clear(); }

 private:
  std::optional<http::Response> on_head(const http::Request& head, const net::PeerCredentials& peer,
                                        std::size_t& body_bytes_max) override;
  void on_request(http::ExchangeId exchange, http::Request&& request, const net::PeerCredentials& peer) override;
  http::Response on_fault(int status, const std::string& reason) override;

  bool chance(int percent) { return std::uniform_int_distribution<int>(1, 100)(random_) <= percent; }
  bool misbehave(http::ExchangeId exchange, const Telemetry& telemetry);
  void take(http::ExchangeId exchange, const Telemetry& telemetry);
  void stop_connection(http::ExchangeId exchange);

  std::mt19937_64 random_;
  const std::size_t pipeline_;
  Events events_;
  std::set<std::uint64_t> stopped_;                                 // connections that are not looked at any more
  std::map<std::uint64_t, std::deque<std::string>> just_answered_;  // connection → the newest that were taken on it
  Weather weather_ = Weather::fair;
  std::uint64_t requests_ = 0;
  std::set<std::string> missing_;
  http::Server server_;
};

}  // namespace twinspool::sim
