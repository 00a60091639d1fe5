#include "http/server.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>

#include "http/server_connection.h"
#include "util/time.h"

namespace twinspool::http {
namespace {

constexpr Duration kSparedIdle = std::chrono::seconds(1);
constexpr std::size_t kRoomMade = 64;  // at a time

std::string to_http_date(std::int64_t unix_seconds) {
  constexpr std::array kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::array kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto seconds = static_cast<std::time_t>(unix_seconds);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 64> text{};
  const int size = std::snprintf(text.data(), text.size(), "%s, %02d %s %04d %02d:%02d:%02d GMT",
                                 kDays.at(static_cast<std::size_t>(parts.tm_wday)), parts.tm_mday,
                                 kMonths.at(static_cast<std::size_t>(parts.tm_mon)), parts.tm_year + 1900,
                                 parts.tm_hour, parts.tm_min, parts.tm_sec);
  return {text.data(), static_cast<std::size_t>(size)};
}

}  // namespace

Server::Impl::Impl(net::EventLoop& given_loop, const ServerOptions& given_options, Handler& given_handler)
    : loop(given_loop),
      options(given_options),
      handler(given_handler),
      settle(loop, [this] { settle_all(); }),
      tell_drained(loop,
                   [this] {
                     if (const auto tell = std::exchange(drained, nullptr)) tell();
                   }),
      room_timer(loop.timers(), [this] { make_room(); }) {}

void Server::Impl::remove(Connection& connection) {
  if (connection.gone_) return;
  connection.gone_ = true;
  connection.release_all();
  unanswered -= connection.unanswered();
  if (connection.unsettled_) std::erase(unsettled, &connection);
  const auto found = connections.find(connection.id());
  std::unique_ptr<Connection> ended = std::move(found->second);
  connections.erase(found);
  loop.retire(std::move(ended));
  pause_or_resume_listeners();
  if (draining && connections.empty()) tell_drained.post();
}

void Server::Impl::settle_later(Connection& connection) {
  if (connection.unsettled_) return;
  connection.unsettled_ = true;
  unsettled.push_back(&connection);
  settle.post();
}

void Server::Impl::settle_all() {
  while (!unsettled.empty()) {  // settling may remove any connection, and answers may unsettle more
    Connection* connection = unsettled.back();
    unsettled.pop_back();
    connection->unsettled_ = false;
    connection->settle();
  }
}

void Server::Impl::pause_or_resume_listeners() {
  const bool pause = draining || connections.size() >= options.connections_max;
  if (pause == listeners_paused) return;
  listeners_paused = pause;
  for (const std::unique_ptr<net::Listener>& listener : listeners) {
    if (pause) {
      listener->pause();
    } else {
      listener->resume();
    }
  }
  if (pause && !draining) room_timer.set_after(kSparedIdle);
}

// Who holds connections and does nothing with them must not keep everybody else out.
void Server::Impl::make_room() {
  if (draining || !listeners_paused) return;
  room_timer.set_after(kSparedIdle);
  const bool wanted =
      std::any_of(listeners.begin(), listeners.end(), [](const auto& one) { return one->has_waiting(); });
  if (!wanted) return;
  std::vector<std::pair<TimePoint, Connection*>> idle;
  for (const auto& [id, connection] : connections) {
    const auto since = connection->idle_since();
    if (since && *since + kSparedIdle <= loop.now()) idle.emplace_back(*since, connection.get());
  }
  const auto count = static_cast<std::ptrdiff_t>(std::min(idle.size(), kRoomMade));
  std::partial_sort(idle.begin(), idle.begin() + count, idle.end());
  for (std::ptrdiff_t i = 0; i < count; ++i) remove(*idle[static_cast<std::size_t>(i)].second);
}

Server::Connection* Server::Impl::find(std::uint64_t id) {
  const auto found = connections.find(id);
  return found == connections.end() ? nullptr : found->second.get();
}

std::string_view Server::Impl::date() {
  const std::int64_t second = to_unix_ms(wall_now()) / 1000;
  if (second != date_second) {
    date_second = second;
    date_text = to_http_date(second);
  }
  return date_text;
}

Server::Server(net::EventLoop& loop, const ServerOptions& options, Handler& handler)
    : impl_(std::make_unique<Impl>(loop, options, handler)) {}

Server::~Server() = default;

void Server::adopt(std::unique_ptr<net::Listener> listener) {
  if (impl_->listeners_paused) listener->pause();
  impl_->listeners.push_back(std::move(listener));
}

void Server::add(std::unique_ptr<net::Stream> stream, const net::PeerCredentials& peer) {
  if (impl_->draining) return;
  const std::uint64_t id = ++impl_->connections_total;
  auto connection = std::make_unique<Connection>(*impl_, id, std::move(stream), peer);
  Connection& added = *connection;
  impl_->connections.emplace(id, std::move(connection));
  added.start();
  impl_->pause_or_resume_listeners();
}

void Server::respond(ExchangeId exchange, const Response& response) {
  if (Connection* connection = impl_->find(exchange.connection)) connection->respond(exchange.request, response);
}

void Server::respond_raw(ExchangeId exchange, std::string bytes, bool then_close) {
  if (Connection* connection = impl_->find(exchange.connection)) {
    connection->respond_raw(exchange.request, std::move(bytes), then_close);
  }
}

void Server::abort(ExchangeId exchange) {
  if (Connection* connection = impl_->find(exchange.connection)) impl_->remove(*connection);
}

void Server::drain(std::function<void()> drained) {
  ENSURE(!impl_->draining);
  impl_->draining = true;
  impl_->drain_until = impl_->loop.now() + impl_->options.drain_timeout;
  impl_->drained = std::move(drained);
  impl_->pause_or_resume_listeners();
  std::vector<std::uint64_t> ids;  // draining removes the idle ones
  for (const auto& [id, connection] : impl_->connections) ids.push_back(id);
  for (const std::uint64_t id : ids) {
    if (Connection* connection = impl_->find(id)) connection->drain();
  }
  if (impl_->connections.empty()) impl_->tell_drained.post();
}

std::size_t Server::connections() const { return impl_->connections.size(); }

std::size_t Server::unanswered() const { return impl_->unanswered; }

}  // namespace twinspool::http
