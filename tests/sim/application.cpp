#include "sim/application.h"

#include "util/json.h"

namespace twinspool::sim {
namespace {

constexpr std::size_t kAskedMax = 8;
constexpr Duration kPatience = std::chrono::seconds(60);

std::string one(const Telemetry& telemetry) {
  const std::string component = telemetry.component.empty() ? "" : "/components/" + telemetry.component;
  http::Request request{
      .method = "POST",
      .target = "/digitaltwins/" + telemetry.twin + component + "/telemetry?api-version=2023-10-31",
      .headers = {{"Host", "localhost"}, {"Content-Type", "application/json"}, {"Message-Id", telemetry.message_id}},
      .body = telemetry.body};
  const auto add = [&](std::string_view name, const std::string& value) {
    if (!value.empty()) request.headers.add(name, value);
  };
  add("Telemetry-Source-Time", telemetry.source_time);
  add("traceparent", telemetry.traceparent);
  add("tracestate", telemetry.tracestate);
  return http::serialize(request);
}

std::string batch_line(const Telemetry& telemetry) {
  json::Writer line;
  line.begin_object();
  const auto add = [&](std::string_view name, const std::string& value) {
    if (!value.empty()) line.key(name).string(value);
  };
  add("twin", telemetry.twin);
  add("component", telemetry.component);
  add("messageId", telemetry.message_id);
  add("sourceTime", telemetry.source_time);
  add("traceparent", telemetry.traceparent);
  add("tracestate", telemetry.tracestate);
  return line.key("telemetry").raw(telemetry.body).end_object().take() + "\n";
}

std::string batch(const std::string& lines) {
  return http::serialize(http::Request{.method = "POST",
                                       .target = "/telemetry:batch",
                                       .headers = {{"Host", "localhost"}, {"Content-Type", "application/x-ndjson"}},
                                       .body = lines});
}

}  // namespace

Application::Application(net::EventLoop& loop, std::uint64_t seed, bool one_at_a_time, Connect connect, Events events)
    : loop_(loop),
      random_(seed),
      one_at_a_time_(one_at_a_time),
      connect_(std::move(connect)),
      events_(std::move(events)) {}

void Application::send(Telemetry telemetry) {
  queues_[one_at_a_time_ ? "" : telemetry.twin].push_back(std::move(telemetry));
}

void Application::try_again() {
  refused_ = false;
  go_on();
}

std::size_t Application::unacknowledged() const {
  std::size_t all = 0;
  for (const auto& [twin, queue] : queues_) all += queue.size();
  return all;
}

std::vector<std::string> Application::ready() const {
  std::vector<std::string> names;
  for (const auto& [name, queue] : queues_)
    if (!queue.empty() && !asked_.contains(name)) names.push_back(name);
  return names;
}

void Application::go_on() {
  if (refused_) return;
  if (connection_ && !connection_->usable()) {
    if (connection_->unanswered() > 0) return;  // they are told first
    loop_.retire(std::move(connection_));
  }
  std::vector<std::string> queues = ready();
  if (queues.empty() || asked_.size() >= kAskedMax) return;
  if (!connection_) {
    std::unique_ptr<net::Stream> stream = connect_();
    if (!stream) return;
    connection_ = std::make_unique<http::ClientConnection>(loop_, std::move(stream), http::ParserLimits{}, [] {});
  }
  if (chance(10)) {
    std::string lines;
    for (const std::string& name : queues) lines += batch_line(queues_[name].front());
    return ask(queues, batch(lines));
  }
  for (const std::string& name : queues) {
    if (asked_.size() >= kAskedMax) return;
    ask({name}, one(queues_[name].front()));
  }
}

void Application::ask(const std::vector<std::string>& queues, std::string request) {
  asked_.insert(queues.begin(), queues.end());
  connection_->send(std::move(request), loop_.now() + kPatience,
                    [this, queues](const Result<http::Response>& answer) { answered(queues, answer); });
}

void Application::answered(const std::vector<std::string>& queues, const Result<http::Response>& answer) {
  for (const std::string& name : queues) asked_.erase(name);
  if (!answer) {
    refused_ = true;
    return;
  }
  if (answer->status == 204) {
    for (const std::string& name : queues) {
      events_.acknowledged(queues_[name].front().message_id);
      queues_[name].pop_front();
    }
    return;
  }
  refused_ = true;
  // 408: it came in pieces, and the time was moved on between them.
  const bool later = answer->status == 503 || answer->status == 507 || answer->status == 429;
  if (answer->status != 408 && !(later && answer->headers.get("Retry-After")))
    events_.violated("an application was told " + std::to_string(answer->status) + ": " + answer->body);
}

}  // namespace twinspool::sim
